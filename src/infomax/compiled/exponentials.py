"""2^x and log y by polynomials, which a processor takes of 8 or 16 numbers at a time; their relative error is below 2e-7."""

import math
from typing import Any

import numpy as np

from infomax.compiled.compiler import fma, kernel

LOG2_E = 1 / math.log(2)
NOTHING = -125.0
"""The score, over log 2, of what is to be left out: 2^-125."""

_ROUND, _ONE, _LN2 = np.float32(1.5 * 2**23), np.float32(1.0), np.float32(math.log(2))
_BITS, _MANTISSA = np.int32(23), np.int32(0x7FFFFF)
_ROOT_HALF = np.int32(0x3F3504F3)  # the bits of sqrt(1/2)
# minimax polynomials of 2^r on [-1/2, 1/2] and of log(1 + m) / m on [sqrt(1/2) - 1, sqrt(2) - 1]
_E = tuple(
    np.float32(c)
    for c in (
        *(1.0000000716546849, 0.6931469670647605, 0.24022119723840046),
        *(0.055507132734977614, 0.009675541334451691, 0.0013276471992602875),
    )
)
_L = tuple(
    np.float32(c * math.log(2))
    for c in (
        *(1.4426947734743076, -0.721357121420868, 0.4809393922576598, -0.36008812034651955),
        *(0.28670853201096336, -0.2500611715659197, 0.23688254026167996, -0.14575765048065115),
    )
)


@kernel
def exp2(x: Any) -> Any:
    """2^x, |x| < 126."""
    shifted = np.float32(x + _ROUND)
    r = np.float32(x - np.float32(shifted - _ROUND))
    p = fma(fma(fma(fma(fma(_E[5], r, _E[4]), r, _E[3]), r, _E[2]), r, _E[1]), r, _E[0])
    return np.int32(np.float32(p).view(np.int32) + np.int32(shifted.view(np.int32) << _BITS)).view(np.float32)


@kernel
def log(y: Any) -> Any:
    """log y, y >= 1."""
    b = np.int32(np.float32(y).view(np.int32) - _ROOT_HALF)
    m = np.int32((b & _MANTISSA) + _ROOT_HALF).view(np.float32) - _ONE
    p = fma(fma(fma(_L[7], m, _L[6]), m, _L[5]), m, _L[4])
    p = fma(fma(fma(fma(p, m, _L[3]), m, _L[2]), m, _L[1]), m, _L[0])
    return fma(np.float32(np.int32(b >> _BITS)), _LN2, p * m)
