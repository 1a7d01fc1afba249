"""Draw the picture of docs/upscale.md: a drawn figure in few pixels, made larger in each way.

python scripts/make_upscale_picture.py [--with lanczos upscaler ...] [--out docs/images/upscale.png]
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.backends.upscaling import open_upscaler, recognise
from marionext.jobs import EngineSettings
from marionext.output import contact_sheet, write_png
from marionext.training.figures.clips import HELD_OUT, make_clip

SIZE = (512, 768)
SHOWN = ((2, 1, (190, 60)), (7, 1, (170, 300)))
"""Figure, its frame, and left and top of what is shown of it."""
SIDE = 160
TIMES = 2
"""How many times each pixel is shown."""


def main() -> int:
    """Make and show."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--with", dest="methods", nargs="+", default=["lanczos", "upscaler"])
    parser.add_argument("--out", type=Path, default=Path("docs/images/upscale.png"))
    options = parser.parse_args()
    engine = EngineSettings(device="cpu")
    ways = [open_upscaler(recognise(name, 2), engine, print) for name in options.methods]
    cells, labels = [], []
    for figure, frame, (left, top) in SHOWN:
        whole = make_clip(HELD_OUT + figure, frame, SIZE).frames[frame]
        small = cv2.resize(whole, (SIZE[0] // 2, SIZE[1] // 2), interpolation=cv2.INTER_AREA)
        made = [np.repeat(np.repeat(small, 2, 0), 2, 1)]
        made += [way.enlarge(np.ascontiguousarray(small), lambda *_: None) for way in ways]
        cells += [_cut(picture, left, top) for picture in (*made, whole)]
        labels += ["256x384", *options.methods, "drawn at 512x768"]
    write_png(options.out, contact_sheet(cells, labels))
    return 0


def _cut(picture: NDArray[np.uint8], left: int, top: int) -> NDArray[np.uint8]:
    part = picture[top : top + SIDE, left : left + SIDE]
    return np.repeat(np.repeat(part, TIMES, 0), TIMES, 1)


if __name__ == "__main__":
    sys.exit(main())
