"""What keeps the library and the document together."""

from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QMimeData, QObject, QPoint, QTimer
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QFileDialog, QMenu

from marionext_desktop.model import editing
from marionext_desktop.model.importing import PICTURES, SOUNDS, VIDEOS, Found
from marionext_desktop.model.project import Character, Project, Source
from marionext_desktop.model.words import say
from marionext_desktop.ui.library import LIBRARY_MIME, Entry, LibraryPanel
from marionext_desktop.ui.loading import PictureFiles
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Showing
from marionext_desktop.ui.viewer.figure import Look, Place, draw_figure

__all__ = ["LibraryControl"]

_ICONS = {"video": "film", "motion": "bone", "poses": "person-standing", "sound": "audio-lines"}
_MOTIONS = ("*.bvh", "*.glb", "*.gltf", "*.vrm", "*.npz", "*.json")


class LibraryControl(QObject):
    """Shows what there is, and puts it on the timeline."""

    def __init__(
        self, panel: LibraryPanel, session: Session, showing: Showing, files: PictureFiles
    ) -> None:
        super().__init__(panel)
        self.panel = panel
        self._session, self._showing, self._files = session, showing, files
        self.missing: frozenset[str] = frozenset()
        self.pictures: dict[str, QPixmap] = {}
        """Pictures of sources, by id."""
        self._drawn: dict[str, QPixmap] = {}
        self._later = QTimer(self, singleShot=True, interval=20)
        self._later.timeout.connect(self._show)
        session.document.changed.connect(lambda _old, _new: self.refresh())
        session.captures.changed.connect(lambda _name: self.refresh())
        session.poses.track_ready.connect(lambda _name: self.refresh())
        session.characters.changed.connect(lambda _name: self.refresh())
        files.ready.connect(lambda _path: self.refresh())
        shown = panel.list
        shown.opened.connect(self.put_on_timeline)
        shown.wanted.connect(self.ask_for_files)
        shown.menu_wanted.connect(self._offer)
        self.refresh()

    def refresh(self) -> None:
        """Show everything anew, soon."""
        self._later.start()

    def _show(self) -> None:
        project = self._session.project
        used = {clip.source for clip in project.clips}
        entries = [self._source(source, source.id in used) for source in project.sources]
        entries += [self._character(each) for each in project.characters]
        self.panel.list.show_entries(entries)

    def _source(self, source: Source, used: bool) -> Entry:
        state = self._session.captures.state(source)
        words = _facts(source)
        shown, progress, tip = ("used" if used else ""), 0.0, source.path
        if source.id in self.missing:
            shown, words = "missing", say("file is missing")
        elif state.stage in {"waiting", "capturing"}:
            shown, progress = "busy", state.fraction
            words = say("finding poses {share} %", share=round(progress * 100))
        elif state.stage == "failed":
            shown = "warn"
            words = say("needs the detector") if state.lacks_detector else say("no poses found")
            tip = f"{source.path}\n{state.message}"
        return Entry(
            id=source.id,
            kind="sound" if source.kind == "sound" else "media",
            title=source.name,
            words=words,
            state=shown,  # type: ignore[arg-type]
            picture=self.pictures.get(source.id) or self.drawing(source),
            icon=_ICONS.get(source.kind, "film"),
            tip=tip,
            progress=progress,
        )

    def drawing(self, source: Source) -> QPixmap | None:
        """Return a drawing of the figure in a source that has no pictures of its own."""
        if source.kind not in {"motion", "poses"}:
            return None
        if source.id not in self._drawn:
            track = self._session.poses.captured_track(source)
            if track is None or not track.people:
                return None
            row = len(track) // 2
            points, scores = track.points[row, 0], track.scores[row, 0]
            known = points[:18][scores[:18] > 0]
            if not len(known):
                return None
            side = 42 * 3
            low, high = known.min(axis=0), known.max(axis=0)
            scale = 0.86 * side / max(float((high - low).max()), 1.0)
            middle = (low + high) / 2
            picture = QPixmap(side, side)
            picture.fill(QColor("#0b0d0f"))
            painter = QPainter(picture)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            place = Place(
                scale, side / 2 - float(middle[0]) * scale, side / 2 - float(middle[1]) * scale
            )
            draw_figure(painter, points, scores, place, Look(width=4.5, joints=False, face=False))
            painter.end()
            self._drawn[source.id] = picture
        return self._drawn[source.id]

    def _character(self, character: Character) -> Entry:
        warnings = self._session.characters.warnings(character)
        size = f"{character.size[0]}×{character.size[1]}" if character.size[0] else ""
        used = self._session.project.render.character == character.id
        words = (
            warnings[0].short
            if warnings
            else " · ".join(part for part in (size, say("takes the part") if used else "") if part)
        )
        return Entry(
            id=character.id,
            kind="character",
            title=character.name,
            words=words,
            state="warn" if warnings else "used" if used else "",
            picture=self._files.pixmap(Path(character.path)),
            icon="user",
            tip="\n".join((character.path, *(each.long for each in warnings))),
        )

    # ---------------------------------------------------------------- what is done

    def put_on_timeline(self, kind: str, name: str) -> None:
        """Put a source behind what is there, or let a character take the part."""
        project = self._session.project
        if kind == "character":
            self.cast(name)
            return
        source = project.source(name)
        clip = editing.whole_clip(project, name)
        self._session.document.do(
            say("Put {name} on the timeline", name=source.name), editing.append(project, clip)
        )
        self._session.document.end_gesture()

    def put_at(self, kind: str, name: str, frame: int) -> None:
        """Put a source on the timeline at a frame; what lies there makes room."""
        if kind == "character":
            self.cast(name)
            return
        project = self._session.project
        clip = editing.whole_clip(project, name, at=max(frame, 0))
        words = say("Put {name} on the timeline", name=project.source(name).name)
        self._session.document.do(words, editing.insert(project, clip))
        self._session.document.end_gesture()

    def drop(self, mime: QMimeData, frame: int) -> None:
        """Put on the timeline what was dropped on a frame: of the library, or files."""
        if mime.hasFormat(LIBRARY_MIME):
            for line in bytes(mime.data(LIBRARY_MIME).data()).decode().splitlines():
                kind, _, name = line.partition(":")
                self.put_at(kind, name, frame)
            return
        paths = [url.toLocalFile() for url in mime.urls() if url.isLocalFile()]

        def put(project: Project, found: Found) -> Project:
            if found.source is None:
                return project
            clip = editing.whole_clip(project, found.source.id, at=frame)
            return editing.insert(project, clip)

        self._session.bring_in(paths, place=put)

    def cast(self, name: str) -> None:
        """Let a character take the dancer's part."""
        project = self._session.project
        render = replace(project.render, character=name)
        words = say("{name} takes the part", name=project.character(name).name)
        self._session.document.do(words, replace(project, render=render))
        self._session.document.end_gesture()

    def ask_for_files(self, kind: str = "") -> None:
        """Ask which files shall be brought in."""
        videos = " ".join(f"*{suffix}" for suffix in sorted(VIDEOS))
        pictures = " ".join(f"*{suffix}" for suffix in sorted(PICTURES))
        sounds = " ".join(f"*{suffix}" for suffix in sorted(SOUNDS))
        motions = " ".join(_MOTIONS)
        everything = f"{say('All media')} ({videos} {motions} {pictures} {sounds})"
        filters = [
            f"{say('Videos')} ({videos})",
            f"{say('Motions')} ({motions})",
            f"{say('Pictures')} ({pictures})",
            f"{say('Sounds')} ({sounds})",
        ]
        first = {"character": filters[2], "sound": filters[3]}.get(kind, everything)
        folder = str(self._session.file.parent) if self._session.file else ""
        paths, _ = QFileDialog.getOpenFileNames(
            self.panel.window(), say("Import media"), folder,
            ";;".join((everything, *filters, f"{say('All files')} (*)")), first,
        )  # fmt: skip
        if paths:
            self._session.bring_in(paths)

    def _offer(self, kind: str, name: str, at: QPoint) -> None:
        menu = QMenu(self.panel)
        if kind == "character":
            menu.addAction(say("Takes the part")).triggered.connect(lambda: self.cast(name))
        else:
            menu.addAction(say("Put on the timeline")).triggered.connect(
                lambda: self.put_on_timeline(kind, name)
            )
            menu.addAction(say("Insert at the playhead")).triggered.connect(
                lambda: self.put_at(kind, name, self._showing.frame)
            )
            if kind == "media":
                menu.addAction(say("Find poses again")).triggered.connect(
                    lambda: self._session.captures.start(
                        self._session.project.source(name), anew=True
                    )
                )
        menu.addSeparator()
        menu.addAction(say("Remove from the project")).triggered.connect(
            lambda: self.remove(kind, name)
        )
        menu.exec(at)

    def remove(self, kind: str, name: str) -> None:
        """Take something out of the project; files stay where they are."""
        project = self._session.project
        if kind == "character":
            render = project.render
            if render.character == name:
                render = replace(render, character=None)
            left = tuple(each for each in project.characters if each.id != name)
            project = replace(project, characters=left, render=render)
        else:
            project = editing.remove_source(project, name)
        self._session.document.do(say("Remove"), project)
        self._session.document.end_gesture()


def _facts(source: Source) -> str:
    """Return what there is to say about a source, in a line."""
    seconds = float(source.rate.seconds(source.frames))
    length = f"{int(seconds // 60)}:{int(seconds % 60):02d}"
    if source.kind == "sound":
        return length
    rate = f"{float(source.rate):.4g}"
    if source.kind == "video":
        return f"{length} · {source.size[0]}×{source.size[1]} · {rate}"
    return say("motion · {n} frames", n=source.frames) + f" · {rate}"
