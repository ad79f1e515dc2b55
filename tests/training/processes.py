"""Every method for a few steps, by one process or by several; what comes out goes to a file.

torch.multiprocessing.spawn(work, (2, store, file), nprocs=2)
"""

from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

import infomax as im
from infomax import parallel
from infomax.parallel import local_slice, synchronized
from infomax.training import sharding

ROWS, WIDTH, STEPS = 48, 6, 4
SMALL = {"projector": (12, 8), "predictor": (10,), "prototypes": 7, "whitening_size": 12}
MORE = {
    "moco_v1": {"queue": 40, "both_ways": True},
    "moco_v2": {"queue": 100},
    "swav": {"queue": 60, "queue_epoch": 0, "freeze_epochs": 0},
    "dino": {"freeze_epochs": 0},
    "sdmi": {"every": "epoch"},
}


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, 3, 3), nn.BatchNorm1d(3, momentum=None), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.conv(x)
        return y


class NormAct(nn.BatchNorm1d):
    """A batch norm that ends on an activation, as timm has them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).relu()


class Ensemble(nn.Module):
    """A net with a convolution and both kinds of batch norm, one of them with a cumulative average, and one of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 9
        self.block = Block()
        self.out = nn.Sequential(nn.Linear(3 * (WIDTH - 2), 9), NormAct(9, affine=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.out(self.block(x.unsqueeze(1)).flatten(1))
        return y


def learners() -> dict[str, im.Learner]:
    made = {}
    for number, name in enumerate(sorted(im.methods.METHODS)):
        torch.manual_seed(number)
        known = im.methods.options(name)
        options = {k: v for k, v in SMALL.items() if k in known} | MORE.get(name, {})
        made[name] = im.methods.build(name, Ensemble(), **options).double()
    torch.manual_seed(99)
    critic = im.Bilinear(8)  # a learned critic, and a predictor for each of two encoders: used after the gathering
    branch = im.Branch(Ensemble(), (8,))
    net = im.mlp(8, 10, 8)
    made["own"] = im.Learner(
        branch, im.Twin("batch"), im.Alignment(critic), im.Predictor(net, twin=True), im.InfoNCE(critic), name="own"
    ).double()
    return made


def train(learner: im.Learner, *, shards: bool = False) -> dict[str, torch.Tensor]:
    """Losses, the gradients of every step, and the state at the end."""
    if shards:
        own, learner = learner, sharding.sharded(learner, torch.device("cpu"))
    torch.manual_seed(1)  # of the whitening's cuts
    views = torch.randn(STEPS, 3, ROWS, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    optimizer = torch.optim.SGD([p for p in learner.parameters() if p.requires_grad], lr=0.05, momentum=0.9)
    learner.train()
    found = {}
    multi_crop = 3 if learner.name in ("swav", "dino") else 2
    with synchronized(learner.f, learner.g):
        for k in range(STEPS):
            mine = [v[local_slice(ROWS)] for v in views[k][:multi_crop]]
            output = im.step(
                learner, mine, optimizer, im.Clock(k, STEPS, STEPS, k % 2 if learner.g else 0), clip_norm=2.0
            )
            found[f"loss {k}"], found[f"bound {k}"] = output.loss.detach(), output.bound.detach()
            graded = ((n, p.grad) for n, p in learner.named_parameters() if p.grad is not None)
            found |= {f"grad {k} {n}": parallel.whole(g).clone() for n, g in graded}
    if shards:
        assert all(parallel.is_shard(p) for b in (learner.f, learner.g) if b is not None for p in b.parameters())
        sharding.take_up(own, learner)
        learner = own
    return found | {f"state {n}": t.clone() for n, t in learner.state_dict().items()}


def everything(*, shards: bool = False) -> dict[str, dict[str, torch.Tensor]]:
    return {name: train(learner, shards=shards) for name, learner in learners().items()}


def said() -> dict[str, str]:
    """What a NaN in the last process's rows, a batch that does not divide, and slices that differ are said to be."""
    learner = learners()["simclr"]
    views = torch.zeros(2, ROWS, WIDTH, dtype=torch.float64).normal_(generator=torch.Generator().manual_seed(3))
    views[1, ROWS - 2] = float("nan")
    found = {}
    try:
        im.step(learner, [v[local_slice(ROWS)] for v in views], torch.optim.SGD(learner.parameters(), lr=0.1))
    except im.NumericsError as error:
        found["nan"] = str(error)
    try:
        im.training.feed.Feed(im.data.load("gaussians"), im.views.Gaussian(0.1), batch_size=5)
    except im.ConfigError as error:
        found["odd"] = str(error)
    uneven = torch.randn(
        2, 8 + 2 * parallel.rank(), WIDTH, dtype=torch.float64
    )  # as of a last batch that was not left out
    try:
        im.step(learner, list(uneven), torch.optim.SGD(learner.parameters(), lr=0.1))
    except im.DataError as error:
        found["uneven"] = str(error)
    return found


def skipped(rank: int) -> list[float | None]:
    """Averaged gradients of layers of one size, of which each of two processes has skipped another."""
    layers = [nn.Parameter(torch.zeros(1)) for _ in range(4)]
    for n, p in enumerate(layers[:3]):
        p.grad = None if n == 1 + rank else torch.full((1,), 10.0 + n)
    parallel.average_gradients(layers)
    return [None if p.grad is None else p.grad.item() for p in layers]


def of_every_type(rank: int) -> nn.Module:
    """A module whose buffers have the types that a backend may not speak."""
    net = nn.Module()
    for dtype in (torch.bool, torch.int16, torch.complex64, torch.float8_e4m3fn):
        net.register_buffer(str(dtype).rpartition(".")[2], torch.full((2, 1), 1.0 - rank).to(dtype))
    net.register_buffer("none", torch.zeros(0, 3, dtype=torch.int16))
    net.register_buffer("one", torch.tensor(1 - rank, dtype=torch.int16))
    parallel.same_start(net)
    return net


def work(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    assert (parallel.world(), parallel.rank()) == (world, rank)
    found, messages = everything(), said()
    sharding.UNIT = 1  # of these small nets the block, the encoder and the projector are gathered by themselves
    if sharding.ON_CPUS:
        found |= {f"{name} in shards": one for name, one in everything(shards=True).items()}
    net = nn.Linear(2, 2)
    parallel.same_start(net)
    started = {n: b.to(torch.complex64) for n, b in of_every_type(rank).named_buffers()}
    torch.save(
        {
            "found": found,
            "messages": messages,
            "start": net.weight.detach(),
            "skipped": skipped(rank),
            "types": started,
        },
        folder / f"{rank}.pt",
    )
    dist.barrier()
    dist.destroy_process_group()
