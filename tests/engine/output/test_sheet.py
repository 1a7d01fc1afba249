"""Contact sheets: every picture is there, over its label, in rows."""

import numpy as np
import pytest

from marionext.output import contact_sheet


def plain(width: int, height: int, grey: int) -> np.ndarray:
    return np.full((height, width, 3), grey, np.uint8)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 9, 40])
def test_every_picture_is_on_the_sheet(count: int) -> None:
    greys = [10 + 4 * number for number in range(count)]
    sheet = contact_sheet([plain(64, 96, grey) for grey in greys], ["x"] * count)
    for grey in greys:
        # Labels are dark, too, but no label is as large as a picture.
        assert (sheet == grey).all(axis=2).sum() >= 0.98 * 64 * 96
    assert 0.4 < sheet.shape[1] / sheet.shape[0] < 2.5
    assert (sheet < 200).all(axis=2).sum() > count * 64 * 96  # labels


def test_large_pictures_are_made_smaller_and_small_ones_stay() -> None:
    sheet = contact_sheet([plain(1024, 2048, 50), plain(512, 512, 90)], ["a", "b"])
    assert max(sheet.shape) < 500
    assert (sheet == 50).all(axis=2).sum() == pytest.approx(192 * 384, rel=0.02)
    many = contact_sheet([plain(1000, 1000, 60)] * 100, ["x"] * 100)
    assert max(many.shape) < 5500
