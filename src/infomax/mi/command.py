"""The body of `infomax mi`: two files or two runs in, one estimate out."""

import inspect
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from infomax.data.arrays import read_arrays
from infomax.errors import ConfigError, DataError, command, nearest
from infomax.finite import finite_or_none
from infomax.mi.estimate import estimate_mi
from infomax.mi.estimators.inputs import matrix
from infomax.mi.metric import MIMetric


def read(path: str | Path) -> Any:
    """Read the array of a .npy file, of an .npz that holds one, or the one that `file.npz:key` names.

    Raises:
        DataError: no file, or one that holds no array, several, none of that name, or more than memory does.
    """
    file, key = str(path), None
    if ".npz:" in file.lower() and not Path(file).exists():
        file, _, key = file.rpartition(":")
    arrays = _arrays(file)
    if not arrays:
        raise DataError(f"{file}: holds no array")
    if key is not None:
        if key not in arrays:
            raise DataError(f"{file}: no array {key!r}: {nearest(key, arrays)}")
        return arrays[key]
    if len(arrays) > 1:
        raise DataError(f"{file}: holds several arrays ({', '.join(arrays)}); name one: {file}:{next(iter(arrays))}")
    return next(iter(arrays.values()))


def _there(file: str) -> None:
    if not Path(file).exists():
        raise DataError(
            f"{file}: no such file; give two .npy files with one row a pair, or arrays of an .npz: file.npz:name"
        )


def _arrays(file: str) -> dict[str, Any]:
    _there(file)
    try:
        arrays = read_arrays(Path(file))
    except MemoryError as error:
        raise DataError(f"{file}: does not fit in memory ({error}); give fewer rows") from None
    if any(name.endswith("/data.pkl") for name in arrays):  # in the archives of both there lie members by name
        raise DataError(f"{file}: a torch file: save it as .npy (np.save(f, t.numpy()))")
    return arrays


def _both(x: str) -> tuple[Any, Any]:
    """The two sides that one archive holds as x and y."""
    if Path(x).suffix.lower() == ".npz":
        _there(x)
    arrays = _arrays(x) if Path(x).is_file() else {}
    if set(arrays) == {"x", "y"}:
        return arrays["x"], arrays["y"]
    if len(arrays) > 1:
        one, other = (f"{x}:{name}" for name in list(arrays)[:2])
        raise DataError(
            f"{x}: holds {', '.join(arrays)}, and not x and y alone; name two: {command(f'mi {one} {other}')}"
        )
    raise ConfigError(
        f"mi: Y, the second argument, is missing: {command('mi X Y')}; an .npz of x and y alone needs none"
    )


def run(
    x: str,
    y: str | None,
    *,
    as_json: bool = False,
    data: str | None = None,
    root: str | None = None,
    samples: int | None = None,
    layer: str | None = None,
    layer_b: str | None = None,
    tau: float | None = None,
    **options: Any,
) -> None:
    """Estimate, and print a table or one line of JSON.

    Args:
        x: a file or a run. y: likewise, two of a kind; None where x is an .npz of the arrays x and y.
        as_json: one object.
        data, root, samples, layer, layer_b: of runs, as `two_runs` has them; `layer` is both sides' where `layer_b` is None.
        tau: read with the fixed critic cos/tau, by `MIMetric`, in place of `estimate_mi`.
        **options: those of `estimate_mi`.

    Raises:
        ConfigError: options of runs for files. DataError: a file and a run, or what cannot be read.
    """
    if y is not None and Path(x).is_dir() != Path(y).is_dir():
        raise DataError(f"{x}, {y}: one is a folder, the other none; give two .npy files or two runs")
    if y is not None and Path(x).is_dir():
        from infomax.evaluate.pairing import SAMPLES, two_runs
        from infomax.training.run import Run

        named = {"layer_a": layer or "features", "layer_b": layer_b or layer or "features"}
        many = SAMPLES if samples is None else samples
        a, b = two_runs(Run.load(x), Run.load(y), data, root=root, samples=many, **named)
    else:
        if y is None:
            a, b = _both(x)
        of_runs = {"data": data, "root": root, "samples": samples, "layer": layer, "layer-b": layer_b}
        given = [f"--{name}" for name, value in of_runs.items() if value is not None]
        if given:
            files = f"{x} is a file" if y is None else f"{x} and {y} are files"
            raise ConfigError(f"{' and '.join(given)}: for two runs, and {files}")
        if y is not None:
            a, b = read(x), read(y)
    if tau is not None:
        of_estimates = {name: p.default for name, p in inspect.signature(estimate_mi).parameters.items()}
        given = [f"--{name}" for name, value in options.items() if value != of_estimates.get(name, value)]
        if given:
            raise ConfigError(
                f"{' and '.join(given)}: of an estimate, and --tau reads by a fixed critic; leave one out"
            )
        _fixed(a, b, tau, as_json)
        return
    found = estimate_mi(a, b, **options)
    print(json.dumps(found.as_json(), allow_nan=False) if as_json else found.as_text())


def _fixed(a: Any, b: Any, tau: float, as_json: bool) -> None:
    """The readings of the critic cos/tau, which is not trained."""
    metric = MIMetric("cosine", tau=tau)
    metric.update(*(torch.from_numpy(matrix(z, side)) for z, side in ((a, "x"), (b, "y"))))
    found = metric.compute()
    if as_json:
        print(
            json.dumps(
                {"critic": "cosine", "tau": tau, "readings": finite_or_none({k: asdict(r) for k, r in found.items()})}
            )
        )
        return
    print(
        f"critic cos/{tau:g}, {next(iter(found.values())).n} pairs; 95 % limits of the reading's own expectation at this N"
    )
    print(f"  {'reading':12} {'nats':>8} {'limits':>20} {'ceiling':>8}")
    for name, r in found.items():
        top = f"{r.ceiling:8.3f}" if math.isfinite(r.ceiling) else f"{'':8}"
        limits = f"{r.lo:.3f} .. {r.hi:.3f}" if r.lo is not None else ""
        loose = r.kind == "lower bound" and r.value < 0
        said = f"{r.kind}{', saturated' * r.saturated}{', below 0: says nothing' * loose}"
        print(f"  {name:12} {r.value:8.3f} {limits:>20} {top}  {said}")
