"""Views from transforms of single pictures, such as torchvision's and lightly's."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from infomax.errors import ConfigError, DataError
from infomax.views.image import as_images
from infomax.views.rng import key
from infomax.words import with_article

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Of PIL, by channels."""


class PerSample:
    """The result of `per_sample`: a function of a batch that calls transforms on one picture at a time.

    Args:
        transforms: the transforms, each of one picture.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = tuple(transforms)

    def __repr__(self) -> str:
        return f"per_sample({', '.join(' '.join(repr(one).split()) for one in self.transforms)})"

    def __call__(self, batch: Any, index: Any, seed: int = 0, epoch: int = 0) -> list[Tensor]:
        """The views of a batch.

        Args:
            batch: images, N x H x W x C or a list of H x W x C of any sizes.
            index: N sample ids; what is drawn for a sample depends on its id, not on its position in the batch.
            seed: seed of the run.
            epoch: epoch of the run.

        Raises:
            DataError: samples that are not images.
            ConfigError: a transform that returns no tensor of floats, or tensors of several shapes.
        """
        if index is None:
            raise DataError("per_sample makes views of pictures, and this is a graph: give a function of its own")
        images, ids = as_images(batch), torch.as_tensor(index, dtype=torch.int64).reshape(-1)
        if len(images) != len(ids):
            raise ConfigError(f"{len(images)} images but {len(ids)} sample ids: give one a sample")
        twice = self.transforms * (2 if len(self.transforms) == 1 else 1)
        keys = torch.stack([key(ids, seed, epoch, view) for view in range(len(twice))], dim=1).tolist()
        with _drawing() as seeded:
            made = [
                self._of_one(_picture(image), twice, [lambda k=k: seeded(k) for k in some])  # type: ignore[misc]
                for image, some in zip(images, keys, strict=True)
            ]
        if len({len(views) for views in made}) > 1:
            raise ConfigError(
                f"{self} gives {sorted({len(views) for views in made})} views of pictures: let it be one number"
            )
        return [self._stacked(view) for view in zip(*made, strict=True)]

    def _of_one(
        self, picture: Any, transforms: Sequence[Callable[[Any], Any]], begin: Sequence[Callable[[], None]]
    ) -> list[Tensor]:
        views: list[Tensor] = []
        for transform, drawn_anew in zip(transforms, begin, strict=True):
            drawn_anew()
            made = transform(picture.copy())  # one may draw into it, and that is not for the next to see
            several = isinstance(made, list | tuple)
            views += [_checked(one, transform) for one in (made if several else [made])]
            if several and len(self.transforms) == 1:  # all of its views at once, as lightly's transforms do
                break
        return views

    def _stacked(self, view: Sequence[Tensor]) -> Tensor:
        shapes = sorted({tuple(one.shape) for one in view})
        if len(shapes) > 1:
            raise ConfigError(
                f"{self} gives views of several shapes, {shapes[0]} and {shapes[-1]}: let it cut all pictures to one size, as "
                "RandomResizedCrop does"
            )
        return torch.stack(list(view))


def per_sample(*transforms: Callable[[Any], Any]) -> PerSample:
    """Views from transforms of one picture, such as torchvision's, for `views` of `im.train`.

    A transform is called with a PIL picture (L, RGB or RGBA) and returns a tensor of floats C x H x W. It should end
    with `ToTensor` and `Normalize`, with mean and standard deviation of the training data. A transform that returns a
    list of tensors, as lightly's do, makes all views itself.

    Before each call the random generators of torch, Python and numpy are seeded by seed, epoch, view and sample index,
    and afterwards they are restored. So views do not depend on batch size or order, and a run that is resumed sees the
    same views. Only a transform with a generator of its own is not controlled in this way.

    Args:
        transforms: one transform, which makes both views, or one per view.

    Raises:
        ConfigError: no transform, or something that cannot be called.

    Example:
        >>> from torchvision import transforms
        >>> crop = transforms.Compose([transforms.RandomResizedCrop(16), transforms.ToTensor()])
        >>> images = [torch.randint(0, 256, (h, 32, 3), dtype=torch.uint8) for h in (24, 32, 48)]
        >>> a, b = per_sample(crop)(images, torch.arange(3), seed=0, epoch=0)
        >>> a.shape, bool((a == b).all())
        (torch.Size([3, 3, 16, 16]), False)
    """
    wrong = [one for one in transforms if not callable(one)]
    if wrong or not transforms:
        what = repr(wrong[0]) if wrong else "nothing"
        raise ConfigError(
            f"per_sample of {what}: give a transform of one picture, for both views, or one a view: per_sample(one, other)"
        )
    return PerSample(transforms)


@contextmanager
def _drawing() -> Iterator[Callable[[int], None]]:
    """A function that seeds every generator a transform may draw from; afterwards they are as they were."""
    ours, theirs = torch.default_generator.get_state(), random.getstate()
    numpys = np.random.get_state()  # noqa: NPY002  (the generator that transforms of others draw from)

    def seeded(number: int) -> None:
        torch.default_generator.manual_seed(number)  # of the CPU alone: torch.manual_seed touches every device
        random.seed(number)
        np.random.seed(number % 2**32)  # noqa: NPY002

    try:
        yield seeded
    finally:
        torch.default_generator.set_state(ours)
        random.setstate(theirs)
        np.random.set_state(numpys)  # noqa: NPY002


def _picture(image: Tensor) -> Any:
    from PIL import Image

    if image.shape[2] not in MODES:
        raise DataError(f"images of {image.shape[2]} channels: PIL, whose pictures a transform takes, has 1, 3 or 4")
    pixels = image if image.dtype == torch.uint8 else (image * 255).round().to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray((pixels[..., 0] if image.shape[2] == 1 else pixels).numpy(force=True)))


def _checked(made: Any, transform: Any) -> Tensor:
    if isinstance(made, Tensor) and made.is_floating_point():
        return made
    got = f"a tensor of {made.dtype}" if isinstance(made, Tensor) else with_article(type(made).__name__)
    name = getattr(transform, "__name__", type(transform).__name__)
    raise ConfigError(f"the transform {name} gives {got}: let it end in ToTensor, for floats C x H x W")
