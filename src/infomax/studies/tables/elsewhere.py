"""Results of runs that were made elsewhere: folders of runs that were evaluated there, or rows in a JSON file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infomax.errors import DataError
from infomax.evaluate import findings
from infomax.evaluate.findings import KEPT, SIZES
from infomax.studies.tables.printed import METHODS, label_of
from infomax.training.defaults import LARGEST_DEFAULT_SIZE, auto_of_images
from infomax.training.folder import read_config, read_log

NEEDED = ("method", "data", "seed", "linear", "machine")
"""What a row must say; `linear_g`, `knn`, `knn_g`, `encoder`, `epochs`, `train`, `test`, `seconds`, `recipe` may follow."""

WORDS, WHOLE = ("machine", "encoder"), ("seed", "epochs", "size", "train", "test")
PERCENT = ("linear", "linear_g", "knn", "knn_g")

DIGITS = 8
"""The side of the digits, of whose runs the first results of fig. 2 do not say it."""


def read(path: str | Path) -> list[dict[str, Any]]:
    """Rows of results made elsewhere.

    Args:
        path: a folder that holds runs, at any depth, each after `infomax evaluate RUN` with its config.json,
            environment.json and evaluation.json (weights are not needed); or a JSON file, a list of rows or one under `rows`;
            or the results.json of `infomax study fig2`, whose runs are probed too.

    Raises:
        DataError: nothing there, a run that was not evaluated, or a row that lacks something, naming it.
    """
    where = Path(path)
    if where.is_dir():
        runs = sorted(config.parent for config in where.rglob("config.json"))
        if not runs:
            raise DataError(f"{where} holds no runs: give a folder of folders with config.json, or a JSON file of rows")
        return [of_run(run) for run in runs]
    said = _json(where)
    if isinstance(said, Mapping) and isinstance(s := said.get("settings"), Mapping) and s.get("figure") == "fig2":
        return _of_fig2(said)
    rows = said.get("rows") if isinstance(said, Mapping) else said
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{where}: give a list of rows, each with {', '.join(NEEDED)}; or one under 'rows'")
    return [_checked(row, f"{where}, row {k}") for k, row in enumerate(rows, 1)]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None


def of_run(folder: Path) -> dict[str, Any]:
    """The row of one run."""
    config, kept = read_config(folder), folder / KEPT
    if not kept.is_file():
        raise DataError(f"{folder} was not evaluated: infomax evaluate {folder}, then take its folder again")
    judged = findings.read(folder)
    name = config["data"]["name"]
    found = judged.get(name) or next((f for data, f in judged.items() if label_of(data) == label_of(name)), None)
    if not isinstance(found, Mapping | None):
        raise DataError(f"{kept} is damaged: remove it, and evaluate again")
    if found is None:
        raise DataError(f"{folder} was evaluated on {', '.join(judged)}, not on {name}: infomax evaluate {folder}")
    if SIZES in found and "data" not in found:
        raise DataError(f"{folder} was evaluated at {', '.join(found[SIZES])} px alone: infomax evaluate {folder}")
    environment = _json(folder / "environment.json")
    history, training = read_log(folder), config["training"]
    if training.get("budget") is not None:
        raise DataError(f"{folder} was trained for {training['budget']}, not for a number of epochs, as a row has them")
    if len(history) < training["epochs"]:
        raise DataError(f"{folder} ended after {len(history)} of {training['epochs']} epochs: finish it first")
    then = (found.get("trained") or {}).get("epoch")
    if then is not None and then != history[-1]["epoch"]:
        raise DataError(f"{folder} was evaluated at epoch {then:g} and has gone on since: infomax evaluate {folder}")
    row = {
        "method": config["method"].get("method"),
        "data": label_of(name),
        "seed": training["seed"],
        "machine": environment["cuda"] or f"CPU, {environment['threads']} thread(s)",
        "encoder": config["encoder"].get("name"),
        "size": config["views"].get("size"),
        "command": environment.get("command"),
        "seconds": sum(r["seconds"] for r in history),
        "options": {
            k: training[k] for k in ("epochs", "batch_size", "optimizer", "lr", "weight_decay", "warmup_epochs")
        }
        | {"views": config["views"]["recipe"], "precision": training["precision"]}
        | {k: v for k, v in config["method"].items() if k != "method"},
        **{k: found[k] for k in ("linear", "linear_se", "knn", "train", "test") if k in found},
        **{f"{k}_g": found["g"][k] for k in ("linear", "linear_se", "knn") if k in found.get("g", {})},
        "epochs": training["epochs"],
    }
    return _checked(row, str(folder))


def _of_fig2(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The runs of fig. 2, all of one setting but for method and seed."""
    s, environment = results["settings"], results["environment"]
    options = {k: s[k] for k in ("optimizer", "lr", "weight_decay", "batch_size", "epochs")}
    size = s.get("size") or (DIGITS if s["data"] == "digits" else LARGEST_DEFAULT_SIZE)
    encoder = auto_of_images(size) if s["encoder"] == "auto" else s["encoder"]
    shared = {"data": s["data"], "encoder": encoder, "epochs": s["epochs"], "options": options}
    shared |= {"machine": environment["cuda"] or "CPU", "command": results["command"]}
    return [
        _checked(shared | {"method": r["name"], "seed": r["seed"], "train": r["samples"]}
                 | {k: r[k] for k in ("linear", "linear_g", "knn", "knn_g") if r.get(k) is not None}, f"fig2, row {k}")
        for k, r in enumerate(results["rows"], 1) if "error" not in r
    ]  # fmt: skip


def _checked(row: Any, source: str) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise DataError(f"{source}: give a mapping with {', '.join(NEEDED)}, not {row!r}")
    lacking = [key for key in NEEDED if row.get(key) is None]
    if lacking:
        raise DataError(f"{source}: lacks {', '.join(lacking)}")
    made = dict(row) | {"method": str(row["method"]).replace("-", "_"), "data": label_of(str(row["data"]))}
    if made["method"] not in METHODS:
        raise DataError(f"{source}: {row['method']!r} is no method of table 1 ({', '.join(METHODS)})")
    tests = (
        (WORDS, lambda v: isinstance(v, str), "words"),
        (WHOLE, lambda v: type(v) is int, "a whole number"),
        (PERCENT, lambda v: type(v) in (int, float) and 0 <= v <= 100, "percent"),
    )
    for keys, right, what in tests:
        if wrong := [key for key in keys if made.get(key) is not None and not right(made[key])]:
            raise DataError(f"{source}: {wrong[0]}={made[wrong[0]]}: give {what}")
    if not isinstance(made.get("options", {}), Mapping):
        raise DataError(f"{source}: options={made['options']}: give a mapping")
    try:
        json.dumps(made, allow_nan=False)
    except ValueError:
        raise DataError(f"{source}: holds a number that is not finite") from None
    return made
