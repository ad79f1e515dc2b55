"""The table of docs/mi.md that counts two-sided limits holds the figures of its file."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_counts_of_limits_are_those_of_the_file():
    found = json.loads((ROOT / "benchmarks/results/believed.json").read_text("utf-8"))["rows"]
    page = (ROOT / "docs/mi.md").read_text("utf-8").splitlines()
    for name, of in found.items():
        held = f"{of['cover']} of {of['given']}" if of["given"] else "-"
        line = f"| {name} | {of['truth']:.3f} | {of['given']} of {of['seeds']} | {held} |"
        assert line in page or pytest.fail(f"not in docs/mi.md: {line}")
