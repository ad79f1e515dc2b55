"""Peak memory of a training step: every live tensor counted, weights, momentum, gradients, views and activations.

    python benchmarks/memory.py --json benchmarks/results/memory.json

Tensors are fake (they have shapes and lifetimes and no numbers), so that a batch of 256 at 224 px is counted on any machine;
`--real` counts a small one both ways and must find the same bytes. Workspaces inside a kernel are not seen. The peak is
that of the second step, when the optimizer has its momentum; the two-encoder prototype is counted in its E- and its
M-step, and the larger stands.
"""

import argparse
import copy
import json
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from origin import origin
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

import infomax as im
from infomax.marginal import partition
from infomax.target import Apart

Climb = Callable[[im.Learner, list[Tensor], im.Clock], Any]


@dataclass(frozen=True)
class Setting:
    encoder: str
    size: int
    batch: int


SETTINGS = (Setting("resnet18", 32, 512), Setting("resnet50", 224, 256), Setting("resnet50", 224, 64))
SMALL = Setting("resnet8", 32, 256)


class Live(TorchDispatchMode):
    """Bytes of the storages that are alive, and the most there were."""

    def __init__(self) -> None:
        super().__init__()
        self.known = WeakIdKeyDictionary()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for t in tree_leaves((args, kwargs, out)):
            if isinstance(t, Tensor):
                self.see(t)
        return out

    def see(self, t: Tensor) -> None:
        storage = t.untyped_storage()
        if storage not in self.known:
            self.known[storage] = True
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.gone, storage.nbytes())

    def gone(self, nbytes: int) -> None:
        self.now -= nbytes


def by_view(learner: im.Learner, views: list[Tensor], clock: im.Clock) -> None:
    """As the engine does it."""
    learner.climb(views, clock)


def at_once(learner: im.Learner, views: list[Tensor], clock: im.Clock) -> None:
    """Both views in one graph, the targets without one."""
    learner(views, clock).loss.backward()


def as_written(learner: im.Learner, views: list[Tensor], clock: im.Clock) -> None:
    """Algorithm 1 as it stands: both encoders look with a graph, and SG(.) detaches what one of them saw."""
    assert isinstance(learner.target, Apart)
    climbs, rests = learner.target.branches(learner.f, learner.g, clock)
    z = {i: climbs(v) for i, v in enumerate(views)}
    k = {i: rests(v) for i, v in enumerate(views)}
    bound = learner.score(z, {i: v.detach() for i, v in k.items()}, clock)
    learner.loss(bound, len(views[0])).backward()


def again(learner: im.Learner, views: list[Tensor], clock: im.Clock) -> None:
    """Activations of one view at a time, the other's made again (accumulate="views")."""
    learner.accumulate = "views"
    learner.climb(views, clock)


CONTESTANTS: dict[str, tuple[str, Climb]] = {
    "simsiam": ("simsiam", by_view),
    "simsiam, accumulate='views'": ("simsiam", again),
    "sdmi": ("sdmi", by_view),
    "sdmi, views in one graph": ("sdmi", at_once),
    "sdmi, Algorithm 1 as written": ("sdmi", as_written),
    "byol": ("byol", by_view),
    "byol, views in one graph": ("byol", at_once),
    "moco_v3": ("moco_v3", by_view),
    "dino": ("dino", by_view),
    "simclr": ("simclr", by_view),
    "simclr, accumulate='views'": ("simclr", again),
    "floor: views forward and backward": ("floor", by_view),
}


def floor(encoder: nn.Module, views: list[Tensor]) -> None:
    sum(encoder(v).sum() for v in views).backward()


def emptied(module: nn.Module, mode: FakeTensorMode) -> None:
    """The module with fake weights and buffers (a second encoder cannot be copied out of fake ones)."""
    for m in module.modules():
        for name, p in m.named_parameters(recurse=False):
            setattr(m, name, nn.Parameter(mode.from_tensor(p.detach()), p.requires_grad))
        for name, b in m.named_buffers(recurse=False):
            setattr(m, name, mode.from_tensor(b))


def peak(name: str, setting: Setting, *, fake: bool = True) -> int:
    """Bytes at the peak of the second step."""
    method, climb = CONTESTANTS[name]
    torch.manual_seed(0)
    most = 0
    encoder = im.encoders.get(setting.encoder, size=setting.size)
    learner = None if method == "floor" else im.methods.build(method, encoder)
    module = encoder if learner is None else learner
    mode = FakeTensorMode()
    if fake:
        emptied(module, mode)
    with mode if fake else nullcontext(), Live() as live:
        views = [
            torch.zeros(setting.batch, 3, setting.size, setting.size).contiguous(memory_format=torch.channels_last)
            for _ in range(2)
        ]
        optimizer = torch.optim.SGD([p for p in module.parameters() if p.requires_grad], lr=0.1, momentum=0.9)
        # every phase once, so that all momentum is there, and then the one that counts
        for k, phase in enumerate((0, 1, 0, 1) if method == "sdmi" else (0, 0)):
            if k >= (2 if method == "sdmi" else 1):
                live.peak = live.now
            optimizer.zero_grad()
            if learner is None:
                floor(encoder, views)
            else:
                climb(learner, views, im.Clock(k, 100, 100, phase))
            optimizer.step()
            if learner is not None:
                learner.target.m_step(learner.f, learner.g, im.Clock(k, 100, 100, phase))
            most = max(most, live.peak) if k else 0
        return most


def gradients_agree() -> bool:
    """In float64, gradients view by view are those of Algorithm 1 as written, to the bit, in both steps."""
    torch.manual_seed(0)
    encoder = im.encoders.get("resnet8", size=32)
    learner = im.methods.sdmi(encoder).double()
    naive, views = copy.deepcopy(learner), [torch.randn(16, 3, 32, 32, dtype=torch.float64) for _ in range(2)]
    same = True
    for phase in (0, 1):
        for one, climb in ((learner, by_view), (naive, as_written)):
            one.zero_grad()
            climb(one, views, im.Clock(phase=phase))
        pairs = zip(learner.parameters(), naive.parameters(), strict=True)
        same &= all(
            p.grad is q.grad if p.grad is None or q.grad is None else torch.equal(p.grad, q.grad) for p, q in pairs
        )
        same &= all(torch.equal(a, b) for a, b in zip(learner.buffers(), naive.buffers(), strict=True))
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--real", action="store_true", help="count a small setting with real tensors too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    partition.tiled = lambda a: (
        False
    )  # tiles choose their way by the numbers, which fake tensors lack; T is written out
    rows = []
    for setting in (SMALL,) if asked.real else SETTINGS:
        print(f"{setting.encoder}, {setting.size} px, batch {setting.batch}")
        base = peak("simsiam", setting)
        for name in CONTESTANTS:
            found = peak(name, setting)
            rows.append(asdict(setting) | {"what": name, "bytes": found, "of_simsiam": found / base})
            print(f"  {name:36} {found / 2**30:8.2f} GiB  {found / base:5.2f}x SimSiam", end="")
            if asked.real:
                real = peak(name, setting, fake=False)
                print(f"   real tensors: {real / 2**30:.2f} GiB", end="")
                if real != found:
                    raise SystemExit(f"\n{name}: {real} bytes in real tensors, {found} in fake ones")
            print()
    same = gradients_agree()
    verdict = "equal to the bit" if same else "DIFFERENT"
    print(f"float64 gradients of Algorithm 1 as written and view by view, E- and M-step: {verdict}")
    if asked.json:
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        asked.json.write_text(json.dumps(origin() | {"gradients_bit_equal": same, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
