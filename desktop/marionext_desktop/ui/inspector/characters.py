"""Who takes the dancer's part: the picture, its crop, the pose found in it, what may go wrong."""

from collections.abc import Iterable
from dataclasses import replace

from PySide6.QtCore import QRectF, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLabel, QLineEdit, QWidget

from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.controls import (
    Button,
    Choice,
    Number,
    Scrolled,
    Section,
    field,
    label,
    row,
)
from marionext_desktop.ui.icons import icon_picture
from marionext_desktop.ui.viewer.canvas import Canvas, Person, Picture, Stage

__all__ = ["CharacterPage"]


_LEAST_CROP = 16
"""Pixels; less was a click."""


class CharacterPage(Scrolled):
    """The inspector's page of a character."""

    chosen = Signal(str)
    named = Signal(str)
    cropped = Signal(int, int, int, int)
    """Left, top, width and height in pixels of the picture."""
    joint_moved = Signal(int, float, float, bool)
    """A point, where it is dragged to in pixels of the picture, and whether it was let go."""
    asked = Signal(str)
    """``found`` (the pose as found again), ``crop`` (to the size of the render), ``whole``,
    ``remove``, ``use``."""

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self.character = Choice(tip=say("Characters of this project"))
        self.character.chosen.connect(self.chosen)
        self.canvas = Canvas()
        self.canvas.setFixedHeight(300)
        self.canvas.setMinimumWidth(100)
        self.canvas.layout_shown = "single"
        self.canvas.layer = "pose"
        self.canvas.setAccessibleName(say("Pose of the character"))
        self.canvas.plain = True
        self.canvas.joints_chosen.connect(self._choose)
        self.canvas.drag_begun.connect(self._begin)
        self.canvas.dragged.connect(self._go_on)
        self.canvas.drag_ended.connect(self._end)
        self.canvas.part_drawn.connect(self._tell_part)
        self._held: tuple[int, float, float] | None = None
        self._to = (0.0, 0.0)
        self.name = QLineEdit()
        self.name.editingFinished.connect(lambda: self.named.emit(self.name.text()))
        self.warnings = QWidget()
        self._warnings: list[QWidget] = []
        self.crop = [Number(0, 100000, tip=say(tip)) for tip in ("Left", "Top", "Width", "Height")]
        for one in self.crop:
            one.entered.connect(lambda _v: self._tell_crop())
        self.words = label("", "faint", 11, wrapped=True)
        use = Button(
            words=say("Use for the render"), kind="deep", pressed=lambda: self.asked.emit("use")
        )
        again = Button(
            "rotate-ccw",
            say("Pose as found"),
            kind="soft",
            pressed=lambda: self.asked.emit("found"),
        )
        self.looks = Section(say("How well it will go"), self.words)
        self.add(
            Section(
                say("Character"),
                field(say("Character"), self.character),
                field(say("Name"), self.name),
                self.canvas,
                row(again, None, use),
            ),
            self.looks,
            Section(
                say("Crop"),
                field(say("From"), self.crop[0], self.crop[1]),
                field(say("Size"), self.crop[2], self.crop[3]),
                row(
                    Button(
                        words=say("Draw it"),
                        tip=say("Drag over the picture above what is to be used of it"),
                        kind="soft",
                        pressed=self.canvas.draw_part,
                    ),
                    Button(
                        "crop",
                        say("To the render's size"),
                        kind="soft",
                        pressed=lambda: self.asked.emit("crop"),
                    ),
                    None,
                    Button(
                        words=say("Whole picture"),
                        kind="soft",
                        pressed=lambda: self.asked.emit("whole"),
                    ),
                ),
            ),
        )

    def show_characters(self, names: Iterable[tuple[str, str]], chosen: str) -> None:
        """Show which characters there are: ids and names."""
        self.character.offer(names)
        self.character.choose(chosen)

    def show_picture(
        self,
        image: QImage | None,
        person: Person | None,
        crop: tuple[int, int, int, int] | None,
        name: str,
    ) -> None:
        """Show a character's picture with the pose found in it; None: there is none."""
        if not self.name.hasFocus():
            self.name.setText(name)
        if image is None or image.isNull():
            self.canvas.show_stage(Stage(empty=say("No character yet\nDrop a picture of one")))
            return
        size = (image.width(), image.height())
        picture = Picture(image, QRectF(0, 0, *size))
        people = () if person is None else (person,)
        if self.canvas.stage.size != size:
            self.canvas.fit()
        self.canvas.show_part(None if crop is None else QRectF(*crop))
        stage = replace(self.canvas.stage, size=size, source=picture, people=people)
        self.canvas.show_stage(stage)
        for one, value in zip(self.crop, crop or (0, 0, *size), strict=True):
            one.setMaximum(max(size))
            one.show_value(value)

    def show_warnings(self, warnings: Iterable[str], facts: str = "") -> None:
        """Say what may go wrong with it."""
        for old in self._warnings:
            self.looks.lines.removeWidget(old)
            old.deleteLater()
        self._warnings = []
        for words in warnings:
            sign = QLabel()
            sign.setPixmap(icon_picture("triangle-alert", "warn", 14))
            line = row(sign, label(words, "warn", 11, wrapped=True), gap=8)
            line.layout().setStretch(1, 1)  # type: ignore[union-attr]
            self.looks.lines.insertWidget(0, line)
            self._warnings.append(line)
        good = say("Nothing that should go wrong.")
        self.words.setText(facts if self._warnings else f"{good} {facts}".strip())

    def _tell_part(self, part: QRectF) -> None:
        used = part & QRectF(0, 0, *self.canvas.stage.size)
        if min(used.width(), used.height()) >= _LEAST_CROP:
            sides = (used.x(), used.y(), used.width(), used.height())
            self.cropped.emit(*(round(side) for side in sides))

    def _tell_crop(self) -> None:
        left, top, width, height = (int(one.value()) for one in self.crop)
        self.cropped.emit(left, top, max(width, 1), max(height, 1))

    def _choose(self, joints: frozenset[int], add: bool) -> None:
        before = self.canvas.stage.selected
        self.canvas.show_selected(before ^ joints if add else joints)

    def _begin(self, number: int) -> None:
        person = self.canvas.stage.people[0]
        x, y = person.points[number].tolist()
        self._held = (number, x, y)

    def _go_on(self, x: float, y: float, _modifiers: object) -> None:
        if self._held is not None:
            number, left, top = self._held
            self._to = (left + x, top + y)
            self.joint_moved.emit(number, *self._to, False)

    def _end(self, kept: bool) -> None:
        if self._held is not None:
            number, left, top = self._held
            to = self._to if kept else (left, top)
            self._held = None
            self.joint_moved.emit(number, *to, True)
