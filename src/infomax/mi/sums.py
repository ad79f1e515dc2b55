r"""One pass over all pairs, from which every reading and its interval follow.

An estimate on N pairs is a function of means over the true pairs and over the N(N-1) false ones. If the sums of a statistic
over row k and over column k of the scores are kept, the mean *without pair k* is known too, for every k, at no further cost:
(total - row_k - column_k) / ((N-1)(N-2)). Blocks of whole rows are scored, used up and forgotten: memory O(N D).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from infomax.compiled import missing
from infomax.critic import Critic, crossed_scores, is_product, paired_scores
from infomax.kernels.blocks import largest_score, panels, size, tame, without_true_pairs
from infomax.kernels.softplus import folded_log_sum, foldings, softplus
from infomax.mi.bounds import LOG2

COMPILED_FROM = 8192
"""Pairs from which on the compiled loop is worth its loading (half a second; some five, once, where it is not yet on disk)."""

_LARGE, _NEARLY_ALL = 0.02, 0.99  # shares: of a candidate in a row's partition; of a row and a column in all

_PANEL = 256  # rows of a panel of the compiled loop: 49 MiB at N = 50,000


@dataclass(frozen=True)
class Sums:
    """What the pass keeps: N-vectors in float64, where "both" is the sum over row k and column k, without the true pair.

    positives: T_kk. log_rows: log sum e^T of row k. candidate: what the other rows' log Z_i lose
    in all without candidate k, -sum_i log(1 - e^(T_ik) / Z_i), i != k. softplus, clipped, scores, squares: "both" of
    softplus(T), e^clamp(T), T and T^2. log_others, clipped_others: log sum e^T and sum e^clamp(T) without pair k.
    """

    positives: Tensor
    log_rows: Tensor
    candidate: Tensor
    softplus: Tensor
    clipped: Tensor
    scores: Tensor
    squares: Tensor
    log_others: Tensor
    clipped_others: Tensor


Score = Callable[[slice, Tensor], None]


@torch.no_grad()
def sums(critic: Critic, a: Tensor, b: Tensor, *, clip: float, moments: bool = True) -> Sums:
    """Pass once over all pairs of rows of a and b.

    Args:
        critic: T; a product (`Dot`, `Cosine`) is one matrix product, any other critic is asked for its `crossed` scores.
        a, b: N D, float32 or float64.
        clip: of SMILE, nats.
        moments: False leaves scores and squares at 0, where nobody asks for Taylor-DV.
    """
    n = len(a)
    known = math.inf  # a bound of |T|, where there is one
    scores, squares = a.new_zeros(2, n, dtype=torch.float64)
    if is_product(critic):
        left, right = critic.factors(a, b)
        known, positives = largest_score(left, right), _true(left, right)
        if moments:
            scores, squares = _moments(left, right)
        right_t = right.T.contiguous()
        del right  # N D numbers less while the pass runs
        plain = a.device.type == "cpu" and a.dtype == torch.float32
        if plain and n >= COMPILED_FROM and tame(known, a.dtype) and not missing():
            return _compiled(left, right_t, positives, (scores, squares), clip)
        score = _product(left, right_t)
    else:
        score, positives = _crossed(critic, a, b), paired_scores(critic, a, b).double()
    log_rows, softplus, clipped, candidate = (
        positives.new_empty(n) if k == 0 else positives.new_zeros(n) for k in range(4)
    )
    column_sums, log_columns = torch.zeros_like(positives), torch.full_like(positives, -math.inf)
    some_rows = next(iter(panels(a, n))).stop
    panel = a.new_empty(some_rows, n)
    width = max(1, size(a) // 4 // some_rows)
    cuts = [slice(j, min(j + width, n)) for j in range(0, n, width)]
    for rows in panels(a, n):
        t = panel[: rows.stop - rows.start]
        score(rows, t)
        if moments and not is_product(critic):
            without_true_pairs(t, rows, slice(0, n), 0.0)
            square = t.square()
            for both, x in ((scores, t), (squares, square)):
                both[rows] += x.sum(1, dtype=torch.float64)
                both += x.sum(0, dtype=torch.float64)
        largest = known if tame(known, t.dtype) else float(torch.stack(torch.aminmax(t)).abs().amax())
        without_true_pairs(t, rows, slice(0, n), -math.inf)
        small = tame(largest, t.dtype)
        row_sums = positives.new_zeros(len(t))
        if not small:
            log_rows[rows] = t.logsumexp(1).double()
            log_columns = torch.logaddexp(log_columns, t.logsumexp(0).double())
        for j in cuts:
            if small:
                of_rows, of_columns = _tame_block(t[:, j], largest, clip, row_sums, column_sums[j])
            else:
                of_rows, of_columns = _wild_block(t[:, j], clip)
            for both, r, c in zip((softplus, clipped), of_rows, of_columns, strict=True):
                both[rows] += r
                both[j] += c
        clipped[rows] -= 2 * math.exp(-clip)  # what a true pair, at -inf, was clipped to
        if small:
            log_rows[rows] = row_sums.log()
        candidate += _lost(t, log_rows[rows], positives[rows], small)
    log_columns = torch.logaddexp(log_columns, column_sums.log())
    others = _others(log_rows, log_columns, clipped, clip, score, panel)
    return Sums(positives, log_rows, candidate, softplus, clipped, scores, squares, *others)


def _compiled(left: Tensor, right_t: Tensor, positives: Tensor, moments: tuple[Tensor, Tensor], clip: float) -> Sums:
    """The same of a product in float32 none of whose e^T overflows, by the compiled loop."""
    from infomax.compiled.exponentials import LOG2_E, NOTHING
    from infomax.mi.fused import sweep

    n = len(left)
    of_rows, of_columns = positives.new_empty(3, n), positives.new_zeros(3, n)
    candidate = torch.zeros_like(positives)
    panel = left.new_empty(_PANEL, n)
    for i in range(0, n, _PANEL):
        rows = slice(i, min(i + _PANEL, n))
        t = panel[: rows.stop - rows.start]

        def score(columns: slice, out: Tensor, rows: slice = rows) -> None:
            torch.addmm(out, left[rows], right_t[:, columns], beta=0, alpha=LOG2_E, out=out)
            without_true_pairs(out, rows, columns, NOTHING)

        of_rows[:, rows], found = sweep(score, t, clip)
        of_columns += found
        candidate += _lost(t, of_rows[0, rows].log(), positives[rows], small=True)
    softplus, clipped = of_rows[1] + of_columns[1], of_rows[2] + of_columns[2]
    clipped -= 2 * math.exp(-clip)  # what a true pair was clipped to
    log_rows, log_columns = of_rows[0].log(), of_columns[0].log()
    others = _others(log_rows, log_columns, clipped, clip, _product(left, right_t), panel)
    return Sums(positives, log_rows, candidate, softplus, clipped, *moments, *others)


def _lost(t: Tensor, log_rows: Tensor, positives: Tensor, small: bool) -> Tensor:
    """-sum_i log(1 - share_ik) over a panel's rows i; the panel holds T, or e^T where `small`, and is used up.

    A small share x counts x, which is low by less than x / 2 of it; the others, at most 1 / _LARGE a row, what they are.
    """
    partition = torch.logaddexp(log_rows, positives)
    top = t.amax(1)
    log_share = (top.log() if small else top).double() - partition  # of the largest candidate
    half = (log_share > -LOG2).nonzero().squeeze(1)
    if len(half):  # one a row: 1 - share may be lost to rounding, so the row is summed without it, and it counts apart
        k = t.argmax(1)[half]
        t[half, k] = 0.0 if small else -math.inf
        rest = (t.sum(1).log() if small else t.logsumexp(1)).double()[half]
        alone = partition[half] - torch.logaddexp(rest, positives[half])
    if small:
        inverse = (-partition).exp().to(t.dtype)
    else:
        t.sub_(partition[:, None]).exp_()
        inverse = torch.ones_like(top)
    found = (inverse @ t).double()
    if (log_share > math.log(_LARGE)).any():
        i, j = (t > (_LARGE / inverse)[:, None]).nonzero(as_tuple=True)
        share = (t[i, j] * inverse[i]).double()
        found.index_add_(0, j, -(-share).log1p() - share)
    if len(half):
        found.index_add_(0, k, alone)
    return found


def _others(
    log_rows: Tensor, log_columns: Tensor, clipped: Tensor, clip: float, score: Score, panel: Tensor
) -> tuple[Tensor, Tensor]:
    """log sum e^T and sum e^clamp(T) without pair k, for every k.

    All less row k and column k; where these are nearly all (two pairs at most, for all rows and columns are twice the whole),
    the others are scored again, as the difference would be one of rounding.
    """
    n, total = len(log_rows), log_rows.logsumexp(0)
    log_share, clipped_total = torch.logaddexp(log_rows, log_columns) - total, clipped.sum() / 2
    log_others, clipped_others = total + (-log_share.expm1()).log(), clipped_total - clipped
    nearly_all = (log_share > math.log(_NEARLY_ALL)) | (clipped > _NEARLY_ALL * clipped_total)
    for k in nearly_all.nonzero().flatten().tolist():
        log_others[k], clipped_others[k] = -math.inf, 0.0
        for i in range(0, n, len(panel)):
            rows = slice(i, min(i + len(panel), n))
            t = panel[: rows.stop - rows.start]
            score(rows, t)
            without_true_pairs(t, rows, slice(0, n), -math.inf)
            t[:, k] = -math.inf
            if i <= k < rows.stop:
                t[k - i] = -math.inf
            log_others[k] = torch.logaddexp(log_others[k], t.flatten().logsumexp(0).double())
            bare = t.isneginf()
            clipped_others[k] += t.clamp_(-clip, clip).exp_().masked_fill_(bare, 0.0).sum(dtype=torch.float64)
    return log_others, clipped_others


Parts = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


def _tame_block(t: Tensor, largest: float, clip: float, row_sums: Tensor, column_sums: Tensor) -> Parts:
    """Sums of a block of scores none of whose exponentials can overflow; the block becomes e^T."""
    e = t.exp_()
    row_sums += e.sum(1)
    column_sums += e.sum(0)
    x = e.clamp(math.exp(-clip), math.exp(min(clip, largest + 1.0)))
    clipped = x.sum(1), x.sum(0)
    times = foldings(largest, t.dtype)
    torch.add(e, 1.0, out=x)
    return (folded_log_sum(x, times, 1), clipped[0]), (folded_log_sum(x, times, 0), clipped[1])


def _wild_block(t: Tensor, clip: float) -> Parts:
    """The same where e^T would overflow; the block keeps T."""
    clipped, soft = t.clamp(-clip, clip).exp_(), softplus(t)
    return (soft.sum(1), clipped.sum(1)), (soft.sum(0), clipped.sum(0))


def _crossed(critic: Critic, a: Tensor, b: Tensor) -> Score:
    def score(rows: slice, out: Tensor) -> None:
        width = max(1, size(a) // (len(out) * a.shape[1]))  # a critic may look at N x M x D numbers
        for j in range(0, len(b), width):
            out[:, j : j + width] = crossed_scores(critic, a[rows], b[j : j + width])

    return score


def _product(left: Tensor, right_t: Tensor) -> Score:
    def score(rows: slice, out: Tensor) -> None:
        torch.mm(left[rows], right_t, out=out)

    return score


def _cuts(n: int) -> list[slice]:
    return [slice(i, i + 4096) for i in range(0, n, 4096)]


def _true(left: Tensor, right: Tensor) -> Tensor:
    """T_kk in float64, without N x D numbers more."""
    return torch.cat([(left[c].double() * right[c].double()).sum(1) for c in _cuts(len(left))])


def _moments(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Row plus column sums of T and of T^2 without the true pairs, in O(N D^2) and in float64."""
    cuts = _cuts(len(left))

    def along(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """sum_j x_i . y_j and sum_j (x_i . y_j)^2, for every i."""
        total = torch.stack([y[c].sum(0, dtype=torch.float64) for c in cuts]).sum(0)
        gram = torch.zeros(y.shape[1], y.shape[1], dtype=torch.float64, device=y.device)
        for w in (y[c].double() for c in cuts):
            gram.addmm_(w.T, w)
        found = [(w @ total, ((w @ gram) * w).sum(1)) for w in (x[c].double() for c in cuts)]
        return torch.cat([f for f, _ in found]), torch.cat([f for _, f in found])

    true = _true(left, right)
    (rows, row_squares), (columns, column_squares) = along(left, right), along(right, left)
    return rows + columns - 2 * true, row_squares + column_squares - 2 * true.square()
