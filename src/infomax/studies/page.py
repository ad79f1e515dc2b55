"""The page of a study, made again from the numbers that it kept."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from infomax.errors import DataError
from infomax.report.page import Page
from infomax.words import many

Results = Mapping[str, Any]


def write(folder: Path, out: str | Path | None = None) -> Path:
    """Write the page of a study's folder.

    Args:
        folder: with results.json, and whatever else the study wrote.
        out: the page; by default index.html in the folder.

    Raises:
        DataError: where the results are damaged, or of no study of this package.
    """
    from infomax.studies.claims import read

    results = read(folder)
    try:
        page = _page_of(results)(folder, results)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError(
            f"{folder / 'results.json'} is not as a study of this version writes it ({error!r}): run the study again"
        ) from error
    return page.write(out if out is not None else folder / "index.html")


def _page_of(results: Results) -> Callable[[Path, Results], Page]:
    """Which study wrote them, by what they hold."""
    if "table" in results and "parts" in results:
        return _paper
    if results.get("study") == "collapse":
        return _collapse
    if "cells" in results and "again" in results:
        return _periodic
    if "counts" in results and "claims" in results:
        return _claims
    if "figure" in results.get("settings", {}):
        return _curves
    if "checks" in results:
        return _theory
    if "nulls" in results:
        return _mi
    if "best" in results and "claims" in results:
        return _toy
    return _table


def pictures(folder: Path) -> dict[str, bytes]:
    """The pictures that a study drew, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def _paper(folder: Path, results: Results) -> Page:
    from infomax.studies.tables.page import drawn

    return drawn([(str(results["table"]), results)])


def _periodic(folder: Path, results: Results) -> Page:
    from infomax.studies.periodic import SCORES
    from infomax.studies.periodic.draw import page, png

    score = SCORES[results["settings"]["data"]][0]
    return page(results, score, png(results, score))


def _collapse(folder: Path, results: Results) -> Page:
    from infomax.studies.collapse import page

    made: Page = page(results)
    return made


def _claims(folder: Path, results: Results) -> Page:
    from infomax.studies.claims import page

    made: Page = page(results)
    return made


def _curves(folder: Path, results: Results) -> Page:
    from infomax.studies.curves import drawn

    made = drawn(results["settings"]["figure"], results)
    if made is None:
        raise DataError(f"{folder}: every run of the study failed, so there is nothing to draw")
    return made[0]


def _toy(folder: Path, results: Results) -> Page:
    from infomax.studies.claims.toy import read_arrays
    from infomax.studies.toy.page import page

    return page(results, read_arrays(folder), pictures(folder))


def _theory(folder: Path, results: Results) -> Page:
    from infomax.studies.theory.check import page

    return page(results, pictures(folder))


def _mi(folder: Path, results: Results) -> Page:
    settings = results["settings"]
    page = Page(
        "Estimators of mutual information",
        f"{many(settings['seeds'], 'sample')} of {many(settings['n'], 'pair')} of each task, whose true value is known; nats.",
    )
    rows = [
        {
            "task": r["task"],
            "truth": r["truth"],
            "method": r["method"],
            "mean": r["mean"],
            "sd": r["sd"],
            "truth within the limits": f"{r['covered']} of {r['limited']}",
            "two-sided": r["two_sided"],
            "seconds": r["seconds"],
        }
        for r in results["rows"]
    ]
    page.section("Tasks").table(rows, "Limits are of 95 %, where a method gives any.")
    if results["nulls"]:
        page.section("Independent data").table(
            [{"what": k, "value": str(v)} for k, v in results["nulls"].items()],
            "How often `auto` sees what is not there.",
        )
    return with_settings(page, results)


def _table(folder: Path, results: Results) -> Page:
    """A study whose page needs more than it kept, such as the demo: its rows and its pictures."""
    rows = results["rows"]
    lines = [{"": name, **row} for name, row in rows.items()] if isinstance(rows, Mapping) else list(rows)
    plain = [{k: v for k, v in line.items() if not isinstance(v, list | dict)} for line in lines]
    page = Page(folder.resolve().name, f"{many(len(plain), 'row')}.").section("Results").table(plain)
    for name, picture in pictures(folder).items():
        page.image(picture, f"`{name}`")
    return with_settings(page, results)


def with_settings(page: Page, results: Results) -> Page:
    """A page with what its numbers come from as the last section."""
    told = [
        {"setting": key, "value": str(value)}
        for part in ("settings", "environment")
        for key, value in results.get(part, {}).items()
    ]
    told += [{"setting": k, "value": str(results[k])} for k in ("seed", "epochs", "command") if k in results]
    spent = {"seconds": "seconds", "cpu_seconds": "processor seconds, all runs"}
    told += [{"setting": said, "value": f"{results[k]:.0f}"} for k, said in spent.items() if k in results]
    return page.section("Settings").table(told) if told else page
