"""Play a long clip in the window for a minute: dropped frames, stalls, memory.

``python benchmarks/desktop_playing.py [--minutes 10] [--play 60] [--clip FILE] [--json FILE]``

The window is the real one with everything behind it: sound clock, loader, proxy, poses of every
frame, timeline. It plays the beginning of a clip of 1080p at 30 frames/s, then seeks, zooms, edits
and turns through the workspaces. A frame counts as late when its picture was not there as it was
due. How busy the machine was otherwise is told with the figures: other work costs frames that are
not the window's fault. Exit status 1: a target is missed.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEventLoop, QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication
from tests.desktop.media import write_video

from marionext.edits import Smooth
from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext_desktop.model import editing, posing
from marionext_desktop.model.garbage import GarbageCollector
from marionext_desktop.model.importing import look_at
from marionext_desktop.model.project import Project, Source
from marionext_desktop.model.proxies import piece_of
from marionext_desktop.model.queue import RenderQueue
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.window import Window

SIZE = (1920, 1080)
RATE = 30
PATIENCE = 400.0
TARGETS = {
    "frames dropped": 0.0,
    "frames late": 0.0,
    "worst stall while playing, ms": 50.0,
    "longest work at a time while playing, ms": 50.0,
    "worst stall otherwise, ms": 50.0,
    "longest work at a time otherwise, ms": 50.0,
    "memory with the clip, MB": 600.0,
}


def main() -> int:
    """Measure, print a table, and write JSON where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the clip (10)")
    parser.add_argument("--play", type=float, default=60.0, help="seconds that are played (60)")
    parser.add_argument("--clip", type=Path, help="is written if it is not there, and kept")
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["MARIONEXT_HOME"] = home
        clip = options.clip or Path(home) / "clip.mp4"
        if not clip.is_file():
            # In a process of its own: the encoder's memory is not the window's.
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                frames = round(options.minutes * 60 * RATE)
                pool.submit(write_video, clip, frames, size=SIZE, rate="30", tone=220.0).result()
        figures = measure(clip, options.play, Path(home))
    missed = False
    for name, value in figures.items():
        target = TARGETS.get(name)
        fails = target is not None and value > target
        missed = missed or fails
        aim = "" if target is None else f"{target:8.0f}"
        print(f"{name:44} {value:10.2f} {aim:>8} {'MISSED' if fails else ''}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


def measure(clip: Path, seconds: float, home: Path) -> dict[str, float]:
    """Open the window on a clip, play it and work on it.

    Args:
        clip: a video.
        seconds: how long it is played.
        home: Marionext's folder.
    """
    application = QApplication([])
    theme().apply("dark")
    source = look_at(str(clip)).source
    if source is None:
        raise SystemExit(f"{clip} is no video")
    session = Session(queue=RenderQueue(folder=home / "queue", own=home / "own"))
    project = editing.add_source(Project(), source)
    project = editing.append(project, replace(editing.whole_clip(project, source.id), id="c"))
    garbage = GarbageCollector(application)
    window = Window(session)
    window.resize(1920, 1080)
    window.show()
    garbage.keep()
    garbage.spare(window.is_moving)
    session.document.reset(project)
    session.poses.put_track(source, _dancer(source))
    _wait(application, lambda: session.poses.pose_at(0) is not None)
    media = window.media
    played = range(piece_of(min(int(seconds + 3) * RATE, source.frames - 1)) + 1)
    _wait(application, lambda: media.proxies.pieces(source) >= set(played))
    _wait(application, lambda: media.sounds.wave(source) is not None)
    # What is still made of the proxy would take one of the cores from what is measured next.
    media.make_proxies(False)
    media.proxies.pause(True)
    _rest(application, 1.0)

    found: dict[str, float] = {"load of the machine before": os.getloadavg()[0]}
    shown: list[int] = []
    late: list[int] = []

    def look(frame: int) -> None:
        shown.append(frame)
        if media.pictures.get(source, frame) is None:
            late.append(frame)

    window.showing.frame_changed.connect(look)
    clock = _Clock(window)
    window.watchdog.reset()
    started, processor = time.perf_counter(), time.process_time()
    own, everything = time.thread_time(), _busy_seconds()
    window.actions_["play"].trigger()
    _wait(application, lambda: time.perf_counter() - started > seconds)
    # As the user stops it: what was dropped stays counted.
    window.actions_["play"].trigger()
    taken = time.perf_counter() - started
    found["seconds played"] = taken
    found["frames shown"] = float(len(shown))
    found["frames dropped"] = float(media.player.dropped)
    found["frames late"] = float(len(late))
    found["stalls while playing"] = float(window.watchdog.stalls)
    found["worst stall while playing, ms"] = window.watchdog.worst
    found["processor of the program, cores"] = (time.process_time() - processor) / taken
    found["processor of the window's thread, cores"] = (time.thread_time() - own) / taken
    found["processor of the whole machine, cores"] = (_busy_seconds() - everything) / taken
    found["longest work at a time while playing, ms"] = clock.worst
    window.showing.frame_changed.disconnect(look)
    found["memory with the clip, MB"] = _highest_memory()

    window.watchdog.reset()
    for name, (stall, work) in _work(window, application, source, clock).items():
        found[f"worst stall, {name}, ms"] = stall
        found[f"longest work at a time, {name}, ms"] = work
    for kind in ("worst stall", "longest work at a time"):
        values = [value for name, value in found.items() if name.startswith(f"{kind}, ")]
        found[f"{kind} otherwise, ms"] = max(values)
    found["memory with the edits and their history, MB"] = _highest_memory()
    window.close_unasked()
    garbage.close()
    return found


class _Clock(QObject):
    """Tells how long the window's thread worked without a break: other programs do not count."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.worst = 0.0
        self._last = time.thread_time()
        self._timer = QTimer(self, interval=5, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.thread_time()
        self.worst, self._last = max(self.worst, (now - self._last) * 1000), now

    def reset(self) -> None:
        """Count from here."""
        self.worst, self._last = 0.0, time.thread_time()


def _work(
    window: Window, application: QApplication, source: Source, clock: _Clock
) -> dict[str, tuple[float, float]]:
    """Do what people do with the clip; returns the worst stall and the longest work of each."""
    session, sheet, showing = window.session, window.timeline.sheet, window.showing
    dice = random.Random(0)
    worst: dict[str, tuple[float, float]] = {}

    def note(name: str, *steps: Callable[[], object]) -> None:
        window.watchdog.reset()
        clock.reset()
        for step in steps:
            step()
            _rest(application, 0.05)
        _rest(application, 0.3)
        worst[name] = window.watchdog.worst, clock.worst

    def smooth() -> None:
        clip = session.project.clip("c")
        edits = (*clip.edits, Smooth(window=7))
        session.document.do("Smooth", session.project.with_clips({"c": replace(clip, edits=edits)}))
        session.document.end_gesture()

    def drag(step: int) -> None:
        clip = session.project.clip("c")
        now = session.poses.keypoints(clip)
        if now is not None:
            changed = posing.drag(
                session.project, "c", 0, 900, {4: (500.0 + step, 300.0)}, now, fade=(12, 12)
            )
            session.document.do("Drag", changed, merge="drag")

    note("seeking", *(lambda: window.go_to(dice.randrange(source.frames)) for _ in range(40)))
    note("zooming", *(lambda n=n: sheet.zoom(1.3 if n < 15 else 1 / 1.3) for n in range(30)))
    note("dragging", *(lambda n=n: drag(n) for n in range(20)), session.document.end_gesture)
    note("smoothing all", smooth)
    _wait(application, lambda: not session.poses.is_pending(session.project.clip("c")))
    note("undone and done again", session.document.undo, session.document.redo)
    note("workspaces", *(lambda s=s: showing.turn_to(s) for s in ("clean", "render", "edit")))
    layouts = ("single", "overlay", "wipe", "side")
    note("layouts", *(lambda name=name: showing.change(layout=name) for name in layouts))
    middle = source.frames // 2
    note(
        "cutting", lambda: window.go_to(middle), window.actions_["blade"].trigger,
        session.document.undo,
    )  # fmt: skip
    return worst


def _dancer(source: Source) -> PoseTrack:
    """Make somebody who moves in every frame."""
    generator = np.random.default_rng(0)
    centre = generator.uniform((700, 200), (1200, 900), (134, 2))
    phase = generator.uniform(0, 6, (134, 2))
    points = np.empty((source.frames, 1, 134, 2), np.float32)
    for frame in range(source.frames):  # at once it would be the highest that memory goes
        points[frame, 0] = centre + 20 * np.sin(frame / 10 + phase)
    scores = np.full((source.frames, 1, 134), 0.9, np.float32)
    scores[::50, :, 92:113] = 0
    return PoseTrack(points=points, scores=scores, size=SIZE, rate=FrameRate(Fraction(RATE)))


def _wait(application: QApplication, done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > end:
            raise SystemExit(f"nothing happened for {PATIENCE:.0f} s")
        application.processEvents(
            QEventLoop.ProcessEventsFlag.AllEvents | QEventLoop.ProcessEventsFlag.WaitForMoreEvents
        )


def _rest(application: QApplication, seconds: float) -> None:
    end = time.monotonic() + seconds
    _wait(application, lambda: time.monotonic() > end)


def _highest_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _busy_seconds() -> float:
    """Return the processor time that all programs of this machine have taken; 0: not known."""
    try:
        first = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return 0.0
    user, nice, system = (int(value) for value in first[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
