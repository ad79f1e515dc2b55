"""What is trained: the eight methods, and the ablations as edits of two of them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from infomax import methods
from infomax.critic import Cosine
from infomax.errors import ConfigError, nearest
from infomax.joint import Alignment
from infomax.learner import CollapseWarning, Learner
from infomax.marginal import DonskerVaradhan, Predictor
from infomax.studies.toy.ensemble import MLP, Draws

TEMPERATURE = 0.5
METHODS = ("sdmi", "jmi", "simsiam", "byol", "moco_v3", "simclr", "barlow_twins", "vicreg")
ABLATIONS = ("sdmi", "sdmi_nodv", "sdmi_nodv_pred", "simsiam", "simsiam_no_predictor", "simsiam_sdmi")

Part = Callable[[], MLP]


def _sdmi(f: MLP, p: Part) -> Learner:
    return methods.sdmi(f, projector=(), temperature=TEMPERATURE)


def _simsiam(f: MLP, p: Part) -> Learner:
    return methods.simsiam(f, projector=(), predictor=p())


_BUILD: dict[str, Callable[[MLP, Part], Learner]] = {
    "sdmi": _sdmi,
    "jmi": lambda f, p: methods.jmi(f, projector=(), temperature=TEMPERATURE),
    "simsiam": _simsiam,
    "byol": lambda f, p: methods.byol(f, projector=(), predictor=p(), momentum=0.99),
    "moco_v3": lambda f, p: methods.moco_v3(f, projector=(), predictor=p(), temperature=0.2, momentum=0.99),
    "simclr": lambda f, p: methods.simclr(f, projector=(), temperature=TEMPERATURE),
    "barlow_twins": lambda f, p: methods.barlow_twins(f, projector=()),
    # 25/25/1, the authors' weights for LARS, diverge under plain SGD of rate .5; the ratios are theirs
    "vicreg": lambda f, p: methods.vicreg(f, projector=(), invariance=1.0, variance=1.0, covariance=0.04),
    "sdmi_nodv": lambda f, p: _sdmi(f, p).edit(marginals=()),
    "sdmi_nodv_pred": lambda f, p: _sdmi(f, p).edit(marginals=(Predictor(p(), twin=True),)),
    "simsiam_no_predictor": lambda f, p: _simsiam(f, p).edit(marginals=()),
    "simsiam_sdmi": lambda f, p: _simsiam(f, p).edit(
        joint=Alignment(Cosine(TEMPERATURE)), marginals=(DonskerVaradhan(Cosine(TEMPERATURE)),)
    ),
}


@dataclass(frozen=True)
class Job:
    """One method under one setting, all seeds at once.

    Args:
        method: one of `METHODS` or `ABLATIONS`.
        seeds: what is drawn anew: data, views, weights, shuffles.
        n: samples a seed.
        epochs: passes over the data (an epoch of SDMI is an E- and an M-pass).
        batch: rows a batch; `n` is the full batch.
        lr: of SGD without momentum and weight decay, at the start; a cosine by epoch takes it to 0.
        last_norm: whether the encoder ends in a batch norm, as the paper's.
        taus: temperatures at which MI is read, at every epoch.
    """

    method: str
    seeds: tuple[int, ...]
    n: int
    epochs: int
    batch: int
    lr: float = 0.5
    last_norm: bool = True
    taus: tuple[float, ...] = (1.0,)

    @property
    def cost(self) -> float:
        """Roughly what it takes, in pairs of rows compared: to start the longest first, and for the time left.

        A row through a network and back costs some 4000 pairs, a step of the smallest batch some 10^7.
        """
        passes = {"sdmi": 4, "simclr": 4, "moco_v3": 2, "simsiam_sdmi": 2, "jmi": 1}.get(self.method, 0)
        updates = self.epochs * max(self.n // self.batch, 1)
        steps = updates * (2 if self.method.startswith("sdmi") else 1)
        readings = self.epochs * (len(self.taus) * self.n**2 + 3000 * self.n)
        return len(self.seeds) * (updates * passes * self.batch**2 + steps * 4000 * self.batch + readings) + steps * 1e7


def build(job: Job) -> Learner:
    """The learner of a job: the package's own method on an encoder 2-64-3 (paper, E.4), a predictor 3-64-3.

    Raises:
        ConfigError: an unknown method.

    Example:
        >>> learner = build(Job("simsiam", (0, 1), n=50, epochs=1, batch=50))
        >>> learner.name, [type(m).__name__ for m in learner.marginals]
        ('simsiam', ['Predictor'])
    """
    if job.method not in _BUILD:
        raise ConfigError(f"the toy study has no method {job.method!r}: {nearest(job.method, _BUILD)}")
    draws = Draws(job.seeds)
    f = MLP((2, 64, 3), draws, last_norm=job.last_norm)
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):  # the ablations are meant to
        learner = _BUILD[job.method](f, lambda: MLP((3, 64, 3), draws, last_norm=False))
    learner.name = job.method
    return learner
