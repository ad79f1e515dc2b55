"""A method is a sentence, `Learner(branch, target, joint, *marginals)`, and one update rule serves all methods.

z, k  = target.look(f, g, views)                         students and targets, N x D per view
z, k  = together(z, k)                                   from all processes, if there are several
z, k  = constrain(z, k)                                  each marginal in turn
bound = mean over pairs i != j of joint(z_i, k_j) - sum of penalties(z_i, k_j)       in nats, maximised
loss  = scale * (offset - bound)                         the authors' own number
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from infomax.checks import a_number, an_output, comparable, explained, of_one_type, rows_of, trained_by, two_sides
from infomax.clock import Clock
from infomax.errors import ConfigError, DataError, NumericsError, check_number, check_part, nearest, warn
from infomax.finite import not_finite
from infomax.joint import Joint
from infomax.marginal.base import Marginal, Views, check_writes, separates, writes
from infomax.parallel import average_gradients, gathered, mine, together, total_norm
from infomax.pieces import Accumulate, InPieces, check
from infomax.precision import FULL, Precision, begins, held_back
from infomax.target import Apart, Target, Twin, encode, held
from infomax.turns import takes_turns

Rules = Mapping[str, Mapping[str, float | str]]
"""Settings of the optimiser by part: {"predictor": {"lr": "constant"}}."""


class CollapseWarning(UserWarning):
    """Nothing keeps the embedding from collapsing, or it has begun to collapse."""


class NotFiniteError(NumericsError):
    """A loss or gradient is NaN or infinite; the weights are as they were before the update."""


class Output(NamedTuple):
    """The result for one batch: the authors' loss, the bound in nats, and students and targets by view index."""

    loss: Tensor
    bound: Tensor
    z: Views
    k: Views


class Learner(nn.Module):
    """A self-supervised method: joint - marginal, maximised by f (and by g, if the target says so).

    Args:
        branch: f, a module that maps a view to N x D (usually a `Branch`: encoder and projector).
        target: what g is, and how it is updated.
        joint: the term that pulls the two views of a sample together.
        *marginals: the terms that keep the embedding from collapsing; without any, a `CollapseWarning` is given.
        scale, offset: loss = scale * (offset + sum of the marginals' offsets - bound): the authors' official loss. Its
            scale acts like a factor of the learning rate.
        name: name for messages and tables.
        rules: learning-rate factors and weight decays of some parameters, which a run's own rules override
            (`infomax.optim.rules`).

    Raises:
        ConfigError: an argument that is not such a part (such as a class that was not instantiated), parts in another
            order, a marginal that does nothing, or a scale that is not above 0.
        DataError: when it is called: fewer than two views, views of different length, a batch of one sample, or
            embeddings that are not floating point or not N x D. With one dimension they are refused, with more only if
            the views are images. For other views, leading dimensions are independent problems (... N D), each with its
            own loss; `im.check(learner, views)` refuses them.

    Attributes:
        f, g: the branches; g is None if there is no second one.
        accumulate: how the encoding of a batch is split to save memory. The numbers stay the same; a split that would
            change them is refused (see `infomax.pieces`).
        recipe: the method and options it was built with, if a function of `infomax.methods` built it; else empty.

    Example:
        >>> from infomax import Alignment, Cosine, InfoNCE, Shared
        >>> cos = Cosine(temperature=0.5)
        >>> learner = Learner(nn.Linear(8, 4), Shared(), Alignment(cos), InfoNCE(cos))
        >>> learner([torch.randn(16, 8), torch.randn(16, 8)]).bound.ndim
        0
    """

    def __init__(
        self,
        branch: nn.Module,
        target: Target,
        joint: Joint,
        *marginals: Marginal,
        scale: float = 1.0,
        offset: float = 0.0,
        name: str = "own",
        rules: Rules | None = None,
    ) -> None:
        super().__init__()
        for part, kind in ((branch, nn.Module), (target, Target), (joint, Joint), *((m, Marginal) for m in marginals)):
            check_part("Learner(branch, target, joint, *marginals)", part, kind)
        for marginal in marginals:
            check_writes(marginal)
        check_number("a learner's scale", scale, above=True)
        check_number("a learner's offset", offset, least=-math.inf)
        self.target, self.joint = target, joint
        self.marginals = cast(Sequence[Marginal], nn.ModuleList(marginals))
        self.scale, self.offset, self.name = scale, offset, name
        self.f, self.g = branch, target.second(branch)
        self.recipe: dict[str, Any] = {}
        self.rules: Rules = {} if rules is None else rules
        self._accumulate: Accumulate = 1
        if not any(writes(marginal, "constrain", "penalty") for marginal in marginals):
            what = "no marginal with a penalty or a constraint" if marginals else "no marginal"
            warn(f"{name!r} has {what}: nothing keeps its embedding from collapsing", CollapseWarning)

    def edit(self, **parts: Any) -> "Learner":
        """A copy of the sentence with other `target`, `joint`, `marginals`, `scale`, `offset`, `name` or `rules`: an ablation.

        Parts that are not named are shared with the first learner, including the branch and the marginals' memory; g is
        built anew.

        Example:
            >>> import infomax as im
            >>> learner = im.methods.simsiam(nn.Linear(8, 4), projector=(4,), predictor=(2,))
            >>> import warnings
            >>> with warnings.catch_warnings(action="ignore"):
            ...     bare = learner.edit(marginals=(), name="no predictor")
            >>> len(bare.marginals)
            0
        """
        words: dict[str, Any] = {"target": self.target, "joint": self.joint, "marginals": tuple(self.marginals)}
        words |= {"scale": self.scale, "offset": self.offset, "name": self.name, "rules": self.rules}
        if unknown := next((name for name in parts if name not in words), None):
            raise ConfigError(f"a learner has no {unknown!r} to edit: {nearest(unknown, words)}")
        words |= parts
        marginals = words.pop("marginals")
        marginals = (marginals,) if isinstance(marginals, Marginal) else marginals
        edited = Learner(self.f, words.pop("target"), words.pop("joint"), *marginals, **words)
        edited.accumulate = self.accumulate
        return edited

    def extra_repr(self) -> str:
        """What is not a module: the name, the target, and how the loss follows from the bound."""
        return f"{self.name!r}, target={self.target!r}, scale={self.scale:g}, offset={self.offset:g}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        def wide(t: Tensor) -> Tensor:
            moved = fn(t)
            narrowed = moved.dtype in NARROW and t.dtype not in NARROW
            return t.to(moved.device, torch.float32) if narrowed else moved

        super()._apply(fn, recurse=False)  # type: ignore[no-untyped-call]
        for name, part in self.named_children() if recurse else ():
            # embeddings of 16 bits are compared in 32: what compares them (predictors, queues, centres) stays there
            part._apply(fn if name in ("f", "g") else wide)  # type: ignore[no-untyped-call]
        return self

    @property
    def accumulate(self) -> Accumulate:
        """How the encoding of a batch is split."""
        return self._accumulate

    @accumulate.setter
    def accumulate(self, pieces: Accumulate) -> None:
        check(pieces, self.f, self.g)
        self._accumulate = pieces

    @property
    def symmetric(self) -> bool:
        """Whether the pairs (i, j) and (j, i) have the same score."""
        return self.joint.symmetric and all(m.symmetric for m in self.marginals)

    def score(self, z: Views, k: Views, clock: Clock = Clock()) -> Tensor:  # noqa: B008  (a Clock cannot change)
        """The bound for given students and targets, in nats: a scalar, or one value per leading index.

        It is computed in at least 32 bits, whatever the type of the embeddings, also under autocast.

        Args:
            z: the students by view index, N x D each, with gradient.
            k: the targets by view index, N x D each; the very same dictionary if both sides are the same embeddings.
            clock: position in the run.

        Raises:
            DataError: no pair of different views, or embeddings that are not floating point.

        Example:
            >>> import infomax as im
            >>> learner = im.methods.simclr(nn.Identity(), projector=())
            >>> z = {i: torch.randn(8, 4, dtype=torch.bfloat16) for i in range(2)}
            >>> learner.score(z, z).dtype
            torch.float32
        """
        with torch.autocast(next(iter(z.values())).device.type, enabled=False):
            students = widened(z)
            return self._score(students, students if k is z else widened(k), clock)

    def _score(self, z: Views, k: Views, clock: Clock) -> Tensor:
        both, lead = k is z, next(iter(z.values())).ndim
        z, k = self._constrained(z, k, clock)
        pairs = [(i, j) for j in k for i in z if i != j]
        if both and self.symmetric:  # the other half of the pairs would say the same again
            pairs = [(i, j) for i, j in pairs if i < j]
        if not pairs:
            raise DataError(f"no pair of different views: students {sorted(z)}, targets {sorted(k)}")
        # leading indices that a marginal added, the cuts of a whitening, are averaged as the pairs are
        more = next(iter(z.values())).ndim - lead
        return torch.stack([self._pair(z[i], k[j]) for i, j in pairs]).flatten(0, more).mean(0)

    def _constrained(self, z: Views, k: Views, clock: Clock) -> tuple[Views, Views]:
        of_one_type(self.name, [*z.values(), *k.values()])
        for m in self.marginals:
            z, k = two_sides(m.constrain(z, k, clock), m)
        return z, k

    def _pair(self, a: Tensor, b: Tensor) -> Tensor:
        bound = a_number(self.joint(a, b), a, b, f"{type(self.joint).__name__}.forward")
        for m in self.marginals:
            bound = bound - a_number(m.penalty(a, b), a, b, f"{type(m).__name__}.penalty")
        return bound if isinstance(bound, Tensor) else a.new_full(a.shape[:-2], bound)

    def loss(self, bound: Tensor, n: int) -> Tensor:
        """The authors' official loss for a bound over n rows: scale * (offset - bound)."""
        return self.scale * (self.offset + sum(m.offset(n) for m in self.marginals) - bound)

    def forward(self, views: Sequence[Any], clock: Clock = Clock()) -> Output:  # noqa: B008
        """Compute loss and bound of one batch of views (the global ones first)."""
        comparable(self.name, views)
        rests = None if self.g is None else self._encoder(self.g)
        try:
            z, k = self.target.look(self._encoder(self.f), rests, views, clock)
        except RuntimeError as error:
            if (said := explained(self.name, views, error)) is not error:
                raise said from error
            raise
        students = widened(z)  # the objective is read in full precision, whatever the encoders ran in
        z, k = together(students, students if k is z else widened(k))
        n = rows_of(self.name, views, z, k)
        with torch.autocast(next(iter(z.values())).device.type, enabled=False):
            bound = self.score(z, k, clock)
        return Output(self.loss(bound, n), bound, z, k)

    @property
    def by_view(self) -> bool:
        """Whether the views can have separate graphs: targets are detached, and the bound is a sum over the students."""
        whole = all(getattr(type(self), verb) is getattr(Learner, verb) for verb in ("forward", "score", "loss"))
        apart = isinstance(self.target, Apart) and type(self.target).look is Apart.look
        return whole and apart and all(separates(m) for m in self.marginals)

    def climb(self, views: Sequence[Any], clock: Clock = Clock(), precision: Precision = FULL) -> Output:  # noqa: B008
        """Add the gradients of one batch's loss to the parameters' gradients; the output carries no graph.

        If possible (`by_view`), the gradients of one view are computed before the next view is encoded. This needs half
        the activations of two views, for the same computation and the same numbers.

        Args:
            views: the batch, once per view.
            clock: position in the run.
            precision: floating-point precision of the computation.

        Example:
            >>> import infomax as im
            >>> learner = im.methods.byol(nn.Linear(8, 4), projector=(4,), predictor=(4,))
            >>> output = learner.climb([torch.randn(16, 8), torch.randn(16, 8)])
            >>> learner.by_view, output.loss.requires_grad, learner.f.encoder.weight.grad.shape
            (True, False, torch.Size([4, 8]))
        """
        if not self.by_view:
            with precision.forward():
                seen: Output = self(views, clock)
            precision.backward(seen.loss.sum())
            sides = ({i: v.detach() for i, v in side.items()} for side in (seen.z, seen.k))
            return Output(seen.loss.detach(), seen.bound.detach(), *sides)

        comparable(self.name, views)
        target = cast(Apart, self.target)
        climbs, rests = map(self._encoder, target.branches(self.f, self.g, clock))
        student, aim = target.sides(len(views))
        pairs = [(i, j) for j in aim for i in student if i != j]
        if not pairs:
            raise DataError(f"no pair of different views: students {student}, targets {aim}")
        with precision.forward():
            k = gathered(widened(held(rests, views, aim)))
            with torch.autocast(k[aim[0]].device.type, enabled=False):
                _, compared = self._constrained({}, k, clock)
        z: Views = {}
        bounds: dict[tuple[int, int], Tensor] = {}
        for i in student:
            with precision.forward():
                one = gathered(widened(encode(climbs, views, [i])))
                n = rows_of(self.name, views, one, k)
                with torch.autocast(one[i].device.type, enabled=False):
                    a = self._constrained(one, {}, clock)[0][i]
                    here = {(i, j): self._pair(a, compared[j]) for j in aim if j != i}
            if here:
                precision.backward(-self.scale * torch.stack(list(here.values())).sum() / len(pairs))
            z[i] = one[i].detach()
            bounds |= {pair: b.detach() for pair, b in here.items()}
        bound = torch.stack([bounds[pair] for pair in pairs]).mean(0)
        return Output(self.loss(bound, n), bound, z, k)

    def refuse_frozen(self, clock: Clock) -> None:
        """Refuse an update that could change nothing, as all parameters of what it trains are frozen.

        Args:
            clock: position in the run; with two encoders its phase says which one is trained.

        Raises:
            ConfigError: the message says which branch, and what to do.
        """
        target = self.target
        branch = target.branches(self.f, self.g, clock)[0] if isinstance(target, Apart) else self.f
        if any(p.requires_grad for part in (branch, self.joint, *self.marginals) for p in part.parameters()):
            return
        if next(branch.parameters(), None) is None:
            return
        which, call = ("second encoder", "learner.g") if branch is self.g else ("encoder", "learner.f")
        still = f"; for one that stands still, call im.step at a clock of phase {1 - clock.phase} alone: its turns are left out"
        raise ConfigError(
            f"{self.name!r}: the {which} is to climb, and all its parameters are frozen: {call}.requires_grad_(True) lets it"
            f"{still if isinstance(target, Twin) else ''}"
        )

    def _encoder(self, branch: nn.Module) -> nn.Module:
        whole = self.accumulate == 1 or (self.accumulate == "views" and self.by_view)
        return branch if whole else InPieces(branch, self.accumulate)

    def rest(self, clock: Clock) -> None:
        """Drop the gradients of parts that are frozen in the first epochs (the prototypes of DINO and SwAV)."""
        for m in self.modules():
            if getattr(m, "frozen_epochs", 0) > clock.epoch:
                for p in m.parameters():
                    p.grad = None

    def after_step(self, output: Output, clock: Clock) -> None:
        """The target's M-step, then the marginals' memory: to be called after the optimizer's step, as `step` does.

        Args:
            output: the learner's output for the batch.
            clock: position in the run.

        Raises:
            ConfigError: `output` is not the output of a learner.
        """
        an_output(output, "after_step")
        self.target.m_step(self.f, self.g, clock)
        self.observe(output, clock)

    def observe(self, output: Output, clock: Clock) -> None:
        """Let the marginals remember a batch (a queue, a centre): a part of `after_step`, for updates of several batches.

        Args:
            output: the learner's output for the batch.
            clock: position in the run.

        Raises:
            ConfigError: `output` is not the output of a learner.

        Example:
            >>> import infomax as im
            >>> learner = im.methods.moco_v2(nn.Linear(8, 4), projector=(4,), queue=64)
            >>> learner.observe(learner([torch.randn(16, 8), torch.randn(16, 8)]), Clock())
            >>> int(learner.marginals[0].pointer)
            16
        """
        an_output(output, "observe")
        k = {j: v.detach() for j, v in output.k.items()}
        for m in self.marginals:
            m.observe(k, clock)

    @property
    def encoder(self) -> nn.Module:
        """What is kept after training: the encoder of f, without its projector."""
        inner = getattr(self.f, "encoder", self.f)
        return inner if isinstance(inner, nn.Module) else self.f


NARROW = (torch.float16, torch.bfloat16)


def widened(side: Views) -> Views:
    """Embeddings of 16 bits in 32, where differences of scores and sums of exponentials can be told apart."""
    return {i: z.float() if z.dtype in NARROW else z for i, z in side.items()}


def step(
    learner: Learner,
    views: Sequence[Any],
    optimizer: Optimizer,
    clock: Clock = Clock(),  # noqa: B008
    *,
    clip_norm: float | None = None,
    precision: Precision = FULL,
) -> Output:
    """Make one update; the same for every method.

    Args:
        learner: the method to train.
        views: the batch, once per view (with several processes: this process's slice).
        optimizer: an optimizer over the learner's parameters. A branch that is not trained in this update has no
            gradient, and is not changed.
        clock: position in the run.
        clip_norm: maximum norm of the gradient, over all parameters; None: no clipping.
        precision: floating-point precision of the computation.

    Raises:
        NotFiniteError: the loss or the gradient is not finite; the weights are then unchanged.
        ConfigError: an optimizer without any of the learner's parameters, or a frozen branch that is to be trained.
        DataError: views that cannot be used, such as images in bytes, unless the encoder takes them.

    Warns:
        UserWarning: once, if of two encoders trained in turn the second one never was: at the clock's end, or after a
            hundred updates without a clock.

    Example:
        >>> import infomax as im
        >>> learner = im.methods.jmi(nn.Linear(8, 4), projector=())
        >>> optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
        >>> before = learner.f.encoder.weight.clone()
        >>> _ = step(learner, [torch.randn(16, 8), torch.randn(16, 8)], optimizer)
        >>> bool((before != learner.f.encoder.weight).any())
        True
    """
    begins()
    trained_by(optimizer, learner, learner.name, views)
    takes_turns(learner, clock)
    optimizer.zero_grad(set_to_none=True)
    try:
        output = learner.climb(views, clock, precision)
    except RuntimeError as error:
        if "does not require grad" in str(error):
            learner.refuse_frozen(clock)
        if (said := explained(learner.name, views, error)) is not error:
            raise said from error
        raise
    learner.rest(clock)
    average_gradients(learner.parameters())
    seen = output.loss.sum()
    if not precision.scales:
        seen = seen + 0 * gradient_norm(learner)  # one look at both: an accelerator waits once a step, not twice
    finite = torch.isfinite(seen)
    later = not precision.scales and held_back(optimizer, ~finite)
    if not later and not finite:
        raise NotFiniteError(not_finite(learner, views, output, clock))
    precision.unscale(optimizer)
    if clip_norm is not None:
        shorter = (clip_norm / (gradient_norm(learner) + 1e-6)).clamp(max=1.0)
        torch._foreach_mul_([mine(p.grad) for p in learner.parameters() if p.grad is not None], shorter)
    precision.step(optimizer)
    if later and not finite:
        raise NotFiniteError(not_finite(learner, views, output, clock))
    learner.after_step(output, clock)
    return output


def gradient_norm(module: nn.Module) -> Tensor:
    """The Euclidean norm of all gradients together."""
    return total_norm([p.grad for p in module.parameters() if p.grad is not None])
