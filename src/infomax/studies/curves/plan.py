"""What is trained for figs. 2 and 7, and at which size: every sentence by name, every budget a row of numbers."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from infomax import methods
from infomax.clock import Clock
from infomax.critic import Cosine
from infomax.errors import ConfigError, nearest
from infomax.heads import Branch
from infomax.joint import Alignment
from infomax.learner import CollapseWarning, Learner
from infomax.marginal import DonskerVaradhan, Predictor, predictors
from infomax.optim import OptimizerName
from infomax.target import StopGradient

SDMI_FAMILY = ("sdmi", "simsiam", "byol", "moco_v3")
JMI_FAMILY = ("jmi", "simclr", "barlow_twins", "vicreg")
FIG2 = SDMI_FAMILY + JMI_FAMILY
FIG7 = ("sdmi", "sdmi_nodv", "sdmi_nodv_pred", "simsiam", "simsiam_no_predictor", "simsiam_sdmi")
LABELS = {
    "sdmi_nodv": "SDMI, no marginal",
    "sdmi_nodv_pred": "SDMI, no marginal, predictors",
    "simsiam_no_predictor": "SimSiam, no predictor",
    "simsiam_sdmi": "SimSiam with cos-DV",
}


@dataclass(frozen=True)
class Budget:
    """How much one run costs; `small` takes heads of the demo's size and its quick moving average."""

    encoder: str
    epochs: int
    batch_size: int
    optimizer: OptimizerName
    lr: float
    weight_decay: float
    seeds: int
    samples: int | None
    small: bool
    data: str
    size: int | None = None


BUDGETS = {
    "minutes": Budget("auto", 60, 256, "adamw", 2e-3, 1e-4, 3, 2000, True, "digits"),
    "hour": Budget("resnet18", 20, 512, "sgd", 0.05, 5e-4, 1, None, False, "cifar10"),
    "paper": Budget("resnet18", 1000, 512, "sgd", 0.05, 5e-4, 3, None, False, "cifar10"),
}
"""minutes: two CPU cores; hour: one GPU; paper: tables 4 and 6 (the row that most methods share), for many days of a GPU."""


class PreviousEpoch(StopGradient):
    """SimSiam's target, and beside it the encoder as it was one epoch before, with which MI is read (paper, 4.2).

    Training is `StopGradient`'s own: g only stands where a reading looks for a second branch.

    Example:
        >>> target, f = PreviousEpoch(), nn.Linear(1, 1)
        >>> g = target.second(f)
        >>> with torch.no_grad(): _ = f.weight.fill_(3.0)
        >>> target.m_step(f, g, Clock(step=0, steps_per_epoch=1, total=2))
        >>> float(g.weight) == 3.0  # the end of epoch 1 is read against the untrained encoder ...
        False
        >>> target.m_step(f, g, Clock(step=1, steps_per_epoch=1, total=2))
        >>> float(g.weight)  # ... and that of epoch 2 against epoch 1
        3.0
    """

    def __init__(self) -> None:
        super().__init__()
        self._ended: dict[str, torch.Tensor] = {}

    def second(self, f: nn.Module) -> nn.Module:
        """A frozen copy of the untrained f."""
        import copy

        self._ended = {k: v.clone() for k, v in f.state_dict().items()}
        return copy.deepcopy(f).requires_grad_(False)

    @torch.no_grad()
    def m_step(self, f: nn.Module, g: nn.Module | None, clock: Clock) -> None:
        """At the end of an epoch: g becomes what f was at the end of the one before."""
        if g is not None and (clock.step + 1) % clock.steps_per_epoch == 0:
            g.load_state_dict(self._ended)
            self._ended = {k: v.clone() for k, v in f.state_dict().items()}

    def __repr__(self) -> str:
        return "PreviousEpoch()"


def _width(small: bool, of: str) -> tuple[int, ...]:
    """Widths of a projector: small as the demo's, else table 6's most common, 2 layers of 2048-256 on three of 256."""
    if small:
        return {"wide": (256, 64), "square": (256, 256)}.get(of, (128, 64))
    return (2048, 2048, 256)


def _sdmi(encoder: nn.Module, small: bool) -> Learner:
    return methods.sdmi(encoder, projector=_width(small, "plain"))


def _simsiam(encoder: nn.Module, small: bool) -> Learner:
    made = methods.simsiam(encoder, projector=_width(small, "wide"), predictor=(64,) if small else (256,))
    return made.edit(target=PreviousEpoch())


def _jmi(encoder: nn.Module, small: bool) -> Learner:
    return methods.jmi(encoder, projector=_width(small, "plain"))


def _momentum(small: bool) -> float:
    return 0.9 if small else 0.996  # table 4's; a quicker one for runs of some hundred steps


def _byol(encoder: nn.Module, small: bool) -> Learner:
    width, predictor = _width(small, "wide"), (256,)
    return methods.byol(encoder, projector=width, predictor=predictor, momentum=_momentum(small))


def _moco_v3(encoder: nn.Module, small: bool) -> Learner:
    width, tau = _width(small, "wide"), 0.2 if small else 0.1
    return methods.moco_v3(encoder, projector=width, predictor=(256,), temperature=tau, momentum=_momentum(small))


def _simclr(encoder: nn.Module, small: bool) -> Learner:
    return methods.simclr(encoder, projector=_width(small, "plain"), temperature=0.2 if small else 0.1)


def _with_predictors(encoder: nn.Module, small: bool) -> Learner:
    whole = _sdmi(encoder, small)
    assert isinstance(whole.f, Branch)
    (predictor,) = predictors((256,), whole.f)
    return whole.edit(marginals=(Predictor(predictor.net, twin=True),))


_BUILD: dict[str, Callable[[nn.Module, bool], Learner]] = {
    "sdmi": _sdmi,
    "jmi": _jmi,
    "simsiam": _simsiam,
    "byol": _byol,
    "moco_v3": _moco_v3,
    "simclr": _simclr,
    "barlow_twins": lambda e, small: methods.barlow_twins(e, projector=_width(small, "square")),
    "vicreg": lambda e, small: methods.vicreg(e, projector=_width(small, "square")),
    "sdmi_nodv": lambda e, small: _sdmi(e, small).edit(marginals=()),
    "sdmi_nodv_pred": _with_predictors,
    "simsiam_no_predictor": lambda e, small: _simsiam(e, small).edit(marginals=()),
    "simsiam_sdmi": lambda e, small: _simsiam(e, small).edit(
        joint=Alignment(Cosine(0.1)), marginals=(DonskerVaradhan(Cosine(0.1)),)
    ),
}


def build(name: str, encoder: nn.Module, *, small: bool = True) -> Learner:
    """A method or ablation of figs. 2 and 7 on an encoder.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> build("simsiam_sdmi", nn.Linear(8, 16)).marginals[0].critic.temperature
        0.1
    """
    if name not in _BUILD:
        raise ConfigError(f"no method {name!r} in these studies: {nearest(name, _BUILD)}")
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):  # the ablations are meant to
        learner = _BUILD[name](encoder, small)
    learner.name = name
    return learner


@dataclass(frozen=True)
class Cell:
    """One run: a sentence, a seed, and all that it is trained with."""

    name: str
    seed: int
    data: str
    root: str | None
    encoder: str
    epochs: int
    batch_size: int
    optimizer: OptimizerName
    lr: float
    weight_decay: float
    samples: int | None
    small: bool
    device: str = "auto"
    size: int | None = None
    extra: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def cost(self) -> float:
        """In passes over the data, to begin the longest first."""
        return self.epochs * (2 if self.name.startswith("sdmi") else 1)


def cells(names: tuple[str, ...], data: str, root: str | None, plan: Budget, device: str = "auto") -> list[Cell]:
    """Every sentence with every seed, the dearest first."""
    made = [
        Cell(n, seed, data, root, plan.encoder, plan.epochs, plan.batch_size, plan.optimizer, plan.lr,
             plan.weight_decay, plan.samples, plan.small, device, plan.size)
        for n in names for seed in range(plan.seeds)
    ]  # fmt: skip
    return sorted(made, key=lambda c: (-c.cost, c.seed))
