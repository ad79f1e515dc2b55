"""Tables 1 and 7: linear probes of every method on every data set, over seeds; and the settings they were trained with."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infomax.errors import ConfigError
from infomax.evaluate.splits import known_by
from infomax.progress import meter
from infomax.studies.pool import run_all
from infomax.studies.tables import elsewhere, judge, plan
from infomax.studies.tables.columns import Column, columns, second, table
from infomax.studies.tables.printed import SETS, counterpart, printed
from infomax.studies.tables.sources import Source
from infomax.studies.tables.tested import tested, untrained
from infomax.studies.tables.work import Asked, cost, here, write
from infomax.studies.verdict import judged
from infomax.sweep.folder import Folder, Row
from infomax.sweep.grid import Cell
from infomax.training.defaults import LARGEST_DEFAULT_SIZE, auto_of_images, dataset
from infomax.words import as_option

KEPT = (
    "encoder", "size", "views", "epochs", "batch_size", "optimizer", "lr", "lr_batch", "weight_decay", "warmup_epochs",
    "projector", "predictor", "temperature", "momentum", "invariance", "variance", "covariance", "redundancy",
)  # fmt: skip
"""Options of a run that a table's JSON keeps."""


def table1(out: str | Path, **options: Any) -> dict[str, Any]:
    """Table 1: linear probing, all methods x data sets, mean ± sd over seeds, beside the paper's.

    Args:
        out: folder of the tables, made anew or gone on with.
        options: of `infomax.studies.tables.work.Asked`.

    Returns:
        What table1.json holds: `rows` (a run each; one that failed has `error`), `untrained`, `claims`, `parts`.

    Raises:
        ConfigError, DataError: what was asked for does not exist or cannot be.

    Example:
        >>> table1("runs/tables", methods=["byoll"])
        Traceback (most recent call last):
        infomax.errors.ConfigError: --methods byoll: did you mean 'byol'? (one of: barlow_twins, byol, ...)
    """
    asked = Asked(out, **options)
    others = [row | {"elsewhere": True} for path in asked.elsewhere or () for row in elsewhere.read(path)]
    columns(others)  # what cannot stand in one is said before anything is trained
    sources = asked.sources(asked.size_of.samples) if asked.size_of.seeds else []
    rows, spent = _trained(asked, sources) if sources else ([], {})
    bare = _untrained(asked, sources, rows)
    found = columns([*rows, *others], bare)
    parts: list[dict[str, Any]] = [
        {
            "heading": "Table 1: linear probe of the frozen encoder, test set, %",
            "lines": table(found),
            "text": _about(found, sources),
        },
        {"heading": "What differs from the paper", "lines": _differences(found, rows, others)},
        {"heading": "The same by 20 nearest neighbours, %", "lines": second(found)},
    ]
    claims = judge.claims(found)
    parts.append({"heading": "Claims", "lines": claim_lines(claims)})
    if failed := [row for row in rows if "error" in row]:
        parts.append(
            {"heading": "Failed", "lines": [{k: row[k] for k in ("method", "data", "seed", "error")} for row in failed]}
        )
    results = {"rows": [*rows, *others], "untrained": bare, "claims": claims, **spent}
    return write(asked, "table1", "Table 1: linear probing", results, parts, _taken(sources))


def claim_lines(claims: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The claims as lines of a table."""
    return [{"claim": c["claim"], "verdict": c["verdict"], "judged by": judged(c), "note": c["note"]} for c in claims]


def table7(out: str | Path, **options: Any) -> dict[str, Any]:
    """Table 7: the settings of ImageNet100 and TinyImageNet, as run here and as printed, and what they came to.

    Args:
        out, options: as of `table1`; data: what stands for those two sets.
    """
    asked = Asked(out, **options)
    known = [name for name in asked.size_of.data if counterpart(name) in printed()["table7"]]
    names = asked.data or known or ["tiny-imagenet", "imagenet100"]
    for name in names:
        if counterpart(Path(name).stem) not in printed()["table7"]:
            raise ConfigError(
                f"--data {name}: table 7 has settings for {' and '.join(SETS[like] for like in printed()['table7'])} alone; in "
                f"their place stand data by how their name begins: {_stand_ins()}"
            )
    sources = asked.sources(asked.size_of.samples, names)
    rows, spent = _trained(asked, sources)
    parts: list[dict[str, Any]] = []
    for source in sources:
        mine = [row for row in rows if row["data"] == source.label]
        like = str(counterpart(source.label))
        parts.append(
            {
                "heading": f"Table 7: settings of {SETS[like]}, and of {source.label} here",
                "lines": _settings(like, mine),
            }
        )
    found = columns(rows)
    parts.append(
        {"heading": "What they came to: linear probe, %", "lines": table(found), "text": _about(found, sources)}
    )
    return write(
        asked, "table7", "Table 7: ImageNet100 and TinyImageNet", {"rows": rows, **spent}, parts, _taken(sources)
    )


def _trained(asked: Asked, sources: Sequence[Source]) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Every run of every method, data set and seed, trained and judged; and what that took."""
    size = asked.size_of
    cells = [
        (plan.final(method, source, size, seed, asked.changes), method, source)
        for source in sources
        for method in plan.chosen(asked.methods)
        for seed in range(size.seeds)
    ]
    folder = Folder(asked.folder / "final")
    stands = asked.sweep("final", sorted((cell for cell, _, _ in cells), key=_cheapness))
    known = {source.label: known_by(dataset(source.data, source.root)) for source in sources}
    ready = {
        str(folder.cell(cell.name).resolve()): known[source.label]
        for cell, _, source in cells
        if stands[cell.name].state == "finished"
    }
    with meter(total=len(ready), disable=not asked.progress, desc="judge", unit="run", delay=2) as bar:
        answers = dict(zip(ready, run_all(tested, list(ready.items()), asked.workers, bar.update), strict=True))
    rows = []
    for cell, method, source in cells:
        row = stands[cell.name]
        made: dict[str, Any] = {"method": method, "data": source.label, "of": source.of}
        made |= _described(folder, row, source)
        answer = answers.get(str(folder.cell(cell.name).resolve()))
        failed = row.error or row.state if answer is None else answer.error
        made |= {"error": failed} if answer is None or failed else answer.value
        rows.append(made)
    spent = cost(folder, list(stands.values()))
    return rows, spent | {"cpu_seconds": spent["cpu_seconds"] + sum(r.get("cpu_seconds", 0.0) for r in rows)}


def _cheapness(cell: Cell) -> bool:
    return bool(cell.options["method"] != "sdmi")  # the dearest first, so that no processor waits for it at the end


def _described(folder: Folder, row: Row, source: Source) -> dict[str, Any]:
    o = row.options
    size = o["size"] or min(source.side, LARGEST_DEFAULT_SIZE)
    ended = folder.result(row.name) or {}
    return {
        "seed": o["seed"],
        "machine": ended.get("machine", {}).get("cuda") or here("cpu"),
        "encoder": auto_of_images(size) if o["encoder"] == "auto" else o["encoder"],
        "epochs": o["epochs"],
        "size": size,
        "train": source.train,
        "cell": row.name,
        "seconds": row.seconds,
        "train_cpu_seconds": ended.get("cpu_seconds"),
        "options": {k: o[k] for k in KEPT if o.get(k) is not None},
    }


def _untrained(asked: Asked, sources: Sequence[Source], rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Linear probes of untrained encoders, by data set, a seed each."""
    size = asked.size_of
    jobs = []
    for source in sources:
        like = next((row for row in rows if row["data"] == source.label), None)
        if like is not None:
            jobs += [(source, like["encoder"], like["size"], seed) for seed in range(size.seeds)]
    found: dict[str, list[float]] = {}
    for (source, *_), answer in zip(jobs, run_all(untrained, jobs, asked.workers), strict=True):
        if answer.error is None:
            found.setdefault(source.label, []).append(answer.value["linear"])
    return found


def _stand_ins() -> str:
    """What stands in for each data set of table 7."""
    known = printed()["counterparts"]
    return ", ".join(
        f"{' or '.join(start for start, of in known.items() if of == like)} for {SETS[like]}"
        for like in printed()["table7"]
    )


def _taken(sources: Sequence[Source]) -> dict[str, Any]:
    """How many images each data set gave, and how many it has; test: None where a fifth of train is held out."""
    keys = ("train", "of", "test", "of_test")
    return {"images": {s.label: {key: getattr(s, key) for key in keys} for s in sources}}


def _about(found: Sequence[Column], sources: Sequence[Source]) -> str:
    """What stands behind each column, in words."""
    said = [f"{c.head}: {c.said}; {c.seeds}." for c in found]
    return " ".join([*said, *(s.cut for s in sources if s.cut)]) + (
        " Mean ± sd over seeds. The probe is logistic regression to convergence, its penalty chosen on a held-out fifth of "
        "train; the test set is looked at once a run."
    )


def _differences(
    found: Sequence[Column], rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> list[dict[str, str]]:
    """Each of our columns' settings beside those of the paper's that it stands by."""
    lines = []
    for c in found:
        own = [r["options"] for r in (*rows, *others) if r["data"] == c.data and r.get("options")]
        line = {
            "column": c.head,
            "stands beside": SETS[c.like] if c.like else "none of the paper's",
            "images": f"{c.train or '?'}",
        }
        line |= {
            key: _together(o.get(key) for o in own)
            for key in ("optimizer", "lr", "weight_decay", "batch_size", "views")
        }
        lines.append(line | {"encoder": c.encoder, "px": str(c.size or ""), "epochs": str(c.epochs)})
    paper = {
        "column": "paper", "stands beside": "", "images": "50,000; 100,000; 126,689", "optimizer": "not said",
        "lr": "0.03 to 0.05", "weight_decay": "0.0001, 0.0005", "batch_size": "512; 256, 64", "views": "not said",
        "encoder": "resnet18; resnet50", "px": "not said", "epochs": "1000; 800",
    }  # fmt: skip
    return [paper, *lines]


def _together(values: Any) -> str:
    return ", ".join(sorted({as_option(v) for v in values if v is not None}))


def _settings(like: str, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Table 7's rows: printed, and as the runs here had it."""
    options = [row["options"] for row in rows]
    ours = {
        key: _together(o.get(key) for o in options)
        for key in ("encoder", "epochs", "warmup_epochs", "batch_size", "lr", "weight_decay")
    }
    ours |= {
        "encoder": _together(row["encoder"] for row in rows),
        "schedule": "cosine",
        "projection layers": _together(len(o["projector"]) for o in options),
        "projection dimension": _together(o["projector"][-1] for o in options),
        "feature dimension": _together(o["projector"][0] for o in options),
        "batch_size of sdmi": _together(
            o["batch_size"] for row, o in zip(rows, options, strict=True) if row["method"] == "sdmi"
        ),
    }
    if not ours["warmup_epochs"]:
        ours["warmup_epochs"] = "a tenth of the run"
    return [
        {
            "parameter": key,
            "paper": as_option(value),
            "here": ours[key],
            "differs": "" if as_option(value) == ours[key] else "yes",
        }
        for key, value in printed()["table7"][like].items()
    ]
