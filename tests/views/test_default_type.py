"""A run in bf16-true sets torch's default type while it computes, and its views are made meanwhile by another thread."""

import dataclasses

import pytest
import torch

from infomax.data import Dataset, sbm
from infomax.training.defaults import view_function
from infomax.views import Corruption, Gaussian, Signals, dense, ops, recipe
from infomax.views.image import draw


def pictures(channels: int) -> torch.Tensor:
    return torch.randint(0, 256, (6, 40, 30, channels), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def image_views(name: str, channels: int, fused: bool):  # type: ignore[no-untyped-def]
    views = recipe(name, size=24, mean=(0.41,) * channels, std=(0.23,) * channels)
    return dataclasses.replace(views, fused=fused)(pictures(channels), torch.arange(6), seed=1, epoch=2)


def on_a_device():  # type: ignore[no-untyped-def]
    spec = recipe("simclr", size=24).specs[0]
    params = draw(spec, torch.arange(6), torch.full((6,), 40), torch.full((6,), 30), seed=1)
    moments = ((0.41,) * 3, (0.23,) * 3)
    return [dense.apply(spec, pictures(3), dense.pack(params), moments, compiled=False)]


def table() -> torch.Tensor:
    return torch.randn(6, 9, dtype=torch.float32, generator=torch.Generator().manual_seed(0))


MOMENTS = {"mean": (0.123456,) * 9, "std": (1.23456,) * 9}
MADE = {
    "simclr": lambda: image_views("simclr", 3, True),
    "simclr, eager": lambda: image_views("simclr", 3, False),
    "byol, four channels": lambda: image_views("byol", 4, False),
    "grey, eager": lambda: image_views("vicreg", 1, False),
    "none": lambda: image_views("none", 3, False),
    "images of several sizes": lambda: recipe("simclr", size=24)(
        [*pictures(3)[:, :, :20], *pictures(3)], torch.arange(12)
    ),
    "on a device": on_a_device,
    "points": lambda: Gaussian(0.1, **MOMENTS)(table(), torch.arange(6)),
    "rows": lambda: Corruption(table(), **MOMENTS)(table(), torch.arange(6)),
    "signals": lambda: Signals(length=5, mean=(0.123456,), std=(1.23456,))(table()[:, None], torch.arange(6)),
    "a graph": lambda: [x for view in view_function(sbm())(sbm(), None, seed=0, epoch=1) for x in view],
    "a data set's own": lambda: view_function(Dataset(table()))(table(), torch.arange(6), seed=0, epoch=1),
}


@pytest.mark.parametrize("kind", list(MADE))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_views_do_not_ask_for_the_default_type(kind: str, dtype: torch.dtype) -> None:
    usual = MADE[kind]()
    ops.reflection.cache_clear()
    dense._constants.cache_clear()
    torch.set_default_dtype(dtype)
    try:
        made = MADE[kind]()
    finally:
        torch.set_default_dtype(torch.float32)
        ops.reflection.cache_clear()
    assert len(usual) == len(made)
    for a, b in zip(usual, made, strict=True):
        assert a.dtype == b.dtype and torch.equal(a, b)
