"""Every sentence that the grammar of methods can say: target x joint x marginals, which of them have a name, and which
cannot be said and why."""

import itertools
import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from infomax import methods
from infomax.critic import Cosine, Critic, Dot, Euclidean
from infomax.errors import ConfigError, nearest
from infomax.heads import Branch, Prototypes
from infomax.joint import Alignment, CorrelationDiagonal, Joint
from infomax.learner import CollapseWarning, Learner
from infomax.marginal import (
    Centering,
    Decorrelation,
    DonskerVaradhan,
    InfoNCE,
    Marginal,
    Predictor,
    Sinkhorn,
    TaylorDonskerVaradhan,
    VarianceCovariance,
    Whitening,
    predictors,
)
from infomax.methods import METHODS
from infomax.studies.curves.plan import FIG7, LABELS
from infomax.studies.curves.plan import build as build_figure
from infomax.target import EMA, Shared, StopGradient, Target, Twin

TAU = 0.2
TARGETS: dict[str, Callable[[], Target]] = {
    "Shared": Shared,
    "StopGradient": StopGradient,
    "EMA": lambda: EMA(0.9),  # a quick one, for runs of a hundred updates
    "Twin": Twin,
}
JOINTS = ("cos", "dot", "-d²", "C_ii")
"""Alignment under a cosine at TAU, a dot product or a negative squared distance; Barlow Twins' correlations."""
# in the order in which they act: what changes the rows comes before what reads them
MARGINALS = (
    "Whitening",
    "Predictor",
    "Sinkhorn",
    "Centering",
    "DonskerVaradhan",
    "InfoNCE",
    "TaylorDonskerVaradhan",
    "VarianceCovariance",
    "Decorrelation",
)
PARTITIONS = ("DonskerVaradhan", "InfoNCE", "TaylorDonskerVaradhan")
CODES = ("Sinkhorn", "Centering")
MOMENTS = ("VarianceCovariance", "Decorrelation")


class Sentence(NamedTuple):
    """A target, a joint term and up to two marginals, by name."""

    target: str
    joint: str
    marginals: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.target} x {self.joint} x {marginals_of(self)}"


def marginals_of(sentence: Sentence) -> str:
    """How its marginals are called in a table."""
    return " + ".join(sentence.marginals) or "none"


def sets_of_marginals() -> list[tuple[str, ...]]:
    """None, one, or a pair, in the order in which they act."""
    return [(), *((m,) for m in MARGINALS), *itertools.combinations(MARGINALS, 2)]


def sentences() -> list[Sentence]:
    """All of them, the invalid ones too."""
    return [Sentence(t, j, m) for m in sets_of_marginals() for j in JOINTS for t in TARGETS]


def invalid(sentence: Sentence) -> str | None:
    """Why a sentence cannot be said, or None.

    Raises:
        ConfigError: a word that the grammar has not, naming the nearest.

    Example:
        >>> invalid(Sentence("Shared", "C_ii", ("InfoNCE",)))
        'a log-partition is of the critic that the joint term reads, and C_ii has none'
        >>> invalid(Sentence("Twin", "-d²", ("InfoNCE", "VarianceCovariance")))
    """
    for word, known in (
        (sentence.target, TARGETS),
        (sentence.joint, JOINTS),
        *((m, MARGINALS) for m in sentence.marginals),
    ):
        if word not in known:
            raise ConfigError(f"the grammar has no {word!r}: {nearest(word, known)}")
    said = set(sentence.marginals)
    if len(said) < len(sentence.marginals):
        return "a marginal is said twice"
    partitions, codes = said & set(PARTITIONS), said & set(CODES)
    if len(partitions) > 1:
        return "two stand-ins of the one log-partition against one joint term"
    if len(codes) > 1:
        return "the targets are turned into codes twice"
    if codes and said & {*PARTITIONS, *MOMENTS}:
        return "the penalty would read codes, which are probabilities, and not embeddings"
    if codes and sentence.joint != "dot":
        return "codes are compared by cross-entropy, the dot product of log-probabilities and probabilities"
    if partitions and sentence.joint == "C_ii":
        return "a log-partition is of the critic that the joint term reads, and C_ii has none"
    if "TaylorDonskerVaradhan" in said and sentence.joint == "-d²":
        return "the moments of Taylor-DV are those of a product: cos or dot"
    if said == {"Whitening", "VarianceCovariance"}:
        return "whitened rows have unit variance and no covariance: the penalty is a constant"
    return None


def build(sentence: Sentence, encoder: nn.Module, projector: tuple[int, ...]) -> Learner:
    """A learner that says the sentence.

    Args:
        sentence: a valid one.
        encoder: view -> N x width.
        projector: widths of its layers, batch norm between them.

    Raises:
        ConfigError: an invalid one, with the reason.

    Example:
        >>> learner = build(Sentence("Twin", "cos", ("Predictor", "DonskerVaradhan")), nn.Linear(8, 16), (8, 4))
        >>> target, critic, marginals = signature(learner)
        >>> target, critic, sorted(marginals)
        ('Twin', 'cos', ['DonskerVaradhan', 'Predictor'])
    """
    if reason := invalid(sentence):
        raise ConfigError(f"{sentence}: {reason}")
    branch = Branch(encoder, projector)
    critic = {"cos": Cosine(TAU), "dot": Dot(), "-d²": Euclidean(), "C_ii": Cosine(TAU)}[sentence.joint]
    joint: Joint = CorrelationDiagonal() if sentence.joint == "C_ii" else Alignment(critic)
    marginals = [_marginal(m, branch, critic, twin=sentence.target == "Twin") for m in sentence.marginals]
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):  # "none" is a row of the table
        return Learner(branch, TARGETS[sentence.target](), joint, *marginals, name=str(sentence))


def _marginal(name: str, branch: Branch, critic: Critic, *, twin: bool) -> Marginal:
    match name:
        case "DonskerVaradhan":
            return DonskerVaradhan(critic)
        case "InfoNCE":
            return InfoNCE(critic)
        case "TaylorDonskerVaradhan":
            assert isinstance(critic, Dot)
            return TaylorDonskerVaradhan(critic)
        case "VarianceCovariance":
            return VarianceCovariance(1.0, 0.04)  # the authors' 25 and 1 to a joint weight of 25
        case "Decorrelation":
            return Decorrelation()
        case "Whitening":
            return Whitening(256)
        case "Sinkhorn":
            return Sinkhorn(Prototypes(branch.width, 64))
        case "Centering":
            return Centering(branch.width)
    (predictor,) = predictors((64,), branch)
    return Predictor(predictor.net, twin=twin)


Signature = tuple[str, str, frozenset[str]]


def signature(learner: Learner) -> Signature:
    """What a learner says, whatever its numbers: target, joint, marginals."""
    kinds: dict[str, type[Target]] = {"Shared": Shared, "StopGradient": StopGradient, "EMA": EMA, "Twin": Twin}
    kind = next(name for name, each in kinds.items() if isinstance(learner.target, each))
    return kind, _joint_word(learner.joint), frozenset(type(m).__name__ for m in learner.marginals)


def _joint_word(joint: Joint) -> str:
    if isinstance(joint, Alignment):
        # BYOL's Chord is the cosine, and a Cosine is a Dot of unit rows
        return {"Dot": "dot", "Euclidean": "-d²"}.get(type(joint.critic).__name__, "cos")
    return "C_ii"


def names() -> dict[Signature, list[str]]:
    """What has a name: every method of the package and the ablations of fig. 7, by what they say.

    Example:
        >>> names()["EMA", "cos", frozenset({"Predictor"})]
        ['BYOL', 'BGRL']
    """
    from infomax.report.looks import style

    found: dict[Signature, list[str]] = {}
    for name, method in METHODS.items():
        with torch.device("meta"):
            found.setdefault(signature(method(nn.Linear(8, 256))), []).append(style(name).label)
    with torch.device("meta"):
        distance = methods.w_mse(nn.Linear(8, 256), normalize=False)
    found.setdefault(signature(distance), []).append("W-MSE, distance")
    for name in FIG7:
        key = signature(build_figure(name, nn.Linear(8, 256)))
        if key not in found:
            found[key] = [LABELS[name]]
    return found


def known_as(sentence: Sentence, known: dict[Signature, list[str]]) -> str | None:
    """The name of a sentence, or None: no method of the package and no ablation of the paper says it."""
    found = known.get((sentence.target, sentence.joint, frozenset(sentence.marginals)))
    return None if found is None else ", ".join(found)
