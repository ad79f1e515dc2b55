"""Values that no cell can have, told before one is trained, as `infomax train` would tell them."""

import functools
import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from infomax import encoders, methods
from infomax.encoders.weights import PRETRAINED
from infomax.errors import InfomaxError
from infomax.optim import rules
from infomax.training.defaults import check_names
from infomax.training.options import Options, read_back
from infomax.training.prepare import check_kept


def check(options: Mapping[str, Any]) -> Options:
    """Refuse values that `infomax train` would refuse on any machine and of any data.

    Args:
        options: all of `infomax train`, resolved.

    Raises:
        ConfigError: naming one.
    """
    made = Options(**read_back({f.name: options[f.name] for f in fields(Options)}))
    rules.check(made.rules)
    check_kept(made, options)
    published = options["init"] if options["init"] == PRETRAINED else None  # others are looked for where cells run
    _names(options["encoder"], options["views"], published, made.size)
    _method(options["method"], json.dumps({name: options[name] for name in methods.options(options["method"])}))
    return made


@functools.cache
def _names(encoder: str, views: str, init: str | None, size: int | None) -> None:
    check_names(encoder=encoder, views=views, init=init, size=size)


class _Unfilled(TorchFunctionMode):
    """Weights are left as memory has them: drawing those of wide heads takes seconds, and nothing is computed by them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


@functools.cache
def _method(name: str, chosen: str) -> None:
    """Build the method once on a small encoder, to hear what it says of its options."""
    own = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(chosen).items()}
    with torch.random.fork_rng(devices=[]):
        encoder = encoders.get("mlp", channels=1, size=8)
        try:
            with _Unfilled():
                methods.build(name, encoder, **own)
        except InfomaxError:
            raise
        except Exception:  # of a method of one's own, which may want another encoder: its cells say so
            return
