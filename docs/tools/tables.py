"""Write tables of the pages below from the files that hold their numbers: `python docs/tools/tables.py`; none of them is typed.

A block begins with a line `<!-- results: FILE -->` and ends with `<!-- end -->`; what stands between is written anew.
"""

import json
import re
import statistics
import sys
from pathlib import Path
from typing import Any

from infomax.studies.tables.work import as_markdown
from infomax.studies.verdict import judged

ROOT = Path(__file__).parents[2]
PAGES = ("reproduction.md", "performance.md")
NAMES = {"cifar10": "CIFAR-10 (JPEG copy)", "fashion-mnist": "Fashion-MNIST", "simclr": "SimCLR", "byol": "BYOL"}
NAMES |= {"barlow-twins": "Barlow Twins", "vicreg": "VICReg"}
BLOCK = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def written(text: str, root: Path = ROOT) -> str:
    """A page with every block written from its file."""
    return BLOCK.sub(lambda found: found[1] + block(json.loads((root / found[2]).read_text("utf-8"))) + found[3], text)


def ledger(results: dict[str, Any]) -> str:
    """The claims, but for those of the theory study, which have a page of their own."""
    rows, n = results["claims"], results["counts"]
    said = (
        f"\n{len(rows)} claims: {n['holds']} hold, {n['does not hold']} do not, {n['not decidable']} are not decidable"
    )
    lines = [
        "| claim | where | study | verdict | judged by (a difference that the claim says is positive ± its error) |"
    ]
    lines.append("|---|---|---|---|---|")
    for r in rows:
        if r["study"] != "theory":
            cells = (r["claim"], r["source"], r["study"], r["verdict"], reason(r))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return said + " at this budget.\n\n" + "\n".join(lines) + "\n"


def reason(row: dict[str, Any]) -> str:
    """The first two of the differences that a claim is judged by, and how many more there are; else what was measured."""
    parts, more = judged(row).split("; ")[:2], len(row["judged_by"]) - 2
    return "; ".join(parts) + f"; and {more} more" * (more > 0) if row["judged_by"] else row["measured"]


def races(results: dict[str, Any]) -> str:
    """Seed by seed, ours after some time beside lightly's after twice as long and, where it was run, as long."""
    by: dict[tuple[Any, ...], dict[str, Any]] = {}
    for c in results["cells"]:
        by[c["data"], c["method"], c["contestant"], c["seconds"], c["seed"]] = c
    said = ""
    ours = min(seconds for *_, contestant, seconds, _ in by if contestant == "infomax")
    for times, what in ((2, "twice the time"), (1, "equal time")):
        heads = (
            f"{ours:g} s against {times * ours:g}: {what}",
            "infomax, %, seed by seed",
            "lightly",
            "infomax ahead by",
        )
        heads += ("mean ± sd", "by nearest neighbours, mean", "thousand images: infomax, lightly")
        said += f"\n| {' | '.join(heads)} |\n{'|---' * len(heads)}|\n"
        for data, method in sorted({key[:2] for key in by if key[1]}):
            pairs = [
                (mine, theirs)
                for (*of, seed), mine in sorted(by.items(), key=lambda item: item[0][-1])
                if of == [data, method, "infomax", ours]
                and (theirs := by.get((data, method, "lightly", times * ours, seed))) is not None
            ]
            if pairs:
                said += f"| {NAMES[data]}, {NAMES[method]} | {_race(pairs)} |\n"
    return said + "\n"


def _race(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> str:
    ahead = [round(a["linear"] - b["linear"], 2) for a, b in pairs]
    near = statistics.mean(a["knn"] - b["knn"] for a, b in pairs)
    spread = f" ± {statistics.stdev(ahead):.2f}" if len(ahead) > 1 else ""
    cells = [
        *(", ".join(f"{one['linear']:.2f}" for one in side) for side in zip(*pairs, strict=True)),
        ", ".join(f"{one:+.2f}" for one in ahead),
        f"**{statistics.mean(ahead):+.2f}**{spread}",
        f"{near:+.2f}",
        "; ".join(f"{a['images'] / 1000:.0f}, {b['images'] / 1000:.0f}" for a, b in pairs),
    ]
    return " | ".join(cells)


def block(results: dict[str, Any]) -> str:
    """A table with the command that made it, where, and what that took; or the ledger."""
    if "counts" in results:
        return ledger(results)
    if "cells" in results and "parts" not in results:
        return races(results)
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
