"""What a run's numbers depend on, checked before anything is loaded."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from numbers import Integral, Real
from typing import Any, Literal

from infomax.errors import ConfigError, nearest
from infomax.learner import Rules
from infomax.optim import OptimizerName
from infomax.optim import check as check_optimizer
from infomax.optim.rules import read_rules
from infomax.pieces import Accumulate
from infomax.pieces import check as check_pieces
from infomax.training.devices import PrecisionName
from infomax.training.length import limit_of


def own(value: Any) -> Any:
    """A number of numpy's as one of Python's, in a mapping too, which a file of a run can hold; anything else as it is."""
    if isinstance(value, Mapping):
        return {k: own(v) for k, v in value.items()}
    if isinstance(value, int | float) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def read_back(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a command line gives them and a sweep keeps them, of which `accumulate` and `rules` are text, as `train`
    takes them.

    Raises:
        ConfigError: rules that cannot be read.

    Example:
        >>> read_back({"epochs": 5, "accumulate": "2", "rules": "{bias: {weight_decay: 0}}"})
        {'epochs': 5, 'accumulate': 2, 'rules': {'bias': {'weight_decay': 0}}}
    """
    pieces = given["accumulate"]
    pieces = int(pieces) if str(pieces).isdecimal() else pieces
    return {**given, "accumulate": pieces, "rules": read_rules(given["rules"])}


@dataclass(frozen=True)
class Options:
    """What a run's numbers depend on beside method, data and views; see `train`."""

    epochs: int = 100
    batch_size: int = 256
    optimizer: OptimizerName = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-4
    warmup_epochs: float | None = None
    clip_norm: float | None = None
    rules: Rules = field(default_factory=dict)
    accumulate: Accumulate = 1
    on_nan: Literal["stop", "skip"] = "stop"
    precision: PrecisionName = "32-true"
    compile: bool = False
    size: int | None = None
    seed: int = 0
    gauge_samples: int = 1000
    local_views: int | None = None
    lr_batch: int | None = None
    intervals: bool = True
    budget: str | None = None
    online_probe: bool = False
    online_knn: bool = False

    def __post_init__(self) -> None:
        for name, value in vars(self).copy().items():
            named = name in ("optimizer", "precision", "on_nan") and isinstance(value, str)
            object.__setattr__(self, name, value.lower() if named else own(value))
        for name in ("epochs", "batch_size", "seed", "gauge_samples", "size", "local_views", "lr_batch"):
            value = getattr(self, name)
            if value is None and name in ("size", "local_views", "lr_batch"):
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigError(f"{name}={value!r}: give a whole number")
        for name in ("lr", "weight_decay", "warmup_epochs", "clip_norm"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
                raise ConfigError(f"{name}={value!r}: give a number")
        for name in ("compile", "intervals", "online_probe", "online_knn"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}={getattr(self, name)!r}: give True or False")
        if not isinstance(self.rules, Mapping):
            raise ConfigError(f"rules={self.rules!r}: give settings by part, such as {{'bias': {{'weight_decay': 0}}}}")
        if self.epochs < 1:
            raise ConfigError(f"epochs={self.epochs}: give at least 1")
        if self.batch_size < 2:
            raise ConfigError(
                f"a batch of {self.batch_size}: its samples are compared with each other, so it needs at least 2"
            )
        check_pieces(self.accumulate)
        check_optimizer(self.optimizer, lr=self.lr, weight_decay=self.weight_decay)
        for name, least in (("size", 1), ("local_views", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name}={value}: give at least {least}")
        if self.gauge_samples < 3:
            raise ConfigError(f"gauge_samples={self.gauge_samples}: the gauges compare samples, so give at least 3")
        if not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed={self.seed}: give a whole number from 0 on, of at most 63 bits")
        if not 0 <= self.warmup < float("inf"):
            raise ConfigError(f"warmup_epochs={self.warmup_epochs}: give a number of epochs, 0 or more")
        if self.budget is None and self.warmup > self.epochs:
            raise ConfigError(
                f"warmup_epochs={self.warmup_epochs}: longer than the run, of epochs={self.epochs}; give less, or more epochs"
            )
        if self.lr_batch is not None and self.lr_batch < 1:
            raise ConfigError(f"lr_batch={self.lr_batch}: give the batch that lr is meant for, such as 256")
        if self.budget is not None:
            limit_of(self.budget)
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(f"clip_norm={self.clip_norm}: give a norm > 0, or leave it out")
        if self.on_nan not in ("stop", "skip"):
            raise ConfigError(f"on_nan={self.on_nan!r}: {nearest(self.on_nan, ('stop', 'skip'))}")

    @property
    def warmup(self) -> float:
        """Epochs over which the learning rate rises."""
        return min(10.0, self.epochs / 10) if self.warmup_epochs is None else self.warmup_epochs

    def warmup_updates(self, total: int, per_epoch: int) -> int:
        """Updates over which the learning rate rises, of a run of so many; with a budget a tenth of them by default.

        Example:
            >>> Options(epochs=20).warmup_updates(100, per_epoch=5), Options(budget="5min").warmup_updates(100, per_epoch=5)
            (10, 10)
        """
        if self.budget is None:
            return round(self.warmup * per_epoch)
        return round(total / 10) if self.warmup_epochs is None else min(round(self.warmup_epochs * per_epoch), total)

    def peak(self, batch: int) -> float:
        """The highest learning rate, at a batch of so many samples: lr, or lr batch / lr_batch.

        Example:
            >>> Options(lr=0.3, lr_batch=256).peak(512), Options(lr=0.3).peak(512)
            (0.6, 0.3)
        """
        return self.lr if self.lr_batch is None else self.lr * batch / self.lr_batch

    def plain(self) -> dict[str, Any]:
        """Every option but for late-comers that are off, so that runs begun before there were any still continue."""
        return {k: v for k, v in asdict(self).items() if k not in ("lr_batch", "budget") or v is not None}
