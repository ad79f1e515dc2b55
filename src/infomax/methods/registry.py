"""The registry of methods: `@method` enters a function, and records the options with which each learner was built."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec

import torch
from torch import nn

from infomax.errors import ConfigError, command, known_options, nearest
from infomax.heads import Head
from infomax.learner import Learner

METHODS: dict[str, Callable[..., Learner]] = {}
"""Every method by name."""

NOT_HERE = dict.fromkeys(("mae", "simmim", "ijepa", "dinov2", "deepcluster"), False) | {"nnclr": True, "vibcreg": True}
"""Methods that are asked for, as docs/from_lightly.md lists them, and whether `examples/own_method.py` has them."""

P = ParamSpec("P")


def method(function: Callable[Concatenate[nn.Module, P], Learner]) -> Callable[Concatenate[nn.Module, P], Learner]:
    """Register a function as a method; its learners carry `recipe`, the options they were built with.

    In a program that imports the module with this decorator, `im.methods.get`, `im.Run.load`, the command line and
    sweeps know the method by the function's name. A run's folder stores the options, so they should be numbers, words
    and widths of heads.

    Args:
        function: a function of the encoder and of named options, each with a default, that returns a learner.

    Raises:
        ConfigError: a function without an encoder, with `*args` or `**options`, or with the name of a method of the
            package.

    Example:
        >>> import infomax as im
        >>> @method
        ... def dot_dv(encoder, *, projector=(8,), temperature=1.0):
        ...     dot = im.Dot(temperature)
        ...     branch = im.Branch(encoder, projector)
        ...     return im.Learner(branch, im.Shared(), im.Alignment(dot), im.DonskerVaradhan(dot), name="dot_dv")
        >>> dot_dv(nn.Linear(4, 4), temperature=0.5).recipe
        {'method': 'dot_dv', 'projector': (8,), 'temperature': 0.5}
        >>> _ = METHODS.pop("dot_dv")  # only here, so that the list stays the package's
    """
    name, signature = function.__name__, inspect.signature(function)
    parameters = list(signature.parameters.values())
    if not parameters or parameters[0].kind not in (parameters[0].POSITIONAL_ONLY, parameters[0].POSITIONAL_OR_KEYWORD):
        raise ConfigError(f"the method {name}{signature}: its first argument is the encoder")
    if loose := next((p for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)), None):
        raise ConfigError(
            f"the method {name}{signature}: name every option in the place of {loose}, as a run keeps them"
        )
    known = METHODS.get(name)
    if known is not None and known.__module__ == f"{__package__}.{name}" != function.__module__:
        raise ConfigError(f"the method {name}{signature}: the package has one of this name; choose another")

    @known_options
    @functools.wraps(function)
    def build(encoder: nn.Module, /, *args: P.args, **chosen: P.kwargs) -> Learner:
        learner = function(encoder, *args, **chosen)
        if not isinstance(learner, Learner):
            raise ConfigError(f"the method {name} gives {type(learner).__name__}: return an infomax.Learner")
        asked = signature.bind(encoder, *args, **chosen)
        asked.apply_defaults()
        learner.recipe = {"method": name} | {n: v for n, v in asked.arguments.items() if n != parameters[0].name}
        return learner

    METHODS[name] = build
    return build


def get(name: str) -> Callable[..., Learner]:
    """Get the method of this name; `-` and `_` are the same.

    Raises:
        ConfigError: there is no method of that name; the message names the nearest.

    Example:
        >>> get("barlow-twins").__name__
        'barlow_twins'
    """
    found = METHODS.get(name.lower().replace("-", "_"))
    if found is None:
        own = "; one of your own is entered by @im.methods.method (docs/methods.md)"
        raise ConfigError(f"no method {name!r}: {_elsewhere(name) or nearest(name, METHODS) + own}")
    return found


def _elsewhere(name: str) -> str | None:
    """That a method of the literature is not here; None of what is none, or may be a slip of the pen."""
    word = "".join(filter(str.isalnum, name.lower()))
    if word not in NOT_HERE:
        return None
    example = ", but examples/own_method.py enters it as one of your own (docs/methods.md)"
    return f"it is not here{example * NOT_HERE[word]}; {command('methods')} lists what is"


def options(name: str) -> dict[str, inspect.Parameter]:
    """A method's options, read from its signature: name -> parameter with default and annotation.

    An option without an annotation has the type of its default; a tuple of widths is a head.

    Example:
        >>> options("simclr")["temperature"].default
        0.2
    """
    function = get(name)
    try:
        signature = inspect.signature(function, eval_str=True)
    except (NameError, AttributeError):  # an annotation of what its module imports for a type checker alone
        signature = inspect.signature(function)
        names = getattr(inspect.unwrap(function), "__globals__", {})
        each = [p.replace(annotation=_read(p.annotation, names)) for p in signature.parameters.values()]
        signature = signature.replace(parameters=each)
    _, *others = signature.parameters.values()
    return {p.name: p.replace(kind=p.KEYWORD_ONLY, annotation=_annotation(p)) for p in others}


def _read(annotation: Any, names: dict[str, Any]) -> Any:
    """What an annotation stands for; empty where it cannot be told, so that the default tells."""
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, names)  # of the method's own source, as `inspect` would read it
    except (NameError, AttributeError):
        return inspect.Parameter.empty


def _annotation(p: inspect.Parameter) -> Any:
    if p.annotation is not p.empty:
        return p.annotation
    if isinstance(p.default, tuple | list | nn.Module):
        return Head
    return type(p.default) if isinstance(p.default, bool | int | float | str) else p.empty


def build(name: str, encoder: nn.Module, **chosen: Any) -> Learner:
    """Build a method by name.

    Args:
        name: name of the method, as `infomax methods` lists them.
        encoder: module that maps views to features, N x D.
        chosen: options of the method; see `options`.

    Returns:
        A learner for `im.train`.

    Raises:
        ConfigError: an unknown method or option; the message names the nearest.

    Example:
        >>> build("simclr", nn.Linear(8, 4), projector=(4,)).name
        'simclr'
    """
    return get(name)(encoder, **chosen)


def check(name: str, **chosen: Any) -> None:
    """Refuse impossible options of a method, whatever its encoder; called before the data are read, which takes long.

    Only the package's own methods are checked: one of the user's may require something of its encoder, or keep what it
    built the first time.

    Raises:
        ConfigError: as in `build`.

    Example:
        >>> check("simclr", temperature=0)
        Traceback (most recent call last):
        infomax.errors.ConfigError: a temperature must be > 0, not 0
    """
    said: list[ConfigError] = []
    if not inspect.unwrap(get(name)).__module__.startswith("infomax."):
        return
    for width in (64, 2048):  # what only hangs on the encoder's width is said where there is one
        encoder = nn.Identity()
        encoder.width = width  # type: ignore[assignment]
        try:
            with torch.random.fork_rng(devices=[]), torch.device("meta"):
                build(name, encoder, **chosen)
        except ConfigError as error:
            said.append(error)
        except Exception:  # of what takes memory, or another encoder
            return
    if len(said) == 2 and str(said[0]) == str(said[1]):
        raise said[0]
