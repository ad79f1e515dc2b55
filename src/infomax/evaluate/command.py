"""What `infomax evaluate` and `infomax embed` do with their options."""

import json
import shlex
import signal
from pathlib import Path
from typing import Any

from infomax.data import Dataset
from infomax.errors import ConfigError, DataError, warn
from infomax.evaluate.cache import FOLDER
from infomax.evaluate.embed import embed, new_file
from infomax.evaluate.findings import keep, read
from infomax.evaluate.inspect import check, say
from infomax.evaluate.run import Findings, evaluate
from infomax.evaluate.seeds import apart, kind_lines, lengths, lines, over_kinds, summary
from infomax.training.defaults import dataset, read_like
from infomax.training.interrupt import Stopped
from infomax.training.run import Run
from infomax.words import many


def evaluated(
    runs: list[str],
    data: str | None,
    root: str | None,
    protocols: str,
    seed: int,
    *,
    test: str | None = None,
    size: int | None = None,
    as_json: bool,
) -> None:
    """Evaluate runs, keep what was found in each one's folder, print it, and the spread over them."""
    folders = [Path(name).resolve() for name in runs]
    twice = next((name for k, name in enumerate(runs) if folders[k] in folders[:k]), None)
    if twice is not None:
        raise ConfigError(f"{twice} is named twice: name every run once")
    found: list[Findings] = []
    configs: list[dict[str, Any]] = []
    for name in runs:
        run = Run.load(name)
        read(Path(name))  # damaged, it is said before anything is encoded
        configs.append(run.config)
        asked: dict[str, Any] = {"test": test, "root": root, "protocols": protocols, "size": size, "seed": seed}
        found.append(_judged(name, run, data, asked, as_json=as_json))
    told: dict[str, Any] = {"runs": found}
    if len(found) > 1:
        why_not = apart(runs, found, configs)
        told |= {"over_runs": summary(found)} if why_not is None else {"over_runs_left_out": why_not}
        if why_not is not None and (of_kinds := over_kinds(runs, found, configs)):
            told["over_kinds"] = of_kinds
    if as_json:
        print(json.dumps(told, indent=2))
    elif "over_kinds" in told:
        print("\n".join(kind_lines(told["over_kinds"], dict(zip(runs, found, strict=True)))))
    elif "over_runs_left_out" in told:
        print(f"no mean over runs: {told['over_runs_left_out']}")
    elif "over_runs" in told:
        print("\n".join(lines(told["over_runs"], came=lengths(found))))


def _judged(name: str, run: Run, data: str | None, asked: dict[str, Any], *, as_json: bool) -> Findings:
    """Evaluate one run, and tell what was found; also where it is interrupted, what was found before."""
    before: list[Findings] = []

    def rescue(found: Findings) -> None:
        before.append(found)
        _told(name, found, as_json=as_json)

    try:
        found = evaluate(run, data, **asked, progress=not as_json, rescue=rescue)
    except KeyboardInterrupt:
        parts = ["what the protocols before it found"] if before else []
        parts += ["the features that are encoded"] if any(Path(name, FOLDER).glob("*.safetensors")) else []
        kept = f"; {shlex.quote(name)} keeps {' and '.join(parts)}" if parts else ""
        raise Stopped(f"stopped: nothing is kept of the protocol under way{kept}", signal.SIGINT) from None
    _told(name, found, as_json=as_json)
    return found


def _told(name: str, found: Findings, *, as_json: bool) -> None:
    """Print what was found of a run, and keep it in its folder."""
    size, usual = found["size"], found["default_size"]
    if not as_json:
        print(f"{name} ({found['method']})\n{found}")
    try:
        keep(Path(name), found)
        if not as_json and size != usual:
            print(f"kept for {size} px, beside what is found at {usual}, which reports and tables show")
    except DataError as error:  # what was found is still to be said
        warn(f"what was found is not kept in the run's folder: {error}")
    if not as_json:
        print()


def embedded(
    run: str,
    data: str,
    out: str,
    *,
    root: str | None,
    split: str,
    head: bool,
    size: int | None,
    lonely: int | None,
    twins: float | None,
    most: int | None,
) -> None:
    """Write features, and say which samples stand alone or come twice."""
    check(lonely, twins, most)
    new_file(out)
    trained = Run.load(run)
    asked = trained.config["data"]
    samples = dataset(data, root or asked.get("root"), split, how=read_like(asked, size))
    z, names = embed(trained, samples, out, head=head, size=size)
    print(f"wrote {out}: {many(z.shape[0], 'row')} of {z.shape[1]}{_of_two(samples)}")
    say(z, names, lonely, twins, most)


def _of_two(samples: Dataset) -> str:
    """Which split the samples are, where the data have two, and how to have the other."""
    if samples.split is None:
        return ""
    other = "test" if samples.split == "train" else "train"
    return f", the {samples.split} split of {samples.name} (the other: --split {other})"
