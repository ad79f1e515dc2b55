r"""Schedules: plain functions from a step to a number, so that a resumed run needs only the step.

Steps count from 0: the value for the first update is that at `step=0`. `total` is the number of updates in
the run; from there on the value is the final one.
"""

import math

from infomax.errors import ConfigError
from infomax.words import many


def warmup_cosine(step: int | float, total: int, warmup: int, base: float, final: float = 0.0) -> float:
    r"""Learning rate: a linear rise from 0 over the first `warmup` steps, then half a cosine down to `final`.

    $$ \mathrm{lr}_k = \mathrm{base}\, k / W \ (k < W), \qquad
       \mathrm{final} + \tfrac12 (\mathrm{base} - \mathrm{final}) (1 + \cos \pi \tfrac{k - W}{K - W}) \ (k \ge W). $$

    The first step has learning rate 0 and the peak is reached exactly at step W, as in MoCo v3, BYOL, Barlow Twins,
    VICReg, SimCLR and BGRL. (DINO and SwAV end their warm-up *at* the peak and so reach it twice; lightly starts at
    base / W.)

    Args:
        step: $k$, number of updates made so far; a fraction is allowed.
        total: $K$, number of updates in the run.
        warmup: $W$, number of warm-up updates; 0 for none.
        base: the peak.
        final: the value at $K$ and after.

    Raises:
        ConfigError: a negative step, or a warm-up longer than the run.

    Example:
        >>> [round(warmup_cosine(k, total=6, warmup=2, base=1.0), 3) for k in range(7)]
        [0.0, 0.5, 1.0, 0.854, 0.5, 0.146, 0.0]

    Source: Loshchilov & Hutter 2017 (arXiv:1608.03983); indexing as in MoCo v3 (arXiv:2104.02057).
    """
    _check("warmup_cosine", step, total)
    if not 0 <= warmup <= total:
        raise ConfigError(f"warmup_cosine: a warm-up of {warmup} steps does not fit a run of {many(total, 'step')}")
    if step < warmup:
        return base * step / warmup
    if step >= total:
        return final
    return final + 0.5 * (base - final) * (1.0 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def ema_tau(step: int | float, total: int, base: float, final: float = 1.0) -> float:
    r"""Momentum of a moving-average target: half a cosine from `base` up to `final`.

    $$ \tau_k = \mathrm{final} - \tfrac12 (\mathrm{final} - \mathrm{base}) (1 + \cos \pi k / K), $$

    It is exactly `final` at $k = K$ (which training, whose last step is $K - 1$, never reaches) and after.

    Args:
        step: $k$, number of earlier updates of the target.
        total: $K$.
        base: the momentum of the first update (0.996 in BYOL's long run, 0.99 in MoCo v3 and BGRL).
        final: the momentum at $K$ and after (0.999 in the CIFAR recipe of MoCo v2+).

    Raises:
        ConfigError: a negative step, or a base or final outside [0, 1].

    Example:
        >>> ema_tau(0, 100, 0.99), ema_tau(50, 100, 0.99), ema_tau(100, 100, 0.99), ema_tau(150, 100, 0.99)
        (0.99, 0.995, 1.0, 1.0)

    Source: Grill et al. 2020, BYOL (arXiv:2006.07733).
    """
    _check("ema_tau", step, total)
    for name, value in {"base": base, "final": final}.items():
        if not 0.0 <= value <= 1.0:
            raise ConfigError(f"ema_tau: {name} must lie in [0, 1], got {value}")
    if step >= total:
        return final
    return final - (final - base) / 2.0 * (1.0 + math.cos(math.pi * step / total))


def teacher_temperature(epoch: int, warmup: int, start: float = 0.04, final: float = 0.04) -> float:
    r"""DINO's teacher temperature: linear from `start` to `final` over the first `warmup` epochs, both ends included.

    $$ t_e = \mathrm{start} + (\mathrm{final} - \mathrm{start}) \frac{e}{W - 1} \ (e < W), \qquad \mathrm{final} \ (e
    \ge W). $$

    Args:
        epoch: $e$, counted from 0.
        warmup: $W$; with 0, the temperature is `final` throughout.
        start: the temperature of the first epoch (too high a value makes training unstable).
        final: the temperature from the last warm-up epoch on.

    Raises:
        ConfigError: a negative epoch or warm-up, or a temperature that is not positive.

    Example:
        >>> [round(teacher_temperature(e, warmup=4, start=0.04, final=0.07), 3) for e in range(6)]
        [0.04, 0.05, 0.06, 0.07, 0.07, 0.07]

    Source: Caron et al. 2021, DINO (arXiv:2104.14294).
    """
    if epoch < 0 or warmup < 0:
        raise ConfigError(f"teacher_temperature: epoch and warmup count from 0, got {epoch} and {warmup}")
    if not (start > 0 and final > 0):
        raise ConfigError(f"teacher_temperature: temperatures must be positive, got {start} and {final}")
    if epoch >= warmup:
        return final
    return start + (final - start) * epoch / max(warmup - 1, 1)


def _check(name: str, step: int | float, total: int) -> None:
    if step < 0 or total < 1:
        raise ConfigError(f"{name}: step must be at least 0 and total at least 1, got step={step}, total={total}")
