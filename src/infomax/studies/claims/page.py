"""The ledger as markdown, for a terminal, and as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from infomax.studies.verdict import FAILS, HOLDS, OPEN, VERDICTS, judged


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """The ledger as a table.

    Example:
        >>> from infomax.studies.verdict import claim
        >>> row = claim("a", "x > y", "4.3", "x 2 | y 1", []) | {"command": "infomax", "study": "toy", "on": "digits"}
        >>> print(as_markdown([row]).splitlines()[-1])
        | 1 | x > y | 4.3 | digits | not decidable | x 2 \\| y 1 |  | `infomax` |
    """
    lines = ["| | claim | where | on | verdict | measured | judged by | command |", "|---|---|---|---|---|---|---|---|"]
    for k, r in enumerate(rows, 1):
        cells = [str(k), r["claim"], r["source"], r.get("on", ""), r["verdict"], r["measured"], judged(r)]
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + f" | `{r['command']}` |")
    return "\n".join(lines) + "\n"


def as_text(results: Mapping[str, Any]) -> str:
    """The verdicts for a terminal."""
    counts = results["counts"]
    lines = [
        f"{r['verdict']:14} {r['claim']} ({r['source']}; {r['study']}{', ' * bool(r.get('on'))}{r.get('on', '')})"
        for r in results["claims"]
    ]
    return "\n".join(
        [
            *lines,
            f"{len(lines)} claims: {counts[HOLDS]} hold, {counts[FAILS]} do not, {counts[OPEN]} are not decidable at this "
            f"budget ({told(results['claims'])}); {results['seconds']:.0f} s, {results['cpu_seconds']:.0f} processor seconds",
        ]
    )


def told(rows: Sequence[Mapping[str, Any]]) -> str:
    """How many of the paper's claims and how many of our own came to which verdict.

    Example:
        >>> rows = [{"source": "4.3", "verdict": "holds"}, {"source": "infomax", "verdict": "does not hold"}]
        >>> told(rows)
        'of the paper 1, 0 and 0; ours 0, 1 and 0'
    """
    counts = {
        ours: [sum((r["source"] == "infomax", r["verdict"]) == (ours, v) for r in rows) for v in VERDICTS]
        for ours in (False, True)
    }
    said = {ours: f"{a}, {b} and {c}" for ours, (a, b, c) in counts.items()}
    return f"of the paper {said[False]}; ours {said[True]}"


def page(results: Mapping[str, Any]) -> Any:
    """Lay the ledger out.

    Args:
        results: what `results.json` holds.
    """
    from infomax.report import Page
    from infomax.studies.curves.page import RULE, claim_row
    from infomax.studies.page import with_settings

    counts, rows = results["counts"], results["claims"]
    out = Page(
        "The ledger of claims",
        f"{len(rows)} claims of the paper and of our errata: {counts[HOLDS]} hold, {counts[FAILS]} do not, {counts[OPEN]} "
        f"are not decidable at this budget ({told(rows)}).",
    )
    parts = {"Printed in the paper": [r for r in rows if r["source"] != "infomax"],
             "Ours": [r for r in rows if r["source"] == "infomax"]}  # fmt: skip
    out.section("How they are judged").text(RULE + " The theory study judges its own, by bounds of known truth.")
    for heading, some in parts.items():
        if some:
            out.section(heading).table(
                [
                    claim_row(r) | {"study": r["study"], "on": r.get("on", ""), "command": f"`{r['command']}`"}
                    for r in some
                ]
            )
    return with_settings(out, results)
