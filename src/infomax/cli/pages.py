"""What `infomax report` does: finds out what each folder is, and writes its page."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from infomax.errors import ConfigError, DataError, beside, command
from infomax.studies.tables.page import kept

Kind = Literal["run", "sweep", "study", "tables"]


def kind(folder: Path) -> Kind:
    """What a folder is, by the file that only it holds; `tables` are those of the paper.

    Raises:
        DataError: where it is none of them.
    """
    marks: dict[str, Kind] = {"config.json": "run", "sweep.json": "sweep", "results.json": "study"}
    for name, is_of in marks.items():
        if (folder / name).is_file():
            return is_of
    if kept(folder):
        return "tables"
    sweeps = [p.name for p in sorted(folder.glob("*")) if (p / "sweep.json").is_file()] if folder.is_dir() else []
    if sweeps:  # tables that were stopped
        what = f"holds sweeps ({', '.join(sweeps)}): {command(f'report {shlex.quote(str(folder / sweeps[0]))}')}"
    elif folder.is_dir():
        what = f"holds none of {', '.join(marks)}"
    elif folder.exists():
        what = "is a file; name the folder that it lies in"
    else:
        what = f"does not exist; {beside(folder)}".rstrip("; ")
    raise DataError(f"{folder} is no run, sweep or study: it {what}")


def reported(
    folders: Sequence[str | Path],
    out: str | Path | None = None,
    data: str | None = None,
    root: str | None = None,
    *,
    umap: bool = False,
) -> Path:
    """Write the page of runs, of a sweep or of a study.

    Args:
        folders: runs, or one sweep, or one study (or the folder of the paper's tables).
        out: the page.
        data, root, umap: of runs; see `infomax.report.run.report`.

    Returns:
        The page.

    Raises:
        DataError: a folder that is none of them, or is damaged. ConfigError: what does not go together.
    """
    paths = [Path(folder) for folder in folders]
    twice = next((p for k, p in enumerate(paths) if p.resolve() in [q.resolve() for q in paths[:k]]), None)
    if twice is not None:
        raise ConfigError(f"{twice} is named twice: name every run once")
    kinds = [kind(path) for path in paths]
    first = paths[0]
    if kinds.count("run") == len(paths):
        from infomax.report.run import write
        from infomax.report.subject import Subject
        from infomax.sweep.titles import titles
        from infomax.training.folder import PAGES

        page = Path(out) if out is not None else first / PAGES[len(paths) > 1]
        subjects = [Subject.at(path) for path in paths]
        for subject, title in zip(subjects, titles(paths), strict=True):
            subject.name = title or subject.name
        return write(subjects, page, data, root=root, umap=umap)
    if len(paths) > 1:
        said = ", ".join(f"{path} ({of})" for path, of in zip(paths, kinds, strict=True))
        raise ConfigError(f"a page is of runs, or of one sweep, or of one study, not of several kinds at once: {said}")
    if data is not None or root is not None or umap:
        raise ConfigError(
            f"--data, --root and --umap are of runs; {first} is a {'study' if kinds[0] == 'tables' else kinds[0]}"
        )
    if kinds[0] == "sweep":
        from infomax.sweep.page import write as write_sweep

        return write_sweep(first, out)
    if kinds[0] == "tables":
        from infomax.studies.tables.page import write as write_tables

        return write_tables(first, out)
    from infomax.studies.page import write as write_study

    return write_study(first, out)
