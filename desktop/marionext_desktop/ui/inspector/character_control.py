"""What keeps the page of a character and the document together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, QTimer

from marionext_desktop.model.limbs import dragged
from marionext_desktop.model.project import Character, Crop, Project
from marionext_desktop.model.words import say
from marionext_desktop.ui.inspector.characters import CharacterPage
from marionext_desktop.ui.loading import PictureFiles
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Showing
from marionext_desktop.ui.viewer.canvas import Person

__all__ = ["CharacterControl"]


class CharacterControl(QObject):
    """Shows the character that takes the part, or another one that is looked at."""

    def __init__(
        self, page: CharacterPage, session: Session, showing: Showing, files: PictureFiles
    ) -> None:
        super().__init__(page)
        self.page = page
        self._session, self._showing, self._files = session, showing, files
        self.looked_at = ""
        self._before: tuple[Project, Person] | None = None
        self._later = QTimer(self, singleShot=True, interval=20)
        self._later.timeout.connect(self._show)
        session.document.changed.connect(lambda _old, _new: self.refresh())
        session.characters.changed.connect(lambda _name: self.refresh())
        files.ready.connect(lambda _path: self.refresh())
        page.chosen.connect(self.look_at)
        page.named.connect(self._name)
        page.cropped.connect(self._crop)
        page.joint_moved.connect(self._move)
        page.asked.connect(self._asked)
        self.refresh()

    def refresh(self) -> None:
        """Show everything anew, soon."""
        self._later.start()

    def look_at(self, name: str) -> None:
        """Show another character."""
        self.looked_at = name
        self.refresh()

    def character(self) -> Character | None:
        """Return the character that is looked at."""
        project = self._session.project
        wanted = (self.looked_at, project.render.character)
        by_id = {each.id: each for each in project.characters}
        found = next((by_id[name] for name in wanted if name in by_id), None)
        return found or (project.characters[0] if project.characters else None)

    def person(self, character: Character) -> Person | None:
        """Return the pose of a character: as changed by hand, or as found."""
        if character.points is not None:
            values = np.array(character.points, np.float32)
            return Person(values[:, :2].copy(), values[:, 2].copy())
        found = self._session.characters.pose(character)
        return None if found is None else Person(found.points, found.scores)

    def _show(self) -> None:
        page, project = self.page, self._session.project
        character = self.character()
        names = [(each.id, each.name) for each in project.characters]
        page.show_characters(names, "" if character is None else character.id)
        if character is None:
            page.show_picture(None, None, None, "")
            page.show_warnings(())
            return
        image = self._files.image(Path(character.path))
        crop = character.crop
        box = None if crop is None else (crop.x, crop.y, crop.width, crop.height)
        page.show_picture(image, self.person(character), box, character.name)
        poses = self._session.characters
        looking = say("Its pose is being looked for …") if poses.is_looking(character) else ""
        page.show_warnings([each.long for each in poses.warnings(character)], looking)

    # ---------------------------------------------------------------- what is done

    def _change(self, words: str, merge: str = "", **changes: object) -> None:
        character = self.character()
        if character is None:
            return
        project = self._session.project
        changed = replace(character, **changes)  # type: ignore[arg-type]
        characters = tuple(changed if c.id == character.id else c for c in project.characters)
        self._session.document.do(
            words, replace(project, characters=characters), merge=merge or None
        )
        if not merge:
            self._session.document.end_gesture()

    def _name(self, name: str) -> None:
        character = self.character()
        if character is not None and name and name != character.name:
            self._change(say("Rename"), name=name)

    def _crop(self, left: int, top: int, width: int, height: int) -> None:
        self._change(say("Crop"), "crop", crop=Crop(x=left, y=top, width=width, height=height))

    def _move(self, number: int, x: float, y: float, done: bool) -> None:
        character = self.character()
        if character is None:
            return
        if self._before is None:
            person = self.person(character)
            if person is None:
                return
            self._before = (self._session.project, person)
        person = self._before[1]
        moved = dragged(person.points, person.scores, number, (x, y), self._showing.options.way)
        points = person.points.copy()
        for each, place in moved.items():
            points[each] = place
        rows = tuple(
            (round(float(px), 3), round(float(py), 3), round(float(score), 4))
            for (px, py), score in zip(points.tolist(), person.scores.tolist(), strict=True)
        )
        self._change(say("Move a joint of the character"), f"character-{number}", points=rows)
        if done:
            self._before = None
            self._session.document.end_gesture()

    def _asked(self, what: str) -> None:
        character = self.character()
        if character is None:
            return
        project = self._session.project
        if what == "found":
            self._change(say("Pose as found"), points=None)
        elif what == "whole":
            self._change(say("Whole picture"), crop=None)
        elif what == "crop":
            self._change(say("Crop"), crop=_crop_to(character.size, project.size))
        elif what == "use":
            render = replace(project.render, character=character.id)
            self._session.document.do(say("Takes the part"), replace(project, render=render))
            self._session.document.end_gesture()


def _crop_to(size: tuple[int, int], like: tuple[int, int]) -> Crop | None:
    """Return the largest part of a picture that has the proportions of another, in its middle."""
    if min(size) < 1:
        return None
    width = min(size[0], round(size[1] * like[0] / like[1]))
    height = min(size[1], round(size[0] * like[1] / like[0]))
    return Crop(x=(size[0] - width) // 2, y=(size[1] - height) // 2, width=width, height=height)
