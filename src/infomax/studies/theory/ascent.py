"""What the paper derives about climbing a bound: concavity, monotone ascent."""

import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from infomax import methods
from infomax.clock import Clock
from infomax.critic import Cosine
from infomax.encoders.small import Toy
from infomax.joint import Alignment
from infomax.learner import step
from infomax.marginal import DonskerVaradhan
from infomax.mi import cos_dv, dv
from infomax.report.looks import CLASSES, NEUTRAL
from infomax.studies.theory.check import (
    Check,
    Claim,
    Row,
    generator,
    spread,
    value,
)
from infomax.studies.toy.world import World
from infomax.studies.toy.world import draw as draw_world

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _violations(f: Callable[[Tensor], Tensor], first: Tensor, second: Tensor) -> int:
    """At how many midpoints a function lies below its chord by more than rounding."""
    gap = (f(first) + f(second)) / 2 - f((first + second) / 2)
    return int((gap > 1e-12).sum())


def concavity(seed: int, draws: int) -> Check:
    """3.1: random midpoints at which DV is not concave, in the weights of a linear encoder and in the scores.

    Args:
        seed: of data and weights.
        draws: a fortieth as many sets of 1000 midpoints, at least 2.

    Example:
        >>> [claim.holds for claim in concavity(0, 80).claims]
        [False, False, True]
    """
    g, n, count, tau = generator(seed, 8), 50, 1000, 0.5
    sets = max(2, draws // 40)
    joint = Alignment(Cosine(tau))
    found: dict[str, list[int]] = {"DV, shared theta": [], "DV, xi held": [], "J, xi held": [], "DV in T": []}
    for k in range(sets):
        x1, x2 = (view[0].double() for view in draw_world((1000 * seed + k,), n).views)
        held = x2 @ torch.randn(2, 3, dtype=torch.float64, generator=g)
        pair = [torch.randn(count, 2, 3, dtype=torch.float64, generator=g) for _ in range(2)]
        scores = [torch.randn(count, n, n, dtype=torch.float64, generator=g) for _ in range(2)]
        held = held.expand(count, n, 3)
        functions: dict[str, Callable[[Tensor], Tensor]] = {
            "DV, shared theta": lambda w, x1=x1, x2=x2: cos_dv(x1 @ w, x2 @ w, tau=tau),  # type: ignore[misc]
            "DV, xi held": lambda w, x1=x1, held=held: cos_dv(x1 @ w, held, tau=tau),  # type: ignore[misc]
            "J, xi held": lambda w, x1=x1, held=held: joint(x1 @ w, held),  # type: ignore[misc]
            "DV in T": dv,
        }
        for name, f in functions.items():
            found[name].append(_violations(f, *(scores if name == "DV in T" else pair)))
    rows: list[Row] = [
        spread(torch.tensor(counts, dtype=torch.float64), function=name, midpoints=count)
        for name, counts in found.items()
    ]

    def seen(row: Row) -> str:
        return f"{value(row, 'mean'):.0f} +- {value(row, 'sd'):.0f} of {count} midpoints violate it"

    return Check(
        "concavity",
        "3.1: is DV concave?",
        f"linear encoder R^2 -> R^3 on {n} points of the five Gaussians, critic cos/{tau:g}; theta and theta' standard "
        "normal; violated where the value at the midpoint lies below the mean of the two ends by more than 1e-12. In T: "
        f"{n} x {n} standard normal scores",
        rows,
        [
            Claim("L(theta) is concave (shared theta)", "3.1", value(rows[0], "mean") == 0, seen(rows[0])),
            Claim(
                "J(. ; xi) is concave in theta",
                "3.1, assumption 1",
                value(rows[2], "mean") == 0,
                f"{seen(rows[2])}; of the whole DV with xi held: {value(rows[1], 'mean'):.0f}",
            ),
            Claim("DV is concave in the scores T", "infomax", value(rows[3], "mean") == 0, seen(rows[3])),
        ],
    )


def _climb(world: World, seed: int, lr: float, epochs: int) -> tuple[list[float], list[float]]:
    """The bound after every E- and M-step, and its change by that step, on the same batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = methods.sdmi(Toy(), projector=(), temperature=0.5, every="batch").double()
    views = [view[0].double() for view in world.views]
    optimizer = torch.optim.SGD(learner.parameters(), lr=lr)
    bounds, changes = [], []
    for k in range(2 * epochs):
        clock = Clock(k, 2, 2 * epochs, phase=k % 2)
        before = float(step(learner, views, optimizer, clock).bound.detach())
        with torch.no_grad():
            after = float(learner(views, clock).bound)
        bounds.append(after)
        changes.append(after - before)
    return bounds, changes


def _at_rest(x1: Tensor, x2: Tensor, g: torch.Generator) -> tuple[float, float, float]:
    """Climb DV in the weights of a linear encoder until it is stationary: norms of grad J, grad M, and their difference."""
    critic = Cosine(0.5)
    joint, marginal = Alignment(critic), DonskerVaradhan(critic)
    held = x2 @ torch.randn(2, 3, dtype=torch.float64, generator=g)
    w = torch.randn(2, 3, dtype=torch.float64, generator=g).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [w], max_iter=1000, tolerance_grad=1e-12, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        optimizer.zero_grad()
        loss = marginal.penalty(x1 @ w, held) - joint(x1 @ w, held)
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    (of_j,) = torch.autograd.grad(joint(x1 @ w, held), w)
    (of_m,) = torch.autograd.grad(marginal.penalty(x1 @ w, held), w)
    return float(of_j.norm()), float(of_m.norm()), float((of_j - of_m).norm())


def monotonicity(seed: int, draws: int, *, epochs: int = 100) -> Check:
    """Eq. 6: does every E- and M-step raise the bound on the batch it was taken on?

    Args:
        seed: of data and weights.
        draws: a fortieth as many runs a learning rate, at least 2.
        epochs: E- and M-steps of each run.

    Example:
        >>> check = monotonicity(0, 80, epochs=4)
        >>> [row["lr"] for row in check.rows[:4]]
        [0.05, 0.5, 5.0, 20.0]
    """
    runs = max(2, draws // 40)
    rows: list[Row] = []
    curves: dict[float, list[float]] = {}
    for lr in (0.05, 0.5, 5.0, 20.0):
        kept, worst, ends, starts = [], [], [], []
        for k in range(runs):
            world = draw_world((1000 * seed + k,), 100)
            bounds, changes = _climb(world, 1000 * seed + k, lr, epochs)
            change = torch.tensor(changes, dtype=torch.float64)
            kept.append(float((change >= -1e-12).double().mean()))
            worst.append(float(-change.min()))
            ends.append(bounds[-1])
            starts.append(bounds[0])
            curves.setdefault(lr, bounds)
        rows.append(
            spread(torch.tensor(kept, dtype=torch.float64), lr=lr)
            | {"largest_fall": max(max(worst), 0.0), "bound_at_the_end": statistics.mean(ends)}
            | {"bound_after_one_step": statistics.mean(starts)}
        )
    g, rest = generator(seed, 9), []
    for k in range(runs):
        x1, x2 = (view[0].double() for view in draw_world((1000 * seed + k,), 100).views)
        rest.append(_at_rest(x1, x2, g))
    j, m, difference = (torch.tensor(norms, dtype=torch.float64) for norms in zip(*rest, strict=True))
    rows.append(
        spread(m, what="|grad M| at a stationary point")
        | {"norm_grad_j": float(j.mean()), "largest_norm_of_difference": float(difference.max())}
    )
    *climbs, still = rows
    small, large = climbs[0], climbs[-1]

    def seen(row: Row) -> str:
        return (
            f"lr {row['lr']:g}: {100 * value(row, 'mean'):.1f} +- {100 * value(row, 'sd'):.1f} % of steps, largest fall "
            f"{value(row, 'largest_fall'):.2g} nats"
        )

    def draw(axes: "Axes") -> None:
        for (lr, bounds), colour in zip(curves.items(), (CLASSES[2], CLASSES[1], CLASSES[3], CLASSES[0]), strict=True):
            axes.plot(range(1, len(bounds) + 1), bounds, color=colour, label=f"lr {lr:g}")
        axes.axhline(0, color=NEUTRAL, linewidth=0.8)
        axes.set(xscale="log", xlabel="E- and M-steps", ylabel="bound on the same batch, nats (first run)")
        axes.legend(frameon=False)

    return Check(
        "monotonicity",
        "Eq. 6: does the bound never fall?",
        f"sdmi (two encoders 2-64-3 with batch norm, cos/.5), 100 points of the five Gaussians in one batch, views fixed, "
        f"plain SGD at a constant rate, {epochs} E- and {epochs} M-steps, {runs} runs, float64; a step counts as a fall "
        "where the bound on its own batch is lower after it by more than 1e-12. Stationary points: a linear encoder "
        "R^2 -> R^3, the other held, cos/.5, L-BFGS from random weights",
        rows,
        [
            Claim(
                "E- and M-steps by gradient never lower the bound (at any learning rate)",
                "eq. 6",
                all(value(r, "mean") == 1.0 for r in climbs),
                "; ".join(seen(r) for r in climbs[1:]),
            ),
            Claim(
                "at a small learning rate they did not lower it here",
                "infomax",
                value(small, "mean") == 1.0,
                seen(small),
            ),
            Claim(
                "large steps lower it more often than small ones",
                "infomax",
                value(large, "mean") < value(small, "mean"),
                f"{100 * value(large, 'mean'):.1f} % against {100 * value(small, 'mean'):.1f} %",
            ),
            Claim(
                "where the bound is stationary in theta, |grad M| is small (assumption 2, eps -> 0)",
                "3.1",
                value(still, "mean") < 1e-3,
                f"|grad M| {value(still, 'mean'):.2g} +- {value(still, 'sd'):.2g} = |grad J| "
                f"{value(still, 'norm_grad_j'):.2g}; |grad J - grad M| at most "
                f"{value(still, 'largest_norm_of_difference'):.0e}",
            ),
        ],
        draw,
    )
