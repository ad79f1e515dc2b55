"""Eight numbers at a time: a type for the kernels whose rows are too short for what the compiler makes of a loop.

A loop over 32 numbers is vectorised, but pays for the question whether its arrays overlap and for the numbers left over.
Written in `Lanes` there is neither: a row's last vector may run over its end by seven numbers, for which the buffers have room.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from infomax.compiled.compiler import kernel

LANES = 8


class Lanes(types.Type):
    """Eight float32, in a register of the processor or in two."""

    def __init__(self) -> None:
        super().__init__(name="Lanes")


lanes = Lanes()
_NUMBER, _INDEX = ir.FloatType(), ir.IntType(32)
_VECTOR, _INDICES = (ir.VectorType(kind, LANES) for kind in (_NUMBER, _INDEX))


@register_model(Lanes)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)  # type: ignore[no-untyped-call]


def _shuffled(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INDEX, len(order)), order))


def _spread(builder: Any, x: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), x, ir.Constant(_INDEX, 0))
    return _shuffled(builder, one, one, [0] * LANES)


def _at(builder: Any, pointer: Any, kind: Any = _VECTOR) -> Any:
    return builder.bitcast(pointer, kind.as_pointer())


def _loaded(typing: Any, pointer: Any) -> Any:
    return lanes(pointer), lambda context, builder, signature, arguments: builder.load(
        _at(builder, arguments[0]), align=4
    )


def _stored(typing: Any, pointer: Any, x: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[1], _at(builder, arguments[0]), align=4)
        return context.get_dummy_value()

    return types.void(pointer, x), build


def _streamed(typing: Any, pointer: Any, x: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        stored = builder.store(arguments[1], _at(builder, arguments[0]), align=4 * LANES)
        stored.set_metadata("nontemporal", builder.module.add_metadata([_INDEX(1)]))
        return context.get_dummy_value()

    return types.void(pointer, x), build


def _fenced(typing: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), build


def _repeated(typing: Any, x: Any) -> Any:
    return lanes(x), lambda context, builder, signature, arguments: _spread(builder, arguments[0])


def _reversed(typing: Any, x: Any) -> Any:
    order = list(range(LANES))[::-1]
    return lanes(x), lambda context, builder, signature, arguments: _shuffled(
        builder, arguments[0], arguments[0], order
    )


def _sum(typing: Any, a: Any, b: Any) -> Any:
    return lanes(a, b), lambda context, builder, signature, arguments: builder.fadd(*arguments)


def _product(typing: Any, a: Any, b: Any) -> Any:
    return lanes(a, b), lambda context, builder, signature, arguments: builder.fmul(*arguments)


def _sum_of_product(typing: Any, a: Any, b: Any, c: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        name = f"llvm.fma.v{LANES}f32"
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)  # type: ignore[no-untyped-call]

    return lanes(a, b, c), build


def _picked(typing: Any, pointer: Any, places: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        numbers, indices = arguments[0], builder.load(_at(builder, arguments[1], _INDICES), align=4)
        if "+avx2" in context.codegen().magic_tuple()[2]:
            kind = ir.FunctionType(_VECTOR, [_VECTOR, _INDICES])
            permute = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx2.permps")  # type: ignore[no-untyped-call]
            return builder.call(permute, [builder.load(_at(builder, numbers), align=4), indices])
        out = ir.Constant(_VECTOR, ir.Undefined)
        indices = builder.and_(indices, ir.Constant(_INDICES, [LANES - 1] * LANES))
        for lane in range(LANES):
            place = ir.Constant(_INDEX, lane)
            x = builder.load(builder.gep(numbers, [builder.extract_element(indices, place)]))
            out = builder.insert_element(out, x, place)
        return out

    return lanes(pointer, places), build


def _unpacked(typing: Any, pixels: Any, out: Any, pitch: Any, gain: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pixels, out, pitch, gain = arguments
        octets = builder.load(_at(builder, pixels, ir.VectorType(ir.IntType(8), 3 * LANES)), align=1)
        gain = _spread(builder, gain)
        for colour in range(3):
            one = _shuffled(builder, octets, octets, list(range(colour, 3 * LANES, 3)))
            x = builder.sitofp(builder.zext(one, _INDICES), _VECTOR)
            builder.store(builder.fmul(x, gain), _at(builder, out), align=4)
            out = builder.gep(out, [pitch], inbounds=True)
        return context.get_dummy_value()

    return types.void(pixels, out, types.int64, types.float32), build


load: Any = intrinsic(_loaded)
"""`load(p)`: the eight numbers at a pointer."""
store: Any = intrinsic(_stored)
"""`store(p, x)`: write them."""
stream: Any = intrinsic(_streamed)
"""`stream(p, x)`: write them past the processor's caches; p is a multiple of 32 bytes."""
settle: Any = intrinsic(_fenced)
"""`settle()`: whatever was streamed is there for every thread."""
spread: Any = intrinsic(_repeated)
"""`spread(a)`: one number, eight times."""
turned: Any = intrinsic(_reversed)
"""`turned(x)`: the last one first."""
plus: Any = intrinsic(_sum)
"""`plus(x, y)`: the sums."""
times: Any = intrinsic(_product)
"""`times(x, y)`: the products."""
fused: Any = intrinsic(_sum_of_product)
"""`fused(x, y, z)`: x y + z, rounded once."""
pick: Any = intrinsic(_picked)
"""`pick(p, q)`: p[q[0]], ..., p[q[7]], each q in 0..7."""
unpack: Any = intrinsic(_unpacked)
"""`unpack(p, out, pitch, gain)`: the three colours of eight pixels, times the gain, to out, out + pitch, out + 2 pitch."""


@kernel
def whole(n: int) -> int:
    """Round n up to whole vectors."""
    return (n + LANES - 1) // LANES * LANES
