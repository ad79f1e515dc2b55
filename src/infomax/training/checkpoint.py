"""Checkpoints: everything that the rest of a run depends on, in one file that is there whole or not at all.

    runs/photos/checkpoints/00004096.safetensors      tensors; in its header the rest, as JSON

| what | under |
|---|---|
| parameters and buffers of both branches and all marginals (queue, centre, pointers) | learner.NAME |
| the optimiser's state | optimizer.NAME.KEY |
| losses and bounds of the epoch under way | epoch.losses, epoch.bounds |
| what is trained beside the run: the online probe | beside.NAME |
| states of torch's generators | rng.cpu, rng.cuda |
| history, as JSON in bytes: a header has room for some 120,000 rows | history |
| position, resolved configuration, scale of the gradients | header |

Views and shuffles need nothing: they are functions of (seed, sweep, sample). No file of a run can execute code.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from infomax.data.content import NAMED, changed
from infomax.encoders.weights import difference
from infomax.errors import ConfigError, DataError, warn
from infomax.files import unwritable, write_bytes
from infomax.parallel import rank, whole
from infomax.training.defaults import read_by
from infomax.training.sharding import put
from infomax.words import with_article

FOLDER = "checkpoints"
MACHINE = "machine"
"""The part of a configuration that says where a run is computed, and not what: it may change when a run continues."""

POSITION = ("step", "seconds", "spent", "foreseen", "skipped", "warned", "watched")
"""What of a position stands in the header of a checkpoint."""


@dataclass
class Position:
    """How far a run has come.

    Args:
        step: updates done.
        seconds: spent in the epoch under way.
        spent: seconds of the run's budget that are gone.
        foreseen: updates of the whole run, where they follow from a budget; 0: they do not, or nobody wrote them down.
        skipped: updates of the epoch under way that were left out, for a NaN.
        losses, bounds: of the epoch under way, one an update.
        history: one row an epoch.
        warned: whether a collapse has been said.
        watched: what the watch over a collapse has seen so far.
        beside: tensors of what is trained beside the run, off its gradient.
    """

    step: int = 0
    seconds: float = 0.0
    spent: float = 0.0
    foreseen: int = 0
    skipped: int = 0
    losses: list[Tensor] = field(default_factory=list)
    bounds: list[Tensor] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)
    warned: bool = False
    watched: dict[str, Any] = field(default_factory=dict)
    beside: dict[str, Tensor] = field(default_factory=dict)


def described(thing: Any) -> str:
    """A function by its name and anything else by what it says of itself, the same in every process.

    Example:
        >>> described(described)
        'infomax.training.checkpoint.described'
    """
    if hasattr(thing, "__qualname__"):
        return f"{thing.__module__}.{thing.__qualname__}"
    if isinstance(thing, Path):
        return str(thing)
    return re.sub(r" at 0x[0-9a-f]+", "", repr(thing))


def plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as JSON reads it back.

    Example:
        >>> plain({"heads": (3, 4)})
        {'heads': [3, 4]}
    """
    read: dict[str, Any] = json.loads(json.dumps(config, default=described))
    return read


def fingerprint(config: Mapping[str, Any]) -> str:
    """The hash of a whole resolved configuration, but for where it is computed.

    Example:
        >>> a, b = {"training": {"lr": 0.1}, "machine": {"device": "cpu"}}, {"training": {"lr": 0.1}}
        >>> fingerprint(a) == fingerprint(b), fingerprint(a) == fingerprint({"training": {"lr": 0.2}})
        (True, False)
    """
    said = json.dumps({k: v for k, v in plain(config).items() if k != MACHINE}, sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The keys in which two configurations differ, each with both values.

    Example:
        >>> differences({"training": {"lr": 0.1, "seed": 0}}, {"training": {"lr": 0.2, "seed": 0}})
        ['training.lr: 0.1 then, 0.2 now']
    """

    def flat(part: Any, key: str = "") -> dict[str, Any]:
        if not isinstance(part, dict) or not part:
            return {key: part}
        return {k: v for name, inner in part.items() for k, v in flat(inner, f"{key}.{name}" if key else name).items()}

    old, new = ({k: v for k, v in flat(plain(c)).items() if k.split(".")[0] != MACHINE} for c in (then, now))
    keys = [k for k in {**old, **new} if old.get(k, ...) != new.get(k, ...)]
    return ["{}: {} then, {} now".format(k, *_around(old.get(k, "nothing"), new.get(k, "nothing"))) for k in keys]


def _unlike(folder: Path, said: Sequence[str]) -> str:
    """Why a run does not continue, and what to do; of other data the cause, without what follows from it."""
    names = {line.partition(":")[0] for line in said}
    moments, counts = {"data.mean", "data.std"}, {"data.name", "data.samples"}
    follows = (moments | {"training.batch_size"} if names & counts else set()) | (
        {"views.made"} if names & (moments | counts) else set()
    )
    parts = {f"data.content.{part}": what for part, what in NAMED.items()}
    if names & (moments | counts):
        follows |= set(parts)
    lines = [line for line in said if line.partition(":")[0] not in follows]
    shown = "; ".join(f"other {parts[key]}, or in another order" if (key := line.partition(":")[0]) in parts else line
                      for line in lines)  # fmt: skip
    if names & (moments | counts | set(parts)):
        return (
            f"{folder} was begun with other data and does not continue with these: {shown}. Put back what was there, or "
            f"begin a new run from its encoder: --init {folder} --out NEW"
        )
    return f"{folder} was begun with another configuration and does not continue with this one: {shown}"


def _read_otherwise(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How the data of a run are read as they were, where they lie in the same files; nothing where that is not why they differ.

    Example:
        >>> then = {"content": {"images": "a"}, "mean": [0.5]}
        >>> _read_otherwise({"data": then}, {"data": then | {"mean": [0.4], "read_by": {}}})
        '. They are the same files, read otherwise: give data=infomax.data.load(..., shrink=None)'
    """
    old, new = (c.get("data") or {} for c in (then, now))
    known = (old.get("content") or {}).get("images")
    options = read_by(old)
    other = list(old.get("mean") or ()) != list(new.get("mean") or ())
    if not (known and other) or known != (new.get("content") or {}).get("images") or options == read_by(new):
        return ""
    given = "".join(f", {option}={value!r}" for option, value in options.items())
    return f". They are the same files, read otherwise: give data=infomax.data.load(...{given})"


def _around(a: Any, b: Any, width: int = 60) -> tuple[str, str]:
    """Two values on one line; of long ones the part about where they first differ."""
    old, new = (" ".join(str(value).split()) for value in (a, b))
    if max(len(old), len(new)) <= width:
        return old, new
    same = next(
        (i for i, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    start = max(same - width // 2, 0)
    return tuple(
        f"{'... ' * (start > 0)}{s[start : start + width]}{' ...' * (len(s) > start + width)}" for s in (old, new)
    )  # type: ignore[return-value]


FILES = (
    "config.json", "environment.json", "learner.safetensors", "embedding.safetensors", "watch.json", "log.jsonl", "log.csv",
)  # fmt: skip
"""What is written beside the checkpoints while a run trains; an evaluation or a page of it may be written at the same time."""


def tidy(folder: Path) -> None:
    """Remove the halves of files that a killed process left; for who is alone in the folder of a run."""
    if rank() == 0:
        own = (half for name in FILES for half in folder.glob(f"{name}.*tmp"))
        for half in (*own, *(folder / FOLDER).glob("*.tmp")):
            half.unlink(missing_ok=True)


def written(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first; a file of another name is somebody's own."""
    return sorted(path for path in (folder / FOLDER).glob("*.safetensors") if path.stem.isdecimal())


def step_of(path: Path) -> int:
    """Updates done at a checkpoint, by its name."""
    return int(path.stem)


def save(
    folder: Path,
    learner: nn.Module,
    optimizer: Optimizer,
    position: Position,
    config: Mapping[str, Any],
    extra: Mapping[str, Any],
    *,
    keep: int = 2,
) -> None:
    """Write a checkpoint, then remove the older ones but for `keep`; the first process writes, all of them call this.

    Raises:
        DataError: where it cannot be written, a full disk for instance; the one before is intact.
    """
    from safetensors.torch import save as serialize

    tensors = {f"learner.{name}": t for name, t in distinct(learner).items()}
    told: dict[str, dict[str, Any]] = {}
    for name, state in _state_by_name(learner, optimizer).items():
        for key, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{name}.{key}"] = value
            else:
                told.setdefault(name, {})[key] = value
    for key in ("losses", "bounds"):
        if getattr(position, key):
            tensors[f"epoch.{key}"] = torch.stack(getattr(position, key))
    tensors |= {f"beside.{name}": t for name, t in position.beside.items()}
    if position.history:
        tensors["history"] = torch.frombuffer(bytearray(json.dumps(position.history).encode()), dtype=torch.uint8)
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        tensors["rng.cuda"] = torch.cuda.get_rng_state()
    header = {
        "position": {k: getattr(position, k) for k in POSITION},
        "optimizer": told,
        "extra": dict(extra),
        "config": plain(config),
        "fingerprint": fingerprint(config),
    }
    if rank() > 0:
        for t in tensors.values():
            whole(t)  # shards are put together by all processes
        return
    data = serialize(
        {name: whole(t).detach().cpu().contiguous() for name, t in tensors.items()}, {"infomax": json.dumps(header)}
    )
    path = folder / FOLDER / f"{position.step:09d}.safetensors"
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise unwritable(path, data, error) from error
    write_bytes(path, data, durable=True)
    # of a later update there is one alone that could not be read: it counts for none that is kept
    for old in [one for one in written(folder) if step_of(one) <= position.step][:-keep]:
        old.unlink()


def restore(folder: Path, learner: nn.Module, optimizer: Optimizer, config: Mapping[str, Any]) -> tuple[Position, Any]:
    """Take up a run at its newest checkpoint.

    Args:
        folder: of the run.
        learner: of the same architecture; its weights and buffers are overwritten.
        optimizer: fresh, of the same parameters.
        config: the resolved configuration of now.

    Returns:
        The position, and what was given to `save` as `extra`.

    Raises:
        DataError: where there is no checkpoint, or none that can be read.
        ConfigError: where the run was begun with another configuration, naming the keys.
    """
    tensors, header = _newest(folder)
    then = _completed(header["config"], config)
    if fingerprint(then) != fingerprint(config):
        raise ConfigError(_unlike(folder, differences(then, config)) + _read_otherwise(header["config"], config))
    if "labels" in changed(*((c.get("data") or {}).get("content") for c in (header["config"], config))):
        warn(f"{folder}: its data have other labels than when it was begun; it trains without")
    fill(learner, {k.removeprefix("learner."): t for k, t in tensors.items() if k.startswith("learner.")}, folder)
    for name, p in learner.named_parameters():
        state: dict[str, Any] = dict(header["optimizer"].get(name, {}))
        start = f"optimizer.{name}."
        for key, t in tensors.items():
            # a key of an optimiser holds no dot, the name of a parameter below this one does
            if key.startswith(start) and "." not in key[len(start) :]:
                state[key[len(start) :]] = t.clone()
                if t.shape == p.shape:
                    put(made := torch.empty_like(p, dtype=t.dtype, requires_grad=False), t)
                    state[key[len(start) :]] = made
        if state:
            optimizer.state[p] = state
    position = Position(**header["position"])
    if "history" in tensors:
        position.history = json.loads(tensors["history"].numpy().tobytes())
    for part, values in (("epoch.losses", position.losses), ("epoch.bounds", position.bounds)):
        if part in tensors:
            values.extend(tensors[part].to(next(learner.parameters()).device).unbind(0))
    position.beside = {k.removeprefix("beside."): t for k, t in tensors.items() if k.startswith("beside.")}
    torch.set_rng_state(tensors["rng.cpu"])
    if "rng.cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["rng.cuda"])
    return position, header["extra"]


def _completed(then: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of a run, its data called as now wherever they are the same, and a function's views as large as now."""
    made = dict(then)
    if "content" in (now.get("data") or {}):
        made["data"] = _same_data(then.get("data") or {}, now["data"], labels=_learns_labels(now))
    if (now.get("views") or {}).get("own"):  # how large they are is seen once more, see `infomax.training.own_views`
        made["views"] = {**(then.get("views") or {}), "size": now["views"]["size"]}
    return made


def _same_data(then: Mapping[str, Any], now: Mapping[str, Any], *, labels: bool) -> dict[str, Any]:
    """What a run says of its data, as it is said now wherever that is of the same content, or of one that is not known."""
    old, new = then.get("content") or {}, now["content"]
    differ = [part for part in changed(old, new) if labels or part != "labels"]
    made = {**then, "content": {**new, **{part: old[part] for part in differ}}}
    made |= {
        k: now[k] for k in ("kind", "shape", "root", "read_by") if k in now
    }  # of the content, and not in runs of before; where it is
    if "images" not in differ and old.get("images") and new.get("images"):  # they may lie elsewhere
        made |= {k: now[k] for k in ("name", "source") if k in now}
    return made


def _learns_labels(config: Mapping[str, Any]) -> bool:
    training = config.get("training") or {}
    return bool(training.get("online_probe") or training.get("online_knn"))


def _newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    for path in reversed(written(folder)):
        try:
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["infomax"])  # noqa: SIM118  (no mapping)
        except SafetensorError as error:
            warn(f"{path} cannot be read ({error}): going back to the one before")
    raise none_of(folder)


def none_of(folder: Path, *, anew: bool = False) -> DataError:
    """What is said of a run without a checkpoint.

    Args:
        folder: of the run.
        anew: it can be begun anew in the same folder.
    """
    what = "Begin it anew, with the same --out" if anew else "Remove it, and start it anew"
    return DataError(f"{folder} has no checkpoint to continue from: it ended before its first one. {what}")


def distinct(learner: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, each once, under the first of its names (tied weights have several)."""
    found: dict[str, Tensor] = {}
    for name, t in learner.state_dict(keep_vars=True).items():
        if not isinstance(t, Tensor):
            raise ConfigError(
                f"{name} of the learner is {with_article(type(t).__name__)}, which a checkpoint cannot hold: keep what must "
                "last in buffers"
            )
        if not any(t is other for other in found.values()):
            found[name] = t
    return found


@torch.no_grad()
def fill(learner: nn.Module, tensors: Mapping[str, Tensor], source: Path) -> None:
    """Copy tensors into a learner by name.

    Raises:
        ConfigError: where a name or a shape differs, naming the first.
    """
    mine = distinct(learner)
    if differs := difference(mine, tensors):
        raise ConfigError(f"the learner at hand is not that of {source}: {differs}")
    for name, t in mine.items():
        put(t, tensors[name])


def _state_by_name(learner: nn.Module, optimizer: Optimizer) -> dict[str, dict[str, Any]]:
    return {name: dict(optimizer.state[p]) for name, p in learner.named_parameters() if optimizer.state.get(p)}
