"""The eager applier equals torchvision's float path at equal parameters, operation by operation and as a chain."""

import pytest
import torch
import torchvision.transforms.v2.functional as F
from torch import Tensor

from infomax.views import ImageView, Params, apply, draw, ops, recipe

TOLERANCE = 1e-5


def photos(n: int, height: int, width: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(n, channels, max(2, height // 4), max(2, width // 4), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")
    noisy = smooth + 0.1 * torch.randn(smooth.shape, generator=generator)
    images = (noisy.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    # Flat, black, white and saturated pixels: where hue and saturation have their corners.
    images[0, :2] = 0
    images[0, 2:4] = 255
    images[1, :, :2] = 128
    return images


def by_torchvision(spec: ImageView, image: Tensor, p: Params, i: int) -> Tensor:
    """One image H x W x C through torchvision, op after op, with the parameters of sample i."""
    x = F.to_dtype(image.permute(2, 0, 1), torch.float32, scale=True)
    top, left, h, w = p.crop[i].tolist()
    x = F.resized_crop(x, top, left, h, w, [spec.size, spec.size], antialias=True)
    if p.flip[i]:
        x = F.horizontal_flip(x)
    jitter = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue]
    for which in p.order[i].tolist():
        if p.factor[i, which] != (0.0 if which == 3 else 1.0):
            x = jitter[which](x, p.factor[i, which].item())
    if p.gray[i]:
        x = F.rgb_to_grayscale(x, num_output_channels=x.shape[0])
    if p.sigma[i] > 0:
        x = F.gaussian_blur(x, [spec.kernel, spec.kernel], [p.sigma[i].item()] * 2)
    if p.solarize[i]:
        x = F.solarize(x, spec.threshold)
    return x


def unlike(spec: ImageView, images: Tensor, p: Params) -> float:
    ours = apply(spec, images, p)
    theirs = torch.stack([by_torchvision(spec, image, p, i) for i, image in enumerate(images)])
    difference = (ours - theirs).abs()
    # A value at the solarization threshold may fall on either side of it by one rounding: leave out those, and count them.
    jumps = difference > 1e-2
    if spec.solarize:
        at_threshold = ((theirs - (1 - spec.threshold)).abs() < 1e-4) | ((theirs - spec.threshold).abs() < 1e-4)
        assert (at_threshold & jumps).float().mean() < 1e-4
        difference = difference[~(at_threshold & jumps)]
    return difference.max().item()


def drawn(spec: ImageView, images: Tensor, seed: int = 0) -> Params:
    n, height, width = images.shape[:3]
    return draw(spec, torch.arange(n), torch.full((n,), height), torch.full((n,), width), seed=seed)


@pytest.mark.parametrize(
    ("height", "width", "size"), [(32, 32, 32), (28, 28, 32), (40, 64, 32), (96, 80, 24), (8, 8, 32)]
)
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_crop_and_flip(height: int, width: int, size: int, channels: int) -> None:
    images = photos(24, height, width, channels)
    spec = ImageView(size=size)
    p = drawn(spec, images)
    assert p.flip.any() and not p.flip.all()
    assert unlike(spec, images, p) < TOLERANCE


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize("channels", [1, 3])
def test_each_colour_operation(which: int, channels: int) -> None:
    x = photos(16, 20, 20, channels).permute(0, 3, 1, 2) / 255.0
    factor = torch.linspace(-0.5, 0.5, 16) if which == 3 else torch.linspace(0.0, 1.8, 16)
    ours = [ops.brightness, ops.contrast, ops.saturation, ops.hue][which](x, factor)
    theirs = [F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue][which]
    expected = torch.stack([theirs(image, f.item()) for image, f in zip(x, factor, strict=True)])
    assert (ours - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize(("size", "kernel"), [(32, 3), (32, 13), (8, 13), (40, 23)])
def test_blur(size: int, kernel: int) -> None:
    x = torch.rand(8, 3, size, size, generator=torch.Generator().manual_seed(0))
    sigma = torch.linspace(0.1, 2.0, 8)
    expected = torch.stack(
        [F.gaussian_blur(i, [kernel, kernel], [s.item()] * 2) for i, s in zip(x, sigma, strict=True)]
    )
    assert (ops.gaussian_blur(x, sigma, kernel) - expected).abs().max() < TOLERANCE


def test_a_kernel_longer_than_the_view_is_shortened() -> None:
    x = torch.rand(2, 1, 4, 4)
    blurred = ops.gaussian_blur(x, torch.tensor([2.0, 2.0]), 23)
    expected = F.gaussian_blur(x, [7, 7], [2.0, 2.0])
    assert (blurred - expected).abs().max() < TOLERANCE


def test_solarize_and_grayscale() -> None:
    x = photos(4, 16, 16).permute(0, 3, 1, 2) / 255.0
    assert torch.equal(ops.solarize(x, 0.5), F.solarize(x, 0.5))
    assert (ops.grayscale(x) - F.rgb_to_grayscale(x, num_output_channels=3)).abs().max() < TOLERANCE


@pytest.mark.parametrize(
    "name", ["simclr", "weak", "byol", "vicreg", "w-mse", "swav", "dino", "small", "small-grey", "gentle"]
)
def test_whole_chain_at_32(name: str) -> None:
    images = photos(48, 32, 32)
    for spec in recipe(name, size=32, local_views=1 if name in ("swav", "dino") else None).specs:
        assert unlike(spec, images, drawn(spec, images)) < TOLERANCE


@pytest.mark.parametrize(("size", "image"), [(96, 112), (224, 256)])
@pytest.mark.parametrize("name", ["simclr", "byol"])
def test_whole_chain_at_imagenet_sizes(name: str, size: int, image: int) -> None:
    images = photos(6, image, image + 16)
    for spec in recipe(name, size=size).specs:
        assert unlike(spec, images, drawn(spec, images, seed=3)) < TOLERANCE


def test_all_orders_and_extremes_at_once() -> None:
    images = photos(200, 16, 16)
    spec = ImageView(size=16, jitter=(1.0, 1.0, 1.0, 0.5), jitter_p=1.0, gray=0.1, blur=0.5, kernel=5, solarize=0.3)
    p = drawn(spec, images)
    assert len({tuple(row) for row in p.order.tolist()}) == 24
    assert unlike(spec, images, p) < TOLERANCE
