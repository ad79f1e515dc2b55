"""The three verbs of a marginal, which stands for log E_p(a)p(b)[e^T] and keeps the embedding from collapsing."""

import difflib
from typing import Any, Literal

from torch import Tensor, nn

from infomax.clock import Clock
from infomax.critic import unsaid
from infomax.errors import ConfigError, nearest

Collapse = Literal["point", "directions", "nothing"]
"""How an embedding can collapse: to one point; to few directions; to lengths of 0 (`infomax.training.watch.collapse`)."""

Views = dict[int, Tensor]
"""Embeddings by view index: the views that are students, or those that give targets."""


class Marginal(nn.Module):
    """The marginal term, or a stand-in for it; subclass it and override any of the three verbs.

    `constrain` changes the embeddings before they are compared (whitening, codes, a predictor). `penalty` is subtracted
    from the joint term (a log-partition, variance and covariance). `observe` remembers the targets after the update (a
    queue, a centre).

    A class with its own `constrain` may set `separates = True`. It then promises that each student, and the targets,
    are changed independently, in the same order, and keep their shape: constrain(z, k) = (constrain({i: z_i}, {}) for
    every i, constrain({}, k)). If the target is detached too, the graph of one view can be freed before the next one is
    built.

    `guards` names the collapses that it prevents, given its weights. If no marginal of a sentence prevents a collapse,
    the collapse watch needs less evidence to report it (`infomax.training.watch.collapse`).

    Example:
        >>> class Short(Marginal):
        ...     symmetric = True
        ...     def penalty(self, a, b): return (a.square().mean((-2, -1)) + b.square().mean((-2, -1))) / 2
        >>> import torch
        >>> Short().penalty(torch.ones(2, 3), torch.ones(2, 3))
        tensor(1.)
    """

    explicit = False  # a log-partition (in the population limit), so that joint - penalty is a bound on I(A; B)
    symmetric = False  # both sides are treated alike: constrain(z, z) = (w, w) and penalty(a, b) = penalty(b, a)

    guards: tuple[Collapse, ...] = (
        "point",
        "directions",
        "nothing",
    )  # against which collapses it stands, by its weights

    separates = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        unsaid(cls, "constrain", "penalty")

    def constrain(self, z: Views, k: Views, clock: Clock) -> tuple[Views, Views]:
        """Return students and targets, N x D each, as they are to be compared."""
        return z, k

    def penalty(self, a: Tensor, b: Tensor) -> Tensor | float:
        """The penalty for one directed pair of views, in nats: ... N D, ... N D -> ... ."""
        return 0.0

    def offset(self, n: int) -> float:
        """The constant between the authors' loss and the bound: the log of the number of candidates, for N = n rows."""
        return 0.0

    def observe(self, k: Views, clock: Clock) -> None:
        """After the update: remember the (unconstrained, detached) targets."""


VERBS = ("constrain", "penalty", "observe")


def writes(marginal: Marginal, *verbs: str) -> bool:
    """Whether a marginal has its own of some verbs, and not those of the base, which do nothing.

    Example:
        >>> writes(Marginal(), *VERBS)
        False
    """
    return any(getattr(type(marginal), verb) is not getattr(Marginal, verb) or verb in vars(marginal) for verb in verbs)


def check_writes(marginal: Marginal) -> None:
    """Refuse a marginal that does nothing, as by a verb that is misspelt.

    Raises:
        ConfigError: naming the nearest verb.

    Example:
        >>> class Short(Marginal):
        ...     def penality(self, a, b): return a.square().mean((-2, -1))
        >>> check_writes(Short())
        Traceback (most recent call last):
            ...
        infomax.errors.ConfigError: Short has no verb of a marginal and does nothing; of its 'penality': did you mean ...
    """
    if writes(marginal, *VERBS):
        return
    kind = type(marginal)
    own = [
        name for one in kind.__mro__[: kind.__mro__.index(Marginal)] for name in vars(one) if callable(vars(one)[name])
    ]
    close = [name for name in own if difflib.get_close_matches(name.lower(), VERBS, n=1, cutoff=0.6)]
    why = f"of its {close[0]!r}: {nearest(close[0], VERBS)}" if close else f"write {', '.join(VERBS)}, or some of them"
    raise ConfigError(f"{kind.__name__} has no verb of a marginal and does nothing; {why}")


def separates(marginal: Marginal) -> bool:
    """Whether views can be constrained one at a time, as the class that wrote `constrain` says of it.

    Example:
        >>> class Mixed(Marginal):
        ...     def constrain(self, z, k, clock): return {i: v - sum(k.values()) for i, v in z.items()}, k
        >>> separates(Marginal()), separates(Mixed())
        (True, False)
    """
    author = next(c for c in type(marginal).__mro__ if "constrain" in vars(c))
    return bool(vars(author).get("separates", False))
