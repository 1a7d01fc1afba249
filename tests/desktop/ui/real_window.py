"""The whole story in a real window: run under a display, driven by xdotool's mouse and keys.

``python tests/desktop/ui/real_window.py MOTION CHARACTER OTHER FOLDER [--shots FOLDER]``: imports
a video (or a motion file) and two characters, mends what looks wrong, drags a wrist, picks the
other character, drafts a range, edits it and drafts it again, compares the two, plays, and exports.
What it asserts is about files and the document.
"""

import argparse
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QCoreApplication, QObject, QPoint, QPointF, Qt, Signal
from PySide6.QtWidgets import QApplication, QWidget

from marionext_desktop.ui.dialogs import ExportDialog
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.timeline.bands import RULER
from marionext_desktop.ui.window import Window

T = TypeVar("T")


class _Caller(QObject):
    """Has the window's thread do something; dialogs with loops of their own do not hinder it."""

    called = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.called.connect(self._do)

    def _do(self, do: Callable[[], None]) -> None:
        do()

    def ask(self, question: Callable[[], T]) -> T:
        """Return what the window's thread answers."""
        answers: list[T] = []
        done = threading.Event()

        def do() -> None:
            try:
                answers.append(question())
            finally:
                done.set()

        self.called.emit(do)
        assert done.wait(60), "the window's thread does not answer"
        return answers[0]


class Story:
    """A window and the hands that use it; the hands are on a thread of their own."""

    def __init__(self, window: Window, caller: _Caller, shots: Path | None) -> None:
        self.window, self.ask, self.shots = window, caller.ask, shots

    def rest(self, seconds: float = 0.3) -> None:
        """Let the window go on for a while."""
        time.sleep(seconds)

    def wait(self, done: Callable[[], object], what: str, seconds: float = 120) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not self.ask(lambda: bool(done())):
            if time.monotonic() > end:
                self.shoot("failed")
                raise AssertionError(f"waited {seconds} s for {what}")
            time.sleep(0.05)
        print(f"{what}: done", flush=True)

    def do(self, *arguments: object) -> None:
        """Have xdotool do something, and the window hear of it."""
        subprocess.run(["xdotool", *map(str, arguments)], check=True)
        self.rest(0.15)

    def focus(self) -> None:
        """Give the window the keyboard, as a window manager does when a dialog closes."""
        self.do("windowfocus", self.ask(lambda: int(self.window.winId())))

    def key(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.do("key", "--clearmodifiers", key)

    def type(self, text: str) -> None:
        """Type a text."""
        self.do("type", "--delay", 5, text)

    def place(self, widget: QWidget, x: float, y: float) -> tuple[int, int]:
        """Return where a place of a widget is on the screen."""
        at = self.ask(lambda: widget.mapToGlobal(QPoint(round(x), round(y))))
        return at.x(), at.y()

    def click(self, widget: QWidget, x: float, y: float) -> None:
        """Click there."""
        self.do("mousemove", *self.place(widget, x, y), "click", 1)

    def drag(self, widget: QWidget, start: QPointF, stop: QPointF) -> None:
        """Drag from there to there, in steps."""
        self.do("mousemove", *self.place(widget, start.x(), start.y()), "mousedown", 1)
        for step in range(1, 9):
            at = start + (stop - start) * step / 8
            self.do("mousemove", *self.place(widget, at.x(), at.y()))
        self.do("mouseup", 1)

    def shoot(self, name: str) -> None:
        """Keep a picture of the window."""
        if self.shots is not None:
            self.shots.mkdir(parents=True, exist_ok=True)
            path = str(self.shots / f"{name}.png")
            self.ask(lambda: self.window.grab().save(path))

    def import_(self, path: Path, *, there: Callable[[], object]) -> None:
        """Bring a file in by the dialog."""
        self.focus()
        self.do("key", "--clearmodifiers", "ctrl+i")
        self.rest(1.2)
        self.type(str(path))
        self.key("Return")
        self.wait(there, f"import of {path.name}")


def tell(story: Story, options: argparse.Namespace) -> None:
    """Do it all, on a thread beside the window's."""
    window = story.window
    session, showing, canvas = window.session, window.showing, window.viewer.canvas
    story.wait(window.isVisible, "the window")
    story.rest(1.0)
    story.click(canvas, 10, 200)

    story.import_(options.motion, there=lambda: session.project.clips)
    for number, character in enumerate((options.character, options.other), 1):
        story.import_(character, there=lambda n=number: len(session.project.characters) == n)
    story.wait(lambda: session.poses.pose_at(0) is not None, "capture", 400)

    # Find and mend what is wrong.
    story.focus()
    story.key("ctrl+2")
    story.wait(lambda: window.findings_control._shown, "findings")
    story.rest(0.5)
    found = [key for key, (_, each) in window.findings_control._shown.items() if not each.minor]
    story.key("n")
    story.rest(0.6)
    story.shoot("clean_up")
    assert showing.finding == found[0]
    before = session.project
    assert story.ask(window.actions_["mend"].isEnabled)
    story.key("Return")
    assert session.project is not before
    story.key("ctrl+shift+a", "ctrl+1", "ctrl+a", "ctrl+shift+a")

    # Drag a wrist.
    sheet = window.timeline.sheet
    middle = session.project.length // 2
    story.click(sheet, sheet.state.span.x(middle + 0.5), RULER / 3)
    story.rest(0.5)
    assert abs(showing.frame - middle) <= 1
    area = next(area for name, area in canvas.panes() if name == "pose")
    person = canvas.stage.people[canvas.stage.person]
    wrist = canvas._to(area, *person.points[4].tolist())
    edits = len(session.project.clips[0].edits)
    story.drag(canvas, wrist, wrist + QPointF(30, -40))
    assert len(session.project.clips[0].edits) == edits + 1
    story.wait(lambda: window.viewer_control._live is not None, "live preview")
    story.rest(2.0)
    story.shoot("edit")

    # Pick the other character.
    cast = session.project.characters
    assert session.project.render.character == cast[0].id
    entries = window.library.list
    lines = entries.model()
    place = next(
        lines.index(line, 0)
        for line in range(lines.rowCount())
        if lines.index(line, 0).data() == cast[1].name
    )
    at = story.ask(lambda: entries.visualRect(place).center())
    story.do("mousemove", *story.place(entries.viewport(), at.x(), at.y()))
    story.do("click", "--repeat", 2, "--delay", 60, 1)
    story.wait(lambda: session.project.render.character == cast[1].id, "the other character")
    story.focus()

    # Draft a range.
    story.click(sheet, sheet.state.span.x(middle - 5.5), RULER / 3)
    story.key("i")
    story.click(sheet, sheet.state.span.x(middle + 6.5), RULER / 3)
    story.key("o")
    span = session.project.span
    assert span is not None
    story.key("ctrl+Return")
    story.wait(lambda: session.project.takes and session.project.takes[0].status == "done", "draft")

    # Edit within it: the timeline says so; draft it again.
    story.click(sheet, sheet.state.span.x(middle + 0.5), RULER / 3)
    story.rest(0.4)
    person = canvas.stage.people[canvas.stage.person]
    other = canvas._to(area, *person.points[7].tolist())
    story.drag(canvas, other, other + QPointF(-30, -50))
    story.rest(0.5)
    assert sheet.state.contents.takes[0].state == "stale"
    story.shoot("stale")

    # This time with the puppet, which denoises.
    story.key("ctrl+3")
    story.rest(0.8)
    story.click(window.rendering.model, 20, 10)
    story.rest(0.4)
    story.type("Pu")
    story.key("Return")
    story.wait(lambda: session.project.render.model == "puppet", "the puppet")
    story.focus()
    story.key("ctrl+1")
    story.rest(0.5)
    story.click(sheet, sheet.state.span.x(middle + 0.5), RULER / 3)
    story.key("ctrl+Return")
    story.wait(
        lambda: len(session.project.takes) == 2 and session.project.takes[1].status == "done",
        "second draft",
    )

    # Compare the two.
    story.key("ctrl+3")
    story.rest(1.5)
    story.do("mousemove", *story.place(window.rendering, 60, 200), "click", "--repeat", 12, 5)
    story.rest(0.5)
    cards = list(window.rendering._shown.values())
    story.click(cards[0], 40, 40)
    story.do("keydown", "shift")
    story.click(cards[1], 40, 40)
    story.do("keyup", "shift")
    story.rest(0.8)
    first, second = session.project.takes
    assert (showing.take_a, showing.take_b) == (first.id, second.id)
    story.drag(canvas, QPointF(canvas.width() / 2, 200), QPointF(canvas.width() * 0.45, 200))
    story.rest(2.0)
    story.shoot("render")

    # Play.
    story.click(sheet, sheet.state.span.x(2.5), RULER / 3)
    start = showing.frame
    window.watchdog.reset()
    story.key("space")
    story.wait(lambda: showing.frame > start + 10, "playing", 20)
    if window.media.player.playing:
        story.key("space")
    print(f"stalls while playing: {window.watchdog.stalls}, worst {window.watchdog.worst:.0f} ms")

    # Export with the dialog.
    output = options.folder / "dance.mp4"
    story.do("key", "--clearmodifiers", "ctrl+m")
    story.rest(1.0)
    dialog = next(w for w in QApplication.topLevelWidgets() if isinstance(w, ExportDialog))
    story.click(dialog.file, 20, 10)
    story.key("ctrl+a")
    story.type(str(output))
    story.shoot("export")
    story.key("Return")
    story.wait(output.is_file, "export")
    print(f"exported {len(span)} frames at {session.project.rate}", flush=True)

    # Save, and undo everything.
    project = options.folder / "story.marionext"
    story.focus()
    story.do("key", "--clearmodifiers", "ctrl+s")
    story.rest(1.0)
    story.key("ctrl+a")
    story.type(str(project))
    story.key("Return")
    story.wait(project.is_file, "saving")
    story.rest(0.5)
    story.focus()
    assert not session.document.dirty
    while session.document.undo_label is not None:
        story.key("ctrl+z")
    assert not session.project.clips
    print("the end", flush=True)


def main() -> int:
    """Tell the story; returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("motion", type=Path)
    parser.add_argument("character", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shots", type=Path)
    options = parser.parse_args()
    # The toolkit's own dialogs take typed paths alike on every desktop.
    QCoreApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    application = QApplication(sys.argv[:1])
    theme().apply("dark")
    window = Window(Session())
    window.setGeometry(0, 0, 1600, 960)
    window.show()
    story = Story(window, _Caller(), options.shots)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            tell(story, options)
        except BaseException as error:  # the window must be closed whatever happens
            failed.append(error)
            traceback.print_exc()
        finally:
            story.ask(window.close_unasked)
            story.ask(application.exit)

    threading.Thread(target=run, daemon=True).start()
    application.exec()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
