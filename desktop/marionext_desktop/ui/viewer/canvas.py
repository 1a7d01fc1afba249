"""The painted viewer: pictures below, people above, and what the mouse does to joints.

Pictures, grid, onion skin and trails lie in one picture that is made anew when one of them or the
view changes; a dragged joint repaints the figure alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from marionext_desktop.model.words import say
from marionext_desktop.ui.icons import icon_picture
from marionext_desktop.ui.painting import (
    BOLD,
    MEDIUM,
    box,
    chip,
    chip_width,
    painting,
    text,
    text_width,
)
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.timeline.rows import point_title
from marionext_desktop.ui.viewer.figure import Look, Place, draw_figure, joined, near_point, tint_of

__all__ = ["Canvas", "Ghost", "Layout", "Person", "Picture", "Stage", "Trail", "Way"]

Layout = Literal["single", "overlay", "side", "wipe"]
Layer = Literal["source", "pose", "result"]
Way = Literal["joint", "limb", "hand"]
_NEAREST, _FARTHEST = 32.0, 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture on the canvas."""

    image: QImage
    area: QRectF
    """What it covers of the canvas, in the canvas's pixels."""
    title: str = ""
    more: str = ""
    note: str = ""
    """A warning in its corner."""
    smooth: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Somebody in the frame."""

    points: NDArray[np.float32]
    """(134, 2) in the canvas's pixels."""
    scores: NDArray[np.float32]
    """(134,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Ghost:
    """The same person at another time."""

    person: Person
    tint: str


@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """The way of a point around the present."""

    points: NDArray[np.float32]
    """(frames, 2)."""
    now: int
    """Which of them is the present."""
    keys: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """Everything that the viewer shows of a frame."""

    size: tuple[int, int] = (1080, 1920)
    """Width and height of the canvas in pixels."""
    frame: int = 0
    source: Picture | None = None
    result: Picture | None = None
    other: Picture | None = None
    """The picture that a wipe compares the result with; on the left."""
    people: tuple[Person, ...] = ()
    person: int = 0
    """Whom is worked on."""
    pose_title: str = ""
    detected: Person | None = None
    """The person as found, where that is to be compared."""
    ghosts: tuple[Ghost, ...] = ()
    trails: tuple[Trail, ...] = ()
    selected: frozenset[int] = field(default_factory=frozenset)
    tag: str = ""
    """What is said beside the joint that is chosen."""
    empty: str = ""
    """What to do where there is nothing to see."""


class Canvas(QWidget):
    """The viewer's picture."""

    joints_chosen = Signal(object, bool)
    """A frozenset of point numbers, and whether they are added to those that are chosen."""
    drag_begun = Signal(int)
    """A joint is held."""
    dragged = Signal(float, float, object)
    """How far the held joint is from where it was, in the canvas's pixels, and the modifiers."""
    drag_ended = Signal(bool)
    """The joint was let go; False: it shall be where it was."""
    person_chosen = Signal(int)
    part_drawn = Signal(QRectF)
    """A part of the canvas was marked, in its pixels; see `draw_part`."""
    view_changed = Signal()
    menu_wanted = Signal(int, QPoint)
    """The point under the mouse, or -1, and where on the screen."""

    def __init__(self) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(say("Viewer"))
        self.setMinimumSize(240, 180)
        self.stage = Stage()
        self.layout_shown: Layout = "side"
        self.layer: Layer = "pose"
        self.opacity = 0.6
        self.wipe = 0.5
        self.grid = False
        self.confidence = False
        self.scale = 0.0
        """Pixels of the widget for one of the canvas; 0: fitted."""
        self.plain = False
        """Show the picture as it is below the pose, without labels: a character's."""
        self.part: QRectF | None = None
        """What is used of the canvas, in its pixels; the rest is dimmed. None: all of it."""
        self._drawing_part = False
        self._middle = QPointF(540, 960)
        self._back: QPixmap | None = None
        self._hovered = -1
        self._press: _Hold | None = None
        self._box: QRectF | None = None
        self._small: dict[tuple[int, int, int], QImage] = {}
        theme().changed.connect(self.refresh)

    # ---------------------------------------------------------------- what is shown

    def show_stage(self, stage: Stage) -> None:
        """Show a frame; only what differs is painted anew."""
        before, self.stage = self.stage, stage
        if stage.size != before.size and not self.scale:
            self._middle = QPointF(stage.size[0] / 2, stage.size[1] / 2)
            self.view_changed.emit()
        same = all(
            getattr(before, name) is getattr(stage, name)
            for name in ("source", "result", "other", "ghosts")
        )
        if not same or before.size != stage.size or before.frame != stage.frame:
            self._back = None
        elif self._moved_only(before):
            return
        self.update()

    def _moved_only(self, before: Stage) -> bool:
        """Repaint just what moved joints cover; tell whether nothing else has changed."""
        stage, who = self.stage, self.stage.person
        fixed = ("person", "pose_title", "detected", "selected", "empty")
        if any(getattr(before, name) != getattr(stage, name) for name in fixed):
            return False
        if len(before.people) != len(stage.people) or who >= len(stage.people):
            return False
        if any(
            a is not b
            for n, (a, b) in enumerate(zip(before.people, stage.people, strict=True))
            if n != who
        ):
            return False
        old, new = before.people[who], stage.people[who]
        moved = (old.points != new.points).any(axis=1) | (old.scores != new.scores)
        if not moved.any() and before.trails is stage.trails:
            return before.tag == stage.tag
        shown = joined(moved | np.isin(np.arange(134), list(stage.selected)))
        corners = [old.points[shown], new.points[shown]]
        corners += [trail.points for trail in (*before.trails, *stage.trails)]
        points = np.concatenate(corners)
        low, high = points.min(axis=0), points.max(axis=0)
        for _, area in self.panes():
            place = self._place(area)
            spot = QRectF(place(*low.tolist()), place(*high.tolist()))
            self.update(spot.adjusted(-16, -16, 16, 16).intersected(area).toAlignedRect())
            for one in (before, stage):
                tag = self._tag_area(one, area)
                if tag is not None:
                    self.update(tag.adjusted(-2, -2, 2, 2).toAlignedRect())
        return True

    def show_selected(self, selected: Iterable[int], tag: str = "") -> None:
        """Show which joints are chosen."""
        self.stage = replace(self.stage, selected=frozenset(selected), tag=tag)
        self.update()

    def show_layout(self, layout: Layout) -> None:
        """Show the frame in another arrangement."""
        self.layout_shown = layout
        self.refresh()
        self.view_changed.emit()

    def show_layer(self, layer: Layer) -> None:
        """Show another layer where one is shown alone."""
        self.layer = layer
        self.refresh()

    def show_opacity(self, share: float) -> None:
        """Show the picture below the pose more or less, from 0 to 1."""
        self.opacity = share
        self.refresh()

    def show_wipe(self, share: float) -> None:
        """Move the divider: 0 is at the left edge, 1 at the right."""
        self.wipe = min(max(share, 0.0), 1.0)
        self.refresh()

    def show_options(self, *, grid: bool | None = None, confidence: bool | None = None) -> None:
        """Show or hide what helps."""
        self.grid = self.grid if grid is None else grid
        self.confidence = self.confidence if confidence is None else confidence
        self.refresh()

    def refresh(self) -> None:
        """Paint everything anew."""
        self._back = None
        self.update()

    # ---------------------------------------------------------------- view

    def panes(self) -> list[tuple[Layer | Literal["overlay", "wipe"], QRectF]]:
        """Return what is shown where."""
        whole = QRectF(self.rect())
        if self.layout_shown == "side":
            wide = (whole.width() - 4) / 3
            layers: tuple[Layer, ...] = ("source", "pose", "result")
            return [
                (layer, QRectF(place * (wide + 2), 0, wide, whole.height()))
                for place, layer in enumerate(layers)
            ]
        if self.layout_shown == "single":
            return [(self.layer, whole)]
        return [("overlay" if self.layout_shown == "overlay" else "wipe", whole)]

    def shown_scale(self) -> float:
        """Return how many pixels of the widget there are for one of the canvas."""
        if self.scale:
            return self.scale
        area = self.panes()[0][1]
        w, h = self.stage.size
        return max(min(area.width() / w, area.height() / h), 1e-3)

    def fit(self) -> None:
        """Show the whole canvas."""
        self.scale = 0.0
        self._middle = QPointF(self.stage.size[0] / 2, self.stage.size[1] / 2)
        self._view_moved()

    def zoom_to(self, scale: float, at: QPointF | None = None) -> None:
        """Show so many pixels for one; what is at a place of the widget stays there."""
        pane = self._pane_at(at) if at is not None else self.panes()[0]
        at = at if at is not None else pane[1].center()
        held = self._from(pane[1], at)
        self.scale = min(max(scale, _FARTHEST), _NEAREST)
        moved = self._from(pane[1], at)
        self._middle += held - moved
        self._view_moved()

    def zoom(self, factor: float, at: QPointF | None = None) -> None:
        """Zoom; what is at a place of the widget stays there."""
        self.zoom_to(self.shown_scale() * factor, at)

    def look_at(self, area: QRectF) -> None:
        """Show an area of the canvas, with room around it."""
        pane = self.panes()[0][1]
        scale = 0.6 * min(
            pane.width() / max(area.width(), 1), pane.height() / max(area.height(), 1)
        )
        self.scale = min(max(scale, _FARTHEST), 4.0)
        self._middle = area.center()
        self._view_moved()

    def _view_moved(self) -> None:
        self.refresh()
        self.view_changed.emit()

    def _place(self, pane: QRectF) -> Place:
        scale, centre = self.shown_scale(), pane.center()
        x = centre.x() - self._middle.x() * scale
        return Place(scale, x, centre.y() - self._middle.y() * scale)

    def _to(self, pane: QRectF, x: float, y: float) -> QPointF:
        return self._place(pane)(x, y)

    def _from(self, pane: QRectF, at: QPointF) -> QPointF:
        scale = self.shown_scale()
        return QPointF(
            self._middle.x() + (at.x() - pane.center().x()) / scale,
            self._middle.y() + (at.y() - pane.center().y()) / scale,
        )

    def _pane_at(self, at: QPointF) -> tuple[str, QRectF]:
        panes = self.panes()
        return next(((name, area) for name, area in panes if area.contains(at)), panes[0])

    # ---------------------------------------------------------------- painting

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep what is shown."""
        self.refresh()
        self.view_changed.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Show the pictures, and the people on them."""
        if self._back is None:
            ratio = self.devicePixelRatioF()
            back = QPixmap(int(self.width() * ratio), int(self.height() * ratio))
            back.setDevicePixelRatio(ratio)
            with painting(back) as painter:
                self._paint_back(painter)
            self._back = back
        with painting(self) as painter:
            painter.drawPixmap(0, 0, self._back)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            for name, area in self.panes():
                painter.save()
                painter.setClipRect(area)
                self._paint_people(painter, name, area)
                self._paint_part(painter, area)
                painter.restore()
                self._paint_chips(painter, name, area)
            if self._box is not None:
                painter.setBrush(QColor(245, 230, 99, 24))
                painter.setPen(QPen(QColor(245, 230, 99), 1, Qt.PenStyle.DashLine))
                painter.drawRect(self._box)
            if self.hasFocus():
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(theme().colour("accent", 130), 1))
                painter.drawLine(QPointF(0, 0.5), QPointF(self.width(), 0.5))

    def draw_part(self) -> None:
        """Let the next drag of the mouse mark a part of the canvas; Escape forgets it."""
        self._drawing_part = True
        self.setCursor(Qt.CursorShape.CrossCursor)

    def show_part(self, part: QRectF | None) -> None:
        """Show that only a part of the canvas is used."""
        if part != self.part:
            self.part = part
            self.update()

    def _paint_part(self, painter: QPainter, area: QRectF) -> None:
        if self.part is None:
            return
        corners = (self.part.topLeft(), self.part.bottomRight())
        used = QRectF(*(self._to(area, corner.x(), corner.y()) for corner in corners))
        outside = QPainterPath()
        outside.addRect(area)
        outside.addRect(used)
        painter.fillPath(outside, QColor(0, 0, 0, 140))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(theme().colour("accent"), 1.5))
        painter.drawRect(used)

    def _paint_back(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.fillRect(self.rect(), theme().colour("line"))
        for name, area in self.panes():
            painter.save()
            painter.setClipRect(area)
            painter.fillRect(area, theme().colour("stage"))
            canvas = self._canvas_area(area)
            if name in {"source", "overlay"}:
                painter.fillRect(canvas, QColor("#050607"))
                painter.setOpacity(self.opacity if name == "overlay" else 1.0)
                self._paint_picture(painter, self.stage.source, area)
                painter.setOpacity(1.0)
            elif name == "pose":
                painter.fillRect(canvas, QColor("#121418"))
                painter.setOpacity(0.8 if self.plain else 0.18)
                self._paint_picture(painter, self.stage.source, area)
                painter.setOpacity(1.0)
            elif name == "result":
                self._paint_picture(painter, self.stage.result, area)
            elif name == "wipe":
                self._paint_wipe(painter, area)
            if self.grid or (name == "pose" and not self.plain):
                self._paint_grid(painter, canvas, strong=self.grid)
            if name in {"pose", "overlay"}:
                for ghost in self.stage.ghosts:
                    look = Look(width=1.8, alpha=115, tint=ghost.tint, joints=False, face=False)
                    draw_figure(
                        painter,
                        ghost.person.points,
                        ghost.person.scores,
                        self._place(area),
                        look,
                    )
            painter.restore()

    def _canvas_area(self, pane: QRectF) -> QRectF:
        scale = self.shown_scale()
        corner = self._to(pane, 0, 0)
        return QRectF(
            corner.x(), corner.y(), self.stage.size[0] * scale, self.stage.size[1] * scale
        )

    def _paint_picture(self, painter: QPainter, picture: Picture | None, pane: QRectF) -> None:
        if picture is None or picture.image.isNull():
            return
        scale = self.shown_scale()
        corner = self._to(pane, picture.area.x(), picture.area.y())
        target = QRectF(
            corner.x(), corner.y(), picture.area.width() * scale, picture.area.height() * scale
        )
        shown = target.intersected(pane)
        if shown.isEmpty():
            return
        across = picture.image.width() / target.width()
        down = picture.image.height() / target.height()
        source = QRectF(
            (shown.x() - target.x()) * across,
            (shown.y() - target.y()) * down,
            shown.width() * across,
            shown.height() * down,
        )
        near = across < 0.34  # pixels can be told apart: show them as they are
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, not near)
        if across > 1.6:
            # Shrinking by more than half by interpolation alone flickers: average first.
            small = self._shrunk(picture.image, target)
            painter.drawImage(target, small, QRectF(small.rect()))
        else:
            painter.drawImage(shown, picture.image, source)

    def _shrunk(self, image: QImage, target: QRectF) -> QImage:
        """Return an image averaged to the size it is shown in; panes of one size share it."""
        ratio = self.devicePixelRatioF()
        wide, tall = max(round(target.width() * ratio), 1), max(round(target.height() * ratio), 1)
        key = (image.cacheKey(), wide, tall)
        small = self._small.get(key)
        if small is None:
            mode = Qt.AspectRatioMode.IgnoreAspectRatio
            small = image.scaled(wide, tall, mode, Qt.TransformationMode.SmoothTransformation)
            while len(self._small) > 3:
                del self._small[next(iter(self._small))]
            self._small[key] = small
        return small

    def _paint_grid(self, painter: QPainter, canvas: QRectF, *, strong: bool) -> None:
        painter.setPen(QPen(QColor(255, 255, 255, 46 if strong else 14), 1))
        for part in range(1, 4):
            x = canvas.x() + canvas.width() * part / 4
            painter.drawLine(QPointF(x, canvas.top()), QPointF(x, canvas.bottom()))
        rows = max(round(4 * canvas.height() / max(canvas.width(), 1)), 2)
        for part in range(1, rows):
            y = canvas.y() + canvas.height() * part / rows
            painter.drawLine(QPointF(canvas.left(), y), QPointF(canvas.right(), y))

    def _paint_wipe(self, painter: QPainter, area: QRectF) -> None:
        x = area.x() + area.width() * self.wipe
        painter.save()
        painter.setClipRect(QRectF(area.x(), area.y(), x - area.x(), area.height()))
        self._paint_picture(painter, self.stage.other or self.stage.source, area)
        painter.setClipRect(QRectF(x, area.y(), area.right() - x, area.height()))
        self._paint_picture(painter, self.stage.result, area)
        painter.restore()
        painter.fillRect(QRectF(x - 1, area.y(), 2, area.height()), QColor("#ffffff"))
        knob = QPointF(x, area.y() + area.height() * 0.62)
        painter.setBrush(QColor("#ffffff"))
        painter.setPen(QPen(QColor(0, 0, 0, 90), 1))
        painter.drawEllipse(knob, 14, 14)
        sign = icon_picture("chevrons-left-right", "#111111", 16)
        painter.drawPixmap(QPointF(knob.x() - 8, knob.y() - 8), sign)

    def _paint_people(self, painter: QPainter, name: str, area: QRectF) -> None:
        stage, place = self.stage, self._place(area)
        if name == "source":
            look = Look(width=1.8, alpha=165, joints=False, face=False)
            for who, person in enumerate(stage.people):
                if who == stage.person:
                    draw_figure(painter, person.points, person.scores, place, look)
            return
        if name not in {"pose", "overlay"}:
            return
        for trail in stage.trails:
            self._paint_trail(painter, trail, place)
        if stage.detected is not None:
            look = Look(width=2.0, alpha=220, tint="#ff5a5a", joints=False, face=False, dashed=True)
            draw_figure(painter, stage.detected.points, stage.detected.scores, place, look)
        for who, person in enumerate(stage.people):
            mine = who == stage.person
            look = Look(
                width=3.2 if mine else 1.6,
                alpha=255 if mine else 110,
                joints=mine,
                confidence=self.confidence,
                selected=stage.selected if mine else (),
                hovered=self._hovered if mine else -1,
            )
            draw_figure(painter, person.points, person.scores, place, look)
        self._paint_tag(painter, area)

    def _paint_trail(self, painter: QPainter, trail: Trail, place: Place) -> None:
        at = place.all(trail.points)
        last = max(len(at) - 1, 1)
        for number in range(len(at) - 1):
            near = 1 - abs(number - trail.now) / last
            painter.setPen(QPen(QColor(245, 230, 99, int(30 + 180 * near * near)), 1.5))
            painter.drawLine(at[number], at[number + 1])
        painter.setPen(
            QPen(QColor(245, 230, 99, 200), 3, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap)
        )
        painter.drawPoints(QPolygonF(at[::2]))

    def _tag_area(self, stage: Stage, area: QRectF) -> QRectF | None:
        """Return where the words beside a joint are; None: there are none."""
        if len(stage.selected) != 1 or stage.person >= len(stage.people):
            return None
        (number,) = stage.selected
        person = stage.people[stage.person]
        if person.scores[number] <= 0:
            return None
        title, more = _tag_words(stage, number)
        at = self._place(area)(*person.points[number].tolist())
        wide = max(text_width(title, 11, BOLD), text_width(more, 11)) + 20
        left = at.x() + 18 if tint_of(number) == "left" else at.x() - wide - 18
        left = min(max(left, area.x() + 8), area.right() - wide - 8)
        top = min(max(at.y() + 16, area.y() + 40), area.bottom() - 48)
        return QRectF(left, top, wide, 38)

    def _paint_tag(self, painter: QPainter, area: QRectF) -> None:
        tag = self._tag_area(self.stage, area)
        if tag is not None:
            (number,) = self.stage.selected
            title, more = _tag_words(self.stage, number)
            box(painter, tag, 5, QColor(0, 0, 0, 205), QColor(245, 230, 99, 130))
            text(painter, tag.x() + 9, tag.y() + 16, title, "#e8eaed", 11, BOLD)
            text(painter, tag.x() + 9, tag.y() + 31, more, "#a9b0ba", 11, figures=True)

    def _paint_chips(self, painter: QPainter, name: str, area: QRectF) -> None:
        stage = self.stage
        x, y = area.x() + 10, area.y() + 10
        if self.plain:
            if stage.source is None:
                self._paint_empty(painter, area, stage.empty)
            return
        if name == "source":
            title = stage.source.title if stage.source else ""
            chip(painter, x, y, say("Source"), title, "#a9b0ba")
            if stage.source is None and not stage.people:
                self._paint_empty(painter, area, stage.empty)
        elif name == "pose":
            chip(painter, x, y, say("Pose"), stage.pose_title, _YELLOW)
        elif name == "overlay":
            more = say("source {share} %", share=round(self.opacity * 100))
            if stage.pose_title:
                more += f" · {stage.pose_title}"
            chip(painter, x, y, say("Overlay"), more, _YELLOW)
            if stage.source is None and not stage.people:
                self._paint_empty(painter, area, stage.empty)
        elif name == "result":
            more = "" if stage.result is None else _joined_words(stage.result)
            chip(painter, x, y, say("Result"), more, "accent")
            if stage.result is None:
                self._paint_empty(
                    painter, area, say("Nothing rendered here yet\nCtrl+Return drafts the range")
                )
            elif stage.result.note:
                self._paint_note(painter, area, stage.result.note)
        else:
            left = stage.other or stage.source
            title = "A" if stage.other else say("Source")
            more = "" if left is None or not stage.other else _joined_words(left)
            chip(painter, x, y, title, more, "#e8eaed")
            if stage.result is not None:
                more = _joined_words(stage.result)
                right = area.right() - chip_width("B", more) - 10
                chip(painter, right, y, "B", more, "accent")

    def _paint_empty(self, painter: QPainter, area: QRectF, words: str) -> None:
        for number, line in enumerate(words.splitlines()):
            colour, size = ("text", 13) if number == 0 else ("faint", 12)
            y = area.center().y() + number * 22
            text(
                painter,
                area.center().x(),
                y,
                line,
                colour,
                size,
                align="centre",
                width=area.width() - 24,
            )

    def _paint_note(self, painter: QPainter, area: QRectF, note: str) -> None:
        wide = text_width(note, 11, MEDIUM) + 36
        badge = QRectF(area.right() - wide - 10, area.y() + 10, wide, 22)
        if badge.x() < area.x() + area.width() * 0.45:
            badge.moveTop(area.y() + 38)
        box(painter, badge, 4, QColor(11, 13, 15, 215))
        painter.drawPixmap(
            QPointF(badge.x() + 7, badge.y() + 4), icon_picture("history", "#e8a33d", 14)
        )
        text(painter, badge.x() + 27, badge.y() + 15.5, note, "#e8a33d", 11, MEDIUM)

    # ---------------------------------------------------------------- mouse

    def _point_at(self, at: QPointF) -> int | None:
        name, area = self._pane_at(at)
        person = self._person()
        if name not in {"pose", "overlay"} or person is None:
            return None
        return near_point(
            person.points,
            person.scores,
            self._place(area),
            at,
            fine=self.shown_scale() > 0.9 or any(24 <= n < 92 for n in self.stage.selected),
        )

    def _person(self) -> Person | None:
        stage = self.stage
        return stage.people[stage.person] if stage.person < len(stage.people) else None

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold of a joint, the divider, the view, or begin a box."""
        at = event.position()
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if event.button() is Qt.MouseButton.MiddleButton:
            self._press = _Hold("pan", at, QPointF(self._middle))
            self.setCursor(Qt.CursorShape.ClosedHandCursor)
            return
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        if self._drawing_part:
            self._press = _Hold("part", at, at)
            return
        name, area = self._pane_at(at)
        if name == "wipe":
            self._press = _Hold("wipe", at, at)
            self.show_wipe((at.x() - area.x()) / area.width())
            return
        number = self._point_at(at)
        add = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if number is not None:
            if number not in self.stage.selected or add:
                self.joints_chosen.emit(frozenset({number}), add)
            self._press = _Hold("joint", at, self._from(area, at), number=number)
        elif (who := self._other_person_at(at)) is not None:
            self.person_chosen.emit(who)
        elif name in {"pose", "overlay"}:
            self._press = _Hold("box", at, at, add=add)

    def _other_person_at(self, at: QPointF) -> int | None:
        name, area = self._pane_at(at)
        if name not in {"pose", "overlay"}:
            return None
        for who, person in enumerate(self.stage.people):
            if who == self.stage.person:
                continue
            found = near_point(person.points, person.scores, self._place(area), at, fine=False)
            if found is not None:
                return who
        return None

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with what was begun."""
        at, press = event.position(), self._press
        if press is None:
            self._hover(at)
            return
        if (at - press.at).manhattanLength() > 3:
            press.moved = True
        _, area = self._pane_at(press.at)
        if press.kind == "pan":
            self.scale = self.shown_scale()
            self._middle = press.origin - (at - press.at) / self.scale
            self._view_moved()
        elif press.kind == "wipe":
            self.show_wipe((at.x() - area.x()) / area.width())
        elif press.kind in {"box", "part"} and press.moved:
            self._box = QRectF(press.at, at).normalized()
            self.update()
        elif press.kind == "joint" and press.moved:
            if not press.told:
                press.told = True
                self.drag_begun.emit(press.number)
            by = self._from(area, at) - press.origin
            self.dragged.emit(by.x(), by.y(), event.modifiers())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish what was begun."""
        press, self._press = self._press, None
        if press is None:
            return
        if press.kind == "pan":
            self.unsetCursor()
        elif press.kind == "part":
            drawn, self._box = self._box, None
            self._drawing_part = False
            self.unsetCursor()
            if drawn is not None:
                _, pane = self._pane_at(press.at)
                ends = (self._from(pane, at) for at in (drawn.topLeft(), drawn.bottomRight()))
                self.part_drawn.emit(QRectF(*ends))
        elif press.kind == "box":
            area, self._box = self._box, None
            self._choose_in(area, add=press.add)
        elif press.kind == "joint" and press.told:
            self.drag_ended.emit(True)
        self.update()

    def drop_gesture(self) -> bool:
        """Forget a drag that is under way; tell whether there was one."""
        press, self._press = self._press, None
        self._box = None
        waiting, self._drawing_part = self._drawing_part, False
        if waiting:
            self.unsetCursor()
        self.update()
        if press is not None and press.told:
            self.drag_ended.emit(False)
        return press is not None or waiting

    def _choose_in(self, area: QRectF | None, *, add: bool) -> None:
        person = self._person()
        if area is None or person is None:
            if not add:
                self.joints_chosen.emit(frozenset(), False)
            return
        _, pane = self._pane_at(area.center())
        found = {
            number
            for number, ((x, y), score) in enumerate(
                zip(person.points.tolist(), person.scores.tolist(), strict=True)
            )
            if score > 0 and area.contains(self._to(pane, x, y))
        }
        self.joints_chosen.emit(frozenset(found), add)

    def _hover(self, at: QPointF) -> None:
        number = self._point_at(at)
        hovered = -1 if number is None else number
        name, _ = self._pane_at(at)
        if hovered >= 0:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
        elif name == "wipe":
            self.setCursor(Qt.CursorShape.SplitHCursor)
        else:
            self.unsetCursor()
        if hovered != self._hovered:
            self._hovered = hovered
            self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Point at nothing any more."""
        self._hovered = -1
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the cursor."""
        steps = event.angleDelta().y() / 120
        if steps:
            self.zoom(1.2**steps, event.position())
        event.accept()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for a menu of what is under the mouse."""
        number = self._point_at(QPointF(event.pos()))
        self.menu_wanted.emit(-1 if number is None else number, event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape lets go."""
        if event.key() == Qt.Key.Key_Escape and self.drop_gesture():
            event.accept()
            return
        super().keyPressEvent(event)


_YELLOW = "#f5e663"


def _joined_words(picture: Picture) -> str:
    return " · ".join(part for part in (picture.title, picture.more) if part)


def _tag_words(stage: Stage, number: int) -> tuple[str, str]:
    x, y = stage.people[stage.person].points[number].tolist()
    more = f"{x:.1f}, {y:.1f}" + (f"  ·  {stage.tag}" if stage.tag else "")
    return point_title(number), more


class _Hold:
    """What the mouse took hold of."""

    def __init__(
        self, kind: str, at: QPointF, origin: QPointF, *, number: int = -1, add: bool = False
    ) -> None:
        self.kind, self.at, self.origin, self.number, self.add = kind, at, origin, number, add
        self.moved = self.told = False
