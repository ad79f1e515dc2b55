"""Linear probes of 50,000 x 512 features: twelve learning rates at once, seven penalties, and scikit-learn's regression.

    python benchmarks/probe.py --seeds 3 --json benchmarks/results/probe.json
    python benchmarks/probe.py --seeds 1 --rows 4000 --tests 4000  # half a minute

Two questions, of features that a seed makes. Is our L-BFGS at one penalty what scikit-learn finds (C = 1 / (penalty x rows))?
Asked at its own C = 1, and at the penalty that ours chose. Are our sweeps as good as scikit-learn with its C chosen from the
same seven penalties, on the same held-out fifth? All are refitted on all rows, and judged on the same test rows.

Features: ten classes, class means of a power-law spectrum plus noise of the same, through a ReLU (non-negative and
correlated, as pooled features of a ResNet are). Seconds by the clock, threads as torch and BLAS have them. scikit-learn
converges to --tol, and where --max-iter stopped it is said; its sweep goes from the strongest penalty down, each fit from
the last, as ours does.
"""

import argparse
import json
import statistics
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import torch
from origin import origin
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from infomax.evaluate.probe import PENALTIES, fit_probe, linear_probe, stratified
from infomax.evaluate.sgd import sgd_probe

AIM_SECONDS, AIM_POINTS = 20.0, 0.2
SGD, LBFGS, SKLEARN = "SGD, 12 rates", "L-BFGS, 7 penalties", "scikit-learn, 7 penalties"


def features(n, width=512, classes=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.arange(1, width + 1) ** -0.5
    mixing = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    means = torch.randn(classes, width, generator=generator) * spectrum * 0.16
    labels = torch.randint(classes, (n,), generator=generator)
    x = (means[labels] + torch.randn(n, width, generator=generator) * spectrum) @ mixing
    return torch.relu(x + 0.05), labels


class Known:
    """scikit-learn's logistic regression of standardised rows, by the penalty of ours."""

    def __init__(self, x, y, asked):
        self.scaler, self.n, self.most = StandardScaler().fit(x.numpy()), len(x), asked.max_iter
        self.x, self.y = self.scaler.transform(x.numpy()), y.numpy()
        self.model = LogisticRegression(tol=asked.tol, max_iter=asked.max_iter, warm_start=True)

    def fit(self, penalty):
        self.model.C = 1 / (penalty * self.n)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it did not converge is told by `stopped`
            self.model.fit(self.x, self.y)
        return self

    def named(self, x):
        return torch.from_numpy(self.model.predict(self.scaler.transform(x.numpy())))

    @property
    def iterations(self):
        return int(self.model.n_iter_.max())

    @property
    def stopped(self):
        return self.iterations >= self.most


def percent(named, truth):
    return 100 * (named == truth).double().mean().item()


def timed(function):
    """What it gives, with the seconds that it took."""
    start, cpu = time.perf_counter(), time.process_time()
    found = function()
    return found, {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}


def same_penalty(penalty, train, test, asked):
    """Both at one penalty: accuracies, their difference, and the share of test rows that both name alike."""
    ours, our_time = timed(lambda: fit_probe(*train, penalty=penalty))
    known, known_time = timed(lambda: Known(*train, asked).fit(penalty))
    mine, theirs = ours.predict(test[0]), known.named(test[0])
    found = {"penalty": penalty, "infomax": percent(mine, test[1]), "scikit-learn": percent(theirs, test[1])}
    found |= {"difference": found["infomax"] - found["scikit-learn"], "named_alike": percent(mine, theirs)}
    return found | {
        "seconds": {"infomax": our_time["seconds"], "scikit-learn": known_time["seconds"]},
        "iterations": known.iterations,
        "stopped": known.stopped,
    }


def sklearn_sweep(train, test, asked):
    """The C of scikit-learn chosen as `linear_probe` chooses its penalty, on the same held-out rows."""
    (x, y), apart = train, stratified(train[1], 0.2, 0)
    known, tried, stopped = Known(x[~apart], y[~apart], asked), {}, []
    for penalty in sorted(PENALTIES, reverse=True):
        tried[penalty] = percent(known.fit(penalty).named(x[apart]), y[apart])
        stopped += [penalty] if known.stopped else []
    best = max(tried, key=lambda penalty: (tried[penalty], penalty))
    final = Known(x, y, asked).fit(best)
    return percent(final.named(test[0]), test[1]), best, tried, stopped + ["the last"] * final.stopped


def measure(seed, asked):
    x, y = features(asked.rows + asked.tests, seed=seed)
    train, test = (x[: asked.rows], y[: asked.rows]), (x[asked.rows :], y[asked.rows :])
    row = {"seed": seed, "sweeps": {}}
    for name, probe in {SGD: sgd_probe, LBFGS: linear_probe}.items():
        found, took = timed(lambda probe=probe: probe(*train, *test))
        held = {str(k): 100 * v for k, v in found.held_out.items()}
        row["sweeps"][name] = {"accuracy": 100 * found.accuracy, "chosen": found.penalty, "held_out": held} | took
    (accuracy, best, tried, stopped), took = timed(lambda: sklearn_sweep(train, test, asked))
    held = {str(k): v for k, v in tried.items()}
    row["sweeps"][SKLEARN] = {"accuracy": accuracy, "chosen": best, "held_out": held, "stopped": stopped} | took
    penalties = {"C = 1": 1 / asked.rows, "chosen": row["sweeps"][LBFGS]["chosen"]}
    row["same_penalty"] = {name: same_penalty(penalty, train, test, asked) for name, penalty in penalties.items()}
    return row


def spread(values, digits=2):
    several = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.{digits}f}{several}"


def table(rows):
    """Means and deviations over the seeds, and the largest difference of any."""
    lines = ["| sweep | seconds | accuracy | minus scikit-learn's | chosen |", "|---|---|---|---|---|"]
    known = [row["sweeps"][SKLEARN]["accuracy"] for row in rows]
    for name in (SGD, LBFGS, SKLEARN):
        found = [row["sweeps"][name] for row in rows]
        apart = [one["accuracy"] - base for one, base in zip(found, known, strict=True)]
        chosen = ", ".join(dict.fromkeys(f"{one['chosen']:.2g}" for one in found))
        behind = "" if name == SKLEARN else spread(apart)
        seconds = spread([one["seconds"] for one in found], 1)
        lines.append(f"| {name} | {seconds} | {spread([one['accuracy'] for one in found])} | {behind} | {chosen} |")
        if any(one.get("stopped") for one in found):
            lines.append(f"(--max-iter stopped scikit-learn at {[one['stopped'] for one in found]})")
    lines += ["", "| one penalty | infomax | scikit-learn | difference | named alike |", "|---|---|---|---|---|"]
    for name in rows[0]["same_penalty"]:
        found = [row["same_penalty"][name] for row in rows]
        cells = (
            spread([one[key] for one in found]) for key in ("infomax", "scikit-learn", "difference", "named_alike")
        )
        lines.append(f"| {name} | {' | '.join(cells)} % |")
    widest = max(abs(one["difference"]) for row in rows for one in row["same_penalty"].values())
    behind = max(
        base - row["sweeps"][name]["accuracy"] for row, base in zip(rows, known, strict=True) for name in (SGD, LBFGS)
    )
    slowest = max(row["sweeps"][SGD]["seconds"] for row in rows)
    lines += [
        "",
        f"at one penalty at most {widest:.2f} points apart (aim {AIM_POINTS}); a sweep of ours at most {max(behind, 0):.2f} "
        f"points behind (aim {AIM_POINTS}); the sweep of 12 rates took at most {slowest:.1f} s "
        f"(aim {AIM_SECONDS:g} on two cores)",
    ]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="data sets, each made anew; their spread is printed")
    parser.add_argument("--rows", type=int, default=50_000, help="of train")
    parser.add_argument("--tests", type=int, default=10_000, help="rows to judge on")
    parser.add_argument("--tol", type=float, default=1e-5, help="of scikit-learn: the largest gradient where it ends")
    parser.add_argument("--max-iter", type=int, default=1000, help="of scikit-learn, a fit")
    parser.add_argument("--json", type=Path, help="write the figures here, after every seed")
    asked = parser.parse_args()
    settings = {k: v for k, v in vars(asked).items() if k != "json"}
    about = origin() | {"scikit-learn": version("scikit-learn"), "settings": settings}
    rows = []
    for seed in range(asked.seeds):
        rows.append(measure(seed, asked))
        print(json.dumps(rows[-1]), flush=True)
        if asked.json:
            asked.json.parent.mkdir(parents=True, exist_ok=True)
            asked.json.write_text(json.dumps(about | {"rows": rows}, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
