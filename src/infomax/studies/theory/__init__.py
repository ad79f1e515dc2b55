"""The paper's theory, measured: each statement, a set-up of known truth, and whether it holds.

    infomax study theory --out runs/theory              # or infomax.studies.theory.run("runs/theory")

What the figures mean, and what convention follows from each, is told in `docs/theory.md`.
"""

import json
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError
from infomax.studies.origin import origin
from infomax.studies.theory.ascent import concavity, monotonicity
from infomax.studies.theory.ceiling import ceilings
from infomax.studies.theory.check import Check, Claim, Draw, page
from infomax.studies.theory.estimates import batch_bias, jsd_temperature, literal_infonce, taylor_bound
from infomax.studies.theory.laws import shared_noise, toy_truth
from infomax.studies.theory.moments import exact_moments, product_variance
from infomax.threads import one_thread

__all__ = [
    "CHECKS",
    "Check",
    "Claim",
    "as_text",
    "batch_bias",
    "ceilings",
    "concavity",
    "exact_moments",
    "jsd_temperature",
    "literal_infonce",
    "monotonicity",
    "product_variance",
    "run",
    "shared_noise",
    "taylor_bound",
    "toy_truth",
]

CHECKS: tuple[Callable[[int, int], Check], ...] = (
    batch_bias,
    taylor_bound,
    product_variance,
    exact_moments,
    literal_infonce,
    jsd_temperature,
    ceilings,
    concavity,
    monotonicity,
    toy_truth,
    shared_noise,
)
"""Each a function of a seed and a number of repetitions."""


def run(out: str | Path, *, seed: int = 0, draws: int = 200) -> dict[str, Any]:
    """Check the paper's theory by measurement: eleven checks, under a minute on one core.

    Args:
        out: folder for `results.json`, PNG figures and `index.html`. It must be new or empty.
        seed: random seed of every sample and weight.
        draws: repetitions of a cheap check; more expensive checks use a fixed share of them, at least 2, as their rows
            say.

    Returns:
        What `results.json` holds: `checks[name]` with `setup`, `rows` and `claims`.

    Raises:
        ConfigError: `out` exists and is not empty, or fewer than 2 draws.

    Example:
        >>> run("runs/theory", draws=1)
        Traceback (most recent call last):
        infomax.errors.ConfigError: draws=1: a spread needs at least 2
    """
    from infomax.files import write_text
    from infomax.training.folder import claim

    if draws < 2:
        raise ConfigError(f"draws={draws}: a spread needs at least 2")
    folder = claim(out)
    began = time.perf_counter()
    with one_thread():
        found = dict(_measured(folder, seed, draws))
        results = {
            "settings": {"seed": seed, "draws": draws},
            **origin(command=True),
            "checks": found,
            "seconds": time.perf_counter() - began,
        }
    write_text(folder / "results.json", json.dumps(results, indent=1, allow_nan=False) + "\n")
    page(results, {path.name: path.read_bytes() for path in folder.glob("*.png")}).write(folder / "index.html")
    print(f"\nwrote {folder / 'results.json'} and its page after {results['seconds']:.0f} s")
    return results


def _measured(folder: Path, seed: int, draws: int) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, measure in enumerate(CHECKS, 1):
        start = time.perf_counter()
        check = measure(seed, draws)
        print(as_text(check, number), flush=True)
        if check.draw is not None:
            _save(folder / f"{check.name}.png", check.title, check.draw)
        yield (
            check.name,
            {
                "title": check.title,
                "setup": check.setup,
                "rows": check.rows,
                "claims": [c._asdict() | {"verdict": c.verdict} for c in check.claims],
                "seconds": time.perf_counter() - start,
            },
        )


def as_text(check: Check, number: int = 1) -> str:
    """A check for a terminal: every claim, its verdict, and below it the figures.

    Example:
        >>> claim = Claim("2 + 2 = 5", "eq. 0", False, "it is 4")
        >>> print(as_text(Check("sum", "A sum", "paper and pencil", [], [claim])))
         1. A sum
            does not hold  2 + 2 = 5 (eq. 0)
                           it is 4
    """
    lines = [f"{number:2d}. {check.title}"]
    for claim in check.claims:
        lines.append(f"    {claim.verdict:13}  {claim.text} ({claim.source})")
        lines += textwrap.wrap(claim.seen, 118, initial_indent=" " * 19, subsequent_indent=" " * 19)
    return "\n".join(lines)


def _save(path: Path, title: str, draw: Draw) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 4.8), layout="constrained")
    axes = figure.add_subplot()
    draw(axes)
    axes.set_title(title, fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
