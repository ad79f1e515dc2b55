"""Features encoded once and kept in the run's folder, under the hash of what they depend on."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from infomax.data import Dataset, Graph
from infomax.data.encoded import Encoded
from infomax.data.index import identity
from infomax.errors import DataError, warn
from infomax.files import write_bytes

FOLDER = "features"


def key(encoder: nn.Module, data: Dataset, *settings: Any) -> str | None:
    """The hash of an encoder's weights, of all of a data set, and of settings; None: data that cannot be told from others.

    Images on a disk are known by their files' names, lengths and times of change, and by how they are
    decoded; those behind an address are not known.

    Example:
        >>> data, net = Dataset(torch.zeros(5, 2)), nn.Linear(2, 3)
        >>> key(net, data, 1) == key(net, data, 1), key(net, data, 1) == key(net, data, 2)
        (True, False)
    """
    from infomax import __version__

    told = hashlib.blake2b(repr((__version__, data.name, len(data), settings)).encode(), digest_size=8)
    for name, t in encoder.state_dict().items():
        _tell(told, t, name)
    if isinstance(data.images, Encoded):
        files = getattr(data.images, "files", None)
        if not files or not all(Path(file).is_file() for file in files):
            return None
        told.update(repr([data.images.shaped, *(identity(file) for file in files)]).encode())
        return told.hexdigest()
    for image in [data.images] if isinstance(data.images, Tensor) else data.images:
        _tell(told, image)
    if isinstance(data, Graph):
        _tell(told, data.edge_index)
    return told.hexdigest()


def _tell(told: Any, t: Tensor, name: str = "") -> None:
    told.update(f"{name} {tuple(t.shape)} {t.dtype}".encode())
    told.update(t.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())


def kept(folder: Path | None, name: str | None, data: Dataset, make: Callable[[], Tensor]) -> Tensor:
    """Features read back from a run's folder, or made, and kept there for the next time.

    What replaced a sample that could not be decoded is found by decoding alone, so that such features are not kept.

    Args:
        folder: of the run; None: nothing is kept.
        name: the hash of what they depend on; None: nothing is kept.
        data: what is encoded.
        make: encodes them.
    """
    if folder is None or name is None:
        return make()
    from safetensors import SafetensorError
    from safetensors.torch import load_file, save

    path = folder / FOLDER / f"{name}.safetensors"
    # what is damaged, or was taken away meanwhile, is made anew, and written over
    with contextlib.suppress(SafetensorError, KeyError, OSError):
        return load_file(path)["features"]
    z = make()
    if isinstance(data.images, Encoded) and data.images.replaced:
        return z
    try:
        path.parent.mkdir(exist_ok=True)
        write_bytes(path, save({"features": z.contiguous()}))
    except (OSError, DataError) as error:
        warn(f"features are not kept for the next time: {error}")
    return z
