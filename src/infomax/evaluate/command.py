"""What `infomax evaluate` and `infomax embed` do with their options."""

import json
import warnings
from pathlib import Path
from typing import Any

from infomax.errors import DataError
from infomax.evaluate.embed import embed
from infomax.evaluate.run import Findings, evaluate, summary
from infomax.evaluate.seen import check, say
from infomax.training.checkpoint import write_bytes
from infomax.training.run import Run

KEPT = "evaluation.json"


def evaluated(
    runs: list[str], data: str | None, root: str | None, protocols: str, seed: int, *, as_json: bool
) -> dict[str, Any]:
    """Evaluate runs, keep what was found in each one's folder, print it, and the spread over them."""
    found: list[Findings] = []
    for name in runs:
        run, before = Run.load(name), _kept(Path(name))
        found.append(evaluate(run, data, root=root, protocols=protocols, seed=seed, progress=not as_json))
        if not as_json:
            print(f"{name} ({run.learner.name})\n{found[-1]}\n")
        _keep(Path(name), before, found[-1])
    told: dict[str, Any] = {"runs": found}
    if len(found) > 1:
        kinds = {(f["method"], f["data"]) for f in found}
        if len(kinds) == 1:
            told["over_runs"] = summary(found)
    if as_json:
        print(json.dumps(told, indent=2))
    elif "over_runs" in told:
        for protocol, over in told["over_runs"].items():
            print(f"{protocol:9} {over['mean']:.2f} % +- {over['sd']:.2f} (sd of {over['n']} runs)")
    return told


def _kept(folder: Path) -> dict[str, Any]:
    """What was found before, by data set."""
    path = folder / KEPT
    if not path.is_file():
        return {}
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError:
        raise DataError(f"{path} is damaged: remove it, and evaluate again") from None


def _keep(folder: Path, before: dict[str, Any], found: Findings) -> None:
    """Beside what was found before: by data set, what is asked again takes the place of the older."""
    earlier = before.get(found["data"], {})
    same = all(earlier.get(part) == found[part] for part in ("seed", "weights"))  # else they do not belong together
    before[found["data"]] = {**(earlier if same else {}), **found}
    try:
        write_bytes(folder / KEPT, json.dumps(before, indent=2).encode() + b"\n")
    except DataError as error:  # what was found is still to be said
        warnings.warn(f"what was found is not kept in the run's folder: {error}", stacklevel=2)


def embedded(
    run: str,
    data: str,
    out: str,
    *,
    root: str | None,
    split: str,
    head: bool,
    lonely: int | None,
    twins: float | None,
) -> None:
    """Write features, and say which samples stand alone or come twice."""
    check(lonely, twins)
    z, names = embed(Run.load(run), data, out, root=root, split=split, head=head)
    print(f"wrote {out}: {z.shape[0]:,} rows of {z.shape[1]}")
    say(z, names, lonely, twins)
