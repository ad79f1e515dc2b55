"""The ceilings of the cosine critic on a batch: reached by explicit embeddings, by ascent, and by a sphere's best."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from infomax.mi import (
    ceiling,
    cos_dv,
    cos_infonce,
    cos_jsd,
    readings,
    uniform_dv,
)
from infomax.report.looks import CLASSES
from infomax.studies.theory.check import (
    Check,
    Claim,
    Row,
    generator,
    simplex,
    spread,
    unit_rows,
    value,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _with_opposite_offsets(z: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Give a share of every row's energy to one further coordinate, of opposite sign in the two views."""
    offset = math.sqrt(share) * z.new_ones(len(z), 1)
    kept = math.sqrt(1 - share) * z
    return torch.cat([kept, offset], 1), torch.cat([kept, -offset], 1)


def _best_share(n: int, tau: float) -> float:
    """The share of the offsets at which JSD is largest, on a grid of thousandths."""
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    true, false = (1 - 2 * t) / tau, -((1 - t) / (n - 1) + t) / tau
    read = torch.nn.functional.logsigmoid(true) + torch.nn.functional.logsigmoid(-false)
    return float(t[read.argmax()])


def _climbed(name: str, tau: float, n: int, g: torch.Generator) -> float:
    """The highest of 8 ascents from random embeddings of n rows in n + 1 dimensions, the two views free."""
    estimates: dict[str, Callable[..., Tensor]] = {"dv": cos_dv, "infonce": cos_infonce, "jsd": cos_jsd}
    estimate = estimates[name]
    a, b = (torch.randn(8, n, n + 1, dtype=torch.float64, generator=g).requires_grad_() for _ in range(2))
    optimizer = torch.optim.Adam([a, b], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        (-estimate(a, b, tau=tau).sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    with torch.no_grad():
        return float(estimate(a, b, tau=tau).max())


def ceilings(seed: int, draws: int, *, largest: int = 2500) -> Check:
    """The ceilings of `infomax.mi.ceiling`, reached by an explicit simplex and by gradient ascent.

    Args:
        seed: of the ascents and of the sphere's points.
        draws: a fiftieth as many batches on the sphere, at least 2.
        largest: rows of the largest simplex.

    Example:
        >>> [claim.holds for claim in ceilings(0, 2, largest=600).claims]
        [True, True, True, True, True]
    """
    g = generator(seed, 7)
    rows: list[Row] = []
    for n, tau, names in (
        (512, 1.0, ("dv", "infonce", "jsd")),
        (512, 0.1, ("dv", "infonce", "jsd")),
        (largest, 1.0, ("jsd",)),
    ):
        for name in names:
            share = _best_share(n, tau) if name == "jsd" else 0.0
            read = readings(*_with_opposite_offsets(simplex(n), share), tau=tau)
            row: Row = {"estimate": name, "N": n, "tau": tau, "ceiling": ceiling(name, tau=tau, n=n)}
            rows.append(row | {"simplex": float(read[name]), "offset_share": share})
    for name in ("dv", "infonce", "jsd"):
        row = {"estimate": name, "N": 12, "tau": 1.0, "ceiling": ceiling(name, tau=1.0, n=12)}
        rows.append(row | {"ascent": _climbed(name, 1.0, 12, g)})
    for dim, tau in ((3, 1.0), (3, 0.1), (256, 1.0), (256, 0.1)):
        z = unit_rows(max(2, draws // 50), 2048, dim, g=g)
        formula = uniform_dv(tau=tau, dim=dim)
        rows.append(
            spread(
                readings(z, z, tau=tau)["dv"], estimate="dv on the sphere", N=2048, dim=dim, tau=tau, ceiling=formula
            )
        )
    built = [r for r in rows if "simplex" in r]
    climbed = [r for r in rows if "ascent" in r]
    sphere = [r for r in rows if "dim" in r]

    def at(name: str, n: int, tau: float) -> Row:
        return next(r for r in built if (r["estimate"], r["N"], r["tau"]) == (name, n, tau))

    simple = -2 * math.log1p(math.exp(-1.0))
    jsd_row, dv_row, nce_row = at("jsd", largest, 1.0), at("dv", 512, 0.1), at("infonce", 512, 0.1)

    def draw(axes: "Axes") -> None:
        taus = [0.05 * 1.2**k for k in range(20)]
        axes.plot(taus, [ceiling("dv", tau=t, n=512) for t in taus], color=CLASSES[1], label="DV, N = 512")
        axes.plot(taus, [ceiling("infonce", tau=t, n=512) for t in taus], color=CLASSES[2], label="InfoNCE, N = 512")
        axes.plot(taus, [uniform_dv(tau=t, dim=256) for t in taus], "--", color=CLASSES[1], label="DV, 256-d sphere")
        axes.plot(taus, [uniform_dv(tau=t, dim=3) for t in taus], ":", color=CLASSES[1], label="DV, 3-d sphere")
        axes.plot(taus, [ceiling("jsd", tau=t, n=512) for t in taus], color=CLASSES[0], label="JSD, N = 512 (its unit)")
        for r in built:
            if r["N"] == 512:
                axes.plot(value(r, "tau"), value(r, "simplex"), "o", color="black", markersize=5, fillstyle="none")
        axes.plot([], [], "o", color="black", fillstyle="none", label="read on a simplex")
        axes.set(xscale="log", xlabel="temperature of the cosine critic", ylabel="highest reading, nats")
        axes.set_ylim(-1.5, 11)
        axes.legend(frameon=False, fontsize=9)

    return Check(
        "ceilings",
        "How high a cosine critic can read",
        "cos-DV and InfoNCE on a regular simplex of N rows, both views equal; JSD with a share of every row's energy in "
        "opposite offsets of the two views; 8 gradient ascents from random rows (N = 12 in 13 dimensions); cos-DV of "
        "equal views spread uniformly over the sphere of R^d (2048 rows) beside uniform_dv",
        rows,
        [
            Claim(
                "InfoNCE stays below min(log N, 1/tau): that bound is not sharp",
                "infomax",
                all(
                    value(r, "ceiling") < min(math.log(value(r, "N")), 1 / value(r, "tau"))
                    for r in built
                    if r["estimate"] == "infonce"
                ),
                f"N=512, tau .1: at most {value(nce_row, 'ceiling'):.3f}, where log N = {math.log(512):.3f}",
            ),
            Claim(
                "cos-DV on a batch reaches N/((N-1) tau), no more",
                "infomax",
                all(abs(value(r, "simplex") - value(r, "ceiling")) < 1e-6 for r in built if r["estimate"] == "dv"),
                f"N=512, tau .1: ceiling {value(dv_row, 'ceiling'):.4f}, simplex {value(dv_row, 'simplex'):.4f}",
            ),
            Claim(
                "InfoNCE and JSD reach the ceilings of `ceiling`",
                "infomax",
                all(abs(value(r, "simplex") - value(r, "ceiling")) < 1e-4 for r in built),
                f"N={largest}, tau 1: JSD ceiling {value(jsd_row, 'ceiling'):.3f}, reached "
                f"{value(jsd_row, 'simplex'):.3f} (the simpler -2 softplus(-1/tau) = {simple:.3f} is not)",
            ),
            Claim(
                "gradient ascent finds nothing above them, and comes within .001",
                "infomax",
                all(-1e-9 <= value(r, "ceiling") - value(r, "ascent") < 1e-3 for r in climbed),
                "; ".join(f"{r['estimate']} {value(r, 'ascent'):.4f} of {value(r, 'ceiling'):.4f}" for r in climbed),
            ),
            Claim(
                "the best of an aligned, uniform sphere is uniform_dv",
                "infomax",
                all(abs(value(r, "mean") - value(r, "ceiling")) < 0.01 for r in sphere),
                "; ".join(
                    f"d={r['dim']}, tau {r['tau']}: {value(r, 'mean'):.3f} (formula {value(r, 'ceiling'):.3f})"
                    for r in sphere
                ),
            ),
        ],
        draw,
    )
