"""Checks that the parts of a learner keep their promises: `im.check(learner)`, for parts of your own.

Training relies on what a part promises: that the diagonal of a critic's `crossed` is its `paired`, that a part that
declares itself `symmetric` is. In an update only shapes are checked; here each promise is tried on random embeddings.

- critic: `paired` gives N scores and `crossed` N x M; the diagonal of the one is the other; a score depends on its own two
  rows alone; `symmetric` and `of_directions` are true where declared
- joint term and `penalty`: one finite number per pair of views, the same for any order of the rows; `symmetric`; the
  gradient is that of the value
- `constrain`: both sides by view, with their rows; `symmetric`; `separates`
- `offset`: a finite number
- bound: finite, the same in float32 and float64 and for any order of the rows; the gradient is that of the value
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from infomax.checks import a_number, comparable, rows_of, two_sides
from infomax.clock import Clock
from infomax.critic import Critic, crossed_scores, paired_scores
from infomax.encoders.width import width_of
from infomax.errors import ConfigError, DataError, InfomaxError, check_part
from infomax.heads import copied
from infomax.joint import Joint
from infomax.learner import Learner
from infomax.marginal.base import Marginal, Views, separates, writes
from infomax.marginal.constraint import Sinkhorn, Whitening
from infomax.marginal.partition import InfoNCE

MOST_ROWS = 64
"""Of embeddings that are drawn, and of those that critics are tried on: some look at N x M x D numbers."""
MOST_KEYS = 1024
"""Of a queue of ours, where each key is read as every other: as many as take the kernel that the whole of it takes."""
Look = Callable[[], Tensor]
Term = Callable[[Tensor, Tensor], Any]
BOUND, SYMMETRIC, ANY_ORDER = "the bound", "symmetric, as it says", "the same in any order of the rows"
GRADIENT = "its gradient is that of its value"
ORDERED = "it is {2:.6g} of the rows in one order and {3:.6g} in another: a sample's place in the batch says nothing"
VARIES = "left out: it varies from call to call"
CUT_OFF = (
    "its gradient is not that of its value: something in it is cut off (detach, no_grad, .item(), numpy) or rounded "
    "(.float()); where that is meant, im.check(learner, gradient=False)"
)


class Line(NamedTuple):
    """What was looked at: the part, what it promises, and `ok` or why it was left out."""

    part: str
    promise: str
    found: str


class Checked(list[Line]):
    """The lines of a check, printed as a table."""

    def __repr__(self) -> str:
        part, promise = (max((len(line[column]) for line in self), default=0) for column in (0, 1))
        return "\n".join(f"{line.part:{part}}  {line.promise:{promise}}  {line.found}" for line in self)


def check(learner: Learner, views: Sequence[Any] | None = None, *, gradient: bool = True, seed: int = 0) -> Checked:
    """Test on random embeddings what the parts of a learner promise: do it once before training a method of your own.

    The joint term and the marginals are copied to float64 on the CPU (of the queue of an `InfoNCE`, 1,024 keys); the
    learner itself is not changed.

    Args:
        learner: any learner, in particular one with a critic, joint term or marginal of your own.
        views: a batch, once per view. It is encoded (by a copy), and the random embeddings get the shape of its
            embeddings. None: the embeddings have 8 columns, or the branch's width if the parts hold weights or a
            memory.
        gradient: whether to compare the gradient by autograd with differences (`torch.autograd.gradcheck`, fast mode).
            Set False if a part detaches its gradient on purpose. Sinkhorn's codes, which do, are left out
            automatically.
        seed: random seed of the embeddings.

    Returns:
        One line per promise. What varies from call to call, such as a random draw, is left out of the comparisons, and
            the line says so.

    Raises:
        ConfigError: one line for every promise that does not hold: which part, what was found, and what to do.
        DataError: views that cannot be compared, or an encoder that does not return N x D.

    Example:
        >>> from infomax import Alignment, Cosine, Critic, DonskerVaradhan, InfoNCE, Shared
        >>> cos = Cosine(temperature=0.1)
        >>> check(Learner(nn.Identity(), Shared(), Alignment(cos), DonskerVaradhan(cos)))[2]
        Line(part='Cosine.crossed', promise='its diagonal is paired', found='ok')
        >>> class Halved(Critic):
        ...     def paired(self, a, b): return (a * b).sum(-1) / 2
        ...     def crossed(self, a, b): return a @ b.mT
        >>> own = Halved()
        >>> check(Learner(nn.Identity(), Shared(), Alignment(own), InfoNCE(own)))
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: 'own' promises what its parts do not keep:
          Halved.crossed: its diagonal is not what paired gives: of row ... both are one T(a, b)
    """
    check_part("im.check", learner, Learner)
    trial = _Trial()
    with (
        torch.inference_mode(False),
        torch.enable_grad(),  # where a call is without, all gradients would seem to be cut off
        torch.device("cpu"),
        torch.random.fork_rng(devices=[]),
    ):
        torch.default_generator.manual_seed(seed)  # the CPU's alone
        z, k = _random(learner) if views is None else _like(learner, views)
        if any(isinstance(m, Sinkhorn) for m in learner.marginals) and k is z:
            gradient = False
        parts = copied(learner, {branch: nn.Identity() for branch in (learner.f, learner.g) if branch is not None})
        _shortened(parts)
        parts = parts.cpu().double()
        _parts(trial, parts, z, k, gradient)
    if trial.broken:
        said = "".join(f"\n  {line}" for line in dict.fromkeys(trial.broken))
        raise ConfigError(f"{learner.name!r} promises what its parts do not keep:{said}")
    return trial.lines


class _Trial:
    """Tries one promise after the other, and notes how each went."""

    def __init__(self) -> None:
        self.lines, self.broken = Checked(), list[str]()

    def __call__(self, part: str, promise: str, test: Callable[[], str]) -> bool:
        """Whether a promise is kept; the test says what is wrong and what to do, and nothing where it is kept."""
        try:
            said = test()
        except InfomaxError as error:
            said = str(error)
        except Exception as error:  # a part of the user's may raise anything
            said = f"raises {type(error).__name__}: {error}"
        if said:
            self.broken.append(said if said.startswith(part) else f"{part}: {said}")
        else:
            self.lines.append(Line(part, promise, "ok"))
        return not said

    def alike(self, part: str, promise: str, found: Look, wanted: Look, said: str) -> None:
        """Whether two looks are one; `said` of where they are not: the row, the other row, and the two numbers."""

        def test() -> str:
            x, y = found().detach(), wanted().detach()
            if _same(x, y):
                return ""
            at = int((x - y).abs().flatten().argmax())
            i, j = divmod(at, x.shape[-1]) if x.ndim == 2 else (at, at)
            return said.format(i, j, float(x.flatten()[at]), float(y.flatten()[at]))

        self(part, promise, test)

    def finite(self, part: str, promise: str, *looks: Look) -> bool:
        """Whether all that is seen is finite."""
        said = "gives NaN or infinity of random embeddings"
        return self(part, promise, lambda: "" if all(bool(look().isfinite().all()) for look in looks) else said)

    def steady(self, part: str, look: Look) -> bool:
        """Whether two looks at the same are one; else the rest is left out."""
        if _same(look(), look()):
            return True
        self.lines.append(Line(part, "whatever else it promises", VARIES))
        return False

    def gradient(self, part: str, f: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
        """Whether autograd and differences agree."""

        def test() -> str:
            leaves = [v.detach().clone().requires_grad_() for v in inputs]
            kept = torch.autograd.gradcheck(
                f, leaves, raise_exception=False, fast_mode=True, check_undefined_grad=False
            )
            return "" if kept else CUT_OFF

        self(part, GRADIENT, test)


def _same(x: Tensor, y: Tensor) -> bool:
    return x.shape == y.shape and torch.allclose(x, y, rtol=1e-6, atol=1e-8, equal_nan=True)


# ---- the embeddings ------------------------------------------------------------------------------------------------------
def _random(learner: Learner) -> tuple[Views, Views]:
    """Embeddings past the encoder, of a shape that the parts can take."""
    words = (learner.joint, *learner.marginals)
    held = chain.from_iterable(chain(part.parameters(), part.buffers()) for part in words)
    d = 8
    if next(held, None) is not None:  # a predictor, prototypes or a queue are of one width
        with suppress(ConfigError):
            d = width_of(learner.f)
    n = max(16, min(2 * d, MOST_ROWS))
    for size in (m.size for m in learner.marginals if isinstance(m, Whitening)):
        n, d = size, min(d, max(1, size // 2))
    return _drawn(*learner.target.sides(2), learner.target.m_step_is is None, n, d)


def _like(learner: Learner, views: Sequence[Any]) -> tuple[Views, Views]:
    """Embeddings of the shape that a batch's have."""
    comparable(learner.name, views)
    seen = copied(learner)
    with torch.no_grad():
        z, k = seen.target.look(seen.f, seen.g, views, Clock())
    rows_of(learner.name, views, z, k)
    some = next(iter(z.values()))
    if some.ndim != 2:
        raise DataError(
            f"{learner.name!r}: an embedding of shape {tuple(some.shape)}: an encoder gives N x D, and leading indices are "
            "read as independent problems; add pooling or flattening"
        )
    return _drawn(list(z), list(k), k is z, *some.shape)


def _drawn(students: Sequence[int], targets: Sequence[int], joint: bool, n: int, d: int) -> tuple[Views, Views]:
    x = torch.randn(n, d, dtype=torch.float64)
    z = {i: x + torch.randn_like(x) / 2 for i in students}
    return z, z if joint else {j: x + torch.randn_like(x) / 2 for j in targets}


def _shortened(parts: Learner) -> None:
    """Leave out keys of long queues, which every look passes over; the longest are kept, and before them what is no number."""
    for m in parts.marginals:
        if type(m) is InfoNCE and m.has_queue:
            m.queue = m.queue[m.queue.norm(dim=1).argsort(descending=True)[:MOST_KEYS]]


# ---- the promises --------------------------------------------------------------------------------------------------------
def _parts(trial: _Trial, learner: Learner, z: Views, k: Views, gradient: bool) -> None:
    changed = z, k
    for m in learner.marginals:
        if writes(m, "constrain"):
            after = _constrain(trial, m, *changed)
            if after is None:
                return
            changed = after
    pairs = [(v, w) for j, w in changed[1].items() for i, v in changed[0].items() if i != j]
    if not pairs:
        raise DataError(f"no pair of different views: students {sorted(z)}, targets {sorted(k)}")
    a, b = (
        side.detach().flatten(0, -3)[0] if side.ndim > 2 else side.detach() for side in pairs[0]
    )  # one cut of several

    joint, n = learner.joint, len(a)
    critics = dict.fromkeys(c for part in (joint, *learner.marginals) for c in part.modules() if isinstance(c, Critic))
    wrong: set[nn.Module] = {c for c in critics if not _critic(trial, c, a[:MOST_ROWS], b[:MOST_ROWS])}
    terms: list[tuple[Joint | Marginal, str, Term]] = [(joint, f"{type(joint).__name__}.forward", joint)]
    terms += [(m, f"{type(m).__name__}.penalty", m.penalty) for m in learner.marginals if writes(m, "penalty")]
    for part, name, term in terms:
        if wrong.isdisjoint(part.modules()):  # what reads a wrong critic would only say the same again
            _term(trial, name, term, a, b, symmetric=part.symmetric, climb=(2 if k is z else 1) if gradient else 0)
    for m in learner.marginals:
        if writes(m, "offset"):
            trial.finite(f"{type(m).__name__}.offset", "a finite number", lambda m=m: torch.as_tensor(m.offset(n)))  # type: ignore[misc]
    if not trial.broken:
        _bound(trial, learner, z, k, gradient)


def _critic(trial: _Trial, critic: Critic, a: Tensor, b: Tensor) -> bool:
    """Whether a critic keeps all."""
    name, before = type(critic).__name__, len(trial.broken)
    pairs, crosses = (getattr(type(critic), verb) is not getattr(Critic, verb) for verb in ("paired", "crossed"))

    def scores(a: Tensor, b: Tensor) -> Tensor:  # one that has no `crossed` fits a joint term alone
        return crossed_scores(critic, a, b) if crosses else paired_scores(critic, a, b)

    if pairs or not crosses:
        trial.finite(f"{name}.paired", "one finite score a pair: N", lambda: paired_scores(critic, a, b))
    if crosses:
        looks = (lambda: scores(a, b)), (lambda: scores(a, b[1:]))
        trial.finite(f"{name}.crossed", "one finite score a combination: N x M", *looks)
    if len(trial.broken) > before:
        return False
    if not trial.steady(name, lambda: scores(a, b)):
        return True
    if pairs and crosses:
        trial.alike(
            f"{name}.crossed",
            "its diagonal is paired",
            lambda: scores(a, b).diagonal(),
            lambda: paired_scores(critic, a, b),
            "its diagonal is not what paired gives: of row {} with row {} it is {:.4g}, paired is {:.4g}; both are one T(a, b)",
        )
    trial.alike(
        name,
        "a score is of its own two rows alone",
        lambda: scores(a, b)[1:, 1:] if crosses else scores(a, b)[1:],
        lambda: scores(a[1:], b[1:]),
        "of row {} with row {} T is {:.4g}, and {:.4g} where another row is left out: a score is of its own two rows alone",
    )
    if critic.symmetric:
        trial.alike(
            name,
            SYMMETRIC,
            lambda: scores(a, b),
            lambda: scores(b, a).mT if crosses else scores(b, a),
            "it says symmetric = True, and of row {} with row {} T(a, b) is {:.4g} where T(b, a) is {:.4g}: say False",
        )
    if critic.of_directions:
        lengths = torch.linspace(1, 3, len(a), dtype=a.dtype).unsqueeze(1)
        trial.alike(
            name,
            "of directions, as it says",
            lambda: scores(a, b),
            lambda: scores(a * lengths, b * lengths.flip(0)),
            "it says of_directions = True, and of row {} with row {} T is {:.4g}, of longer rows {:.4g}: say False",
        )
    return len(trial.broken) == before


def _constrain(trial: _Trial, m: Marginal, z: Views, k: Views) -> tuple[Views, Views] | None:
    """The sides as a marginal changes them; None where it cannot."""
    name = f"{type(m).__name__}.constrain"

    def sides(z: Views, k: Views) -> tuple[Views, Views]:
        return two_sides(m.constrain(z, k, Clock()), m)

    def joined(*views: Views) -> Tensor:
        return torch.cat([v.flatten() for side in views for v in side.values()])

    def by_view() -> str:
        for was, now in zip((z, k), sides(z, k), strict=True):
            rows = {v.shape[-2] for v in was.values()}
            if now.keys() != was.keys() or any(v.shape[-2] not in rows for v in now.values()):
                return f"gives {_shapes(now)} for {_shapes(was)}: return each view's N rows under its number"
        return ""

    def by_itself() -> Tensor:
        return joined(*(sides({i: v}, {})[0] for i, v in z.items()), sides({}, k)[1])

    if not trial(name, "both sides by view, N rows each", by_view):
        return None
    if trial.steady(name, lambda: joined(*sides(z, k))):
        if m.symmetric:
            said = "it says symmetric = True, and changes students and targets otherwise: say False"
            trial.alike(name, SYMMETRIC, lambda: joined(sides(z, z)[0]), lambda: joined(sides(z, z)[1]), said)
        if separates(m):
            said = (
                "it says separates = True, and a view is changed otherwise by itself than among the others: say False"
            )
            trial.alike(name, "separates, as it says", lambda: joined(*sides(z, k)), by_itself, said)
    return sides(z, k)


def _shapes(views: Mapping[int, Tensor]) -> dict[int, tuple[int, ...]]:
    return {i: tuple(v.shape) for i, v in views.items()}


def _term(
    trial: _Trial,
    name: str,
    term: Callable[[Tensor, Tensor], Any],
    a: Tensor,
    b: Tensor,
    *,
    symmetric: bool,
    climb: int,
) -> None:
    """A joint term or a penalty; `climb`: sides that a gradient reaches."""

    def value(a: Tensor, b: Tensor) -> Tensor:
        return torch.as_tensor(a_number(term(a, b), a, b, name), dtype=a.dtype)

    if not trial.finite(name, "one finite number a pair of views", lambda: value(a, b)):
        return
    if not trial.steady(name, lambda: value(a, b)):
        return
    order = torch.randperm(len(a))
    trial.alike(name, ANY_ORDER, lambda: value(a, b), lambda: value(a[order], b[order]), ORDERED)
    if symmetric:
        said = "it says symmetric = True, and gives {2:.6g} of (a, b) and {3:.6g} of (b, a): say False"
        trial.alike(name, SYMMETRIC, lambda: value(a, b), lambda: value(b, a), said)
    if climb:
        trial.gradient(name, lambda *x: value(*x, *(a, b)[climb:]), (a, b)[:climb])


def _bound(trial: _Trial, learner: Learner, z: Views, k: Views, gradient: bool) -> None:
    """All together, as `score` reads them."""

    def bound(change: Callable[[Tensor], Tensor] = lambda v: v, learner: Learner = learner) -> Tensor:
        students, targets = ({i: change(v) for i, v in side.items()} for side in (z, k))
        return learner.score(students, students if k is z else targets).detach()

    def climbed(*rows: Tensor) -> Tensor:
        students = dict(zip(z, rows, strict=True))
        return learner.score(students, students if k is z else k)

    def single() -> str:
        found, value = bound(lambda v: v.float(), copied(learner).float()).double(), bound()
        said = f"it is {float(found):.6g} in float32 and {float(value):.6g} in float64: an exponential overflows, or digits"
        return "" if torch.allclose(found, value, rtol=1e-2, atol=1e-2) else f"{said} cancel"

    if not trial.finite(BOUND, "finite", bound) or not trial.steady(BOUND, bound):
        return
    order = torch.randperm(len(next(iter(z.values()))))
    trial(BOUND, "in float32 as in float64", single)
    trial.alike(BOUND, ANY_ORDER, bound, lambda: bound(lambda v: v[order]), ORDERED)
    if gradient:
        trial.gradient(BOUND, climbed, list(z.values()))
    else:
        trial.lines.append(Line(BOUND, GRADIENT, "left out: it is cut off on purpose"))
