"""Errors that say what was asked, on what, and what to do; the command line prints them as one line."""

import difflib
import errno
import functools
import inspect
import math
import os
import shlex
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
BETWEEN = ("infomax", "torch", "contextlib", "concurrent", "threading")
"""This package, and whose lines lie between its own: of none of them a warning shows a line."""


SYNONYMS = {
    "batch_size": ("batchsize", "bs", "mini_batch", "minibatch_size"),
    "budget": ("max_time", "time_limit"),
    "clip_norm": ("clip_grad", "clip_grad_norm", "grad_clip", "gradient_clip_val", "max_grad_norm"),
    "data": ("data_dir", "data_path", "dataset", "input_dir", "train_dir"),
    "devices": ("gpus", "n_gpus", "num_gpus", "nproc"),
    "encoder": ("arch", "architecture", "backbone", "model", "net", "network"),
    "epochs": ("max_epochs", "n_epochs", "nb_epochs", "num_epochs", "num_train_epochs"),
    "init": ("pretrained", "weights"),
    "lr": ("base_lr", "init_lr", "learning_rate", "learningrate"),
    "method": ("algo", "algorithm", "ssl_method"),
    "optimizer": ("opt", "optim", "optimiser"),
    "out": ("log_dir", "logdir", "out_dir", "outdir", "output", "output_dir", "save_dir"),
    "precision": ("amp", "fp16", "half"),
    "seed": ("manual_seed", "random_seed", "random_state"),
    "size": ("crop_size", "image_size", "img_size", "resolution"),
    "tau": ("temp", "temperature"),
    "temperature": ("moco_t", "student_temp", "student_temperature", "t", "tau", "temp"),
    "views": ("aug", "augmentation", "augmentations", "transform", "transforms"),
    "weight_decay": ("decay", "l2", "wd"),
    # of methods alone, as lightly, solo-learn and the authors' code call them: docs/from_lightly.md has the same table
    "covariance": ("cov_coeff", "cov_loss_weight", "nu_param"),
    "eps": ("w_eps", "whitening_eps"),
    "epsilon": ("sinkhorn_epsilon", "sk_epsilon"),
    "freeze_epochs": ("freeze_last_layer", "freeze_prototypes_epochs"),
    "invariance": ("lambda_param", "sim_coeff", "sim_loss_weight"),
    "iterations": ("sinkhorn_iterations", "sk_iters", "w_iter", "whitening_iters"),
    "loss_scale": ("scale_loss",),
    "momentum": ("base_target_ema", "base_tau", "base_tau_momentum", "m", "moco_m", "momentum_teacher"),
    "momentum_end": ("final_tau", "final_tau_momentum"),
    "predictor": ("pred_dim", "pred_hidden_dim"),
    "projector": (
        "bottleneck_dim", "dim", "feat_dim", "hidden_dim", "hidden_mlp", "mlp", "moco_dim", "out_dim", "output_dim",
        "proj_hidden_dim", "proj_output_dim",
    ),
    "prototypes": ("n_prototypes", "nmb_prototypes", "num_prototypes", "out_dim", "output_dim"),
    "queue": ("k", "memory_bank_size", "moco_k", "queue_length", "queue_size"),
    "queue_epoch": ("epoch_queue_starts", "start_queue_at_epoch"),
    "redundancy": ("lamb", "lambd", "lambda_param"),
    "target_temperature": ("teacher_temp", "teacher_temperature"),
    "target_temperature_epochs": ("warmup_teacher_temp_epochs", "warmup_teacher_temperature_epochs"),
    "target_temperature_start": ("warmup_teacher_temp", "warmup_teacher_temperature"),
    "variance": ("mu_param", "std_coeff", "var_loss_weight"),
    "whitening_size": ("w_size",),
}  # fmt: skip
"""Options of this package, and what others call them; of a word that two options have, the first one's."""

LISTED, SHOWN = 24, 8
"""Names up to which a message lists all, and of more how many."""


class InfomaxError(Exception):
    """Base class of every error that the user can correct."""


class ConfigError(InfomaxError, ValueError):
    """A name, option or combination of options that does not exist or cannot work."""


class DataError(InfomaxError, ValueError):
    """Data that are missing, empty, corrupt or of the wrong shape."""


class NoSuchSplit(DataError):
    """Whole data that have no part of the name asked for, such as `test`."""


def check_number(what: str, value: object, *, least: float = 0.0, above: bool = False) -> None:
    """Refuse a setting that is no finite number, or too small: below `least`, or with `above` that, too.

    Raises:
        ConfigError: in one line.

    Example:
        >>> check_number("a temperature", "0.1", above=True)
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: a temperature must be > 0, not '0.1'
    """
    single: Any = value.detach() if hasattr(value, "detach") else value  # a temperature that learns
    try:
        # numpy's and torch's truth values name their type; an array of one entry is no number to what it would be used in
        odd = "bool" in str(getattr(value, "dtype", type(value))) or type(value).__name__ == "ndarray"
        number = math.nan if odd or isinstance(value, str | bytes) else float(single)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        number = math.nan
    if not (math.isfinite(number) and (number > least if above else number >= least)):
        wanted = (
            f"{'>' if above else '>='} {least:g}" if number != math.inf and math.isfinite(least) else "a finite number"
        )
        raise ConfigError(f"{what} must be {wanted}, not {textwrap.shorten(repr(value), 60)}")


def check_part(of: str, given: object, kind: type, example: str = "") -> None:
    """Refuse what is no part of that kind, such as a number in the place of a critic, or a class that was not called.

    Args:
        of: what it is to be a part of.
        given: what was given.
        kind: the class of the part.
        example: code that makes one.

    Raises:
        ConfigError: in one line.

    Example:
        >>> check_part("Alignment", 0.1, dict, "dict()")
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: Alignment: expected a dict, such as dict(), got 0.1
    """
    if isinstance(given, kind):
        if hasattr(kind, "named_modules") and not hasattr(given, "_modules"):  # of torch, which nothing here imports
            name = type(given).__name__
            raise ConfigError(f"{of}: {name} has not been set up: begin its __init__ with super().__init__()")
        return
    got = repr(given) if given is None or isinstance(given, str | int | float) else type(given).__name__
    if isinstance(given, type):
        got = f"the class {given.__name__}: call it, {given.__name__}(...)"
    raise ConfigError(f"{of}: expected a {kind.__name__}, {f'such as {example}, ' if example else ''}got {got}")


class NumericsError(InfomaxError, ArithmeticError):
    """A NaN or infinity, or a batch on which an objective is not defined."""


class Unreachable(InfomaxError, RuntimeError):
    """Another process of the same run is gone."""


_PROGRAM = ["infomax"]


def begun_as(script: str) -> None:
    """Note what the command line was begun by: a script of the user's knows methods that `infomax` by itself does not.

    Args:
        script: as sys.argv begins.
    """
    launchers = ("__main__.py", "infomax-script.py")  # the second of some installers on Windows
    own = script.endswith(".py") and script.replace("\\", "/").rpartition("/")[2] not in launchers
    _PROGRAM[:] = ["python", shlex.quote(script)] if own else ["infomax"]


def command(words: str) -> str:
    """A command of this package as it is typed here: by `uv run`, or a script of the user's, where this one was.

    Example:
        >>> command("probe runs/photos").removeprefix("uv run ")
        'infomax probe runs/photos'
    """
    return ("uv run " if "UV_RUN_RECURSION_DEPTH" in os.environ else "") + " ".join([*_PROGRAM, words])


def scripted() -> bool:
    """Whether the command line was begun by a script of the user's, which knows what that has entered."""
    return _PROGRAM[0] != "infomax"


def meant(name: str, options: Iterable[str]) -> str | None:
    """Which of some options others call so; None: none.

    Example:
        >>> meant("learning-rate", ["lr", "epochs"]), meant("tau", ["lr", "epochs"])
        ('lr', None)
        >>> meant("student_temp", ["temperature", "target_temperature"])
        'temperature'
    """
    word, known = str(name).lower().replace("-", "_"), {one.replace("-", "_"): one for one in options}
    found = [one for one, words in SYNONYMS.items() if one in known and word in words]
    if (
        "prototypes" in found and "target_temperature" in known
    ):  # the outputs of DINO's head, elsewhere those of a projector
        found = ["prototypes"]
    return known[found[0]] if found else None


def nearest(name: str, options: Iterable[str], otherwise: str = "") -> str:
    """Name the closest option, as the tail of an error message; where none is close, the hint `otherwise`.

    Capitals count for nothing. Of many options (`LISTED`) the closest alone is named, else the first.

    Example:
        >>> nearest("simclear", ["simclr", "byol"])
        "did you mean 'simclr'? (one of: byol, simclr)"
        >>> nearest("wd", ["lr", "weight_decay"])
        "did you mean 'weight_decay'? (one of: lr, weight_decay)"
        >>> nearest("nothing", ["simclr", "byol"])
        'give one of: byol, simclr'
        >>> nearest("SIMCLR", ["simclr", "byol"])
        "did you mean 'simclr'? (one of: byol, simclr)"
        >>> nearest("option7", [f"option_{i}" for i in range(50)]), nearest("x", map(str, range(50)))
        ("did you mean 'option_7'?", 'give one of: 0, 1, 10, 11, 12, 13, 14, 15, ... (50 in all)')
    """
    known = sorted(options)
    same = meant(name, known)
    lower = {one.lower(): one for one in known}
    close = [same] if same else difflib.get_close_matches(str(name).lower(), lower, n=1, cutoff=0.5)
    hint = f"did you mean {lower[close[0].lower()]!r}? " if close else otherwise
    some = known if len(known) <= LISTED else known[:SHOWN]
    if hint and some is not known:
        return hint.rstrip()
    rest = "" if some is known else f", ... ({len(known)} in all)"
    listed = f"one of: {', '.join(repr(one) if ',' in one else one for one in some)}{rest}"
    return f"{hint}({listed})" if hint else f"give {listed}"


def beside(path: Path, serves: Callable[[Path], bool] = lambda _: True) -> str:
    """Name what is called nearly as a path that does not exist, in the same folder; nothing where there is none such.

    Args:
        path: that was asked for.
        serves: whether what is there could be taken.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     (Path(folder) / "photos").mkdir()
        ...     beside(Path(folder) / "fotos").replace(folder, "")
        "did you mean '/photos'? "
    """
    try:
        there = [p.name for p in path.parent.iterdir() if serves(p)]
    except OSError:
        return ""
    close = difflib.get_close_matches(path.name, there, n=1)
    return f"did you mean {str(path.parent / close[0])!r}? " if close else ""


def warn(said: str, category: type[Warning] = UserWarning) -> None:
    """Warn of what the user's own line has begun: that line stands below the warning, and none of this package's.

    Args:
        said: the warning.
        category: its class.
    """
    frame, level = sys._getframe(0).f_back, 2
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in BETWEEN:
        frame, level = frame.f_back, level + 1
    warnings.warn(said, category, stacklevel=level)  # in a thread there is no such line: Python then shows none


def reason(error: OSError) -> str:
    """Why the system did not do something.

    Example:
        >>> reason(OSError(28, "No space left on device")), reason(OSError(13, "Permission denied"))
        ('the disk is full', 'Permission denied')
    """
    return "the disk is full" if full(error) else error.strerror or str(error)


def full(error: OSError) -> bool:
    """Whether there was no room for what was to be written."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def unreadable(error: Exception) -> str:
    """Why a file of YAML cannot be read, on one line: by a parser's error the place within the file alone.

    Example:
        >>> import yaml
        >>> try:
        ...     yaml.safe_load("data: a: b")
        ... except yaml.YAMLError as error:
        ...     unreadable(error)
        'line 1, column 8: mapping values are not allowed here'
    """
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark is not None and problem else ""
    return f"{at}{problem if at else ' '.join(str(error).split())}"


def known_options(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, but that a keyword which it does not have is an error that names the nearest one.

    Example:
        >>> @known_options
        ... def train(data, *, epochs=1): ...
        >>> train("photos", epoch=2)
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: 'train' has no option 'epoch': did you mean 'epochs'? (one of: data, epochs)
    """
    taken = inspect.signature(function).parameters
    known = [name for name, p in taken.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]

    @functools.wraps(function)
    def called(*args: P.args, **given: P.kwargs) -> R:
        for name in given:
            if name not in known:
                raise ConfigError(f"{function.__name__!r} has no option {name!r}: {nearest(name, known)}")
        return function(*args, **given)

    return called
