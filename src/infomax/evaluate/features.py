"""Frozen features: a module applied to many images in batches, as it behaves in evaluation."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from infomax.data.encoded import Encoded
from infomax.errors import ConfigError, DataError, NumericsError

if TYPE_CHECKING:
    from infomax.training.run import Run


@torch.no_grad()
def encode(
    module: nn.Module,
    images: Tensor | list[Tensor] | Encoded,
    *,
    batch: int = 256,
    views: Callable[[Any], Tensor] | None = None,
    progress: bool = True,
) -> Tensor:
    """Embed every image: in evaluation mode, without gradients, on the module's own device.

    The mode of every submodule is put back afterwards, frozen ones included.

    Args:
        module: maps a batch to `B ...`; what follows the batch dimension is flattened.
        images: N ..., anything that `views` or the module takes; or a list of N whose sizes differ, which `views` brings
            to one.
        batch: images at a time.
        views: applied to each batch where the images lie, before it goes to the module's device; resizing and
            normalisation only, no augmentation.
        progress: show a bar once it has taken two seconds.

    Returns:
        N D, on the CPU.

    Raises:
        ConfigError: batch below 1, or a list without `views`. DataError: no images.
        NumericsError: NaN or infinity in the features.

    Example:
        >>> encode(nn.Flatten(), torch.zeros(10, 1, 8, 8, dtype=torch.uint8), views=lambda x: x / 255, batch=4).shape
        torch.Size([10, 64])
    """
    if batch < 1:
        raise ConfigError(f"encode: batch must be at least 1, got {batch}")
    if len(images) == 0:
        raise DataError(f"encode: there is no image to embed in {_described(images)}")
    if views is None and isinstance(images, list):
        raise ConfigError(
            f"encode: {len(images)} images in a list may differ in size: give views that bring them to one"
        )
    from tqdm.auto import tqdm

    weight = next((p for p in module.parameters() if p.is_floating_point()), None)
    device = images[0].device if weight is None else weight.device
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    parts = []
    try:
        starts = range(0, len(images), batch)
        for start in tqdm(starts, desc="encode", unit="batch", delay=2, leave=False, disable=not progress):
            block: Any = images[start : start + batch]
            seen: Tensor = block if views is None else views(block)
            dtype = weight.dtype if weight is not None and seen.is_floating_point() else None
            z = module(seen.to(device, dtype, non_blocking=True))
            parts.append((z.float() if z.dtype == torch.bfloat16 else z).flatten(1).cpu())
    finally:
        for m, training in modes:
            m.training = training
    features = torch.cat(parts)
    if not torch.isfinite(features).all():
        bad = int((~torch.isfinite(features)).any(1).sum())
        raise NumericsError(f"encode: NaN or infinity in the features of {bad} of {len(features)} images")
    return features


def run_size(run: "Run") -> int | None:
    """Side in pixels of the views that a run was trained on: its encoder sees whole images at that size, whatever theirs."""
    views, asked = run.config["views"], run.config["training"]["size"]
    size: int | None = views.get("size", asked)
    return size


def _described(images: Tensor | list[Tensor] | Encoded) -> str:
    return f"a tensor of shape {tuple(images.shape)}" if isinstance(images, Tensor) else "an empty list"
