"""Which cells come next: all of a grid at once; of TPE, each from what the ones before it found."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from infomax.errors import ConfigError
from infomax.extras import getting
from infomax.sweep.folder import Row
from infomax.sweep.grid import TRIED, WHERE, Cell, Grid, Range
from infomax.words import many, with_dashes

if TYPE_CHECKING:
    import optuna

LOOKED_AT = 20  # draws, off which it is told beforehand that not all values go together


class Search(Protocol):
    """Names the cells of a sweep.

    Attributes:
        total: how many there will be.
        apart: which values, that some cells have, do not go together; nothing where all do.
    """

    total: int
    apart: str

    def ask(self, free: int) -> list[Cell]:
        """The next cells: at most as many as there is room for, where those depend on what others find."""

    def tell(self, row: Row) -> None:
        """How a cell ended."""


class Everything:
    """All cells of a grid, or all random draws, at once."""

    def __init__(self, grid: Grid) -> None:
        self._left = grid.cells()
        self.total = len(self._left)
        of = f"{len(grid.impossible)} of {many(self.total, 'cell')} cannot be"
        self.apart = next((f"{of} ({name}: {why})" for name, why in grid.impossible.items()), "")

    def ask(self, free: int) -> list[Cell]:
        """All of them, the first time."""
        asked, self._left = self._left, []
        return asked

    def tell(self, row: Row) -> None:
        """Nothing follows from it."""


class TPE:
    """Optuna's tree-structured Parzen estimator: draws where good cells are denser than others (Bergstra et al. 2011).

    It is a function of its seed and of what cells found in the order in which they ended; finished ones count from the start.
    What it draws twice is drawn anew at random, so that `samples` are cells, or all that there are of few choices.

    Args:
        grid: with `sampler: tpe`.
        known: the cells that there are.

    Attributes:
        total: how many cells there will be.
        apart: which values do not go together, of those that may be drawn.
        known: the names of those of this search that there are.

    Raises:
        ConfigError: where Optuna is not installed.
    """

    def __init__(self, grid: Grid, known: list[Row]) -> None:
        try:
            import optuna
        except ImportError:
            raise ConfigError(f"sampler: tpe needs Optuna: {getting('tpe')}; or take `sampler: random`") from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.choices = _resolved(grid)
        self.grid = replace(grid, random=self.choices)
        some = (self._cell(grid.draw(n)).refused() for n in range(LOOKED_AT))
        self.apart = next((f"not all that is drawn goes together ({why})" for why in some if why), "")
        self.space = {key: _distribution(choices) for key, choices in self.choices.items()}
        self.total = int(min(grid.samples, _many(self.choices)))
        self._old = [cell for row in known if (cell := self._mine(row))][: self.total]
        self.known = [cell.name for cell in self._old]
        self._left = self.total - len(self._old)
        # begun again with the seed alone it would draw again what is known
        sampler = optuna.samplers.TPESampler(seed=grid.sampler_seed + 1000 * len(self._old))
        self.study = optuna.create_study(
            sampler=sampler, direction="maximize" if grid.evaluate["goal"] == "max" else "minimize"
        )
        self._open: dict[str, Any] = {}
        self._asked: set[str] = set()

    def ask(self, free: int) -> list[Cell]:
        """Cells of before first, then new ones, as many as there is room for."""
        import optuna

        old, self._old = self._old, []
        for cell in old:
            self._asked.add(cell.name)
            self._open[cell.name] = self._enter(self._drawn(cell.options))
        made: list[Cell] = []
        while self._left and len(old) + len(made) < free:
            trial = self.study.ask(self.space)
            cell = self._cell(trial.params)
            if cell.name in self._asked:  # nothing is learnt by it twice
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
                if (other := self._other()) is None:
                    self.total, self._left = self.total - self._left, 0
                    break
                cell, trial = other, self._enter(self._drawn(other.options))
            self._left -= 1
            self._asked.add(cell.name)
            self._open[cell.name] = trial
            made.append(cell)
        return [*old, *made]

    def tell(self, row: Row) -> None:
        """Let the next draws know; a cell that failed, or has no finite metric, is told as failed."""
        import optuna

        trial = self._open.pop(row.name)
        value = row.metrics.get(self.grid.evaluate["metric"], math.nan)
        if math.isfinite(value):
            self.study.tell(trial, value)
        else:
            self.study.tell(trial, state=optuna.trial.TrialState.FAIL)

    def _enter(self, drawn: Mapping[str, Any]) -> "optuna.Trial":
        self.study.enqueue_trial(dict(drawn))
        return self.study.ask(self.space)

    def _cell(self, drawn: Mapping[str, Any]) -> Cell:
        # values are checked where they are asked for: two that do not go together fail their cell, and not the search
        return Cell.unchecked({**self.grid.fixed, **drawn}, self.grid.source)

    def _other(self) -> Cell | None:
        """A cell at random that has not been asked for; None where there seems to be none."""
        cells = (self._cell(self.grid.draw(n)) for n in range(100 * self.total))
        return next((cell for cell in cells if cell.name not in self._asked), None)

    def _drawn(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """A cell's options as this search draws them.

        Raises:
            KeyError, ValueError: where it could not have.
        """
        return {key: _among(choices, options[key]) for key, choices in self.choices.items()}

    def _mine(self, row: Row) -> Cell | None:
        """A cell of the folder, computed where this grid says, if it is one that this search could have drawn."""
        try:
            cell = self._cell(self._drawn(row.options))
        except (KeyError, ValueError):  # a ConfigError is one
            return None
        return cell if cell.name == row.name else None


def _among(choices: list[Any] | Range, value: Any) -> Any:
    """A cell's value as it is drawn.

    Raises:
        ValueError: where it could not have been.

    Example:
        >>> _among(Range(1, 4), "2"), _among(["none", "16-8"], [16, 8])
        (2, '16-8')
    """
    if not isinstance(choices, Range):
        return choices[choices.index(_shown(value))]
    number = math.nan if value is None else float(_shown(value))
    if not choices.low <= number <= choices.high or (choices.whole and not number.is_integer()):
        raise ValueError(value)
    return int(number) if choices.whole else number


def able(grid: Grid, **given: Any) -> Cell:
    """A cell that can be, of some values and what else is drawn.

    Raises:
        ConfigError: where there seems to be none.
    """
    refused: list[str] = []
    for n in range(TRIED):
        cell = Cell.unchecked({**grid.fixed, **grid.draw(n), **given}, grid.source)
        if not (why := cell.refused()):
            return cell
        refused.append(why)
    raise ConfigError(f"{grid.source}: {refused[0]}")


def _resolved(grid: Grid) -> dict[str, list[Any] | Range]:
    """What is drawn, each choice as cells have it however the file writes it (YAML reads 1e-3 as a text), and once.

    Raises:
        ConfigError: a choice, or an end of a range, that no cell can have.
    """
    made: dict[str, list[Any] | Range] = {}
    for key, choices in grid.random.items():
        tried = [choices.low, choices.high] if isinstance(choices, Range) else choices
        cells = [able(grid, **{key: choice}) for choice in tried]
        if not isinstance(choices, Range):
            shown = [_shown(cell.options[key]) for cell in cells]
            choices = [value for n, value in enumerate(shown) if value not in shown[:n]]
        made[key] = choices
    return made


def _many(choices: Mapping[str, list[Any] | Range]) -> float:
    """How many cells can be drawn.

    Example:
        >>> _many({"lr": [0.1, 0.2], "epochs": Range(1, 3)}), _many({"lr": Range(0.1, 1)})
        (6, inf)
    """

    def of(some: list[Any] | Range) -> float:
        if isinstance(some, Range):
            return some.high - some.low + 1 if some.whole else math.inf
        return len(some)

    return math.prod(of(some) for key, some in choices.items() if key not in WHERE)


def _distribution(choices: list[Any] | Range) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(choices, Range):
        return CategoricalDistribution(choices)
    if choices.whole:
        return IntDistribution(int(choices.low), int(choices.high), log=choices.log)
    return FloatDistribution(choices.low, choices.high, log=choices.log)


def _shown(value: Any) -> Any:
    """A value as Optuna's choices may be: a list of widths as 128-64."""
    return with_dashes(value) if isinstance(value, list) else value
