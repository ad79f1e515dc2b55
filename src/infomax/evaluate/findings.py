"""What evaluations found, as a run's folder keeps it: by data set and size, with the weights and the epoch that it is of.

Under a data set's name are the findings at the default size of its images, which whoever reads the file shows; those at another
(`--size`) are in them, under `sizes`.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from infomax import __version__
from infomax.data import Dataset
from infomax.data.content import changed
from infomax.errors import DataError, reason, warn
from infomax.evaluate.cache import key
from infomax.evaluate.protocols import BASELINES, CHOSEN, GAUGES, statement
from infomax.files import write_bytes
from infomax.locks import held

KEPT, LOCK = "evaluation.json", "evaluation.lock"
SIZES = "sizes"
"""Of findings on a data set: those at other sizes than the default, by the side in pixels."""
TESTED_ON = "tested_on"
"""Of findings: where data lie, or their name, that were given to be tested on; not there where they came with the others."""
SAID = {key: name for key, (name, _) in CHOSEN.items()} | {BASELINES: BASELINES, "embedding": GAUGES}
"""By the key of what it finds: a protocol."""
WAIT = 60.0  # seconds for a lock that is held for milliseconds


def weights_of(encoder: nn.Module) -> str | None:
    """The hash of an encoder's weights."""
    return key(encoder, Dataset(torch.zeros(1, 1)))


def is_own(source: Any, asked: Mapping[str, Any]) -> bool:
    """Whether data, by the name or whole path that they were loaded by, are those that a run was trained on.

    Args:
        source: of the data; None: they were not loaded.
        asked: the part `data` of the run's configuration.

    Example:
        >>> asked = {"name": "a.npz", "source": "/data/a.npz"}
        >>> is_own("/data/a.npz", asked), is_own("/b/a.npz", asked)
        (True, False)
    """
    return source is not None and source == (asked.get("source") or asked.get("name"))


def read(folder: Path) -> dict[str, Any]:
    """What was found before, by data set.

    Raises:
        DataError: where the file is damaged.
    """
    path = folder / KEPT
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise DataError(f"{path} is damaged: remove it, and evaluate again") from None


def name_of(found: Mapping[str, Any]) -> str:
    """Under which name findings are kept: of the run's own data theirs, of others where they lie; and what was tested on.

    Example:
        >>> name_of({"data": "a", "own": True, "source": "a"})
        'a'
        >>> name_of({"data": "a", "own": True, "source": "a", "tested_on": "/data/b.npz"})
        'a, tested on /data/b.npz'
    """
    name = str(found["data"] if found["own"] or found["source"] is None else found["source"])
    return f"{name}, tested on {found[TESTED_ON]}" if TESTED_ON in found else name


def keep(folder: Path, found: Mapping[str, Any]) -> None:
    """Write findings beside what was found before, last; what is asked again at the same size takes the place of the older.

    What was found before is read now: another evaluation may have ended while this one encoded.

    Raises:
        DataError: where they cannot be written, or what was found before is damaged.

    Warns:
        UserWarning: naming what is dropped, and why.
    """
    try:
        with held(folder / LOCK, WAIT):
            before = read(folder)
            write_bytes(folder / KEPT, json.dumps(_together(before, found), indent=2).encode() + b"\n")
    except OSError as error:  # of the lock: a file system that can only be read, or whose holder hangs
        raise DataError(f"cannot write {folder / KEPT}: {reason(error)}") from error
    earlier = _of_same_data(before, found).get(found.get("size"), {})
    dropped = [said for key, said in SAID.items() if key in earlier and key not in found]
    if dropped and (why := _apart(earlier, found)):
        warn(f"{why}: what was found before ({', '.join(dropped)}) is dropped")


def _of_same_data(before: Mapping[str, Any], found: Mapping[str, Any]) -> dict[int | None, dict[str, Any]]:
    """What was found before on the same data, by size; by their source earlier versions kept the run's own."""
    earlier = {} if TESTED_ON in found else before.get(found["source"], {})
    return at_sizes(before.get(name_of(found), earlier))


def _together(before: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    name, known = name_of(found), _of_same_data(before, found)
    was = name if TESTED_ON in found else found["source"]
    size = found.get("size")
    known[size] = _merged(known.pop(size, {}), found)  # last
    default = found.get("default_size", size)
    unsized = {} if default is None else known.pop(None, {})  # of a version that did not say it: until there are others
    usual = known.pop(default, unsized)
    beside = {SIZES: {str(side): f for side, f in known.items()}} if known else {}
    return {k: f for k, f in before.items() if k not in (name, was)} | {name: {**usual, **beside}}


def _merged(earlier: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Findings at one size, beside the earlier ones where they belong together."""
    earlier = {} if _apart(earlier, found) else earlier
    together = {**earlier, **found}
    if "g" in together:  # a second encoder's stand beside each other likewise
        together["g"] = {**earlier.get("g", {}), **found.get("g", {})}
    together["protocol"] = statement(together)
    return together


def _apart(earlier: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Why findings do not stand beside the earlier ones at the same size; nothing where they do."""
    hows = {of["how"] for of in (earlier, found) if of.get("how")}
    if len(hows) > 1 or any(changed(earlier.get(part), found.get(part)) for part in ("content", "content_of_test")):
        return f"{found['data']} has changed since"
    if earlier.get("weights") != found.get("weights"):  # the hash is of the version, too
        same = earlier.get("infomax") == found.get("infomax")
        return "the weights have changed since" if same else "found by another version of infomax then"
    if earlier.get("seed") != found.get("seed"):
        return f"found by --seed {earlier.get('seed')} then, {found.get('seed')} now"
    return ""


def at_sizes(kept: Any) -> dict[int | None, dict[str, Any]]:
    """What is kept of one data set, by the size at which it was found, that of the default first; None of what has no size.

    Example:
        >>> at_sizes({"knn": 90.0, "size": 32, "sizes": {"16": {"knn": 85.0, "size": 16}}})
        {32: {'knn': 90.0, 'size': 32}, 16: {'knn': 85.0, 'size': 16}}
    """
    if not isinstance(kept, Mapping):
        return {}
    usual = {k: v for k, v in kept.items() if k != SIZES}
    others = kept.get(SIZES)
    found = [usual] * bool(usual) + [dict(f) for f in (others.values() if isinstance(others, Mapping) else ())]
    return {f.get("size"): f for f in found}


class Shown(NamedTuple):
    """What a page says of a run on one data set.

    Attributes:
        name: of the data.
        found: on them.
        own: whether the run was trained on them.
        data: what they are known by, of whichever run.
    """

    name: str
    found: Mapping[str, Any]
    own: bool
    data: str


def shown(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> list[Shown]:
    """What a page says of a run, by data set: first its own, then what was evaluated last; baselines alone behind accuracies.

    Of one data set they are those at the default size; where there are none, the last at another.

    Args:
        kept: findings by data set.
        asked: the part `data` of the run's configuration.

    Example:
        >>> shown({"/data/b.npz": {"linear": 90.0, "own": False}}, {"name": "a.npz", "source": "/data/a.npz"})
        [Shown(name='b.npz', found={'linear': 90.0, 'own': False}, own=False, data='/data/b.npz')]
    """
    mine = (str(asked.get("name")), str(asked.get("source")))
    made: dict[str, Shown] = {}
    for keys in (tuple(CHOSEN), (BASELINES,)):  # baselines alone say little
        known = [(n, f) for n, of in reversed(list(kept.items())) if (f := _one(of, keys))]
        named = [(n, f, TESTED_ON not in f and bool(f.get("own", os.path.normpath(n) in mine))) for n, f in known]
        for name, found, own in sorted(named, key=lambda one: not one[2]):
            data = str(asked.get("source") or asked.get("name")) if own else name
            said = str(asked.get("name")) if own else _short(name, kept)
            if TESTED_ON in found:
                said = f"{Path(found['data']).name}, tested on {Path(found[TESTED_ON]).name}"
            made.setdefault(data, Shown(said, found, own, data))
    return list(made.values())


def _short(name: str, kept: Mapping[str, Any]) -> str:
    """The name of data without their folder, where no others that were evaluated have it."""
    return Path(name).name if sum(Path(n).name == Path(name).name for n in kept) == 1 else name


def _one(kept: Any, keys: tuple[str, ...]) -> Mapping[str, Any]:
    """Of what is kept of a data set the first that has one of some protocols, the last at another size where need be."""
    found = [f for f in (kept, *reversed(at_sizes(kept).values())) if isinstance(f, Mapping)]
    return next((f for f in found if any(key in f for key in keys)), {})


def of_what(found: Mapping[str, Any], encoder: nn.Module | None, epoch: float | None) -> str | None:
    """What findings are of, where it is not the run as it stands; None where it is.

    Args:
        found: findings, as kept.
        encoder: of the run, with its weights of now; None: they cannot be had.
        epoch: its last one.

    Example:
        >>> of_what({"weights": "a", "trained": {"epoch": 28}}, None, 500)
        'of epoch 28'
        >>> of_what({"weights": "a", "infomax": __version__}, nn.Linear(2, 2), 500)
        'of earlier weights'
    """
    then = (found.get("trained") or {}).get("epoch")
    if then is not None and epoch is not None and then != epoch:
        return f"of epoch {then:g}"
    known = "weights" in found and found.get("infomax") == __version__  # the hash is of the version, too
    return "of earlier weights" if known and encoder is not None and found["weights"] != weights_of(encoder) else None
