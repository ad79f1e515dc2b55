"""LARS, as the authors of BYOL and Barlow Twins implement it.

LARS (layer-wise adaptive rate scaling) makes the step of every weight matrix proportional to the matrix's own norm,

    u = g + wd p,      u <- u * eta |p| / |u|,      m <- momentum m + u,      p <- p - lr m,

so that one learning rate suits layers whose gradients differ by orders of magnitude, as they do at batch sizes of
several thousand.
"""

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from infomax.errors import ConfigError


class LARS(torch.optim.Optimizer):
    r"""Momentum SGD whose step is rescaled, matrix by matrix, to a fixed share of the matrix's norm.

    For a parameter of two or more dimensions, with $u = g + \lambda p$,
    $$ m \leftarrow \mu m + q u, \qquad p \leftarrow p - \mathrm{lr}\, m, \qquad q = \eta |p| / |u|, $$
    and $q = 1$ if either norm is 0. Parameters of one dimension (biases, normalisation gains) are updated by plain
    momentum SGD, without weight decay or rescaling. The learning rate is not part of the momentum, so a schedule takes
    effect at once.

    Args:
        params: parameters, or groups (dicts) of them, as for every torch optimiser.
        lr: learning rate.
        weight_decay: $\lambda$, for parameters of two or more dimensions only.
        momentum: $\mu$.
        eta: $\eta$, the trust coefficient.
        clip: never take a larger step than SGD would: $q \leftarrow \min(q / \mathrm{lr}, 1)$ (LARC, with eta 0.02 as
            in solo-learn's CIFAR recipes). The authors' own programs do not do this. At a learning rate of 0, where a
            warm-up starts, $q = 0$: that gradient does not enter the momentum, since its share in a later step would be
            unlimited.

    Raises:
        ConfigError: a setting is negative.

    Where the literature disagrees: TensorFlow SimCLR includes the learning rate in the velocity (equivalent only for a
    constant learning rate); lightly and solo-learn use $\eta |p| / (|g| + \lambda |p| + 10^{-8})$; lightly also
    rescales biases, and does nothing at all at weight decay 0.

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
        params: ParamsT,
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
        """Make one update; the closure, if given, first recomputes the loss and its gradients."""
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
