"""What is drawn for a view, equal to the bit to `infomax.views.image.draw`: the same words hashed, the same roundings."""

import math
from itertools import permutations

import numpy as np

from infomax.compiled.compiler import constant, kernel

_U = np.uint64
GOLDEN, _FIRST, _SECOND = _U(0x9E3779B97F4A7C15), _U(0xBF58476D1CE4E5B9), _U(0x94D049BB133111EB)
_TRIES = 10
_DOWN, _ACROSS, _FLIP, _JITTERED, _FACTOR, _ORDER, _GRAY, _BLURRED, _SIGMA, _SOLARIZE = (
    constant(2 * _TRIES + slot) for slot in (0, 1, 2, 3, 4, 8, 9, 10, 11, 12)
)
_CODES = np.array([sum(which << 2 * place for place, which in enumerate(p)) for p in permutations(range(4))])
"""The orders of the colour operations: two bits a place, the first operation lowest."""


@kernel
def mix(z: np.uint64) -> np.uint64:
    """Scramble 64 bits (see `rng.mix`)."""
    z = (z ^ (z >> _U(30))) * _FIRST
    z = (z ^ (z >> _U(27))) * _SECOND
    return z ^ (z >> _U(31))


@kernel
def uniform(key: np.uint64, slot: int) -> float:
    """Draw the number of one slot (see `rng.uniform`)."""
    return float(mix(key + _U(slot + 1) * GOLDEN) >> _U(40)) * 2.0**-24


@kernel
def exp(x: float) -> float:
    """Exponential from products and sums (see `rng.exp`)."""
    step = x * 0.0625
    total = 1.0
    for k in range(14, 0, -1):
        total = 1.0 + total * step * (1.0 / k)
    for _ in range(4):
        total = total * total
    return total


@kernel
def draw_crop(rule: np.record, key: np.uint64, height: int, width: int, drawn: np.record) -> None:
    """Place the crop: up to ten tries, else the largest centred one whose ratio is allowed."""
    for attempt in range(_TRIES):
        area = height * width * (rule.scale + rule.scale_span * uniform(key, 2 * attempt))
        aspect = exp(rule.log_ratio + rule.log_ratio_span * uniform(key, 2 * attempt + 1))
        w, h = int(np.rint(math.sqrt(area * aspect))), int(np.rint(math.sqrt(area / aspect)))
        if 0 < w <= width and 0 < h <= height:
            drawn.top = int(uniform(key, _DOWN) * (height - h + 1))
            drawn.left = int(uniform(key, _ACROSS) * (width - w + 1))
            drawn.height, drawn.width = h, w
            return
    h, w = height, width
    if width / height < rule.narrowest:
        h = int(np.rint(width / rule.narrowest))
    if width / height > rule.flattest:
        w = int(np.rint(height * rule.flattest))
    drawn.top, drawn.left = (height - h) // 2, (width - w) // 2
    drawn.height, drawn.width = h, w


@kernel
def draw_view(rule: np.record, key: np.uint64, height: int, width: int, drawn: np.record) -> None:
    """Fill the record of one view of one image."""
    if rule.cropped:
        draw_crop(rule, key, height, width, drawn)
    else:
        drawn.top, drawn.left, drawn.height, drawn.width = 0, 0, height, width
    drawn.flip = uniform(key, _FLIP) < rule.flip
    if uniform(key, _JITTERED) < rule.jittered:
        drawn.brightness = rule.brightness + rule.brightness_span * uniform(key, _FACTOR)
        drawn.contrast = rule.contrast + rule.contrast_span * uniform(key, _FACTOR + 1)
        drawn.saturation = rule.saturation + rule.saturation_span * uniform(key, _FACTOR + 2)
        drawn.hue = rule.hue + rule.hue_span * uniform(key, _FACTOR + 3)
    else:
        drawn.brightness, drawn.contrast, drawn.saturation, drawn.hue = 1.0, 1.0, 1.0, 0.0
    drawn.order = _CODES[int(uniform(key, _ORDER) * 24)]
    drawn.gray = uniform(key, _GRAY) < rule.gray
    blurred = uniform(key, _BLURRED) < rule.blurred
    drawn.sigma = rule.sigma + rule.sigma_span * uniform(key, _SIGMA) if blurred else 0.0
    drawn.solarize = uniform(key, _SOLARIZE) < rule.solarize
