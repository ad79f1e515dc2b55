"""The demo's page."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from infomax.data import Dataset
from infomax.report.curves import mi_and_gauges
from infomax.report.looks import style
from infomax.report.page import Page
from infomax.report.scatter import scatters
from infomax.training.watch.monitor import collapsed

if TYPE_CHECKING:
    from infomax.training.run import Run


def of_the_last(rows: Mapping[str, Mapping[str, float]]) -> str:
    """What the accuracies of the last row, a sentence without its marginal, say of its collapse.

    Args:
        rows: accuracies in percent and gauges, by name.

    Example:
        >>> rest, last = {"linear": 96.9, "knn": 96.9, "few": 81.9}, {"linear": 96.9, "knn": 93.5, "few": 77.9}
        >>> of_the_last({"random": rest, "bare": last | {"std": 0.04, "effective_rank": 3.4}}).split(": a collapse")[0]
        'The last row has collapsed, and is the worst by kNN and with five labels a class, but not by the linear probe'
    """
    *others, last = rows.values()
    if not collapsed(last):
        return "The last row has not collapsed: 'std' and 'effective rank' would say so."
    by = {"linear": "by the linear probe", "knn": "by kNN", "few": "with five labels a class"}
    worst = [said for key, said in by.items() if round(last[key], 1) < min(round(row[key], 1) for row in others)]
    rest = [said for said in by.values() if said not in worst]
    said = [f"is the worst {' and '.join(worst)}"] if worst else []
    said += [f"{'not' if worst else 'is not the worst'} {' or '.join(rest)}"] if rest else []
    return (
        f"The last row has collapsed, and {', but '.join(said)}: a collapse sits in the embedding, and shows in the gauges. "
        "**Std and effective rank say that a run has collapsed; an accuracy may or may not.**"
    )


def page(path: Path, rows: Mapping[str, Mapping[str, float]], runs: "Mapping[str, Run]", test: Dataset) -> Path:
    """Write it.

    Args:
        path: of the page.
        rows: accuracies in percent and gauges, by name.
        runs: the trained methods, by name.
        test: digits that no method saw.
    """
    from infomax.evaluate.features import features

    known = torch.zeros(len(test), dtype=torch.int64) if test.labels is None else test.labels

    made = Page(
        "infomax: the digits, without labels",
        "Five self-supervised methods climb the mutual information between two views of a digit; a sixth has had its "
        "marginal term taken out, and collapses.",
    )
    made.section("What they learnt").table(
        [
            {
                "": style(name).label,
                "linear probe, %": f"{r['linear']:.1f}",
                "kNN, %": f"{r['knn']:.1f}",
                "5 labels a class, %": f"{r['few']:.1f} ± {r['few_sd']:.1f}",
                "InfoNCE (cos/0.1), nats": f"{r['mi_infonce']:.2f} of {r['ceiling_infonce']:.2f}" if "std" in r else "",
                "effective rank": f"{r['effective_rank']:.1f}" if "std" in r else "",
                "std": f"{r['std']:.2f}" if "std" in r else "",
            }
            for name, r in rows.items()
        ],
        "Frozen features, test part of 355 images (one binomial standard error is about 0.8 points); gauges of "
        "the embedding behind the projector.",
    )
    made.text(
        "With all labels this data set is nearly saturated: raw pixels already do well. With five labels a class the "
        "difference shows. " + of_the_last(rows)
    )
    mi_and_gauges(made.section("Training"), {name: run.history for name, run in runs.items()})
    behind = {style(name).label: features(run.learner.f, test, progress=False) for name, run in runs.items()}
    made.section("Embeddings").figure(
        scatters(behind, known, test.classes),
        "Unseen digits behind the projector, as unit vectors on the two principal axes of each embedding.",
    )
    return made.write(path)
