"""Write tables of the pages below from the files that hold their numbers: `python docs/tools/tables.py`; none of them is typed.

A block begins with a line `<!-- results: FILE -->` and ends with `<!-- end -->`; what stands between is written anew, of a
race against lightly `<!-- results: FILE, seed by seed -->` with every seed.
"""

import itertools
import json
import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from infomax.studies import periodic
from infomax.studies.claims import told
from infomax.studies.collapse import judge as collapse
from infomax.studies.curves import judge as curves
from infomax.studies.tables.work import as_markdown
from infomax.studies.toy.judge import come_out
from infomax.studies.verdict import judged, shown

ROOT = Path(__file__).parents[2]
PAGES = ("collapse_study.md", "reproduction.md", "performance.md", "time_to_accuracy.md", "toy.md")
NAMES = {"cifar10": "CIFAR-10 (JPEG copy)", "fashion-mnist": "Fashion-MNIST", "simclr": "SimCLR", "byol": "BYOL"}
NAMES |= {"barlow-twins": "Barlow Twins", "vicreg": "VICReg"}
BLOCK = re.compile(r"(<!-- results: (\S+?)(, seed by seed)? -->\n).*?(<!-- end -->)", re.DOTALL)


def written(text: str, root: Path = ROOT) -> str:
    """A page with every block written from its file."""

    def anew(found: re.Match[str]) -> str:
        results = json.loads((root / found[2]).read_text("utf-8"))
        return found[1] + (races if found[3] else block)(results) + found[4]

    return BLOCK.sub(anew, text)


def ledger(results: dict[str, Any]) -> str:
    """The claims, but for those of the theory study, which have a page of their own."""
    rows, n = results["claims"], results["counts"]
    said = (
        f"\n{len(rows)} claims: {n['holds']} hold, {n['does not hold']} do not, {n['not decidable']} are not decidable"
    )
    said += f" at this budget ({told(rows)})"
    lines = [
        "| claim | where | study | on | verdict | judged by (a difference that the claim says is positive ± its error) |"
    ]
    lines.append("|---|---|---|---|---|---|")
    for r in rows:
        if r["study"] != "theory":
            cells = (r["claim"], r["source"], r["study"], r["on"], r["verdict"], reason(r))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return said + ".\n\n" + "\n".join(lines) + "\n"


def toy(results: dict[str, Any]) -> str:
    """What the toy study's means say of each claim."""
    claims = results["claims"]
    rows = [[c["paper"], f"{c['ours']}. {c['note']}".strip(), "yes" if c["holds"] else "**no**"] for c in claims]
    said = f"\nUnder these settings, by the means alone, {come_out(claims)}.\n"
    return said + lined(("claim", "we measure", "comes out"), rows)


def reason(row: dict[str, Any]) -> str:
    """The first two of the differences that a claim is judged by, and how many more there are; else what was measured."""
    parts, more = judged(row).split("; ")[:2], len(row["judged_by"]) - 2
    return "; ".join(parts) + f"; and {more} more" * (more > 0) if row["judged_by"] else row["measured"]


def lined(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n" + "\n".join(lines) + "\n\n"


def figure2(results: dict[str, Any]) -> str:
    """Where each method's information, accuracy and rank end."""
    heads = (
        "",
        "cos-DV",
        "InfoNCE",
        "JSD",
        "epochs in which cos-DV does not fall",
        "linear probe, %",
        "effective rank",
    )
    return lined(
        heads,
        (
            [
                curves.label(name),
                *(shown(curves.last(runs, f"mi_{key}")) for key in curves.ESTIMATORS),
                shown(curves.rising(curves.curve(runs, "mi_dv"))),
                shown(curves.last(runs, "linear")),
                shown(curves.last(runs, "effective_rank"), 1),
            ]
            for name, runs in curves.grouped(results["rows"]).items()
        ),
    )


PROBED = ("linear", "linear_g", "std", "std_g")


def figure7(results: dict[str, Any]) -> str:
    """What the ablations end with, when they were flagged, and what follows for the claims."""
    heads = ("", "linear probe, %: f", "g", "std", "std of g", "effective rank", "flagged as collapsing")
    rows = []
    for name, runs in curves.grouped(results["rows"]).items():
        ends = [shown(curves.last(runs, k)) if k in runs[0] or k == "std" else "" for k in PROBED]
        when = [run["flagged"] for run in runs if run["flagged"] is not None]
        flagged = f"{len(when)} of {len(runs)}" + (f", after {max(when):.0%} of the run" if when else "")
        rows.append([curves.label(name), *ends, shown(curves.last(runs, "effective_rank"), 1), flagged])
    said = [
        f"- **{c['verdict']}**: {c['claim']} ({c['source']}). Measured: {c['measured']}." for c in results["claims"]
    ]
    return lined(heads, rows) + "\n".join(said) + "\n\n"


def second_round(results: dict[str, Any]) -> str:
    """The best sentences of the periodic table and the named ones, with fresh seeds, the best first."""
    columns = {"few": "5 labels a class, %", "min_gap": "min gap, degrees"}
    columns |= {"linear": "linear probe, %", "std": "std", "effective_rank": "effective rank"}
    score = "min_gap" if results["settings"]["data"] == "gaussians" else "few"
    keys = [score] if score == "min_gap" else [key for key in columns if key != "min_gap"]
    best = sorted(results["again"], key=lambda c: -statistics.mean(periodic.values(c, score)))
    return lined(
        ("sentence", "name", *(columns[key] for key in keys)),
        (
            [
                str(periodic.sentence_of(c)),
                c["name"] or "**new**",
                *(shown(periodic.values(c, key), 1 if key == "effective_rank" else 2) for key in keys),
            ]
            for c in best
        ),
    )


def watched(results: dict[str, Any]) -> str:
    """How every sentence ended in every world, and when it was flagged as what."""
    rows = collapse.table(results["rows"])
    return lined(list(rows[0]), (list(row.values()) for row in rows))


def accuracy(results: dict[str, Any]) -> str:
    """Accuracy by seconds, a table a data set: ours first, then lightly by how much time it had."""
    cells, said = results["cells"], ""
    for data, name in (("cifar10", "CIFAR-10 (JPEG q75 copy)"), ("fashion-mnist", "Fashion-MNIST")):
        alike: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
        for c in cells:
            if c["data"] == data:
                alike.setdefault((c["method"] or "", c["contestant"], c["seconds"]), []).append(c)
        ours = {
            (c["method"], c["seed"]): c["linear"]
            for c in cells
            if c["contestant"] == "infomax-32" and c["data"] == data
        }
        order = ["", "simclr", "byol", "barlow-twins", "vicreg"]
        who = ["untrained", "pixels", "infomax", "infomax-32", "lightly", "lightly-full"]
        rows = []
        for (method, contestant, seconds), same in sorted(
            alike.items(), key=lambda item: (order.index(item[0][0]), who.index(item[0][1]), -item[0][2])
        ):
            linear, near = (_spread([c[key] for c in same]) for key in ("linear", "knn"))
            images = f"{statistics.mean(c['images'] for c in same):,.0f}" if method else "-"
            ahead = _spread([ours[method, c["seed"]] - c["linear"] for c in same]) if "lightly" in contestant else ""
            what = {"untrained": "untrained", "pixels": "raw pixels"}.get(contestant)
            if what is None:
                full = ", full size" if contestant == "lightly-full" else ""
                what = f"{NAMES[method]}: {contestant.split('-')[0]}, {seconds:g} s{full}"
            if contestant == "infomax-32":
                what, linear = f"**{what}**", f"**{linear}**"
            rows.append([what, images, linear, near, ahead, str(len(same))])
        heads = (
            "images seen",
            "logistic regression, %",
            "nearest neighbours, %",
            "infomax ahead by, seed by seed",
            "seeds",
        )
        said += lined((name, *heads), rows)
    return said.replace("\n\n\n", "\n\n")


def _spread(values: list[float]) -> str:
    return f"{statistics.mean(values):.2f}" + (f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else "")


BESIDE = {"simsiam": "SimSiam", "sdmi": "**SDMI**", "sdmi, views in one graph": "SDMI, both views in one graph",
          "sdmi, Algorithm 1 as written": "SDMI, Algorithm 1 as written", "byol": "BYOL", "moco_v3": "MoCo v3",
          "dino": "DINO", "simclr": "SimCLR", "simclr, accumulate='views'": 'SimCLR, `accumulate="views"`',
          "simsiam, accumulate='views'": 'SimSiam, `accumulate="views"`'}  # fmt: skip
"""The rows of the table of memory, and what they are called there."""


def memory(results: dict[str, Any]) -> str:
    """GiB of a step, and over SimSiam's, an encoder and batch a column."""
    columns = (("resnet18", 32, 512), ("resnet50", 224, 256), ("resnet50", 224, 64))
    found = {(r["what"], r["encoder"], r["size"], r["batch"]): r for r in results["rows"]}
    rows = []
    for what, name in BESIDE.items():
        row = [name]
        for k, column in enumerate(columns):
            r = found[what, *column]
            cell = f"{r['bytes'] / 2**30:.{1 if k else 2}f}" + (
                f" ({r['of_simsiam']:.2f})" if what != "simsiam" else ""
            )
            row.append(f"**{cell}**" if what == "sdmi" else cell)
        rows.append(row)
    heads = ("GiB (over SimSiam's)", *(f"{'ResNet-' + e[6:]}, {size} px, {batch}" for e, size, batch in columns))
    return lined(heads, rows)


def sixteen(results: dict[str, Any]) -> str:
    """Of the pilots, those in 16 bits beside the same in 32."""
    by = {(c["data"], c["method"], c["changed"].get("precision")): c for c in results["cells"] if c.get("changed")}
    rows = []
    for (data, method, precision), narrow in by.items():
        if precision == "bf16-mixed":
            wide = by[data, method, "32-true"]
            cells = [f"{c['linear']:.2f} ({c['knn']:.2f})" for c in (wide, narrow)]
            ahead = f"{narrow['linear'] - wide['linear']:+.2f}"
            rows.append(
                [f"{NAMES[data]}, {NAMES[method]}", *cells, ahead, f"{narrow['images'] / wide['images']:.2f} x"]
            )
    return lined(("", "32 bits, %", "16 bits, %", "gain", "images"), rows)


RACES = {
    ("infomax", "lightly"): "the recipes",
    ("infomax", "lightly-16"): "the recipes, lightly in 16 bits as well",
    ("infomax", "lightly-muon"): "the recipes, lightly with Muon as well",
    ("infomax-32", "lightly"): "the recipes in 32 bits",
}
"""Who races against whom, and what they run."""


def races(results: dict[str, Any]) -> str:
    """Seed by seed, ours after some time beside lightly's after twice as long and, where it was run, as long.

    Pairs that ran on unlike processors are told apart, and only where lightly was no slower on its own for it: it saw at least
    half of the images that it saw in twice the time beside ours.
    """
    by: dict[tuple[Any, ...], dict[str, Any]] = {}
    for c in results["cells"]:
        by[c["data"], c["method"], c["contestant"], c["seconds"], c["seed"]] = c
    said = ""
    seconds = min(seconds for *_, contestant, seconds, _ in by if contestant in ("infomax", "infomax-32"))
    for ((ours, peer), named), (times, what, alike) in itertools.product(RACES.items(), (
        (2, "twice the time", True),
        (1, "equal time", True),
        (1, "equal time, lightly on another processor, no slower", False),
    )):  # fmt: skip
        heads = (
            f"{named}, {seconds:g} s against {times * seconds:g}: {what}",
            "infomax, %, seed by seed",
            "lightly",
            "infomax ahead by",
        )
        heads += ("mean ± sd", "by nearest neighbours, mean", "thousand images: infomax, lightly")
        rows = ""
        for data, method in sorted({key[:2] for key in by if key[1]}):
            pairs = [
                (mine, theirs)
                for (*of, seed), mine in sorted(by.items(), key=lambda item: item[0][-1])
                if of == [data, method, ours, seconds]
                and (theirs := by.get((data, method, peer, times * seconds, seed))) is not None
                and (_computer(mine) == _computer(theirs)) == alike
                and (alike or _no_slower(theirs, mine, by.get((data, method, peer, 2 * seconds, seed))))
            ]
            if pairs:
                rows += f"| {NAMES[data]}, {NAMES[method]} | {_race(pairs)} |\n"
        said += f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|\n{rows}" if rows else ""
    return said + "\n"


def _no_slower(theirs: dict[str, Any], mine: dict[str, Any], twice: dict[str, Any] | None) -> bool:
    """Whether a peer saw half of what it saw in twice the time where ours ran."""
    return twice is not None and _computer(twice) == _computer(mine) and 2 * theirs["images"] >= twice["images"]


def _computer(cell: dict[str, Any]) -> str:
    return str(cell["machine"]).split(" (")[0]


def _race(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    ahead = [round(a["linear"] - b["linear"], 2) for a, b in pairs]
    near = statistics.mean(a["knn"] - b["knn"] for a, b in pairs)
    spread = f" ± {statistics.stdev(ahead):.2f}" if len(ahead) > 1 else ""
    computed = {a.get("precision") for a, _ in pairs}  # the oldest do not say
    mixed = len(computed) > 1 and None not in computed
    cells = [
        *(
            ", ".join(f"{one['linear']:.2f}{'¹⁶' * (mixed and one['precision'] == 'bf16-mixed')}" for one in side)
            for side in zip(*pairs, strict=True)
        ),
        ", ".join(f"{one:+.2f}" for one in ahead),
        f"**{statistics.mean(ahead):+.2f}**{spread}",
        f"{near:+.2f}",
        "; ".join(f"{a['images'] / 1000:.0f}, {b['images'] / 1000:.0f}" for a, b in pairs),
    ]
    return " | ".join(cells)


def block(results: dict[str, Any]) -> str:
    """What is told of a file of results; of a table of the paper also the command, where it ran, and what that took."""
    figure = results.get("settings", {}).get("figure")
    if figure is not None:
        return {"fig2": figure2, "fig7": figure7}[figure](results)
    if results.get("study") == "collapse":
        return watched(results)
    if "table3" in results:
        return toy(results)
    if "counts" in results:
        return ledger(results)
    if "again" in results:
        return second_round(results)
    if "of_simsiam" in results.get("rows", [{}])[0]:
        return memory(results)
    if "cells" in results and "parts" not in results:
        return (sixteen if all(c.get("pilot") for c in results["cells"]) else accuracy)(results)
    spent = results.get("cpu_seconds")
    took = f", {spent:,.0f} processor seconds" if spent else ""
    made = f"{results['settings']['machine']}, torch {results['environment']['torch']}, revision {results['commit']}"
    return f"\n    {results['command']}\n\n{made}{took}; {results['made']}.\n\n{as_markdown(results)}\n"


if __name__ == "__main__":
    old = {name: (ROOT / "docs" / name).read_text("utf-8") for name in PAGES}
    new = {name: written(text) for name, text in old.items()}
    for name, text in new.items():
        (ROOT / "docs" / name).write_text(text, "utf-8")
    sys.exit("nothing to write" if new == old else 0)
