"""One run in many lives: a process that imports once and forks the lives of runs, each killed at an instant of its own.

    python lives.py FOLDER SEED KILLS METHOD[=PICTURES]...      on the five Gaussians, or on pictures

A life is a real process; SIGKILL comes after a random delay, or within a chosen write of a checkpoint: when half of the
file is there, when all of it is but under its temporary name, or when it has its name but the old ones are not removed.
"""

import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import torch
from tqdm import tqdm

import infomax as im
from infomax.training import checkpoint

torch.set_num_threads(1)
# tqdm's own lock is shared with forked processes: one that is killed at that instant keeps it for ever, and all wait
tqdm.set_lock(threading.RLock())
tqdm.monitor_interval = 0
OPTIONS = {
    "jmi": {"projector": (16, 8)},
    "sdmi": {"projector": (16, 8)},
    "moco_v2": {"projector": (16, 8), "queue": 100},
    "byol": {"projector": (16, 8), "predictor": (16,)},
    "w_mse": {"projector": (16, 8), "whitening_size": 50},
}


def begin(method: str, out: Path) -> im.Run:
    method, _, pictures = method.partition("=")
    torch.manual_seed(7)
    shape = {"channels": 3, "size": 12} if pictures else {"channels": 2, "size": 1}
    learner = im.methods.build(method, im.encoders.get("mlp", hidden=16, **shape), **OPTIONS[method])
    return im.train(
        learner, pictures or "gaussians", epochs=2, batch_size=8 if pictures else 250, size=12 if pictures else None,
        lr=1e-2, warmup_epochs=1, seed=5, out=out, checkpoint_every=1, gauge_samples=64, progress=False,
    )  # fmt: skip


def live(method: str, out: Path) -> None:
    """Begin, or continue what an earlier life left; a life that ended before its first checkpoint left nothing."""
    if out.exists() and not checkpoint.written(out):
        shutil.rmtree(out)
    if out.exists():
        im.Run.resume(out, progress=False)
    else:
        begin(method, out)


def die_in_write(nth: int, where: str) -> None:
    """Kill this process in its n-th write of a checkpoint."""
    count = 0

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    whole, rename = checkpoint.write_bytes, os.replace

    def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
        nonlocal count
        if path.parent.name == checkpoint.FOLDER:
            count += 1
            if count == nth:
                if where == "half":
                    path.with_name(f"{path.name}.{os.getpid()}.tmp").write_bytes(data[: len(data) // 2])
                    die()
                if where == "unnamed":
                    os.replace = lambda *_: die()  # type: ignore[assignment]
                whole(path, data, durable=durable)
                die()
        whole(path, data, durable=durable)

    assert rename is os.replace
    checkpoint.write_bytes = write_bytes


def lives(folder: Path, method: str, seed: int, kills: int) -> None:
    chance = random.Random(f"{seed} {method}")
    folder.mkdir()
    began = time.perf_counter()
    begin(method, folder / "whole")
    whole, deaths, steps = time.perf_counter() - began, 0, []
    out = folder / "killed 0"
    while True:
        last = deaths >= kills
        inside = chance.choice(["half", "unnamed", "named", None, None, None])
        nth, delay = chance.randint(1, 4), chance.uniform(0, whole * 0.6)
        if (child := os.fork()) == 0:
            if inside and not last:
                die_in_write(nth, inside)
            live(method, out)
            os._exit(0)
        if not (inside or last):
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        there = checkpoint.written(out) if out.exists() else []
        steps.append(f"{checkpoint.step_of(there[-1]) if there else 0}{inside or ''}")
        if status == 0 and not last:  # it ended before its death came: another one
            out = folder / f"killed {len(steps)}"
            continue
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        deaths += 1
    print(f"{method}: {deaths} deaths, at updates {' '.join(steps)}; an unbroken run takes {whole:.2f} s")


if __name__ == "__main__":
    # what torch imports at its first update is imported here, once, and not in every life
    im.train(im.methods.jmi(im.encoders.get("toy"), projector=()), "gaussians", epochs=1, progress=False)
    for name in sys.argv[4:]:
        lives(Path(sys.argv[1]) / name.rpartition("/")[2], name, int(sys.argv[2]), int(sys.argv[3]))
