"""Runs to draw, with names that would be markup, and a browser to look with."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import infomax as im

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
EVIL = "<img src=x onerror=document.title='evil'>"


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 little photographs of three classes, whose names are markup."""
    folder, rng = tmp_path_factory.mktemp("data") / "photos", np.random.default_rng(0)
    for label, name in enumerate((EVIL, "cat", "`a` **dog**")):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            pixels = rng.integers(0, 120, (12, 10, 3), dtype=np.uint8)
            pixels[..., label] += 120
            Image.fromarray(pixels).save(folder / name / f"{number} {EVIL if number == 5 else ''}.png")
    return folder


def trained(out: Path, data: Any, channels: int, epochs: int, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    learner = im.methods.vicreg(im.encoders.get("mlp", channels=channels, size=8), projector=(8,))
    im.train(learner, str(data), epochs=epochs, batch_size=12, size=8, seed=seed, progress=False, out=out)
    return out


@pytest.fixture(scope="session")
def runs(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three runs on them: of unequal length, one of them called like markup."""
    folder = tmp_path_factory.mktemp("runs")
    return [
        trained(folder / "plain", photos, 3, 3),
        trained(folder / EVIL.replace("/", ""), photos, 3, 2, seed=1),
        trained(folder / ("long " * 15 + "name"), photos, 3, 1, seed=2),
    ]


@pytest.fixture(scope="session")
def long_names(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on photographs of classes whose names are sentences."""
    folder, rng = tmp_path_factory.mktemp("data") / "photos", np.random.default_rng(0)
    for name in (
        "a class whose name is as long as if it described the whole photograph in a sentence, or two",
        "x" * 120,
    ):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            Image.fromarray(rng.integers(0, 255, (12, 10, 3), dtype=np.uint8)).save(folder / name / f"{number}.png")
    return trained(tmp_path_factory.mktemp("runs") / "long", folder, 3, 1)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose embedding lies on a sphere."""
    out = tmp_path_factory.mktemp("runs") / "toy"
    torch.manual_seed(0)
    learner = im.methods.jmi(im.encoders.get("toy"), projector=())
    im.train(learner, "gaussians", epochs=4, batch_size=500, lr=1e-2, gauge_samples=60, progress=False, out=out)
    return out


class Visit:
    """A page as a browser shows it, with all that it complained of."""

    def __init__(self, page: Any) -> None:
        self.page, self.complaints, self.requests = page, [], []
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda asked: self.requests.append(asked.url))
        page.on("dialog", lambda dialog: (self.complaints.append("a dialog"), dialog.dismiss()))

    def open(self, path: Path) -> Any:
        self.page.goto(path.as_uri())
        return self.page

    def drawn(self, number: int) -> Any:
        """The explorer of that number, once it is drawn."""
        explorer = self.page.locator(".explorer").nth(number)
        explorer.scroll_into_view_if_needed()
        self.page.wait_for_function("n => document.querySelectorAll('.explorer')[n].dataset.ready", arg=number)
        return explorer


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, by Playwright; both may be missing."""
    if CHROMIUM is None:
        pytest.skip("needs chromium (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, of the group dev")
    flags = ["--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--use-angle=swiftshader"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Visit]:
    """A fresh page, without a network."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    context.set_default_timeout(120_000)
    yield Visit(context.new_page())
    context.close()
