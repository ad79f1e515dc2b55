"""How the kernels are compiled: numba, without the interpreter lock, cached beside the package.

- Multiply-adds are fused where the source says `fma`, and nowhere else; no sum is reordered. Which products a compiler
  fuses by itself depends on what it inlines where, so a kernel fresh from it and the same one from the cache would
  differ in the last bit. Said in the source, they give the same bytes in every process and on every processor that has
  the instruction (x86 since 2013, every 64-bit ARM). What is `summing` is excepted: the metric's readings, by which
  nothing is trained.
- Kernels see memory as raw pointers (`Floats`, `Octets`): an array's slices count references and fix up negative
  indices, which here costs a third of the time. Whoever calls a kernel keeps the arrays alive.
"""

import hashlib
import importlib.util
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numba import njit, types
from numba.core import event
from numba.extending import intrinsic
from numpy.typing import NDArray

from infomax.compiled import Compiling, uncollected
from infomax.errors import warn

Floats = NDArray[np.float32]
Octets = NDArray[np.uint8]
Words = NDArray[np.int32]
Halves = NDArray[np.uint16]
"""bfloat16, by its bits."""

_P = ParamSpec("_P")
_R = TypeVar("_R")
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False, "fastmath": False}
# fastmath is said: what says nothing takes its first caller's, and a `summing` one would then reorder what rounds on purpose.
_ENTRY: dict[str, Any] = {**_OPTIONS, "no_cfunc_wrapper": True}
_KERNEL: dict[str, Any] = {**_ENTRY, "no_cpython_wrapper": True}

_logger = logging.getLogger("infomax.compiled")


def _import_arrays() -> None:
    """Import what numba knows of arrays, without SciPy's linear algebra: a quarter of a cached start.

    numba imports that only to ask whether it is there, and asks again where somebody compiles `np.dot`; no kernel here does.
    """
    from numba.np import linalg

    arrays, question = "numba.np.arraymath", getattr(linalg, "ensure_blas", None)
    if question is None or arrays in sys.modules or importlib.util.find_spec("scipy") is None:
        return
    linalg.ensure_blas = lambda: None
    try:
        importlib.import_module(arrays).ensure_blas = question  # type: ignore[attr-defined]
    finally:
        linalg.ensure_blas = question


with uncollected():
    _import_arrays()


def kernel(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile what other kernels call, when it is first called."""
    return njit(**_KERNEL)(function)  # type: ignore[no-any-return]


def part(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile as a part of the one kernel that calls it: a kernel is optimised anew in everything that calls it.

    For what is long and calls others. Short loops as parts take longer: the longer a function, the slower each of its lines.
    """
    return njit(**_OPTIONS, inline="always")(function)  # type: ignore[no-any-return]


def summing(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Compile what may take its sums in any order, and so several numbers at a time; other kernels call it."""
    return njit(**(_OPTIONS | {"fastmath": {"reassoc", "contract", "nsz"}}))(function)  # type: ignore[no-any-return]


def entry(function: Callable[_P, _R], *, cache: bool = True, what: str = "a kernel") -> Callable[_P, _R]:
    """Compile what Python calls, and keep the machine code on disk where a folder can be written."""
    try:
        return njit(**_ENTRY, cache=cache)(function)  # type: ignore[no-any-return]
    except RuntimeError as error:
        warn(
            f"every process compiles {what} anew ({error}): set NUMBA_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
        )
        return njit(**_ENTRY)(function)  # type: ignore[no-any-return]


def constant(value: int) -> int:
    """A whole number for kernels: they are compiled anew for each of Python's own that they are given, not for numpy's."""
    return np.int64(value)  # type: ignore[return-value]


def fingerprint(source: str) -> int:
    """Hash a source file's folder and this one.

    numba's cache looks at the file of the entry point alone; an entry point that closes over this number is
    compiled again when any of the kernels that it calls has changed.
    """
    digest = hashlib.sha256()
    for folder in (Path(source).parent, Path(__file__).parent):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7])


class _Announcement(event.Listener):
    """Say once that something is compiled, when it is (a cached kernel sends no event)."""

    def __init__(self, what: str) -> None:
        self.what, self.said = what, False

    def on_start(self, event: Any) -> None:
        if not self.said:
            _logger.warning("compiling %s; later processes find it on disk", self.what)
        self.said = True

    def on_end(self, event: Any) -> None:
        """Nothing to say."""


@contextmanager
def announced(what: str) -> Iterator[None]:
    """Log one line if the block compiles anything, and note how long that took."""
    heard, clock, processor = _Announcement(what), time.perf_counter(), time.thread_time()
    try:
        with event.install_listener("numba:compile", heard):
            yield
    finally:
        if heard.said:
            Compiling.clock += time.perf_counter() - clock
            Compiling.processor += time.thread_time() - processor


def ready(declare: Callable[..., _R], run: Callable[[_R], object], what: str, seconds: int) -> _R:
    """Declare entry points and compile them, or read them from the cache, before any thread needs them.

    Args:
        declare: called with `cache` and `what`, hands both and its entry points to `entry`.
        run: calls each once, with the types that every later call has.
        what: the kernels, for the user.
        seconds: that they take, about.
    """
    with uncollected(), announced(f"{what} (some {seconds} seconds)"):
        try:
            program = declare(cache=True, what=what)
            run(program)
        except OSError as error:
            warn(f"every process compiles {what} anew: they cannot be kept ({error})", RuntimeWarning)
            program = declare(cache=False, what=what)
            run(program)
    return program


def _pointer_to(item: Any) -> Any:
    pointer: Any = types.CPointer(item)  # type: ignore[no-untyped-call]

    def typed(typing: Any, address: Any) -> Any:
        return pointer(address), lambda context, builder, signature, arguments: builder.inttoptr(
            arguments[0], context.get_value_type(pointer)
        )

    return intrinsic(typed)


def _moved(typing: Any, pointer: Any, count: Any) -> Any:
    return pointer(pointer, count), lambda context, builder, signature, arguments: builder.gep(
        arguments[0], [arguments[1]], inbounds=True
    )


floats: Callable[[int], Floats] = _pointer_to(types.float32)
octets: Callable[[int], Octets] = _pointer_to(types.uint8)
words: Callable[[int], Words] = _pointer_to(types.int32)
halves: Callable[[int], Halves] = _pointer_to(types.uint16)
"""From an address to a pointer."""


def _multiplied_and_added(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return a(a, a, a), lambda context, builder, signature, arguments: builder.fma(*arguments)


fma: Any = intrinsic(_multiplied_and_added)
"""`fma(a, b, c)`: a b + c, rounded once."""


def _bits(typing: Any, x: Any) -> Any:
    return types.uint32(types.float32), lambda context, builder, signature, arguments: builder.bitcast(
        arguments[0], context.get_value_type(types.uint32)
    )


bits: Any = intrinsic(_bits)
"""The 32 bits of a number."""


def _has_sign(typing: Any, x: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = context.get_value_type(types.int32)
        return builder.icmp_signed("<", builder.bitcast(arguments[0], word), word(0))

    return types.boolean(x), build


negative: Any = intrinsic(_has_sign)
"""Whether a number's sign is minus: on vectors no comparison is needed for that."""


shift: Any = intrinsic(_moved)
"""`shift(p, n)`: the pointer n numbers further on."""

NEXT = constant(1)
"""A step of one number."""

LINE = 16
"""Numbers in a cache line."""


@kernel
def lines(n: int) -> int:
    """Round n up to whole cache lines."""
    return (n + LINE - 1) // LINE * LINE
