"""One cell: trained, or continued where it was stopped; judged on a held-out part of train; what went wrong written down.

Whoever runs it calls `complete`, in a process of its own. Two that are asked for one cell (a sweep started twice, a node
believed dead that is not) take turns by a lock, and the second finds it finished.
"""

import contextlib
import json
import os
import platform
import shutil
import time
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from infomax.data import NAMES, Dataset, Graph
from infomax.data.content import changed, content
from infomax.errors import DataError, InfomaxError
from infomax.evaluate.features import features, fits
from infomax.evaluate.protocols import knn, linear
from infomax.evaluate.splits import every_fifth, own_nodes, splits, test_of, whole_rows
from infomax.files import write_text
from infomax.sweep.folder import Folder
from infomax.sweep.metrics import JUDGED
from infomax.training import Run
from infomax.training.checkpoint import written
from infomax.training.configured import configured
from infomax.training.defaults import begun_by, dataset, read_for, read_like
from infomax.training.folder import read_config
from infomax.training.interrupt import Stopped


def complete(path: str | Path, name: str, *, threads: int = 1, retry: bool = False) -> None:
    """Run a cell to its end, from wherever it stands; a finished one is left as it is.

    Args:
        path: the sweep's folder.
        name: of the cell.
        threads: of the CPU; on CPU the last bits of the weights may depend on it.
        retry: also where it has failed before.

    Raises:
        DataError: where the folder holds no such sweep.
        Stopped, KeyboardInterrupt: where it is stopped; what was computed is kept. Any other error is written to
            `error.json` in the cell's folder, and does not get out.
    """
    folder = Folder(path)
    sweep = folder.read()
    out = folder.cell(name)
    with folder.lock(name), _printing_to(folder.log(name)):
        if folder.finished(name, sweep) or (folder.failed(name, sweep) and not retry):
            return
        began, cpu = time.perf_counter(), time.process_time()
        print(f"{time.strftime('%F %T')}: begun on {platform.node()} by process {os.getpid()}", flush=True)
        (out / "error.json").unlink(missing_ok=True)
        asked = judging = sweep["evaluate"]  # what fails of it is tried again where it changes; training is not
        try:
            torch.set_num_threads(threads)
            options = sweep["cells"][name]
            reading = read_like if asked["data"] else begun_by
            split = _Split.of(options, asked, reading(read_config(out)["data"]) if _begun(out) else None)
            judging = None
            run = _ended(options, out)
            judging = asked
            learnt, judged = run.config["data"].get("content"), content(split.data)
            if not asked["data"] and set(changed(learnt, judged)) - {"labels"}:
                raise DataError(f"{split.data.name!r} has changed since the cell was trained: put back what was there")
            found = {"metrics": split.judge(run), "protocol": split.protocol, "evaluate": asked["data"]}
            found |= {} if split.size is None else {"size": split.size}
            found |= {} if split.n_held is None else {"held": split.n_held}
            met = {options["data"]: run.data, asked["data"] or options["data"]: split.data}
            found["skipped"] = {name: data.n_skipped for name, data in met.items() if isinstance(data, Dataset)}
            begun = (
                {} if options["init"] is None else {"begun": {"weights": run.config["encoder"].get("init_known_by")}}
            )
            found |= {"content": {"trained": learnt, "judged": judged, **begun}}
            found |= {"seconds": sum(row["seconds"] for row in run.history), "options": options, "machine": _machine()}
            found["cpu_seconds"] = time.process_time() - cpu  # of this process; one that was stopped before has its own
            write_text(out / "result.json", json.dumps(found, indent=2) + "\n", durable=True)
        except Exception as error:
            record(out, error, time.perf_counter() - began, judging)


def _ended(options: Mapping[str, Any], out: Path) -> Run:
    """The trained run of a cell; told to stop with its last update it is trained all the same, and judged."""
    try:
        return train(options, out)
    except Stopped as stopped:
        if not stopped.ended:
            raise
        return train(options, out)


def _begun(out: Path) -> bool:
    """Whether the run of a cell is one to go on with."""
    return bool(written(out)) or (out / "learner.safetensors").is_file()


def train(options: Mapping[str, Any], out: Path) -> Run:
    """The run that `infomax train` makes of these options; continued where it has begun.

    Args:
        options: all options of `infomax train`, resolved, but for `out`.
        out: folder of the run.
    """
    if _begun(out):
        return Run.resume(out, root=options["root"], device=options["device"], progress=False)
    if out.exists():  # it died before its first checkpoint: nothing was learnt
        shutil.rmtree(out)
    return configured(options, out, progress=False)


def unjudged(name: str, why: str, metric: str) -> DataError:
    """The error of data that are to be judged by a metric that needs labels which they have not, or not so."""
    return DataError(
        f"{name!r} {why}, so {metric!r} cannot be judged: give `evaluate: {{data: ...}}` with labels that can, or choose by a "
        "gauge, such as `evaluate: {metric: effective_rank}`"
    )


def judgeable(options: Iterable[Mapping[str, Any]], asked: Mapping[str, Any]) -> None:
    """Refuse data to be judged on, before a cell runs, that cannot be read, or have no labels where the metric needs them.

    Where one cell has others, the rest is left to the cells, each of which says so. Named data sets have labels.

    Args:
        options: of every cell.
        asked: how they are judged: data, metric, goal.

    Raises:
        DataError: naming the data, the metric, and what to do.
    """
    refused: list[DataError] = []
    for name, root, on_error, size in dict.fromkeys(
        (asked["data"] or o["data"], o["root"], o["on_error"], o["size"]) for o in options
    ):
        if name in NAMES or not (why := _refused(name, root, on_error, size, asked)):
            return
        refused.append(why)
    if refused:
        raise refused[0]


def _refused(
    name: str, root: str | None, on_error: Any, size: int | None, asked: Mapping[str, Any]
) -> DataError | None:
    """Why data cannot be judged on, as far as is seen without a cell, for which what was found of many files is kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is left out is said where it is used
        try:
            data = dataset(name, root, on_error=on_error, how=read_for(size) | {"hold": False})
        except InfomaxError as error:
            return DataError(f"{'evaluate: ' * bool(asked['data'])}data: {error}")
        except Exception:  # whatever it is, the cells meet it too, and say it
            return None
    if data.labels is not None or asked["metric"] not in JUDGED:
        return None
    return unjudged(name, data.no_labels, asked["metric"])


class _Split:
    """Labelled data to choose by: a held-out part of train, and never a row of its test set.

    Args:
        metric: to choose by.
        data: the train split, or whole data.
        fit: rows that a probe learns from.
        held: rows that it is judged on.
        protocol: how the two came about.

    Attributes:
        size: side in pixels at which whole images were judged; None: they were not, or there are none.
        n_held: how many rows it was judged on; None: it was not.
    """

    size: int | None = None
    n_held: int | None = None

    def __init__(self, metric: str, data: Dataset, fit: Tensor, held: Tensor, protocol: str) -> None:
        self.metric, self.data, self.fit, self.held, self.protocol = metric, data, fit, held, protocol
        if why := self._lacks(fit, held):
            self.protocol = f"it {why}: gauges of training alone"

    @classmethod
    def of(cls, options: Mapping[str, Any], asked: Mapping[str, Any], how: Mapping[str, Any] | None = None) -> "_Split":
        """Those of a cell; `how` is at which part of their sides the pictures of its run are read, where it has begun."""
        data = dataset(
            asked["data"] or options["data"],
            options["root"],
            on_error=options["on_error"],
            how=read_for(options["size"]) if how is None else how,
        )
        metric, rows = asked["metric"], torch.arange(len(data))
        if data.labels is None:
            return cls(metric, data, rows[:0], rows[:0], "")
        graph = isinstance(data, Graph)
        if isinstance(data, Graph) and len(data.val):
            fit, held = own_nodes(data, "train", "val")
            own_nodes(data, "val", "test")
            return cls(metric, data, fit, held, "the graph's validation nodes; its test nodes are not used")
        # what `infomax probe` tests on, which must not be chosen by: every fifth row, or a graph's own test nodes
        if graph or test_of(data) is None:
            rows = splits(data, None)[0]
        rows = rows[data.labels[rows] >= 0]  # others mark nodes without a label
        held = every_fifth(data.labels[rows])
        return cls(
            metric,
            data,
            rows[~held],
            rows[held],
            f"frozen encoder; a fifth of each class of train held out ({int(held.sum())} of {len(rows)} "
            f"{'nodes' if graph else 'rows'}), and the test set not used; the encoder has seen the "
            f"{'features of all nodes' if graph else 'images of both parts'}, without labels",
        )

    def judge(self, run: Run) -> dict[str, float]:
        """Accuracies in percent, and the gauges of the last epoch."""
        gauges = {k: v for k, v in run.history[-1].items() if k not in ("epoch", "lr", "seconds", "skipped")}
        if self._lacks(self.fit, self.held):
            return gauges
        size = fits(run, self.data)
        asked = run.config["data"]
        z = features(
            run.learner.encoder,
            self.data,
            size,
            statistics=(asked["mean"], asked["std"]),
            progress=False,
        )
        # what stands in for a sample that cannot be decoded is another sample, and might be of the other part
        fit, held = (whole_rows(self.data, rows) for rows in (self.fit, self.held))
        if self._lacks(fit, held):
            return gauges
        y = self.data.labels
        assert y is not None
        self.size, self.n_held = size if self.data.is_images else None, len(held)
        rows = (z[fit], y[fit], z[held], y[held])
        found = linear(*rows) | knn(*rows)
        del found["penalty"]  # of the probe, and no metric
        return gauges | found

    def _lacks(self, fit: Tensor, held: Tensor) -> str:
        """Why there is no accuracy of these rows, where a gauge is the metric and does without; else nothing.

        Raises:
            DataError: where the metric is one, saying what the data lack.
        """
        y = self.data.labels
        why = ""
        if y is None:
            why = self.data.no_labels
        elif not len(held):
            one = "node" if isinstance(self.data, Graph) else "sample"
            why = f"has no class of which a {one} could be held out of train"
        elif len(found := torch.unique(y[fit]).tolist()) < 2:
            why = f"has labels of one class alone to learn from, {found}"
        if why and self.metric in JUDGED:
            raise unjudged(self.data.name, why, self.metric)
        return why


def record(
    out: Path, error: BaseException, seconds: float | None = None, judging: Mapping[str, Any] | None = None
) -> None:
    """Write down why a cell failed, and how it was to be judged, where that is what failed; what it had computed stays."""
    out.mkdir(parents=True, exist_ok=True)
    said = {
        "error": " ".join(str(error).split()) or type(error).__name__,
        "type": type(error).__name__,
        "users": isinstance(error, InfomaxError),
        "seconds": seconds,
        "machine": _machine(),
        "traceback": "".join(traceback.format_exception(error)),
    }
    if judging is not None:
        said["evaluate"] = judging
    write_text(out / "error.json", json.dumps(said, indent=2) + "\n", durable=True)


def _machine() -> dict[str, Any]:
    cuda = torch.cuda.get_device_name() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    return {"node": platform.node(), "cuda": cuda, "threads": torch.get_num_threads()}


@contextlib.contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        path.open("a", encoding="utf-8") as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
        yield
