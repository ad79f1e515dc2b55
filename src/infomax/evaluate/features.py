"""Frozen features: a module applied to many images in batches, as it behaves in evaluation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from infomax.errors import ConfigError, DataError, NumericsError


@torch.no_grad()
def encode(
    module: nn.Module,
    images: Tensor,
    *,
    batch: int = 256,
    views: Callable[[Tensor], Tensor] | None = None,
    progress: bool = True,
) -> Tensor:
    """Embed every image: in evaluation mode, without gradients, on the module's own device.

    The mode of every submodule is put back afterwards, frozen ones included.

    Args:
        module: maps a batch to `B ...`; what follows the batch dimension is flattened.
        images: N ..., anything that `views` or the module takes.
        batch: images at a time.
        views: applied to each batch on the module's device first; normalisation only, no augmentation.
        progress: show a bar once it has taken two seconds.

    Returns:
        N D, on the CPU.

    Raises:
        ConfigError: batch below 1. DataError: no images. NumericsError: NaN or infinity in the features.

    Example:
        >>> encode(nn.Flatten(), torch.zeros(10, 1, 8, 8, dtype=torch.uint8), views=lambda x: x / 255, batch=4).shape
        torch.Size([10, 64])
    """
    if batch < 1:
        raise ConfigError(f"encode: batch must be at least 1, got {batch}")
    if len(images) == 0:
        raise DataError(f"encode: there is no image to embed in a tensor of shape {tuple(images.shape)}")
    from tqdm.auto import tqdm

    device = next((p.device for p in module.parameters()), images.device)
    modes = [(m, m.training) for m in module.modules()]
    module.eval()
    parts = []
    try:
        starts = range(0, len(images), batch)
        for start in tqdm(starts, desc="encode", unit="batch", delay=2, leave=False, disable=not progress):
            block = images[start : start + batch].to(device, non_blocking=True)
            z = module(block if views is None else views(block))
            parts.append(z.flatten(1).cpu())
    finally:
        for m, training in modes:
            m.training = training
    features = torch.cat(parts)
    if not torch.isfinite(features).all():
        bad = int((~torch.isfinite(features)).any(1).sum())
        raise NumericsError(f"encode: NaN or infinity in the features of {bad} of {len(features)} images")
    return features
