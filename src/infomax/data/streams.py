"""What is read in shards, by the name that a user gives it: a folder, a pattern, an address, or a data set of the Hub.

shards/   'shards/*.tar'   'train-{000..146}.tar'   photos.parquet   https://host/part-{0..9}.parquet
hf:user/name   hf:user/name:configuration   hf:user/name@revision   hf:FOLDER      and #COLUMN behind any of them
"""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

from infomax.data.encoded import Scale
from infomax.data.folder import OnError, holds_images
from infomax.data.parquet import read_parquets
from infomax.data.sets import Dataset
from infomax.data.tar import read_tars
from infomax.errors import DataError, NoSuchSplit
from infomax.extras import getting

ENDINGS = (".parquet", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")

METADATA = "metadata.parquet"
"""What `datasets` calls a table about the pictures beside it: it holds none."""

_HUB = re.compile(r"hf:(?P<path>[^@]+?)(?::(?P<part>[^@:/]+))?(?:@(?P<revision>.+))?")
_SPLIT = re.compile(r"(?:^|[^a-z])(train|test|validation|valid|val|dev)(?:ing)?(?:[^a-z]|$)")
_BRACES = re.compile(r"\{([^{}]+)\}")


def is_stream(name: str) -> bool:
    """Whether a name is one of shards: an address, a pattern, a `.tar` or `.parquet` file, or a folder of such.

    Example:
        >>> [is_stream(name) for name in ("hf:user/name", "shards/{00..12}.tar#png", "digits", "photos.npz")]
        [True, True, False, False]
    """
    base = _parts(name)[0]
    if base.startswith("hf:") or base.lower().endswith(ENDINGS):
        return True
    folder = Path(base).expanduser()
    if not folder.is_dir():
        return False
    if any(file.name != METADATA for pattern in ("*.parquet", "*/*.parquet") for file in folder.glob(pattern)):
        return True  # a picture beside its data is part of a README
    return not holds_images(folder) and bool(_below(folder))  # an archive beside its images is where they came from


def read_stream(name: str, split: str, scale: Scale, on_error: OnError) -> tuple[Dataset, str]:
    """Read shards, and say by what name they are found again from anywhere.

    Args:
        name: see the head of this module.
        split: `train` or `test`; which shard belongs to which is read off its name (train, test, validation, val).
        scale: at which size images are read.
        on_error: `skip` or `stop` at what cannot be decoded.

    Raises:
        DataError: nothing by this name, or shards of no known kind. NoSuchSplit: no such split.
    """
    base, key = _parts(name)
    if base.startswith("hf:"):
        by_split, again = _of_hub(base)
    else:
        by_split, again = _by_split(list(_matching(base))), absolute(base)
    train = by_split.get("train") or [file for files in by_split.values() for file in files]
    files = train
    if split == "test":
        held = [kind for kind in by_split if kind != "train"] if "train" in by_split else []
        if not held:
            raise NoSuchSplit(f"{name}: no test split: name its shards test or validation, or give others")
        files = by_split["test" if "test" in held else held[0]]
    kinds = {ending for file in files for ending in (*ENDINGS, "?") if file.lower().endswith(ending) or ending == "?"}
    if ".parquet" in kinds and all(file.lower().endswith(".parquet") for file in (*files, *train)):
        read = read_parquets
    elif ".parquet" not in kinds and kinds != {"?"}:
        read = read_tars
    else:
        raise DataError(f"{name}: {Path(files[0]).name} and the others are not all .parquet or all .tar: give one kind")
    found = read(files, train, name, key, scale, on_error)
    found.split = split if "train" in by_split and len(by_split) > 1 else None
    return found, again + (f"#{key}" if key else "")


def _parts(name: str) -> tuple[str, str | None]:
    """A name, and the column or ending of the images behind its #, unless the # belongs to a file's name."""
    base, mark, key = name.rpartition("#")
    return (base, key) if mark and key and not Path(name).expanduser().exists() else (name, None)


def absolute(name: str) -> str:
    """The same data by a name that holds from any folder; an address, the Hub's, and what is no path stay as they are.

    Links are not followed: what one leads to may lack the ending that tells its kind.

    Example:
        >>> [absolute(name) for name in ("hf:user/name", "https://host/x.tar", "/data/../shards/*.tar#png", "digitz")]
        ['hf:user/name', 'https://host/x.tar', '/shards/*.tar#png', 'digitz']
    """
    base, key = _parts(name)
    if base.startswith("hf:"):
        match = _HUB.fullmatch(base)
        here = match is not None and os.path.isdir(match["path"])
        return f"hf:{os.path.abspath(match['path'])}{name[match.end('path') :]}" if match and here else name
    path = os.path.abspath(os.path.expanduser(base))
    if "://" in base or not (is_stream(name) or os.path.exists(path)):
        return name
    return path + (f"#{key}" if key else "")


def _below(folder: Path) -> list[str]:
    found = (f for f in sorted(folder.rglob("*")) if f.name[0] != "." and f.name != METADATA)
    files = [str(f) for f in found if f.name.lower().endswith(ENDINGS)]
    parquet = [file for file in files if file.lower().endswith(".parquet")]
    return parquet or files


def _matching(base: str) -> Iterator[str]:
    """The shards that a pattern means, in order."""
    local, path = "://" not in base, Path(base).expanduser()
    if local and path.is_dir():
        yield from _below(path)
        return
    if local and path.is_file():  # whatever braces its name has
        yield str(path)
        return
    for one in expanded(os.path.expanduser(base) if local else base):
        if not local or Path(one).is_file():
            yield one
        else:
            found = sorted(glob.glob(one, recursive=True))
            if not found:
                raise DataError(f"no file {one}" if one == base else f"no file {one}, of the pattern {base}")
            yield from found


def expanded(pattern: str) -> list[str]:
    """Every name of a pattern with braces, as a shell has it.

    Example:
        >>> expanded("a-{08..10}.tar"), expanded("{x,y}.tar")
        (['a-08.tar', 'a-09.tar', 'a-10.tar'], ['x.tar', 'y.tar'])

    Raises:
        DataError: numbers that run downwards.
    """
    pieces: list[Iterable[str]] = []
    for i, piece in enumerate(_BRACES.split(pattern)):
        ends = piece.split("..")
        if i % 2 == 0:
            pieces.append([piece])
        elif len(ends) == 2 and all(end.isdecimal() for end in ends):
            width = len(ends[0])
            if int(ends[0]) > int(ends[1]):
                raise DataError(f"{pattern}: {{{piece}}} names nothing: give the smaller number first")
            pieces.append([f"{number:0{width}}" for number in range(int(ends[0]), int(ends[1]) + 1)])
        else:
            pieces.append(piece.split(","))
    return ["".join(names) for names in product(*pieces)]


def _by_split(files: list[str]) -> dict[str, list[str]]:
    """Shards by the split that their name, or their folder's, tells; `train` holds those of all where it tells none."""
    found: dict[str, list[str]] = {}
    common = os.path.commonpath(files) if len(files) > 1 else os.path.dirname(files[0])
    for file in files:
        told = None
        for part in reversed(Path(file[len(common) :].lower()).parts):
            told = told or _SPLIT.search(part)
        found.setdefault(told[1] if told else "", []).append(file)
    if "train" not in found and "" in found:
        found["train"] = found[""]
    found.pop("", None)
    return found


def _of_hub(base: str) -> tuple[dict[str, list[str]], str]:
    """The shards of a Hugging Face data set by split, and its name with the revision that they are of."""
    try:
        from datasets import load_dataset_builder
    except ImportError as error:
        raise DataError(f"{base}: needs datasets: {getting('streams')}") from error
    match = _HUB.fullmatch(base)
    if match is None:
        raise DataError(f"{base!r}: give hf:user/name, hf:user/name:configuration or hf:user/name@revision")
    path, part, revision = match["path"], match["part"], match["revision"]
    try:
        builder = load_dataset_builder(path, part, revision=revision)
        found = builder.config.data_files
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(f"{base}: not found on the Hub, or not reached ({' '.join(str(error).split())})") from error
    if not found:
        raise DataError(f"{base}: a data set made by a script, with no files to read in shards")
    by_split = {str(split): [str(file) for file in files] for split, files in found.items()}
    first = next(iter(by_split.values()))[0]
    commit = re.match(r"hf://datasets/[^@]+@([0-9a-f]+)/", first)
    where = path if commit else os.path.abspath(path)
    return by_split, f"hf:{where}" + (f":{part}" if part else "") + (f"@{commit[1]}" if commit else "")
