"""How often `estimate_mi` believes a Gaussian and gives two-sided limits, and how often these hold the truth.

    OMP_NUM_THREADS=1 python benchmarks/believed.py --json benchmarks/results/believed.json

Multivariate t, whose shared scale correlations do not show, should get no upper limit; Gaussians, some with warped margins or
with many columns for their rows, should get one. Samples of t on which the first check alone withholds the limit are not read
further (`--whole` reads them too: it changes no count). Every row is kept as it ends, and the same command goes on.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from origin import origin
from scipy.special import digamma, gammaln

from infomax.mi import estimate_mi
from infomax.mi.estimators.auto import PLAIN, SUSPECT
from infomax.mi.estimators.gaussian import calibrated, canonical
from infomax.mi.estimators.inputs import rank_gaussian
from infomax.mi.estimators.moments import departure

Array = np.ndarray[Any, np.dtype[np.float64]]


class World(NamedTuple):
    """Pairs of columns of correlation rho; `dof`: of a scale that all share, or none; `warp`: margins far from normal."""

    n: int
    dim: int
    rho: float
    dof: float = math.inf
    warp: bool = False
    seeds: int = 40

    def __str__(self) -> str:
        kind = "gaussian" if math.isinf(self.dof) else f"student, {self.dof:g} degrees"
        return f"{kind}{', warped' * self.warp}, {self.dim}-d, rho {self.rho:.2f}, n = {self.n}"

    @property
    def truth(self) -> float:
        shared = 0.0 if math.isinf(self.dof) else 2 * entropy(self.dim, self.dof) - entropy(2 * self.dim, self.dof)
        return shared - self.dim / 2 * math.log1p(-(self.rho**2))

    def sample(self, seed: int) -> tuple[Array, Array]:
        rng = np.random.default_rng(30_000 + seed)
        x, noise = rng.normal(size=(2, self.n, self.dim))
        y = self.rho * x + math.sqrt(1 - self.rho**2) * noise
        if not math.isinf(self.dof):
            scale = np.sqrt(rng.chisquare(self.dof, (self.n, 1)) / self.dof)
            x, y = x / scale, y / scale
        return (np.sinh(2 * x), np.exp(2 * y)) if self.warp else (x, y)


def entropy(dim: int, dof: float) -> float:
    """Of a standard t of so many columns, nats."""
    whole = (dof + dim) / 2
    return float(
        gammaln(dof / 2)
        - gammaln(whole)
        + dim / 2 * math.log(dof * math.pi)
        + whole * (digamma(whole) - digamma(dof / 2))
    )


def strong(dim: int, mi: float) -> float:
    return math.sqrt(-math.expm1(-2 * mi / dim))


WORLDS = [
    *(World(500, dim, strong(dim, mi), seeds=10) for dim in (40, 30) for mi in (3, 1)),
    *(World(n, dim, 0.5 if dof == 2 else 0.6, dof) for n in (500, 2000) for dim in (1, 2) for dof in (2, 3, 5, 10)),
    *(World(500, dim, rho, warp=rho > 0.5, seeds=10) for dim in (1, 5, 10) for rho in (0.15, 0.7)),
    *(World(n, 40, strong(40, 3), seeds=10) for n in (1000, 2000)),
    World(500, 20, strong(20, 3), seeds=10),
]


def withheld(x: Array, y: Array) -> bool:
    """Whether no upper limit can come, by the check that needs no training."""
    if len(x) < 300:
        return True
    a, b = rank_gaussian(x), rank_gaussian(y)
    fit = canonical(a, b)
    found = departure(a, b, fit, calibrated(fit, len(x)).correlations)
    return found.scale > SUSPECT or found.shape > PLAIN


def measure(world: World, whole: bool) -> dict[str, Any]:
    began, read = time.process_time(), []
    for seed in range(world.seeds):
        x, y = world.sample(seed)
        if whole or math.isinf(world.dof) or not withheld(x, y):
            read.append(estimate_mi(x, y))
    given = [e for e in read if e.hi is not None]
    return {
        "truth": world.truth,
        "seeds": world.seeds,
        "given": len(given),
        "cover": sum(e.lo <= world.truth <= e.hi for e in given),  # type: ignore[operator]
        "read": len(read),
        "gaussian": sum(e.method == "gaussian" for e in read),
        "values": [round(e.mi, 4) for e in read],
        "flags": sorted({flag for e in read for flag in e.flags}),
        "seconds": round(time.process_time() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="parts of names")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    if options.json and options.json.exists():
        rows = json.loads(options.json.read_text())["rows"]
    for world in WORLDS:
        if str(world) in rows or (options.only and not any(part in str(world) for part in options.only)):
            continue
        found = rows[str(world)] = measure(world, options.whole)
        print(
            f"{world!s:46} truth {found['truth']:.4f}  two-sided {found['given']}/{found['seeds']}, of them hold "
            f"{found['cover']}  by gaussian {found['gaussian']}/{found['read']}  {found['seconds']:.0f} s",
            flush=True,
        )
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(origin() | {"rows": rows}, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
