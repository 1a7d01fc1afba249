"""Lay frames of a side-by-side video (`marionext demo`) out as the README's picture.

python scripts/make_demo_picture.py out/demo/dance-with-poses.mp4 docs/images/demo.png
"""

import sys
from pathlib import Path

import av
import cv2
import numpy as np

COLUMNS = 7
BRIGHTER = 3.0
"""Pose maps are dark; the picture shows them brighter."""


def main() -> int:
    """Draw the picture; returns the exit status."""
    video, target = map(Path, sys.argv[1:3])
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    chosen = np.linspace(0, len(frames) - 1, COLUMNS).round().astype(int)
    half = frames[0].shape[1] // 2
    maps = [np.clip(frames[i][:, :half] * BRIGHTER, 0, 255).astype(np.uint8) for i in chosen]
    rows = [np.hstack(maps), np.hstack([frames[i][:, half:] for i in chosen])]
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    return 0


if __name__ == "__main__":
    sys.exit(main())
