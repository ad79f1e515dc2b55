"""The page of the paper's tables, made again from the numbers that `infomax study table1` and the others kept in one folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infomax.errors import DataError
from infomax.report.page import Page


def kept(folder: Path) -> list[Path]:
    """The tables that a folder holds, in their order."""
    return sorted(p for p in folder.glob("table[0-9].json") if p.is_file())


def write(folder: Path, out: str | Path | None = None) -> Path:
    """Write one page of all tables of a folder.

    Args:
        folder: with table1.json or others of its kind.
        out: the page; by default index.html in the folder.

    Raises:
        DataError: a table that is damaged.
    """
    return drawn([(path.stem, _read(path)) for path in kept(folder)]).write(
        out if out is not None else folder / "index.html"
    )


def drawn(held: Sequence[tuple[str, Mapping[str, Any]]]) -> Page:
    """The page of some tables, each by its name, such as table4, and what its JSON holds."""
    names = " and ".join(", ".join(name.replace("table", "Table ") for name, _ in held).rsplit(", ", 1))
    page = Page(names, "; ".join(f"`{told.get('command', name)}`" for name, told in held) + ".")
    for name, told in held:
        laid_out(page, told["parts"], name.replace("table", "Table ") if len(held) > 1 else "")
    settings = [
        {"table": name, "setting": key, "value": str(value)}
        for name, told in held
        for part in ("settings", "environment")
        for key, value in (told.get(part) or {}).items()
    ]
    if settings:
        page.section("Settings").table(settings)
    return page


def laid_out(page: Page, parts: Sequence[Mapping[str, Any]], named: str = "") -> Page:
    """A page with the sections of a table, whose name stands before each heading where there are several."""
    for part in parts:
        heading = str(part["heading"])
        page.section(heading if heading.startswith(named) else f"{named}: {heading}")
        if part.get("lines"):
            page.table(part["lines"])
        if part.get("text"):
            page.text(part["text"])
    return page


def _read(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        whole = all(isinstance(part["heading"], str) for part in told["parts"])
    except (OSError, ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise DataError(f"{path} is damaged: infomax study {path.stem} --out {path.parent} makes it again")
    return dict(told)
