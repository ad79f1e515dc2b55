"""The linear probe of the encoders that kept runs of figs. 2 and 7 began with: `python docs/tools/untrained.py [DATA.npz]`.

Nothing is trained: every run of a seed begins with the same encoder, which is made again and probed. Studies of now keep it
themselves (`linear_untrained`); those that were run before get it here, of their own data set if it is given as a file.
"""

import json
import sys
from pathlib import Path

from infomax.studies.curves.train import some_of, untrained_probe
from infomax.studies.tables.printed import label_of
from infomax.training.defaults import dataset

ROOT = Path(__file__).parents[2]


def main(given: list[str]) -> None:
    """Fill in the results of every data set that can be read."""
    known = {label_of(path): path for path in given} | {"digits": "digits"}
    for file in sorted(file for name in ("fig2", "fig7") for file in (ROOT / "results").glob(f"{name}-*.json")):
        text = file.read_text("utf-8")
        found = json.loads(text)
        s = found["settings"]
        if label_of(s["data"]) not in known or all("linear_untrained" in row for row in found["rows"]):
            continue
        data = some_of(dataset(known[label_of(s["data"])], None), s["samples"])
        probes = {
            seed: untrained_probe(data, s["encoder"], s.get("size"), seed)
            for seed in sorted({row["seed"] for row in found["rows"]})
        }
        for row in found["rows"]:
            row["linear_untrained"] = probes[row["seed"]]
        indent = None if "\n" not in text.strip() else 1
        file.write_text(json.dumps(found, indent=indent) + "\n" * text.endswith("\n"), "utf-8")
        print(file.name, probes)


if __name__ == "__main__":
    main(sys.argv[1:])
