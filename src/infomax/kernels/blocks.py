"""What the kernels share: how large a block is, when e^T is safe as it stands, and where gradients are gathered."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from infomax.errors import DataError

BLOCK = {"cpu": 2**18}  # scores a block: 1 MiB of float32, which a core's second-level cache holds
BLOCK_ELSEWHERE = 2**24

WIDE = 32  # columns of an embedding from which on the matrix product takes most of the time

_PANEL = 128  # rows of a block that spans all columns: fewer, and a matrix product spends its time on packing


def size(like: Tensor) -> int:
    """Scores a block: with wide rows the product takes the time, and it likes larger blocks than the exponential."""
    block = BLOCK.get(like.device.type, BLOCK_ELSEWHERE)
    return block if like.shape[-1] < WIDE else 4 * block


def tiles(like: Tensor, m: int) -> Iterator[tuple[slice, slice]]:
    """Cut the scores of N rows with M others into blocks, row by row; `like` holds the N rows, N D."""
    n, block = len(like), size(like)
    side = math.isqrt(block) * (2 if like.shape[-1] < WIDE else 1)
    columns = -(-m // max(1, round(m / side)))  # equal widths near the side
    rows = max(1, min(n, block // columns))
    rows = -(-n // -(-n // rows))  # and equal heights
    for i in range(0, n, rows):
        for j in range(0, m, columns):
            yield slice(i, min(i + rows, n)), slice(j, min(j + columns, m))


def panels(like: Tensor, m: int) -> Iterator[slice]:
    """Cut N rows of M scores into blocks of whole rows; `like` holds the N rows, N D."""
    n, block = len(like), size(like)
    rows = min(n, max(1, block // m, min(_PANEL, block // 2**11)))
    for i in range(0, n, rows):
        yield slice(i, min(i + rows, n))


def columns_of(t: Tensor) -> Tensor:
    """N D -> D N, laid out so where D is small: a product wants its long side in memory order; else it wants whole rows."""
    return t.T.contiguous() if t.shape[1] < WIDE else t.T


def room(t: Tensor, wanted: bool) -> Tensor | None:
    """Room for a gradient: one D N a problem, laid out as `columns_of` has it."""
    *lead, n, d = t.shape
    count = math.prod(lead)
    if not wanted:
        return None
    return t.new_zeros(count, d, n) if d < WIDE else t.new_zeros(count, n, d).mT


def without_true_pairs(t: Tensor, rows: slice, columns: slice, value: float) -> None:
    """Overwrite the entries i = j of a block."""
    first, last = max(rows.start, columns.start), min(rows.stop, columns.stop)
    if first < last:
        t[first - rows.start : last - rows.start, first - columns.start : last - columns.start].diagonal().fill_(value)


def largest_score(left: Tensor, *rights: Tensor) -> float:
    """A bound of |T| over all pairs of rows: |T| <= |left| |right|; NaN where a row is."""
    norms = [t.square().sum(-1).amax() for t in (left, *rights)]
    return float((norms[0] * torch.stack(norms[1:]).amax()).sqrt())


def tame(largest: float, dtype: torch.dtype) -> bool:
    """Whether no e^T, nor a sum of N^2 of them, can leave the range of the type."""
    return largest <= math.log(torch.finfo(dtype).max) / 2.2


def check(name: str, left: Tensor, right: Tensor, *, rectangular: bool = False) -> tuple[Tensor, Tensor]:
    """Two factors of scores, in at least 32 bits; they must be `... N D` alike, or `... N D` and `... M D`."""
    fits = left.ndim >= 2 and left.dtype == right.dtype and left.is_floating_point()
    a, b = left.shape, right.shape
    if not fits or (a != b and not (rectangular and (a[:-2], a[-1]) == (b[:-2], b[-1]))):
        shapes = "... N D and ... M D" if rectangular else "... N D of one shape"
        raise DataError(f"{name}: need {shapes} and type, got {tuple(a)} {left.dtype} and {tuple(b)} {right.dtype}")
    if left.dtype in (torch.float16, torch.bfloat16):  # sums of exponentials of 8 bits hold nothing
        left, right = left.float(), right.float()
    return left, right


def traced(left: Tensor, right: Tensor) -> bool:
    """Whether a kernel is to be read by its formula: where torch takes it apart to compile or to transform it.

    torch.func knows no pass over blocks, and a compiler fuses the formula itself; scores of very many pairs would be too
    large a matrix to write out, and the compiler then breaks its graph around the kernel.

    Example:
        >>> norms = torch.func.vmap(lambda z: z.norm() if traced(z, z) else torch.zeros(()))
        >>> norms(torch.ones(2, 4, 1)), traced(torch.ones(4, 1), torch.ones(4, 1))
        (tensor([2., 2.]), False)
    """
    if torch.compiler.is_compiling():
        return left.shape[:-1].numel() * right.shape[-2] <= BLOCK_ELSEWHERE
    return bool(torch._C._are_functorch_transforms_active())


def exact(t: Tensor) -> Any:
    """The context in which a kernel computes: in the type of its input, whatever autocast would have."""
    return torch.autocast(t.device.type, enabled=False)


def by_formula(
    formula: Callable[..., Tensor | Sequence[Tensor]], upstream: Tensor | Sequence[Tensor], *inputs: Tensor | None
) -> list[Tensor | None]:
    """The gradients of a formula of the inputs (of several, if it gives several), themselves differentiable; None where an
    input wants none.
    """
    # other names of the inputs: one of them may be made of another, and its own gradient is then not the total one
    apart = [None if x is None else x.view_as(x) for x in inputs]
    wanted = [x for x in apart if x is not None and x.requires_grad]
    found = iter(torch.autograd.grad(formula(*apart), wanted, upstream, create_graph=True))
    return [next(found) if x is not None and x.requires_grad else None for x in inputs]


def diagonal(t: Tensor) -> Tensor:
    """Mask of the true pairs: ... N M -> N M."""
    return torch.eye(*t.shape[-2:], dtype=torch.bool, device=t.device)
