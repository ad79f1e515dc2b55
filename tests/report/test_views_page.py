"""The page of views: what it says is what was drawn, for every kind of data; the command refuses what it must."""

import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from infomax.cli import main
from infomax.data import Dataset, sbm
from infomax.errors import ConfigError
from infomax.report.views import views_page
from infomax.training.defaults import view_function
from infomax.views import Signals

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


def pictures(n: int = 6, channels: int = 3) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    return Dataset(torch.randint(0, 256, (n, 24, 20, channels), dtype=torch.uint8, generator=generator), name="mine")


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_captions_are_what_was_drawn(tmp_path: Path, channels: int) -> None:
    data = pictures(channels=channels)
    text = views_page(data, tmp_path / "a.html", "dino", count=2, size=16, local_views=3, seed=4, epoch=1).read_text()
    assert text.count("data:image/png;base64,") == 2 and '<h2 id="sample-5">' in text
    views = view_function(data, "dino", 16, 3)
    for p in views.draw(data.images, torch.arange(6), seed=4, epoch=1):  # type: ignore[attr-defined]
        top, left, h, w = p.crop[5].tolist()
        assert f"{h} x {w} at {top}, {left}" in text
        if p.sigma[5] > 0:
            assert f"{p.sigma[5]:.2f} px" in text
        for which, name in enumerate(("brightness", "contrast", "saturation")):
            if p.factor[5, which] != 1:
                assert f"{name} {p.factor[5, which]:.2f}" in text


def test_images_of_unequal_sizes(tmp_path: Path) -> None:
    data = Dataset([torch.zeros(8 + i, 12, 3, dtype=torch.uint8) for i in range(3)], name="folder")
    assert views_page(data, tmp_path / "a.html", "none", size=8).read_text().count("100% of the image") == 6


def test_signals_and_what_was_drawn(tmp_path: Path) -> None:
    data = Dataset(torch.randn(5, 2, 40, generator=torch.Generator().manual_seed(0)), name="ecg")
    text = views_page(data, tmp_path / "a.html", count=1, size=30, seed=3).read_text()
    views = view_function(data, "auto", 30)
    assert isinstance(views, Signals) and views.length == 30
    for p in views.draw(data.images, torch.arange(5), seed=3):  # type: ignore[arg-type]
        assert f"{p.span[0]} readings from {p.start[0]}" in text


def test_tables_show_what_was_replaced(tmp_path: Path) -> None:
    rows = torch.arange(60.0).reshape(4, 15)
    text = views_page(Dataset(rows, name="mine"), tmp_path / "a.html", count=4).read_text()
    shown = re.findall(r"<td[^>]*>(?:<strong>)?(\d+)(?:</strong>)?</td>", text)
    assert len(shown) == 4 * 3 * 12 and all(0 <= int(v) < 60 for v in shown)
    assert text.count("<strong>") > 4 and "The first 12 of 15 columns" in text
    points = Dataset(torch.randn(9, 2), name="plane")
    assert views_page(points, tmp_path / "b.html", count=3).read_text().count("data:image/png") == 1


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a graph"):
        views_page(sbm(nodes=30), tmp_path / "a.html")
    with pytest.raises(ConfigError, match="give at least 1"):
        views_page(pictures(), tmp_path / "a.html", count=0)
    with pytest.raises(ConfigError, match="no images, which alone have local views"):
        views_page("gaussians", tmp_path / "a.html", local_views=2)
    with pytest.raises(ConfigError, match="give auto or tabular or noise"):
        views_page(Dataset(torch.randn(9, 5)), tmp_path / "a.html", "simclr")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_page_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", pictures().images.numpy())
    command = ["views", "--data", str(tmp_path / "a.npy"), "--recipe", "swav", "--local-views", "1", "--count", "2"]
    command += ["--size", "16", "--out", str(tmp_path / "page.html")]
    assert main(command) == 0 and "wrote" in capsys.readouterr().out
    written = (tmp_path / "page.html").read_bytes()
    assert main(command) == 2 and "nothing is overwritten" in capsys.readouterr().err
    assert (tmp_path / "page.html").read_bytes() == written and written.count(b"view 3") == 0
    assert written.count(b'<th scope="row" class="number">3') + written.count(b'<th scope="row">3') == 2


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_shows_every_picture(tmp_path: Path) -> None:
    page = views_page(pictures(), tmp_path / "a.html", "simclr", count=3)
    probe = (
        "<script>addEventListener('load', () => { document.body.dataset.wide = "
        "[...document.images].map(i => i.complete && i.naturalWidth > 300).join(); })</script></body>"
    )
    page.write_text(page.read_text().replace("</body>", probe))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    done = subprocess.run(
        [str(CHROMIUM), *flags, f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert 'data-wide="true,true,true"' in done.stdout


def test_files_are_called_by_their_names(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "part.tar", "w") as tar:
        for name in ("a/cat.png", "a/dog.png"):
            Image.new("RGB", (9, 8)).save(tmp_path / "one.png")
            tar.add(tmp_path / "one.png", name)
    text = views_page(str(tmp_path / "part.tar"), tmp_path / "tar.html", "none", count=1, size=8).read_text()
    assert "<code>part.tar/a/cat.png</code></figcaption>" in text
    data = pictures(2)
    data.files = ["a/<b>.png", "a/*.png"]
    text = views_page(data, tmp_path / "a.html", "none", size=8).read_text()
    assert "<code>a/&lt;b&gt;.png</code></figcaption>" in text and "<code>a/*.png</code></figcaption>" in text
