"""What a check of the theory is: a set-up anyone can repeat, rows of figures, and claims judged by them."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from infomax.studies.verdict import FAILS, HOLDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from infomax.report import Page

Row = dict[str, float | int | str | None]
Draw = Callable[["Axes"], None]


class Claim(NamedTuple):
    """One statement, and whether the figures bear it out.

    Example:
        >>> Claim("water is dry", "nobody", False, "it is wet").verdict
        'does not hold'
    """

    text: str
    source: str  # where it is printed, or "infomax" where it is ours
    holds: bool
    seen: str  # the figures it was judged by

    @property
    def verdict(self) -> str:
        """`holds` or `does not hold`."""
        return HOLDS if self.holds else FAILS


class Check(NamedTuple):
    """One check: its name, how to repeat it, its figures, its claims, and a picture where one helps."""

    name: str
    title: str
    setup: str
    rows: list[Row]
    claims: list[Claim]
    draw: Draw | None = None


def generator(seed: int, number: int) -> torch.Generator:
    """The random numbers of one check: they do not depend on which other checks run."""
    return torch.Generator().manual_seed(1000 * seed + number)


def spread(values: Tensor, **labels: float | int | str | None) -> Row:
    """Labels, then mean, standard deviation (None of a single value) and number of repetitions.

    Example:
        >>> spread(torch.tensor([1.0, 3.0]), N=64)
        {'N': 64, 'mean': 2.0, 'sd': 1.4142135381698608, 'n': 2}
    """
    sd = float(values.std()) if values.numel() > 1 else None
    return labels | {"mean": float(values.mean()), "sd": sd, "n": values.numel()}


def standard_error(row: Row) -> float:
    """Of the mean in a row of `spread`."""
    sd, n = row["sd"], row["n"]
    assert isinstance(sd, float) and isinstance(n, int)
    return sd / math.sqrt(n)


def value(row: Row, name: str) -> float:
    """A number of a row that holds words as well."""
    found = row[name]
    assert isinstance(found, (int, float))
    return float(found)


def unit_rows(*shape: int, g: torch.Generator) -> Tensor:
    """Rows spread uniformly over the unit sphere, float64."""
    return torch.nn.functional.normalize(torch.randn(*shape, dtype=torch.float64, generator=g), dim=-1)


def simplex(n: int) -> Tensor:
    """n unit rows whose cosines are all -1/(n - 1), the farthest apart that n can be: n x n, float64.

    Example:
        >>> round(float(simplex(5)[0] @ simplex(5)[1]), 6)
        -0.25
    """
    return torch.nn.functional.normalize(torch.eye(n, dtype=torch.float64) - 1 / n, dim=-1)


def portions(count: int, size: int, most: int = 2**22) -> Iterator[int]:
    """Cut `count` batches of `size` scores so that one portion holds at most `most` of them.

    Example:
        >>> list(portions(5, 10, most=20))
        [2, 2, 1]
    """
    step = max(1, most // size)
    for start in range(0, count, step):
        yield min(step, count - start)


def page(results: Mapping[str, Any], pictures: Mapping[str, bytes]) -> "Page":
    """Lay the study out: every check with its set-up, its figures and what they say.

    Args:
        results: what `results.json` holds.
        pictures: name -> PNG.
    """
    from infomax.report import Page
    from infomax.studies.page import with_settings

    checks = results["checks"]
    claims = [claim for check in checks.values() for claim in check["claims"]]
    out = Page(
        "The theory, measured",
        f"{len(checks)} checks: {sum(c['verdict'] == HOLDS for c in claims)} of {len(claims)} claims hold.",
    )
    for name, check in checks.items():
        out.section(check["title"]).text(check["setup"])
        if check["claims"]:
            out.table([{"claim": c["text"], "where": c["source"], "verdict": c["verdict"], "seen": c["seen"]}
                       for c in check["claims"]])  # fmt: skip
        if f"{name}.png" in pictures:
            out.image(pictures[f"{name}.png"], f"`{name}.png`")
        if check["rows"]:
            out.table(check["rows"], f"{check['seconds']:.1f} s.")
    return with_settings(out, results)
