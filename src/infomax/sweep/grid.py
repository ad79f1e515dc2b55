"""A grid: one YAML file that says which cells a sweep has. A cell is one set of options of `infomax train`, resolved.

    config: cpu/simclr-cifar10    # a recipe, or a file of options, to start from; what follows overrides it. Optional
    method: simclr                # fixed options, those of `infomax train`, under the same names
    data: digits
    epochs: 20
    grid:                         # every combination
      lr: [0.01, 0.03]
      temperature: [0.1, 0.2]
    random:                       # or drawn at random, `samples` times for each combination
      weight_decay: {from: 1e-5, to: 1e-3, log: true}
      projector: [128-64, 256-64]
    samples: 10
    sampler: random               # or tpe (Optuna)
    sampler_seed: 0
    evaluate: {metric: linear}    # also `data`, if not the training data; `goal`, if not the known direction

A cell's name is a hash of all its options, including the defaults, except for those that say where it is computed.
"""

import functools
import itertools
import math
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from infomax.data import NAMES
from infomax.data.streams import absolute
from infomax.encoders.weights import PRETRAINED
from infomax.errors import ConfigError, InfomaxError, nearest
from infomax.sweep.metrics import GAUGES, JUDGED, choosable, goal_of
from infomax.training.checkpoint import fingerprint, plain

if TYPE_CHECKING:
    from cyclopts import App

WHERE = ("root", "device", "devices", "strategy", "checkpoint_every", "keep", "wandb")
"""Options that say where a cell is computed and logged, and not what."""

OURS = ("config", "grid", "random", "samples", "sampler", "sampler_seed", "evaluate", "slurm", "about")
"""Keys of a grid file that are no options of `infomax train`."""

TRIED = 100
"""Cells beside whose other options a value is tried, before it is said that no cell can have it."""


@dataclass(frozen=True)
class Cell:
    """One run of a sweep.

    Args:
        options: all options of `infomax train`, resolved; without `out`.

    Example:
        >>> a = Cell.of({"method": "jmi", "data": "digits"})
        >>> b = Cell.of({"method": "jmi", "data": "digits", "lr": "1e-3", "keep": 5})  # the default; and where, not what
        >>> a.name == b.name, a.name == Cell.of({"method": "jmi", "data": "digits", "lr": 0.1}).name
        (True, False)
    """

    options: Mapping[str, Any]

    @classmethod
    def of(cls, given: Mapping[str, Any], source: str = "the grid") -> "Cell":
        """Resolve options as `infomax train` does, including all defaults.

        Args:
            given: options by name, as in a file for `--config`.
            source: where they come from, for messages.

        Raises:
            ConfigError: an option that does not exist (the message names the nearest), or an impossible value.
        """
        cell = cls.unchecked(given, source)
        if why := cell.refused():
            raise ConfigError(f"{source}: {why}")
        return cell

    @classmethod
    def unchecked(cls, given: Mapping[str, Any], source: str = "the grid") -> "Cell":
        """Like `of`, but values that cannot be combined are accepted: such a cell fails, and the others run."""
        return cls(plain(resolved(given, source)))

    def refused(self, **changes: Any) -> str:
        """The objection of `infomax train` to its options, with some changed; empty if it accepts them."""
        from infomax.sweep.values import check

        try:
            check({**self.options, **changes})
        except InfomaxError as error:
            return str(error)
        return ""

    @property
    def what(self) -> dict[str, Any]:
        """The options that say what is computed, and not where."""
        # an option that is off is left out: a later version that has one more still knows the cells of this one
        return {k: v for k, v in self.options.items() if k not in WHERE and v is not None}

    @property
    def name(self) -> str:
        """The first 16 digits of the hash of its options."""
        return fingerprint({"train": self.what})[:16]


def resolved(given: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Options as `infomax train` reads them from its command line; see `Cell.of`."""
    from cyclopts import CycloptsError

    from infomax import methods
    from infomax.cli.options import as_token, head, is_head
    from infomax.cli.phrases import of_another
    from infomax.cli.train import options_of

    asked = {str(key).replace("-", "_"): value for key, value in given.items()}
    if several := next((k for k in ("method", "data") if isinstance(asked.get(k), list)), None):
        raise ConfigError(f"{source}: {several}: {asked[several]}: a cell has one; several stand under 'grid'")
    method = asked.get("method")
    known = options_of(method) - {"out"}
    for key in asked:
        if key not in known:
            of = f" of {method!r}" if method else ""
            why = of_another(method, key, key) or f"no option {key!r}{of}: {nearest(key, known | set(OURS))}"
            raise ConfigError(f"{source}: {why}")
    if missing := next((k for k in ("method", "data") if asked.get(k) is None), None):
        raise ConfigError(f"{source}: give {'a method' if missing == 'method' else missing}, fixed or in the grid")
    own = methods.options(str(method))
    if several := next((k for k, value in asked.items() if isinstance(value, list) and k not in own), None):
        raise ConfigError(f"{source}: {several}: {asked[several]}: a cell has one; several stand under 'grid'")
    tokens = ["train", "--out=cell", *(as_token(key, value) for key, value in asked.items() if value is not None)]
    try:
        _, bound, _ = _command(str(asked["method"])).parse_args(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        raise ConfigError(f"{source}: {' '.join(str(error).split())}") from None
    bound.apply_defaults()
    options = {k: v for k, v in bound.arguments.items() if k not in ("out", "print_config")}
    if options["devices"] != 1:
        raise ConfigError(f"{source}: devices={options['devices']}: a cell is one process; give it GPUs by --gpus")
    for key, parameter in own.items():
        if is_head(parameter) and isinstance(options[key], str):
            options[key] = list(head(options[key]))
    options["method"] = str(options["method"]).replace("-", "_").lower()
    if options["data"] not in NAMES:
        options["data"] = absolute(options["data"])  # a cell may run from another folder
    if options["init"] not in (None, PRETRAINED):
        options["init"] = os.path.abspath(os.path.expanduser(options["init"]))
    if options["root"] is not None:
        options["root"] = os.path.abspath(os.path.expanduser(options["root"]))
    return options


@functools.cache
def _command(method: str) -> "App":
    """`infomax train` alone, with the options of a method; made once, for a grid may have thousands of cells."""
    from cyclopts import App

    from infomax.cli.options import strict
    from infomax.cli.train import train_command

    app = App(name="infomax")
    app.command(strict(train_command(["train", f"--method={method}"])), name="train")
    return app


@dataclass(frozen=True)
class Range:
    """Numbers to draw from: uniform between two ends, or uniform in their logarithm; whole numbers if both ends are.

    Example:
        >>> Range.read("lr", {"from": "1e-3", "to": 0.1, "log": True})
        Range(low=0.001, high=0.1, log=True)
        >>> Range(2, 4).draw(random.Random(0)) in (2, 3, 4)
        True
    """

    low: float
    high: float
    log: bool = False

    @classmethod
    def read(cls, key: str, asked: Mapping[str, Any]) -> "Range":
        """A range from {from, to, log}.

        Raises:
            ConfigError: another key, ends that are not numbers or not in order, or a logarithm of an end that is not
                positive.
        """
        for word in asked:
            if word not in ("from", "to", "log"):
                raise ConfigError(f"random: {key}: no {word!r} of a range: {nearest(str(word), ('from', 'to', 'log'))}")
        try:
            floats = [float(asked[end]) for end in ("from", "to")]
        except OverflowError:
            raise ConfigError(f"random: {key}: an end of the range is a number of more than 308 digits") from None
        except (KeyError, TypeError, ValueError):
            raise ConfigError(
                f"random: {key}: give two numbers, {{from: 0.001, to: 0.1, log: true}}, not {dict(asked)}"
            ) from None
        ends = [asked[e] if isinstance(asked[e], int) else x for e, x in zip(("from", "to"), floats, strict=True)]
        log = asked.get("log", False)
        if not isinstance(log, bool):
            raise ConfigError(f"random: {key}: log: {log!r}: give true or false")
        if not ends[0] < ends[1] or (log and ends[0] <= 0) or not math.isfinite(floats[1] - floats[0]):
            raise ConfigError(f"random: {key}: from {ends[0]} to {ends[1]}{', by logarithm' * log}, is no range")
        return cls(ends[0], ends[1], log)

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def draw(self, source: random.Random) -> float:
        """Draw one number."""
        if self.whole and not self.log:
            return source.randint(int(self.low), int(self.high))
        low, high, u = self.low, self.high, source.random()
        if self.whole:  # as Optuna has it: half a unit more at either end, that every number has all of its share
            low, high = low - 0.5, high + 0.5
        x = low * (high / low) ** u if self.log else low + (high - low) * u
        if self.whole:
            return min(max(round(x), int(self.low)), int(self.high))
        return float(f"{x:.6g}")  # six digits are as good, and can be read


@dataclass(frozen=True)
class Grid:
    """The content of a grid file; see the module.

    Args:
        fixed: options that all cells share.
        grid: option -> values; every combination is a cell.
        random: option -> choices or a range, drawn `samples` times for each combination.
        samples: number of draws.
        sampler: random, or tpe, which learns from the cells that have ended.
        sampler_seed: random seed of the draws. With more samples, the first ones stay the same.
        evaluate: `data` to evaluate on, `metric` to choose by, `goal` max or min.
        slurm: parameters of submitit's executor, such as slurm_partition.
        about: the file's description of itself.
        source: the file's name.
    """

    fixed: Mapping[str, Any]
    grid: Mapping[str, list[Any]] = field(default_factory=dict)
    random: Mapping[str, list[Any] | Range] = field(default_factory=dict)
    samples: int = 1
    sampler: Literal["random", "tpe"] = "random"
    sampler_seed: int = 0
    evaluate: Mapping[str, Any] = field(default_factory=lambda: {"data": None, "metric": "linear", "goal": "max"})
    slurm: Mapping[str, Any] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)
    source: str = "the grid"

    def __len__(self) -> int:
        """Number of cells that it asks for; equal cells are counted each time."""
        return math.prod(len(values) for values in self.grid.values()) * (self.samples if self.random else 1)

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The options of every cell, without those that are drawn."""
        for values in itertools.product(*self.grid.values()):
            yield {**self.fixed, **dict(zip(self.grid, values, strict=True))}

    def draw(self, sample: int) -> dict[str, Any]:
        """The options drawn for the n-th sample, a function of the seed, n and the option's name alone."""
        drawn = {}
        for key, choices in self.random.items():
            source = random.Random(f"{self.sampler_seed}/{sample}/{key}")
            drawn[key] = choices.draw(source) if isinstance(choices, Range) else source.choice(choices)
        return drawn

    def cells(self) -> list[Cell]:
        """Every cell, once each; none for `tpe`, where each cell depends on those before.

        Raises:
            ConfigError: an option that does not exist (the message names the nearest), or a value that no cell can
                have.
        """
        return list(self._cells if self.impossible is not None else ())

    @functools.cached_property
    def impossible(self) -> Mapping[str, str]:
        """Why some cells cannot run, by name: each of their values is possible, but the values cannot be combined.

        Raises:
            ConfigError: as in `cells`.
        """
        why = {cell.name: said for cell in self._cells if (said := cell.refused())}
        able = [cell for cell in self._cells if cell.name not in why]
        for cell in (cell for cell in self._cells if cell.name in why):
            keys = [key for key in (*self.grid, *self.random) if key in cell.options]
            if not able or not all(_possible(key, cell.options[key], able) for key in keys):
                raise ConfigError(f"{self.source}: {why[cell.name]}")
        return why

    @functools.cached_property
    def _cells(self) -> tuple[Cell, ...]:
        """Resolved once: they are asked for by what checks them, what runs them and what says how they ended."""
        if self.sampler == "tpe":
            return ()
        draws = [self.draw(n) for n in range(self.samples)] if self.random else [{}]
        made = (Cell.unchecked({**options, **drawn}, self.source) for drawn in draws for options in self.combinations())
        return tuple({cell.name: cell for cell in made}.values())


def _possible(key: str, value: Any, able: Sequence[Cell]) -> bool:
    """Whether some cell that can be has a value, or could have it in place of its own."""
    if any(cell.options.get(key) == value for cell in able):
        return True
    if key == "method":  # whose options are its own
        return False
    others = [cell for cell in able if key in cell.options][:TRIED]
    return any(not cell.refused(**{key: value}) for cell in others)


def read(asked: Mapping[str, Any], source: str = "the grid") -> Grid:
    """Read and check a grid from the content of its file.

    Raises:
        ConfigError: an invalid entry; the message names its key.

    Example:
        >>> grid = read({"method": "jmi", "data": "digits", "grid": {"lr": [0.1, 0.2], "seed": [0, 1, 2]}})
        >>> len(grid), len(grid.cells())
        (6, 6)
    """
    asked = _named(asked, source)
    ours = {key: value for key in OURS if (value := asked.pop(key, None)) is not None}
    for key in asked:
        if key == "out":
            raise ConfigError(f"{source}: out: the folder of a sweep is given by --out")
    varied: dict[str, Any] = {}
    for part in ("grid", "random"):
        given = _mapping(ours, part, source)
        varied[part] = _named(given, f"{source}: {part}")
        for key, values in varied[part].items():
            if key in OURS:
                raise ConfigError(f"{source}: {part}: {key} is no option of a cell: it stands beside {part!r}, once")
            if isinstance(values, Mapping) and part == "random":
                varied[part][key] = Range.read(key, values)
            elif not isinstance(values, list) or not values:
                raise ConfigError(f"{source}: {part}: {key}: give a list of values, not {values!r}")
    if "config" in ours:
        asked = _base(ours["config"], {**varied["grid"], **varied["random"], **asked}, source) | asked
    twice = [key for key in varied["grid"] if key in varied["random"] or key in asked]
    twice += [key for key in varied["random"] if key in asked]
    if twice:
        raise ConfigError(f"{source}: {twice[0]} is given twice: fixed, in the grid, or drawn")
    sampler = ours.get("sampler", "random")
    if sampler not in ("random", "tpe"):
        raise ConfigError(f"{source}: sampler: {nearest(str(sampler), ('random', 'tpe'))}")
    if sampler == "tpe" and (varied["grid"] or not varied["random"]):
        raise ConfigError(f"{source}: sampler: tpe draws what stands under `random`; a grid beside it is not possible")
    if ("samples" in ours) != bool(varied["random"]):
        superfluous = "; nothing is drawn here, so leave `samples` out (--set samples=null)" * ("samples" in ours)
        raise ConfigError(f"{source}: give `random` and `samples` together: what is drawn, and how often{superfluous}")
    for key, least in (("samples", 1), ("sampler_seed", 0)):
        if key in ours and (not isinstance(ours[key], int) or isinstance(ours[key], bool) or ours[key] < least):
            raise ConfigError(f"{source}: {key}: {ours[key]!r}: give a whole number from {least} on")
    about = ours.get("about", {})
    return Grid(
        asked,
        varied["grid"],
        varied["random"],
        ours.get("samples", 1),
        sampler,
        ours.get("sampler_seed", 0),
        _evaluation(_mapping(ours, "evaluate", source), source),
        _mapping(ours, "slurm", source),
        about if isinstance(about, Mapping) else {"title": str(about)},
        source,
    )


def _named(given: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Options under the names that Python has them by.

    Raises:
        ConfigError: one that stands there with dashes and with underscores.
    """
    named = {str(key).replace("-", "_"): value for key, value in given.items()}
    if len(named) < len(given):
        keys = [str(key).replace("-", "_") for key in given]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigError(f"{source}: {twice} is given twice, as {twice.replace('_', '-')} too: leave one of them out")
    return named


def _base(name: Any, given: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The options of a recipe, or of a file, that a grid does not say itself."""
    from infomax.cli.train import INSTEAD, config_of

    if not isinstance(name, str):
        raise ConfigError(f"{source}: config: give a file of options, or a recipe's name, not {name!r}")
    method = given.get("method")
    found = config_of(name, None if isinstance(method, list) else method, f"{source}: config")
    left = {key: value for key, value in found.items() if value is not None and key not in (*given, "out")}
    return {key: value for key, value in left.items() if given.get(INSTEAD.get(key, key)) is None}


def _mapping(ours: Mapping[str, Any], key: str, source: str) -> Mapping[str, Any]:
    value = ours.get(key, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{source}: {key}: give a mapping of names, not {value!r}")
    return value


def _evaluation(asked: Mapping[str, Any], source: str) -> dict[str, Any]:
    known = ("data", "metric", "goal")
    for key in asked:
        if key not in known:
            raise ConfigError(f"{source}: evaluate: no {key!r}: {nearest(str(key), known)}")
    made = {"data": None, "metric": "linear", **asked}
    try:
        made = {"goal": goal_of(choosable(str(made["metric"]))), **made}
    except ConfigError as error:
        raise ConfigError(f"{source}: evaluate: metric {error}") from None
    if made["metric"] not in (*JUDGED, *GAUGES):  # before a cell is trained that could not be judged
        raise ConfigError(
            f"{source}: evaluate: no metric {made['metric']!r}: {nearest(str(made['metric']), (*JUDGED, *GAUGES))}"
        )
    if made["goal"] not in ("max", "min"):
        raise ConfigError(f"{source}: evaluate: goal: {nearest(str(made['goal']), ('max', 'min'))}")
    if made["data"] is not None and made["data"] not in NAMES:
        made["data"] = absolute(str(made["data"]))
    return made


@dataclass(frozen=True)
class Listed(Grid):
    """Cells given one by one, such as those of several grids, instead of combinations.

    Args:
        given: the cells.

    Example:
        >>> some = [Cell.of({"method": m, "data": "digits"}) for m in ("jmi", "simclr", "jmi")]
        >>> len(Listed({}, given=tuple(some)).cells())
        2
    """

    given: tuple[Cell, ...] = ()

    @functools.cached_property
    def _cells(self) -> tuple[Cell, ...]:
        return tuple({cell.name: cell for cell in self.given}.values())
