"""Views of a batch: a tuple of `ImageView`s and a normalisation; and the published recipes by name."""

import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from infomax.errors import ConfigError, DataError, nearest
from infomax.views import dense, fused
from infomax.views.image import Images, ImageView, Params, apply, as_images, check_values, draw, sides


@dataclass(frozen=True)
class Views:
    """Several views of each image: one `ImageView` per view, then `(x - mean) / std` by channel.

    A recipe of your own is a tuple of `ImageView`s; if their sizes differ (multi-crop), the first ones are the global
    views. Anything with the same call, `(batch, index, seed, epoch) -> list of tensors`, can be used instead.

    Bytes (uint8, one or three channels) on the CPU go through one compiled pass (`infomax.views.fused`). Images of one
    size on an accelerator go through the operations compiled for it (`infomax.views.dense`). Everything else goes
    through eager torch. All agree to 1e-5 before the normalisation.

    Args:
        specs: the augmentation of each view.
        mean: mean of each channel on the [0, 1] scale, or `None` for no normalisation.
        std: standard deviation of each channel on the [0, 1] scale, or `None` for no normalisation.
        dtype: type of the views: float32, or bfloat16 (computed as float32, then rounded to nearest, ties to even).
        fused: whether to use the compiled passes where possible; `False` is eager torch throughout.

    Example:
        >>> mine = Views((ImageView(size=24, flip=0.0), ImageView(size=24, solarize=0.2)), mean=[0.5], std=[0.25])
        >>> images = torch.randint(0, 256, (8, 32, 32, 1), dtype=torch.uint8)
        >>> a, b = mine(images, torch.arange(8), seed=0, epoch=0)
        >>> a.shape
        torch.Size([8, 1, 24, 24])
    """

    specs: tuple[ImageView, ...]
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    dtype: torch.dtype = torch.float32
    fused: bool = True

    def __post_init__(self) -> None:
        if not self.specs:
            raise ConfigError("views without a single ImageView: give at least one")
        if self.dtype not in (torch.float32, torch.bfloat16):
            raise ConfigError(f"views of type {self.dtype}: give torch.float32 or torch.bfloat16")
        if (self.mean is None) != (self.std is None):
            raise ConfigError("a mean without a std, or a std without a mean: give both or neither")
        if self.mean is not None and self.std is not None:
            if len(self.mean) != len(self.std):
                raise ConfigError(
                    f"mean has {len(self.mean)} channels, std has {len(self.std)}: give one of each a channel"
                )
            if min(float(s) for s in self.std) <= 0:
                raise ConfigError(f"std={[float(s) for s in self.std]}: every channel needs a std > 0")

    def __len__(self) -> int:
        """Number of views."""
        return len(self.specs)

    @property
    def size(self) -> int:
        """Side of the first (global) view in pixels."""
        return self.specs[0].size

    def __call__(
        self,
        images: Images,
        index: Tensor | np.ndarray | Sequence[int],
        seed: int = 0,
        epoch: int = 0,
        *,
        channels_last: bool = False,
        out: Sequence[Tensor] | None = None,
    ) -> list[Tensor]:
        """Draw and apply every view.

        Args:
            images: N x H x W x C uint8 (or float in [0, 1]), tensor or array, also N x C x H x W with 1, 3 or 4
                channels; or a list of H x W x C of unequal sizes, or of PIL pictures.
            index: N sample ids; the parameters of a sample depend on its id, not on its position in the batch.
            seed: seed of the run.
            epoch: epoch of the run.
            channels_last: whether the views are stored pixel by pixel (torch's channels_last) or plane by plane.
            out: tensors to write the views into, one per view, such as pinned memory; their layout is kept.

        Returns:
            One N x C x S x S tensor of `dtype` per view, on the images' device.

        Raises:
            DataError: images of the wrong rank or type, or `out` of the wrong shape or type.
            ConfigError: images with other channels than the normalisation, or another number of images than of ids.
        """
        batch = as_images(images)
        check_values(batch, _ids(batch, index))
        if self.fused and isinstance(batch, Tensor) and batch.device.type != "cpu" and len(batch):
            self._check(batch, out)
            return self._on_device(batch, _ids(batch, index), seed, epoch, channels_last, out)
        if not (self.fused and fused.serves(batch)):
            return self.apply(
                batch, self.draw(batch, index, seed=seed, epoch=epoch), channels_last=channels_last, out=out
            )
        self._check(batch, out)
        return fused.make(
            self.specs,
            batch,
            _ids(batch, index),
            seed=seed,
            epoch=epoch,
            mean=self.mean,
            std=self.std,
            channels_last=channels_last,
            dtype=self.dtype,
            out=out,
        )

    def draw(
        self,
        images: Images,
        index: Tensor | np.ndarray | Sequence[int],
        seed: int = 0,
        epoch: int = 0,
    ) -> list[Params]:
        """Draw the parameters of every view; only the sizes of the images matter."""
        batch = as_images(images)
        ids = _ids(batch, index)
        heights, widths = sides(batch)
        return [
            draw(spec, ids, heights, widths, seed=seed, epoch=epoch, view=view) for view, spec in enumerate(self.specs)
        ]

    def apply(
        self,
        images: Images,
        params: Sequence[Params],
        *,
        channels_last: bool = False,
        out: Sequence[Tensor] | None = None,
    ) -> list[Tensor]:
        """Apply one `Params` per view and normalise."""
        if len(params) != len(self.specs):
            raise ConfigError(f"{len(self.specs)} views but {len(params)} sets of parameters: give one a view")
        batch = as_images(images)
        self._check(batch, out)
        if self.fused and fused.serves(batch):
            return fused.apply(
                self.specs,
                batch,
                params,
                mean=self.mean,
                std=self.std,
                channels_last=channels_last,
                dtype=self.dtype,
                out=out,
            )

        layout = torch.channels_last if channels_last else torch.contiguous_format
        done: dict[ImageView, Tensor] = {}
        views = []
        for spec, drawn in zip(self.specs, params, strict=True):
            # A view in which nothing is drawn is made once, however often it is asked for.
            view = done[spec] if spec.fixed and spec in done else self._normalise(apply(spec, batch, drawn))
            done[spec] = view = view.to(self.dtype).contiguous(memory_format=layout)
            views.append(view)
        return views if out is None else [place.copy_(view) for place, view in zip(out, views, strict=True)]

    def _on_device(
        self,
        images: Tensor,
        index: Tensor,
        seed: int,
        epoch: int,
        channels_last: bool,
        out: Sequence[Tensor] | None,
        compiled: bool = True,
    ) -> list[Tensor]:
        """Drawn on the CPU, applied where the images are; the host waits for nothing."""
        if fused.available():
            drawn = torch.from_numpy(fused.numbers(self.specs, index, images, seed=seed, epoch=epoch))
        else:
            drawn = torch.stack([dense.pack(p) for p in self.draw(images, index, seed=seed, epoch=epoch)])
        if images.device.type == "cuda":
            drawn = drawn.pin_memory()  # else the copy waits for the device
        drawn = drawn.to(images.device, non_blocking=True)
        moments = None if self.mean is None or self.std is None else (self.mean, self.std)
        views = [
            dense.apply(spec, images, table, moments, dtype=self.dtype, channels_last=channels_last, compiled=compiled)
            for spec, table in zip(self.specs, drawn, strict=True)
        ]
        return views if out is None else [place.copy_(view) for place, view in zip(out, views, strict=True)]

    def _check(self, batch: Tensor | list[Tensor], out: Sequence[Tensor] | None) -> None:
        like = batch if isinstance(batch, Tensor) else batch[0]
        channels = like.shape[-1]
        if self.mean is not None and len(self.mean) != channels:
            raise ConfigError(
                f"images have {channels} channels, the normalisation has {len(self.mean)}: give mean and std of this data"
            )
        shapes = [(len(batch), channels, spec.size, spec.size) for spec in self.specs]
        if out is None:
            return
        if [tuple(o.shape) for o in out] != shapes:
            raise DataError(f"out of shapes {[tuple(o.shape) for o in out]}: give one tensor a view, of {shapes}")
        for o in out:
            dense = o.is_contiguous() or o.is_contiguous(memory_format=torch.channels_last)
            if o.dtype != self.dtype or o.device != like.device or not dense:
                raise DataError(
                    f"out of type {o.dtype} on {o.device}, strides {o.stride()}: give {self.dtype} on {like.device}, "
                    "contiguous or channels_last"
                )

    def _normalise(self, x: Tensor) -> Tensor:
        if self.mean is None or self.std is None:
            return x
        mean, std = (
            torch.as_tensor([float(v) for v in values], dtype=x.dtype, device=x.device)[:, None, None]
            for values in (self.mean, self.std)
        )
        return (x - mean) / std


def _ids(batch: Tensor | list[Tensor], index: Tensor | np.ndarray | Sequence[int]) -> Tensor:
    ids = torch.as_tensor(index, dtype=torch.int64)
    if ids.shape != (len(batch),):
        raise ConfigError(f"{len(batch)} images but ids of shape {tuple(ids.shape)}: give one int64 id an image")
    return ids


_Recipe = Callable[[int, int | None], tuple[ImageView, ...]]
_STRONG = (0.8, 0.8, 0.8, 0.2)
_BYOL = (0.4, 0.4, 0.2, 0.1)


def _base(size: int) -> ImageView:
    # ImageNet code takes a kernel of a tenth of the view (23 at 224). Recipes for 32 px blur with Pillow's Gaussian,
    # which has no cut-off: 13 taps reach three standard deviations of the largest sigma, 2.
    kernel = size // 10 // 2 * 2 + 1 if _imagenet(size) else 13
    return ImageView(size=size, gray=0.2, kernel=kernel)


def _imagenet(size: int) -> bool:
    return size >= 96


def _local_size(size: int) -> int:
    """96 at 224, and a multiple of 8 elsewhere, which strides of an encoder divide."""
    return max(8, round(size * 96 / 224 / 8) * 8)


def _simclr(size: int, local: int | None) -> tuple[ImageView, ...]:
    view = replace(_base(size), jitter=_STRONG, blur=0.5)
    return view, view


def _weak(size: int, local: int | None) -> tuple[ImageView, ...]:
    view = replace(_base(size), jitter=(0.4, 0.4, 0.4, 0.1), blur=0.5)
    if _imagenet(size):
        view = replace(view, scale=(0.2, 1.0))
    return view, view


def _byol(size: int, local: int | None) -> tuple[ImageView, ...]:
    view = replace(_base(size), jitter=_BYOL)
    blur = (1.0, 0.1) if _imagenet(size) else (0.0, 0.0)
    return replace(view, blur=blur[0]), replace(view, blur=blur[1], solarize=0.2)


def _vicreg(size: int, local: int | None) -> tuple[ImageView, ...]:
    view = replace(_base(size), jitter=_BYOL, solarize=0.1)
    view = replace(view, blur=0.5) if _imagenet(size) else replace(view, scale=(0.2, 1.0))
    return view, view


def _w_mse(size: int, local: int | None) -> tuple[ImageView, ...]:
    view = replace(_base(size), scale=(0.2, 1.0), jitter=_STRONG, blur=0.2 if _imagenet(size) else 0.0)
    return view, view


def _small(size: int, local: int | None) -> tuple[ImageView, ...]:
    view = replace(_base(size), scale=(0.1, 0.6), jitter=(0.4, 0.4, 0.4, 0.1))
    return view, view


def _small_grey(size: int, local: int | None) -> tuple[ImageView, ...]:
    # where colours carry nothing that a jitter of them could take away
    view = replace(_small(size, local)[0], blur=0.3, solarize=0.2)
    return view, view


def _swav(size: int, local: int | None) -> tuple[ImageView, ...]:
    local = (6 if _imagenet(size) else 0) if local is None else local
    large = replace(_base(size), jitter=_STRONG, blur=0.5)
    if _imagenet(size) or local:
        large = replace(large, scale=(0.14, 1.0))
    small = replace(_base(_local_size(size)), kernel=large.kernel, jitter=_STRONG, blur=0.5, scale=(0.05, 0.14))
    return (large, large, *[small] * local)


def _dino(size: int, local: int | None) -> tuple[ImageView, ...]:
    local = (8 if _imagenet(size) else 0) if local is None else local
    first, second = _byol(size, None)
    if _imagenet(size) or local:
        first, second = (replace(view, scale=(0.4, 1.0)) for view in (first, second))
    blur = 0.5 if _imagenet(size) else 0.0
    small = replace(_base(_local_size(size)), kernel=first.kernel, jitter=_BYOL, blur=blur, scale=(0.05, 0.4))
    return (first, second, *[small] * local)


def _gentle(size: int, local: int | None) -> tuple[ImageView, ...]:
    view = ImageView(size=size, scale=(0.4, 1.0), flip=0.0, jitter=(0.4, 0.4, 0.0, 0.0))
    return view, view


def _none(size: int, local: int | None) -> tuple[ImageView, ...]:
    view = ImageView(size=size, scale=None, flip=0.0)
    return view, view


RECIPES: dict[str, _Recipe] = {
    "simclr": _simclr,
    "weak": _weak,
    "byol": _byol,
    "vicreg": _vicreg,
    "w-mse": _w_mse,
    "small": _small,
    "small-grey": _small_grey,
    "swav": _swav,
    "dino": _dino,
    "gentle": _gentle,
    "none": _none,
}
"""The recipes by name: the published ones, ours, and those that were registered (`own_recipe`)."""

_MULTI_CROP = ["swav", "dino"]
_TAKEN = frozenset({*RECIPES, "auto", "signals", "tabular", "noise", "graph"})
"""Names of views of the package, of other data than images too."""

_Own = TypeVar("_Own", bound=Callable[..., Sequence[ImageView]])


def own_recipe(function: _Own) -> _Own:
    """Register an augmentation recipe of your own for images, under the function's name.

    In a program that imports the module with this decorator, `views="..."`, `infomax.views.recipe`, the command line
    and sweeps know the recipe by that name, and a run trained with it is loaded like any other. Its views are
    normalised as those of the package's recipes.

    Args:
        function: a function of the side of the global views in pixels, with a named argument `local_views` if it has
            small ones (None: a number of its choice). It returns one `ImageView` per view, two or more, the global ones
            first.

    Raises:
        ConfigError: a function of other arguments, or the name of views of the package.

    Example:
        >>> @own_recipe
        ... def upright(size):
        ...     view = ImageView(size=size, flip=0.0, jitter=(0.4, 0.4, 0.2, 0.1))
        ...     return view, view
        >>> len(recipe("upright", size=24))
        2
        >>> _ = RECIPES.pop("upright")  # only here, so that the list stays the package's
    """
    name, signature = function.__name__, inspect.signature(function)
    if name in _TAKEN:
        raise ConfigError(f"the views {name}{signature}: the package has some of this name; choose another")
    multi_crop = "local_views" in signature.parameters
    try:
        signature.bind(32, **({"local_views": None} if multi_crop else {}))
    except TypeError as error:
        raise ConfigError(
            f"the views {name}{signature}: a recipe is a function of the size, and by name of local_views where it has "
            f"small views: {error}"
        ) from None

    def made(size: int, local: int | None) -> tuple[ImageView, ...]:
        given = function(size, local_views=local) if multi_crop else function(size)
        views = tuple(given) if isinstance(given, list | tuple) else ()
        if len(views) < 2 or not all(isinstance(view, ImageView) for view in views):
            raise ConfigError(
                f"the views {name} give {textwrap.shorten(repr(given), 80)}: return two infomax.views.ImageView or more, as in "
                "`return view, view`; a function that makes its views itself is given as views=FUNCTION"
            )
        return views

    RECIPES[name] = made
    if name in _MULTI_CROP:
        _MULTI_CROP.remove(name)
    if multi_crop:
        _MULTI_CROP.append(name)
    return function


def recipe(
    name: str,
    size: int = 32,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    *,
    local_views: int | None = None,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """Build an augmentation recipe by name.

    Below 96 px these are the recipes behind the published CIFAR numbers (solo-learn, arXiv:2008.01775), from 96 px on
    those of the papers for ImageNet (for W-MSE, solo-learn's for ImageNet-100). All but the last two flip with
    probability .5 and turn to grayscale with probability .2. Colour jitter has probability .8, and sigma of the blur is
    in [.1, 2]. The blur's kernel is a tenth of the view from 96 px on (23 pixels at 224); below, it has 13 pixels,
    which cut nothing off.

    | name | crop scale | jitter | blur | solarize | at >= 96 px |
    |---|---|---|---|---|---|
    | simclr | .08-1 | .8/.8/.8/.2 | .5 | - | the same |
    | weak (MoCo v2, SimSiam) | .08-1 | .4/.4/.4/.1 | .5 | - | crop .2-1 |
    | byol (also MoCo v3, Barlow Twins) | .08-1 | .4/.4/.2/.1 | - | 0 and .2 | blur 1 and .1 |
    | vicreg | .2-1 | .4/.4/.2/.1 | - | .1 | crop .08-1, blur .5 |
    | w-mse | .2-1 | .8/.8/.8/.2 | - | - | blur .2 |
    | swav | .08-1 | .8/.8/.8/.2 | .5 | - | 2 x .14-1 and 6 local x .05-.14 |
    | dino | .08-1 | .4/.4/.2/.1 | - | 0 and .2 | 2 x .4-1 (blur 1 and .1) and 8 local x .05-.4 (blur .5) |
    | small (ours) | .1-.6 | .4/.4/.4/.1 | - | - | the same |
    | small-grey (ours) | .1-.6 | .4/.4/.4/.1 | .3 | .2 | the same |
    | gentle (ours) | .4-1 | .4/.4/0/0 | - | - | the same; no flip, no grayscale: of digits and the like |
    | none | whole image | - | - | - | the same; no flip, no grayscale |

    `small` is for views of half the images' side: there its crops show things about as large as whole images do.
    Every crop is resized bilinearly with antialiasing (some of the originals resize bicubically).

    Args:
        name: one of the names above.
        size: side of the (global) views in pixels.
        mean: mean of each channel on the [0, 1] scale; `None` leaves the values in [0, 1].
        std: standard deviation of each channel on the [0, 1] scale.
        local_views: number of local views of swav and dino. By default as published: none below 96 px, else 6 and 8.
            With local views, the crops of a small size use the scales of the ImageNet recipe too.
        dtype: type of the views, float32 or bfloat16.

    Raises:
        ConfigError: an unknown name, or local views for a recipe that has none.

    Example:
        >>> views = recipe("simclr", size=32)
        >>> images = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)
        >>> v1, v2 = views(images, torch.arange(4), seed=0, epoch=0)
        >>> v1.shape, v1.dtype
        (torch.Size([4, 3, 32, 32]), torch.float32)
        >>> [view.shape[-1] for view in recipe("dino", local_views=2)(images, torch.arange(4))]
        [32, 32, 16, 16]

    Source: SimCLR arXiv:2002.05709, MoCo v2 2003.04297, BYOL 2006.07733, VICReg 2105.04906, W-MSE 2007.06346,
        SwAV 2006.09882, DINO 2104.14294.
    """
    if name not in RECIPES:
        raise ConfigError(
            f"no views recipe {name!r}: {nearest(name, RECIPES)}; one of your own is known once its module is imported"
        )
    if local_views is not None and local_views < 0:
        raise ConfigError(f"local_views={local_views}: give 0 or more")
    if local_views and name not in _MULTI_CROP:
        raise ConfigError(
            f"recipe {name!r} has no local views: leave local_views out, or take views {' or '.join(_MULTI_CROP)}"
        )
    return Views(RECIPES[name](size, local_views), mean, std, dtype)
