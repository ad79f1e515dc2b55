"""Write the tables of docs/reproduction.md from the files in results/: `python docs/tools/tables.py`; none of them is typed.

A block begins with a line `<!-- results: FILE -->` and ends with `<!-- end -->`; what stands between is written anew.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from infomax.studies.tables.work import as_markdown
from infomax.studies.verdict import judged

ROOT = Path(__file__).parents[2]
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


def block(results: dict[str, Any]) -> str:
    """A table with the command that made it, where, and what that took; or the ledger."""
    if "counts" in results:
        return ledger(results)
    spent = results.get("cpu_seconds")
    took = f", {spent:,.0f} processor seconds" if spent else ""
    made = f"{results['settings']['machine']}, torch {results['environment']['torch']}, revision {results['commit']}"
    return f"\n    {results['command']}\n\n{made}{took}; {results['made']}.\n\n{as_markdown(results)}\n"


if __name__ == "__main__":
    page = ROOT / "docs" / "reproduction.md"
    before = page.read_text("utf-8")
    after = written(before)
    page.write_text(after, "utf-8")
    sys.exit(f"{page.name}: nothing to write" if after == before else 0)
