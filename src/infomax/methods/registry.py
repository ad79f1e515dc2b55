"""The list of methods: a function joins it by `@method`, which also notes how each learner was built."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

from torch import nn

from infomax.errors import ConfigError, known_options, nearest
from infomax.learner import Learner

METHODS: dict[str, Callable[..., Learner]] = {}
"""Every method by name."""

P = ParamSpec("P")


def method(function: Callable[Concatenate[nn.Module, P], Learner]) -> Callable[Concatenate[nn.Module, P], Learner]:
    """Enter a function in the list; its learners carry `recipe`, the options they were built with."""
    defaults = {n: p.default for n, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY}

    @known_options
    @functools.wraps(function)
    def build(encoder: nn.Module, /, *args: P.args, **chosen: P.kwargs) -> Learner:
        learner = function(encoder, *args, **chosen)
        learner.recipe = {"method": function.__name__, **defaults, **chosen}
        return learner

    METHODS[function.__name__] = build
    return build


def get(name: str) -> Callable[..., Learner]:
    """The method of that name; `-` and `_` are the same.

    Raises:
        ConfigError: naming the nearest method, where there is none of that name.

    Example:
        >>> get("barlow-twins").__name__
        'barlow_twins'
    """
    found = METHODS.get(name.lower().replace("-", "_"))
    if found is None:
        raise ConfigError(f"no method {name!r}: {nearest(name, METHODS)}")
    return found


def options(name: str) -> dict[str, inspect.Parameter]:
    """A method's options, read from its signature: name -> parameter with default and annotation.

    Example:
        >>> options("simclr")["temperature"].default
        0.2
    """
    return {n: p for n, p in inspect.signature(get(name)).parameters.items() if p.kind is p.KEYWORD_ONLY}


def build(name: str, encoder: nn.Module, **chosen: Any) -> Learner:
    """Build a method by name.

    Args:
        name: of the method, as `infomax methods` lists them.
        encoder: from what the views are to features, N x D.
        chosen: options of the method; see `options`.

    Returns:
        What `im.train` takes.

    Raises:
        ConfigError: for an unknown method or option, naming the nearest.

    Example:
        >>> build("simclr", nn.Linear(8, 4), projector=(4,)).name
        'simclr'
    """
    return get(name)(encoder, **chosen)
