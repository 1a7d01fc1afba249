"""A contact sheet: several pictures and what they are called on one page."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["contact_sheet"]

_CELL = 384
"""Pixels of the longer side of a picture on the sheet at most."""
_LEAST_CELL = 96
_WIDEST = 4096
"""Pixels of the sheet's width at most."""
_GAP = 12
_LABEL = 22
_GROUND = 245
_INK = 40


def contact_sheet(
    pictures: Sequence[NDArray[np.uint8]], labels: Sequence[str], *, cell: int = _CELL
) -> NDArray[np.uint8]:
    """Lay pictures out in rows, as near to a square as they go, each over its label.

    Args:
        pictures: (height, width, 3) RGB, of any sizes, at least one.
        labels: one a picture.
        cell: pixels of the longer side of the largest picture.

    Returns:
        (height, width, 3) RGB.
    """
    cell = min(cell, max(_LEAST_CELL, round(_WIDEST / math.sqrt(len(pictures)))))
    scale = min(1.0, cell / max(max(picture.shape[:2]) for picture in pictures))
    small = [_scaled(picture, scale) for picture in pictures]
    width = max(picture.shape[1] for picture in small) + _GAP
    height = max(picture.shape[0] for picture in small) + _GAP + _LABEL
    columns = math.ceil(math.sqrt(len(small) * height / width))
    columns = max(1, min(columns, len(small), _WIDEST // width))
    rows = math.ceil(len(small) / columns)
    columns = math.ceil(len(small) / rows)  # rows of one length, as far as they go
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), (_GROUND,) * 3)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for place, (picture, label) in enumerate(zip(small, labels, strict=True)):
        left, top = _GAP + place % columns * width, _GAP + place // columns * height
        sheet.paste(Image.fromarray(picture), (left, top))
        pen.text((left, top + picture.shape[0] + 3), label, fill=(_INK,) * 3, font=font)
    return np.asarray(sheet, np.uint8)


def _scaled(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale == 1:
        return picture
    size = tuple(max(1, round(side * scale)) for side in picture.shape[1::-1])
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
