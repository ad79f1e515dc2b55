"""The main job in some three minutes on one core, on data that ship with scikit-learn: train, judge, watch a collapse, look."""

import json
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from infomax import encoders, methods
from infomax.data import load
from infomax.errors import command
from infomax.evaluate.features import features
from infomax.evaluate.run import judge
from infomax.files import write_text
from infomax.learner import CollapseWarning, Learner
from infomax.threads import one_thread
from infomax.training import Run, train
from infomax.training.folder import leaving_nothing
from infomax.training.watch.monitor import collapsed
from infomax.views import recipe

EPOCHS = 60
FEW, DRAWS = 5, 5  # labels a class, and how often they are drawn, for the column "few labels"


def learners(encoder: Any) -> dict[str, Learner]:
    """Five methods, one or two for each corner of the taxonomy, and one with its marginal taken out."""
    # a quicker moving average than the authors', for a run of 300 steps in place of their hundred thousands
    made = {
        "sdmi": methods.sdmi(encoder(), projector=(128, 64)),
        "jmi": methods.jmi(encoder(), projector=(128, 64)),
        "moco_v3": methods.moco_v3(encoder(), projector=(256, 64), predictor=(256,), momentum=0.9),
        "byol": methods.byol(encoder(), projector=(256, 64), predictor=(256,), momentum=0.9),
        "vicreg": methods.vicreg(encoder(), projector=(256, 256)),
    }
    with warnings.catch_warnings(action="ignore", category=CollapseWarning):  # that is the point
        whole = methods.sdmi(encoder(), projector=(128, 64))
        made["sdmi, no marginal"] = whole.edit(marginals=(), name="sdmi, no marginal")
    return made


def few_labels(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> dict[str, float]:
    """Linear probe on FEW labelled samples a class: mean and sd over DRAWS draws, in percent."""
    found = []
    for draw in range(DRAWS):
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(draw))
        rows = torch.cat([order[labels[order] == c][:FEW] for c in torch.unique(labels)])
        found.append(judge(train[rows], labels[rows], test, test_labels)["linear"])
    spread = torch.tensor(found)
    return {"few": float(spread.mean()), "few_sd": float(spread.std())}


def run(out: str | Path = "runs/demo", *, seed: int = 0, epochs: int = EPOCHS, progress: bool = True) -> dict[str, Any]:
    """Train five methods on the digits, and one ablation; print and draw what they learnt.

    Args:
        out: folder for results.json and the page; if it exists, a number is added to its name.
        seed: random seed of weights, shuffling and views.
        epochs: epochs of each method.
        progress: show progress bars.

    Returns:
        What results.json holds: `rows` by name, with accuracies in percent and gauges.
    """
    path = _free(Path(out))
    with leaving_nothing(path), one_thread():
        return _run(path, seed, epochs, progress)


def _run(path: Path, seed: int, epochs: int, progress: bool) -> dict[str, Any]:
    began = time.perf_counter()
    data, test = load("digits"), load("digits", split="test")
    views = recipe("gentle", 8, data.mean, data.std)
    print(f"scikit-learn's digits: {len(data)} images of 8 x 8 to learn from without labels, {len(test)} to test on\n")

    def encoder() -> nn.Module:
        return encoders.get("mlp", channels=1, size=8)

    def row(z: Tensor, z_test: Tensor) -> dict[str, float]:
        known = (z, data.labels, z_test, test.labels)
        return judge(*known, seed=seed) | few_labels(*known)  # type: ignore[arg-type]

    def encoded(net: nn.Module) -> tuple[Tensor, Tensor]:
        return features(net, data, progress=False), features(net, test, progress=False)

    torch.manual_seed(seed)
    pixels = [d.images.flatten(1).float() / 255 for d in (data, test)]  # type: ignore[union-attr]
    rows: dict[str, dict[str, float]] = {"raw pixels": row(*pixels), "random encoder": row(*encoded(encoder()))}
    runs: dict[str, Run] = {}
    torch.manual_seed(seed)
    for name, learner in learners(encoder).items():
        runs[name] = train(learner, data, views=views, epochs=epochs, lr=2e-3, seed=seed, progress=progress)
        z, z_test = encoded(learner.encoder)
        gauges = {k: runs[name].history[-1][k] for k in ("mi_infonce", "ceiling_infonce", "effective_rank", "std")}
        rows[name] = row(z, z_test) | gauges
    found = {"rows": rows, "seed": seed, "epochs": epochs, "seconds": time.perf_counter() - began}
    print(as_text(rows))
    typical = sorted(r["linear"] for r in rows.values())[len(rows) // 2]
    error = (typical * (100 - typical) / len(test)) ** 0.5
    print(
        f"\nn = 1 seed; {len(test)} test images: one standard error of linear and kNN is some {error:.1f} points; "
        f"{FEW} labels a class: mean and sd of {DRAWS} draws"
    )

    from infomax.report.demo import page

    write_text(path / "results.json", json.dumps(found, indent=2) + "\n")
    page(path / "demo.html", rows, runs, test)
    print(f"\nwrote {path / 'demo.html'} after {time.perf_counter() - began:.0f} s: curves, embeddings, the table")
    following = command("train --config cpu/simclr-cifar10 --data photos/ --out runs/first")
    print(f"next: your own images, without labels: {following}")
    return found


def as_text(rows: dict[str, dict[str, float]]) -> str:
    """The table for a terminal."""
    lines = [
        f"{'':18} {'linear':>8} {'kNN':>7} {f'{FEW} labels a class':>18} {'InfoNCE (cos/0.1)':>20} {'eff. rank':>10} {'std':>6}"
    ]
    for name, r in rows.items():
        line = f"{name:18} {r['linear']:6.1f} % {r['knn']:5.1f} % {r['few']:10.1f} +- {r['few_sd']:3.1f} %"
        if "std" in r:
            mi = f"{r['mi_infonce']:.2f} of {r['ceiling_infonce']:.2f}"
            line += f" {mi:>20} {r['effective_rank']:10.1f} {r['std']:6.2f}"
            line += "   <- collapsed" if collapsed(r) else ""
        lines.append(line)
    return "\n".join(lines)


def _free(path: Path) -> Path:
    """The folder itself, or the first `path-2`, `path-3`, ... that is not there yet."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    free.mkdir(parents=True)
    return free
