"""Runs by one process, or by two in shards: whole ones, and ones that are stopped and continued by the others.

torch.multiprocessing.spawn(work, (folder,), nprocs=2)
"""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist

import infomax as im
from infomax import parallel
from infomax.training import loop, sharding

SMALL = {"projector": (12, 8), "predictor": (10,), "queue": 50}
CASES = {
    "jmi": {"optimizer": "adamw", "lr": 1e-3, "clip_norm": 0.5, "accumulate": "views"},
    "sdmi": {"optimizer": "lars", "lr": 0.1},
    "byol": {"optimizer": "muon", "lr": 1e-3},
    "moco_v2": {"optimizer": "sgd", "lr": 0.01, "rules": {"bias": {"weight_decay": 0}}},
}
STOPPED_AT = 3


class Killed(Exception):
    pass


def pictures(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (40, 8, 8, 1), dtype=np.uint8)
    np.save(folder / "pictures.npy", noise)
    return folder / "pictures.npy"


def begin(method: str, data: Path, out: Path, strategy: str, *, stopped: bool = False) -> None:
    torch.manual_seed(3)
    known = im.methods.options(method)
    encoder = im.encoders.get("mlp", channels=1, size=8, hidden=16)
    learner = im.methods.build(method, encoder, **{k: v for k, v in SMALL.items() if k in known})
    update = loop.update

    def until(job, position, *where):
        if position.step == STOPPED_AT:
            raise Killed
        return update(job, position, *where)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "update", until if stopped else update)
        try:
            run = im.train(
                learner, str(data), epochs=2, batch_size=20, precision="64-true", device="cpu", gauge_samples=8,
                strategy=strategy, checkpoint_every=STOPPED_AT, out=out, progress=False, **CASES[method],
            )  # fmt: skip
        except Killed:
            assert stopped
        else:
            assert not stopped and not any(map(parallel.is_shard, run.learner.parameters()))


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ["INFOMAX_DATA"] = str(folder)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    sharding.UNIT = 100
    for method in CASES:
        begin(method, folder / "pictures.npy", folder / f"{method} two", "fsdp")
        begin(method, folder / "pictures.npy", folder / f"{method} two, one", "fsdp", stopped=True)
        im.Run.resume(folder / f"{method} one, two", strategy="fsdp", progress=False)
    dist.barrier()
    dist.destroy_process_group()
