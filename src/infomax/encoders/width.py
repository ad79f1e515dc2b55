"""The width of a module's features."""

import torch
from torch import Tensor, nn

from infomax.errors import ConfigError
from infomax.modes import resting


def width_of(module: nn.Module, example: object = None) -> int:
    """Find the number of features that a module returns for each sample.

    It tries in this order: the attribute `width` or `num_features`; running the module on `example` (evaluation mode,
    no gradient); the output size of its last linear layer; for a convolutional network without one, running it on black
    images of two sizes.

    Args:
        module: any encoder that maps a batch to N x D.
        example: a batch that the module can take; needed if the module does not tell its width.

    Returns:
        D.

    Raises:
        ConfigError: the width cannot be found, or the module's output is not N x D.

    Example:
        >>> width_of(nn.Sequential(nn.Linear(8, 32), nn.ReLU()))
        32
        >>> width_of(nn.Flatten(), torch.zeros(1, 3, 4, 4))
        48
    """
    for attribute in ("width", "num_features"):
        value = getattr(module, attribute, None)
        if isinstance(value, int):
            return value
    if example is not None:
        return measured_width(module, example)
    found = (getattr(m, "out_features", None) for m in module.modules())
    widths = [value for value in found if isinstance(value, int)]
    if widths:
        return widths[-1]
    why = ""
    try:
        width = _of_any_image(module)
    except ConfigError as error:
        width, why = None, f"; {error}"
    if width is None:
        raise ConfigError(
            f"{type(module).__name__}: its feature width is unknown: give it an attribute `width` (encoder.width = 512, "
            f"where it gives N x 512){why}"
        )
    return width


CLASSES = 1000
"""Of ImageNet, by which a classifier that was left on is known."""
CLASSIFIERS = ("fc", "classifier", "head", "heads")


def classifier_of(module: nn.Module) -> str | None:
    """Where a classifier of ImageNet's classes stands on a module that was meant as an encoder; None where there is none.

    Example:
        >>> net = nn.Sequential()
        >>> net.classifier = nn.Sequential(nn.Dropout(), nn.Linear(8, 1000))
        >>> classifier_of(net)
        'classifier[1]'
    """
    linear = [(name, m) for name, m in module.named_modules() if isinstance(m, nn.Linear)]
    if not linear:
        return None
    name, last = linear[-1]
    parts = name.split(".")
    if last.out_features != CLASSES or parts[0] not in CLASSIFIERS or getattr(module, "width", CLASSES) != CLASSES:
        return None
    return "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts).removeprefix(".")


def _of_any_image(module: nn.Module) -> int | None:
    """The width of what begins with a convolution of images and ends with the same width whatever their size; else None."""
    first = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        return None
    try:
        widths = {measured_width(module, first.weight.new_zeros(1, first.in_channels, s, s)) for s in (64, 96)}
    except ConfigError:
        raise
    except Exception:  # a module of the user's may raise anything
        return None
    return widths.pop() if len(widths) == 1 else None


def measured_width(module: nn.Module, example: object) -> int:
    """Run the module on an example batch, in evaluation mode and without gradient, and read the width of what it gives.

    Raises:
        ConfigError: the output is not N x D.

    Example:
        >>> measured_width(nn.Flatten(), torch.zeros(1, 3, 4, 4))
        48
    """
    with resting(module), torch.no_grad():
        out = module(example)
    if not isinstance(out, Tensor) or out.ndim != 2:
        got = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise ConfigError(f"{type(module).__name__} gives {got}: an encoder gives N x D, add pooling or flattening")
    return out.shape[1]
