"""What is written in vectors by hand, since the compiler does not find it: four pixels of three colours at a time."""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_PIXELS = 4


def _stretched(typing: Any, row: Any, first: Any, weight: Any, second: Any, out: Any, plane: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, first, weight, second, out, plane = arguments
        index, four = ir.IntType(64), ir.VectorType(ir.FloatType(), _PIXELS)
        number = ir.IntType(32)
        name = f"llvm.fma.v{_PIXELS}f32"
        kind = ir.FunctionType(four, [four] * 3)
        fused = cgutils.get_or_insert_function(builder.module, kind, name)  # type: ignore[no-untyped-call]

        def vector(pointer: Any) -> Any:
            return builder.bitcast(pointer, four.as_pointer())

        def spread(number: Any) -> Any:
            one = builder.insert_element(ir.Constant(four, ir.Undefined), number, ir.Constant(ir.IntType(32), 0))
            return shuffled(one, one, 0, 0, 0, 0)

        def shuffled(a: Any, b: Any, *lanes: int) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(number, _PIXELS), lanes))

        pixels = []
        for k in range(_PIXELS):
            place = ir.Constant(index, k)
            at = builder.sext(builder.load(builder.gep(first, [place])), index)
            left = builder.gep(row, [at], inbounds=True)
            right = builder.gep(left, [ir.Constant(index, 3)], inbounds=True)
            w0, w1 = (spread(builder.load(builder.gep(w, [place]))) for w in (weight, second))
            a, b = (builder.load(vector(p), align=4) for p in (left, right))
            pixels.append(builder.call(fused, [w0, a, builder.fmul(w1, b)]))
        (low, high), (low2, high2) = (
            (shuffled(a, b, 0, 4, 1, 5), shuffled(a, b, 2, 6, 3, 7)) for a, b in (pixels[:2], pixels[2:])
        )
        red, green = shuffled(low, low2, 0, 1, 4, 5), shuffled(low, low2, 2, 3, 6, 7)
        blue = shuffled(high, high2, 0, 1, 4, 5)
        for colour in (red, green, blue):
            builder.store(colour, vector(out), align=4)
            out = builder.gep(out, [plane], inbounds=True)
        return context.get_dummy_value()

    return types.void(row, first, weight, second, out, types.int64), build


stretch_four: Any = intrinsic(_stretched)
"""`stretch_four(row, first, weight, second, out, plane)`: four pixels of a stretched row, their colours taken apart.

`out[c plane + o] = weight[o] row[first[o] + c] + second[o] row[first[o] + 3 + c]`. The colours of a pixel lie side by side
and are read as one vector (with one number to spare), which the compiler does not find by itself.
"""
