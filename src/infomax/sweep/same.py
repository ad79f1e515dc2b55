"""Whether finished cells were of the data, and begun with the weights, that there are now: else one table would hold two
versions of them."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from infomax.data import NAMES, default_root, imagenet, load
from infomax.data.content import NAMED, changed, content
from infomax.data.folder import known_by
from infomax.data.streams import is_stream
from infomax.encoders.weights import known_by as known_by_weights
from infomax.errors import ConfigError, DataError
from infomax.sweep.folder import Row
from infomax.words import many

MENDED = {
    "begun": "put back what was there, or choose another --out",
    "trained": "put back what was there, or choose another --out",
    "judged": "put back what was there; or, to judge them anew and train none again, remove the result.json of each",
}


def refuse_others(path: Path, rows: Sequence[Row], asked: Sequence[Mapping[str, Any]], judged: str | None) -> None:
    """Refuse to go on beside finished cells that were of other data, or begun with other weights, than lie now under the same
    path.

    A named set is what lies at the root that is asked for now. Cells that kept nothing of their data go on, as do those
    whose data or weights cannot be read.

    Args:
        path: of the sweep.
        rows: its cells.
        asked: options of those that are asked for.
        judged: the data that cells are judged by, where these are others.

    Raises:
        ConfigError: naming data or weights, and cells, and what to do.
    """
    roots, now = {options["data"]: options["root"] for options in asked}, cache(_content)
    inits, weights = {options["init"] for options in asked}, cache(_weights)
    for use, mended in MENDED.items():
        differ: dict[str, list[str]] = {}
        for row in (row for row in rows if row.content.get(use) and row.options["data"] in roots):
            if use == "begun":
                name = row.options["init"]
                if name in inits and (parts := changed(row.content[use], weights(name))):
                    differ.setdefault(_others(name, parts), []).append(row.name)
                continue
            if use == "judged" and row.judged_by != judged:  # by others, so that it is judged anew
                continue
            name = judged if use == "judged" and judged else row.options["data"]
            key = (name, roots[row.options["data"]], row.options["on_error"])
            parts = changed(row.content[use], now(*key))
            if parts and _of_files(name):  # it may be by files that cannot be decoded, which are no part of the data
                parts = changed(row.content[use], now(*key, decode=True))
            if any(part != "labels" or use == "judged" for part in parts):  # labels are judged by
                differ.setdefault(_others(name, parts), []).append(row.name)
        for said, names in differ.items():
            how = "begun with it" if use == "begun" else use
            were = f"{many(len(names), 'cell')} here {'was' if len(names) == 1 else 'were'} {how}"
            raise ConfigError(f"{path}: {said} since {were}, with which others could not be compared: {mended}")


def _others(name: str, parts: Sequence[str]) -> str:
    return f"{name} has changed (other {' and '.join(NAMED[part] for part in parts)})"


def _weights(init: str) -> Mapping[str, Any]:
    """What the weights to begin with are known by now."""
    try:
        return {"weights": known_by_weights(init)}
    except (DataError, OSError):  # the cells say so
        return {}


def _of_files(name: str) -> bool:
    """Whether data are a folder of images, by path or by name."""
    return name in imagenet.FOUND or (name not in NAMES and not is_stream(name) and Path(name).is_dir())


def _content(name: str, root: str | None, on_error: Any, decode: bool = False) -> Mapping[str, Any]:
    """What data are known by now; of a folder of images, unless told to decode them, as if every one could be."""
    try:
        if _of_files(name) and not decode:
            folder = default_root() if root is None else Path(root).expanduser()
            return {"images": imagenet.known_by(name, folder) if name in imagenet.FOUND else known_by(Path(name))}
        return content(load(name, root, on_error=on_error, download=False))
    except (DataError, OSError):  # the cells say so
        return {}
