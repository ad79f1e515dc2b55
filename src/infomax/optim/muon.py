"""Muon: momentum whose step is made orthogonal, matrix by matrix.

The gradient of a weight matrix is mostly a few directions. Muon takes the momentum U S V^T and moves by U V^T, equally
far in all directions. A short Newton-Schulz iteration approximates U V^T without a decomposition. It costs some matrix
products per update, whatever the batch size, and a run needs fewer updates.
"""

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from infomax.errors import ConfigError, check_number
from infomax.parallel import cut_as, whole

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Chosen by its author so that small singular values grow fastest; what ends between 0.7 and 1.2 is near enough."""
STEPS = 5
EPS = 1e-7


@torch.no_grad()
def orthogonal(m_BPQ: Tensor) -> Tensor:
    r"""Approximate the nearest matrices with orthogonal rows or columns: $U S V^\top$ to $U S' V^\top$, $S'$ in 0.7 to 1.2.

    From $X = M / |M|$, it repeats $X \leftarrow a X + (b A + c A^2) X$ with $A = X X^\top$ five times. Singular values
    below about
    1e-3 of the norm come out smaller than 0.7, and 0 stays 0.

    Args:
        m_BPQ: matrices, B x P x Q.

    Example:
        >>> turned = orthogonal(torch.tensor([[[3.0, 0.0], [0.0, -0.5]]]))
        >>> [round(float(s), 1) for s in turned[0].diagonal()]
        [0.7, -1.0]

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon.
    """
    a, b, c = QUINTIC
    tall = m_BPQ.shape[-2] > m_BPQ.shape[-1]
    x = m_BPQ.mT if tall else m_BPQ
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + EPS)
    for _ in range(STEPS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    r"""Momentum SGD whose step is made orthogonal, matrix by matrix; AdamW for parameters that are not matrices.

    For a parameter of two or more dimensions (of a convolution: output channels by all else), with gradient $g$,
    $$ m \leftarrow \mu m + g, \qquad p \leftarrow (1 - \mathrm{lr}\,\lambda)\, p
       - 0.2 \sqrt{\max(P, Q)}\;\mathrm{lr}\;\mathrm{orthogonal}(g + \mu m). $$
    The factor gives steps the size of AdamW's, 0.2 lr per entry. So one learning rate and one weight decay serve both,
    and those of an AdamW recipe are a first guess. Parameters of one dimension (biases, normalisation gains) are
    updated by AdamW. On a GPU, matrices of 32-bit weights are made orthogonal in 16 bits. Shards are gathered for this
    step, all matrices of one shape at a time.

    Args:
        params: parameters, or groups (dicts) of them, as for every torch optimiser.
        lr: learning rate.
        weight_decay: $\lambda$, decoupled, for every parameter.
        momentum: $\mu$.
        betas: betas of AdamW.
        eps: eps of AdamW.

    Raises:
        ConfigError: a setting is negative or infinite, a momentum is 1 or more, or a parameter is complex.

    Where the literature disagrees: its author scales by $\sqrt{\max(1, P/Q)}$, with learning rates about ten times as
    large; Liu et al. scale as here. Both leave embeddings and a classifier's last layer to AdamW; here every matrix is
    made orthogonal, including those of heads.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2, 2))
        >>> weight.grad = torch.tensor([[3.0, 0.0], [0.0, -0.5]])
        >>> Muon([weight], lr=1.0).step()
        >>> [[round(float(x), 1) for x in row] for row in weight.data]  # 0.2 sqrt(2) orthogonal(g), both directions alike
        [[-0.2, 0.0], [0.0, 0.3]]

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; its scale: Liu et al. 2025 (arXiv:2502.16982).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        for name, value in {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "eps": eps}.items():
            check_number(f"Muon: {name}", value)
        for name, value in {"momentum": momentum, "betas[0]": betas[0], "betas[1]": betas[1]}.items():
            if not 0 <= value < 1:
                raise ConfigError(f"Muon: {name} must be in [0, 1), not {value}")
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas, "eps": eps}
        )
        for p in (p for group in self.param_groups for p in group["params"] if p.is_complex()):
            raise ConfigError(f"muon is of real weights, one of {tuple(p.shape)} is complex: take optimizer='adamw'")

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
            self._matrices([p for p in params if p.ndim > 1], group)
            self._vectors([p for p in params if p.ndim < 2], group)
        return loss

    def _matrices(self, params: list[Tensor], group: dict[str, Any]) -> None:
        if not params:
            return
        grads = [p.grad for p in params if p.grad is not None]
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        momenta = [self.state[p]["momentum_buffer"] for p in params]
        torch._foreach_mul_(momenta, group["momentum"])
        torch._foreach_add_(momenta, grads)
        ahead = torch._foreach_add(grads, momenta, alpha=group["momentum"])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        for p, turned in zip(params, _each(list(ahead)), strict=True):
            p.add_(turned, alpha=-0.2 * max(turned.flatten(1).shape) ** 0.5 * group["lr"])

    def _vectors(self, params: list[Tensor], group: dict[str, Any]) -> None:
        if not params:
            return
        grads, (first, second) = [p.grad for p in params if p.grad is not None], group["betas"]
        for p in params:
            if "step" not in self.state[p]:
                self.state[p] |= {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
            self.state[p]["step"] += 1
        means, squares = ([self.state[p][name] for p in params] for name in ("exp_avg", "exp_avg_sq"))
        torch._foreach_lerp_(means, grads, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, grads, grads, 1 - second)
        steps = [self.state[p]["step"] for p in params]
        size = torch._foreach_sqrt(torch._foreach_div(squares, [1 - second**n for n in steps]))
        torch._foreach_add_(size, group["eps"])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_addcdiv_(params, means, size, [-group["lr"] / (1 - first**n) for n in steps])


def _each(updates: list[Tensor]) -> list[Tensor]:
    """Each made orthogonal; those of one shape in one call: a GPU is launched few kernels, and few shards are whole at once."""
    alike: dict[tuple[torch.Size, torch.dtype], list[int]] = {}
    for i, u in enumerate(updates):
        alike.setdefault((u.shape, u.dtype), []).append(i)
    turned = list(updates)
    for places in alike.values():
        stacked = torch.stack([whole(updates[i]).flatten(1) for i in places])
        # on a GPU in 16 bits, as its author does: the iteration repairs its own rounding, and 0.7 to 1.2 is wide
        fast = stacked.bfloat16() if stacked.is_cuda and stacked.dtype == torch.float32 else stacked
        for i, one in zip(places, orthogonal(fast).to(stacked.dtype).unbind(), strict=True):
            turned[i] = cut_as(updates[i], one.reshape(updates[i].shape))
    return turned
