"""Several processes that compute what one would, on slices of one global batch.

1. Every process encodes its slice. Batch norm inside the branches takes its moments over all slices (`synchronized`).
2. The embeddings are gathered once, at (z, k), in the order of the global batch (`together`). From there on every process
   computes the same numbers on all rows: the objective, its predictor or prototypes, the queue, the centre.
3. The gradients are averaged over the processes (`average_gradients`); those of a branch that lies in shards already are
   (`infomax.training.sharding`).

Why the mean is exact: with W processes the gathering's backward pass *sums* the gradients of W equal losses, so that each
process holds W times the share of its slice, and the mean over processes is the sum of the shares. What is used after the
gathering (predictor, prototypes, a learned critic) has its whole gradient in every process, and the mean leaves it so.

With one process, or none launched, all of this does nothing. Collectives are torch.distributed's, on any backend.
"""

import functools
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from infomax.errors import DataError

Views = dict[int, Tensor]


def world() -> int:
    """W, the number of processes that train together.

    Example:
        >>> world(), rank()
        (1, 0)
    """
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process; 0 alone writes."""
    return dist.get_rank() if world() > 1 else 0


def launched_rank() -> int:
    """The number of this process by what torchrun or Fabric told it, before the processes have met; 0 where it was not told."""
    return int(os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or 0)


_LOST = re.compile(r"gloo/transport/|remote process exited|connection (closed|reset|refused)", re.IGNORECASE)
"""How gloo, which names the file that raised an error, and NCCL say that another process does not answer."""


def gone(error: BaseException) -> str | None:
    """Which other process could not be reached, by the error of a collective; None: it is another error, or there is none."""
    if world() == 1 or not isinstance(error, RuntimeError):
        return None
    met = isinstance(error, dist.DistNetworkError | dist.DistStoreError) or _LOST.search(str(error))
    if not met:
        return None
    others = [str(r) for r in range(world()) if r != rank()]  # it says no more than an address
    return f"process {others[0]}" if len(others) == 1 else f"one of the processes {', '.join(others)}"


def local_slice(rows: int) -> slice:
    """This process's rows of a global batch, which `rows` is the size of.

    Example:
        >>> local_slice(8)
        slice(0, 8, None)
    """
    each = rows // world()
    return slice(rank() * each, (rank() + 1) * each)


class _Gather(torch.autograd.Function):
    """... B D of every process -> ... W*B D; the gradient of a row is the sum of what all processes say of it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts, -2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        total = upstream.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[..., local_slice(total.shape[-2]), :]


class _Slices:
    even = False  # whether they are known to be


@contextmanager
def even_slices() -> Iterator[None]:
    """Slices are of one shape meanwhile, as a `Feed` cuts them, so that they need not be compared before they are gathered."""
    was, _Slices.even = _Slices.even, True
    try:
        yield
    finally:
        _Slices.even = was


def _alike(x: Tensor) -> None:
    """Refuse slices of other shapes, of which a backend makes wrong rows without a word, or ends the process."""
    sizes = torch.tensor([x.ndim, x.numel(), *x.shape[-2:]], device=x.device)
    most = torch.cat([sizes, -sizes])
    dist.all_reduce(most, dist.ReduceOp.MAX)
    if bool((most[:4] + most[4:]).any()):
        shapes = ", ".join(f"{tuple(shape[-2:])} in process {r}" for r, shape in enumerate(by_rank(tuple(x.shape))))
        raise DataError(
            f"slices of a batch that differ: embeddings of shape {shapes}: give every process as many rows, and leave out a "
            "last batch that does not divide (drop_last=True)"
        )


def gather_rows(x: Tensor) -> Tensor:
    """The rows of all processes, in the order of the global batch: ... B D -> ... W*B D; differentiable.

    Raises:
        DataError: another number of rows in another process, or another width.
    """
    if world() == 1:
        return x
    if not _Slices.even:
        _alike(x)
    rows: Tensor = _Gather.apply(x)
    return rows


def gathered(side: Views) -> Views:
    """One side of the whole global batch, all its views in one collective."""
    if world() == 1 or not side:
        return side
    return dict(zip(side, gather_rows(torch.stack(list(side.values()))).unbind(0), strict=True))


def together(z: Views, k: Views) -> tuple[Views, Views]:
    """Students and targets of the whole global batch, each side in one collective."""
    students = gathered(z)
    return students, students if k is z else gathered(k)


@torch.no_grad()
def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replace every gradient by its mean over the processes, in one collective a number type; shards have theirs."""
    if world() == 1 or not (whole_ones := [p for p in parameters if p.requires_grad and not is_shard(p)]):
        return
    by_type: dict[torch.dtype, list[Tensor]] = {}
    # an encoder that skips layers at random may have used one here alone: else one layer's gradient would meet another's
    somewhere = anywhere(*(p.grad is not None for p in whole_ones), device=whole_ones[0].device)
    for p, graded in zip(whole_ones, somewhere, strict=True):
        if graded:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
            by_type.setdefault(p.grad.dtype, []).append(p.grad)
    for grads in by_type.values():
        flat = torch.cat([g.flatten() for g in grads])
        dist.all_reduce(flat)
        flat /= world()
        parts = torch.split(flat, [g.numel() for g in grads])
        torch._foreach_copy_(grads, [part.view(g.shape) for part, g in zip(parts, grads, strict=True)])


def is_shard(t: Tensor) -> bool:
    """Whether this process holds only a part of a tensor."""
    return hasattr(t, "to_local")


def mine(t: Tensor) -> Tensor:
    """The part of a tensor that lies in this process, in place: all of it, unless it lies in shards.

    Example:
        >>> mine(torch.ones(2))
        tensor([1., 1.])
    """
    if not is_shard(t):
        return t
    with torch.no_grad():
        part: Tensor = t.to_local()  # type: ignore[attr-defined]
    return part


def whole(t: Tensor) -> Tensor:
    """All of a tensor, in every process."""
    if not is_shard(t):
        return t
    every: Tensor = t.full_tensor()  # type: ignore[attr-defined]
    return every


def cut_as(t: Tensor, values: Tensor) -> Tensor:
    """All of a tensor's values, the same in every process, cut into shards as that tensor is."""
    if not is_shard(t):
        return values
    from torch.distributed.tensor import distribute_tensor

    cut: Tensor = distribute_tensor(values.to(t.device, t.dtype), t.device_mesh, t.placements)  # type: ignore[attr-defined]
    return cut


def total_norm(tensors: list[Tensor]) -> Tensor:
    """The Euclidean norm of some tensors together, of shards the parts in other processes too.

    Example:
        >>> total_norm([torch.tensor([3.0]), torch.tensor([[4.0]])])
        tensor(5.)
    """
    if not tensors:
        return torch.zeros(())
    shards = [mine(t) for t in tensors if is_shard(t)]
    if not shards:
        norm: Tensor = torch.stack(torch._foreach_norm(tensors)).norm()
        return norm
    square = torch.stack(torch._foreach_norm(shards)).square().sum()
    dist.all_reduce(square)
    rest = total_norm([t for t in tensors if not is_shard(t)]).to(square)
    return torch.hypot(square.sqrt(), rest)


@torch.no_grad()
def same_start(module: nn.Module) -> None:
    """Give every process the weights and buffers of the first one."""
    if world() > 1:
        for t in (*module.parameters(), *module.buffers()):
            t.copy_(from_first(t.detach().contiguous()))


def from_first(t: Tensor) -> Tensor:
    """What the first process has drawn, in all of them: their generators differ, so that their dropout does."""
    if world() == 1:
        return t
    # nccl speaks between GPUs alone, gloo between any; and neither has every number type, but both have bytes
    sent = t.cuda() if dist.get_backend() == "nccl" else t
    dist.broadcast(sent.reshape(-1).view(torch.uint8), src=0)
    return sent.to(t.device)


def anywhere(*flags: bool, device: torch.device | str = "cpu") -> list[bool]:
    """Of each flag, whether any process raises it."""
    if world() == 1:
        return list(flags)
    raised = torch.tensor(flags, dtype=torch.float32, device=device)
    dist.all_reduce(raised, dist.ReduceOp.MAX)
    return [bool(up) for up in raised.tolist()]


def by_rank(value: Any) -> list[Any]:
    """What every process has to say, in order of rank."""
    if world() == 1:
        return [value]
    values: list[Any] = [None] * world()
    dist.all_gather_object(values, value)
    return values


class _Normalize(torch.autograd.Function):
    """(x - mean) / sqrt(var + eps), the moments over the rows of all processes: N C ... -> N C ..."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        dims, shape = [0, *range(2, x.ndim)], [1, -1] + [1] * (x.ndim - 2)
        sums = torch.cat([x.sum(dims), x.new_tensor([x.numel() / x.shape[1]])])
        dist.all_reduce(sums)
        count, mean = sums[-1], sums[:-1] / sums[-1]
        # a second collective rather than E[x^2] - mean^2, which cancels where the mean is large
        squares = (x - mean.view(shape)).square().sum(dims)
        dist.all_reduce(squares)
        var = squares / count
        scale = (var + eps).rsqrt()
        y = (x - mean.view(shape)) * scale.view(shape)
        ctx.save_for_backward(y, scale, count)
        ctx.mark_non_differentiable(mean, var, count)
        return y, mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, *_: Any) -> tuple[Tensor, None]:
        y, scale, count = ctx.saved_tensors
        dims, shape = [0, *range(2, y.ndim)], [1, -1] + [1] * (y.ndim - 2)
        sums = torch.stack([upstream.sum(dims), (upstream * y).sum(dims)])
        dist.all_reduce(sums)
        mean, along = (sums / count).unbind(0)
        return (upstream - mean.view(shape) - y * along.view(shape)) * scale.view(shape), None


def _shared_batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm`, its moments over the rows of all processes."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
    wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
    y, mean, var, count = _Normalize.apply(wide, eps)
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((var * count / (count - 1)).to(running_var.dtype), momentum)
    shape = [1, -1] + [1] * (x.ndim - 2)
    if weight is not None:
        y = y * weight.view(shape)
    if bias is not None:
        y = y + bias.view(shape)
    out: Tensor = y.to(x.dtype)
    return out


class _SharedMoments(TorchFunctionMode):
    """What calls `F.batch_norm` meanwhile takes the moments of all processes."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (_shared_batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))


def _batch_norm(module: _BatchNorm, x: Tensor) -> Tensor:
    """A batch norm's own forward pass, with what its class does beside (timm's end on an activation)."""
    # torch's synchronised one refuses a CPU
    forward = _BatchNorm.forward if type(module) is nn.SyncBatchNorm else type(module).forward
    with _SharedMoments():
        return forward(module, x)


def _torch_sync(module: _BatchNorm) -> Any:
    """torch's own synchronised batch norm (CUDA only), on the same parameters and buffers."""
    twin = nn.SyncBatchNorm.convert_sync_batchnorm(module)  # type: ignore[no-untyped-call]

    def forward(x: Tensor) -> Tensor:
        twin._parameters.update(module._parameters)  # those of now: of a branch in shards they are made for each pass
        out: Tensor = twin.train(module.training)(x)
        return out

    return forward


@contextmanager
def synchronized(*branches: nn.Module | None) -> Iterator[None]:
    """Batch norms of these modules take their moments over all processes; afterwards they are plain ones again.

    torch's SyncBatchNorm does not run on CPU, so there (and on gloo) the moments are summed here; on CUDA with NCCL they
    are torch's. The modules stay the same objects, so that optimisers, copies and checkpoints see no difference.
    """
    norms: list[_BatchNorm] = []
    if world() > 1:
        found = (m for b in branches if b is not None for m in b.modules())
        norms = list(dict.fromkeys(m for m in found if isinstance(m, _BatchNorm)))
    for m in norms:
        fused = dist.get_backend() == "nccl" and type(m).forward is _BatchNorm.forward
        m.forward = _torch_sync(m) if fused else functools.partial(_batch_norm, m)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for m in norms:
            del m.__dict__["forward"]
