"""Runs on shards and on folders that memory does not hold: killed and continued, and by several processes."""

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from PIL import Image
from safetensors.torch import load_file
from test_checkpoint import LIVES, assert_same_end

import infomax as im
from infomax.data import load
from infomax.training.feed import Feed

PAIRS = Path(__file__).with_name("pairs.py")


def jpeg(noise: np.random.Generator) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(buffer, "JPEG")
    return buffer.getvalue()


def make(root: Path, kind: str, n: int = 40, broken: int = 5) -> Path:
    """Noise as JPEG, one of the pictures broken."""
    noise = np.random.default_rng(0)
    images = [jpeg(noise)[: 100 if i == broken else None] for i in range(n)]
    path = root / kind
    path.mkdir(parents=True)
    if kind == "folder":
        for i, image in enumerate(images):
            (path / f"{i:03}.jpg").write_bytes(image)
    elif kind == "tar":
        for s in range(2):
            with tarfile.open(path / f"{s}.tar", "w") as tar:
                for i in range(s, n, 2):
                    member = tarfile.TarInfo(f"{i:03}.jpg")
                    member.size = len(images[i])
                    tar.addfile(member, io.BytesIO(images[i]))
    else:
        import pyarrow as pa
        from pyarrow import parquet

        parquet.write_table(pa.table({"image": images}), path / "0.parquet", row_group_size=16)
    return path


def test_runs_killed_three_times_end_in_the_same_bits(tmp_path):
    kinds = ("folder", "tar", "parquet")
    runs = [f"jmi={make(tmp_path, kind)}" for kind in kinds]
    (tmp_path / "runs").mkdir()
    here = {"INFOMAX_MEMORY": "0", "INFOMAX_DATA": str(tmp_path / "root"), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [sys.executable, LIVES, tmp_path / "runs", "4", "3", *runs],
        capture_output=True, text=True, env=os.environ | here, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("3 deaths") == 3
    assert "sample could not be decoded" in said.stderr and "1 file could not be read" in said.stderr
    for kind in kinds:
        killed = list((tmp_path / "runs" / kind).glob("killed *"))
        assert killed
        for run in killed:
            assert_same_end(tmp_path / "runs" / kind / "whole", run)


def views_of(data: Path) -> tuple[list[torch.Tensor], int]:
    """The views of the second epoch, and how many images were decoded for them."""
    samples = load(data)
    feed = Feed(samples, im.views.recipe("simclr", size=8), batch_size=8, seed=2)
    count, decoded = [], samples.images._decoded
    samples.images._decoded = lambda raw: (count.append(1), decoded(raw))[1]
    return [torch.stack(feed(1, batch)) for batch in range(len(feed))], len(count)


def work(rank: int, folder: Path, data: Path) -> None:
    torch.set_num_threads(1)
    os.environ["INFOMAX_DATA"] = str(folder)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save(views_of(data), folder / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


def test_two_processes_see_the_bytes_of_one_and_decode_half(tmp_path, monkeypatch):
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path))
    data = make(tmp_path, "tar")
    one, decoded = views_of(data)
    mp.spawn(work, (tmp_path, data), nprocs=2)
    two = [torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)]
    assert len(one) == 5 and decoded == 41
    for batch, *halves in zip(one, *(views for views, _ in two), strict=True):
        assert torch.equal(batch, torch.cat(halves, 1))
    assert sorted(count for _, count in two) == [20, 21]


def test_a_run_on_a_relative_path_is_continued_and_probed_from_another_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("INFOMAX_DATA", str(tmp_path / "root"))
    make(tmp_path, "tar")
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("mlp", channels=3, size=8, hidden=8), projector=(8,))
    asked = {"epochs": 1, "batch_size": 8, "size": 8, "progress": False, "gauge_samples": 16, "root": "some/where"}
    with pytest.warns(UserWarning, match=r"tar/\*\.tar: 1 sample could not be decoded"):
        im.train(learner, "tar/*.tar", out="run", **asked)
    for file in ("learner.safetensors", "log.jsonl", "log.csv", "checkpoints/000000005.safetensors"):
        (tmp_path / "run" / file).unlink(missing_ok=True)
    monkeypatch.chdir("/")
    with pytest.warns(UserWarning, match=r"tar/\*\.tar: 1 sample could not be decoded"):
        again = im.Run.resume(tmp_path / "run", progress=False)
    assert again.config["data"]["name"] == "tar/*.tar"
    assert again.config["data"]["root"] == str(tmp_path / "some" / "where")
    with pytest.raises(im.DataError, match="has no labels"):
        im.Run.load(tmp_path / "run").evaluate()


def test_two_processes_over_shards_end_as_one_does_and_as_two_that_were_killed(tmp_path):
    """Shards in order, each sample once a pass, by both; a process whose other one dies ends, and the next two continue."""
    data = make(tmp_path, "tar")
    here = {"INFOMAX_DATA": str(tmp_path / "root"), "OMP_NUM_THREADS": "1"}
    said = subprocess.run(
        [sys.executable, PAIRS, tmp_path, data, "1", "4"],
        capture_output=True, text=True, env=os.environ | here, check=False, timeout=600,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("4 deaths")
    assert_same_end(tmp_path / "whole", tmp_path / "killed")
    one, two = (load_file(tmp_path / run / "learner.safetensors") for run in ("one", "whole"))
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-9, atol=1e-9)
