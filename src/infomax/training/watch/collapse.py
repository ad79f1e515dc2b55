r"""The collapse watch: it checks a run on its own batches, and warns once, with what it saw and what may help.

An embedding can collapse in three ways, and each has early signs:

- **to a point** (completely): all unit rows point the same way, so their standard deviation $s = \sqrt D \,
  \overline{\sigma_d}$ goes to 0. A warning is given if s is below `COLLAPSED_STD`. It is given earlier if s is below
  `CLOSED` of its maximum so far, while the information between two views, $I$, has lost `LOST_INFORMATION` of *its*
  maximum, and more than `INFORMED`: the joint term then grows at the expense of the information that it should carry. A
  falling spread alone is not a collapse: a sharp cosine critic may pass through a narrow cone, and reads more and more
  from it. (One batch of 128 is noisy: I is a running mean of its readings.) Staying in the cone is a sign: for rows
  whose mean cosine is $1 - s^2$, the critic $\cos/\tau$ reads at most some $s^2/\tau$ nats (the log-mean of $e^T$ is
  above the mean of T), so `CLOSED` of the spread leaves a sixteenth to be read. So a warning is also given if the
  spread has been below that share for `LINGERS` of the run, unless the joint term uses lengths, which a cone does not
  bound.
- **to few directions** (dimensionally), while a batch norm holds s up: the effective rank of the centred rows is below
  `LOST_RANK` of the rank that the random network had on the same batch size and width, which is what was attainable
  there, and below `FEW`. Healthy runs lose most of their directions, and fast, so the threshold is low: what a guard
  leaves is what the classes need, or more. It is not a collapse if the remaining directions tell the views apart by
  `INFORMED` more than those of the random network did, and by half of the maximum so far; nor while I is above its
  value at the start, and above 0, and has not lost that share.
- **to nothing**, if the joint term uses lengths (a distance, a product: VICReg, DINO): the embedding shrinks, or all
  classes become equally likely, while its unit rows may stay apart for long. A warning is given if the standard
  deviation of the raw rows is below `SHRUNK` of its maximum so far, or of 1: VICReg lets it fall to that. A distance
  becomes small by shrinking, which is a collapse whatever I reads. A product does not, and may shrink while I rises, as
  DINO's does under SGD. A cosine does not depend on lengths, and weight decay may remove them.

If none of the marginals guards against a collapse (`unguarded`: for a sentence without a marginal all three, for VICReg
without its covariance term the loss of directions), nothing would stop it, and the same signs mean more. Then
`CLOSED_BARE` of the spread (or of the lengths) is enough by itself, and `LOST_RANK_BARE` of the rank, at any time.

Learning hardly anything is not a sign of collapse; it is reported at the end of a run (`infomax.training.watch.state`).
For that the information is computed at several temperatures, and the largest value counts, as at one temperature alone
it may be far below 0 where another gives a nat.

Two readings in a row must agree. `infomax study collapse` trains every method with and without its guard, and counts
missed collapses and false alarms. The thresholds were chosen on some of its worlds and seeds and tried on others
(docs/collapse_study.md), `LOST_RANK` and `FEW` also on the recipes for a CPU, on CIFAR-10's copy and Imagenette.
"""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import torch

from infomax.clock import Clock
from infomax.critic import Bilinear, Cosine, Critic, Dot, Euclidean
from infomax.errors import ConfigError, warn
from infomax.learner import CollapseWarning, Learner
from infomax.marginal import Sinkhorn, Whitening
from infomax.marginal.base import Collapse, Marginal, Views, writes
from infomax.training.watch.monitor import COLLAPSED_RANK, COLLAPSED_STD, TAU

FILE = "watch.json"

EARLY = 0.2
CLOSED, LOST_INFORMATION = 0.25, 0.2
LINGERS = 0.125  # of 36 runs of MoCo v1 by SGD, those that end healthy are in a cone for 0.105 of them at most
LOST_RANK = 0.15
FEW = 5.0  # BYOL and SimCLR have 10 to 14 on CIFAR-10 in an encoder's first minute
INFORMED = 0.1  # nats: less is one batch's noise
SHRUNK: dict[str | None, float] = {"distance": 0.2, "product": 0.1, None: 0.0}  # DINO's comes down to 0.15, and back
CLOSED_BARE, LOST_RANK_BARE = 0.5, 0.5
TAUS = (0.2, 0.5, 1.0)  # besides TAU, at which what a distance or a predictor brings together may read far below 0
ROWS = 128  # of a batch, which a reading of some milliseconds looks at
SMOOTH = 0.3  # of a new reading of the information in its running mean: one batch of 128 is noisy

UNGUARDED = " Its sentence has no marginal that stands against that"
POINT = (
    "every sample goes to one point. What holds the embedding open is missing or too weak: look at its marginal or "
    "predictor, its temperatures, or take a smaller learning rate"
)
DIRECTIONS = (
    "its directions vanish, which the spread does not show. A log-partition or a decorrelating marginal holds them "
    "open; else look at the predictor, or take a smaller learning rate"
)
NOTHING = (
    "its lengths shrink to nothing, which its unit rows do not show. What keeps its variance up (a variance term, a sharper "
    "target) is missing or too weak, or the learning rate is too large"
)
Lengths = Literal["distance", "product"]
ADVICE = {"point": POINT, "directions": DIRECTIONS, "nothing": NOTHING}


def reads_lengths(learner: Learner) -> Lengths | None:
    """How the joint term depends on the length of the branch's output; None if a cosine or a marginal normalises it first."""
    critic = getattr(learner.joint, "critic", None)
    if not isinstance(critic, Critic) or any(isinstance(m, Whitening | Sinkhorn) for m in learner.marginals):
        return None
    if isinstance(critic, Euclidean):
        return "distance"
    return "product" if isinstance(critic, Dot | Bilinear) and not isinstance(critic, Cosine) else None


def unguarded(learner: Learner) -> tuple[Collapse, ...]:
    """The collapses against which none of a sentence's marginals guards.

    Raises:
        ConfigError: a marginal that names another collapse, or whose `guards` is not a tuple of them.

    Example:
        >>> import infomax as im
        >>> [unguarded(im.methods.vicreg(torch.nn.Linear(8, 4), covariance=weight)) for weight in (1.0, 0.0)]
        [(), ('directions',)]
    """
    guarded: set[str] = set()
    for marginal in learner.marginals:
        if not writes(marginal, "constrain", "penalty"):  # it only looks on
            continue
        guards = getattr(marginal, "guards", Marginal.guards)
        if isinstance(guards, str) or not set(guards) <= set(Marginal.guards):
            raise ConfigError(
                f"{type(marginal).__name__}.guards = {guards!r}: give a tuple of {', '.join(Marginal.guards)}"
            )
        guarded.update(guards)
    return tuple(collapse for collapse in Marginal.guards if collapse not in guarded)


def few(start: float) -> float:
    """The effective rank below which hardly any direction is left, for an encoder whose rank was `start` at first."""
    return max(min(LOST_RANK * start, FEW), min(COLLAPSED_RANK, start / 2))  # a rank is never below 1


class Watch:
    """The collapse watch of one run: what it has seen, and whether two readings in a row say that the run collapses.

    Args:
        name: name of the method.
        unguarded: the collapses against which none of its marginals guards (`unguarded`).
        lengths: how its joint term uses lengths, if it does (`reads_lengths`).
        seen: the state of the watch when the run was stopped (`state`).

    Example:
        >>> watch = Watch("mine")
        >>> z = {0: torch.randn(32, 8), 1: torch.randn(32, 8)}
        >>> sorted(watch.see(z, z, Clock(step=5, total=100)))
        ['effective_rank', 'mi_best', 'mi_infonce', 'rank', 'std']
    """

    def __init__(
        self,
        name: str,
        *,
        unguarded: Collection[Collapse] = (),
        lengths: Lengths | None = None,
        seen: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.unguarded, self.lengths = name, tuple(unguarded), lengths
        fresh = {"phases": {}, "suspicious": 0, "why": "", "last": None, "said": None}
        self.state: dict[str, Any] = fresh | dict(seen or {})

    def due(self, clock: Clock) -> bool:
        """Whether this update is checked: about 40 times in the first fifth of a run, and 80 times in the rest."""
        every = max(1, clock.total // 200) if clock.progress <= EARLY else max(5, clock.total // 100)
        every += every % 2 == 0  # odd, so that two encoders that are updated by turns are both seen
        last = self.state["last"]
        return last is None or clock.step - last >= every

    @torch.no_grad()
    def see(self, z: Views, k: Views, clock: Clock) -> dict[str, float]:
        """Gauges of one batch: std, effective rank of centred unit rows, InfoNCE between two views and its highest, scale.

        Also `rank`, for display: the effective rank as in the log, of rows that are not centred.
        """
        from infomax.evaluate.gauges import effective_rank, spread
        from infomax.evaluate.numbers import unit
        from infomax.mi import cos_infonce, readings

        i, a = next(iter(z.items()))
        b = next((v for j, v in k.items() if j != i), a)
        raw, other = (v[..., :ROWS, :].float().cpu() for v in (a, b))
        a, b = unit(raw), unit(other)
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
            return {}
        mi = float(readings(a, b, tau=TAU)["infonce"])
        gauges = {
            "std": float(spread(a)),
            "effective_rank": float(effective_rank(a, center=True)),
            "mi_infonce": mi,
            "mi_best": max(mi, *(float(cos_infonce(a, b, tau=tau)) for tau in TAUS)),
        }
        if self.lengths:
            gauges["scale"] = float(raw.std(-2).mean())
        self.state["last"] = clock.step
        self.note(gauges, clock)
        return gauges | {"rank": float(effective_rank(a))}

    def note(self, gauges: Mapping[str, float], clock: Clock) -> None:
        """Compare a reading with earlier readings of the same encoder."""
        std, rank, mi = gauges["std"], gauges["effective_rank"], gauges["mi_infonce"]
        been = self.state["phases"].setdefault(
            str(clock.phase), {"rank": rank, "std": std, "level": mi, "information": mi, "random": mi}
        )
        if (best := gauges.get("mi_best")) is not None:
            if "now" not in been:
                been["best_random"] = best
            been["best"] = been.get("best", best) + SMOOTH * (best - been.get("best", best))
        been["now"] = dict(gauges)
        at = {"epoch": round(clock.step / clock.steps_per_epoch, 4)}
        been.setdefault("readings", []).append(at | {key: float(f"{value:.4g}") for key, value in gauges.items()})
        been["std"] = max(been["std"], std)
        been["level"] += SMOOTH * (mi - been["level"])
        been["information"] = max(been["information"], been["level"])
        random = been.get("random", 0.0)  # a run that was begun before this was read has none
        lost = been["information"] - been["level"]
        fading = lost > max(LOST_INFORMATION * abs(been["information"]), INFORMED)
        holds = been["level"] > max(random, 0.0) and not fading
        loose = self.unguarded
        closed = std < CLOSED * been["std"]
        been["open"] = been.get("open", clock.step) if closed else clock.step  # when it was seen so last
        lingers = self.lengths is None and clock.step - been["open"] > LINGERS * clock.total
        closing = std < CLOSED_BARE * been["std"] if "point" in loose else closed and (fading or lingers)
        scale = gauges.get("scale", 0.0)
        been["scale"] = max(been.get("scale", 0.0), min(scale, 1.0))
        shrunk = scale < (CLOSED_BARE if "nothing" in loose else SHRUNK[self.lengths]) * been["scale"]
        shrunk = shrunk and ("nothing" in loose or self.lengths == "distance" or not holds)
        informed = holds or been["level"] > max(random + INFORMED, INFORMED, been["information"] / 2)
        thin = rank < few(been["rank"]) and not informed
        if "directions" in loose:
            thin = rank < LOST_RANK_BARE * been["rank"]
        signs = {"point": std < COLLAPSED_STD or closing, "nothing": shrunk, "directions": thin}
        self.state["why"] = next((why for why, found in signs.items() if found), "")
        self.state["suspicious"] = self.state["suspicious"] + 1 if self.state["why"] else 0

    def warn(self, gauges: Mapping[str, float], clock: Clock) -> bool:
        """Warn, with what was seen and what may help, once two readings in a row agree."""
        if self.state["suspicious"] < 2:
            return False
        been, why = self.state["phases"][str(clock.phase)], self.state["why"]
        lengths = f"scale {gauges['scale']:.2g} (it was {been['scale']:.2g}), " if "scale" in gauges else ""
        seen = (
            f"std {gauges['std']:.3f} (open: near 1; it was {been['std']:.2f}), {lengths}effective rank "
            f"{gauges['effective_rank']:.1f} ({been['rank']:.1f} at the start), information between views "
            f"{been['level']:.2f} nats (it was {been['information']:.2f})"
        )
        seen = f"{seen}: {ADVICE[why]}." + UNGUARDED * (why in self.unguarded)
        self.state["said"] = {"epoch": clock.epoch + 1, "step": clock.step, "total": clock.total, "seen": seen}
        warn(
            f"{self.name!r} is collapsing in epoch {clock.epoch + 1}, at update {clock.step} of {clock.total}: {seen}",
            CollapseWarning,
        )
        return True
