"""Gauges of a trained run's embedding, off views made as those it was trained on: MI with intervals, LiDAR, the sphere."""

import os
import shlex
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from infomax.data import Dataset
from infomax.data.order import spread as spread_rows
from infomax.errors import DataError, command
from infomax.evaluate.features import feed_of, unseen
from infomax.evaluate.gauges import alignment, effective_rank, lidar, spectrum, std_per_dimension, uniformity
from infomax.evaluate.numbers import unit
from infomax.modes import resting
from infomax.training.feed import Feed
from infomax.training.watch.monitor import TAU, two_sides
from infomax.training.watch.state import lower_bound

if TYPE_CHECKING:
    from infomax.training.run import Run

SAMPLES, LEAST = 1000, 3
LIDAR_SAMPLES, LIDAR_VIEWS = 300, 10
READINGS = ("dv", "infonce", "jsd_lower", "smile")


def gauges_alone(run: "Run", data: Any) -> str:
    """How to ask for what needs no labels, as the tail of an error; nothing where the gauges of a run cannot be read.

    Args:
        run: that was to be judged.
        data: on what, as it was asked for; None: what it was trained on.
    """
    if unseen(run.config):
        return ""
    source = run.config["data"].get("source") if data is None else data
    if run.path is None or not isinstance(source, str | os.PathLike):
        return ', or ask for gauges alone (protocols="gauges")'
    given = "" if data is None else f" --data {shlex.quote(str(data))}"
    return f", or ask for gauges alone: {command(f'evaluate {shlex.quote(str(run.path))}{given} --protocols gauges')}"


def embedding_gauges(run: "Run", data: Dataset) -> dict[str, Any]:
    """Read the gauges of a run's embedding on up to 1000 samples.

    Args:
        run: with the views that it was trained on known by name.
        data: of the kind that it was trained on.

    Returns:
        `mi`: reading -> value, lo, hi (95 %, nats), ceiling, saturated, kind, n, at the critic cos/0.1 between the two
        branches (f and f where there is one); of f's embedding `alignment`, `uniformity`, `rankme`, `std` (mean, least and
        largest of the dimensions) and `spectrum`, the eigenvalues of its covariance as shares, the first 64; of the encoder's
        features `lidar`, over 10 views of up to 300 samples.

    Raises:
        ConfigError: views that were a function of the user's, which no folder holds. DataError: fewer than 3 samples.
    """
    from infomax.mi.metric import MIMetric

    if len(data) < LEAST:
        raise DataError(
            f"gauges need at least {LEAST} samples, and {data.name!r} has {len(data)}: give more by --data, or leave gauges "
            "out of --protocols"
        )
    feed = feed_of(run, data)
    a, b = two_sides(run.learner, feed.fixed(SAMPLES))
    metric = MIMetric("cosine", tau=TAU, readings=READINGS)
    metric.update(a, b)
    mi = {
        name: {k: getattr(r, k) for k in ("value", "lo", "hi", "ceiling", "saturated", "kind", "n")}
        for name, r in metric.compute().items()
    }
    ours, theirs = (unit(z.float()) for z in (a, b))
    std, values = std_per_dimension(a), spectrum(ours)
    return {
        "mi": mi,
        "alignment": float(alignment(ours, theirs)),
        "uniformity": float(uniformity(ours)),
        "rankme": float(effective_rank(a)),
        "std": {"mean": float(std.mean()), "min": float(std.min()), "max": float(std.max())},
        "spectrum": (values / values.sum().clamp_min(1e-30))[:64].tolist(),
        "lidar": None if feed.whole else float(lidar(_many_views(run, feed, data))),
    }


@torch.no_grad()
def _many_views(run: "Run", feed: Feed, data: Dataset) -> Tensor:
    """Features of several views of some samples: N x Q x D."""
    encoder, rows = run.learner.encoder, spread_rows(data.images, LIDAR_SAMPLES)
    with resting(encoder):
        # sweeps below -1 belong to no epoch, so that these views are none of training's
        seen = [encoder(feed.of(rows, -2 - q)[0]) for q in range(LIDAR_VIEWS)]
    return torch.stack(seen, 1).flatten(2).cpu()


def gauge_lines(found: dict[str, Any]) -> list[str]:
    """The gauges for a terminal."""
    said = []
    for name, r in found["mi"].items():
        full = ", saturated" if r["saturated"] else ""
        reading = f"{r['value']:z.3f} [{r['lo']:.3f}, {r['hi']:.3f}] nats of at most {r['ceiling']:.3g}"
        if r["kind"].startswith("lower bound"):
            reading = lower_bound(r["value"], reading, 3)
        if r["kind"] == "surrogate":
            full += ", neither a lower nor an upper bound"
        said.append(f"MI, {name:10} {reading}, cos/{TAU:g}, N = {r['n']}; {r['kind']}{full}")
    tells = "" if found["lidar"] is None else f", LiDAR of the features {found['lidar']:.1f}"
    return [
        *said,
        f"sphere          alignment {found['alignment']:.3f}, uniformity {found['uniformity']:.2f}, RankMe "
        f"{found['rankme']:.1f}{tells}, std {found['std']['min']:.2f} to {found['std']['max']:.2f} over dimensions",
    ]
