"""What the paper derives about moments: the variance of a product critic, and the objective that reads nothing else."""

import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from infomax.critic import Cosine, Dot
from infomax.joint import Alignment
from infomax.marginal import TaylorDonskerVaradhan
from infomax.mi import cosine_scores, taylor_dv
from infomax.moments import off_diagonal
from infomax.report.looks import CLASSES
from infomax.studies.theory.check import (
    Check,
    Claim,
    Row,
    generator,
    spread,
    standard_error,
    unit_rows,
    value,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 8  # dimensions of the laws whose variance is measured


def _law(name: str, shape: tuple[int, ...], g: torch.Generator) -> Tensor:
    """Independent numbers of mean 0 and variance 1."""
    if name == "sign":
        return torch.randint(2, shape, generator=g).double() * 2 - 1
    if name == "exponential":
        return torch.empty(shape, dtype=torch.float64).exponential_(generator=g) - 1
    return torch.randn(shape, dtype=torch.float64, generator=g)


def product_variance(seed: int, draws: int) -> Check:
    """Eqs. 25-28: the variance of a dot-product critic under the product law, measured.

    Args:
        seed: of the samples.
        draws: batches of 500 rows a case.

    Example:
        >>> [claim.holds for claim in product_variance(0, 20).claims]
        [False, True, True]
    """
    g, n, d = generator(seed, 3), 500, WIDTH
    eye = torch.eye(d, dtype=torch.float64)
    correlated = 0.5 * eye + 0.5
    turn = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=g)).Q
    cases = {
        "C = .8 I": ("normal", eye, eye, 0.8),
        "C = .8 Q, Q a rotation": ("normal", eye, turn, 0.8),
        "C = .8 I, signs": ("sign", eye, eye, 0.8),
        "C = .8 I, exponential": ("exponential", eye, eye, 0.8),
        "within-view correlation .5, C = .8 Sigma": ("normal", correlated, eye, 0.8),
        "within-view correlation .5, C = 0": ("normal", correlated, eye, 0.0),
        "within-view correlation .5, equal views": ("normal", correlated, eye, 1.0),
    }
    term = TaylorDonskerVaradhan(Dot())
    rows: list[Row] = []
    for name, (law, sigma, mix, rho) in cases.items():
        root = torch.linalg.cholesky(sigma)
        shared, *own = (_law(law, (draws, n, d), g) for _ in range(3))
        a = (rho**0.5 * shared + (1 - rho) ** 0.5 * own[0]) @ root.T
        b = (rho**0.5 * shared @ mix + (1 - rho) ** 0.5 * own[1]) @ root.T
        cross = root @ (rho * mix) @ root.T
        rows.append(
            spread(term.moments(a, b)[1], case=name)
            | {
                "trace_sigma_a_sigma_b": float((sigma * sigma).sum()),
                "paper_sum_offdiagonal_c2": float(off_diagonal(cross).square().sum()),
                "sum_all_c2": float(cross.square().sum()),
            }
        )
    equal = rows[-1]

    def near(row: Row, name: str) -> bool:
        return abs(value(row, "mean") - value(row, name)) < 4 * standard_error(row)

    def draw(axes: "Axes") -> None:
        place = range(len(rows))
        axes.barh(
            place,
            [value(r, "mean") for r in rows],
            xerr=[value(r, "sd") for r in rows],
            color=CLASSES[1],
            label="measured (mean ± sd)",
        )
        axes.plot(
            [value(r, "trace_sigma_a_sigma_b") for r in rows], place, "k|", markersize=18, mew=2, label="tr(ΣA ΣB)"
        )
        axes.plot(
            [value(r, "paper_sum_offdiagonal_c2") for r in rows], place, "D", color=CLASSES[0], label="paper, Σ C_ij²"
        )
        axes.set_yticks(place, [str(r["case"]) for r in rows])
        axes.invert_yaxis()
        axes.set_xlabel("Var[z_A . z_B] under the product law")
        axes.legend(frameon=False, markerscale=0.6)

    return Check(
        "product_variance",
        "Eqs. 25-28: Var of z_A . z_B under p(z_A) p(z_B)",
        f"d = {d}, mean 0, batches of {n} rows, variance over the pairs i != j. a = sqrt(rho) s + sqrt(1-rho) e1, "
        "b = sqrt(rho) s Q + sqrt(1-rho) e2, both times a root of Sigma; s, e of independent normal, sign or centred "
        "exponential entries",
        rows,
        [
            Claim(
                "Var[sum_i z_i^A z_i^B] = sum_{i != j} C_ij^2",
                "eq. 28",
                all(near(r, "paper_sum_offdiagonal_c2") for r in rows),
                f"C = .8 I: measured {value(rows[0], 'mean'):.2f} +- {value(rows[0], 'sd'):.2f}, the formula "
                f"{value(rows[0], 'paper_sum_offdiagonal_c2'):.2f}; rotated: {value(rows[1], 'mean'):.2f}, the formula "
                f"{value(rows[1], 'paper_sum_offdiagonal_c2'):.2f}",
            ),
            Claim(
                "Var = tr(Sigma_A Sigma_B), whatever C and whatever the margins",
                "infomax",
                all(near(r, "trace_sigma_a_sigma_b") for r in rows),
                "; ".join(f"{value(r, 'mean'):.2f} ({value(r, 'trace_sigma_a_sigma_b'):.0f})" for r in rows),
            ),
            Claim(
                "where the views are equal it is sum_ij C_ij^2: Barlow Twins' sum and the diagonal's d",
                "infomax",
                near(equal, "sum_all_c2")
                and abs(value(equal, "sum_all_c2") - value(equal, "paper_sum_offdiagonal_c2") - d) < 1e-9,
                f"{value(equal, 'mean'):.2f} = {value(equal, 'paper_sum_offdiagonal_c2'):.0f} + {d}",
            ),
        ],
        draw,
    )


def _kept(f: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once."""
    storages: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        storages[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    # what is saved lives as long as its graph, so that no address is given out twice
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        graph = f()
    del graph
    return sum(storages.values())


def _seconds(f: Callable[[], Tensor]) -> float:
    """Median of five forward and backward passes, after one to warm up."""
    taken = []
    for _ in range(6):
        start = time.perf_counter()
        f().backward()  # type: ignore[no-untyped-call]
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def exact_moments(seed: int, draws: int, *, largest: int = 2048) -> Check:
    """The O(N d^2) moments of Taylor-DV beside those of the N x N matrix: equal, and what they cost.

    Args:
        seed: of the embeddings.
        draws: not used: the two are equal on every batch.
        largest: rows of the largest batch.

    Example:
        >>> [claim.holds for claim in exact_moments(0, 2, largest=100).claims]
        [True]
    """
    g = generator(seed, 4)
    cos = Cosine(temperature=0.5)
    joint, marginal = Alignment(cos), TaylorDonskerVaradhan(cos)
    rows: list[Row] = []
    for n, d in ((largest // 4, 16), (largest, 16), (largest, 128)):
        a, b = (unit_rows(n, d, g=g).requires_grad_() for _ in range(2))

        def fast(a: Tensor = a, b: Tensor = b) -> Tensor:
            return cast(Tensor, joint(a, b) - marginal.penalty(a, b))

        def square(a: Tensor = a, b: Tensor = b) -> Tensor:
            return taylor_dv(cosine_scores(a, b, tau=0.5))  # cos_taylor_dv itself is the fast form where rows are many

        (of_fast,), (of_square,) = (torch.autograd.grad(f(), a) for f in (fast, square))
        rows.append(
            {
                "N": n,
                "d": d,
                "value_difference": float((fast() - square()).abs().detach()),
                "gradient_difference": float((of_fast - of_square).abs().max() / of_square.abs().max()),
                "time_ratio": _seconds(square) / _seconds(fast),
                "memory_ratio": _kept(square) / _kept(fast),
            }
        )
    worst = max(value(r, "value_difference") for r in rows), max(value(r, "gradient_difference") for r in rows)
    return Check(
        "exact_moments",
        "Taylor-DV without an N x N matrix",
        "independent unit vectors, critic cos/.5, float64; value and gradient of taylor_jmi's two terms against "
        "taylor_dv of all scores. Ratios: N x N over O(N d^2), time of forward and backward (median of 5 on this machine), "
        "bytes kept for the backward pass",
        rows,
        [
            Claim(
                "the O(N d^2) form is exact",
                "infomax",
                worst[0] < 1e-12 and worst[1] < 1e-10,
                f"differences: value {worst[0]:.0e}, gradient {worst[1]:.0e} of the largest entry; "
                + "; ".join(
                    f"N={r['N']}, d={r['d']}: {value(r, 'time_ratio'):.0f}x the time, "
                    f"{value(r, 'memory_ratio'):.0f}x the memory"
                    for r in rows
                ),
            )
        ],
    )
