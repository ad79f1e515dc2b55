"""Every method as a plain function of keyword arguments that returns a `Learner`; its signature is its configuration."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from infomax.errors import ConfigError, nearest
from infomax.learner import Learner
from infomax.methods.barlow_twins import barlow_twins
from infomax.methods.bgrl import bgrl
from infomax.methods.byol import byol
from infomax.methods.dino import dino
from infomax.methods.jmi import jmi
from infomax.methods.moco_v1 import moco_v1
from infomax.methods.moco_v2 import moco_v2
from infomax.methods.moco_v3 import moco_v3
from infomax.methods.sdmi import sdmi
from infomax.methods.simclr import simclr
from infomax.methods.simsiam import simsiam
from infomax.methods.swav import swav
from infomax.methods.taylor_jmi import taylor_jmi
from infomax.methods.vicreg import vicreg
from infomax.methods.w_mse import w_mse

METHODS: dict[str, Callable[..., Learner]] = {
    method.__name__: method
    for method in (
        sdmi,
        jmi,
        simsiam,
        byol,
        moco_v1,
        moco_v2,
        moco_v3,
        dino,
        swav,
        bgrl,
        simclr,
        barlow_twins,
        vicreg,
        w_mse,
        taylor_jmi,
    )
}


def get(name: str) -> Callable[..., Learner]:
    """The method of that name; `-` and `_` are the same.

    Raises:
        ConfigError: naming the nearest method, where there is none of that name.

    Example:
        >>> get("barlow-twins").__name__
        'barlow_twins'
    """
    method = METHODS.get(name.lower().replace("-", "_"))
    if method is None:
        raise ConfigError(f"no method {name!r}: {nearest(name, METHODS)}")
    return method


def options(name: str) -> dict[str, inspect.Parameter]:
    """A method's options, read from its signature: name -> parameter with default and annotation.

    Example:
        >>> options("simclr")["temperature"].default
        0.2
    """
    return {n: p for n, p in inspect.signature(get(name)).parameters.items() if p.kind is p.KEYWORD_ONLY}


def build(name: str, encoder: nn.Module, **chosen: Any) -> Learner:
    """Build a method by name.

    Raises:
        ConfigError: for an unknown method or option, naming the nearest.

    Example:
        >>> build("simclr", nn.Linear(8, 4), projector=(4,)).name
        'simclr'
    """
    known = options(name)
    for option in chosen:
        if option not in known:
            raise ConfigError(f"{name!r} has no option {option!r}: {nearest(option, known)}")
    return get(name)(encoder, **chosen)


__all__ = [
    "METHODS",
    "barlow_twins",
    "bgrl",
    "build",
    "byol",
    "dino",
    "get",
    "jmi",
    "moco_v1",
    "moco_v2",
    "moco_v3",
    "options",
    "sdmi",
    "simclr",
    "simsiam",
    "swav",
    "taylor_jmi",
    "vicreg",
    "w_mse",
]
