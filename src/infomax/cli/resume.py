"""`infomax train --resume RUN`: where a run goes on, and what may be said again of it."""

import inspect
import json
import shlex
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from infomax.cli.options import as_number, options_given
from infomax.cli.said import ended, longer
from infomax.cli.train import options_of
from infomax.errors import ConfigError, InfomaxError
from infomax.locks import left as killed
from infomax.optim.rules import read_rules
from infomax.parallel import launched_rank
from infomax.training import Run
from infomax.training.checkpoint import step_of, written
from infomax.training.folder import LOCK, read_config, read_log
from infomax.training.length import limit_of
from infomax.training.sharding import Strategy
from infomax.words import many, with_dashes

NAMES = ("method", "optimizer", "precision", "on_nan", "strategy")
"""Options whose words may be typed in capitals."""


def continued(
    *,
    resume: str,
    data: str | None = None,
    root: str | None = None,
    device: str | None = None,
    devices: int | None = None,
    strategy: Strategy | None = None,
    checkpoint_every: str | None = None,
    keep: int | None = None,
    wandb: str | None = None,
) -> None:
    """Continue a run that was stopped. On a CPU it ends with the same weights, bit for bit, as a run that was never stopped.

    Args:
        resume: folder of the run.
        data: path of the data, if they were moved. Data other than the run's own are refused.
        root: folder of the named data sets, if it was moved.
        device, devices, strategy: where to compute this time; by default as before.
        checkpoint_every, keep: interval and number of checkpoints this time; by default as before.
        wandb: project to log to this time, or none; by default as before.
    """
    with suppress(InfomaxError):  # of a damaged log, say: what goes on says it
        if launched_rank() == 0 and (said := goes_on(Path(resume))):
            print(said, flush=True)
    run = Run.resume(
        resume, data=data, root=root, device=device, devices=devices, strategy=strategy, checkpoint_every=checkpoint_every,
        keep=keep, wandb=wandb,
    )  # fmt: skip
    ended(run, resume)
    for name, value in (("data", data), ("root", root)):
        if run.data is None and value is not None and launched_rank() == 0:
            print(f"--{name} {shlex.quote(value)} was not looked at: give it to each command that needs it")


def goes_on(folder: Path) -> str:
    """Where a run goes on, and what was lost by a process that was killed; nothing of one that has ended, or cannot go on."""
    known = next((found for path in reversed(written(folder)) if (found := _stand(path)) is not None), None)
    if known is None:
        return ""
    path, position, epochs = known
    asked, step, foreseen = read_config(folder)["training"], step_of(path), position.get("foreseen") or 0
    if asked.get("budget") is None:
        # a run that ended is known by its log; its last checkpoint is of before
        left, of = asked["epochs"] - len(read_log(folder)), f", {epochs} of {many(asked['epochs'], 'epoch')} done"
    else:
        left = limit_of(asked["budget"])[0] - position.get("spent", 0.0)
        of = f"{f' of about {foreseen:,}' if foreseen else ''}, {left:.0f} s of {asked['budget']} left"
    if left <= 0:
        return ""
    lost = ""
    if killed(folder / LOCK):
        lost = f"; it was killed, and what came since, {_age(time.time() - path.stat().st_mtime)} ago, is lost"
    return f"{folder}: its last checkpoint is of update {step:,}{of}{lost}"


def _stand(path: Path) -> tuple[Path, dict[str, Any], int] | None:
    """A checkpoint with its position and the epochs that had ended; None of one that cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            position = json.loads(file.metadata()["infomax"])["position"]
            rows = json.loads(file.get_tensor("history").numpy().tobytes()) if "history" in file.keys() else []  # noqa: SIM118  (no mapping)
        return path, position, len(rows)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return None


def _age(seconds: float) -> str:
    """A time in words.

    Example:
        >>> _age(45.2), _age(600), _age(3 * 3600)
        ('45 s', '10 min', '3 h')
    """
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )


def resumed(argv: list[str]) -> list[str]:
    """The command line `train --resume RUN` without options that only repeat what the run was begun with; those that no run
    has stay, for the parser to refuse.

    Raises:
        ConfigError: naming the options that differ.
    """
    from infomax.training.defaults import could_be_auto

    given = options_given(argv)
    if "root" in given:
        given["root"] = str(Path(given["root"]).expanduser().resolve())
    config = read_config(Path(given["resume"]))
    whole = config["data"].get("samples", float("inf"))
    if given.get("batch_size", "").isdecimal() and int(given["batch_size"]) > whole:
        given["batch_size"] = str(whole)  # as it was cut then
    free = set(inspect.signature(continued).parameters)
    if "data" in given and _as_then(given["data"], config["data"]):
        free.remove("data")
    begun = config["machine"] | config["training"] | config["method"]
    begun |= {"data": given.get("data"), "root": config["data"]["root"], "views": config["views"]["recipe"]}
    begun |= {part: config["encoder"].get(name) for part, name in (("encoder", "name"), ("init", "init"))}
    begun |= {"out": given["resume"]}
    flags = {name: str(value).lower() for name, value in begun.items() if isinstance(value, bool)}
    begun |= flags
    for name in flags:
        if f"no_{name}" in given:
            del given[f"no_{name}"]
            given[name] = "false"
    known = {*begun, *free, *options_of(None), "print_config", "help"}
    unknown = {name for name in given if name.removeprefix("no_") not in known}  # the parser names the nearest
    differ = []
    for name, value in given.items():
        then = begun.get(name, "nothing")
        said = with_dashes(then) if isinstance(then, list) else str(then)
        if name == "rules" and isinstance(then, dict):
            said, value = str(then), str(read_rules(value))
        same = (value or "true") == said
        same = same or (name in NAMES and value.lower().replace("-", "_") == said.replace("-", "_"))
        # an encoder that was left to the data is kept by its own name
        same = same or (name == "encoder" and value == "auto" and could_be_auto(config["encoder"]))
        same = same or (name == "precision" and value == "auto")  # it was settled when the run was begun
        same = same or (isinstance(then, float | int) and as_number(value) == then)
        if name not in {*free, *unknown} and not same:
            differ.append(f"--{name.replace('_', '-')}: {said} then, {value or 'true'} now")
    if differ:
        length = any(one.startswith(("--budget:", "--epochs:")) for one in differ)
        hint = f" ({longer(given['resume'])})" if length else ""
        raise ConfigError(f"a run continues with the options that it was begun with: {'; '.join(differ)}{hint}")

    kept, rest = argv[:1], argv[1:]
    while rest:
        name = rest[0].removeprefix("--").partition("=")[0].replace("-", "_") if rest[0].startswith("--") else None
        takes = 2 if name and "=" not in rest[0] and rest[1:] and not rest[1].startswith("--") else 1
        kept += rest[:takes] if name in (None, "help", *free, *unknown) else []
        rest = rest[takes:]
    return kept


def _as_then(asked: str, begun: dict[str, Any]) -> bool:
    """Whether data are those of a run under the path or the name that it has for them, which its folder knows better."""
    path = Path(asked).expanduser()
    return str(path.resolve()) == begun.get("source") or (asked == begun["name"] and not path.exists())
