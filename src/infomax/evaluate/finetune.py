"""Fine-tuning: the encoder itself learns the labels, from where the run left it.

A copy of the encoder and a linear head are trained together by AdamW (cosine, no warm-up): of images on a random crop (8 to
100 % of the area), mirrored as often as the run's own views are, since a mirrored 2 is no digit; of anything else on the
samples themselves. The rate of the encoder is chosen on
a held-out fifth of train, once; then the training is repeated on all of train with other seeds, and each looks at the test set
once. The head, which starts from zero, takes ten times the encoder's rate.
"""

import copy
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from infomax.data import Dataset, Graph, gather
from infomax.encoders.width import width_of
from infomax.errors import ConfigError
from infomax.evaluate.probe import stratified
from infomax.evaluate.protocols import SEEDS, spread_of
from infomax.heads import copied
from infomax.progress import meter
from infomax.training.defaults import standardises, view_size
from infomax.views import ImageView, Views
from infomax.views.signal import standardised
from infomax.words import many

if TYPE_CHECKING:
    from infomax.training.run import Run

RATES, EPOCHS, BATCH = (1e-4, 1e-3), 10, 128
UPDATES, SMALLEST = 16, 8  # an epoch of few labels has no fewer updates, of batches no smaller
HEAD = 10.0  # times the encoder's rate


def finetuned(
    run: "Run",
    train: Dataset,
    fit: Tensor,
    test: Dataset,
    held: Tensor,
    *,
    size: int | None = None,
    seed: int = 0,
    epochs: int = EPOCHS,
    progress: bool = False,
) -> dict[str, Any]:
    """Accuracy of the fine-tuned encoder over seeds.

    Args:
        run: whose encoder is copied; it stays as it is.
        train: labelled data; `fit`, the rows of it to learn from.
        test: labelled data (it may be the same); `held`, the rows of it to be tried on.
        size: side of the views in pixels.
        seed: of the split, and the first one of the repetitions.
        epochs: passes over the rows to learn from.
        progress: show a bar of the epochs of all trainings.

    Returns:
        `finetune`: mean, sd, n (seeds), `rate`, `epochs`, what the encoder was shown (`views`), and the accuracies of
            the choice, `held_out`.

    Raises:
        ConfigError: a graph, whose nodes cannot be cut into batches.
    """
    check(train)
    assert train.labels is not None and test.labels is not None
    classes = torch.unique(train.labels[fit])
    asked = run.config["data"]
    data = copy.copy(train)
    data.mean, data.std = tuple(asked["mean"]), tuple(asked["std"])
    seen, views = shown(data, size, mirrored(run.config["views"]["made"]))
    apart = stratified(train.labels[fit], 0.2, seed)

    def accuracy(encoder: nn.Module, head: nn.Linear, part: Dataset, rows: Tensor) -> float:
        from infomax.evaluate.features import features

        assert part.labels is not None
        some = Dataset(gather(part.images, rows), mean=data.mean, std=data.std, name=part.name)
        with torch.no_grad():
            named = head(features(encoder, some, size, progress=False).to(head.weight)).argmax(1).cpu()
        return float((classes[named] == part.labels[rows]).double().mean())

    def learnt(rows: Tensor, rate: float, seed: int) -> tuple[nn.Module, nn.Linear]:
        assert train.labels is not None
        encoder = copied(run.learner.encoder).float().train().requires_grad_(True)
        device = next(encoder.parameters()).device
        head = nn.Linear(width_of(encoder), len(classes)).to(device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        groups = [{"params": encoder.parameters(), "lr": rate}, {"params": head.parameters(), "lr": HEAD * rate}]
        optimizer = torch.optim.AdamW(groups, weight_decay=1e-4)
        batch = min(BATCH, max(SMALLEST, len(rows) // UPDATES), len(rows))
        steps, rng = epochs * (len(rows) // batch), torch.Generator().manual_seed(seed)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5 + 0.5 * math.cos(math.pi * t / steps))
        for epoch in range(epochs):
            order = rows[torch.randperm(len(rows), generator=rng)]
            for index in torch.split(order, batch)[: len(rows) // batch]:
                view = views(gather(train.images, index), index, seed, epoch).to(device, torch.float32)
                truth = torch.searchsorted(classes, train.labels[index]).to(device)
                loss = F.cross_entropy(head(encoder(view)), truth)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
            bar.update()
        return encoder, head

    def reached(learn: Tensor, rate: float, seed: int, part: Dataset, rows: Tensor) -> float:
        # what the encoder draws itself, as by dropout, hangs on the seed, and what the caller draws next does not
        drawn = torch.random.fork_rng(range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ())  # type: ignore[no-untyped-call]
        with drawn:
            torch.manual_seed(seed)
            return accuracy(*learnt(learn, rate, seed), part, rows)

    every = epochs * (len(RATES) + SEEDS)
    with meter(total=every, desc="finetune", unit="epoch", delay=2, leave=False, disable=not progress) as bar:
        chosen = {rate: reached(fit[~apart], rate, seed, train, fit[apart]) for rate in RATES}
        rate = max(chosen, key=lambda r: (chosen[r], -r))
        found = spread_of([reached(fit, rate, seed + k, test, held) for k in range(SEEDS)])
    return {
        "finetune": found
        | {"rate": rate, "epochs": epochs, "views": seen, "held_out": {str(r): a for r, a in chosen.items()}}
    }


def mirrored(made: str) -> float:
    """How often the views of a run are mirrored, by what its configuration says of them; 0 of a function, which does not say.

    Example:
        >>> mirrored(repr(Views((ImageView(size=8, flip=0.5),)))), mirrored("mine.views")
        (0.5, 0.0)
    """
    return max((float(chance) for chance in re.findall(r"\bflip=([\d.e-]+)", made)), default=0.0)


def shown(
    data: Dataset, size: int | None = None, flip: float = 0.0
) -> tuple[str, Callable[[Any, Tensor, int, int], Tensor]]:
    """What the encoder learns from: in words, and as a function (batch, index, seed, epoch) -> one view of each sample.

    Brought to mean 0 and standard deviation 1 as the frozen encoder's features are.

    Args:
        data: of which kind, and with which statistics.
        size: side of image views in pixels.
        flip: how often an image is mirrored.

    Example:
        >>> words, views = shown(Dataset(torch.ones(3, 2)))
        >>> words, views(torch.ones(3, 2), torch.arange(3), 0, 0).shape
        ('the samples themselves', torch.Size([3, 2]))
    """
    if data.is_images:
        made = Views((ImageView(size=view_size(data, size), flip=flip),), data.mean, data.std)
        words = "random crops and flips" if flip else "random crops"
        return words, lambda batch, index, seed, epoch: made(batch, index, seed=seed, epoch=epoch)[0]
    scaled = standardises(data)
    return "the samples themselves", lambda x, *_: standardised(x, data.mean, data.std) if scaled else x


def check(data: Dataset) -> None:
    """Refuse data that cannot be fine-tuned on.

    Raises:
        ConfigError: a graph, whose nodes cannot be cut into batches.
    """
    if isinstance(data, Graph):
        raise ConfigError(f"fine-tuning takes batches of samples, and {data.name!r} is a graph: leave --finetune out")


def line(found: Mapping[str, Any]) -> str:
    """For a terminal."""
    f = found["finetune"]
    return (
        f"fine-tuned      {f['mean']:.2f} % +- {f['sd']:.2f} (sd of {many(f['n'], 'seed')}), "
        f"{many(f['epochs'], 'epoch')} of {f['views']}, rate {f['rate']:g}"
    )
