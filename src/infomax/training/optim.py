"""Optimisers: LARS as the authors of BYOL and Barlow Twins run it, and one door to all of them.

LARS (layer-wise adaptive rate scaling) gives every weight matrix a step proportional to its own norm,

    u = g + wd p,      u <- u * eta |p| / |u|,      m <- momentum m + u,      p <- p - lr m,

so that one learning rate serves layers whose gradients differ by orders of magnitude, as they do at batches of
thousands.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args, overload

import torch
from torch import Tensor

from infomax.errors import ConfigError, nearest
from infomax.parallel import is_shard

OptimizerName = Literal["sgd", "lars", "larc", "adam", "adamw"]
NAMES = get_args(OptimizerName)
Params = Iterable[Tensor] | Iterable[dict[str, Any]]


class LARS(torch.optim.Optimizer):
    r"""Momentum SGD whose step is rescaled, matrix by matrix, to a fixed share of the matrix's norm.

    For a parameter of two or more dimensions, with $u = g + \lambda p$,
    $$ m \leftarrow \mu m + q u, \qquad p \leftarrow p - \mathrm{lr}\, m, \qquad q = \eta |p| / |u|, $$
    and $q = 1$ where either norm is 0. Parameters of one dimension (biases, normalisation gains) take plain momentum
    SGD: no weight decay, no rescaling. The learning rate stays outside the momentum, so a schedule acts at once.

    Args:
        params: parameters, or groups (dicts) of them, as for every optimiser of torch.
        lr: learning rate.
        weight_decay: $\lambda$, on parameters of two or more dimensions only.
        momentum: $\mu$.
        eta: $\eta$, the trust coefficient.
        clip: never take a larger step than SGD would: $q \leftarrow \min(q / \mathrm{lr}, 1)$ (LARC, as in the CIFAR
            recipes of solo-learn, with eta 0.02). The authors' own programs do not.

    Raises:
        ConfigError: if a setting is negative.

    Where the literature disagrees: TensorFlow SimCLR keeps the learning rate inside the velocity (the same for a
    constant rate only); lightly and solo-learn use $\eta |p| / (|g| + \lambda |p| + 10^{-8})$; lightly also rescales
    biases and does nothing at all at weight decay 0.

    Example:
        >>> weight = torch.nn.Parameter(torch.tensor([[3.0, 4.0]]))
        >>> weight.grad = torch.tensor([[0.0, 2.0]])
        >>> LARS([weight], lr=1.0, eta=0.1).step()  # |p| = 5, so the step is 0.1 * 5 along the unit gradient
        >>> weight.data
        tensor([[3.0000, 3.5000]])

    Source: You, Gitman & Ginsburg 2017 (arXiv:1708.03888); exclusions as in Barlow Twins (arXiv:2103.03230).
    """

    def __init__(
        self,
        params: Params,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        eta: float = 0.001,
        clip: bool = False,
    ) -> None:
        for name, value in {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "eta": eta}.items():
            if not value >= 0:
                raise ConfigError(f"LARS: {name} must be zero or more, got {value}")
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "eta": eta, "clip": clip}
        )

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step; the closure, if given, recomputes the loss and its gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            params.sort(
                key=lambda p: p.ndim <= 1
            )  # the matrices first; lists throughout: a GPU is launched few kernels
            matrices = [p for p in params if p.ndim > 1]
            updates: list[Tensor] = [p.grad for p in params]
            if matrices:
                whole = torch._foreach_add(updates[: len(matrices)], matrices, alpha=group["weight_decay"])
                torch._foreach_mul_(whole, self._trust(matrices, list(whole), group))
                updates[: len(matrices)] = whole
            for p in params:
                if "momentum_buffer" not in self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            velocities = [self.state[p]["momentum_buffer"] for p in params]
            if params:
                torch._foreach_mul_(velocities, group["momentum"])
                torch._foreach_add_(velocities, updates)
                torch._foreach_add_(params, velocities, alpha=-group["lr"])
        return loss

    @staticmethod
    def _trust(matrices: list[Tensor], updates: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        # Tensors and `where` throughout: a Python `if` on a norm would make a GPU wait at every parameter.
        p_norm, u_norm = (torch.stack(torch._foreach_norm(some)) for some in (matrices, updates))
        trust = group["eta"] * p_norm / u_norm
        if group["clip"]:
            # at a rate of 0, with which a warm-up begins, the limit on the move says nothing of the gradient to remember
            trust = (trust / group["lr"]).clamp(max=1.0) if group["lr"] else torch.zeros_like(trust)
        return list(torch.where((p_norm > 0) & (u_norm > 0), trust, torch.ones_like(trust)).unbind())


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
        params: parameters, or groups (dicts); a group may carry its own `lr` or `weight_decay`. Frozen parameters are
            left out.
        name: "sgd", "lars" (see `LARS`), "larc" (the same with `clip` and eta 0.02, as solo-learn's CIFAR recipes), "adam" or
            "adamw".
        lr: learning rate.
        weight_decay: for SGD and Adam the L2 term of the gradient, for AdamW decoupled, on every parameter; for LARS on
            parameters of two or more dimensions only.
        momentum: for SGD, LARS and LARC; Adam and AdamW keep torch's betas.
        eta: of lars: the trust coefficient.
        clip: of lars: never a larger step than SGD's.

    Raises:
        ConfigError: unknown name, a negative setting, or nothing to train.

    Example:
        >>> layer = torch.nn.Linear(3, 2)
        >>> build_optimizer(layer.parameters(), "lars", lr=0.3, weight_decay=1e-6).defaults["eta"]
        0.001
        >>> build_optimizer(layer.parameters(), "larz", lr=0.1)
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: unknown optimizer 'larz': did you mean 'lars'? (one of: adam, adamw, larc, lars, sgd)
    """
    check(name, lr=lr, weight_decay=weight_decay, momentum=momentum)
    groups = _trainable(params)
    if not any(group["params"] for group in groups):
        raise ConfigError(f"optimizer {name!r}: no parameter requires a gradient, so there is nothing to train")
    if name == "lars":
        return LARS(groups, lr, weight_decay, momentum, eta, clip)
    if name == "larc":
        return LARS(groups, lr, weight_decay, momentum, eta=0.02, clip=True)
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
    """Refuse an optimiser that there is not, and settings that cannot be.

    Raises:
        ConfigError: naming the nearest, or the setting.
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
