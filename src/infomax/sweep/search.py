"""Which cells come next: all of a grid at once; of TPE, each from what the ones before it found."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from infomax.errors import ConfigError
from infomax.sweep.folder import Row
from infomax.sweep.grid import Cell, Grid, Range

if TYPE_CHECKING:
    import optuna


class Search(Protocol):
    """Names the cells of a sweep.

    Attributes:
        total: how many there will be.
    """

    total: int

    def ask(self, free: int) -> list[Cell]:
        """The next cells: at most as many as there is room for, where those depend on what others find."""

    def tell(self, row: Row) -> None:
        """How a cell ended."""


class Everything:
    """All cells of a grid, or all random draws, at once."""

    def __init__(self, grid: Grid) -> None:
        self._left = grid.cells()
        self.total = len(self._left)

    def ask(self, free: int) -> list[Cell]:
        """All of them, the first time."""
        asked, self._left = self._left, []
        return asked

    def tell(self, row: Row) -> None:
        """Nothing follows from it."""


class TPE:
    """Optuna's tree-structured Parzen estimator: draws where good cells are denser than others (Bergstra et al. 2011).

    It is a function of its seed and of what cells found in the order in which they ended; finished ones count from the start.

    Args:
        grid: with `sampler: tpe`.
        known: the cells that there are.

    Raises:
        ConfigError: where Optuna is not installed.
    """

    def __init__(self, grid: Grid, known: list[Row]) -> None:
        try:
            import optuna
        except ImportError:
            raise ConfigError(
                "sampler: tpe needs Optuna: pip install 'infomax[tpe]', or take `sampler: random`"
            ) from None
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.grid, self.total = grid, grid.samples
        self.space = {key: _distribution(key, choices) for key, choices in grid.random.items()}
        self._old = [Cell(row.options) for row in known if self._mine(row)][: self.total]
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
            self._open[cell.name] = self._enter({key: _shown(cell.options[key]) for key in self.space})
        made: list[Cell] = []
        while self._left and len(old) + len(made) < free:
            trial = self.study.ask(self.space)
            cell = Cell.of({**self.grid.fixed, **trial.params}, self.grid.source)
            self._left -= 1
            if cell.name in self._asked:  # drawn before, as happens among few choices: nothing is learnt by it twice
                self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
                self.total -= 1
                continue
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

    def _mine(self, row: Row) -> bool:
        """Whether a cell of the folder is one that this search could have drawn."""
        try:
            like = Cell.of({**self.grid.fixed, **{key: row.options[key] for key in self.space}}, self.grid.source)
        except (KeyError, ConfigError):
            return False
        drawn = {key: _shown(row.options[key]) for key in self.space}
        return like.name == row.name and all(_among(self.grid.random[key], value) for key, value in drawn.items())


def _among(choices: list[Any] | Range, value: Any) -> bool:
    """Whether a value could have been drawn."""
    if isinstance(choices, Range):
        return bool(choices.low <= value <= choices.high)
    return value in [_shown(choice) for choice in choices]


def _distribution(key: str, choices: list[Any] | Range) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not isinstance(choices, Range):
        return CategoricalDistribution([_shown(choice) for choice in choices])
    if choices.whole:
        return IntDistribution(int(choices.low), int(choices.high), log=choices.log)
    return FloatDistribution(choices.low, choices.high, log=choices.log)


def _shown(value: Any) -> Any:
    """A value as Optuna's choices may be: a list of widths as 128-64."""
    return "-".join(map(str, value)) or "none" if isinstance(value, list) else value
