"""What the desktop's document, keypoints and pictures cost, without a window.

``python benchmarks/desktop_model.py [--minutes 10] [--json FILE]``

A clip of 1080p at 30 frames/s with numbered frames is written and its proxy made; then frames are
sought at random, by hand to pixels, and every one is checked to be the one that was asked for.
"""

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QCoreApplication, QEventLoop
from tests.desktop.media import number_of, write_video

from marionext.edits import Offset, Smooth
from marionext.frames import FrameRange, FrameRate
from marionext.pose import PoseTrack
from marionext_desktop.model import editing, posing, proxies
from marionext_desktop.model.document import Document
from marionext_desktop.model.files import as_text, from_bytes
from marionext_desktop.model.findings import find
from marionext_desktop.model.importing import look_at
from marionext_desktop.model.pictures import Pictures
from marionext_desktop.model.places import stamp_of
from marionext_desktop.model.playback import Player
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Project, Source
from marionext_desktop.model.takes import poses_key

FRAMES = 10_000
SIZE = (1920, 1080)


def main() -> int:
    """Measure, print a table, and write JSON where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the clip (10)")
    parser.add_argument("--play", type=float, default=60.0, help="seconds that are played (60)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--no-pictures", action="store_true", help="the document alone")
    options = parser.parse_args()
    application = QCoreApplication([])
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MARIONEXT_HOME"] = folder
        figures |= measure_document(Path(folder), application)
        if not options.no_pictures:
            figures |= measure_pictures(Path(folder), options.minutes, options.play, application)
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:{width}}  {value:10.2f}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def milliseconds(do: Callable[[], object], times: int = 1) -> float:
    """Return the median time of something in milliseconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        do()
        taken.append(time.perf_counter() - started)
    return 1000 * statistics.median(taken)


def wait(application: QCoreApplication, until: Callable[[], bool]) -> None:
    """Let Qt work until something is so."""
    while not until():
        application.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 5)
        time.sleep(0.0005)


def wandering(frames: int) -> PoseTrack:
    """Make somebody who wanders about, with gaps."""
    generator = np.random.default_rng(0)
    steps = generator.normal(0, 0.4, (frames, 1, 134, 2))
    scores = np.full((frames, 1, 134), 0.9, np.float32)
    scores[frames // 3 : frames // 3 + 12, 0, 92:113] = 0
    return PoseTrack(
        points=(500 + np.cumsum(steps, axis=0)).astype(np.float32), scores=scores,
        size=(1080, 1920), rate=FrameRate(Fraction(30)),
    )  # fmt: skip


def measure_document(folder: Path, application: QCoreApplication) -> dict[str, float]:
    """Measure edits of a clip of 10,000 frames."""
    media = folder / "media.json"
    media.write_text("x")
    source = Source(
        id="s", path=str(media), kind="poses", name="m", frames=FRAMES, size=(1080, 1920),
        stamp=stamp_of(media), rate=FrameRate(Fraction(30)),
    )  # fmt: skip
    project = editing.add_source(Project(), source)
    project = editing.append(project, replace(editing.whole_clip(project, "s"), id="c"))
    document = Document(project)
    poses = Poses(document)
    track = wandering(FRAMES)
    poses.put_track(source, track)
    found: dict[str, float] = {}

    now = poses.keypoints(project.clip("c"))
    assert now is not None
    document.do("Key", posing.key(project, "c", 0, 5, [4], now))
    now = poses.keypoints(document.project.clip("c"))
    assert now is not None
    start = document.project
    place = iter(range(10**6))

    def drag() -> None:
        x = float(next(place))
        changed = posing.drag(start, "c", 0, 900, {4: (x, 5.0), 3: (x, 9.0)}, now, fade=(12, 12))
        document.do("Drag", changed, merge="drag")

    found["drag of a limb with fade, ms"] = milliseconds(drag, 50)
    document.end_gesture()

    def filtered() -> None:
        clip = document.project.clip("c")
        edits = (*clip.edits, Smooth(window=7))
        document.do("Smooth", document.project.with_clips({"c": replace(clip, edits=edits)}))

    found["filter over the clip, back to the window, ms"] = milliseconds(filtered)
    started = time.perf_counter()
    wait(application, lambda: not poses.is_pending(document.project.clip("c")))
    found["filter over the clip, done, s"] = time.perf_counter() - started
    undone, redone = [], []
    for _ in range(5):
        undone.append(milliseconds(document.undo))
        redone.append(milliseconds(document.redo))
    found["undo of the filter, ms"] = statistics.median(undone)
    found["redo of the filter, ms"] = statistics.median(redone)
    for step in range(200):
        clip = document.project.clip("c")
        edit = Offset(by=(1.0, 0.0), joints=("left_arm",), frames=FrameRange(step, step + 20))
        edits = (*clip.edits, edit)
        document.do("Move", document.project.with_clips({"c": replace(clip, edits=edits)}))
    found["200 edits undone, ms a step"] = (
        milliseconds(lambda: [document.undo() for _ in range(200)]) / 200
    )
    found["200 edits redone, ms a step"] = (
        milliseconds(lambda: [document.redo() for _ in range(200)]) / 200
    )
    span = FrameRange(0, FRAMES)
    found["poses of the sequence, ms"] = milliseconds(lambda: poses.sequence_track(span), 3)
    found["whether a take is of before, ms"] = milliseconds(
        lambda: poses_key(document.project, span), 5
    )
    text = as_text(document.project, beside=folder)
    found["project as text, ms"] = milliseconds(lambda: as_text(document.project, beside=folder), 3)
    found["project read, ms"] = milliseconds(lambda: from_bytes(text.encode(), folder / "x"), 3)
    found["history, MB"] = document.history_bytes / 1e6
    started = time.perf_counter()
    find(track)
    found["all findings, s (beside the window)"] = time.perf_counter() - started
    poses.close()
    return found


def measure_playing(
    source: Source, pictures: Pictures, seconds: float, application: QCoreApplication
) -> dict[str, float]:
    """Play from the start: every frame is asked for as it is due, those after it ahead."""
    project = editing.add_source(Project(), source)
    project = editing.append(project, editing.whole_clip(project, source.id))
    player = Player(Document(project))
    last = source.frames - 1
    asked, there = 0, 0

    def show(frame: int) -> None:
        nonlocal asked, there
        asked += 1
        coming = range(frame + 1, min(frame + 13, last))
        there += pictures.want([(source, frame)], ahead=[(source, each) for each in coming])

    player.frame_changed.connect(show)
    player.play()
    started, cpu = time.perf_counter(), time.process_time()
    wait(application, lambda: time.perf_counter() - started > seconds or not player.playing)
    load = (time.process_time() - cpu) / (time.perf_counter() - started)
    found = {
        f"playing {seconds:g} s, frames shown": float(asked),
        "playing, frames passed over": float(player.dropped),
        "playing, frames not there in time": float(asked - there),
        "playing, processor cores": load,
    }
    player.close()
    return found


def measure_pictures(
    folder: Path, minutes: float, play: float, application: QCoreApplication
) -> dict[str, float]:
    """Measure seeking in a long clip, to pixels."""
    count = round(minutes * 60 * 30)
    path = write_video(folder / "clip.mp4", count, size=SIZE)
    started = time.perf_counter()
    source = look_at(str(path)).source
    assert source is not None
    found = {"import, s": time.perf_counter() - started}
    maker = proxies.Proxies()
    started = time.perf_counter()
    maker.look_at(source, count // 2)
    pieces = -(-count // proxies.PIECE_FRAMES)
    wait(application, lambda: len(maker.pieces(source)) == pieces)
    seconds = time.perf_counter() - started
    found["proxy, frames/s"] = count / seconds
    found["proxy, MB"] = sum(f.stat().st_size for f in maker._root.rglob("*.mkv")) / 1e6
    pictures = Pictures(maker)

    def seek(frame: int) -> float:
        started = time.perf_counter()
        if not pictures.want([(source, frame)]):
            wait(application, lambda: pictures.get(source, frame) is not None)
        taken = time.perf_counter() - started
        picture = pictures.get(source, frame)
        assert picture is not None
        assert number_of(picture[..., :3], SIZE) == frame
        return 1000 * taken

    generator = random.Random(1)
    far = [seek(generator.randrange(count)) for _ in range(300)]
    near, frame = [], count // 3
    for _ in range(200):
        frame += 1
        near.append(seek(frame))
    found["seek, random, median ms"] = statistics.median(far)
    found["seek, random, worst ms"] = max(far)
    found["seek, next frame, median ms"] = statistics.median(near)
    found |= measure_playing(source, pictures, play, application)
    found["pictures held, MB"] = pictures.cache.size / 1e6
    pictures.close()
    maker.close()
    direct = Pictures(None)
    pictures = direct
    sought = [seek(generator.randrange(count)) for _ in range(12)]
    found["seek without a proxy, median ms"] = statistics.median(sought)
    direct.close()
    return found


if __name__ == "__main__":
    sys.exit(main())
