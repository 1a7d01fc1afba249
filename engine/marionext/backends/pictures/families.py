"""The families of models that make pictures, and what a picture of each may measure."""

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["FAMILIES", "Family", "FamilyName", "buckets", "nearest_bucket", "rounded"]

FamilyName = Literal["sd15", "sdxl", "sd3"]

_BUCKET_STEP = 64
_LARGEST_ASPECT = 2.0
_LEAST_PART = 0.8
"""Of the pixels that a base was trained at, which a bucket has at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What bases of one family have in common."""

    name: FamilyName
    title: str
    network: str
    """Folder of the network that denoises."""
    text_encoders: tuple[str, ...]
    """Folders of the text encoders; those of the optional ones end with a question mark."""
    context: int
    """Width of the text that the network is shown, by which its LoRAs are known."""
    side: int
    """Pixels of a side of the squares it was trained at."""


FAMILIES: dict[FamilyName, Family] = {
    "sd15": Family(
        name="sd15",
        title="Stable Diffusion 1.5",
        network="unet",
        text_encoders=("text_encoder",),
        context=768,
        side=512,
    ),
    "sdxl": Family(
        name="sdxl",
        title="Stable Diffusion XL",
        network="unet",
        text_encoders=("text_encoder", "text_encoder_2"),
        context=2048,
        side=1024,
    ),
    "sd3": Family(
        name="sd3",
        title="Stable Diffusion 3",
        network="transformer",
        text_encoders=("text_encoder", "text_encoder_2", "text_encoder_3?"),
        context=4096,
        side=1024,
    ),
}


def buckets(side: int) -> tuple[tuple[int, int], ...]:
    """Return the sizes (width, height) that have about as many pixels as a square.

    They are multiples of 64 with 0.8 to 1 times the pixels, and at most twice as long as wide; of
    a square of less than 256 multiples of a quarter of it.

    Args:
        side: of the square, in pixels.
    """
    step = min(_BUCKET_STEP, max(8, side // 4 // 8 * 8))
    sides = range(step, math.ceil(side * _LARGEST_ASPECT) + 1, step)
    return tuple(
        (width, height)
        for width in sides
        for height in sides
        if _LEAST_PART * side**2 <= width * height <= side**2
        and max(width, height) <= _LARGEST_ASPECT * min(width, height)
    )


def nearest_bucket(side: int, shape: tuple[int, int]) -> tuple[int, int]:
    """Return the bucket whose shape is nearest to that of a picture; of equals the largest."""
    wanted = math.log(shape[0] / shape[1])

    def distance(size: tuple[int, int]) -> tuple[float, int]:
        return round(abs(math.log(size[0] / size[1]) - wanted), 6), -size[0] * size[1]

    return min(buckets(side), key=distance)


def rounded(size: tuple[int, int], step: int) -> tuple[int, int]:
    """Return width and height as the nearest multiples of ``step``, at least two of them."""
    width, height = (max(2 * step, (side + step // 2) // step * step) for side in size)
    return width, height
