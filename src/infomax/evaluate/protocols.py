"""Protocols: from frozen features and labels to an accuracy and a statement of how it was measured.

| name | what |
|---|---|
| linear | L-BFGS logistic regression to convergence, its penalty chosen on a held-out fifth of train |
| sgd | linear probes trained at once with SGD, learning rate and weight decay chosen on the same fifth; over three seeds |
| knn | nearest neighbours, k = 20 and temperature 0.07 |
| knn-best | nearest neighbours, k and temperature chosen on the same fifth |
| few | logistic regression on 1 % and on 10 % of the labels, over three draws of them |
| baselines | `linear` and `knn` of the same encoder with new random weights or as it began, and of the raw samples |
| finetune | the encoder itself is trained on the labels, over three seeds; by name only: `infomax.evaluate.finetune` |

Every choice is made on train. Each protocol uses the test set once, and a protocol of several seeds once per seed.
"""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from infomax.errors import ConfigError, nearest
from infomax.evaluate.knn import knn_accuracy
from infomax.evaluate.numbers import binomial_error
from infomax.evaluate.probe import PENALTIES, linear_probe, stratified
from infomax.evaluate.sgd import sgd_probe
from infomax.words import many

SEEDS = 3
SHARES = (0.01, 0.1)
USUAL = 20
"""Neighbours where none are chosen; all rows where there are fewer."""
NEIGHBOURS, TEMPERATURES = (1, 5, 10, 20, 50, 100, 200), (0.02, 0.07, 0.2, 1.0)

Protocol = Callable[[Tensor, Tensor, Tensor, Tensor, int], dict[str, Any]]


def spread_of(values: list[float]) -> dict[str, float | int]:
    """Mean and (sample) deviation of some accuracies, in percent.

    Example:
        >>> spread_of([0.5, 0.7])["mean"], spread_of([0.5, 0.7])["n"]
        (60.0, 2)
    """
    seen = 100 * torch.tensor(values, dtype=torch.float64)
    sd = float(seen.std()) if len(seen) > 1 else 0.0
    return {"mean": round(float(seen.mean()), 6), "sd": round(sd, 6), "n": len(seen)}  # of equal ones no rounding error


def linear(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, seed: int = 0) -> dict[str, Any]:
    """Converged logistic regression."""
    probe = linear_probe(train, labels, test, test_labels, seed=seed)
    return {"linear": 100 * probe.accuracy, "linear_se": 100 * probe.stderr, "penalty": probe.penalty}


def sgd(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, seed: int = 0) -> dict[str, Any]:
    """A probe by SGD, over seeds of its split and shuffles."""
    # of fewer rows than a batch there would be no shuffles: three fits of the whole, alike, and a deviation of nought
    batch = 512 if len(train) > 512 else max(1, len(train) // 8)
    made = [
        sgd_probe(train, labels, test, test_labels, decays=(0.0, 1e-4), seed=seed + k, batch=batch)
        for k in range(SEEDS)
    ]
    of_choice = {"rates": [m.penalty for m in made], "decays": [m.decay for m in made]}
    return {"sgd": spread_of([m.accuracy for m in made]) | of_choice}


def knn(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, seed: int = 0) -> dict[str, Any]:
    """Nearest neighbours as everybody's."""
    fewer = {"knn_k": len(train)} if len(train) < USUAL else {}
    return binomial("knn", knn_accuracy(train, labels, test, test_labels, k=USUAL), len(test)) | fewer


def knn_best(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, seed: int = 0) -> dict[str, Any]:
    """Nearest neighbours, their number and temperature chosen on held-out rows of train."""
    apart = stratified(labels, 0.2, seed)
    fit = (train[~apart], labels[~apart], train[apart], labels[apart])
    scores = {
        (k, t): knn_accuracy(*fit, k=k, temperature=t)
        for k, t in itertools.product(NEIGHBOURS, TEMPERATURES)
        if k <= int((~apart).sum())
    }
    k, t = max(scores, key=lambda pair: scores[pair])
    right = knn_accuracy(train, labels, test, test_labels, k=k, temperature=t)
    return binomial("knn_best", right, len(test)) | {"k": k, "knn_tau": t}


def binomial(name: str, accuracy: float, n: int) -> dict[str, Any]:
    """An accuracy in percent and its standard error from n test samples."""
    return {name: 100 * accuracy, f"{name}_se": 100 * binomial_error(accuracy, n)}


def few(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, seed: int = 0) -> dict[str, Any]:
    """Logistic regression on a share of the labels, every class alike and at least two of each, where it has as many."""
    found: dict[str, Any] = {}
    for share in SHARES:
        accuracies = []
        for draw in range(SEEDS):
            order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + draw))
            rows = [order[labels[order] == c] for c in torch.unique(labels)]
            some = torch.cat([r[: max(2, math.ceil(share * len(r)))] for r in rows])
            accuracies.append(linear_probe(train[some], labels[some], test, test_labels, seed=seed + draw).accuracy)
            if len(some) == len(labels):  # another draw would be the same
                break
        seen = {"labels": len(some), "of": len(labels), "lone": sum(len(r) == 1 for r in rows)}
        found[few_key(share)] = spread_of(accuracies) | seen
    return found


PROTOCOLS: Mapping[str, Protocol] = {"linear": linear, "sgd": sgd, "knn": knn, "knn-best": knn_best, "few": few}
QUICK = ("linear", "knn")
GAUGES = "gauges"
"""Beside the protocols: what needs no labels, off views; see `infomax.evaluate.embedding`."""
FINETUNE = "finetune"
"""Beside the protocols: what needs the images and not their features."""
BASELINES = "baselines"
"""Beside the protocols: `linear` and `knn` without what was learnt; see `infomax.evaluate.baselines`."""
BESIDE = (BASELINES, GAUGES, FINETUNE)


def named(names: str | tuple[str, ...]) -> tuple[str, ...]:
    """A list of protocols as it was given, `all` standing for itself.

    Example:
        >>> named("all, finetune")
        ('all', 'finetune')
    """
    return tuple(n.strip() for n in names.split(",") if n.strip()) if isinstance(names, str) else tuple(names)


def chosen(names: str | tuple[str, ...]) -> tuple[str, ...]:
    """Read a list of protocols: linear,knn or all.

    Raises:
        ConfigError: naming the nearest, where there is none of a name; or where none is named.

    Example:
        >>> chosen("knn,linear"), len(chosen("all"))
        (('knn', 'linear'), 7)
    """
    every = (*PROTOCOLS, *(name for name in BESIDE if name != FINETUNE))
    asked = tuple(dict.fromkeys(one for n in named(names) for one in (every if n == "all" else (n,))))
    if not asked:
        raise ConfigError(f"no protocol is named: name some of {', '.join([*PROTOCOLS, *BESIDE])}, or all")
    for name in asked:
        if name not in (*PROTOCOLS, *BESIDE):
            raise ConfigError(f"no protocol {name!r}: {nearest(name, [*PROTOCOLS, *BESIDE, 'all'])}")
    return asked


CHOSEN = {
    "linear": ("linear", "penalty"),
    "sgd": ("sgd", "rate and weight decay"),
    "knn": ("knn", ""),
    "knn_best": ("knn-best", "k and temperature"),
    "few_10": ("few", "penalty"),
    FINETUNE: (FINETUNE, "rate"),
}
"""By the key of its accuracy: a protocol, and what it chooses on a held-out fifth of train."""


def probed(found: Mapping[str, Any]) -> dict[str, str]:
    """The protocols whose accuracies are among findings, and what each chooses on a held-out fifth of train."""
    made = dict(of for key, of in CHOSEN.items() if key in found)
    return made | ({BASELINES: "penalty"} if BASELINES in found else {})


def statement(found: Mapping[str, Any]) -> str:
    """How findings were measured, in one line: what was frozen, where the test set is from, what was chosen on train.

    Args:
        found: with `how` the split came about, None where there are no labels, and of images the `size` they were seen at.

    Example:
        >>> print(statement({"how": "the graph's public split", "linear": 90.0, "knn": 90.0}))
        frozen encoder, offline; the graph's public split; penalty chosen on a held-out fifth of train
        >>> print(statement({"how": "the graph's public split", "knn": 90.0}))
        frozen encoder, offline; the graph's public split; nothing chosen
        >>> print(statement({"how": "", "linear": 90.0, "sgd": 90.0}).split("; ")[-1])
        chosen on a held-out fifth of train: penalty (linear), rate and weight decay (sgd)
    """
    if found["how"] is None:
        return "frozen encoder, offline; no labels, so nothing is probed"
    made = probed(found)
    if not made:
        return "frozen encoder, offline; gauges alone, so nothing is probed"
    some = {name: what for name, what in made.items() if what}
    part = "a held-out fifth of train"
    if "few" in some:
        part = "a held-out fifth of those few labels" if len(some) == 1 else f"{part} (few: of its labels)"
    if len(some) == 1:
        choice = f"{next(iter(some.values()))} chosen on {part}"
    elif some:
        choice = f"chosen on {part}: " + ", ".join(f"{what} ({name})" for name, what in some.items())
    else:
        choice = "nothing chosen"
    frozen = "fine-tuned encoder" if set(made) == {FINETUNE} else "frozen encoder, offline"
    frozen += " (finetune: fine-tuned)" if FINETUNE in made and len(made) > 1 else ""
    whole = f", whole images at {found['size']} px" if found.get("size") else ""
    return f"{frozen}{whole}; {found['how']}; {choice}"


def few_key(share: float) -> str:
    """The key of what was found on a share of the labels.

    Example:
        >>> few_key(0.1)
        'few_10'
    """
    return f"few_{share:.0%}".rstrip("%")


def lines(found: Mapping[str, Any]) -> list[str]:
    """What protocols found, a line each, for a terminal."""

    def several(key: str, of: str = "seed") -> str:
        if found[key]["n"] == 1:
            return f"{found[key]['mean']:.2f} % (one {of})"
        return f"{found[key]['mean']:.2f} % +- {found[key]['sd']:.2f} (sd of {many(found[key]['n'], of)})"

    def once(key: str) -> str:
        return f"{found[key]:.2f} % +- {found[f'{key}_se']:.2f} (binomial)"

    made = []
    if "linear" in found:
        end = ", an end of its grid" if found["penalty"] in (max(PENALTIES), min(PENALTIES)) else ""
        made.append(f"linear probe    {once('linear')}, L-BFGS, penalty {found['penalty']:g}{end}")
    if "sgd" in found:
        rates, decays = (", ".join(f"{v:.2g}" for v in found["sgd"].get(k, ())) for k in ("rates", "decays"))
        made.append(f"linear, by SGD  {several('sgd')}, rates {rates}, weight decays {decays}")
    if "knn" in found:
        every = f"{found['knn_k']}, all there are" if "knn_k" in found else str(USUAL)
        made.append(f"kNN             {once('knn')}, k = {every}, temperature 0.07")
    if "knn_best" in found:
        made.append(f"kNN, chosen     {once('knn_best')}, k = {found['k']}, temperature {found['knn_tau']:g}")
    rows: dict[int, list[float]] = {}
    for share in SHARES:  # of few samples both shares come to two a class
        if (key := few_key(share)) in found:
            rows.setdefault(found[key]["labels"], []).append(share)
    for labels, shares in rows.items():
        row = found[key := few_key(shares[0])]
        lone = row.get("lone", 0)
        one = f"; of {many(lone, 'class', 'classes')} the only one" if lone else ""
        part = labels / row["of"]
        least = f", {100 * part:.0f} % (two a class at the least{one})" if part > 1.5 * shares[0] else ""
        name = f"few, {', '.join(f'{100 * share:.0f} %' for share in shares)}"
        made.append(f"{name:15} {several(key, 'draw')}, {many(labels, 'label')}{least}")
    return made
