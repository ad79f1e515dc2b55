"""Features encoded once and kept in the run's folder, under the hash of what they depend on."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset
from infomax.data.order import gather, spread
from infomax.training.checkpoint import write_bytes

FOLDER = "features"


def key(encoder: nn.Module, data: Dataset, *settings: Any) -> str:
    """The hash of an encoder's weights, of a data set (name, size and 64 of its samples) and of settings.

    Example:
        >>> data, net = Dataset(torch.zeros(5, 2)), nn.Linear(2, 3)
        >>> key(net, data, 1) == key(net, data, 1), key(net, data, 1) == key(net, data, 2)
        (True, False)
    """
    told = hashlib.sha256(repr((data.name, len(data), settings)).encode())
    for name, t in encoder.state_dict().items():
        told.update(name.encode())
        told.update(_bytes(t))
    some = gather(data.images, spread(data.images, 64))
    for image in some:
        told.update(_bytes(image))
    return told.hexdigest()[:16]


def _bytes(t: Tensor) -> bytes:
    return t.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def kept(folder: Path | None, name: str, make: Callable[[], Tensor]) -> Tensor:
    """Features read back from a run's folder, or made, and kept there for the next time.

    Args:
        folder: of the run; None: nothing is kept.
        name: the hash of what they depend on.
        make: encodes them.
    """
    if folder is None:
        return make()
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    path = folder / FOLDER / f"{name}.safetensors"
    if path.is_file():
        try:
            return load_file(path)["features"]
        except (SafetensorError, KeyError):
            path.unlink()  # a damaged cache is made anew
    z = make()
    path.parent.mkdir(exist_ok=True)
    write_bytes(path, save({"features": z.contiguous()}))
    return z
