"""How fast a person is captured from a video: both passes as they are, against a plain loop.

    python benchmarks/capture.py [VIDEO] [--frames 90] [--cores 2] [--json FILE]

Without a video the bundled character drifts through a clip of 576 x 1024. The plain loop does the
same work one step after the other in one thread, and searches for each hand again in every frame.
Counted is the time on the wall, which other programs slow down, and the processor's time, which
they hardly do: two free cores give at most 2000 / (its milliseconds) frames a second.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from marionext import presets
from marionext.capture.closeup import HandFinder, find_face, one_hand_only, place_body
from marionext.capture.finding import MOST_PEOPLE, sight_people
from marionext.capture.follow import follow
from marionext.capture.landmarkers import BodyLandmarker, FaceLandmarker, HandLandmarker
from marionext.capture.mapping import Landmarks, whole_body
from marionext.capture.mediapipe_detector import detect_people_in_video
from marionext.capture.models import locate_models
from marionext.footage import probe, read_frames

SIZE = (576, 1024)
TARGET = 10.0


def drifting_hero(path: Path, frames: int) -> None:
    """Write a clip in which the bundled character drifts and grows."""
    hero = np.asarray(Image.open(presets.folder("characters") / "hero.png").convert("RGB"))
    rate = Fraction(30)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index in range(frames):
            width = 380 + index
            shown = cv2.resize(hero, (width, width * hero.shape[0] // hero.shape[1]))
            shown = shown[:1000, :560]
            picture = np.full((SIZE[1], SIZE[0], 3), hero[4, 4], np.uint8)
            left = (SIZE[0] - shown.shape[1]) // 2 + round(8 * np.sin(index / 7))
            picture[20 : 20 + shown.shape[0], left : left + shown.shape[1]] = shown
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def two_passes(path: Path, frames: int) -> int:
    """Capture as `extract_track` does; returns the number of frames."""
    found = detect_people_in_video(
        path,
        probe(path),
        person="largest",
        window=range(frames),
        on_progress=lambda _: None,
        cancelled=lambda: False,
    )
    return len(found.times)


def plain_loop(path: Path, frames: int) -> int:
    """Do the same in one thread; hands are searched for again in every frame."""
    models, info = locate_models(), probe(path)
    with BodyLandmarker(models.finder, people=MOST_PEOPLE) as finder:
        looks = [
            sight_people(frame.picture, finder) for frame in read_frames(path, only=range(frames))
        ]
    boxes = follow(
        looks,
        range(len(looks)),
        person="largest",
        size=info.size,
        frames=frames,
        rate=float(info.rate),
    )
    with (
        BodyLandmarker(models.body) as bodies,
        HandLandmarker(models.hand) as hands,
        FaceLandmarker(models.face) as faces,
    ):
        finders = [HandFinder(left=left, searcher=hands, tracker=None) for left in (True, False)]
        for frame in read_frames(path, only=range(frames)):
            body = place_body(frame.picture, boxes[0, frame.index], bodies, None)
            if body is None:
                continue
            left, right = one_hand_only(body, *(hand.find(frame.picture, body) for hand in finders))
            face = find_face(frame.picture, body, faces)
            whole_body(Landmarks(body=body, left_hand=left, right_hand=right, face=face), info.size)
    return len(looks)


def measure(way: Callable[[Path, int], int], path: Path, frames: int) -> dict[str, float]:
    """Return frames a second and the processor's milliseconds a frame."""
    wall, processor = time.perf_counter(), time.process_time()
    count = way(path, frames)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "frames": count,
        "frames_per_second": round(count / wall, 2),
        "processor_ms_per_frame": round(1000 * processor / count, 1),
    }


def main() -> int:
    """Run the benchmark; exit status 1 when the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("video", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=90)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.cores])
    with tempfile.TemporaryDirectory() as folder:
        path = options.video or Path(folder) / "hero.mp4"
        if options.video is None:
            drifting_hero(path, options.frames)
        info = probe(path)
        frames = min(options.frames, info.frames)
        results = {
            name: measure(way, path, frames)
            for name, way in (("two passes", two_passes), ("plain loop", plain_loop))
        }
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{path.name}, {info.size[0]}x{info.size[1]}, {options.cores} cores, load {busy:.1f}")
    for name, result in results.items():
        print(
            f"{name:12} {result['frames_per_second']:6.1f} frames/s"
            f" {result['processor_ms_per_frame']:7.1f} ms of processor a frame"
        )
    if options.json:
        record = {"machine": platform.platform(), "cores": options.cores, "load": busy, **results}
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0 if results["two passes"]["frames_per_second"] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
