"""What is trained to try the collapse detector: every method as it is, and with its guard taken out; on which data, how."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax import methods
from infomax.critic import Cosine
from infomax.errors import ConfigError, nearest
from infomax.heads import Branch
from infomax.joint import Alignment
from infomax.learner import CollapseWarning, Learner
from infomax.marginal import Centering, DonskerVaradhan, InfoNCE, Predictor, Sinkhorn, VarianceCovariance, predictors
from infomax.optim import OptimizerName

METHODS = tuple(m for m in methods.METHODS if m != "bgrl")  # a graph's, and tried on one


class Unbalanced(Sinkhorn):
    """SwAV's codes without their balance: a plain softmax of the scores."""

    guards = ()

    @torch.no_grad()
    def codes(self, b: Tensor, queue: Tensor) -> Tensor:
        """Every row by itself: N D, L D -> N K."""
        return F.softmax(self.prototypes(b) / self.epsilon, -1)


def _without(learner: Learner, *kinds: type) -> Learner:
    """A sentence less some of its marginals."""
    return learner.edit(marginals=tuple(m for m in learner.marginals if not isinstance(m, kinds)))


def _unbalanced(learner: Learner) -> Learner:
    codes = learner.marginals[0]
    assert isinstance(codes, Sinkhorn)
    return learner.edit(marginals=(Unbalanced(codes.prototypes, temperature=codes.temperature, epsilon=codes.epsilon),))


def _centre(learner: Learner, *, moves: bool, sharp: bool) -> Learner:
    (old,) = learner.marginals
    assert isinstance(old, Centering)
    new = Centering(
        len(old.center),
        temperature=old.temperature,
        target_temperature=old.target_temperature if sharp else old.temperature,
        momentum=old.momentum if moves else 1.0,
    )
    return learner.edit(marginals=(new,))


def _with_predictors(learner: Learner) -> Learner:
    assert isinstance(learner.f, Branch)
    (predictor,) = predictors((64,), learner.f)
    return learner.edit(marginals=(Predictor(predictor.net, twin=True),))


def _cos_dv(learner: Learner) -> Learner:
    return learner.edit(joint=Alignment(Cosine(0.1)), marginals=(DonskerVaradhan(Cosine(0.1)),))


Edit = Callable[[Learner], Learner]
VARIANTS: dict[str, tuple[str, Edit]] = {
    "sdmi with predictors": ("sdmi", _with_predictors),
    "simsiam with cos-DV": ("simsiam", _cos_dv),
    "moco_v3 without predictor": ("moco_v3", lambda x: _without(x, Predictor)),
    "moco_v3 without InfoNCE": ("moco_v3", lambda x: _without(x, InfoNCE)),
}
"""Guarded still, by another guard: name -> the method, and what is changed."""
ABLATIONS: dict[str, tuple[str, Edit]] = {
    **{
        f"{m} without guard": (m, lambda x: x.edit(marginals=()))
        for m in (*METHODS, "bgrl")
        if m not in ("swav", "dino", "w_mse")
    },
    "swav without balance": ("swav", _unbalanced),
    "dino without centre": ("dino", lambda x: _centre(x, moves=False, sharp=True)),
    "dino without sharpening": ("dino", lambda x: _centre(x, moves=True, sharp=False)),
    "w_mse without whitening": ("w_mse", lambda x: x.edit(marginals=())),
    "vicreg without variance": ("vicreg", lambda x: x.edit(marginals=(VarianceCovariance(0.0, 1.0),))),
    "vicreg without covariance": ("vicreg", lambda x: x.edit(marginals=(VarianceCovariance(25.0, 0.0),))),
}
"""The guard taken out: name -> the method, and what is changed."""


@dataclass(frozen=True)
class World:
    """Data, and how everything is trained on them; `held_out`: the thresholds were not chosen by it."""

    data: str
    epochs: int
    samples: int
    held_out: bool = True
    encoder: str = "mlp"
    batch_size: int = 128
    optimizer: OptimizerName = "adamw"
    lr: float = 2e-3
    projector: tuple[int, ...] = (128, 64)


WORLDS = {
    "digits": World("digits", 40, 720, held_out=False),
    "points": World("gaussians", 30, 640, held_out=False, projector=(64, 16)),
    "digits, fast": World("digits", 25, 720, lr=6e-3),
    "digits, sgd": World("digits", 40, 720, optimizer="sgd", lr=0.1),
    "digits, muon": World("digits", 40, 720, optimizer="muon", lr=1e-2),
    "digits, batch 64": World("digits", 25, 720, batch_size=64, lr=1e-3),
    "digits, wide": World("digits", 30, 720, projector=(256, 256)),
    "fashion-mnist": World("fashion-mnist", 8, 1024, encoder="resnet8", batch_size=64),
    "cifar10": World("cifar10", 8, 1024, encoder="resnet8", batch_size=64),
}
PLAIN = tuple(name for name, world in WORLDS.items() if world.encoder == "mlp")
"""Worlds whose data come with the package."""


def sentences() -> tuple[str, ...]:
    """Every method, its guarded variants, its ablations."""
    return (*METHODS, *VARIANTS, *(a for a, (base, _) in ABLATIONS.items() if base != "bgrl"))


def base_of(name: str) -> str:
    """The method that a sentence is, or was edited from."""
    return {**VARIANTS, **ABLATIONS}.get(name, (name, None))[0]


def build(name: str, encoder: nn.Module, world: World) -> Learner:
    """A sentence on an encoder, its heads of the size of small data.

    Raises:
        ConfigError: an unknown name.

    Example:
        >>> build("simsiam without guard", nn.Linear(8, 16), WORLDS["digits"]).marginals
        ModuleList()
    """
    as_it_is: tuple[str, Edit] = (name, lambda learner: learner)
    base, edit = {**VARIANTS, **ABLATIONS}.get(name, as_it_is)
    if base not in methods.METHODS:
        raise ConfigError(f"no sentence {name!r} in this study: {nearest(name, sentences())}")
    small: dict[str, Any] = {
        "projector": world.projector,
        "predictor": (64,),
        "queue": 1024,
        "momentum": 0.95 if base in ("moco_v1", "moco_v2", "dino") else 0.9,  # quick ones, for some hundred updates
        "prototypes": 64,
        "freeze_epochs": 0,
        "whitening_size": world.batch_size,
    }
    if base == "w_mse" and world.projector[-1] >= world.batch_size:
        small["projector"] = (*world.projector[:-1], world.batch_size // 4)
    known = methods.options(base)
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):  # the ablations are meant to
        learner = edit(methods.build(base, encoder, **{k: v for k, v in small.items() if k in known}))
    learner.name = name
    return learner


@dataclass(frozen=True)
class Cell:
    """One run."""

    name: str
    world: str
    seed: int
    root: str | None = None
