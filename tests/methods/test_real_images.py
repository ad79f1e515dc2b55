"""Every method of images trains, through the package's own loop and views, on Fashion-MNIST and on CIFAR-10.

CIFAR-10 here is the JPEG (quality 75) copy of ../shared/data, so that its figures do not compare with published ones.
"""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import infomax as im
from infomax.data import Dataset, load

SHARED = Path(__file__).parents[3] / "shared" / "data"
ROWS, EPOCHS = 768, 2
SMALL = {
    "moco_v1": {"queue": 512, "momentum": 0.9},
    "moco_v2": {"queue": 512, "momentum": 0.9},
    "moco_v3": {"momentum": 0.9, "predictor": (64,)},
    "byol": {"momentum": 0.9, "predictor": (64,)},
    "simsiam": {"predictor": (32,)},
    "dino": {"prototypes": 64, "momentum": 0.9, "freeze_epochs": 0},
    "swav": {"prototypes": 64, "freeze_epochs": 0},
    "w_mse": {"whitening_size": 64},
}
MOVING = ("moco_v1", "moco_v2", "dino")
"""A queue that begins as noise, a centre and temperatures that move: over a dozen updates these bounds compare with nothing."""
IMAGES = sorted(set(im.methods.METHODS) - {"bgrl"})  # of graphs

pytestmark = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(not SHARED.is_dir(), reason="needs ../shared/data, which is not here"),
]


@pytest.fixture(scope="module")
def sets():
    fashion = load("fashion-mnist", root=SHARED)
    with np.load(SHARED / "cifar10_jpeg_all.npz") as pack:
        head, ends, body = pack["header"].tobytes(), pack["offsets"], pack["body"].tobytes()
        files = [io.BytesIO(head + body[ends[i] : ends[i + 1]]) for i in range(ROWS)]
        cifar = np.stack([np.asarray(Image.open(f).convert("RGB")) for f in files])
    return {
        "fashion-mnist": Dataset(fashion.images[:ROWS], name="fashion-mnist"),
        "cifar10 (JPEG q75 copy)": Dataset(torch.from_numpy(cifar), name="cifar10 (JPEG q75 copy)"),
    }


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("data", ["fashion-mnist", "cifar10 (JPEG q75 copy)"])
def test_every_method_trains_on_real_images(sets, data, name):
    torch.manual_seed(0)
    samples = sets[data]
    encoder = im.encoders.get("resnet8", channels=samples.channels, size=samples.size, base=16)
    learner = im.methods.build(name, encoder, projector=(64, 32), **SMALL.get(name, {}))
    before = [p.detach().clone() for p in learner.parameters() if p.requires_grad]
    views = {"swav": "swav", "dino": "dino", "w_mse": "w-mse", "vicreg": "vicreg", "byol": "byol"}.get(name, "simclr")
    run = im.train(learner, samples, views=views, epochs=EPOCHS, batch_size=128, lr=2e-3, progress=False)
    first, last = run.history[0], run.history[-1]
    if name not in MOVING:
        assert last["bound"] > first["bound"]
    assert last["skipped"] == 0 and last["std"] > 0.05
    moved = [p for p in learner.parameters() if p.requires_grad]
    assert sum(not torch.equal(a, b) for a, b in zip(before, moved, strict=True)) > 0.9 * len(moved)
