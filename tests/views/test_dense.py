"""The chain without a question to the host equals the readable one, here uncompiled and on the CPU."""

import pytest
import torch
from tests.views.test_against_torchvision import photos

from infomax.views import ImageView, apply, dense, draw, fused, recipe


def difference(spec: ImageView, ours: torch.Tensor, theirs: torch.Tensor) -> float:
    apart = (ours - theirs).abs()
    if spec.solarize:  # a value at the threshold may fall on either side of it by one rounding
        jumps = (apart > 1e-2) & (
            ((theirs - spec.threshold).abs() < 1e-4) | ((1 - theirs - spec.threshold).abs() < 1e-4)
        )
        assert jumps.float().mean() < 1e-4
        apart = apart[~jumps]
    return apart.max().item()


@pytest.mark.parametrize("name", ["simclr", "weak", "byol", "vicreg", "w-mse", "swav", "dino", "small"])
@pytest.mark.parametrize(("size", "side", "channels"), [(32, 32, 3), (24, 40, 1), (96, 110, 3), (16, 20, 4)])
def test_equals_the_readable_chain(name: str, size: int, side: int, channels: int) -> None:
    images, index = photos(24, side, side + 3, channels), torch.arange(24)
    views = recipe(name, size=size)
    for number, spec in enumerate(views.specs):
        heights, widths = torch.full((24,), side), torch.full((24,), side + 3)
        params = draw(spec, index, heights, widths, seed=3, epoch=1, view=number)
        seen = dense.apply(spec, images, dense.pack(params), compiled=False, channels_last=False)
        assert seen.is_contiguous()
        assert difference(spec, seen, apply(spec, images, params)) < 2e-6


def test_a_packed_draw_is_the_draw() -> None:
    images, index = photos(50, 30, 40), torch.arange(50) + 1000
    views = recipe("byol", size=32)
    for table, params in zip(
        torch.from_numpy(fused.numbers(views.specs, index, images, seed=1, epoch=2)),
        views.draw(images, index, seed=1, epoch=2),
        strict=True,
    ):
        assert torch.equal(table, dense.pack(params))
        for one, other in zip(dense.unpack(table), params, strict=True):
            assert torch.equal(one, other)


def test_views_of_a_device_are_those_of_the_cpu() -> None:
    images, index = photos(16, 32, 32), torch.arange(16)
    views = recipe("simclr", size=32, mean=[0.5] * 3, std=[0.25] * 3)
    ours = views._on_device(images, index, 0, 4, channels_last=True, out=None, compiled=False)
    for one, other in zip(ours, views(images, index, seed=0, epoch=4), strict=True):
        assert one.is_contiguous(memory_format=torch.channels_last)
        assert (one - other).abs().max() < 4e-6 / 0.25


def test_large_images_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    images = photos(7, 20, 20)
    spec, sides = ImageView(size=16, jitter=(0.4, 0.4, 0.4, 0.1)), torch.full((7,), 20)
    table = dense.pack(draw(spec, torch.arange(7), sides, sides))
    whole = dense.apply(spec, images, table, compiled=False)
    monkeypatch.setattr(dense, "_AT_ONCE", 2 * 20 * 20 * 3)
    assert torch.equal(dense.apply(spec, images, table, compiled=False), whole)


def test_a_compiler_that_fails_costs_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(dense, "_runs", {})
    monkeypatch.setattr(torch, "compile", lambda *_, **__: broken)
    images = photos(3, 20, 20)
    spec, sides = ImageView(size=16), torch.full((3,), 20)
    table = dense.pack(draw(spec, torch.arange(3), sides, sides))
    with pytest.warns(RuntimeWarning, match="uncompiled.*no compiler$"):
        seen = dense.apply(spec, images, table)
    assert torch.equal(seen, dense.apply(spec, images, table))  # once, not at every batch
