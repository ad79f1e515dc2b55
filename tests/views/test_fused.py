"""The compiled pass equals the eager reference and torchvision, and its bytes depend on nothing but image and draw."""

import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from infomax.compiled import pool
from infomax.errors import ConfigError, DataError
from infomax.views import ImageView, Params, Views, apply, draw, fused, recipe, threads
from infomax.views.fused import tables

TOLERANCE = 2e-6
RICH = ImageView(size=16, jitter=(0.8, 0.8, 0.8, 0.2), gray=0.2, blur=0.5, kernel=9, solarize=0.3)


@pytest.fixture(autouse=True)
def default_threads() -> Iterator[None]:
    yield
    threads(0)
    pool.forget()


def photos(n: int, height: int, width: int, channels: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, max(2, height // 4), max(2, width // 4), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    noisy = smooth + 0.1 * torch.randn(smooth.shape, generator=generator)
    images = (noisy.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    images[0, :2], images[0, 2:4] = 0, 255  # flat, black and white: the corners of hue and saturation
    images[-1, :, :2] = 128
    return images


def by_torchvision(spec: ImageView, image: Tensor, p: Params, i: int) -> Tensor:
    x = F.to_dtype(image.permute(2, 0, 1), torch.float32, scale=True)
    x = F.resized_crop(x, *p.crop[i].tolist(), [spec.size, spec.size], antialias=True)
    if p.flip[i]:
        x = F.horizontal_flip(x)
    jitter = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
    for which in p.order[i].tolist():
        if p.factor[i, which] != (0.0 if which == 3 else 1.0):
            x = jitter[which](x, p.factor[i, which].item())
    if p.gray[i]:
        x = F.rgb_to_grayscale(x, num_output_channels=x.shape[0])
    if p.sigma[i] > 0:
        kernel = min(spec.kernel, 2 * spec.size - 1)
        x = F.gaussian_blur(x, [kernel, kernel], [p.sigma[i].item()] * 2)
    return F.solarize(x, spec.threshold) if p.solarize[i] else x


def drawn(spec: ImageView, images: Tensor, seed: int = 0) -> Params:
    n, height, width = images.shape[:3]
    return draw(spec, torch.arange(n), torch.full((n,), height), torch.full((n,), width), seed=seed)


def check(spec: ImageView, images: Tensor, seed: int = 0) -> None:
    """Compare with both references; a value at the solarization threshold may fall on either side of it."""
    p = drawn(spec, images, seed)
    (ours,) = fused.apply([spec], images, [p])
    theirs = torch.stack([by_torchvision(spec, image, p, i) for i, image in enumerate(images)])
    for reference in (theirs, apply(spec, images, p)):
        difference = (ours - reference).abs()
        at_threshold = (ours - 0.5).abs() < 1e-5
        if spec.solarize:
            assert at_threshold.float().mean() < 1e-3
            difference = difference[~at_threshold]
        assert difference.max() <= TOLERANCE


OFF = {"scale": None, "flip": 0.0}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 96, 224])
@pytest.mark.parametrize(
    "chance",
    [
        {"flip": 0.5, "scale": (0.08, 1.0)},
        {"jitter": (0.8, 0.0, 0.0, 0.0), "jitter_p": 1.0},
        {"jitter": (0.0, 0.8, 0.0, 0.0), "jitter_p": 1.0},
        {"jitter": (0.0, 0.0, 0.8, 0.0), "jitter_p": 1.0},
        {"jitter": (0.0, 0.0, 0.0, 0.5), "jitter_p": 1.0},
        {"gray": 0.7},
        {"blur": 1.0, "kernel": 23},
        {"solarize": 0.7},
    ],
    ids=["crop", "brightness", "contrast", "saturation", "hue", "grayscale", "blur", "solarize"],
)
def test_each_operation(chance: dict[str, object], size: int, channels: int) -> None:
    n = 24 if size == 32 else 4
    check(ImageView(**{"size": size, **OFF, **chance}), photos(n, size + size // 7, size, channels), seed=1)


@pytest.mark.parametrize(
    "name", ["simclr", "weak", "byol", "vicreg", "w-mse", "swav", "dino", "small", "small-grey", "gentle", "none"]
)
def test_whole_chain_at_32(name: str) -> None:
    for spec in set(recipe(name, size=32, local_views=1 if name in ("swav", "dino") else None).specs):
        check(spec, photos(48, 32, 32))


@pytest.mark.parametrize(("size", "image"), [(96, 112), (224, 256)])
@pytest.mark.parametrize("name", ["simclr", "byol", "dino"])
def test_whole_chain_at_imagenet_sizes(name: str, size: int, image: int) -> None:
    for spec in dict.fromkeys(recipe(name, size=size).specs):
        check(spec, photos(4, image, image + 16), seed=3)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(1, 1, 8), (3, 2, 5), (40, 64, 32), (500, 333, 24), (9, 300, 16), (16, 16, 1)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_odd_shapes(height: int, width: int, size: int, channels: int) -> None:
    check(replace(RICH, size=size, solarize=0.0), photos(12, height, width, channels))


@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9, 13, 17, 23, 31, 61])
@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.6, 1.1, 2.0, 9.0])
def test_every_reach_of_the_blur(kernel: int, sigma: float) -> None:
    spec = ImageView(size=20, scale=None, blur=1.0, kernel=kernel, sigma=(sigma, sigma))
    images = photos(2, 20, 20, 1)
    p = drawn(spec, images)
    (ours,) = fused.apply([spec], images, [p])
    assert (ours - apply(spec, images, p)).abs().max() <= TOLERANCE


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=64),
    st.integers(-(2**63), 2**64),
    st.integers(0, 2**40),
    st.integers(1, 700),
    st.integers(1, 700),
)
def test_the_draw_is_the_references_to_the_bit(ids: list[int], seed: int, epoch: int, height: int, width: int) -> None:
    specs = (
        RICH,
        replace(RICH, scale=(0.2, 1.0), ratio=(0.1, 9.0)),
        replace(RICH, scale=(0.9, 1.0)),
        ImageView(size=4),
    )
    same_draw(specs, torch.tensor(ids), height, width, seed, epoch)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (224, 300), (20, 90), (300, 40), (1, 1)])
def test_thousands_of_draws_are_the_references(height: int, width: int) -> None:
    for name in ("simclr", "dino"):
        same_draw(recipe(name, size=224).specs, torch.arange(3000), height, width, 7, 3)


def same_draw(specs: tuple[ImageView, ...], ids: Tensor, height: int, width: int, seed: int, epoch: int) -> None:
    heights, widths = torch.full((len(ids),), height), torch.full((len(ids),), width)
    images = np.zeros(len(ids), tables.IMAGE)
    images["height"], images["width"] = height, width
    table = fused.draw(specs, ids, images, seed=seed, epoch=epoch)
    for view, spec in enumerate(specs):
        reference = draw(spec, ids, heights, widths, seed=seed, epoch=epoch, view=view)
        for name, ours, theirs in zip(Params._fields, tables.unpack(table[view]), reference, strict=True):
            assert ours.dtype == theirs.dtype and torch.equal(ours, theirs), name


def test_parameters_survive_the_table() -> None:
    p = drawn(RICH, photos(100, 20, 20))
    for a, b in zip(p, tables.unpack(tables.pack(p)), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["simclr", "dino"])
def test_the_same_bytes_for_any_threads_and_batch(name: str) -> None:
    images, ids = photos(37, 40, 36), torch.arange(37)
    views = recipe(name, size=32, local_views=2 if name == "dino" else None, mean=[0.4, 0.5, 0.6], std=[0.2, 0.25, 0.3])
    threads(1)
    whole = views(images, ids, seed=5, epoch=2)
    for n in range(2, 9):
        threads(n)
        assert all(torch.equal(a, b) for a, b in zip(whole, views(images, ids, seed=5, epoch=2), strict=True))
    for size in (1, 5, 16):
        parts = [views(i, j, seed=5, epoch=2) for i, j in zip(images.split(size), ids.split(size), strict=True)]
        assert all(torch.equal(torch.cat(part), a) for part, a in zip(zip(*parts, strict=True), whole, strict=True))


def test_lists_arrays_strides_and_given_parameters_give_the_same_bytes() -> None:
    images, ids = photos(6, 24, 24), torch.arange(6)
    views = recipe("simclr", size=16)
    expected = views(images, ids)
    strided = images.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    for other in (images.numpy(), list(images), strided):
        assert all(torch.equal(a, b) for a, b in zip(views(other, ids), expected, strict=True))
    given_parameters = views.apply(images, views.draw(images, ids))
    assert all(torch.equal(a, b) for a, b in zip(given_parameters, expected, strict=True))


def test_unequal_sizes() -> None:
    images = [photos(1, h, w)[0] for h, w in [(20, 30), (32, 32), (50, 17), (70, 90)]]
    views = recipe("weak", size=24)
    ids = [4, 9, 2, 5]
    threads(3)
    together = views(images, ids)
    reference = replace(views, fused=False)(images, ids)
    for a, b in zip(together, reference, strict=True):
        assert (a - b).abs().max() <= TOLERANCE
    for i, index in enumerate(ids):
        alone = views(images[i][None], [index])
        assert all(torch.equal(a[i], b[0]) for a, b in zip(together, alone, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("is_fused", [True, False])
def test_memory_layouts(channels: int, is_fused: bool) -> None:
    images, ids = photos(5, 20, 20, channels), torch.arange(5)
    views = replace(recipe("byol", size=16, mean=[0.5] * channels, std=[0.2] * channels), fused=is_fused)
    planes = views(images, ids)
    pixels = views(images, ids, channels_last=True)
    assert all(v.is_contiguous() for v in planes)
    assert all(v.is_contiguous(memory_format=torch.channels_last) for v in pixels)
    out = [torch.empty_like(planes[0]), torch.empty_like(planes[1]).contiguous(memory_format=torch.channels_last)]
    written = views(images, ids, out=out)
    for k in range(2):
        assert torch.equal(planes[k], pixels[k]) and torch.equal(planes[k], out[k]) and written[k] is out[k]


def test_which_batches_it_serves() -> None:
    image = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    assert fused.serves(image) and fused.serves(list(image)) and fused.serves(image[..., :1])
    assert not fused.serves(image.float()) and not fused.serves(image.repeat(1, 1, 1, 2))
    assert not fused.serves(image.to("meta"))


def test_views_that_never_change_are_made_once() -> None:
    a, b = recipe("none", size=8)(photos(3, 8, 8), [0, 1, 2])
    assert a is b
    out = [torch.empty(3, 3, 8, 8), torch.empty(3, 3, 8, 8)]
    recipe("none", size=8)(photos(3, 8, 8), [0, 1, 2], out=out)
    assert torch.equal(out[0], a) and torch.equal(out[1], a)


def test_views_can_be_sent_to_a_loaders_worker() -> None:
    images, ids = photos(4, 16, 16), torch.arange(4)
    views = recipe("simclr", size=16)
    threads(2)
    expected = views(images, ids)[0]
    copy = pickle.loads(pickle.dumps(views))
    assert torch.equal(copy(images, ids)[0], expected)
    if not hasattr(os, "fork"):
        pytest.skip("this system does not fork")
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a process with threads forks is the case under test
        child = os.fork()
    if child == 0:
        same = torch.equal(views(images, ids)[0], expected)
        os.write(theirs, b"same" if same else b"other")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(ours, 5) == b"same"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda x: threads(-1), ConfigError, "threads=-1"),
        (lambda x: recipe("weak")(x, [0]), ConfigError, "2 images but ids of shape (1,)"),
        (lambda x: recipe("weak", mean=[0.5], std=[1])(x, [0, 1]), ConfigError, "3 channels, the normalisation has 1"),
        (lambda x: recipe("weak")(x, [0, 1], out=[torch.empty(2, 3, 32, 32)]), DataError, "one tensor a view"),
        (
            lambda x: Views((RICH,))(x, [0, 1], out=[torch.empty(2, 3, 16, 16, dtype=torch.float64)]),
            DataError,
            "give torch.float32",
        ),
        (lambda x: Views((RICH,)).apply(x, [drawn(RICH, x[:1])]), DataError, "2 images but parameters for 1"),
        (lambda x: recipe("weak")(x[:, :0], [0, 1]), DataError, "give at least one pixel of at least one channel"),
        (lambda x: recipe("weak")(x.float(), [0, 1]), DataError, "give uint8 in 0..255 or float in [0, 1]"),
        (
            lambda x: recipe("weak")(x.float() * float("nan"), [7, 8]),
            DataError,
            "image 7 of torch.float32 goes from nan to nan",
        ),
        (lambda x: recipe("weak", size=2.5), ConfigError, "a whole number of pixels"),
        (lambda x: Views((RICH,)).apply(x, [drawn(RICH, photos(2, 90, 90))]), DataError, "leaves image 0 of 12 x 12"),
    ],
)
def test_impossible_requests_say_what_to_do(make: object, error: type[Exception], message: str) -> None:
    assert callable(make)
    with pytest.raises(error) as caught:
        make(photos(2, 12, 12))
    assert message in str(caught.value)


def in_new_process(code: str, **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def test_import_stays_light_and_a_missing_numba_costs_one_warning() -> None:
    said = in_new_process("""
        import sys
        import infomax
        print("light" if "numba" not in sys.modules else "heavy")
        sys.modules["numba"] = None
        import torch
        views = infomax.views.recipe("simclr", size=8)
        for _ in range(2):
            print(views(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), [0, 1])[0].shape)
    """)
    assert "light" in said and said.count("torch.Size([2, 3, 8, 8])") == 2
    assert said.count("numba does not load") == 1


def test_kernels_load_without_scipys_linear_algebra_and_numba_keeps_its_own() -> None:
    said = in_new_process("""
        import sys
        import torch
        from infomax import views
        views.recipe("simclr", size=8)(torch.zeros(2, 8, 8, 3, dtype=torch.uint8), [0, 1])
        print("without" if "scipy.linalg" not in sys.modules else "with")
        import numba, numpy as np
        print(numba.njit(lambda a: np.dot(a, a))(np.eye(3)).sum())
        print("asked" if "scipy.linalg" in sys.modules else "not asked")
    """)
    assert said.split()[-3:] == ["without", "3.0", "asked"]


COMPILE = f"""
    import importlib.util, sys
    found = importlib.util.spec_from_file_location("compiler", {pool.__file__.replace("pool.py", "compiler.py")!r})
    compiler = importlib.util.module_from_spec(found)  # by itself: without torch it starts in a moment
    found.loader.exec_module(compiler)

    @compiler.kernel
    def twice(x):
        return 2 * x

    def run(x):
        return twice(x)

    run = compiler.entry(run, cache=True)
    with compiler.announced("a kernel"):
        print(run(1), run(2))
"""


def test_a_compilation_says_so_and_a_cached_kernel_does_not(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(COMPILE))
    code = f"import runpy; runpy.run_path({str(script)!r})"
    first, second = (in_new_process(code, NUMBA_CACHE_DIR=str(tmp_path / "kernels")) for _ in range(2))
    assert first.count("compiling a kernel; later processes find it on disk") == 1 and "2 4" in first
    assert "compiling" not in second and "2 4" in second


def test_without_a_folder_to_write_there_is_a_warning_and_no_cache() -> None:
    # Code from a string has no file that a cache could belong to: numba refuses as it does where no folder can be written.
    said = in_new_process(COMPILE)
    assert "set NUMBA_CACHE_DIR" in said and "2 4" in said


DIGEST = """
    import hashlib, torch, infomax
    images = torch.randint(0, 256, (16, 40, 36, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    digest = hashlib.sha256()
    for name in ("simclr", "byol"):
        for view in infomax.views.recipe(name, size=32, mean=[0.4, 0.5, 0.6], std=[0.2, 0.25, 0.3])(images, range(16)):
            digest.update(view.numpy().tobytes())
    print(digest.hexdigest())
"""


@pytest.mark.slow
def test_a_fresh_compilation_and_a_cached_one_give_the_same_bytes(tmp_path: Path) -> None:
    fresh, cached = (in_new_process(DIGEST, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert "compiling" in fresh and "compiling" not in cached
    assert fresh.split()[0] == cached.split()[0] and len(fresh.split()[0]) == 64


def test_the_fingerprint_covers_every_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = pytest.importorskip("infomax.compiled.compiler")
    entry = tmp_path / "program.py"
    entry.write_text("")
    seen = [compiler.fingerprint(str(entry))]
    assert seen[0] == compiler.fingerprint(str(entry)) and 0 <= seen[0] < 2**63
    (tmp_path / "blur.py").write_text("1")  # beside the entry point
    seen.append(compiler.fingerprint(str(entry)))
    monkeypatch.setattr(compiler, "__file__", str(tmp_path / "other" / "compiler.py"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "vectors.py").write_text("2")  # what every kernel shares
    seen.append(compiler.fingerprint(str(entry)))
    assert len(set(seen)) == 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixels_together", [False, True])
@pytest.mark.parametrize("is_fused", [True, False])
def test_bfloat16_is_torchs_rounding_of_the_same_views(channels: int, pixels_together: bool, is_fused: bool) -> None:
    images, ids = photos(9, 20, 24, channels), torch.arange(9)
    statistics = {"mean": [0.4] * channels, "std": [0.2] * channels}
    full = replace(recipe("byol", size=16, **statistics), fused=is_fused)
    half = replace(recipe("byol", size=16, dtype=torch.bfloat16, **statistics), fused=is_fused)
    given = half.apply(images, half.draw(images, ids), channels_last=pixels_together)
    out = [torch.empty(9, channels, 16, 16, dtype=torch.bfloat16) for _ in range(2)]
    half(images, ids, out=out)
    for a, b, c, d in zip(full(images, ids), half(images, ids, channels_last=pixels_together), given, out, strict=True):
        assert b.dtype == torch.bfloat16 and torch.equal(a.to(torch.bfloat16), b)
        assert torch.equal(b, c) and torch.equal(b, d)


def test_other_types_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"float32 or torch\.bfloat16"):
        recipe("simclr", dtype=torch.float16)
    with pytest.raises(DataError, match=r"give torch\.bfloat16"):
        recipe("none", size=8, dtype=torch.bfloat16)(photos(1, 8, 8), [0], out=[torch.empty(1, 3, 8, 8)] * 2)


def test_two_threads_with_work_of_different_sizes_share_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool._State, "asked", 4)
    done: list[int] = []

    def rounds(n: int) -> None:
        for _ in range(300):
            pool.split(n, lambda start, stop: done.append(stop - start))

    with ThreadPoolExecutor(2) as both:
        for future in [both.submit(rounds, n) for n in (3, 100)]:
            future.result()
    assert sum(done) == 300 * 103
