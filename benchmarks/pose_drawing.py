"""How long a pose map takes to draw: the drawing in use against the same drawing written plainly.

    python benchmarks/pose_drawing.py [--json FILE]

One thread; the two take turns every few frames, so that a busy machine slows both alike. Each
clip is drawn frame after frame, as `marionext posemap` does. What is counted is the time of the
thread, without that of other programs that share the core.
"""

import argparse
import hashlib
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.pose.skeleton import BODY, FACE, LEFT_HAND, POINT_COUNT, RIGHT_HAND
from marionext.posemap import Drawer, normalise
from marionext.posemap.plain import draw_plain

SIZES = ((576, 1024), (1024, 576), (512, 512), (768, 1344))
TARGET_MS = 2.0
_TURN = 10


def dancer(frame: int, size: tuple[int, int], centre: float = 0.5) -> NDArray[np.float64]:
    """Return the 134 points (134, 2), in pixels, of a dancer that fills the picture's height."""
    phase = frame * 2 * np.pi / 30
    swing, sway = np.sin(phase), np.cos(phase * 0.5)
    body = np.array(
        [
            (0, 0.13), (0, 0.22),
            (-0.09, 0.22), (-0.16, 0.30 - 0.12 * swing), (-0.21, 0.36 - 0.28 * swing),
            (0.09, 0.22), (0.16, 0.30 + 0.12 * swing), (0.21, 0.36 + 0.28 * swing),
            (-0.06, 0.52), (-0.08 - 0.03 * sway, 0.72), (-0.09, 0.94),
            (0.06, 0.52), (0.08 + 0.03 * sway, 0.72), (0.09, 0.94),
            (-0.012, 0.12), (0.012, 0.12), (-0.03, 0.125), (0.03, 0.125),
        ]
    )  # fmt: skip
    points = np.zeros((POINT_COUNT, 2))
    points[BODY] = body
    turn = np.linspace(0, 2 * np.pi, 68)
    points[FACE] = np.stack([0.03 * np.cos(turn), 0.13 + 0.045 * np.sin(2 * turn) ** 2], axis=1)
    for hand, wrist in ((LEFT_HAND, 7), (RIGHT_HAND, 4)):
        fan = [body[wrist]]
        for finger in range(5):
            angle = np.pi / 2 + (finger - 2) * 0.25
            fan += [
                body[wrist] + (0.02 + 0.011 * joint) * np.array([np.cos(angle), np.sin(angle)])
                for joint in range(4)
            ]
        points[hand] = fan
    points[:, 0] += 0.03 * sway
    return points * size[1] + np.array([centre * size[0], 0])


def _timed(times: list[float], draw: Callable[[], NDArray[np.uint8]]) -> bytes:
    start = time.thread_time()
    drawn = draw()
    times.append(1000 * (time.thread_time() - start))
    return hashlib.sha256(drawn).digest()


def measure(size: tuple[int, int], people: int, frames: int) -> dict[str, object]:
    """Draw ``frames`` maps both ways; return median milliseconds and whether they are equal."""
    drawer = Drawer(size)
    scores = np.random.default_rng(0).uniform(0.5, 1.0, (people, POINT_COUNT))
    times: dict[str, list[float]] = {"quick": [], "plain": []}
    identical = 0
    clip = [
        np.stack(
            [
                dancer(frame + 7 * person, size, (person + 1) / (people + 1))
                for person in range(people)
            ]
        )
        for frame in range(frames)
    ]
    for first in range(0, frames, _TURN):
        turn = clip[first : first + _TURN]
        # A map is used and let go, as a rendering does; so only a digest of it is kept.
        quick = [
            _timed(times["quick"], lambda p=points: drawer.draw(p, scores, size)) for points in turn
        ]
        plain = [
            _timed(times["plain"], lambda p=points: draw_plain(normalise(p, scores, size), size))
            for points in turn
        ]
        identical += sum(one == other for one, other in zip(quick, plain, strict=True))
    quick_ms, plain_ms = (float(np.median(times[way])) for way in ("quick", "plain"))
    return {
        "size": f"{size[0]}x{size[1]}",
        "people": people,
        "frames": frames,
        "quick_ms": round(quick_ms, 3),
        "quick_p90_ms": round(float(np.percentile(times["quick"], 90)), 3),
        "plain_ms": round(plain_ms, 3),
        "ratio": round(plain_ms / quick_ms, 1),
        "identical": f"{identical}/{frames}",
    }


def main() -> int:
    """Measure every size, print the table, and fail where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=60, help="frames of each kind (60)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rows = [measure(size, 1, options.frames) for size in SIZES]
    rows.append(measure(SIZES[0], 2, options.frames))
    columns = list(rows[0])
    print("  ".join(f"{name:>12}" for name in columns))
    for row in rows:
        print("  ".join(f"{row[name]!s:>12}" for name in columns))
    met = float(str(rows[0]["quick_ms"])) <= TARGET_MS
    same = all(row["identical"] == f"{options.frames}/{options.frames}" for row in rows)
    print(
        f"target {TARGET_MS} ms at {rows[0]['size']}: {'met' if met else 'MISSED'}; "
        f"{'every map pixel-identical' if same else 'MAPS DIFFER'}"
    )
    if options.json:
        record = {
            "benchmark": "pose_drawing",
            "opencv": cv2.__version__,
            "machine": platform.platform(),
            "threads": 1,
            "target_ms": TARGET_MS,
            "rows": rows,
        }
        options.json.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0 if met and same else 1


if __name__ == "__main__":
    sys.exit(main())
