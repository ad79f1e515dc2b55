"""Encoders out of torchvision and timm, their classifier taken off and their width found."""

import difflib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from infomax.encoders.width import measured_width
from infomax.errors import ConfigError

_LAYERS = (nn.Linear, nn.Conv2d)


class Features(nn.Module):
    """A backbone that says how wide its features are.

    Args:
        body: maps a batch to N x width.
        width: of the features.

    Example:
        >>> Features(nn.Flatten(), 12)(torch.zeros(2, 3, 2, 2)).shape
        torch.Size([2, 12])
    """

    def __init__(self, body: nn.Module, width: int) -> None:
        super().__init__()
        self.body = body
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        """Map a batch to N x width."""
        out: Tensor = self.body(x)
        return out


def resnet(name: str, channels: int = 3, size: int = 32) -> Features:
    """Build torchvision's ResNet without its classifier, with the stem that fits the images.

    Up to 64 px the stem is a 3 x 3 convolution of stride 1 and there is no max-pooling (the customary CIFAR variant),
    above it is the ImageNet stem (7 x 7, stride 2, max-pooling).

    Args:
        name: `resnet18`, `resnet34` or `resnet50`.
        channels: of the images.
        size: side of the images in pixels.

    Example:
        >>> resnet("resnet18", size=32).width
        512

    Source: He et al. arXiv:1512.03385; the CIFAR stem as in arXiv:2002.05709, appendix B.9.
    """
    from torchvision import models

    net = models.get_model(name, weights=None)
    width: int = net.fc.in_features
    net.fc = nn.Identity()
    if size <= 64:
        net.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
        net.maxpool = nn.Identity()
    elif channels != 3:
        net.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    return Features(net, width)


def from_torchvision(name: str, channels: int = 3, size: int = 32, **options: Any) -> Features:
    """Build any classifier of torchvision by name, take its classifier off, and find the width by running it.

    Args:
        name: as torchvision lists it.
        channels: of the images; other than 3 renews the first convolution.
        size: side of the images in pixels; vision transformers are built for it.
        options: handed on to torchvision.

    Raises:
        ConfigError: an unknown name, options that the model does not take, or a model that cannot take such images.

    Example:
        >>> from_torchvision("squeezenet1_1", size=64).width
        512
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ConfigError(f"torchvision has no classifier {name!r}: {_like(name, known)}")
    if name.startswith("vit_"):
        options.setdefault("image_size", size)
    if name in ("googlenet", "inception_v3"):
        options.setdefault("init_weights", True)  # they warn where it is left open
    net = _built(lambda: models.get_model(name, weights=None, **options), f"torchvision/{name}", size, options)
    if hasattr(net, "aux_logits"):
        # Auxiliary classifiers make the output a tuple in training; an encoder has one output.
        net.aux_logits = False
        net.AuxLogits = net.aux1 = net.aux2 = None
    _take_off_the_classifier(net)
    if channels != 3:
        _renew_first_convolution(net, channels)
    return _measured(net, f"torchvision/{name}", channels, size)


def from_timm(name: str, channels: int = 3, size: int = 32, **options: Any) -> Features:
    """Build any model of timm by name, without its classifier, and find the width by running it.

    Args:
        name: as timm lists it.
        channels: of the images.
        size: side of the images in pixels; models of a fixed input size are built for it.
        options: handed on to timm (`pretrained=True`, for instance).

    Raises:
        ConfigError: timm is missing, an unknown name, options that the model does not take, or a model that cannot take such
            images.
    """
    try:
        import timm
    except ImportError as error:
        raise ConfigError(f"encoder timm/{name} needs timm: uv sync --extra timm, or pip install timm") from error
    if not timm.is_model(name.split(".")[0]):
        raise ConfigError(f"timm has no model {name!r}: {_like(name, timm.list_models())}")
    config = _built(lambda: timm.get_pretrained_cfg(name, allow_unregistered=True), f"timm/{name}", size, options)
    if config is not None and config.fixed_input_size:
        options.setdefault("img_size", size)
    net = _built(
        lambda: timm.create_model(name, num_classes=0, in_chans=channels, **options), f"timm/{name}", size, options
    )
    return _measured(net, f"timm/{name}", channels, size)


def _built(make: Callable[[], Any], name: str, size: int, options: dict[str, Any]) -> Any:
    """What `make` builds, or why it cannot."""
    try:
        return make()
    except OSError as error:  # timm lets through whatever its download meets
        reason = str(error).split("\n")[0]
        raise ConfigError(
            f"the weights of {name} cannot be fetched ({reason}): connect, or have them in its cache"
        ) from error
    except (TypeError, AssertionError, ValueError, RuntimeError) as error:
        given = ", ".join(f"{option}={value!r}" for option, value in options.items()) or "no options"
        reason = str(error).split("\n")[0]
        raise ConfigError(
            f"{name} cannot be built for images of {size} x {size} with {given} ({reason}): give another size or other options"
        ) from error


def _like(name: str, known: list[str]) -> str:
    # Hundreds of names do not fit a line, so unlike `nearest` this shows the close ones only.
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(close)}?" if close else f"it lists {len(known)} others"


def _take_off_the_classifier(net: nn.Module) -> None:
    """Replace the last linear (or convolutional) layer of the head by nothing: what reaches it are the features."""
    for head in ("fc", "classifier", "head", "heads"):
        if not hasattr(net, head):
            continue
        layers = [name for name, m in net.named_modules() if name.split(".")[0] == head and isinstance(m, _LAYERS)]
        parent, _, child = layers[-1].rpartition(".")
        setattr(net.get_submodule(parent), child, nn.Identity())
        return


def _renew_first_convolution(net: nn.Module, channels: int) -> None:
    first = next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        return
    first.in_channels = channels
    first.weight = nn.Parameter(torch.empty(first.out_channels, channels, *first.kernel_size))
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu")


def _measured(net: nn.Module, name: str, channels: int, size: int) -> Features:
    # The attribute that timm's models carry is not always the width of what they give; a run is.
    try:
        return Features(net, measured_width(net, torch.zeros(2, channels, size, size)))
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).split("\n")[0]
        raise ConfigError(
            f"{name} cannot take images of {channels} x {size} x {size} ({reason}): give another size"
        ) from error
