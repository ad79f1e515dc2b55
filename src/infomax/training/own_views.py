"""What the first views by a function of the user's show: their side, and whether they are normalised as whole images are.

Where a pixel x of a channel becomes (x - m) / s, with the data's own m and s as `evaluate`, `embed` and `export` have them,
views have about mean 0 and standard deviation 1, as far as augmentation leaves them so. It may brighten: of pale pictures the
mean then goes to 4 and the deviation to 17, by the package's own recipes; it may grey and blur: the deviation stays above .6.
But no x leaves [0, 1], so no view leaves [-m / s, (1 - m) / s]. Without any normalisation the deviation is below 1/2, as that
of what lies in [0, 1] is; by a mean and deviation far from the data's it is so, too, or views leave that range.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from infomax.errors import ConfigError, warn
from infomax.parallel import rank
from infomax.training.defaults import view_size
from infomax.training.prepare import Job
from infomax.views import Views

FAR, FLAT, WIDE = 0.5, 0.5, 2.0
"""Means beyond which, and deviations below and above which, a channel of views does not look normalised."""
FEW = 16
"""Samples below which neither can be told."""


def side_of(views: Sequence[Any]) -> int | None:
    """Side in pixels of square images N x C x H x W, of several crops that of the largest; None of anything else.

    Example:
        >>> import torch
        >>> side_of([torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 16, 16)]), side_of([torch.zeros(2, 3, 32, 24)] * 2)
        (32, None)
    """
    shapes = [tuple(view.shape) if isinstance(view, Tensor) else () for view in views]
    if any(len(shape) != 4 or shape[2] != shape[3] for shape in shapes):
        return None
    return max(shape[3] for shape in shapes)


def looked_at(job: Job, views: Sequence[Any], *, begins: bool) -> None:
    """Look at the first views by a function of the user's, of images: note their side, and warn of other normalisation.

    At that side whole images are seen later. A run that goes on keeps what it knows, but for what runs of before noted, which
    was the side of the images.

    Args:
        job: the run; one whose views are the package's own by name is left as it is.
        views: the first that were made.
        begins: the run does, rather than goes on.

    Raises:
        ConfigError: where it begins and another size was asked for.
    """
    data = job.feed.data
    if not job.run.config["views"]["own"] or not data.is_images:
        return
    _note_side(job, views, begins)
    if begins and rank() == 0 and (said := unlike(views, data.mean, data.std)):
        own = f"{_rounded(data.mean)}, {_rounded(data.std)}"
        what = f"give Views(..., {own})" if isinstance(job.feed.views, Views) else f"let them end in Normalize({own})"
        warn(f"{name_of(job.feed.views)} {said}: {what}")


def _note_side(job: Job, views: Sequence[Any], begins: bool) -> None:
    asked, data = job.run.config["views"], job.feed.data
    if (side := side_of(views)) is None:
        return
    wanted, known = job.options.size, asked["size"]
    if begins and wanted not in (None, side):
        raise ConfigError(
            f"size={wanted}, but {name_of(job.feed.views)} makes views of {side} px: leave size out, or have it make views of "
            f"{wanted} px"
        )
    if not begins and known not in (side, view_size(data, wanted)):
        if rank() == 0:
            warn(
                f"{name_of(job.feed.views)} makes views of {side} px, and those of {job.run.path} were of {known} px when it "
                f"was begun: whole images are seen at {known} px as then"
            )
        return
    job.run.note_size(side)


@torch.no_grad()
def unlike(views: Sequence[Any], mean: Sequence[float], std: Sequence[float]) -> str | None:
    """What is said of views of images that are not normalised as whole images are; None where they may be.

    Args:
        views: of several samples.
        mean, std: of each channel of the data, images on the [0, 1] scale.

    Example:
        >>> x = torch.rand(64, 1, 8, 8)
        >>> unlike([(x - 0.5) / 0.29] * 2, (0.5,), (0.29,))
        >>> print(unlike([x / 2] * 2, (0.5,), (0.29,)))
        makes views of mean 0.25 and standard deviation 0.1... a channel, but evaluate, ... it learns from
    """
    told = [view for view in views if isinstance(view, Tensor) and view.ndim == 4 and view.is_floating_point()]
    if len(told) < len(views) or any(view.shape[1] != len(mean) or len(view) < FEW for view in told):
        return None
    own, spread = (torch.tensor(tuple(value), dtype=torch.float64) for value in (mean, std))
    sums = [torch.var_mean(view.float(), (0, 2, 3), correction=0) for view in told]
    seen = torch.stack([torch.stack((m, v + m * m)) for v, m in sums]).double().mean(0).cpu()
    means, deviations = seen[0], (seen[1] - seen[0].square()).clamp(min=0).sqrt()
    low = torch.stack([view.amin((0, 2, 3)) for view in told]).amin(0).double().cpu()
    high = torch.stack([view.amax((0, 2, 3)) for view in told]).amax(0).double().cpu()
    least, most = -own / spread, (1 - own) / spread
    near = 0.02 * (most - least)
    outside = (low < least - near) | (high > most + near)
    odd = (deviations < FLAT) | (outside & ((means.abs() > FAR) | (deviations > WIDE)))
    odd &= spread <= 0.5  # larger is none of numbers in [0, 1]: of a channel that never varies, or said by the user
    if not odd.any():
        return None
    return (
        f"makes views of mean {_listed(means)} and standard deviation {_listed(deviations)} a channel, but evaluate, embed and "
        "export normalise images by the data's own, to 0 and 1, so the encoder would see other inputs than it learns from"
    )


def _listed(numbers: Tensor) -> str:
    return ", ".join(f"{number:.2f}" for number in numbers.tolist())


def _rounded(numbers: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(number, 4) for number in numbers)


def name_of(views: Any) -> str:
    """What a function of views is called in a message.

    Example:
        >>> name_of(name_of)
        'views=name_of'
    """
    return f"views={getattr(views, '__name__', type(views).__name__)}"
