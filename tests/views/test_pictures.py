"""Pictures of PIL are read in one way, as samples and as images to make views of."""

import numpy as np
import pytest
import torch
from PIL import Image

from infomax.arrays import of_picture
from infomax.data.items import of_items
from infomax.errors import DataError
from infomax.views.image import as_images

RAMP = Image.fromarray(np.arange(0, 252, 7, dtype=np.uint8).reshape(4, 9))


@pytest.mark.parametrize(
    ("mode", "channels"),
    [
        ("1", 1),
        ("L", 1),
        ("LA", 3),
        ("P", 3),
        ("RGB", 3),
        ("RGBA", 3),
        ("CMYK", 3),
        ("I", None),
        ("I;16", None),
        ("F", None),
    ],
)
def test_samples_and_views_are_made_of_the_same_numbers(mode, channels):
    picture = Image.fromarray(np.asarray(RAMP, np.uint16)) if mode == "I;16" else RAMP.convert(mode)
    assert picture.mode == mode
    if channels is None:  # 8 bits of it would be cut off at 255
        for read in (of_picture, lambda one: as_images([one])):
            with pytest.raises(DataError, match=f"a picture of mode {mode}: bring it to 8 bits"):
                read(picture)
        with pytest.raises(
            DataError, match=f"of 1 sample none can be had .*a picture of mode {mode}: bring it to 8 bits"
        ):
            of_items([picture])
        return
    shown = picture.convert("L" if channels == 1 else "RGB")
    expected = torch.from_numpy(np.array(shown)).reshape(4, 9, channels)
    for found in (of_picture(picture), as_images([picture])[0], of_items([picture]).images[0]):
        assert found.dtype == torch.uint8 and torch.equal(found, expected)


@pytest.mark.filterwarnings("error")
def test_what_shines_through_is_left_out_and_needs_no_warning():
    palette = RAMP.convert("P")
    palette.info["transparency"] = bytes(256)
    assert torch.equal(of_picture(palette), of_picture(RAMP.convert("RGB")))


def test_grey_of_premultiplied_alpha_is_read_as_of_plain():
    """Pillow turns it into nothing else; it is what resizing by hand may leave."""
    plain = RAMP.convert("LA")
    plain.putalpha(200)
    for info in ({}, {"transparency": 0}):
        premultiplied = plain.convert("La")
        premultiplied.info |= info
        assert torch.equal(of_picture(premultiplied), of_picture(premultiplied.convert("LA")))
        assert as_images([premultiplied])[0].shape == (4, 9, 3)
