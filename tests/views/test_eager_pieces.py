import pytest
import torch
from PIL import Image

from infomax.errors import DataError
from infomax.views import ImageView, apply, draw, image, recipe


@pytest.mark.parametrize("at_once", [1, 3 * 40 * 30 * 3, 1 << 40])
def test_photographs_taken_a_few_at_a_time_give_the_same_views(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    images = torch.randint(0, 256, (8, 40, 30, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    spec = ImageView(size=16, jitter=(0.8, 0.8, 0.8, 0.2), blur=0.5, kernel=3)
    p = draw(spec, torch.arange(8), torch.full((8,), 40), torch.full((8,), 30))
    expected = apply(spec, images, p)
    monkeypatch.setattr(image, "_AT_ONCE", at_once)
    torch.testing.assert_close(apply(spec, images, p), expected, rtol=0, atol=1e-6)


def test_no_images_give_no_views() -> None:
    spec, none = ImageView(size=4), torch.zeros(0, dtype=torch.int64)
    assert apply(spec, torch.zeros(0, 8, 8, 3), draw(spec, none, none, none)).shape == (0, 3, 4, 4)
    views = recipe("weak", size=4, mean=[0.5] * 3, std=[0.2] * 3)(torch.zeros(0, 8, 8, 3, dtype=torch.uint8), none)
    assert [v.shape for v in views] == [(0, 3, 4, 4)] * 2


def test_pictures_and_images_plane_by_plane_are_the_same_images() -> None:
    """As a loader of one's own gives them: PIL's pictures, or what torchvision's ToTensor makes of them."""
    images = torch.randint(0, 256, (3, 20, 24, 3), dtype=torch.uint8)
    views = recipe("simclr", size=16)
    plain = views(images, range(3))
    for other in (images.permute(0, 3, 1, 2), [Image.fromarray(one.numpy()) for one in images]):
        assert all(torch.equal(a, b) for a, b in zip(plain, views(other, range(3)), strict=True))
    for a, b in zip(plain, views(images.permute(0, 3, 1, 2) / 255, range(3)), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
    grey = Image.fromarray(images[0, :, :, 0].numpy())
    assert views([grey], [0])[0].shape == (1, 1, 16, 16)
    with pytest.raises(DataError, match="a str among the images: give H x W x C uint8, or pictures of PIL"):
        views(["a.png"], [0])
