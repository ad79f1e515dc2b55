"""What holds of the laws themselves: the toy's mutual information, data processing, views that share noise."""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from infomax import methods
from infomax.clock import Clock
from infomax.encoders.small import Toy
from infomax.learner import step
from infomax.mi import dv, infonce, readings
from infomax.report.looks import CLASSES
from infomax.studies.theory.check import Check, Claim, Row, generator, spread, standard_error, value
from infomax.studies.toy.world import NOISE, SIGMA, TRUE_MI
from infomax.studies.toy.world import draw as draw_world

if TYPE_CHECKING:
    from matplotlib.axes import Axes

VARIANCE = SIGMA**2 + NOISE**2
RHO = SIGMA**2 / VARIANCE


def log_ratio(x1: Tensor, x2: Tensor, centres: Tensor) -> Tensor:
    r"""log p(x1, x2) / p(x1) p(x2) of the toy's two views, exactly: the optimal critic.

    p(x1, x2) = 1/5 sum_k N((x1, x2); (mu_k, mu_k), [[v, rho v], [rho v, v]] x I), v = .05^2 + .1^2, rho v = .05^2.

    Args:
        x1: ... D; x2: ... D, shapes that broadcast.
        centres: 5 D.

    Returns:
        `...`, nats.

    Example:
        >>> x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
        >>> round(float(log_ratio(x, x, x)), 4) == round(-math.log(1 - RHO**2), 4)
        True
    """
    u, v = (x.unsqueeze(-2) - centres for x in (x1, x2))
    uu, vv, uv = u.square().sum(-1), v.square().sum(-1), (u * v).sum(-1)
    both = -(uu - 2 * RHO * uv + vv) / (2 * VARIANCE * (1 - RHO**2)) - centres.shape[-1] / 2 * math.log(1 - RHO**2)
    one, other = (-s / (2 * VARIANCE) for s in (uu, vv))
    return both.logsumexp(-1) - one.logsumexp(-1) - other.logsumexp(-1) + math.log(len(centres))


def _views(count: int, g: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Fresh pairs of views, count x 2 each, and the five centres, float64."""
    angle = 2 * math.pi * torch.arange(1, 6, dtype=torch.float64) / 5
    centres = torch.stack([angle.cos(), angle.sin()], -1)
    noise = torch.randn(3, count, 2, dtype=torch.float64, generator=g)
    x = centres[torch.randint(5, (count,), generator=g)] + SIGMA * noise[0]
    return x + NOISE * noise[1], x + NOISE * noise[2], centres


def _trained(seed: int, steps: int) -> dict[str, float]:
    """Read DV and InfoNCE at temperature .1 on fresh points, of an encoder trained by JMI at that temperature."""
    world = draw_world((seed,), 1000)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = methods.jmi(Toy(), projector=(), temperature=0.1)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.01)
    views = [view[0] for view in world.views]
    for k in range(steps):
        step(learner, views, optimizer, Clock(k, 1, steps))
    learner.eval()
    with torch.no_grad():
        a, b = (learner.f(view[0]) for view in world.validation)
    read = readings(a, b, tau=0.1)
    return {name: float(read[name]) for name in ("dv", "infonce")}


def toy_truth(seed: int, draws: int, *, steps: int = 150) -> Check:
    """The toy's I(x1; x2) by the exact density ratio, and what encoders and estimators read of it.

    Args:
        seed: of the samples and encoders.
        draws: 1000 times as many pairs for the truth; as many batches of 50, a twentieth as many of 500 and directions,
            a fortieth as many trained encoders, at least 2.
        steps: of each trained encoder.

    Example:
        >>> [claim.holds for claim in toy_truth(0, 80, steps=20).claims]
        [True, True, True]
    """
    g, few = generator(seed, 10), max(2, draws // 20)
    x1, x2, centres = _views(1000 * draws, g)
    truth = spread(log_ratio(x1, x2, centres), what="E[log p(x1,x2)/p(x1)p(x2)]")
    truth |= {"standard_error": standard_error(truth)}
    rows = [truth]
    for n, batches in ((50, draws), (500, few)):
        read: dict[str, list[Tensor]] = {"infonce": [], "dv": []}
        own = []
        for _ in range(batches):
            a, b, _ = _views(n, g)
            scores = log_ratio(a[:, None], b[None], centres)
            own.append(scores.diagonal().mean())
            read["infonce"].append(infonce(scores))
            read["dv"].append(dv(scores))
        for name, values in read.items():
            # against the ratio's mean over the same batch, which is MI on average: the noise they share cancels
            excess = spread(torch.stack(values) - torch.stack(own))
            row = spread(torch.stack(values), what=f"{name}, optimal critic, N = {n}")
            rows.append(row | {"excess": excess["mean"], "excess_sd": excess["sd"]})
    lines = []
    for k in range(few):
        angle = math.pi * k / few
        w = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
        a, b, _ = _views(20000, g)
        ratio = log_ratio((a @ w)[:, None], (b @ w)[:, None], (centres @ w)[:, None])
        lines.append(spread(ratio, what=f"exact MI of w.x1 and w.x2, {180 * k / few:g} degrees"))
    rows += lines
    trained = [_trained(1000 * seed + k, steps) for k in range(max(2, draws // 40))]
    for name in ("infonce", "dv"):
        found = torch.tensor([t[name] for t in trained], dtype=torch.float64)
        rows.append(spread(found, what=f"{name} at tau .1, trained encoders, N = 1000"))
    best = max(lines, key=lambda r: value(r, "mean"))
    small_nce, small_dv, nce, full_dv, encoded = *rows[1:5], rows[-2]

    def draw(axes: "Axes") -> None:
        shown = [truth, nce, full_dv, best, encoded, rows[-1]]
        names = ["Monte Carlo", "InfoNCE, optimal critic", "DV, optimal critic", "best line of 2-d", "InfoNCE, trained"]
        place = range(len(shown))
        error = [standard_error(r) if r in (truth, best) else value(r, "sd") for r in shown]
        axes.errorbar([value(r, "mean") for r in shown], place, xerr=error, fmt="o", color=CLASSES[1], capsize=4)
        axes.axvline(TRUE_MI, color="black", linestyle=":", label=f"I(x1; x2) = {TRUE_MI:.4f}")
        axes.set_yticks(place, [*names, "DV, trained"])
        axes.invert_yaxis()
        axes.set_xlabel("nats (± standard error of one sample, ± sd over batches or encoders)")
        axes.legend(frameon=False)

    return Check(
        "toy_truth",
        "The toy's mutual information, and data processing",
        "five Gaussians, x1 = x + e1, x2 = x + e2; the exact log density ratio of the mixture averaged over "
        f"{1000 * draws} pairs; the same as a critic on batches of 50 and 500; of projections on a line, whose ratio is exact "
        f"too (20000 pairs each); and encoders 2-64-3 trained by jmi at tau .1 ({steps} steps of Adam, 1000 points), read "
        "on 1000 fresh points",
        rows,
        [
            Claim(
                f"I(x1; x2) = log 5 - log(1 - .2^2) = {TRUE_MI:.4f}",
                "infomax",
                abs(value(truth, "mean") - TRUE_MI) < 4 * standard_error(truth),
                f"{value(truth, 'mean'):.4f} +- {standard_error(truth):.4f} (standard error)",
            ),
            Claim(
                "InfoNCE with the optimal critic lies below it in the mean",
                "infomax",
                all(
                    value(r, "excess") < -3 * value(r, "excess_sd") / math.sqrt(value(r, "n")) for r in (small_nce, nce)
                ),
                f"InfoNCE minus the ratio's mean over the same batch: {value(small_nce, 'excess'):+.4f} (N=50), "
                f"{value(nce, 'excess'):+.4f} (N=500); DV: {value(small_dv, 'excess'):+.4f}, "
                f"{value(full_dv, 'excess'):+.4f}",
            ),
            Claim(
                "no encoder exceeds it (data processing)",
                "infomax",
                all(value(r, "mean") <= TRUE_MI + 3 * standard_error(r) for r in [*lines, encoded]),
                f"best of {few} lines {value(best, 'mean'):.3f} (exact); trained encoders, InfoNCE "
                f"{value(encoded, 'mean'):.3f} +- {value(encoded, 'sd'):.3f}",
            ),
        ],
        draw,
    )


def shared_noise(seed: int, draws: int) -> Check:
    """A.4, I(z1; z2) <= min(I(x; z1), I(x; z2)), for Gaussian views whose noises are correlated or not.

    Args:
        seed: of the samples behind the measured values.
        draws: samples of 2000 pairs a case.

    Example:
        >>> [claim.holds for claim in shared_noise(0, 20).claims]
        [True, False, True]
    """
    g, n = generator(seed, 11), 2000

    def between(r: float, s: float) -> float:
        return -0.5 * math.log(1 - ((1 + r * s * s) / (1 + s * s)) ** 2)

    rows: list[Row] = []
    for s in (0.5, 1.0, 2.0):
        for r in (0.0, 0.3, 0.6, 0.9):
            noise = torch.randn(3, draws, n, dtype=torch.float64, generator=g)
            z1 = noise[0] + s * noise[1]
            z2 = noise[0] + s * (r * noise[1] + math.sqrt(1 - r * r) * noise[2])
            centred = [z - z.mean(-1, keepdim=True) for z in (z1, z2)]
            squared = (centred[0] * centred[1]).sum(-1).square() / (
                centred[0].square().sum(-1) * centred[1].square().sum(-1)
            )
            rows.append(
                spread(
                    -0.5 * (1 - squared).log(),
                    noise_sd=s,
                    noise_correlation=r,
                    i_z1_z2=between(r, s),
                    i_x_z=0.5 * math.log1p(s**-2),
                )
            )
    alone = [r for r in rows if r["noise_correlation"] == 0.0]
    shared = [r for r in rows if r["noise_correlation"] != 0.0]
    worst = next(r for r in rows if r["noise_sd"] == 1.0 and r["noise_correlation"] == 0.9)
    base = next(r for r in alone if r["noise_sd"] == 1.0)

    def within(row: Row) -> bool:
        return value(row, "i_z1_z2") <= value(row, "i_x_z")

    def draw(axes: "Axes") -> None:
        axis = [k / 100 for k in range(96)]
        for s, colour in ((0.5, CLASSES[1]), (1.0, CLASSES[0]), (2.0, CLASSES[2])):
            axes.plot(axis, [between(r, s) for r in axis], color=colour, label=f"I(z1; z2), noise sd {s:g}")
            axes.axhline(0.5 * math.log1p(s**-2), color=colour, linestyle="--")
            measured = [r for r in rows if r["noise_sd"] == s]
            axes.plot(
                [value(r, "noise_correlation") for r in measured],
                [value(r, "mean") for r in measured],
                "o",
                color=colour,
            )
        axes.plot([], [], "--", color="black", label="I(x; z1) = I(x; z2)")
        axes.set(xlabel="correlation of the two views' noises", ylabel="nats (points: measured)")
        axes.legend(frameon=False, fontsize=9)

    def seen(row: Row) -> str:
        return (
            f"noise sd 1, correlation {row['noise_correlation']}: I(z1; z2) = {value(row, 'i_z1_z2'):.3f} (measured "
            f"{value(row, 'mean'):.3f} +- {value(row, 'sd'):.3f}), I(x; z) = {value(row, 'i_x_z'):.3f}"
        )

    return Check(
        "shared_noise",
        "A.4: is MI between views bounded by what either says of x?",
        "x ~ N(0, 1), z1 = x + s e1, z2 = x + s e2, corr(e1, e2) = r: I(x; z) = log(1 + 1/s^2)/2, I(z1; z2) = "
        f"-log(1 - ((1 + r s^2)/(1 + s^2))^2)/2; measured: the plug-in of the sample correlation of {n} pairs",
        rows,
        [
            Claim("eq. 29 where the views are independent given x", "A.4", all(within(r) for r in alone), seen(base)),
            Claim("eq. 29 where the views share noise", "A.4", all(within(r) for r in shared), seen(worst)),
            Claim(
                "the closed forms are right (measured within 4 standard errors + 1/N)",
                "infomax",
                all(abs(value(r, "mean") - value(r, "i_z1_z2")) < 4 * standard_error(r) + 1 / n for r in rows),
                "largest difference " + f"{max(abs(value(r, 'mean') - value(r, 'i_z1_z2')) for r in rows):.4f} nats",
            ),
        ],
        draw,
    )
