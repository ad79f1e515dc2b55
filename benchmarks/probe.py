"""Linear probes of 50,000 x 512 features: twelve learning rates at once, and scikit-learn's converged logistic regression.

    python benchmarks/probe.py [--json probe.json]

Features: ten classes, class means of a power-law spectrum plus noise of the same, through a ReLU (non-negative and
correlated, as pooled features of a ResNet are); 10,000 more for the test. Seconds by the clock, threads as torch has them.
"""

import argparse
import json
import time

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from infomax.evaluate.probe import linear_probe
from infomax.evaluate.sgd import sgd_probe


def features(n, width=512, classes=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    spectrum = torch.arange(1, width + 1) ** -0.5
    mixing = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q
    means = torch.randn(classes, width, generator=generator) * spectrum * 0.16
    labels = torch.randint(classes, (n,), generator=generator)
    x = (means[labels] + torch.randn(n, width, generator=generator) * spectrum) @ mixing
    return torch.relu(x + 0.05), labels


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--json")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--n", type=int, default=50_000)
    asked = parser.parse_args()
    rows = []
    for seed in range(asked.seeds):
        x, y = features(asked.n + 10_000, seed=seed)
        train, test = (x[: asked.n], y[: asked.n]), (x[asked.n :], y[asked.n :])
        row = {"seed": seed, "threads": torch.get_num_threads()}
        for name, probe in {"sgd, 12 rates": sgd_probe, "l-bfgs, 7 penalties": linear_probe}.items():
            start, cpu = time.perf_counter(), time.process_time()
            found = probe(*train, *test)
            row[name] = {"accuracy": 100 * found.accuracy, "chosen": found.penalty}
            row[name] |= {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}
        start, cpu = time.perf_counter(), time.process_time()
        scaler = StandardScaler().fit(train[0].numpy())
        known = LogisticRegression(C=1.0, max_iter=2000, tol=1e-5).fit(
            scaler.transform(train[0].numpy()), train[1].numpy()
        )
        row["scikit-learn, C=1"] = {
            "accuracy": 100 * known.score(scaler.transform(test[0].numpy()), test[1].numpy()),
            "iterations": int(known.n_iter_.max()),
            "seconds": time.perf_counter() - start,
            "cpu_seconds": time.process_time() - cpu,
        }
        rows.append(row)
        print(json.dumps(row))
    if asked.json:
        with open(asked.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
