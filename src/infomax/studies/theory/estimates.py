"""What the estimators read where the truth is known: bias, and bounds that are none."""

import itertools
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from infomax.mi import (
    cos_infonce,
    cos_infonce_literal,
    cosine_scores,
    dv,
    jsd,
    jsd_lower,
    smile,
    taylor_dv,
    xi_jsd,
)
from infomax.report.looks import CLASSES, NEUTRAL
from infomax.studies.theory.check import (
    Check,
    Claim,
    Row,
    generator,
    portions,
    simplex,
    spread,
    standard_error,
    unit_rows,
    value,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SYMBOLS, TAU = 1000, 0.1


def batch_bias(seed: int, draws: int) -> Check:
    """Eq. 15 read on batches of N pairs whose MI is log 1000.

    Args:
        seed: of the symbols.
        draws: batches of 512; of the smaller ones as many more as give the same number of rows.

    Example:
        >>> check = batch_bias(0, 4)
        >>> [row["N"] for row in check.rows], check.claims[0].verdict
        ([16, 64, 512], 'does not hold')
    """
    g, truth = generator(seed, 1), math.log(SYMBOLS)
    population = 1 / TAU - math.log1p(math.expm1(1 / TAU) / SYMBOLS)
    rows: list[Row] = []
    for n in (16, 64, 512):
        cosine, optimal = [], []
        for batches in portions(draws * 512 // n, n * n):
            symbols = torch.randint(SYMBOLS, (batches, n), generator=g)
            same = symbols[:, :, None] == symbols[:, None, :]
            cosine.append(dv(same.double() / TAU))
            optimal.append(dv(torch.where(same, truth, -math.inf).double()))
        read, best = torch.cat(cosine), torch.cat(optimal)
        rows.append(
            spread(read, N=n)
            | {
                "share_above_truth": float((read > truth).double().mean()),
                "optimal_critic_share_infinite": float(best.isinf().double().mean()),
                "optimal_critic_share_above_truth": float((best > truth).double().mean()),
            }
        )
    excess = [value(row, "mean") - truth for row in rows]
    seen = "; ".join(
        f"N={row['N']}: {row['mean']:.2f} +- {row['sd']:.2f}, {100 * value(row, 'share_above_truth'):.0f} % above"
        for row in rows
    )

    def draw(axes: "Axes") -> None:
        place = range(len(rows))
        axes.errorbar(
            place,
            [value(r, "mean") for r in rows],
            [value(r, "sd") for r in rows],
            fmt="o",
            color=CLASSES[1],
            capsize=4,
        )
        axes.axhline(truth, color="black", linestyle=":", label=f"true MI, {truth:.3f}")
        axes.axhline(population, color=NEUTRAL, linestyle="--", label=f"this critic, infinite batch, {population:.3f}")
        axes.set_xticks(place, [str(row["N"]) for row in rows])
        axes.set(xlabel="N, rows of a batch", ylabel="nats (mean ± sd over batches)")
        axes.legend(frameon=False)

    return Check(
        "batch_bias",
        "Eq. 15 read on a batch",
        f"x1 = x2 = one of {SYMBOLS} equally likely symbols, MI = log {SYMBOLS} = {truth:.3f}; one-hot embeddings, critic "
        f"cos/{TAU:g}, which reads {population:.3f} on an infinite batch; and the optimal critic log p(x1,x2)/p(x1)p(x2)",
        rows,
        [
            Claim(
                "on a batch, eq. 15 is a lower bound of MI as eq. 14 is (in the mean)",
                "4.1",
                all(e <= 3 * standard_error(r) for e, r in zip(excess, rows, strict=True)),
                f"truth {truth:.3f}; {seen}",
            ),
            Claim(
                "the mean over batches falls towards the population value as N grows",
                "infomax",
                excess[0] > excess[1] > excess[2]
                and abs(value(rows[2], "mean") - population) < 0.1 * abs(value(rows[0], "mean") - population),
                " -> ".join(f"{value(r, 'mean'):.2f}" for r in rows) + f", population {population:.2f}",
            ),
            Claim(
                "the optimal critic needs pairs that collide: without one its reading is infinite",
                "infomax",
                value(rows[0], "optimal_critic_share_infinite") > 0.5,
                "infinite in "
                + ", ".join(f"{100 * value(r, 'optimal_critic_share_infinite'):.0f} % (N={r['N']})" for r in rows),
            ),
        ],
        draw,
    )


def _clusters(k: int, tau: float, batches: int, g: torch.Generator, n: int = 1000) -> dict[str, Tensor]:
    """DV and Taylor-DV of n rows in k clusters at the corners of a simplex, one value a batch."""
    read: dict[str, list[Tensor]] = {"dv": [], "taylor": [], "taylor_eq11": []}
    table = cosine_scores(simplex(k), simplex(k), tau=tau)
    for _ in range(batches):
        s = torch.randint(k, (n,), generator=g)
        scores = table[s][:, s]
        read["dv"].append(dv(scores))
        read["taylor"].append(taylor_dv(scores))
        read["taylor_eq11"].append(taylor_dv(scores, coefficient=1.0))
    return {name: torch.stack(values) for name, values in read.items()}


def taylor_bound(seed: int, draws: int) -> Check:
    """Eq. 24, "I_DV >= I_Taylor-DV", on clusters told apart perfectly.

    Args:
        seed: of the batches.
        draws: a twentieth as many batches a setting, at least 2.

    Example:
        >>> [claim.holds for claim in taylor_bound(0, 40).claims]
        [False, False, True]
    """
    g, batches = generator(seed, 2), max(2, draws // 20)
    rows: list[Row] = []
    for k, tau in ((100, 0.1), (100, 0.5), (2, 0.1)):
        table = cosine_scores(simplex(k), simplex(k), tau=tau)  # every pair of clusters is as likely: the population
        joint, mean, variance = float(table.diagonal().mean()), float(table.mean()), float(table.var(correction=0))
        row: Row = {"clusters": k, "tau": tau, "mi": math.log(k), "dv": float(dv(table, all_pairs=True))}
        row |= {"taylor": joint - mean - variance / 2, "taylor_eq11": joint - mean - variance}
        row |= {"batches_of_1000": batches}
        for name, values in _clusters(k, tau, batches, g).items():
            row |= {f"{name}_mean": float(values.mean()), f"{name}_sd": float(values.std())}
        rows.append(row)
    first, last = rows[0], rows[-1]
    shown = [0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0]

    def draw(axes: "Axes") -> None:
        curves = [{k: float(v) for k, v in _clusters(100, tau, 1, g).items()} for tau in shown]
        for name, label, colour in (("dv", "DV", CLASSES[1]), ("taylor", "Taylor-DV, eq. 24", CLASSES[0])):
            axes.plot(shown, [c[name] for c in curves], "o-", color=colour, label=label)
        axes.axhline(math.log(100), color="black", linestyle=":", label="true MI, log 100")
        axes.set(xscale="log", xlabel="temperature (cosine critic, 100 clusters)", ylabel="nats")
        axes.legend(frameon=False)

    def seen(row: Row) -> str:
        return (
            f"{row['clusters']} clusters, tau {row['tau']}: MI {value(row, 'mi'):.3f}, DV {value(row, 'dv'):.3f}, "
            f"Taylor-DV {value(row, 'taylor'):.3f} (batches of 1000: {value(row, 'dv_mean'):.3f} +- "
            f"{value(row, 'dv_sd'):.3f}, {value(row, 'taylor_mean'):.3f} +- {value(row, 'taylor_sd'):.3f})"
        )

    return Check(
        "taylor_bound",
        "Eq. 24: Taylor-DV beside DV and MI",
        "k equally likely clusters at the corners of a regular simplex, both views equal to the corner, MI = log k; "
        "critic cos/tau; the population, exactly, and batches of 1000 rows",
        rows,
        [
            Claim(
                "I_DV >= I_Taylor-DV",
                "eq. 24",
                all(value(r, "dv") >= value(r, "taylor") for r in rows),
                seen(first),
            ),
            Claim(
                "Taylor-DV is a lower bound on MI",
                "A.3",
                all(value(r, "mi") >= value(r, "taylor") for r in rows),
                f"{value(first, 'taylor') / value(first, 'mi'):.2f} times MI; with eq. 11's coefficient 1: "
                f"{value(first, 'taylor_eq11'):.3f}",
            ),
            Claim(
                "two antipodal clusters satisfy eq. 24 (log cosh x <= x^2/2): it depends on the law of T",
                "infomax",
                value(last, "dv") >= value(last, "taylor"),
                seen(last),
            ),
        ],
        draw,
    )


def literal_infonce(seed: int, draws: int) -> Check:
    """Eq. 20 to the letter beside InfoNCE, where the two sides are independent.

    Args:
        seed: of the embeddings.
        draws: a twentieth as many batches, at least 2.

    Example:
        >>> [claim.holds for claim in literal_infonce(0, 40).claims]
        [False, True]
    """
    g, n, batches = generator(seed, 5), 512, max(2, draws // 20)
    a, b = unit_rows(batches, n, 128, g=g), unit_rows(batches, n, 128, g=g)
    rows: list[Row] = []
    for name, estimate in (("eq. 20 literal", cos_infonce_literal), ("InfoNCE", cos_infonce)):
        for tau in (1.0, 0.1):
            rows.append(spread(estimate(a, b, tau=tau), estimate=name, sides="independent", tau=tau))
        same = torch.ones(2, n, 128, dtype=torch.float64)
        rows.append(spread(estimate(same, same, tau=1.0), estimate=name, sides="collapsed", tau=1.0))
    literal, right = rows[:3], rows[3:]
    return Check(
        "literal_infonce",
        "Eq. 20 to the letter",
        f"N = {n}: independent unit vectors in 128 dimensions, critic cos/tau; and all rows equal (T constant). MI = 0",
        rows,
        [
            Claim(
                "eq. 20 is a lower bound on MI",
                "A.2.1",
                all(value(r, "mean") <= 3 * standard_error(r) + 1e-9 for r in literal),
                f"MI 0, N={n}: reads {value(literal[0], 'mean'):.3f} at tau 1, {value(literal[1], 'mean'):.3f} at tau .1, "
                f"{value(literal[2], 'mean'):.3f} for a constant critic (log N = {math.log(n):.3f})",
            ),
            Claim(
                "InfoNCE with one of the two log N is not above MI here",
                "infomax",
                all(value(r, "mean") <= 3 * standard_error(r) + 1e-9 for r in right),
                ", ".join(f"{value(r, 'mean'):.3f}" for r in right),
            ),
        ],
    )


def _fisher_pairs(kappa: float, shape: tuple[int, int], g: torch.Generator) -> tuple[Tensor, Tensor]:
    """A uniform a on the sphere of R^3, and b | a of density proportional to exp(kappa a . b)."""
    a, other = unit_rows(*shape, 3, g=g), unit_rows(*shape, 3, g=g)
    u = torch.rand(*shape, 1, dtype=torch.float64, generator=g)
    along = 1 + (u + (1 - u) * math.exp(-2 * kappa)).log() / kappa
    across = torch.nn.functional.normalize(torch.linalg.cross(a, other), dim=-1)
    return a, along * a + (1 - along.square()).clamp_min(0).sqrt() * across


def jsd_temperature(seed: int, draws: int) -> Check:
    """JSD beside DV as the temperature sharpens, on a law whose MI is closed.

    Args:
        seed: of the pairs.
        draws: a tenth as many batches, at least 10.

    Example:
        >>> [claim.holds for claim in jsd_temperature(0, 20).claims]
        [True, False, True, False, True]
    """
    kappa, n, batches, g = 10.0, 256, max(10, draws // 10), generator(seed, 6)
    truth = kappa / math.tanh(kappa) - 1 - math.log(math.sinh(kappa) / kappa)
    a, b = _fisher_pairs(kappa, (batches, n), g)
    rows: list[Row] = []
    for tau in (1.0, 0.5, 0.3, 0.2, 0.14, 0.1, 0.07, 0.05):
        scores = cosine_scores(a, b, tau=tau)
        # the constant that the cosine critic lacks: with it the reading of the JSD critic becomes that of DV
        offset = math.log(tau * math.sinh(1 / tau))
        found = {
            "dv": dv(scores),
            "jsd": jsd(scores),
            "jsd_lower": jsd_lower(scores),
            "jsd_lower_offset": jsd_lower(scores - offset),
            "xi_jsd": xi_jsd(scores),
            "xi_jsd_offset": xi_jsd(scores - offset),
            "smile": smile(scores),
            "smile_offset": smile(scores - offset),
        }
        row: Row = {"tau": tau, "n": batches}
        for name, values in found.items():
            row |= {name: float(values.mean()), f"{name}_sd": float(values.std())}
        rows.append(row)
    rising = [(p, q) for p, q in itertools.pairwise(rows) if value(q, "dv") > value(p, "dv")]
    against = [(p, q) for p, q in rising if value(q, "jsd") < value(p, "jsd")]
    peak = max(rows, key=lambda r: value(r, "jsd"))
    top = max(rows, key=lambda r: value(r, "dv"))
    readable = ("jsd_lower", "jsd_lower_offset", "xi_jsd", "xi_jsd_offset")

    def draw(axes: "Axes") -> None:
        taus = [value(r, "tau") for r in rows]
        lines = (
            ("dv", "DV", "-", CLASSES[1]),
            ("jsd", "JSD, raw", "-", CLASSES[0]),
            ("jsd_lower_offset", "1 + E[T] - E[e^T], with offset", "--", CLASSES[0]),
            ("xi_jsd_offset", "Xi(JSD), with offset", ":", CLASSES[0]),
            ("smile", "SMILE", "-.", CLASSES[2]),
        )
        for name, label, dash, colour in lines:
            axes.plot(taus, [value(r, name) for r in rows], dash, marker="o", color=colour, label=label)
        axes.axhline(truth, color="black", linestyle=":", label=f"true MI, {truth:.3f}")
        axes.set(xscale="log", xlabel="temperature of the cosine critic", ylabel="nats (JSD: its own unit)")
        axes.set_ylim(min(value(r, "jsd") for r in rows) - 0.3, truth + 0.5)
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))

    return Check(
        "jsd_temperature",
        "JSD as the temperature sharpens",
        f"a uniform on the sphere of R^3, b | a von Mises-Fisher with concentration {kappa:g}: MI = kappa coth kappa - 1 - "
        f"log(sinh kappa / kappa) = {truth:.3f}, and cos/{1 / kappa:g} plus a constant is the optimal critic. N = {n}; "
        "`offset` subtracts log E_q[e^T], which the cosine critic lacks",
        rows,
        [
            Claim(
                "JSD can fall where cos-DV rises (at a sharper temperature)",
                "infomax",
                len(against) > 0,
                f"of {len(rising)} steps of the temperature at which DV rises, JSD falls in {len(against)}: DV "
                f"{value(peak, 'dv'):.3f} -> {value(top, 'dv'):.3f}, JSD {value(peak, 'jsd'):.3f} -> {value(top, 'jsd'):.3f} "
                f"from tau {peak['tau']} to {top['tau']}",
            ),
            Claim(
                "I_JSD reads MI (it can be positive at all)",
                "A.2.2",
                any(value(r, "jsd") > 0 for r in rows),
                f"never above 0: at most {value(peak, 'jsd'):.3f}, where MI is {truth:.3f}",
            ),
            Claim(
                "the MI readings of a JSD critic do not exceed MI (sampling error apart)",
                "infomax",
                all(
                    value(r, name) <= truth + 3 * value(r, f"{name}_sd") / math.sqrt(batches)
                    for r in rows
                    for name in readable
                ),
                f"at tau {top['tau']}: jsd_lower {value(top, 'jsd_lower'):.3g} bare and "
                f"{value(top, 'jsd_lower_offset'):.3f} with the offset, Xi {value(top, 'xi_jsd'):.3f} and "
                f"{value(top, 'xi_jsd_offset'):.3f}",
            ),
            Claim(
                "SMILE of a bare cosine critic stays below MI at every temperature",
                "infomax",
                all(value(r, "smile") <= truth + 3 * value(r, "smile_sd") / math.sqrt(batches) for r in rows),
                f"at tau {top['tau']} (scores up to 10, clip 5): {value(top, 'smile'):.3f}; with the offset "
                f"{value(top, 'smile_offset'):.3f}",
            ),
            Claim(
                "DV is largest at the temperature of the law, 1/kappa",
                "infomax",
                top["tau"] == 1 / kappa and abs(value(top, "dv") - truth) < 3 * value(top, "dv_sd"),
                f"{value(top, 'dv'):.3f} +- {value(top, 'dv_sd'):.3f} at tau {top['tau']}, MI {truth:.3f}",
            ),
        ],
        draw,
    )
