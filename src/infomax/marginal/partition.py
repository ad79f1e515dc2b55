"""Marginals that are a log-partition: joint - penalty is then an explicit bound on the mutual information."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from infomax.clock import Clock
from infomax.critic import Critic, Dot, crossed_scores, is_product, paired_scores
from infomax.errors import ConfigError, NumericsError, check_number, check_part
from infomax.kernels import log_mean_exp, log_sum_exp, mean_log_sum_exp
from infomax.kernels.blocks import diagonal
from infomax.marginal.base import Marginal, Views

_TILED_ABOVE = 256
"""Rows above which the tiled kernel is the faster one (one core, forward and backward: 0.8 to 1.6x at N = 256, 1 to 3x at
512, 11x at 2500 with D = 3; 1.2x and a fraction of the memory at 2048 with D = 256)."""

_TILED_ABOVE_ELSEWHERE = 4096
"""The same on a GPU, to which 64 MiB of scores are little, and which the tiled kernel makes wait for the host."""


def tiled(a: Tensor) -> bool:
    """Whether an embedding has so many rows that the scores of a product had better not be written out."""
    return a.shape[-2] > (_TILED_ABOVE if a.device.type == "cpu" else _TILED_ABOVE_ELSEWHERE)


def without_diagonal(t: Tensor) -> Tensor:
    """-inf on the diagonal, so that a logsumexp leaves the true pairs out: ... N N -> ... N N."""
    return t.masked_fill(diagonal(t), -math.inf)


class DonskerVaradhan(Marginal):
    """log mean_{i != j} e^T(a_i, b_j): one partition for the whole batch (paper, eq. 15).

    Args:
        critic: the critic T, the same as in the joint term.
        all_pairs: average over all N^2 pairs, including the true ones, instead of the other N(N-1). The paper's eq. 15
            leaves them out; with all pairs the bound reads lower.

    Raises:
        ConfigError: an argument that is not a critic; when it is called, a critic whose `crossed` returns another shape
            than N x M.
        NumericsError: when it is called with one row, which has no pair i != j.

    Where sources differ: the paper's Algorithms 1-2 write DV(.; tau) without saying where tau enters; here T = cos/tau
    in both terms. The log of a sample mean is biased, so a batch can read above the truth: compare values at equal N
    only.

    Example:
        >>> from infomax import Cosine
        >>> DonskerVaradhan(Cosine(temperature=0.1)).penalty(torch.eye(4), torch.eye(4))
        tensor(0.)
    """

    explicit = True
    symmetric = True  # where the critic is

    def __init__(self, critic: Critic, *, all_pairs: bool = False) -> None:
        super().__init__()
        check_part("DonskerVaradhan", critic, Critic, "im.Cosine(0.1)")
        self.critic, self.all_pairs = critic, all_pairs
        self.symmetric = self.symmetric and critic.symmetric

    def penalty(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... ."""
        n = a.shape[-2]
        if n < 2 and not self.all_pairs:
            raise NumericsError(f"DonskerVaradhan: {n} row holds no pair i != j; give at least two")
        if is_product(self.critic) and tiled(a) and not self.all_pairs:
            return log_mean_exp(*self.critic.factors(a, b))
        t = crossed_scores(self.critic, a, b)
        if self.all_pairs:
            return t.flatten(-2).logsumexp(-1) - math.log(n * n)
        return without_diagonal(t).flatten(-2).logsumexp(-1) - math.log(n * (n - 1))


class InfoNCE(Marginal):
    """mean_i log mean_m e^T(a_i, c_m): one partition per sample (arXiv:1807.03748; paper, eqs. 19-20).

    The candidates c_m of row i are its partner b_i and the negatives. The negatives are the other rows of b; with
    `own_view` also those of a (SimCLR); with `queue` the remembered rows instead (MoCo). The bound is at most log M,
    with M the number of candidates; the authors' cross-entropy is log M - bound.

    Args:
        critic: the critic T, the same as in the joint term.
        own_view: the other rows of a are negatives too: M = 2N - 1.
        queue: number of remembered negatives (rows), random directions at first; M = 1 + queue.
        width: D, the width of the embeddings; needed with a queue.

    Raises:
        ConfigError: an argument that is not a critic; an empty queue, one without width, or one together with
            `own_view`; when it is called, a critic whose scores have other shapes than N and N x M.

    Where sources differ: eq. 20 of the paper has a mean inside the logarithm *and* + log N, which reads log N too high.

    Example:
        >>> from infomax import Cosine
        >>> term = InfoNCE(Cosine(temperature=1.0))
        >>> z = torch.zeros(8, 3) + 1
        >>> round(float(term.penalty(z, z)), 6)  # every candidate scores 1
        1.0
    """

    explicit = True
    queue: Tensor
    pointer: Tensor

    def __init__(
        self, critic: Critic, *, own_view: bool = False, queue: int | None = None, width: int | None = None
    ) -> None:
        super().__init__()
        check_part("InfoNCE", critic, Critic, "im.Cosine(0.1)")
        if queue is not None and queue < 1:
            raise ConfigError(f"a queue of {queue} keys: give at least 1")
        if queue is not None and (width is None or own_view):
            raise ConfigError("InfoNCE with a queue needs width=D, and takes its negatives from the queue alone")
        self.critic, self.own_view, self.has_queue = critic, own_view, queue is not None
        self.symmetric = False  # anchors are the rows of a
        if queue is not None and width is not None:
            self.register_buffer("queue", F.normalize(torch.randn(queue, width), dim=1))
            self.register_buffer("pointer", torch.zeros((), dtype=torch.int64))

    def candidates(self, a: Tensor, b: Tensor) -> Tensor:
        """Scores of the candidates of each row: ... N M (the anchor itself stands there as -inf)."""
        if self.has_queue:
            # a copy: observe() overwrites the queue in place while a graph may still refer to it
            keys = self.queue.to(a.dtype, copy=True)
            positives = paired_scores(self.critic, a, b)
            return torch.cat([positives.unsqueeze(-1), crossed_scores(self.critic, a, keys)], -1)
        if not self.own_view:
            return crossed_scores(self.critic, a, b)
        t = crossed_scores(
            self.critic, a, torch.cat([a, b], -2)
        )  # at once, as a batch of some dozens is mostly overhead
        n = a.shape[-2]
        itself = torch.eye(n, 2 * n, dtype=torch.bool, device=t.device)
        return t.masked_fill(itself, -math.inf)

    def count(self, n: int) -> int:
        """M, the number of candidates per row."""
        return 1 + len(self.queue) if self.has_queue else 2 * n - 1 if self.own_view else n

    def penalty(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... ."""
        count = math.log(self.count(a.shape[-2]))
        if is_product(self.critic) and self.has_queue and max(a.shape[-2], len(self.queue)) > _TILED_ABOVE:
            left, keys = self.critic.factors(a, self.queue.clone())
            rows, _ = log_sum_exp(left, keys.to(left.dtype).expand(*left.shape[:-2], *keys.shape))
            return torch.logaddexp(self.critic.paired(a, b), rows).mean(-1) - count
        if is_product(self.critic) and tiled(a) and not self.has_queue:
            left, right = self.critic.factors(a, b)
            return mean_log_sum_exp(left, right, self.critic.factors(a, a)[1] if self.own_view else None) - count
        return self.candidates(a, b).logsumexp(-1).mean(-1) - count

    def offset(self, n: int) -> float:
        """log M: cross-entropy = log M - bound."""
        return math.log(self.count(n))

    @torch.no_grad()
    def observe(self, k: Views, clock: Clock) -> None:
        """Write the targets over the oldest rows of the queue; as unit rows if the critic uses only their directions."""
        if self.has_queue:
            rows = torch.cat(list(k.values()))[-len(self.queue) :]
            rows = F.normalize(rows, dim=-1) if self.critic.of_directions else rows
            where = (self.pointer + torch.arange(len(rows), device=rows.device)) % len(self.queue)
            self.queue[where] = rows.to(self.queue.dtype)
            self.pointer.copy_((self.pointer + len(rows)) % len(self.queue))


class TaylorDonskerVaradhan(Marginal):
    """mean + coefficient * variance of T over i != j: the second-order expansion of the log-mean-exp (paper, eq. 24).

    With a dot or cosine critic both moments are computed exactly in O(N D^2), without an N x N matrix (A, B the two
    factors of T): off-diagonal sum = s_A . s_B - sum_i T_ii, off-diagonal square sum = tr(A'A B'B) - sum_i T_ii^2, s
    the column sums.

    Args:
        critic: `Dot` or `Cosine`.
        coefficient: 1/2 is the expansion (eq. 24); the paper's eq. 11 writes 1.

    Raises:
        ConfigError: a critic that is not a product, or a coefficient below 0.
        NumericsError: when it is called with one row.

    Where the paper errs: eq. 24 is *not* a lower bound on DV (on 100 tight clusters at temperature 0.1 it reads twice
    the truth), and under the product law Var[T] = tr(Sigma_A Sigma_B): a within-view covariance penalty.

    Example:
        >>> from infomax import Cosine
        >>> TaylorDonskerVaradhan(Cosine(temperature=0.1)).penalty(torch.eye(4), torch.eye(4))
        tensor(0.)
    """

    symmetric = True  # where the critic is

    def __init__(self, critic: Dot, *, coefficient: float = 0.5) -> None:
        super().__init__()
        check_part("TaylorDonskerVaradhan", critic, Critic, "im.Cosine(0.1)")
        if not is_product(critic):
            own = ", whose paired or crossed is its own: change factors instead" if isinstance(critic, Dot) else ""
            raise ConfigError(
                f"Taylor-DV needs a critic that is a product (Dot, Cosine), not {type(critic).__name__}{own}: "
                "only then are its moments those of the embeddings"
            )
        check_number("Taylor-DV: coefficient", coefficient)
        self.critic, self.coefficient = critic, coefficient
        self.symmetric = self.symmetric and critic.symmetric

    def moments(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and (population) variance of T over the N(N-1) pairs i != j."""
        n = a.shape[-2]
        if n < 2:
            raise NumericsError(f"TaylorDonskerVaradhan: {n} row holds no pair i != j; give at least two")
        a, b = self.critic.factors(a, b)
        # T less its value at the means, as one product of D + 2 columns: small variances do not cancel in float32
        at_a, at_b, one = a.mean(-2, keepdim=True), b.mean(-2, keepdim=True), torch.ones_like(a[..., :1])
        a, b = a - at_a, b - at_b
        a, b = torch.cat([a, a @ at_b.mT, one], -1), torch.cat([b, one, b @ at_a.mT], -1)
        true = (a * b).sum(-1)
        total = (a.sum(-2) * b.sum(-2)).sum(-1) - true.sum(-1)
        squares = ((a.mT @ a) * (b.mT @ b)).sum((-2, -1)) - true.square().sum(-1)
        mean = total / (n * (n - 1))
        return mean + (at_a * at_b).sum((-2, -1)), squares / (n * (n - 1)) - mean.square()

    def penalty(self, a: Tensor, b: Tensor) -> Tensor:
        """... N D, ... N D -> ... ."""
        mean, variance = self.moments(a, b)
        return mean + self.coefficient * variance
