"""Draw one dance with several characters: the picture of docs/doll.md.

python scripts/make_character_sheet.py docs/images/characters.png

The characters are figures that Marionext draws itself (`marionext.training.figures`); the dance is
the bundled one. Each row is a character's picture, then frames of its render, made as
``marionext render`` makes them.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

from marionext import presets
from marionext.casting import doll_pose
from marionext.doll import DollDrawer, make_doll
from marionext.motion import frame_motion, load, map_rig, project
from marionext.pose import fit
from marionext.training.figures.clips import make_clip

SEEDS = (60, 32, 38, 62)
SIZE = (256, 384)
FRAMES = (9, 30, 62, 84, 104, 126)


def main() -> int:
    """Draw the sheet; return the exit status."""
    dance = load(presets.folder("motions") / "dance.bvh")
    rig = map_rig(dance)
    track = project(dance, rig, frame_motion(dance, SIZE), SIZE)
    rows = []
    for seed in SEEDS:
        clip = make_clip(seed, 1, SIZE)
        doll = make_doll(clip.frames[0], clip.points[0, 0], clip.scores[0, 0])
        placed = fit(track, doll_pose(doll), "limbs").track
        drawer = DollDrawer([doll], SIZE)
        orders = drawer.plan(placed.points, placed.scores, placed.depths)
        made = [
            drawer.draw(placed.points[k], placed.scores[k], placed.depths[k], orders[k]).picture
            for k in FRAMES
        ]
        rows.append(np.hstack([clip.frames[0], *made]))
    sheet = cv2.resize(np.vstack(rows), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    cv2.imwrite(sys.argv[1], cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    print(f"{Path(sys.argv[1])}: {len(rows)} characters")
    return 0


if __name__ == "__main__":
    sys.exit(main())
