"""Runs of two gloo processes over shards, killed at instants of their own and continued by the next two.

    python pairs.py FOLDER DATA SEED KILLS

One process imports once and forks the two of every life. SIGKILL comes to both, or to one of them alone: the other must then
end by itself, and not wait for ever.
"""

import os
import random
import shutil
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
from tqdm import tqdm

import infomax as im
from infomax.training import checkpoint

torch.set_num_threads(1)
tqdm.set_lock(threading.RLock())  # as in lives.py
tqdm.monitor_interval = 0


def train(data: str, out: Path) -> None:
    """Begin, or continue what an earlier life left; a life that ended before its first checkpoint left nothing."""
    if out.exists() and checkpoint.written(out):
        im.Run.resume(out, progress=False)
        return
    torch.manual_seed(7)
    learner = im.methods.byol(
        im.encoders.get("mlp", channels=3, size=12, hidden=16), projector=(16, 8), predictor=(16,)
    )
    im.train(
        learner, data, epochs=2, batch_size=8, size=12, lr=1e-3, precision="64-true", seed=5, out=out, device="cpu",
        checkpoint_every=1, gauge_samples=32, progress=False,
    )  # fmt: skip


def born(folder: Path, data: str, out: Path, life: int) -> list[int]:
    """The two processes of a life."""
    children = []
    for rank in (0, 1):
        if (child := os.fork()) == 0:
            dist.init_process_group("gloo", init_method=f"file://{folder}/store {life}", rank=rank, world_size=2)
            try:
                train(data, out)
            except RuntimeError as error:  # the other one is gone
                print(f"life {life}, process {rank}: {error}", file=sys.stderr)
                os._exit(3)
            os._exit(0)
        children.append(child)
    return children


def main(folder: Path, data: str, seed: int, kills: int) -> None:
    chance = random.Random(seed)
    train(data, folder / "one")
    began = time.perf_counter()
    assert [os.waitpid(child, 0)[1] for child in born(folder, data, folder / "whole", 0)] == [0, 0]
    unbroken, deaths, life, out, steps = time.perf_counter() - began, 0, 0, folder / "killed", []
    while True:
        life += 1
        if out.exists() and not checkpoint.written(out):
            shutil.rmtree(out)
        children = born(folder, data, out, life)
        if deaths < kills:
            time.sleep(chance.uniform(0.1, 0.7) * unbroken)
            for child in children if life % 2 else children[1:]:
                os.kill(child, signal.SIGKILL)
        ends = [os.waitpid(child, 0)[1] for child in children]
        steps.append(str(checkpoint.step_of(checkpoint.written(out)[-1])) if checkpoint.written(out) else "0")
        if ends == [0, 0]:
            if deaths >= kills:
                break
            shutil.rmtree(out)  # it ended before its death came: another one
            continue
        deaths += 1
    print(f"{deaths} deaths, at updates {' '.join(steps)}")


if __name__ == "__main__":
    warnings.simplefilter("ignore", im.CollapseWarning)  # of what is learnt of noise
    # what torch imports at its first update is imported here, once, and not in every life
    im.train(im.methods.jmi(im.encoders.get("toy"), projector=()), "gaussians", epochs=1, progress=False)
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
