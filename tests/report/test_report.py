import numpy as np
import pytest
import torch
from PIL import Image

import infomax as im
from infomax.data import Dataset
from infomax.report import run as page


@pytest.mark.parametrize("kind", [torch.stack, list])
def test_only_the_rows_drawn_are_encoded(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(page, "MOST_POINTS", 10)
    images = kind([torch.full((8, 8, 1), i, dtype=torch.uint8) for i in range(30)])
    data = Dataset(images, torch.arange(30) // 10)
    torch.manual_seed(0)
    learner = im.methods.vicreg(im.encoders.get("mlp", channels=1, size=8), projector=(4,))
    run = im.train(learner, data, epochs=1, batch_size=15, size=8, progress=False)
    seen = []
    learner.encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    text = page.report(run, tmp_path / "page.html").read_text()
    assert seen == [10] and "10 samples" in text


def test_photographs_of_different_sizes_are_probed_and_drawn(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(20):
        folder = tmp_path / "photos" / str(i % 2)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 100, (10 + i, 12, 3), dtype=np.uint8) + np.uint8(150 * (i % 2))
        Image.fromarray(pixels).save(folder / f"{i}.png")
    torch.manual_seed(0)
    learner = im.methods.vicreg(im.encoders.get("mlp", channels=3, size=8), projector=(4,))
    run = im.train(learner, tmp_path / "photos", epochs=1, batch_size=10, size=8, progress=False, out=tmp_path / "run")
    assert isinstance(run.data.images, list)
    assert run.evaluate()["test"] == 4
    assert im.Run.load(tmp_path / "run").report().stat().st_size > 1e6
