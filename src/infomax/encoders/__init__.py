"""Encoders by name, each with an attribute `width`; any `nn.Module` that maps a batch to N x D can be used as well.

encoder = infomax.encoders.get("resnet18", channels=3, size=32)
encoder.width  # 512
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from infomax.encoders.bridges import (
    PUBLISHED,
    Features,
    as_published,
    from_timm,
    from_torchvision,
    in_timm,
    in_torchvision,
    of_imagenet,
    published_by_timm,
    resnet,
)
from infomax.encoders.graph import GCN
from infomax.encoders.signal import ResNet1d
from infomax.encoders.small import MLP, ResNet8, Toy
from infomax.encoders.weights import PRETRAINED, begin
from infomax.encoders.width import width_of
from infomax.errors import ConfigError, nearest

__all__ = [
    "GCN",
    "MLP",
    "NAMES",
    "Features",
    "ResNet1d",
    "ResNet8",
    "Toy",
    "again",
    "begin",
    "check",
    "get",
    "resnet",
    "width_of",
]

_BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "toy": lambda channels, size, **options: Toy(**options),
    "mlp": lambda channels, size, **options: MLP(channels * size * size, **options),
    "resnet8": lambda channels, size, **options: ResNet8(channels, **options),
    "resnet18": lambda channels, size, **options: resnet("resnet18", channels, size, **options),
    "resnet34": lambda channels, size, **options: resnet("resnet34", channels, size, **options),
    "resnet50": lambda channels, size, **options: resnet("resnet50", channels, size, **options),
    "resnet1d": lambda channels, size, **options: ResNet1d(channels, **options),
    "gcn": lambda channels, size, **options: GCN(channels, **options),
}

MADE_FOR = {"mlp": ("images", "rows"), "toy": ("rows",), "resnet1d": ("signals",), "gcn": ("nodes",)}
"""The kinds of data that encoders are for; all others are for images."""

_LIBRARIES = {"torchvision": in_torchvision, "timm": in_timm}
NAMES = (*_BUILDERS, "torchvision/NAME", "timm/NAME")
"""The encoders known by name."""


def get(name: str, channels: int = 3, size: int = 32, *, init: str | Path | None = None, **options: Any) -> nn.Module:
    """Build an encoder by name.

    | name | for | width |
    |---|---|---|
    | toy | points in the plane (E.4 of the paper) | 3 |
    | mlp | tiny images and points (`size=1`, `channels` their dimensions) | 256 |
    | resnet8 | small images on a CPU | 128 |
    | resnet18, resnet34, resnet50 | images; CIFAR stem up to 64 px, ImageNet stem above | 512, 512, 2048 |
    | resnet1d | signals of any length (`channels` theirs) | 128 |
    | gcn | a graph (`channels` its features), needs torch-geometric | 256 |
    | torchvision/NAME | any classifier of torchvision | measured on a batch |
    | timm/NAME | any model of timm | measured on a batch |

    Args:
        name: one of the above.
        channels: number of channels of the images, dimensions of the points, or features of the nodes.
        size: side of the images in pixels.
        init: initial weights: `pretrained`, those published by torchvision or timm (also for resnet18 to 50, above 64
            px); the folder of a run, whose encoder's weights are used; or a weights file (`infomax.encoders.begin`).
            None: random.
        options: options of the encoder (`final_norm=False` of toy, `hidden` of mlp, those of timm and torchvision).

    Returns:
        A module that maps a batch to N x width, with the attributes `width` and `recipe` (these arguments, from which a
            run's encoder is rebuilt).

    Raises:
        ConfigError: an unknown name or option, a missing optional package, a size that the encoder cannot take, or
            weights of another encoder.
        DataError: weights that do not exist or cannot be read.

    Example:
        >>> import torch
        >>> encoder = get("mlp", channels=1, size=8)
        >>> encoder.width, encoder(torch.zeros(4, 1, 8, 8)).shape
        (256, torch.Size([4, 256]))
    """
    check(name)
    if channels < 1 or size < 1:
        raise ConfigError(f"encoder {name} for {channels} channels and size {size}: both are at least 1")
    published = init is not None and str(init) == PRETRAINED
    encoder = _build(name, channels, size, options | ({"pretrained": True} if published else {}))
    if init is not None and not published:
        begin(encoder, init)
    begun = {} if init is None else {"init": str(init)}
    encoder.recipe = {"name": name, "channels": channels, "size": size, **begun, **options}  # type: ignore[assignment]
    return encoder


def check(name: str, init: str | Path | None = None, size: int | None = None) -> None:
    """Refuse an unknown encoder, or published weights that do not exist; called before the data are read, which takes long.

    Args:
        name: name of an encoder.
        init: as in `get`.
        size: side of the images in pixels, if known.

    Raises:
        ConfigError: the message names the nearest encoder, the missing package, or what to use.

    Example:
        >>> check("resnet81")
        Traceback (most recent call last):
        infomax.errors.ConfigError: no encoder 'resnet81': did you mean 'resnet8'? (one of: ...)
    """
    library, _, rest = name.partition("/")
    ours = not (rest and library in _LIBRARIES)
    if not ours:
        _LIBRARIES[library](rest)
    elif name == "auto":
        raise ConfigError(
            "encoder auto is chosen by data, which im.encoders.get does not see: name one: resnet8 for images of 16 pixels and "
            "more, mlp for smaller ones, points and tables, resnet1d for signals, gcn for a graph (docs/encoders.md)"
        )
    elif name not in _BUILDERS:
        raise ConfigError(f"no encoder {name!r}: {nearest(name, NAMES)}")
    if init is None or str(init) != PRETRAINED:
        return
    if (ours and name not in PUBLISHED) or (library == "timm" and not published_by_timm(rest)):
        raise ConfigError(f"encoder {name} has no published weights: take torchvision/NAME or timm/NAME, or init=PATH")
    if ours and size is not None:
        of_imagenet(name, size)


_WEIGHTS = ("init", "init_known_by", "pretrained", "checkpoint_path")
"""Options, two of them timm's, that say which weights a model begins with, or by what hash these are known
(`infomax.encoders.weights.known_by`), and nothing of its layers."""


def again(recipe: Mapping[str, Any]) -> nn.Module:
    """Build an encoder from its `recipe` when its weights will be loaded from elsewhere: no published weights are fetched.

    Example:
        >>> again({"name": "mlp", "channels": 1, "size": 8}).recipe
        {'name': 'mlp', 'channels': 1, 'size': 8}
    """
    encoder = get(**{name: value for name, value in recipe.items() if name not in _WEIGHTS})
    if recipe["name"].startswith("torchvision/") and (recipe.get("init") == PRETRAINED or recipe.get("pretrained")):
        as_published(encoder.body)  # type: ignore[arg-type]
    encoder.recipe = dict(recipe)  # type: ignore[assignment]
    return encoder


def _build(name: str, channels: int, size: int, options: dict[str, Any]) -> nn.Module:
    library, _, rest = name.partition("/")
    if rest and library == "torchvision":
        return from_torchvision(rest, channels, size, **options)
    if rest and library == "timm":
        return from_timm(rest, channels, size, **options)
    if "pretrained" in options:
        check(name, PRETRAINED)
    try:
        return _BUILDERS[name](channels, size, **options)
    except TypeError as error:
        if twice := re.search("multiple values for argument '(features|inputs|channels)'", str(error)):
            by = "channels=, size=" if name == "mlp" else "channels="
            raise ConfigError(f"encoder {name}: {twice[1]} is said by im.encoders.get({name!r}, {by})") from error
        raise ConfigError(f"encoder {name}: {str(error).split('__init__() ')[-1]}") from error
