"""Sharded branches: each of n processes holds an n-th of the weights, gradients and optimiser state (torch's `fully_shard`).

For encoders too large to fit a device together with a batch. The numbers are those of one process, as without shards. A
branch's weights are gathered part by part when a pass reaches them, and freed again; gradients are averaged as they are
sharded. What follows the gathering of the embeddings (predictors, prototypes, queues, centres) is small, and complete
in every process.

A run then has two learners: the one that is trained, in shards, and the user's own, complete and in CPU memory. The
latter receives the weights whenever they are written, and at the end. So a run's folder does not depend on how it was
computed, and a run can be continued with any number of processes, with shards or without.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from infomax.errors import ConfigError, nearest
from infomax.heads import Branch, copied
from infomax.learner import Learner
from infomax.parallel import cut_as, mine, whole, world

Strategy = Literal["ddp", "fsdp"]
"""How several processes hold a learner: each all of it, or each a shard of its branches."""

UNIT = 1_000_000
"""Weights that are gathered at once, at the least: smaller parts of an encoder wait for each other, which costs time."""

ON_CPUS = hasattr(torch.cpu.Stream, "record_event")
"""Whether this torch cuts what lies on CPUs: 2.6 asks their streams for events that they do not have."""


def check(strategy: str, precision: str, compile: bool) -> None:
    """Refuse what does not work with shards.

    Raises:
        ConfigError: the message names what does.

    Example:
        >>> check("ddp", "16-mixed", True)
    """
    if strategy not in get_args(Strategy):
        raise ConfigError(f"no strategy {strategy!r}: {nearest(strategy, get_args(Strategy))}")
    if strategy == "fsdp" and precision == "16-mixed":
        raise ConfigError("strategy='fsdp' with precision='16-mixed': take bf16-mixed, or strategy='ddp'")
    if strategy == "fsdp" and compile:
        raise ConfigError("strategy='fsdp' does not compile its branches: leave compile out, or take strategy='ddp'")


def units(branch: nn.Module) -> list[nn.Module]:
    """The parts of a branch whose weights are gathered together, inner ones first, the branch itself last.

    A part is a module that its parent calls: a projector, or a block of an encoder. Single layers are not parts
    (attention reads the weights of its last layer without calling it), nor are lists of blocks (whose parents iterate
    over them).

    Example:
        >>> block = nn.TransformerEncoderLayer(256, 4, 2048)
        >>> [type(m).__name__ for m in units(nn.Sequential(block, nn.Linear(256, 8)))]
        ['TransformerEncoderLayer', 'Sequential']
    """
    found: list[nn.Module] = []

    def weights_left(m: nn.Module, top: bool = False) -> int:
        left = sum(p.numel() for p in m.parameters(recurse=False))
        if not isinstance(m, nn.MultiheadAttention):
            left += sum(weights_left(child) for child in m.children())
        called = any(True for _ in m.children()) and not isinstance(m, nn.Sequential | nn.ModuleList | nn.ModuleDict)
        if left >= UNIT and called and not top:
            found.append(m)
            return 0
        return left

    named = [name for name, _ in branch.named_parameters(remove_duplicate=False)]
    if len(named) == sum(1 for _ in branch.parameters()):  # a weight that two parts share is gathered with the whole
        if isinstance(branch, Branch):
            weights_left(branch.encoder)
            if sum(p.numel() for p in branch.projector.parameters()) >= UNIT:
                found.append(branch.projector)
        else:
            weights_left(branch, top=True)
    return [*found, branch]


def sharded(learner: Learner, device: torch.device) -> Learner:
    """A copy of a learner, with its branches sharded over all processes and the rest complete in each.

    Args:
        learner: the same in every process; it is not changed.
        device: device of this process.

    Raises:
        ConfigError: branches that share weights, or a torch version that has no shards for the device.
    """
    if device.type == "cpu" and not ON_CPUS:
        raise ConfigError(
            f"strategy='fsdp' on CPUs needs torch 2.7 or later, this is {torch.__version__}: take strategy='ddp'"
        )

    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    parts = copied(learner)
    branches = [b for b in (parts.f, parts.g) if b is not None]
    owned = [p for b in branches for p in b.parameters()]
    if len(owned) > len(set(owned)):
        raise ConfigError(f"strategy='fsdp': the branches of {learner.name!r} share weights; take strategy='ddp'")
    mesh = init_device_mesh(device.type, (world(),))
    for branch in branches:
        for unit in units(branch):
            # always let go after the forward pass: a branch that rests has no backward pass, and its target moves
            fully_shard(unit, mesh=mesh, reshard_after_forward=True)
    return parts.to(device)


@torch.no_grad()
def put(t: Tensor, values: Tensor) -> None:
    """Write all of a tensor, given the same in every process, into what may be shards of it."""
    mine(t).copy_(mine(cut_as(t, values)))


@torch.no_grad()
def take_up(learner: Learner, parts: Learner) -> None:
    """Copy the weights and buffers of a sharded learner into the complete one that it was made from; all processes at once."""
    if parts is learner:
        return
    for t, other in zip(
        (*learner.parameters(), *learner.buffers()), (*parts.parameters(), *parts.buffers()), strict=True
    ):
        t.copy_(whole(other))
