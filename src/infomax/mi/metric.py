"""Mutual information between two encoders, while they train: several estimates in one pass, each with its interval."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from infomax.arrays import as_tensor
from infomax.critic import Bilinear, Cosine, Critic, Dot, crossed_scores, paired_scores
from infomax.errors import ConfigError, DataError, NumericsError, check_number, nearest
from infomax.mi.bounds import LOG2
from infomax.mi.ceilings import CEILINGS, ceiling
from infomax.mi.estimators.inputs import unmasked
from infomax.mi.jackknife import standard_error, with_and_without
from infomax.mi.sums import sums
from infomax.modes import resting
from infomax.parallel import by_rank, world

KINDS = {
    "dv": "lower bound in the population, high on few pairs",
    "infonce": "lower bound",
    "nwj": "lower bound",
    "jsd_lower": "lower bound",
    "xi_jsd": "lower bound",
    "smile": "surrogate",
    "taylor_dv": "surrogate",
    "jsd": "not MI",
    "jsd_shifted": "not MI",
}
"""What each number is: a lower bound of MI (in expectation: on a sample it may be above); `dv` only *in the
population*, since on a batch it is too high on average; a surrogate, in nats but neither a lower nor an upper bound; or
another quantity.
"""

DEFAULT = ("dv", "infonce", "nwj", "jsd", "jsd_lower", "xi_jsd", "smile", "taylor_dv")

CLIP = 40.0
"""The largest clip of SMILE, nats, so that sums of e^clip stay in the range of float32."""

SATURATED = 0.9
"""A reading above this share of its ceiling says more about the estimator than about the encoders."""


@dataclass(frozen=True)
class Reading:
    """One estimate with a fixed critic, with its error and its ceiling.

    Attributes:
        value: nats.
        lo, hi: confidence limits (jackknife over pairs) of the reading's own expectation at this N; None if `xi_jsd` is
            cut off at 0, and for a value without a pair.
        se: standard error, nats.
        ceiling: the largest value that the reading can have here; inf if nothing is known.
        saturated: whether the value is above 90 % of the ceiling (of the way from independence to it).
        n: number of pairs.
        kind: "lower bound" (for `dv`, with what it is on few pairs), "surrogate" or "not MI".
    """

    value: float
    lo: float | None
    hi: float | None
    se: float
    ceiling: float
    saturated: bool
    n: int
    kind: str


class MIMetric:
    r"""Estimates of I(A; B) from pairs of embeddings that arrive in batches, with the fixed critic T.

    All embeddings are kept, and `compute` compares every pair of rows once. So the estimates are those of one set of N
    pairs, independent of the batches. Under `torch.distributed` the pairs of all processes count, and every process
    computes the same numbers.

    Args:
        critic: "cosine" (cos / tau), "dot" (a . b / tau), or any `Critic`, whose scores are divided by tau.
        tau: temperature. An estimate means nothing without it, so there is no default.
        readings: names of the estimates, in the order wanted; default: dv, infonce, nwj, jsd, jsd_lower, xi_jsd, smile,
            taylor_dv.
        level: confidence level of the intervals.
        clip: clip of SMILE, nats; at most 40 (without a clip SMILE equals DV).
        coefficient: coefficient of Taylor-DV's variance.
        sync: gather the pairs of all processes before computing.

    Raises:
        ConfigError: unknown critic or reading, tau, level or clip out of range.
        DataError: embeddings that do not pair.
        NumericsError: fewer than three pairs, NaN or infinity when computing.

    Example:
        >>> metric = MIMetric("cosine", tau=0.1, readings=("infonce",))
        >>> generator = torch.Generator().manual_seed(0)
        >>> for _ in range(4):
        ...     z = torch.randn(64, 8, generator=generator)
        ...     metric.update(z, z + 0.5 * torch.randn(64, 8, generator=generator))
        >>> said = metric.compute()["infonce"]
        >>> said.n, said.kind, said.saturated, said.lo < said.value < said.hi
        (256, 'lower bound', False, True)

    Source: Poole et al. 2019 (arXiv:1905.06922) for the readings; Efron & Stein 1981 for the intervals.
    """

    def __init__(
        self,
        critic: str | Critic,
        *,
        tau: float,
        readings: Sequence[str] = DEFAULT,
        level: float = 0.95,
        clip: float = 5.0,
        coefficient: float = 0.5,
        sync: bool = True,
    ) -> None:
        check_number("MIMetric: tau", tau, above=True)
        asked = {"level": level, "coefficient": coefficient} | ({} if clip == math.inf else {"clip": clip})
        for name, value in asked.items():
            check_number(f"MIMetric: {name}", value, least=-math.inf)
        if not 0 < level < 1 or not clip > 0:
            raise ConfigError(f"MIMetric: needs 0 < level < 1 and clip > 0, got level={level}, clip={clip}")
        if clip > CLIP:
            raise ConfigError(
                f"MIMetric: clip must be at most {CLIP:g} nats, got {clip:g}: e^clip leaves the range of float32; "
                "the reading 'dv' is SMILE without a clip"
            )
        for name in readings:
            if name not in KINDS:
                raise ConfigError(f"MIMetric: no reading {name!r}: {nearest(name, KINDS)}")
        named: dict[str, type[Dot]] = {"cosine": Cosine, "dot": Dot}
        if isinstance(critic, str):
            if critic not in named:
                raise ConfigError(f"MIMetric: no critic {critic!r}: {nearest(critic, named)}; or give a Critic")
            self.critic: Critic = named[critic](tau)
        else:
            own = torch.as_tensor(critic.temperature).detach() if isinstance(critic, Dot | Bilinear) else 1.0
            if tau != 1 and float(own) != 1:
                raise ConfigError(
                    f"MIMetric: {critic!r} divides by a temperature of its own, and tau={tau:g} would again: give tau=1 with "
                    "it, or a critic of temperature 1, or its name"
                )
            self.critic = _Tempered(critic, tau)
        self.tau, self.readings, self.level = tau, tuple(readings), level
        self.clip, self.coefficient, self.sync = clip, coefficient, sync
        self.bounded = critic == "cosine"
        self.reset()

    def reset(self) -> None:
        """Forget all pairs."""
        self._a: list[Tensor] = []
        self._b: list[Tensor] = []

    def update(self, z_a: Tensor | NDArray[Any], z_b: Tensor | NDArray[Any]) -> None:
        """Add pairs: N D and N D, tensors or arrays (row i of one belongs to row i of the other); any number per call."""
        z_a, z_b = _tensor(z_a, "z_a"), _tensor(z_b, "z_b")
        if z_a.ndim != 2 or z_b.ndim != 2 or len(z_a) != len(z_b):
            raise DataError(
                f"MIMetric: need N D and N D' of as many rows, got {tuple(z_a.shape)} and {tuple(z_b.shape)}"
            )
        inner = self.critic.inner if isinstance(self.critic, _Tempered) else self.critic
        if isinstance(inner, Dot) and z_a.shape[1] != z_b.shape[1]:
            raise DataError(
                f"MIMetric: a product needs two sides of one width, got {tuple(z_a.shape)} and {tuple(z_b.shape)}"
            )
        wide = [torch.promote_types(z.dtype, torch.float32) for z in (z_a, z_b)]
        if wide[0] != wide[1]:
            raise DataError(f"MIMetric: need two sides of one type, got {z_a.dtype} and {z_b.dtype}; cast one of them")
        for kept, z in ((self._a, z_a), (self._b, z_b)):
            if kept and kept[0].shape[1] != z.shape[1]:
                raise DataError(
                    f"MIMetric: rows of width {z.shape[1]} after rows of width {kept[0].shape[1]}; reset() first"
                )
        for kept, z in ((self._a, z_a), (self._b, z_b)):
            # a copy, since the next batch may be written to the same place
            kept.append(z.detach().to(wide[0], copy=True))

    def to(self, device: torch.device | str) -> "MIMetric":
        """Move the stored pairs and the critic; later batches are expected on that device."""
        self._a, self._b = ([z.to(device) for z in side] for side in (self._a, self._b))
        self.critic.to(device)
        return self

    @torch.no_grad()
    def compute(self) -> dict[str, Reading]:
        """Compute the estimates from all pairs given so far."""
        if not self._a and not (self.sync and world() > 1):
            raise NumericsError("MIMetric: no pair to read; update(z_a, z_b) first")
        for side in (self._a, self._b):
            side[:] = [torch.cat(side)] if len(side) > 1 else side
        a, b = (_everywhere(side) if self.sync else side[0] for side in (self._a, self._b))
        n = len(a)
        if n < 3:
            raise NumericsError(f"MIMetric: an interval needs at least 3 pairs, got {n}")
        for name, rows in (("z_a", a), ("z_b", b)):  # here and not in update, where an accelerator would wait each time
            _finite(rows, name)
        kept = sums(self.critic, a, b, clip=self.clip, moments="taylor_dv" in self.readings)
        found = with_and_without(kept, coefficient=self.coefficient)
        z = math.sqrt(2) * float(torch.erfinv(torch.tensor(self.level, dtype=torch.float64)))
        said = {}
        for name in self.readings:
            value, se = float(found[name][0]), float(standard_error(found[name][1]))
            cut = name == "xi_jsd" and bool(found["jsd"][0] <= -2 * LOG2)
            lo, hi = (None, None) if cut else (value - z * se, value + z * se)
            top = self._ceiling(name, n)
            said[name] = Reading(value, lo, hi, se, top, _saturated(name, value, top), n, KINDS[name])
        return said

    def _ceiling(self, name: str, n: int) -> float:
        if self.bounded and name in CEILINGS:
            return ceiling(name, tau=self.tau, n=n) if self.coefficient >= 0 or name != "taylor_dv" else math.inf
        if self.bounded and name == "jsd_shifted":
            return ceiling("jsd", tau=self.tau, n=n) + 2 * LOG2
        if self.bounded and name == "smile":  # no true pair scores more, no false one less
            return 1 / self.tau + min(self.clip, 1 / self.tau)
        return {"infonce": math.log(n), "jsd": 0.0, "jsd_shifted": 2 * LOG2}.get(name, math.inf)


class _Tempered(Critic):
    """T / tau."""

    def __init__(self, critic: Critic, tau: float) -> None:
        super().__init__()
        self.inner, self.tau = critic, tau

    def paired(self, a: Tensor, b: Tensor) -> Tensor:
        return paired_scores(self.inner, a, b) / self.tau

    def crossed(self, a: Tensor, b: Tensor) -> Tensor:
        return crossed_scores(self.inner, a, b) / self.tau


def _tensor(z: Tensor | NDArray[Any], side: str) -> Tensor:
    held: Tensor | None = None
    if isinstance(z, Tensor):
        held = z
    else:
        unmasked(z, f"MIMetric: {side}")
        with suppress(TypeError, ValueError, RuntimeError):  # names, objects, rows of unequal length
            held = as_tensor(np.asarray(z))
    if held is None or held.is_complex():
        got = getattr(z, "dtype", type(z).__name__)
        raise DataError(f"MIMetric: {side}: need N rows of as many real numbers, a tensor or an array, got {got}")
    return held


def _finite(rows: Tensor, side: str) -> None:
    bad = ~torch.isfinite(rows)
    if bad.any():
        row, column = bad.nonzero()[0].tolist()
        raise NumericsError(
            f"MIMetric: {side}: {int(bad.sum())} of {rows.numel()} entries are NaN or infinite, the first in row {row}, "
            f"column {column}; drop those rows from both sides"
        )


def _saturated(name: str, value: float, top: float) -> bool:
    start = -2 * LOG2 if name == "jsd" else 0.0  # what independence reads
    return math.isfinite(top) and value - start > SATURATED * (top - start)


def _everywhere(side: list[Tensor]) -> Tensor:
    """The rows of all processes, in the order of rank; each may have another number of them, or none."""
    if world() == 1:
        return side[0]
    mine = side[0] if side else None
    shapes = by_rank(None if mine is None else (*mine.shape, mine.dtype))
    known = [s for s in shapes if s is not None]
    if not known:
        raise NumericsError("MIMetric: no process has a pair to read; update(z_a, z_b) first")
    width, dtype = known[0][1], known[0][2]
    counts = [0 if s is None else s[0] for s in shapes]
    device = torch.device("cuda" if dist.get_backend() == "nccl" else "cpu") if mine is None else mine.device
    padded = torch.zeros(max(counts), width, dtype=dtype, device=device)
    if mine is not None:
        padded[: len(mine)] = mine
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:k] for part, k in zip(parts, counts, strict=True)])


@torch.no_grad()
def between(
    a: nn.Module,
    b: nn.Module,
    views: Iterable[Sequence[Any]],
    *,
    critic: str | Critic,
    tau: float,
    layer: str | None = None,
    **options: Any,
) -> dict[str, Reading]:
    """MI between the outputs of two modules on two views: f and g, online and target, an encoder and its copy, two runs.

    Both modules are run in evaluation mode, so that a row does not depend on the rest of its batch; their modes are
    restored afterwards.

    Args:
        a: a module that maps a batch of views to N x D (`learner.f`, `learner.g`, an encoder, a loaded run's encoder).
        b: the other module, or the same one.
        views: pairs of batches (for a, for b), such as a loader yields; the rows for a and for b belong together.
        critic: as in `MIMetric`.
        tau: as in `MIMetric`.
        layer: the name of a submodule of both, whose output is used instead, flattened to N x D.
        **options: the other options of `MIMetric`.

    Raises:
        ConfigError: a module has no such layer; and what `MIMetric` raises.

    Example:
        >>> f = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> x = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
        >>> said = between(f, f, [(x, x + 0.1)], critic="cosine", tau=0.5, layer="0")
        >>> said["infonce"].n
        100

    Source: section 4.2 of the paper, which measures SimSiam between an epoch's encoder and the last one's.
    """
    metric = MIMetric(critic, tau=tau, **options)
    parts = {} if layer is None else {id(m): _layer(m, layer) for m in (a, b)}
    seen: list[Tensor] = []
    hooks = [part.register_forward_hook(lambda _m, _i, out: seen.append(out)) for part in dict.fromkeys(parts.values())]
    try:
        with resting(a, b):
            for x, y in views:
                outs = []
                for module, view in ((a, x), (b, y)):
                    seen.clear()
                    out = module(view)
                    outs.append((seen[-1] if hooks else out).flatten(1))
                metric.update(*outs)
    finally:
        for hook in hooks:
            hook.remove()
    return metric.compute()


def _layer(module: nn.Module, name: str) -> nn.Module:
    layers: dict[str, nn.Module] = dict(module.named_modules())
    if name not in layers:
        raise ConfigError(f"between: {type(module).__name__} has no layer {name!r}: {nearest(name, layers)}")
    return layers[name]
