"""The loop: one for every method."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from infomax.clock import Clock
from infomax.errors import ConfigError
from infomax.learner import Learner, step
from infomax.schedule import warmup_cosine
from infomax.training import monitor
from infomax.training.feed import Feed, ViewFunction, dataset, view_function
from infomax.training.optim import OptimizerName, build_optimizer
from infomax.training.run import Run, claim


def train(
    learner: Learner,
    data: Any,
    *,
    views: str | ViewFunction = "auto",
    epochs: int = 100,
    batch_size: int = 256,
    optimizer: OptimizerName = "adamw",
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    warmup_epochs: float | None = None,
    size: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    root: str | None = None,
    device: str = "auto",
    gauge_samples: int = 1000,
    progress: bool = True,
) -> Run:
    """Train a method on unlabeled data.

    Args:
        learner: the method.
        data: name of a data set, path of a folder or array file, a `Dataset` or a tensor.
        views: name of a recipe, `auto`, or a function (batch, index, seed, epoch) -> views.
        epochs: passes over the data; of a two-encoder method an epoch is an E- and an M-pass.
        batch_size: samples a batch; a graph is always one batch.
        optimizer: sgd (momentum 0.9), lars, adam or adamw.
        lr: peak learning rate, at this batch size.
        weight_decay: as the optimizer takes it.
        warmup_epochs: of the learning rate, which then falls by a cosine to 0, at every update; None: a tenth of the run,
            at most 10.
        size: side of the views in pixels; None: that of the images, at most 96.
        seed: of shuffles and views. Weights are drawn when the learner is built.
        out: folder of the run, made anew; None: nothing is written.
        root: where named data sets lie.
        device: cpu, cuda, or auto.
        gauge_samples: samples, with views fixed for the run, off which its gauges are read after every epoch.
        progress: show a bar, with rate and time left.

    Returns:
        The run, its learner trained.

    Raises:
        ConfigError, DataError: what was asked for does not exist or cannot work.
        NumericsError: a NaN or infinity, with its place; the last whole epoch is saved.

    Example:
        >>> import infomax as im
        >>> learner = im.methods.jmi(im.encoders.get("toy"), projector=())
        >>> run = im.train(learner, "gaussians", epochs=1, progress=False)
        >>> sorted(run.history[0])[:3]
        ['bound', 'ceiling_dv', 'ceiling_infonce']
    """
    if epochs < 1:
        raise ConfigError(f"epochs={epochs}: give at least 1")
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    samples = dataset(data, root)
    feed = Feed(samples, view_function(samples, views, size), batch_size, seed, where)
    learner.to(where).to(memory_format=torch.channels_last).train()
    optimiser = build_optimizer(learner.parameters(), optimizer, lr=lr, weight_decay=weight_decay)

    updates = len(list(learner.target.order(len(feed))))
    warmup = min(10.0, epochs / 10) if warmup_epochs is None else warmup_epochs
    asked = {
        "method": learner.recipe,
        "encoder": getattr(learner.encoder, "recipe", {}),
        "data": {"name": samples.name, "samples": len(samples), "root": root, "mean": samples.mean, "std": samples.std},
        "views": views if isinstance(views, str) else repr(views),
        "training": {"epochs": epochs, "batch_size": feed.batch_size, "optimizer": optimizer, "lr": lr}
        | {"weight_decay": weight_decay, "warmup_epochs": warmup, "size": size, "seed": seed, "device": str(where)},
    }
    run = Run(learner, asked, data=samples, path=None if out is None else claim(out))
    run.start()
    try:
        _climb(run, feed, optimiser, epochs, lr, round(warmup * updates), feed.fixed(gauge_samples), progress)
    except BaseException:
        run.abandon()
        raise
    return run


def _climb(
    run: Run,
    feed: Feed,
    optimiser: Optimizer,
    epochs: int,
    lr: float,
    warmup: int,
    watched: list[Any],
    progress: bool,
) -> None:
    learner, target = run.learner, run.learner.target
    updates = len(list(target.order(len(feed))))
    torch.manual_seed(feed.seed)  # for what draws at random while it trains, such as the cuts of a whitening
    collapsed = False
    with tqdm(total=epochs * updates, desc=learner.name, unit="step", disable=not progress, delay=2) as bar:
        for epoch in range(epochs):
            began = time.perf_counter()
            losses: list[Tensor] = []
            bounds: list[Tensor] = []
            for batch, phase in target.order(len(feed)):
                clock = Clock(epoch * updates + len(losses), updates, epochs * updates, phase)
                rate = warmup_cosine(clock.step, clock.total, warmup, lr)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                output = step(learner, feed(target.sweep(epoch, phase), batch), optimiser, clock)
                losses.append(output.loss.detach())
                bounds.append(output.bound.detach())
                bar.update()
            row = {"epoch": epoch + 1, "loss": _mean(losses), "bound": _mean(bounds), "lr": rate}
            row |= {"seconds": time.perf_counter() - began} | monitor.read(learner, watched)
            run.history.append(row)
            run.save()
            bar.set_postfix_str(f"bound {row['bound']:.3f} mi {row['mi_infonce']:.2f} rank {row['effective_rank']:.1f}")
            collapsed = collapsed or monitor.warn_if_collapsed(learner.name, epoch + 1, row)


def _mean(values: list[Tensor]) -> float:
    return float(torch.stack(values).mean())
