"""`estimate_mi` on samples unlike the shipped tasks, of known mutual information: what it reads, its limits, its flags.

    OMP_NUM_THREADS=1 python benchmarks/unlike.py --n 500 --seeds 2

Nothing was tuned on these. A reading is right where it is near the truth and its limits hold it; else it should be flagged.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from infomax.mi import estimate_mi

Draw = Callable[[int, Generator], tuple[Any, Any]]


def checkerboard(cells: int) -> Draw:
    def draw(n: int, rng: Generator) -> tuple[Any, Any]:
        i = rng.integers(cells, size=n)
        j = 2 * rng.integers(cells // 2, size=n) + i % 2
        return (i + rng.random(n)) / cells, (j + rng.random(n)) / cells

    return draw


def one_of_nine(n: int, rng: Generator) -> tuple[Any, Any]:
    x = rng.normal(size=(n, 1))
    y = 0.9 * x + math.sqrt(1 - 0.81) * rng.normal(size=(n, 1))
    return np.hstack([np.sinh(2 * x), rng.standard_cauchy((n, 8))]), np.hstack([y**3, rng.normal(size=(n, 8))])


def cauchy_noise(n: int, rng: Generator) -> tuple[Any, Any]:
    x = rng.standard_cauchy(n)
    return x, x + 0.5 * rng.standard_cauchy(n)


def one_to_twelve(n: int, rng: Generator) -> tuple[Any, Any]:
    x = rng.normal(size=(n, 1))
    return x, np.tanh(x + 2 * rng.normal(size=(n, 12)))


def labels(n: int, rng: Generator) -> tuple[Any, Any]:
    return np.array(list("abcd"))[rng.integers(4, size=n)], rng.normal(size=(n, 3))


def circle(n: int, rng: Generator) -> tuple[Any, Any]:
    angle = 2 * math.pi * rng.random(n)
    turned = angle + 0.3 * rng.normal(size=n)
    return tuple(np.stack([np.cos(a), np.sin(a)], 1) for a in (angle, turned))  # type: ignore[return-value]


def series(rho: float, n: int, rng: Generator) -> Any:
    z = rng.normal(size=n)
    for t in range(1, n):
        z[t] = rho * z[t - 1] + math.sqrt(1 - rho**2) * z[t]
    return z


def windows(n: int, rng: Generator) -> tuple[Any, Any]:
    z = series(0.9, n + 4, rng)
    return np.stack([z[k : k + n] for k in range(3)], 1), np.stack([z[k : k + n] for k in range(3, 5)], 1)


def two_series(n: int, rng: Generator) -> tuple[Any, Any]:
    return series(0.95, n, rng), series(0.95, n, rng)


def gaussian(rho: float) -> float:
    return -0.5 * math.log(1 - rho**2)


CASES: dict[str, tuple[Draw, float]] = {
    "checkerboard of 2 x 2": (checkerboard(2), math.log(2)),
    "checkerboard of 8 x 8": (checkerboard(8), math.log(2)),
    "1 column of 9, among Cauchy noise": (one_of_nine, gaussian(0.9)),
    "Cauchy and Cauchy noise": (cauchy_noise, math.log(3)),
    "1 column and 12, tanh": (one_to_twelve, 0.5 * math.log(1 + 12 / 4)),
    "names and noise": (labels, 0.0),
    "circle, turned": (circle, math.log(2 * math.pi) - 0.5 * math.log(2 * math.pi * math.e * 0.09)),
    "windows of a series, .9": (windows, gaussian(0.9)),
    "two independent series, .95": (two_series, 0.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="parts of names")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = []
    for name, (draw, truth) in CASES.items():
        if options.only and not any(part in name for part in options.only):
            continue
        for seed in range(options.seeds):
            said = estimate_mi(*draw(options.n, np.random.default_rng(seed)), seed=seed)
            limits = (
                ("" if said.lo is None else f"{said.lo:.3f}") + " .. " + ("" if said.hi is None else f"{said.hi:.3f}")
            )
            print(
                f"{name:34} {truth:6.3f} read {said.mi:6.3f}  {limits:16} {said.method:20} {said.seconds:5.1f} s",
                flush=True,
            )
            for flag in said.flags:
                print(f"{'':36}! {flag}", flush=True)
            found.append({"name": name, "truth": truth, "n": options.n, "seed": seed, **said.as_json()})
    if options.json:
        options.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
