"""Encoders from torchvision and timm, without their classifier and with a measured width."""

import contextlib
import difflib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from infomax.encoders.width import measured_width
from infomax.errors import ConfigError, DataError
from infomax.extras import getting

_LAYERS = (nn.Linear, nn.Conv2d)
PUBLISHED = ("resnet18", "resnet34", "resnet50")
"""Encoders of ours, of which torchvision publishes weights."""


class Features(nn.Module):
    """A backbone with a known width.

    Args:
        body: maps a batch to N x width.
        width: number of features.

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


def resnet(name: str, channels: int = 3, size: int = 32, *, pretrained: bool = False) -> Features:
    """Build torchvision's ResNet without its classifier, with the stem that fits the images.

    Up to 64 px the stem is a 3 x 3 convolution of stride 1 without max-pooling (the usual CIFAR variant),
    above it is the ImageNet stem (7 x 7, stride 2, max-pooling).

    Args:
        name: `resnet18`, `resnet34` or `resnet50`.
        channels: channels of the images.
        size: side of the images in pixels.
        pretrained: load torchvision's weights, above 64 px.

    Raises:
        ConfigError: pretrained with the CIFAR stem.
        DataError: weights that cannot be fetched.

    Example:
        >>> resnet("resnet18", size=32).width
        512

    Source: He et al. arXiv:1512.03385; the CIFAR stem as in arXiv:2002.05709, appendix B.9.
    """
    from torchvision import models

    net = models.get_model(name, weights=None)
    width: int = net.fc.in_features
    if pretrained:
        of_imagenet(name, size)
        _publish(net, name)
        _see(net, channels, name)
        net.fc = nn.Identity()
        return Features(net, width)
    net.fc = nn.Identity()
    if size <= 64:
        net.conv1 = nn.Conv2d(channels, 64, 3, 1, 1, bias=False)
        net.maxpool = nn.Identity()
    elif channels != 3:
        net.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    return Features(net, width)


def of_imagenet(name: str, size: int) -> None:
    """Refuse a ResNet of ours whose stem is not the one that torchvision's weights are of.

    Raises:
        ConfigError: saying what has it.
    """
    if size <= 64:
        raise ConfigError(
            f"{name} at {size} px has the CIFAR stem, of which nobody publishes weights: views above 64 px (--size 96), or "
            f"torchvision/{name}, which has ImageNet's stem at any size"
        )


def from_torchvision(
    name: str, channels: int = 3, size: int = 32, *, pretrained: bool = False, **options: Any
) -> Features:
    """Build any torchvision classifier by name, without its classification layer, and measure the width by running it.

    Args:
        name: name in torchvision.
        channels: channels of the images; with other than 3, the first convolution is replaced.
        size: side of the images in pixels; vision transformers are built for it.
        pretrained: load torchvision's weights; for grey images the weights of the first convolution are summed over the
            colours.
        options: passed on to torchvision.

    Raises:
        ConfigError: an unknown name, options that the model does not take, a model that cannot take such images, or
            weights that do not fit them.
        DataError: weights that cannot be fetched.

    Example:
        >>> from_torchvision("squeezenet1_1", size=64).width
        512
    """
    from torchvision import models

    in_torchvision(name)
    if name.startswith("vit_"):
        options.setdefault("image_size", size)
    if name in ("googlenet", "inception_v3"):
        options.setdefault("init_weights", True)  # they warn where it is left open
    if "weights" in options:
        raise ConfigError(f"torchvision/{name}: weights={options['weights']!r}: say init='pretrained' instead")
    net = _built(lambda: models.get_model(name, weights=None, **options), f"torchvision/{name}", size, options)
    if pretrained:
        _publish(net, name)
    if hasattr(net, "aux_logits"):
        # Auxiliary classifiers make the output a tuple in training; an encoder has one output.
        net.aux_logits = False
        net.AuxLogits = net.aux1 = net.aux2 = None
    _take_off_the_classifier(net)
    if pretrained:
        _see(net, channels, f"torchvision/{name}")
    elif channels != 3:
        _renew_first_convolution(net, channels)
    return _measured(net, f"torchvision/{name}", channels, size)


def _publish(net: nn.Module, name: str) -> None:
    """Fill a model with the weights that torchvision publishes; what is fetched is not executed."""
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    place = Path(torch.hub.get_dir(), "checkpoints", weights.url.split("/")[-1])
    said = "" if place.is_file() else f"fetching the weights of torchvision/{name}: {weights.url}"
    try:
        # torch's line, which comes before anything is known to come, stands on one or the other by its version
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(_Fetching(said)):
            tensors = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except OSError as error:
        raise _unfetched(f"torchvision/{name}", f"put {weights.url} at {place}", error) from None
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise ConfigError(
            f"torchvision/{name}: its published weights are of {weights.transforms().crop_size[0]} px and do not fit "
            f"({str(error).splitlines()[-1].strip()})"
        ) from None
    as_published(net)


class _Fetching:
    """The error stream while torch fetches a file: once that comes its bar is there, below a line of our own.

    Args:
        said: that line, in place of torch's; empty: nothing is to be fetched.
    """

    def __init__(self, said: str) -> None:
        self.said, self.stream = said, sys.stderr

    def write(self, text: str) -> int:
        """Hand on all but torch's line."""
        if text.startswith("Downloading: "):
            return len(text)
        if self.said:
            self.stream.write(f"{self.said}\n")
            self.said = ""
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def as_published(net: nn.Module) -> None:
    """Let a model see as it did when its published weights were trained: some behind another normalisation, which they do
    themselves."""
    if hasattr(net, "transform_input"):
        net.__dict__["transform_input"] = True


def _unfetched(name: str, remedy: str, error: Exception) -> DataError:
    return DataError(
        f"the weights of {name} cannot be fetched ({' '.join(str(error).split())[:200]}): on a machine without a "
        f"network, {remedy}, or begin with a file of weights (--init FILE, init=FILE)"
    )


def _see(net: nn.Module, channels: int, name: str) -> None:
    """Let a model trained on colours see grey as equal parts of them."""
    if channels == 3:
        return
    first = next((m for m in net.modules() if isinstance(m, nn.Conv2d)), None)
    if channels != 1 or first is None or getattr(net, "transform_input", False):
        raise ConfigError(f"{name}: its published weights are of 3 channels; these images have {channels}")
    first.in_channels, first.weight = 1, nn.Parameter(first.weight.detach().sum(1, keepdim=True))


def from_timm(name: str, channels: int = 3, size: int = 32, **options: Any) -> Features:
    """Build any timm model by name, without its classification layer, and measure the width by running it.

    Args:
        name: name in timm.
        channels: channels of the images.
        size: side of the images in pixels. Models of a fixed input size are built for it; vision transformers are built
            so that they also take other multiples of their patches, as multi-crop needs.
        options: passed on to timm (`pretrained=True`, for instance).

    Raises:
        ConfigError: timm is missing, an unknown name, options that the model does not take, or a model that cannot take
            such images.
    """
    in_timm(name)
    import timm

    config = _built(lambda: timm.get_pretrained_cfg(name, allow_unregistered=True), f"timm/{name}", size, options)
    if config is not None and config.fixed_input_size:
        options.setdefault("img_size", size)

    def made() -> nn.Module:
        asked = {"num_classes": 0, "in_chans": channels, **options}
        net: nn.Module
        if "img_size" in options and "dynamic_img_size" not in options:
            with contextlib.suppress(TypeError):  # no model that can
                net = timm.create_model(name, dynamic_img_size=True, **asked)
                return net
        net = timm.create_model(name, **asked)
        return net

    net = _built(made, f"timm/{name}", size, options)
    return _measured(net, f"timm/{name}", channels, size)


def in_torchvision(name: str) -> None:
    """Refuse what torchvision has no classifier of.

    Raises:
        ConfigError: naming those of nearly that name.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise ConfigError(f"torchvision has no classifier {name!r}: {_like(name, known)}")


def in_timm(name: str) -> None:
    """Refuse what timm has no model of.

    Raises:
        ConfigError: naming those of nearly that name, or how to get timm.
    """
    try:
        import timm
    except ImportError as error:
        raise ConfigError(f"encoder timm/{name} needs timm: {getting('timm')}") from error
    if not timm.is_model(name.split(".")[0]):
        raise ConfigError(f"timm has no model {name!r}: {_like(name, timm.list_models())}")


def published_by_timm(name: str) -> bool:
    """Whether timm publishes weights of a model that it lists; of a tag that it does not, building it says so."""
    import timm

    return bool(timm.is_model_pretrained(name.split(".")[0]))


def _built(make: Callable[[], Any], name: str, size: int, options: dict[str, Any]) -> Any:
    """What `make` builds, or why it cannot."""
    try:
        return make()
    except OSError as error:  # timm lets through whatever its download meets
        raise _unfetched(name, "bring the Hub's cache along (HF_HOME)", error) from error
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
