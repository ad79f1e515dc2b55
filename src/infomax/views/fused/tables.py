"""What crosses from Python into the kernels: tables of records."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from infomax.views.image import ImageView, Params

_FACTORS = ("brightness", "contrast", "saturation", "hue")

RULE = np.dtype(
    [
        ("cropped", "i8"),
        *[(name, "f8") for name in ("scale", "scale_span", "log_ratio", "log_ratio_span", "narrowest", "flattest")],
        *[(name, "f8") for name in ("flip", "jittered", "gray", "blurred", "sigma", "sigma_span", "solarize")],
        *[(name + end, "f8") for name in _FACTORS for end in ("", "_span")],
    ]
)
"""An `ImageView` in numbers: a range is its low end and its span."""

DRAWN = np.dtype(
    [
        *[(name, "i4") for name in ("top", "left", "height", "width", "order", "flip", "gray", "solarize")],
        *[(name, "f4") for name in (*_FACTORS, "sigma")],
    ]
)
"""What was drawn for one view of one image: a row of `Params`."""

CANVAS = np.dtype(
    [(name, "i8") for name in ("address", "size", "radius", "channels_last", "half")] + [("threshold", "f8")]
)
"""Where a view goes, and what does not depend on the sample: S, the blur's reach, the solarization threshold."""

IMAGE = np.dtype([("address", "i8"), ("height", "i8"), ("width", "i8")])
"""Where an image lies: height x width x channels bytes."""

_PLACES = torch.tensor([0, 2, 4, 6])


@lru_cache(maxsize=16)
def rules(specs: tuple[ImageView, ...]) -> NDArray[np.void]:
    """Write views as rules; only to be read."""
    table = np.zeros(len(specs), RULE)
    for rule, spec in zip(table, specs, strict=True):
        scale = spec.scale or (1.0, 1.0)
        low, high = math.log(spec.ratio[0]), math.log(spec.ratio[1])
        rule["cropped"] = spec.scale is not None
        rule["scale"], rule["scale_span"] = scale[0], scale[1] - scale[0]
        rule["log_ratio"], rule["log_ratio_span"] = low, high - low
        rule["narrowest"], rule["flattest"] = spec.ratio
        rule["flip"], rule["jittered"], rule["gray"] = spec.flip, spec.jitter_p, spec.gray
        rule["blurred"], rule["solarize"] = spec.blur, spec.solarize
        rule["sigma"], rule["sigma_span"] = spec.sigma[0], spec.sigma[1] - spec.sigma[0]
        for name, strength, neutral in zip(_FACTORS, spec.jitter, (1.0, 1.0, 1.0, 0.0), strict=True):
            start = -strength if name == "hue" else max(1.0 - strength, 0.0)
            rule[name], rule[name + "_span"] = start, (neutral + strength) - start
    return table


def canvases(specs: Sequence[ImageView], outputs: Sequence[Tensor]) -> NDArray[np.void]:
    """Describe the batches that the views are written into."""
    table = np.zeros(len(specs), CANVAS)
    for k, (spec, out) in enumerate(zip(specs, outputs, strict=True)):
        radius = min(spec.kernel // 2, spec.size - 1)
        half = out.dtype == torch.bfloat16
        table[k] = (out.data_ptr(), spec.size, radius, not out.is_contiguous(), half, spec.threshold)
    return table


def images(batch: Tensor | list[Tensor]) -> NDArray[np.void]:
    """Note where the images lie; the tensors must be contiguous and must outlive the table."""
    table = np.empty(len(batch), IMAGE)
    if isinstance(batch, Tensor):
        step = batch[0].numel() if len(batch) else 0
        table["address"] = batch.data_ptr() + step * np.arange(len(batch))
        table["height"], table["width"] = batch.shape[1:3]
    else:
        for i, image in enumerate(batch):
            table[i] = (image.data_ptr(), *image.shape[:2])
    return table


def pack(params: Params) -> NDArray[np.void]:
    """`Params` of N samples as N records."""
    table = np.empty(len(params.crop), DRAWN)
    for name, column in zip(("top", "left", "height", "width"), params.crop.cpu().unbind(dim=1), strict=True):
        table[name] = column
    for name, column in zip(_FACTORS, params.factor.cpu().unbind(dim=1), strict=True):
        table[name] = column
    table["order"] = (params.order.cpu() << _PLACES).sum(dim=1)
    for name in ("flip", "gray", "sigma", "solarize"):
        table[name] = getattr(params, name).cpu()
    return table


def unpack(table: NDArray[np.void]) -> Params:
    """N records as `Params`."""
    columns = {name: torch.from_numpy(table[name].copy()) for name in DRAWN.names or ()}
    return Params(
        crop=torch.stack([columns[name] for name in ("top", "left", "height", "width")], dim=1).to(torch.int64),
        flip=columns["flip"] != 0,
        order=(columns["order"].to(torch.int64)[:, None] >> _PLACES) & 3,
        factor=torch.stack([columns[name] for name in _FACTORS], dim=1),
        gray=columns["gray"] != 0,
        sigma=columns["sigma"],
        solarize=columns["solarize"] != 0,
    )


def numbers(table: NDArray[np.void]) -> NDArray[np.float32]:
    """Records of any shape as the columns of `dense.unpack`, one more axis at the end: whole numbers and bits as floats."""
    order = [(table["order"].astype(np.int64) >> 2 * place) & 3 for place in range(4)]
    names = ("top", "left", "height", "width", "flip", None, *_FACTORS, "gray", "sigma", "solarize")
    columns: list[NDArray[np.generic]] = []
    for name in names:
        columns += order if name is None else [table[name]]
    return np.stack([column.astype(np.float32) for column in columns], axis=-1)
