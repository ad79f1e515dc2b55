"""Marginals that change the embeddings before they are compared: whitening, balanced codes, centring, a predictor."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax.clock import Clock
from infomax.errors import ConfigError, NumericsError, check_part
from infomax.heads import Branch, Head, Prototypes, copied, head, reset
from infomax.marginal.base import Collapse, Marginal, Views
from infomax.moments import covariance
from infomax.parallel import from_first
from infomax.schedule import teacher_temperature


class Predictor(Marginal):
    """A network on the student's side only: an implicit stand-in for the marginal term (paper, D.2.2; SimSiam, BYOL).

    Args:
        net: module that maps N x D to N x D.
        twin: a second such module for the second encoder, if both encoders are trained in turn (SDMI-NoDV-Pred of fig.
            7).

    Raises:
        ConfigError: `net` is not a module.

    Example:
        >>> z = {0: torch.ones(2, 3)}
        >>> student, target = Predictor(nn.Linear(3, 3)).constrain(z, z, Clock())
        >>> target is z, student[0].shape
        (True, torch.Size([2, 3]))
    """

    separates = True

    def __init__(self, net: nn.Module, *, twin: bool = False) -> None:
        super().__init__()
        check_part("Predictor", net, nn.Module, "im.mlp(256, 64, 256)")
        self.net = net
        self.twin = reset(copied(net)) if twin else None

    def constrain(self, z: Views, k: Views, clock: Clock) -> tuple[Views, Views]:
        """Predict the targets from the students."""
        net = self.net if self.twin is None or clock.phase == 0 else self.twin
        return {i: net(v) for i, v in z.items()}, k


def predictors(
    spec: Head, branch: Branch, *, norm: bool = True, activation: Callable[[], nn.Module] = nn.ReLU
) -> tuple[Predictor, ...]:
    """The predictor of a method, by the widths of its hidden layers; it ends on the embedding's width. `()`: none.

    Example:
        >>> (predictor,) = predictors((16,), Branch(nn.Linear(8, 4)))
        >>> [layer.out_features for layer in predictor.net if isinstance(layer, nn.Linear)]
        [16, 4]
    """
    if isinstance(spec, nn.Module):
        return (Predictor(spec),)
    if not spec:
        return ()
    return (Predictor(head((*spec, branch.width), branch.width, norm=norm, activation=activation)),)


class Whitening(Marginal):
    """Whiten every view by itself, so that no direction can vanish (W-MSE, arXiv:2007.06346, eq. 3).

    The rows are partitioned at random into sub-batches of `size` rows; in each, L L' = (1 - eps) cov + eps I and w =
    L^-1 (z - mean).

    Args:
        size: number of rows of a sub-batch, more than D; a smaller batch is whitened as a whole.
        iterations: number of random partitions, over which the objective is averaged.
        eps: shrinkage of the covariance towards the identity.

    Raises:
        ConfigError: an impossible setting.
        NumericsError: N <= D without shrinkage, N is not a multiple of `size`, or the covariance is singular.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> z = torch.randn(64, 4, dtype=torch.float64)
        >>> w, _ = Whitening(size=64).constrain({0: z}, {}, Clock())
        >>> bool(torch.allclose(w[0].T.cov(), torch.eye(4, dtype=torch.float64)))
        True
    """

    symmetric = True

    def __init__(self, size: int = 128, *, iterations: int = 1, eps: float = 0.0) -> None:
        super().__init__()
        if size < 2 or iterations < 1 or not 0 <= eps <= 1:
            raise ConfigError(
                f"whitening: size {size}, iterations {iterations}, eps {eps}: need >= 2, >= 1 and in [0, 1]"
            )
        self.size, self.iterations, self.eps = size, iterations, eps

    def permutation(self, n: int) -> Tensor:
        """The order in which rows are partitioned into sub-batches, the same in all processes."""
        return from_first(torch.randperm(n))

    def whiten(self, z: Tensor, order: Tensor) -> Tensor:
        """Whiten the sub-batches of `order`; the rows keep their places: ... N D -> ... N D."""
        n, d = z.shape[-2:]
        size = min(self.size, n)
        if size <= d and self.eps == 0.0:
            raise NumericsError(
                f"whitening needs more rows than columns: {size} rows (batch {n}, size {self.size}) of width {d}. "
                f"Take a larger batch and size, or a narrower projector"
            )
        if n % size:
            raise NumericsError(f"a batch of {n} does not divide into whitening sub-batches of {size} rows")
        groups = z[..., order, :].reshape(*z.shape[:-2], n // size, size, d)
        shrunk = (1 - self.eps) * covariance(groups) + self.eps * torch.eye(d, dtype=z.dtype, device=z.device)
        root, failed = torch.linalg.cholesky_ex(shrunk)
        if failed.any() and torch.isfinite(z).all():  # a NaN goes through: the step says where it comes from
            if not torch.isfinite(shrunk).all():
                raise NumericsError(f"the covariance of {size} x {d} embeddings up to {z.abs().max():.1e} overflows")
            raise NumericsError(
                f"the covariance of {size} x {d} embeddings is singular: they have collapsed, or eps={self.eps} is too small"
            )
        centred = groups - groups.mean(-2, keepdim=True)
        white: Tensor = torch.linalg.solve_triangular(root, centred.mT, upper=False).mT
        return white.flatten(-3, -2)[..., order.argsort(), :]

    def constrain(self, z: Views, k: Views, clock: Clock) -> tuple[Views, Views]:
        """The whitened rows: N x D; with several partitions, each by itself: iterations x N x D."""
        some = next(iter(z.values()))
        orders = [self.permutation(some.shape[-2]).to(some.device) for _ in range(self.iterations)]

        def white(views: Views) -> Views:
            if len(orders) == 1:
                return {i: self.whiten(v, orders[0]) for i, v in views.items()}
            return {i: torch.stack([self.whiten(v, order) for order in orders]) for i, v in views.items()}

        students = white(z)
        return students, students if k is z else white(k)


@torch.no_grad()
def sinkhorn(scores: Tensor, iterations: int) -> Tensor:
    """Balanced soft assignment: every row sums to 1, every column to about N/K (arXiv:2006.09882, eq. 3).

    Args:
        scores: N x K, already divided by epsilon.
        iterations: rounds of column and row normalisation.

    Example:
        >>> sinkhorn(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), 3).sum(1)
        tensor([1., 1.])
    """
    log_q = scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores
    for _ in range(iterations):  # in logarithms, where sharp codes neither overflow nor vanish
        log_q = log_q - log_q.logsumexp(0, keepdim=True)
        log_q = log_q - log_q.logsumexp(1, keepdim=True)
    return log_q.exp().to(scores.dtype)


class Sinkhorn(Marginal):
    """Balanced codes: the targets are spread evenly over K prototypes (SwAV, arXiv:2006.09882).

    Students become log-probabilities log softmax(p_k . z / temperature), targets the balanced codes of Sinkhorn-Knopp.

    Args:
        prototypes: K unit rows, shared by both sides; re-normalised after each update, outside the gradient.
        temperature: temperature of the students' probabilities.
        epsilon: temperature of the codes.
        iterations: number of Sinkhorn iterations.
        queue: number of remembered embeddings per view, balanced together with the batch (0: none). Used once it is
            full.
        queue_epoch: the epoch from which the queue is filled.
        views: number of target views; each has its own queue, if there are queues.

    Raises:
        ConfigError: `prototypes` are not `Prototypes`, or an impossible setting; when it is called, more target views
            than queues.

    Example:
        >>> term = Sinkhorn(Prototypes(4, 3))
        >>> z = {0: torch.randn(8, 4), 1: torch.randn(8, 4)}
        >>> student, code = term.constrain(z, z, Clock())
        >>> code[0].shape, bool(torch.allclose(code[0].sum(1), torch.ones(8)))
        (torch.Size([8, 3]), True)
    """

    separates = True
    queue: Tensor

    def __init__(
        self,
        prototypes: Prototypes,
        *,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        iterations: int = 3,
        queue: int = 0,
        queue_epoch: int = 0,
        views: int = 2,
    ) -> None:
        super().__init__()
        check_part("Sinkhorn", prototypes, Prototypes, "im.Prototypes(128, 300)")
        if not (temperature > 0 and epsilon > 0) or queue < 0 or iterations < 1 or views < 1:
            raise ConfigError(
                f"Sinkhorn codes: temperature {temperature} and epsilon {epsilon} must be > 0, queue {queue} >= 0, "
                f"iterations {iterations} and views {views} >= 1"
            )
        self.prototypes = prototypes
        self.temperature, self.epsilon, self.iterations = temperature, epsilon, iterations
        self.queue_epoch = queue_epoch
        self.register_buffer("queue", torch.zeros(views, queue, prototypes.weight.shape[1]))

    @torch.no_grad()
    def codes(self, b: Tensor, queue: Tensor) -> Tensor:
        """Balanced codes of the rows of b, computed together with the remembered rows: N D, L D -> N K."""
        rows = torch.cat([queue, F.normalize(b, dim=-1)]) if len(queue) and queue[-1].any() else b
        return sinkhorn(self.prototypes(rows) / self.epsilon, self.iterations)[-len(b) :]

    def constrain(self, z: Views, k: Views, clock: Clock) -> tuple[Views, Views]:
        """Log-probabilities of the students, codes of the targets: N x K."""
        views, length, _ = self.queue.shape
        if length and len(k) > views:
            raise ConfigError(
                f"Sinkhorn codes: {len(k)} views give targets, and {views} have a queue: take Sinkhorn(views={len(k)}), or a "
                f"target of views={views}"
            )
        students = {i: F.log_softmax(self.prototypes(v) / self.temperature, -1) for i, v in z.items()}
        return students, {j: self.codes(v, self.queue[q if length else 0]) for q, (j, v) in enumerate(k.items())}

    @torch.no_grad()
    def observe(self, k: Views, clock: Clock) -> None:
        """Re-normalise the prototypes; put the newest rows first in the queue, where the oldest drop out."""
        self.prototypes.normalize_()
        length = self.queue.shape[1]
        if length and clock.epoch >= self.queue_epoch:
            for q, v in enumerate(k.values()):
                rows = F.normalize(v, dim=-1).to(self.queue.dtype)
                self.queue[q] = torch.cat([rows, self.queue[q]])[:length]


class Centering(Marginal):
    """Centre and sharpen the targets, so that neither one prototype nor all of them win (DINO, arXiv:2104.14294).

    Students become log softmax(a / temperature), targets softmax((b - centre) / target_temperature). The centre is the
    moving average of the targets *before* this batch.

    Args:
        width: K, the number of prototypes.
        temperature: temperature of the students.
        target_temperature: temperature of the targets, after the warm-up; a smaller one is sharper.
        warmup_temperature: temperature of the targets at the start (None: no warm-up).
        warmup_epochs: epochs over which it changes linearly.
        momentum: momentum of the centre.

    Raises:
        ConfigError: an impossible temperature, warm-up or momentum.

    Example:
        >>> term = Centering(3)
        >>> _, target = term.constrain({}, {0: torch.randn(8, 3)}, Clock())
        >>> bool(torch.allclose(target[0].sum(1), torch.ones(8)))
        True
    """

    separates = True
    center: Tensor

    def __init__(
        self,
        width: int,
        *,
        temperature: float = 0.1,
        target_temperature: float = 0.04,
        warmup_temperature: float | None = None,
        warmup_epochs: int = 0,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        start = target_temperature if warmup_temperature is None else warmup_temperature
        if not (temperature > 0 and target_temperature > 0 and start > 0) or warmup_epochs < 0:
            raise ConfigError(
                f"centred targets: temperatures must be > 0, not {temperature}, {target_temperature} and {start} (warm-up); "
                f"and warmup_epochs {warmup_epochs} >= 0"
            )
        if not 0 <= momentum <= 1:
            raise ConfigError(f"the centre's momentum must lie between 0 and 1, not {momentum}")
        self.temperature, self.target_temperature, self.momentum = temperature, target_temperature, momentum
        self.warmup_temperature, self.warmup_epochs = warmup_temperature, warmup_epochs
        # a centre that moves lets no class win; a target sharper than its student does not let all become alike
        centred: tuple[Collapse, ...] = ("point",) if momentum < 1 else ()
        sharpened: tuple[Collapse, ...] = ("nothing",) if target_temperature < temperature else ()
        self.guards = (*centred, "directions", *sharpened)
        self.register_buffer("center", torch.zeros(width))

    def constrain(self, z: Views, k: Views, clock: Clock) -> tuple[Views, Views]:
        """Log-probabilities of the students, probabilities of the targets: N x K."""
        students = {i: F.log_softmax(v / self.temperature, -1) for i, v in z.items()}
        start = self.target_temperature if self.warmup_temperature is None else self.warmup_temperature
        sharp = teacher_temperature(clock.epoch, self.warmup_epochs, start, self.target_temperature)
        return students, {j: F.softmax((v - self.center) / sharp, -1) for j, v in k.items()}

    @torch.no_grad()
    def observe(self, k: Views, clock: Clock) -> None:
        """Move the centre towards the mean of the targets."""
        mean = torch.cat(list(k.values())).mean(0).to(self.center.dtype)
        self.center.lerp_(mean, 1 - self.momentum)
