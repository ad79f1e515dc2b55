"""The paper's tables as printed."""

import functools
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

LABELS = {
    "sdmi": "SDMI (f)", "sdmi_g": "SDMI (g)", "simsiam": "SimSiam", "byol": "BYOL", "moco_v3": "MoCo v3", "jmi": "JMI",
    "simclr": "SimCLR", "barlow_twins": "Barlow Twins", "vicreg": "VICReg",
}  # fmt: skip
"""The rows of table 1."""

METHODS = tuple(name for name in LABELS if name != "sdmi_g")
SETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "tiny-imagenet": "TinyImageNet", "imagenet100": "ImageNet100"}


@functools.cache
def printed() -> dict[str, Any]:
    """Tables 1 and 4 to 7 by name, and which data set stands in for which.

    Example:
        >>> printed()["table1"]["sdmi"]["cifar10"], printed()["table5"]["byol"]
        ([88.61, 0.13], 12)
    """
    text = (resources.files("infomax") / "studies" / "tables" / "printed.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def label_of(data: str) -> str:
    """A data set's name for a table: a named one's own, a path's last part without ending.

    Example:
        >>> label_of("digits"), label_of("/data/cifar10-jpeg.npz")
        ('digits', 'cifar10-jpeg')
    """
    return data if not Path(data).suffix and "/" not in data else Path(data).stem


def counterpart(label: str) -> str | None:
    """The paper's data set that one stands beside, by the beginning of its name.

    Example:
        >>> counterpart("cifar10-jpeg"), counterpart("imagenette"), counterpart("digits")
        ('cifar10', 'imagenet100', None)
    """
    known = printed()["counterparts"]
    found = [start for start in known if label.lower().replace("_", "-").startswith(start)]
    return str(known[max(found, key=len)]) if found else None
