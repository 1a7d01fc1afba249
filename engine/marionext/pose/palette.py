"""The colours that pose maps are drawn in, as the network is fed them: red, green, blue.

ControlNeXt draws with OpenPose's table and then exchanges red and blue, so its maps are the
standard ones with these two exchanged: the limb from the neck to the right shoulder is blue where
other tools draw it red. The released weights were trained on this palette.
"""

import colorsys

from marionext.pose.skeleton import BODY_LIMBS, HAND_BONES

__all__ = [
    "BODY_COLOURS",
    "DIM",
    "FACE_COLOUR",
    "HAND_COLOURS",
    "HAND_POINT_COLOUR",
    "LIMB_COLOURS",
    "Colour",
    "scale_colour",
]

Colour = tuple[float, float, float]

DIM = 0.6
"""Limbs are drawn at 60 % of their colour, joints at all of it."""

_STANDARD = (
    (255, 0, 0),
    (255, 85, 0),
    (255, 170, 0),
    (255, 255, 0),
    (170, 255, 0),
    (85, 255, 0),
    (0, 255, 0),
    (0, 255, 85),
    (0, 255, 170),
    (0, 255, 255),
    (0, 170, 255),
    (0, 85, 255),
    (0, 0, 255),
    (85, 0, 255),
    (170, 0, 255),
    (255, 0, 255),
    (255, 0, 170),
    (255, 0, 85),
)

BODY_COLOURS: tuple[Colour, ...] = tuple((blue, green, red) for red, green, blue in _STANDARD)
"""Colour of each of the 18 body joints."""

LIMB_COLOURS = BODY_COLOURS[: len(BODY_LIMBS)]
"""Colour of each of the 17 limbs, before dimming."""

HAND_COLOURS: tuple[Colour, ...] = tuple(
    colorsys.hsv_to_rgb(bone / len(HAND_BONES), 1.0, 1.0)[::-1] for bone in range(len(HAND_BONES))
)
"""Colour of each of the 20 hand bones: once round the colour wheel, each channel 0 to 1."""

HAND_POINT_COLOUR: Colour = (255, 0, 0)
FACE_COLOUR: Colour = (255, 255, 255)


def scale_colour(colour: Colour, factor: float) -> tuple[int, int, int]:
    """Return a colour times a confidence, cut to whole numbers and to 0..255."""
    red, green, blue = (min(max(int(channel * factor), 0), 255) for channel in colour)
    return red, green, blue
