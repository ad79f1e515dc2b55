"""Judge the kept results anew, by the rule and the claims of now: `python docs/tools/rejudge.py`. Nothing is trained.

A result holds every run and, beside it, what was said of the claims. Where a rule or a claim's wording changes, the runs stay
and what is said of them is written again; `infomax study claims` reads the runs in the same way.
"""

import json
from pathlib import Path
from typing import Any

from infomax.studies.claims import judged_anew
from infomax.studies.tables.probing import claim_lines
from infomax.studies.toy import judge as toy

ROOT = Path(__file__).parents[2]
KEPT = ("fig2-*", "fig7-*", "periodic-table-*", "table1", "collapse-*")
TOY = ROOT / "docs/results/toy.json"


def anew(results: dict[str, Any], file: Path) -> dict[str, Any]:
    """A result with what is said of its claims written again, and of table 1 the lines of its page too."""
    if file == TOY:
        return results | {"claims": toy.claims(results)}
    results = results | {"claims": judged_anew(results)}
    if file.stem == "table1":
        parts = [
            part | ({"lines": claim_lines(results["claims"])} if part["heading"] == "Claims" else {})
            for part in results["parts"]
        ]
        results |= {"parts": parts}
    return results


def kept() -> list[Path]:
    """The files that hold runs and claims."""
    return [*sorted(file for pattern in KEPT for file in (ROOT / "results").glob(f"{pattern}.json")), TOY]


if __name__ == "__main__":
    for file in kept():
        text = file.read_text("utf-8")
        indent = len(text.split("\n", 2)[1]) - len(text.split("\n", 2)[1].lstrip()) if "\n" in text.strip() else None
        found = json.loads(text)
        if (again := anew(found, file)) != found:
            end = "\n" if text.endswith("\n") else ""
            file.write_text(json.dumps(again, indent=indent, ensure_ascii="\\u" in text) + end, "utf-8")
            print(f"judged anew: {file.relative_to(ROOT)}")
