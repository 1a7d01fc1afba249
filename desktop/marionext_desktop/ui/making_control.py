"""Make Character: words become a picture in the pose of the shown frame, and join the project."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QCheckBox, QLineEdit, QWidget

from marionext.errors import EngineError
from marionext.frames import FrameRange
from marionext.settings import DEFAULT_PICTURE_MODEL
from marionext_desktop.model.making import CharacterMaker, CharacterWish
from marionext_desktop.model.words import say
from marionext_desktop.ui.controls import Choice, Number
from marionext_desktop.ui.dialogs import Form
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Showing

__all__ = ["MakeCharacterDialog", "MakingControl"]


class MakeCharacterDialog(Form):
    """What is to be seen, by which model, and whether in this pose."""

    def __init__(self, parent: QWidget, bases: list[tuple[str, str]], *, can_pose: bool) -> None:
        """Offer models: a name each, or a folder or file that is typed."""
        super().__init__(parent, say("Make character"), say("Make"))
        self.prompt, self.negative = QLineEdit(), QLineEdit()
        self.prompt.setPlaceholderText(say("a dancer in a red coat, plain background"))
        self.base = Choice(bases)
        self.base.setEditable(True)
        self.posed = QCheckBox(say("In the pose of this frame"))
        self.posed.setEnabled(can_pose)
        self.posed.setChecked(can_pose)
        self.count, self.seed = Number(1, 64), Number(0, 2**31 - 1)
        self.count.show_value(1)
        self.form.addRow(say("What is to be seen"), self.prompt)
        self.form.addRow(say("What is not"), self.negative)
        self.form.addRow(say("Model, folder or file"), self.base)
        self.form.addRow("", self.posed)
        self.form.addRow(say("Pictures"), self.count)
        self.form.addRow(say("Seed"), self.seed)
        self.prompt.textChanged.connect(self._check)
        self._check()

    def _check(self) -> None:
        self.ok.setEnabled(bool(self.prompt.text().strip()))

    def wish(self) -> CharacterWish:
        """Return what was asked for, without the pose."""
        text = self.base.currentText().strip()
        named = self.base.findText(text)
        base = str(self.base.itemData(named)) if named >= 0 else text
        return CharacterWish(
            prompt=self.prompt.text(),
            negative=self.negative.text(),
            base=base,
            count=int(self.count.value()),
            seed=int(self.seed.value()),
        )


class MakingControl(QObject):
    """Asks, has the picture made, and brings it in."""

    def __init__(self, window: QWidget, session: Session, showing: Showing) -> None:
        super().__init__(window)
        self._window, self._session, self._showing = window, session, showing
        self.maker = CharacterMaker(parent=self)
        self.maker.progressed.connect(self._tell)
        self.maker.made.connect(self._bring_in)
        self.maker.failed.connect(lambda words: session.told.emit("bad", words))

    def ask(self) -> None:
        """Ask for the words; while a picture is being made, stop that."""
        if self.maker.busy:
            self.maker.stop()
            self._session.told.emit("warn", say("No character is made"))
            return
        models = self._session.models
        models.refresh()
        bases = [(each.name, say(each.title)) for each in models.models if each.kind == "picture"]
        pose = self._session.poses.pose_at(self._showing.frame)
        usual = [(DEFAULT_PICTURE_MODEL, say("Figurine"))]
        dialog = MakeCharacterDialog(self._window, bases or usual, can_pose=pose is not None)
        dialog.accepted.connect(lambda: self.make(dialog.wish(), posed=dialog.posed.isChecked()))
        dialog.open()

    def make(self, wish: CharacterWish, *, posed: bool) -> None:
        """Have a picture made; in the pose of the shown frame if that is wanted."""
        if posed:
            frame = self._showing.frame
            track = self._session.poses.sequence_track(FrameRange(frame, frame + 1))
            wish = replace(wish, pose=track)
        try:
            self.maker.make(wish)
        except EngineError as error:
            self._session.told.emit("bad", error.message)
            return
        self._session.told.emit("good", say("A character is being made"))

    def _tell(self, share: float, words: str) -> None:
        percent = round(100 * share)
        self._session.told.emit("good", say("Character: {words}, {n} %", words=words, n=percent))

    def _bring_in(self, pictures: list[Path]) -> None:
        self._session.bring_in([str(picture) for picture in pictures])
        self._session.told.emit("good", say("The character is in the library"))

    def close(self) -> None:
        """Stop what is being made."""
        self.maker.stop()
