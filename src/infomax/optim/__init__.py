"""Optimisers by name."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from infomax.errors import ConfigError, nearest
from infomax.optim.lars import LARS
from infomax.optim.muon import Muon
from infomax.parallel import is_shard

__all__ = ["LARS", "NAMES", "Muon", "OptimizerName", "build_optimizer"]

OptimizerName = Literal["sgd", "lars", "larc", "adam", "adamw", "muon"]
NAMES = get_args(OptimizerName)
Params = Iterable[Tensor] | Iterable[dict[str, Any]]


def _same_layout(group: dict[str, Any], state: dict[Tensor, Any]) -> None:
    """Lay gradients and moments out in memory as their parameter is, where somebody has not.

    torch's one-pass kernels on a CPU run over memory and do not ask: with a weight in channels_last and a momentum from a
    file in rows they add the wrong numbers without a word.
    """
    for p in group["params"] if group["fused"] else ():
        if p.grad is not None and p.grad.stride() != p.stride():
            p.grad = torch.empty_like(p).copy_(p.grad)
        for name, moment in state.get(p, {}).items():
            if isinstance(moment, Tensor) and moment.shape == p.shape and moment.stride() != p.stride():
                state[p][name] = torch.empty_like(p, dtype=moment.dtype).copy_(moment)


class _SGD(torch.optim.SGD):
    def _init_group(self, group: dict[str, Any], *lists: Any) -> Any:
        _same_layout(group, self.state)
        return super()._init_group(group, *lists)  # type: ignore[no-untyped-call]


class _Adam(torch.optim.Adam):
    def _init_group(self, group: dict[str, Any], *lists: Any) -> Any:
        _same_layout(group, self.state)
        return super()._init_group(group, *lists)  # type: ignore[no-untyped-call]


class _AdamW(torch.optim.AdamW):
    def _init_group(self, group: dict[str, Any], *lists: Any) -> Any:
        _same_layout(group, self.state)
        return super()._init_group(group, *lists)  # type: ignore[no-untyped-call]


def build_optimizer(
    params: Params,
    name: OptimizerName = "sgd",
    *,
    lr: float,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    eta: float = 0.001,
    clip: bool = False,
) -> torch.optim.Optimizer:
    """Build an optimiser by name.

    Args:
        params: parameters, or groups (dicts); a group may have its own `lr` or `weight_decay`. Frozen parameters are
            left out.
        name: "sgd", "lars" (see `LARS`), "larc" (LARS with `clip` and eta 0.02, as in solo-learn's CIFAR recipes),
            "adam", "adamw" or "muon" (see `Muon`).
        lr: learning rate.
        weight_decay: weight decay. For SGD and Adam it is the L2 term of the gradient; for AdamW and Muon it is
            decoupled and applies to every parameter; for LARS it applies only to parameters of two or more dimensions.
        momentum: momentum of SGD, LARS and LARC. Adam and AdamW keep torch's betas, Muon its own momentum.
        eta: trust coefficient of LARS.
        clip: for LARS: never take a larger step than SGD would.

    Raises:
        ConfigError: an unknown name, a negative setting, or no parameter to train.

    Example:
        >>> layer = torch.nn.Linear(3, 2)
        >>> build_optimizer(layer.parameters(), "lars", lr=0.3, weight_decay=1e-6).defaults["eta"]
        0.001
        >>> build_optimizer(layer.parameters(), "larz", lr=0.1)
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: unknown optimizer 'larz': did you mean 'lars'? (one of: adam, adamw, larc, lars, muon, sgd)
    """
    check(name, lr=lr, weight_decay=weight_decay, momentum=momentum)
    groups = _trainable(params)
    if not any(group["params"] for group in groups):
        raise ConfigError(f"optimizer {name!r}: no parameter requires a gradient, so there is nothing to train")
    if name == "lars":
        return LARS(groups, lr, weight_decay, momentum, eta, clip)
    if name == "larc":
        return LARS(groups, lr, weight_decay, momentum, eta=0.02, clip=True)
    if name == "muon":
        return Muon(groups, lr, weight_decay)
    # One kernel for all parameters: on a GPU a flag on the device can hold it back (`learner.step`); on a CPU, where an update
    # takes as long as reading and writing the weights, they are read and written once, and not once an operation.
    kinds = [p for group in groups for p in group["params"]]
    devices = {"no" if is_shard(p) or p.is_complex() else p.device.type for p in kinds}
    fused = devices in ({"cuda"}, {"cpu"}) or None
    if name == "adam":
        return _Adam(groups, lr, weight_decay=weight_decay, fused=fused)
    if name == "adamw":
        return _AdamW(groups, lr, weight_decay=weight_decay, fused=fused)
    optimizer = _SGD(groups, lr, momentum=momentum, weight_decay=weight_decay, fused=fused)
    if fused and momentum:  # torch's fused kernel takes all momenta or none, and parameters may rest at first
        for group in groups:
            for p in group["params"]:
                optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
    return optimizer


def check(name: str, **settings: float) -> None:
    """Refuse an unknown optimiser or an impossible setting.

    Raises:
        ConfigError: the message names the nearest optimiser, or the setting.
    """
    if name not in NAMES:
        raise ConfigError(f"unknown optimizer {name!r}: {nearest(name, NAMES)}")
    for setting, value in settings.items():
        if not 0 <= value < float("inf"):
            raise ConfigError(f"optimizer {name!r}: {setting} must be zero or more, got {value}")


def _trainable(params: Params) -> list[dict[str, Any]]:
    entries = list(params)
    groups: list[dict[str, Any]] = [dict(e) for e in entries if isinstance(e, dict)]
    loose = [e for e in entries if isinstance(e, Tensor)]
    if loose:
        groups.insert(0, {"params": loose})
    for group in groups:
        group["params"] = [p for p in group["params"] if p.requires_grad]
    return [group for group in groups if group["params"]]
