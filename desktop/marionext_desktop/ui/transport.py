"""The bar below the viewer: where the playhead is, playing, in and out, how playback does."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from marionext.errors import SettingsError
from marionext.frames import FrameRate
from marionext_desktop.model.timecode import format_timecode, parse_timecode
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import Button, label, retone, row
from marionext_desktop.ui.painting import MEDIUM
from marionext_desktop.ui.theme import font

__all__ = ["PlaceField", "Transport"]


class PlaceField(QLineEdit):
    """Where the playhead is, to be read and to be typed."""

    entered = Signal(int)
    """The frame that was typed."""

    def __init__(self) -> None:
        super().__init__()
        self.rate, self.drop, self.timecode = FrameRate.parse("30"), False, True
        self._frame = 0
        self.setFont(font(20, MEDIUM, figures=True))
        self.setStyleSheet(
            "QLineEdit { background: transparent; padding: 2px 3px; "
            "border: 1px solid transparent; }"
            "QLineEdit:focus { border-color: palette(highlight); }"
        )
        self.setAccessibleName(say("Place of the playhead"))
        self.setToolTip(say("Click to type a frame, a timecode or seconds such as 12.5s"))
        self.setFixedWidth(138)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.returnPressed.connect(self._enter)
        self.editingFinished.connect(lambda: self.show_frame(self._frame))

    def show_frame(self, frame: int) -> None:
        """Show a place, unless another is being typed."""
        self._frame = frame
        if not (self.hasFocus() and self.isModified()):
            words = (
                format_timecode(frame, self.rate, drop=self.drop) if self.timecode else str(frame)
            )
            self.setText(words)

    def _enter(self) -> None:
        try:
            frame = parse_timecode(self.text(), self.rate, drop=self.drop)
        except SettingsError as error:
            self.setToolTip(error.message)
            self.selectAll()
            return
        self.setModified(False)
        self.clearFocus()
        self.entered.emit(frame)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose all of it, to be typed over."""
        super().mousePressEvent(event)
        self.selectAll()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape leaves it as it was."""
        if event.key() == Qt.Key.Key_Escape:
            self.setModified(False)
            self.show_frame(self._frame)
            self.clearFocus()
            return
        super().keyPressEvent(event)


class Transport(QWidget):
    """The bar's contents."""

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self.place = PlaceField()
        self.count = label("", "faint", figures=True)
        self.play = Button("play", kind="play", size=20, action=actions["play"])
        self.volume = Button("volume-2", action=actions["mute"])
        self.marks = label("", "faint", figures=True)
        self.proxy = label("", "faint")
        self.dropped = label("", "faint", figures=True)
        line = row(
            self.place, 4, self.count, None,
            Button("repeat", action=actions["loop"]),
            Button("skip-back", action=actions["previous_edit"]),
            Button("step-back", action=actions["back"]),
            self.play,
            Button("step-forward", action=actions["on"]),
            Button("skip-forward", action=actions["next_edit"]),
            self.volume, None, self.marks, 10, self.proxy, 10, self.dropped,
        )  # fmt: skip
        box = QHBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(line)

    def show_place(self, frame: int, length: int) -> None:
        """Show where the playhead is."""
        self.place.show_frame(frame)
        self.count.setText(say("frame {frame} / {length}", frame=frame, length=length))

    def show_playing(self, speed: float) -> None:
        """Show how fast it plays: 0 stands still."""
        self.play.set_picture("pause" if speed else "play")
        self.play.setAccessibleName(say("Pause") if speed else say("Play"))

    def show_muted(self, muted: bool) -> None:
        """Show whether there is sound."""
        self.volume.set_picture("volume-x" if muted else "volume-2")

    def show_marks(self, start: str, stop: str) -> None:
        """Show in and out; empty: there are none."""
        parts = [say("In") + f" {start}" if start else "", say("Out") + f" {stop}" if stop else ""]
        self.marks.setText("   ".join(part for part in parts if part))

    def show_health(self, proxy: str, dropped: int, speed: float = 1.0) -> None:
        """Show what is played and how well."""
        self.proxy.setText(proxy if speed in {0.0, 1.0} else f"{speed:g}×")
        self.dropped.setText(say("{count} dropped", count=dropped))
        retone(self.dropped, "warn" if dropped else "faint")
