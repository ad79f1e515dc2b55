"""Every kernel on a device against its formula in float64 on the same device: value, gradients, 16-bit inputs, autocast.

`python benchmarks/mi.py --device cuda --only agree` runs it; the suite does the same on the CPU at many more sizes, block
sizes and temperatures (`tests/kernels`). Errors are given as shares of what is allowed, so that 1 is the bar: 1e-6 of the
largest score for the value (1e-12 in float64), 1e-5 of its largest entry for a gradient (1e-12 in float64; for 16-bit inputs
the rounding of the gradient itself, 2^-8, twice, as a side may enter twice). Below tau = 0.02 the gradients in float32 carry
the rounding of T and are only asked to be finite.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax import kernels, mi
from infomax.kernels import blocks

Function = Callable[[Tensor, Tensor], Tensor]


def off(t: Tensor) -> Tensor:
    return t.masked_fill(torch.eye(*t.shape[-2:], dtype=torch.bool, device=t.device), -math.inf)


def cases(tau: float) -> dict[str, tuple[Function, Function]]:
    """The kernel's way and the formula's: `T = a . b`, or `cos / tau` where the name says so."""

    def t(a: Tensor, b: Tensor) -> Tensor:
        return a @ b.T

    def cos(a: Tensor, b: Tensor) -> Tensor:
        return F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / tau

    def weighted(partitions: tuple[Tensor, Tensor]) -> Tensor:
        u = torch.linspace(1, 2, len(partitions[0]), dtype=partitions[0].dtype, device=partitions[0].device)
        return (u * partitions[0]).mean() - 0.3 * (u * partitions[1]).mean()

    def nt_xent(a: Tensor, b: Tensor) -> Tensor:
        both = torch.cat([a, b])
        return cos(a, b).diagonal().mean() - off(cos(both, both)).logsumexp(1).mean() + math.log(2 * len(a) - 1)

    def pairs(a: Tensor) -> float:
        return math.log(len(a) * (len(a) - 1))

    return {
        "cosine_dv": (
            lambda a, b: kernels.cosine_dv(a, b, tau),
            lambda a, b: cos(a, b).diagonal().mean() - off(cos(a, b)).logsumexp((0, 1)) + pairs(a),
        ),
        "log_mean_exp": (kernels.log_mean_exp, lambda a, b: off(t(a, b)).logsumexp((0, 1)) - pairs(a)),
        "mean_log_sum_exp": (kernels.mean_log_sum_exp, lambda a, b: t(a, b).logsumexp(1).mean()),
        "mean_log_sum_exp, own view": (
            lambda a, b: kernels.mean_log_sum_exp(a, b, a),
            lambda a, b: torch.cat([t(a, b), off(t(a, a))], 1).logsumexp(1).mean(),
        ),
        "log_sum_exp": (
            lambda a, b: weighted(kernels.log_sum_exp(a, b)),
            lambda a, b: weighted((t(a, b).logsumexp(1), t(a, b).logsumexp(0))),
        ),
        "mean_softplus": (
            kernels.mean_softplus,
            lambda a, b: F.softplus(off(t(a, b)), threshold=700.0).sum() / (len(a) * (len(a) - 1)),
        ),
        "cos NT-Xent": (lambda a, b: mi.cos_infonce(a, b, tau=tau, own_view=True, two_sided=True), nt_xent),
    }


def read(function: Function, *sides: Tensor) -> tuple[Tensor, list[Tensor]]:
    leaves = [s.detach().clone().requires_grad_() for s in sides]
    value = function(*leaves)
    value.backward()
    return value.detach(), [leaf.grad for leaf in leaves if leaf.grad is not None]


def apart(mine: tuple[Tensor, list[Tensor]], theirs: tuple[Tensor, list[Tensor]], tau: float) -> dict[str, float]:
    """Errors of value and gradients, as shares of what is allowed."""
    (value, gradients), (true, slopes) = mine, theirs
    double = value.dtype == torch.float64
    short = gradients[0].dtype.itemsize == 2
    size = max(4.0, 1 / tau)
    allowed = 1e-12 if double else 2**-7 if short else 1e-5
    # an entry is a difference of terms as large as the inputs: where they cancel to nothing, their own rounding is left
    least = 1.0 if double else 1e-2 * math.sqrt(1 / tau)
    off_by = [
        float((g.double() - s).abs().max()) / (max(float(s.abs().max()), least) * allowed)
        for g, s in zip(gradients, slopes, strict=True)
    ]
    if tau < 0.02 and not double:
        off_by = [0.0 if g.isfinite().all() else math.inf for g in gradients]
    return {
        "value": float((value.double() - true).abs() / (size * (1e-12 if double else 1e-6))),
        "gradient": max(off_by),
    }


def kernels_agree(device: str, n: int, d: int = 96) -> dict[str, dict[str, float]]:
    """Each kernel x temperature x (type or block size or autocast)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    y = x + torch.randn(n, d, generator=generator, dtype=torch.float64)
    found: dict[str, dict[str, float]] = {}
    kept = blocks.BLOCK.get(device)
    for tau in (0.5, 0.1, 0.002):
        a, b = (F.normalize(z, dim=1) * math.sqrt(1 / tau) for z in (x, y))
        for name, (ours, formula) in cases(tau).items():
            for how in ("float64", "float32", "float32, small blocks", "bfloat16", "bfloat16 autocast"):
                dtype = getattr(torch, how.split(",")[0].split()[0])
                inputs = torch.float32 if "autocast" in how else dtype
                sides = [x.to(device, inputs) for x in (a, b)]
                if "blocks" in how:
                    blocks.BLOCK[device] = 2**14
                with torch.autocast(device, torch.bfloat16, enabled="autocast" in how):
                    said = read(ours, *sides)
                if kept is None:
                    blocks.BLOCK.pop(device, None)
                else:
                    blocks.BLOCK[device] = kept
                wide = read(formula, *(x.double() for x in sides))
                found[f"{name}, tau {tau:g}, {how}"] = apart(said, wide, tau)
    return found


def metric_agrees(device: str, n: int, d: int = 96) -> dict[str, dict[str, float]]:
    """Readings and standard errors on the device against those of the CPU in float64; the bar is 1e-5 of either."""
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(n, d, generator=generator)
    b = a + torch.randn(n, d, generator=generator)
    found = {}
    for tau in (0.5, 0.1, 0.01):
        said = []
        for where, dtype in ((device, torch.float32), ("cpu", torch.float64)):
            metric = mi.MIMetric("cosine", tau=tau, sync=False)
            metric.update(a.to(where, dtype), b.to(where, dtype))
            said.append(metric.compute())
        for name, true in said[1].items():
            mine = said[0][name]
            size = max(1.0, abs(true.value), 1 / tau)
            found[f"MIMetric {name}, tau {tau:g}"] = {
                "value": abs(mine.value - true.value) / (1e-5 * size),
                "standard error": abs(mine.se - true.se) / (1e-4 * max(true.se, 1e-2)),
            }
    return found


def agree(device: str) -> dict[str, dict[str, float]]:
    """All of it, printed where it fails."""
    n = 2000 if device.startswith("cuda") else 300
    found = {**kernels_agree(device, n), **metric_agrees(device, n)}
    missed = {name: errors for name, errors in found.items() if not all(e <= 1 for e in errors.values())}
    worst = {
        kind: max((e[kind], name) for name, e in found.items() if kind in e)
        for kind in ("value", "gradient", "standard error")
    }
    print(f"\nagreement on {device}: {len(found) - len(missed)} of {len(found)} within the bar")
    for kind, (error, name) in worst.items():
        print(f"  worst {kind}: {error:.2f} of what is allowed ({name})")
    for name, errors in missed.items():
        print(f"  MISSED {name}: " + ", ".join(f"{kind} {e:.2f}" for kind, e in errors.items()))
    return found
