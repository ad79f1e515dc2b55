"""Branches in shards: each of n processes holds an n-th of weights, gradients and optimiser's state (torch's `fully_shard`).

For encoders that leave no room for a batch on one device. The numbers are those of one process, as without shards: a branch's
weights are gathered part by part as a pass comes to them, and let go again; gradients are averaged as they are cut. What comes
after the gathering of the embeddings (predictors, prototypes, queues, centres) is small, and whole in every process.

A run then has two learners: the one that climbs, in shards, and the user's own, whole and in the memory of the CPU, which
takes up the weights whenever they are written, and at the end. So a run's folder does not tell how it was computed, and
continues with any number of processes, in shards or without.
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
    """Refuse what shards cannot do.

    Raises:
        ConfigError: naming what can.

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

    A part is a module that its parent calls: a projector, or a block of an encoder. Layers alone are none (attention reads
    the weights of its last one without calling it), nor are lists of blocks (which parents go through by themselves).

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
    """A copy of a learner, its branches in shards over all processes, the rest of it whole in each.

    Args:
        learner: the same in every process; it stays as it is.
        device: of this process.

    Raises:
        ConfigError: branches that share weights, or a torch that has no shards there.
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
    """Copy the weights and buffers of a learner in shards into the whole one that it was made of; all processes at once."""
    if parts is learner:
        return
    for t, other in zip(
        (*learner.parameters(), *learner.buffers()), (*parts.parameters(), *parts.buffers()), strict=True
    ):
        t.copy_(whole(other))
