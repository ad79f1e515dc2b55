"""Frozen features: a module applied to many samples in batches, in evaluation mode."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset, Graph
from infomax.data.encoded import Encoded
from infomax.errors import ConfigError, DataError, NumericsError
from infomax.heap import keep_freed
from infomax.modes import resting
from infomax.progress import meter
from infomax.training.defaults import auto_views, standardises, view_function, view_size
from infomax.training.feed import Feed, ViewFunction
from infomax.training.watch.monitor import BLOCK
from infomax.views import RECIPES, Views, recipe
from infomax.views.signal import standardised
from infomax.words import many, shortened

if TYPE_CHECKING:
    from infomax.training.run import Run


STRIDE = 8
"""Sides of enlarged whole images are multiples of this: what most encoders of small images divide by on their way."""

Config = Mapping[str, Any]
"""What a run was asked, as its folder holds it."""

Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and std of each channel, images on the [0, 1] scale."""


@torch.no_grad()
def encode(
    module: nn.Module,
    images: Tensor | list[Tensor] | Encoded,
    *,
    batch: int = 256,
    views: Callable[[Any], Tensor] | Views | None = None,
    progress: bool = True,
) -> Tensor:
    """Encode every image: in evaluation mode, without gradients, on the module's own device.

    The mode of every submodule is restored afterwards, including frozen ones.

    Args:
        module: maps a batch to `B ...`; all dimensions after the batch are flattened.
        images: N ..., anything that `views` or the module takes; or a list of N images of different sizes, which
            `views` brings to one size.
        batch: images at a time.
        views: applied to each batch where the images are, before it goes to the module's device; resizing and
            normalisation only, no augmentation: `infomax.views.recipe("none", size=..., mean=..., std=...)`, or a
            function.
        progress: show a progress bar once it has taken two seconds.

    Returns:
        N D, on the CPU.

    Raises:
        ConfigError: `batch` below 1, a list without `views`, or a module that does not return a tensor.
        DataError: no images, or something else, such as a whole data set.
        NumericsError: NaN or infinity in the features.

    Example:
        >>> encode(nn.Flatten(), torch.zeros(10, 1, 8, 8, dtype=torch.uint8), views=lambda x: x / 255, batch=4).shape
        torch.Size([10, 64])
    """
    if batch < 1:
        raise ConfigError(f"encode: batch must be at least 1, got {batch}")
    given: Any = images
    if not isinstance(given, Tensor | list | Encoded):
        inside = "its .images, or all of it" if isinstance(given, Dataset) else "all of it"
        raise DataError(
            f"encode: images of type {type(given).__name__}: give a tensor of N; of a data set {inside} to "
            "infomax.Run.of(encoder, data).embed(data)"
        )
    if len(images) == 0:
        raise DataError(f"encode: there is no image to embed in {_described(images)}")
    if views is None and isinstance(images, list):
        raise ConfigError(
            f"encode: {len(images)} images in a list may differ in size: give views that bring them to one"
        )
    if isinstance(images, list) and not isinstance(images[0], Tensor):
        raise DataError(
            f"encode: a list of {type(images[0]).__name__}: give tensors; of pictures infomax.data.load(the list).images"
        )
    view = _whole(views) if isinstance(views, Views) else views

    weight = next((p for p in module.parameters() if p.is_floating_point()), None)
    device = images[0].device if weight is None else weight.device
    if device.type == "cpu":
        keep_freed()
    parts = []
    with resting(module):
        starts = range(0, len(images), batch)
        for start in meter(starts, desc="encode", unit="batch", delay=2, leave=False, disable=not progress):
            block: Any = images[start : start + batch]
            seen: Tensor = block if view is None else view(block)
            dtype = weight.dtype if weight is not None and seen.is_floating_point() else None
            try:
                z = module(seen.to(device, dtype, non_blocking=True))
            except RuntimeError as error:
                if view is not None or seen.dtype != torch.uint8:
                    raise
                raise ConfigError(
                    f"encode: {type(module).__name__} cannot take images of shape {tuple(seen.shape)} in bytes: give views, "
                    "such as infomax.views.recipe('none', size=32, mean=..., std=...)"
                ) from error
            if not isinstance(z, Tensor):
                raise ConfigError(
                    f"encode: {type(module).__name__} gives a {type(z).__name__}: give a module that gives N x D"
                )
            parts.append((z.float() if z.dtype == torch.bfloat16 else z).flatten(1).cpu())
    features = torch.cat(parts)
    if not torch.isfinite(features).all():
        bad = int((~torch.isfinite(features)).any(1).sum())
        raise NumericsError(f"encode: NaN or infinity in the features of {bad} of {len(features)} images")
    return features


def _whole(views: Views) -> Callable[[Any], Tensor]:
    """A recipe that draws nothing, as a function of the images alone.

    Raises:
        ConfigError: a recipe that draws.
    """
    if drawn := next((one for one in views.specs if one.scale is not None or one.flip), None):
        raise ConfigError(
            f"encode: views that are drawn ({drawn}): give recipe('none', ...), which shows the whole image"
        )
    return lambda images: views(images, torch.arange(len(images)))[0]


def run_size(config: Config) -> int | None:
    """Side in pixels of the views that a run was trained on."""
    views, asked = config["views"], config["training"].get("size")
    size: int | None = views.get("size", asked)
    return size


def unseen(config: Config) -> str | None:
    """Why no views can be made as a run's were; None where they can."""
    asked = config["views"]
    if asked["recipe"] is not None:
        return None
    if asked["own"] is None:
        return "it was trained elsewhere, by views that are not known"
    return f"its views were a function, {shortened(asked['own'])}, which no folder holds"


def views_of(config: Config, data: Dataset) -> ViewFunction:
    """The views of some data, made as a run's were.

    Raises:
        ConfigError: where they were a function of the user's.
    """
    if why_not := unseen(config):
        raise ConfigError(why_not)
    return view_function(data, config["views"]["recipe"], run_size(config), config["training"].get("local_views"))


def feed_of(run: "Run", data: Dataset) -> Feed:
    """The views of some data as a run was fed with its own: with the statistics and the seed of training.

    Raises:
        ConfigError: where its views were a function of the user's.
    """
    asked, data = run.config, copy.copy(data)
    data.mean, data.std = tuple(asked["data"]["mean"]), tuple(asked["data"]["std"])
    some = next(run.learner.f.parameters(), torch.empty(0))  # predictors may be of another type
    return Feed(data, views_of(asked, data), min(BLOCK, len(data)), asked["training"]["seed"], some.device, some.dtype)


def whole_size(run: "Run", data: Dataset) -> int | None:
    r"""Side in pixels at which objects in whole images appear about as large as in a run's views.

    A crop that holds a share s of an image, resized to S pixels, shows objects $1/\sqrt s$ times as large as the whole
    image at S pixels would. So whole images are shown at
    $$ S \cdot E\,[1 / \sqrt s] = 2 S / (\sqrt a + \sqrt b), \qquad s \sim U(a, b), $$
    rounded to a multiple of 8 (strided convolutions do worse at odd sides), at most at their own side (96 for large
    images), and at least at S. If the views are as large as the images, or are not a recipe of crops, nothing changes.

    Args:
        run: a run with its configuration.
        data: the data to be encoded.

    Source: Touvron et al. 2019, FixRes (arXiv:1906.06423, section 3), there for supervised training.
    """
    side, name = run_size(run.config), run.config["views"]["recipe"]
    if side is None or not data.is_images:
        return side
    name = auto_views(data) if name == "auto" else name
    crop = RECIPES[name](side, None)[0].scale if name in RECIPES else None
    if crop is None:
        return side
    wanted = 2 * side / (math.sqrt(crop[0]) + math.sqrt(crop[1]))
    return max(side, STRIDE * min(round(wanted / STRIDE), view_size(data) // STRIDE))


def features(
    encoder: nn.Module,
    data: Dataset,
    size: int | None = None,
    *,
    statistics: Statistics | None = None,
    progress: bool = True,
) -> Tensor:
    """Features of every sample, in evaluation mode: the whole image, resized and normalised; N x width.

    Args:
        encoder: view -> features.
        data: what to encode.
        size: side of the images in pixels.
        statistics: mean and std of each channel that the encoder was trained with; by default those of `data`.
        progress: show a bar over two seconds.
    """
    weight = next((p for p in encoder.parameters() if p.is_floating_point()), torch.empty(0))
    device = weight.device
    if isinstance(data, Graph):
        with resting(encoder), torch.no_grad():
            z: Tensor = encoder((data.x.to(weight), data.edge_index.to(device)))
        return (z.float() if z.dtype == torch.bfloat16 else z).cpu()
    if not standardises(data):
        return encode(encoder, data.images, progress=progress)
    mean, std = statistics or (data.mean, data.std)
    if not data.is_images:
        return encode(encoder, data.images, progress=progress, views=lambda x: standardised(x, mean, std))
    whole = recipe("none", size=view_size(data, size), mean=mean, std=std)

    def view(images: Any) -> Tensor:
        return whole(images, torch.arange(len(images)))[0].to(device, memory_format=torch.channels_last)

    return encode(encoder, data.images, progress=progress, views=view)


def fits(run: "Run", data: Dataset, size: int | None = None) -> int | None:
    """See that a run's encoder can take some data, by two samples of it, before all are encoded, and at which size.

    Args:
        run: with its learner.
        data: what is to be encoded.
        size: side in pixels of whole images; None: `whole_size`, or that of the run's views where the encoder takes no other.

    Returns:
        The side of whole images; None where there are none.

    Raises:
        DataError: naming both kinds of data, where it cannot. ConfigError: a size below 1, or of what has none.
    """
    asked = run.config["data"]
    if isinstance(data, Graph):
        what = many(data.channels, "feature") + " a node of a graph"
    else:
        what = many(data.channels, "channel" if data.is_images or data.is_signals else "dimension")
    if size is not None and not data.is_images:
        raise ConfigError(f"size={size} of {data.name!r} ({what}): only images are brought to a size; leave it out")
    cannot = f"an encoder trained on {asked['name']!r} cannot take {data.name!r} ({what})"
    if len(asked["mean"]) != data.channels:
        raise DataError(f"{cannot}: it was trained on {_trained_on(asked)}")
    some = data if isinstance(data, Graph) else Dataset(data.images[:2], mean=data.mean, std=data.std)
    own = run_size(run.config)
    side = whole_size(run, data) if size is None else view_size(data, size)
    seen, mend = _tried(run.learner.encoder, some, own), ""
    if side != own:
        larger = _tried(run.learner.encoder, some, side)
        if isinstance(larger, Tensor) and (isinstance(seen, Exception) or larger.shape == seen.shape):
            return side
        if size is not None and isinstance(larger, Tensor) and isinstance(seen, Tensor):
            widths = f"{larger.shape[1]} features in place of {seen.shape[1]}"
            raise DataError(f"{cannot} at {size} pixels: it gives {widths}")
        if size is not None:
            mend = f"; leave size out, and it sees {own} pixels" if isinstance(seen, Tensor) else ""
            seen, cannot = larger, f"{cannot} at {size} pixels"
    if isinstance(seen, Exception):
        raise DataError(f"{cannot}: {(str(seen) or type(seen).__name__).splitlines()[0]}{mend}") from seen
    return own


def _trained_on(asked: Mapping[str, Any]) -> str:
    """Which shape a run's data had, and how others of its kind are given."""
    n, kind = len(asked["mean"]), asked.get("kind")
    if kind == "signals":
        return f"{many(n, 'channel')}. Give signals N x {n} x L; one signal x, {n} x L, as x[None]"
    if kind in ("rows", "nodes"):
        return f"{many(n, 'dimension' if kind == 'rows' else 'feature')}. Give N x {n}"
    return f"{many(n, 'channel')}. Give data of its own kind"


def _tried(encoder: nn.Module, some: Dataset, side: int | None) -> Tensor | Exception:
    """The features of samples at a size, or what the encoder raises at it."""
    try:
        return features(encoder, some, side, progress=False)
    except NumericsError:  # of weights that are no numbers: at any size
        raise
    except Exception as error:  # an encoder of the user's may say anything; one of torchvision's asserts
        return error


def _described(images: Tensor | list[Tensor] | Encoded) -> str:
    return f"a tensor of shape {tuple(images.shape)}" if isinstance(images, Tensor) else "an empty list"
