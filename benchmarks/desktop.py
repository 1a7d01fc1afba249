"""What the window of the desktop costs: painting, dragging, starting, memory.

``python benchmarks/desktop.py [--json FILE]``

Times are processor time of the window's thread from the event to the painted pixels, so that other
work on the machine does not count; the start is wall time of a process of its own, with the
compiled modules that an installation leaves. The document, proxies and undo are measured by
``desktop_model.py``, playing and memory with a long clip by ``desktop_playing.py``. Exit status 1:
a target is missed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QMouseEvent, QPixmap
from PySide6.QtWidgets import QApplication

from marionext.frames import FrameRate
from marionext.pose.formats import read_native
from marionext_desktop.model.limbs import dragged
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.timeline.contents import Badge, ClipBar, Contents, RowKeys, SoundBar
from marionext_desktop.ui.timeline.rows import pose_rows, row_scores
from marionext_desktop.ui.timeline.sheet import Sheet
from marionext_desktop.ui.viewer.canvas import Canvas, Person, Picture, Stage

FRAMES, KEYS = 10_000, 5_868
POSE = Path(__file__).parents[1] / "presets" / "characters" / "hero.pose.npz"
_START = """
import time, sys
started = time.perf_counter()
from PySide6.QtWidgets import QApplication
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.window import Window
application = QApplication([])
theme().apply("dark")
window = Window(Session())
window.resize(1920, 1080)
window.show()
while not window.isVisible():
    application.processEvents()
window.grab()
application.processEvents()
print(time.perf_counter() - started)
import resource
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
heavy = [name for name in ("torch", "cv2", "mediapipe", "av") if name in sys.modules]
print(",".join(heavy) or "none")
window.close_unasked()
"""


def main() -> int:
    """Measure, print a table, and write JSON where that is wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    application = QApplication([])
    theme().apply("dark")
    rows: list[tuple[str, float, float, float | None]] = []
    rows += timeline(application)
    rows += viewer(application)
    rows += start()
    print(f"{'':52} {'median':>8} {'worst':>8} {'target':>8}")
    missed = False
    for name, median, worst, target in rows:
        fails = target is not None and median > target
        missed = missed or fails
        shown = "" if target is None else f"{target:8.1f}"
        print(f"{name:52} {median:8.2f} {worst:8.2f} {shown:>8} {'MISSED' if fails else ''}")
    if options.json is not None:
        content = [
            {"what": name, "median": median, "worst": worst, "target": target}
            for name, median, worst, target in rows
        ]
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 1 if missed else 0


def measured(act: Callable[[int], object], times: int = 60) -> tuple[float, float]:
    """Return the median and the worst milliseconds of processor time."""
    spent = []
    for number in range(times):
        before = time.thread_time()
        act(number)
        spent.append((time.thread_time() - before) * 1000)
    return statistics.median(spent[3:]), max(spent[3:])


def timeline(application: QApplication) -> list[tuple[str, float, float, float | None]]:
    """Measure the sheet of ten thousand frames and twelve rows."""
    random = np.random.default_rng(0)
    rows = (*pose_rows(()), *pose_rows({"head"})[1:3])
    walk = np.cumsum(random.normal(0, 0.05, (FRAMES, 134)), axis=0)
    scores = np.clip(0.75 + 0.25 * np.sin(walk), 0, 1).astype(np.float32)
    for start in random.integers(0, FRAMES, 200).tolist():
        scores[start : start + 20, random.integers(0, 134)] = 0
    keys = {
        row.name: RowKeys(np.sort(random.choice(FRAMES, KEYS // len(rows), replace=False)))
        for row in rows
    }
    peaks = np.abs(random.normal(0, 0.3, FRAMES * 7)).clip(0, 1).astype(np.float32)
    contents = Contents(
        frames=FRAMES,
        rate=FrameRate.parse("30"),
        clips=(ClipBar("a", "dance.mp4", 0, FRAMES),),
        keys=keys,
        badges=tuple(
            Badge(str(n), ("right_arm",), n * 200, n * 200 + 20, "activity", "trembles")
            for n in range(40)
        ),
        sounds=(SoundBar("s", "track.wav", 0, FRAMES, peaks),),
        beats=tuple(range(0, FRAMES, 14)),
    )
    sheet = Sheet()
    sheet.resize(1600, 400)
    sheet.show()
    application.processEvents()
    sheet.show_rows(rows, row_scores(scores, rows))
    sheet.show_contents(contents)
    small = QPixmap(298, 168)
    small.fill(Qt.GlobalColor.darkCyan)
    sheet.show_thumbnails(lambda _clip, _frame, _height: small)
    found: list[tuple[str, float, float, float | None]] = []

    def anew(_number: int) -> None:
        sheet.refresh()
        sheet.repaint()

    found.append(("timeline, all frames, painted anew", *measured(anew), 4.0))

    def scrub(number: int) -> None:
        sheet.show_frame(number * 150)
        application.processEvents()

    found.append(("timeline, playhead moved", *measured(scrub), 4.0))

    def zoom(number: int) -> None:
        sheet.zoom(1.1 if number % 40 < 20 else 1 / 1.1, 700)
        sheet.repaint()

    found.append(("timeline, zoomed", *measured(zoom), 4.0))
    sheet.zoom(40, 700)

    def pan(number: int) -> None:
        sheet.state.span.first += 7 if number % 40 < 20 else -7
        sheet.refresh()
        sheet.repaint()

    found.append(("timeline, moved along, near", *measured(pan), 4.0))
    strips = row_scores(scores[:60], rows)

    def patch(number: int) -> None:
        sheet.patch_scores(number * 100, strips)
        sheet.repaint()

    sheet.fit()
    found.append(("timeline, 60 frames edited", *measured(patch), 4.0))
    sheet.close()
    return found


def viewer(application: QApplication) -> list[tuple[str, float, float, float | None]]:
    """Measure the canvas at 1080p."""
    track = read_native(POSE)
    scale = 1080 / track.size[1]
    points, scores = track.points[0, 0] * np.float32(scale), track.scores[0, 0]
    points[:, 0] += 600
    random = np.random.default_rng(0)
    pixels = random.integers(0, 255, (2, 1080, 1920, 4), np.uint8)
    images = [
        QImage(each.data, 1920, 1080, 1920 * 4, QImage.Format.Format_RGB32) for each in pixels
    ]
    canvas = Canvas()
    canvas.resize(1920, 1080)
    canvas.show_layout("overlay")
    canvas.show()
    area = QRectF(0, 0, 1920, 1080)
    stage = Stage(
        size=(1920, 1080),
        source=Picture(images[0], area),
        people=(Person(points, scores),),
        selected=frozenset({4}),
    )
    canvas.show_stage(stage)
    application.processEvents()
    start = points.copy()

    def moved(x: float, y: float, _keys: object) -> None:
        to = (float(start[4, 0]) + x, float(start[4, 1]) + y)
        new = start.copy()
        for number, place in dragged(start, scores, 4, to, "limb").items():
            new[number] = place
        canvas.show_stage(_with(canvas.stage, people=(Person(new, scores),)))

    canvas.dragged.connect(moved)
    x, y = start[4].tolist()
    _mouse(canvas, QEvent.Type.MouseButtonPress, x, y)

    def drag(number: int) -> None:
        _mouse(canvas, QEvent.Type.MouseMove, x - 4 - number, y - number / 2)
        application.processEvents()

    found: list[tuple[str, float, float, float | None]] = []
    found.append(("viewer, a limb dragged, 1080p", *measured(drag), 8.0))
    _mouse(canvas, QEvent.Type.MouseButtonRelease, x, y)

    def frame(number: int) -> None:
        picture = Picture(images[number % 2], area)
        canvas.show_stage(_with(canvas.stage, source=picture, frame=number))
        canvas.repaint()

    found.append(("viewer, another frame, 1080p", *measured(frame), None))
    canvas.close()
    return found


def start() -> list[tuple[str, float, float, float | None]]:
    """Measure the start of the window in a process of its own."""
    seconds, memory = [], []
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    compiled = tempfile.TemporaryDirectory()
    for number in range(4):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                [sys.executable, "-c", _START],
                env={**environment, "MARIONEXT_HOME": home, "PYTHONPYCACHEPREFIX": compiled.name},
                capture_output=True,
                text=True,
                check=True,
            )
        if number == 0:
            continue  # it compiles
        lines = done.stdout.split()
        seconds.append(float(lines[0]))
        memory.append(float(lines[1]))
        if lines[2] != "none":
            raise SystemExit(f"the window's process must not import {lines[2]}")
    compiled.cleanup()
    return [
        ("start to the painted window, s (wall)", statistics.median(seconds), max(seconds), 2.0),
        ("memory of the empty window, MB", statistics.median(memory), max(memory), 600.0),
    ]


def _with(stage: Stage, **changes: object) -> Stage:
    return replace(stage, **changes)  # type: ignore[arg-type]


def _mouse(canvas: Canvas, kind: QEvent.Type, x: float, y: float) -> None:
    left, at = Qt.MouseButton.LeftButton, QPointF(x, y)
    event = QMouseEvent(kind, at, at, left, left, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(canvas, event)


if __name__ == "__main__":
    sys.exit(main())
