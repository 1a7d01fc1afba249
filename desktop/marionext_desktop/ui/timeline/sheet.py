"""The painted timeline: scrubbing, choosing, dragging.

Everything that does not move with the playhead lies in one picture, made anew when the view or the
contents change. A step of the playhead repaints two narrow strips.
"""

import bisect
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from marionext_desktop.model.timecode import format_timecode
from marionext_desktop.model.words import say
from marionext_desktop.ui.library import LIBRARY_MIME
from marionext_desktop.ui.painting import BOLD, painting, text, text_width
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.timeline.bands import LEFT, RULER, Band, bands_of
from marionext_desktop.ui.timeline.contents import ClipBar, Contents, SoundBar
from marionext_desktop.ui.timeline.gestures import (
    CutClip,
    Gesture,
    MoveClip,
    MoveFlag,
    MoveKeys,
    MoveMark,
    Retime,
    Slip,
    Trim,
)
from marionext_desktop.ui.timeline.heat import HeatStrips
from marionext_desktop.ui.timeline.painter import SheetPainter, SheetState, Thumbnails
from marionext_desktop.ui.timeline.rows import Row

__all__ = ["Sheet", "Tool"]

Tool = Literal["select", "blade", "slip", "retime"]
_EDGE = 6
"""Pixels around an edge in which it can be taken hold of."""
_SNAP = 8
"""Pixels over which something snaps."""
_CLICK = 3
"""Pixels that the mouse may move without the press becoming a drag."""


class Sheet(QWidget):
    """The timeline's sheet."""

    sought = Signal(int)
    """The playhead shall go to a frame."""
    scrubbing = Signal(bool)
    """The playhead is being dragged, or is no more."""
    gestured = Signal(object, bool)
    """A `Gesture`, and whether it is finished."""
    gesture_dropped = Signal()
    """Escape: the gesture never was."""
    row_chosen = Signal(str, bool)
    """A row was chosen, and whether it is added to those that are."""
    row_folded = Signal(str)
    """The parts of a limb shall be shown or hidden; ``""`` all rows of the poses."""
    keys_chosen = Signal(object)
    """A frozenset of (row, frame)."""
    clip_chosen = Signal(str, bool)
    """A clip was chosen, and whether it is added; ``""``: none."""
    take_chosen = Signal(str)
    badge_chosen = Signal(str)
    menu_wanted = Signal(str, str, QPoint)
    """What was clicked (``clip``, ``row``, ``flag``, ``take``, ``ruler``, ``badge``), which, and
    where on the screen."""
    flag_opened = Signal(str)
    dropped = Signal(object, int)
    """What was dropped (a `QMimeData`), and on which frame."""
    span_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(say("Timeline"))
        self.setMinimumHeight(180)
        self.setAcceptDrops(True)
        self.state = SheetState()
        self.tool: Tool = "select"
        self.snapping = True
        self.frame = 0
        self.curves = False
        self._back: QPixmap | None = None
        self._stale = QRect()
        self._names: QPixmap | None = None
        self._names_of: object = None
        self._fitted = False
        self._press: _Press | None = None
        self._box: QRectF | None = None
        self._snap_line: int | None = None
        self._snap_frames: list[int] = []
        self._hover_x: float | None = None
        theme().changed.connect(self._recolour)

    # ---------------------------------------------------------------- what is shown

    def show_contents(self, contents: Contents) -> None:
        """Show other contents."""
        had = self.state.contents.frames
        self.state.contents = contents
        if contents.frames and (not had or not self._fitted):
            self.fit()
        self._lay_out()

    def show_rows(self, rows: tuple[Row, ...], scores: NDArray[np.float32] | None) -> None:
        """Show other rows of poses.

        Args:
            rows: from top to bottom.
            scores: (rows, frames); None: no poses.
        """
        self.state.rows = rows
        self.state.heat = None if scores is None else HeatStrips(scores)
        self._lay_out()

    def patch_scores(self, start: int, scores: NDArray[np.float32]) -> None:
        """Show other scores from a frame on: (rows, frames changed)."""
        if self.state.heat is not None:
            self.state.heat.patch(start, scores)
            span = self.state.span
            # A level's pixel stands for up to 64 frames; marks of gaps and findings reach over.
            left = int(span.x(start // 64 * 64)) - 16
            right = int(span.x(start + scores.shape[1] + 64)) + 16
            for band in self.state.bands:
                if band.kind == "row":
                    self._refresh_band(band, left, right)

    def show_thumbnails(self, thumbnails: Thumbnails | None) -> None:
        """Ask for pictures of clips in another place."""
        self.state.thumbnails = thumbnails
        self.refresh_thumbnails()

    def refresh_thumbnails(self) -> None:
        """Paint the pictures of clips anew."""
        for band in self.state.bands:
            if band.kind == "source":
                self._refresh_band(band, LEFT, self.width())

    def show_cached(self, cached: tuple[tuple[int, int], ...]) -> None:
        """Show which frames are ready to be played."""
        if cached != self.state.cached:
            self.state.cached = cached
            self.refresh(QRect(LEFT, 0, self.width() - LEFT, RULER))

    def show_chosen(
        self,
        *,
        rows: Iterable[str] | None = None,
        keys: Iterable[tuple[str, int]] | None = None,
        clips: Iterable[str] | None = None,
        badge: str | None = None,
        takes: Iterable[str] | None = None,
    ) -> None:
        """Show what is chosen; what is None stays."""
        state = self.state
        before = (
            state.chosen_rows,
            state.chosen_keys,
            state.chosen_clips,
            state.chosen_badge,
            state.shown_takes,
        )
        if rows is not None:
            state.chosen_rows = frozenset(rows)
        if keys is not None:
            state.chosen_keys = frozenset(keys)
        if clips is not None:
            state.chosen_clips = frozenset(clips)
        if badge is not None:
            state.chosen_badge = badge
        if takes is not None:
            state.shown_takes = frozenset(takes)
        after = (
            state.chosen_rows,
            state.chosen_keys,
            state.chosen_clips,
            state.chosen_badge,
            state.shown_takes,
        )
        if before != after:
            self.refresh()

    def show_timecode(self, on: bool) -> None:
        """Count in timecode, or in frames."""
        if on != self.state.timecode:
            self.state.timecode = on
            self.refresh(QRect(0, 0, self.width(), RULER))

    def show_curves(self, on: bool) -> None:
        """Show curves in the place of the rows."""
        self.curves = on
        self._lay_out()

    def fold(self, on: bool) -> None:
        """Hide the rows of the poses."""
        self.state.folded = on
        self._lay_out()

    def refresh(self, area: QRect | None = None) -> None:
        """Paint anew what lies in an area, or everything."""
        area = self.rect() if area is None else area & self.rect()
        self._stale |= area
        self.update(area)

    def _refresh_band(self, band: Band, left: int, right: int) -> None:
        top = RULER + band.top - self.state.scroll
        high = max(top, RULER)
        self.refresh(QRect(left, high, right - left, top + band.height - high))

    def _recolour(self) -> None:
        if self.state.heat is not None:
            self.state.heat.recolour()
        self.refresh()

    def _lay_out(self) -> None:
        contents = self.state.contents
        self.state.bands = bands_of(
            self.state.rows,
            folded=self.state.folded,
            curves=self.curves,
            sound=bool(contents.sounds),
            room=self.height() - RULER,
        )
        self.state.scroll = min(self.state.scroll, self._most_scroll())
        self.refresh()

    def _most_scroll(self) -> int:
        bottom = self.state.bands[-1].bottom if self.state.bands else 0
        return max(bottom - (self.height() - RULER), 0)

    # ---------------------------------------------------------------- view

    def fit(self) -> None:
        """Show the whole sequence."""
        self.state.span.width = max(self.width() - LEFT, 50)
        if self.state.contents.frames:
            self.state.span.fit(self.state.contents.frames)
            self._fitted = True
        self._span_moved()

    def zoom(self, factor: float, x: float | None = None) -> None:
        """Zoom; what is at ``x``, or else the playhead, stays where it is."""
        span = self.state.span
        at = span.x(self.frame + 0.5) if x is None else x
        if not LEFT <= at <= self.width():
            at = (LEFT + self.width()) / 2
        span.zoom(factor, at, self.state.contents.frames)
        self._span_moved()

    def show_range(self, start: int, stop: int) -> None:
        """Show a range of frames, with room around it."""
        span = self.state.span
        around = max((stop - start) * 0.25, 8)
        span.scale = min(span.width / (stop - start + 2 * around), 24.0)
        span.first = start - around
        span.keep_in(self.state.contents.frames)
        self._span_moved()

    def zoom_level(self) -> float:
        """Return how far it is zoomed in: 0 shows everything, 1 is closest."""
        span = self.state.span
        low = max(span.width - 24, 50) / max(self.state.contents.frames, 1)
        if low >= 64:
            return 1.0
        level = np.log(span.scale / low) / np.log(64 / low)
        return float(np.clip(level, 0, 1))

    def show_zoom(self, level: float) -> None:
        """Zoom in as far as a level says; see `zoom_level`."""
        low = max(self.state.span.width - 24, 50) / max(self.state.contents.frames, 1)
        self.zoom(low * (64 / low) ** level / self.state.span.scale)

    def _span_moved(self) -> None:
        self.refresh()
        self.span_changed.emit()

    def show_frame(self, frame: int, *, follow: bool = True) -> None:
        """Move the playhead.

        Args:
            frame: to this frame.
            follow: scroll so that it stays in sight.
        """
        old, self.frame = self.frame, frame
        span = self.state.span
        x = span.x(frame + 0.5)
        if follow and not LEFT <= x <= self.width() - 12 and self._press is None:
            span.first = frame - span.shown * 0.1 if x > LEFT else frame - span.shown * 0.9
            span.keep_in(self.state.contents.frames)
            self._span_moved()
            return
        for each in (old, frame):
            at = int(span.x(each + 0.5))
            self.update(QRect(at - 9, 0, 19, self.height()))
        self.update(QRect(0, 0, LEFT, RULER))

    # ---------------------------------------------------------------- painting

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep what is shown."""
        before = self.state.span.width
        self.state.span.width = max(self.width() - LEFT, 50)
        if self._fitted and before != self.state.span.width:
            ratio = self.state.span.width / before
            self.state.span.scale *= ratio
            self.span_changed.emit()
        self._lay_out()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Show the picture, and the playhead on it."""
        picture = self._picture()
        with painting(self) as painter:
            area = event.rect()
            ratio = picture.devicePixelRatio()
            source = QRectF(
                area.x() * ratio, area.y() * ratio, area.width() * ratio, area.height() * ratio
            )
            painter.drawPixmap(QRectF(area), picture, source)
            if area.left() < LEFT:
                painter.drawPixmap(0, 0, self._name_column())
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            if self._box is not None:
                painter.setBrush(theme().colour("selected", 20))
                painter.setPen(QPen(theme().colour("selected", 210), 1, Qt.PenStyle.DashLine))
                painter.drawRect(self._box)
            if self._snap_line is not None:
                x = self.state.span.x(self._snap_line)
                painter.setPen(QPen(theme().colour("selected"), 1))
                painter.drawLine(QPointF(x, RULER), QPointF(x, self.height()))
            self._paint_place(painter)
            self._paint_playhead(painter)
            if self.tool == "blade" and self._hover_x is not None:
                painter.setPen(QPen(theme().colour("strong", 160), 1, Qt.PenStyle.DashLine))
                painter.drawLine(
                    QPointF(self._hover_x, RULER), QPointF(self._hover_x, self.height())
                )
            if self.hasFocus():
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.setPen(QPen(theme().colour("accent", 120), 1))
                painter.drawLine(QPointF(0, 0.5), QPointF(self.width(), 0.5))

    def _picture(self) -> QPixmap:
        """Return the picture of all that stays, what is stale of it painted anew."""
        ratio = self.devicePixelRatioF()
        size = (self.size() * ratio).toTuple()
        if self._back is None or self._back.size().toTuple() != size:
            self._back = QPixmap(*size)
            self._back.setDevicePixelRatio(ratio)
            self._stale = self.rect()
        if not self._stale.isEmpty():
            stale, self._stale = self._stale, QRect()
            with painting(self._back) as back:
                SheetPainter(back, self.state, self.width(), self.height(), stale).paint()
        return self._back

    def _name_column(self) -> QPixmap:
        """Return the picture of the names, made anew where they are others."""
        state, ratio = self.state, self.devicePixelRatioF()
        key = (
            state.rows, state.bands, state.chosen_rows, state.scroll, state.folded,
            state.contents.person, state.contents.curves, self.height(), theme().dark, ratio,
        )  # fmt: skip
        if self._names is None or key != self._names_of:
            self._names_of = key
            self._names = QPixmap(int(LEFT * ratio), int(self.height() * ratio))
            self._names.setDevicePixelRatio(ratio)
            with painting(self._names) as painter:
                SheetPainter(painter, state, self.width(), self.height()).paint_names()
        return self._names

    def _paint_place(self, painter: QPainter) -> None:
        contents = self.state.contents
        code = format_timecode(self.frame, contents.rate, drop=contents.drop_frame)
        words = code if self.state.timecode else str(self.frame)
        other = str(self.frame) if self.state.timecode else code
        text(painter, 14, 24, words, "strong", 13, BOLD, figures=True)
        text(painter, LEFT - 12, 24, other, "faint", 11, figures=True, align="right")

    def _paint_playhead(self, painter: QPainter) -> None:
        x = self.state.span.x(self.frame + 0.5)
        if x < LEFT:
            return
        colour = theme().colour("playhead")
        painter.setPen(QPen(colour, 1.4))
        painter.drawLine(QPointF(x, 12), QPointF(x, self.height()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        corners = ((x - 6, 3), (x + 6, 3), (x + 6, 11), (x, 18), (x - 6, 11))
        painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))

    # ---------------------------------------------------------------- what is where

    def _band_at(self, y: float) -> Band | None:
        inside = y - RULER + self.state.scroll
        return next((b for b in self.state.bands if b.top <= inside < b.bottom), None)

    def _clip_at(self, x: float) -> ClipBar | None:
        frame = self.state.span.frame(x)
        return next((c for c in self.state.contents.clips if c.start <= frame < c.stop), None)

    def _edge_at(self, x: float) -> tuple[ClipBar, Literal["start", "stop"]] | None:
        near: list[tuple[float, ClipBar, Literal["start", "stop"]]] = []
        for clip in self.state.contents.clips:
            wide = (clip.stop - clip.start) * self.state.span.scale
            reach = min(_EDGE, wide / 3)
            inner_start = x - self.state.span.x(clip.start)
            inner_stop = self.state.span.x(clip.stop) - x
            if -2 <= inner_start <= reach:
                near.append((abs(inner_start), clip, "start"))
            if -2 <= inner_stop <= reach:
                near.append((abs(inner_stop), clip, "stop"))
        if not near:
            return None
        _, clip, edge = min(near, key=lambda found: found[0])
        return clip, edge

    def _key_at(self, x: float, band: Band) -> tuple[str, int] | None:
        name = "" if band.kind == "pose" else self.state.rows[band.row].name
        keys = self.state.contents.keys.get(name)
        if keys is None or not len(keys.frames):
            return None
        frame = self.state.span.frame(x) - 0.5
        place = int(np.abs(keys.frames - frame).argmin())
        found = int(keys.frames[place])
        return (name, found) if abs(found - frame) * self.state.span.scale <= 6 else None

    def _mark_at(self, x: float, y: float) -> Literal["in", "out"] | None:
        if y > RULER:
            return None
        contents = self.state.contents
        for which, at in (
            ("in", contents.mark_in),
            ("out", None if contents.mark_out is None else contents.mark_out + 1),
        ):
            if at is not None and abs(self.state.span.x(at) - x) <= _EDGE and not 11 < y < 20:
                return which  # type: ignore[return-value]
        return None

    def _flag_at(self, x: float, y: float) -> str | None:
        if not 22 <= y <= 38:
            return None
        for flag in self.state.contents.flags:
            left = self.state.span.x(flag.frame)
            if left - 3 <= x <= left + 14 + text_width(flag.name, 10, BOLD):
                return flag.id
        return None

    def _badge_at(self, x: float, band: Band) -> str | None:
        if band.kind != "row":
            return None
        frame, name = self.state.span.frame(x), self.state.rows[band.row].name
        for badge in self.state.contents.badges:
            wide = (
                max((badge.stop - badge.start) * self.state.span.scale, 8) / self.state.span.scale
            )
            if name in badge.rows and badge.start <= frame < badge.start + wide:
                return badge.key
        return None

    def _take_at(self, x: float) -> str | None:
        frame = self.state.span.frame(x)
        for take in self.state.contents.takes:
            if take.start <= frame < take.stop:
                return take.id
        return None

    def _sound_at(self, x: float) -> str | None:
        frame = self.state.span.frame(x)
        sounds = self.state.contents.sounds
        return next((s.id for s in sounds if s.own and s.start <= frame < s.stop), None)

    def _frame_at(self, x: float) -> int:
        frame = int(np.floor(self.state.span.frame(x)))
        return min(max(frame, 0), max(self.state.contents.frames - 1, 0))

    # ---------------------------------------------------------------- snapping

    def _gather_snaps(self, without: str = "") -> None:
        contents = self.state.contents
        frames = {0, self.frame, contents.frames}
        bars: tuple[ClipBar | SoundBar, ...] = (*contents.clips, *contents.sounds)
        for clip in bars:
            if clip.id != without:
                frames |= {clip.start, clip.stop}
        frames |= {flag.frame for flag in contents.flags if flag.id != without}
        frames |= set(contents.beats)
        frames |= {edge for take in contents.takes for edge in (take.start, take.stop)}
        if contents.mark_in is not None and without != "in":
            frames.add(contents.mark_in)
        if contents.mark_out is not None and without != "out":
            frames.add(contents.mark_out + 1)
        self._snap_frames = sorted(frames)

    def _snapped(self, frame: float, *others: float) -> tuple[int, int | None]:
        """Return the whole frame that a place snaps to, and the line it snapped on.

        Args:
            frame: what is dragged.
            others: places that go with it and may snap instead, such as a clip's end.
        """
        best: tuple[float, int, int] | None = None
        if self.snapping:
            for place in (frame, *others):
                at = bisect.bisect_left(self._snap_frames, place)
                for candidate in self._snap_frames[max(at - 1, 0) : at + 1]:
                    away = abs(candidate - place) * self.state.span.scale
                    if away <= _SNAP and (best is None or away < best[0]):
                        best = (away, round(frame + candidate - place), candidate)
        return (round(frame), None) if best is None else (best[1], best[2])

    # ---------------------------------------------------------------- mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin what the place and the tool stand for."""
        x, y = event.position().x(), event.position().y()
        self.setFocus(Qt.FocusReason.MouseFocusReason)
        if event.button() is Qt.MouseButton.MiddleButton:
            self._press = _Press("pan", x, y, first=self.state.span.first)
            return
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        add = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if x < LEFT:
            self._press_name(x, y, add=add)
        elif y < RULER:
            self._press_ruler(x, y)
        else:
            band = self._band_at(y)
            if band is not None:
                self._press_band(band, x, y, add=add)

    def _press_name(self, x: float, y: float, *, add: bool) -> None:
        band = self._band_at(y) if y >= RULER else None
        if band is None:
            return
        if band.kind == "pose":
            self.row_folded.emit("")
        elif band.kind == "row":
            row = self.state.rows[band.row]
            if row.parent is None and x < 30:
                self.row_folded.emit(row.name)
            else:
                self.row_chosen.emit(row.name, add)

    def _press_ruler(self, x: float, y: float) -> None:
        mark, flag = self._mark_at(x, y), self._flag_at(x, y)
        if mark is not None:
            self._gather_snaps(mark)
            self._press = _Press(mark, x, y)
        elif flag is not None:
            self._gather_snaps(flag)
            self._press = _Press("flag", x, y, what=flag)
            self.sought.emit(next(f.frame for f in self.state.contents.flags if f.id == flag))
        else:
            self._gather_snaps()
            self._snap_frames = [f for f in self._snap_frames if f != self.frame]
            self._press = _Press("scrub", x, y)
            self.scrubbing.emit(True)
            self.sought.emit(self._frame_at(x))

    def _press_band(self, band: Band, x: float, y: float, *, add: bool) -> None:
        if band.kind == "source":
            self._press_clip(x, y, add=add)
        elif band.kind == "sound":
            sound = self._sound_at(x)
            self.clip_chosen.emit(sound or "", add)
            if sound is not None:
                bar = next(s for s in self.state.contents.sounds if s.id == sound)
                self._gather_snaps(sound)
                self._press = _Press(
                    "move", x, y, what=sound, first=bar.start, length=bar.stop - bar.start
                )
        elif band.kind == "result":
            take = self._take_at(x)
            if take is not None:
                self.take_chosen.emit(take)
        elif band.kind in {"row", "pose"}:
            self._press_row(band, x, y, add=add)
        elif band.kind == "curves":
            self._press = _Press("scrub", x, y)
            self.scrubbing.emit(True)
            self.sought.emit(self._frame_at(x))

    def _press_clip(self, x: float, y: float, *, add: bool) -> None:
        clip, edge = self._clip_at(x), self._edge_at(x)
        if self.tool == "blade":
            if clip is not None:
                self._gather_snaps()
                frame, _ = self._snapped(self.state.span.frame(x))
                self.gestured.emit(CutClip(clip.id, frame), True)
            return
        if edge is not None and self.tool in {"select", "retime"}:
            held, side = edge
            self.clip_chosen.emit(held.id, add)
            self._gather_snaps(held.id)
            kind = "retime" if self.tool == "retime" and side == "stop" else f"trim_{side}"
            self._press = _Press(kind, x, y, what=held.id)
        elif clip is not None:
            self.clip_chosen.emit(clip.id, add)
            self._gather_snaps(clip.id)
            kind = {"slip": "slip", "retime": "none"}.get(self.tool, "move")
            length = clip.stop - clip.start
            self._press = _Press(kind, x, y, what=clip.id, first=clip.start, length=length)
        else:
            self.clip_chosen.emit("", False)

    def _press_row(self, band: Band, x: float, y: float, *, add: bool) -> None:
        key, badge = self._key_at(x, band), self._badge_at(x, band)
        if key is not None:
            chosen = set(self.state.chosen_keys)
            if add:
                chosen ^= {key}
                self.keys_chosen.emit(frozenset(chosen))
            elif key not in chosen:
                self.keys_chosen.emit(frozenset({key}))
            self._gather_snaps()
            self._press = _Press("keys", x, y, first=key[1])
        elif badge is not None:
            self.badge_chosen.emit(badge)
        else:
            self._press = _Press("box", x, y, add=add, band=band)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with what was begun."""
        x, y = event.position().x(), event.position().y()
        press = self._press
        if self.tool == "blade":
            self._hover_x = x if x >= LEFT else None
            self.update()
        if press is None:
            self._show_cursor(x, y)
            return
        far = abs(x - press.x) > _CLICK or abs(y - press.y) > _CLICK
        press.moved = press.moved or far
        if press.kind == "scrub":
            frame, line = self._frame_at(x), None
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                frame, line = self._snapped(self.state.span.frame(x))
            self._line(line)
            self.sought.emit(min(max(frame, 0), max(self.state.contents.frames - 1, 0)))
        elif press.kind == "pan":
            span = self.state.span
            span.first = press.first - (x - press.x) / span.scale
            span.keep_in(self.state.contents.frames)
            self._span_moved()
        elif press.kind == "box" and press.moved:
            self._box = QRectF(QPointF(press.x, press.y), QPointF(x, y)).normalized()
            self.update()
        elif press.moved:
            gesture = self._gesture(press, x, event.modifiers())
            if gesture is not None and gesture != press.last:
                press.last = gesture
                self.gestured.emit(gesture, False)

    def _gesture(self, press: "_Press", x: float, modifiers: Qt.KeyboardModifier) -> Gesture | None:
        """Return what a drag comes to."""
        by = (x - press.x) / self.state.span.scale
        frame, line = self._snapped(self.state.span.frame(x))
        ripple = bool(modifiers & Qt.KeyboardModifier.ControlModifier)
        gesture: Gesture | None = None
        match press.kind:
            case "trim_start":
                gesture = Trim(press.what, "start", frame, ripple)
            case "trim_stop":
                gesture = Trim(press.what, "stop", frame, ripple)
            case "retime":
                gesture = Retime(press.what, frame)
            case "move":
                start, line = self._snapped(press.first + by, press.first + by + press.length)
                gesture = MoveClip(press.what, max(start, 0))
            case "slip":
                gesture, line = Slip(press.what, round(by)), None
            case "keys":
                start, line = self._snapped(press.first + by)
                gesture = MoveKeys(start - int(press.first))
            case "in":
                gesture = MoveMark("in", max(frame, 0))
            case "out":
                gesture = MoveMark("out", max(frame - 1, 0))
            case "flag":
                gesture = MoveFlag(press.what, max(frame, 0))
        self._line(line)
        return gesture

    def _line(self, frame: int | None) -> None:
        if frame != self._snap_line:
            self._snap_line = frame
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Finish what was begun."""
        press, self._press = self._press, None
        self._line(None)
        if press is None:
            return
        if press.kind == "scrub":
            self.scrubbing.emit(False)
        elif press.kind == "box":
            area, self._box = self._box, None
            self._choose_in(area, press)
            self.update()
        elif press.last is not None:
            self.gestured.emit(press.last, True)
        self._show_cursor(event.position().x(), event.position().y())

    def _choose_in(self, area: QRectF | None, press: "_Press") -> None:
        """Choose the keys in a box; a click on a row chooses the row."""
        if area is None:
            if press.band is not None and press.band.kind == "row":
                self.row_chosen.emit(self.state.rows[press.band.row].name, press.add)
            self.keys_chosen.emit(frozenset())
            return
        span = self.state.span
        first, last = span.frame(area.left()) - 0.5, span.frame(area.right()) - 0.5
        found: set[tuple[str, int]] = set(self.state.chosen_keys) if press.add else set()
        for band in self.state.bands:
            top = RULER + band.top - self.state.scroll
            if band.kind != "row" or top + band.height < area.top() or top > area.bottom():
                continue
            name = self.state.rows[band.row].name
            keys = self.state.contents.keys.get(name)
            if keys is not None:
                low, high = np.searchsorted(keys.frames, (first, last))
                found |= {(name, frame) for frame in keys.frames[low:high].tolist()}
        self.keys_chosen.emit(frozenset(found))

    def drop_gesture(self) -> bool:
        """Forget a drag that is under way; tell whether there was one."""
        press, self._press = self._press, None
        self._box = None
        self._line(None)
        self.update()
        if press is None:
            return False
        if press.kind == "scrub":
            self.scrubbing.emit(False)
        elif press.last is not None:
            self.gesture_dropped.emit()
        return True

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Rename a marker, open a limb."""
        x, y = event.position().x(), event.position().y()
        flag = self._flag_at(x, y)
        band = self._band_at(y) if y >= RULER else None
        if flag is not None:
            self._press = None
            self.flag_opened.emit(flag)
        elif x < LEFT and band is not None and band.kind == "row":
            row = self.state.rows[band.row]
            self.row_folded.emit(row.parent or row.name)
        else:
            self.mousePressEvent(event)

    def _show_cursor(self, x: float, y: float) -> None:
        shape = Qt.CursorShape.ArrowCursor
        band = self._band_at(y) if y >= RULER else None
        if x >= LEFT and self._mark_at(x, y) is not None:
            shape = Qt.CursorShape.SizeHorCursor
        elif x >= LEFT and band is not None and band.kind == "source":
            if self.tool == "blade":
                shape = Qt.CursorShape.SplitHCursor
            elif self.tool == "slip" and self._clip_at(x) is not None:
                shape = Qt.CursorShape.SizeAllCursor
            elif self._edge_at(x) is not None and self.tool != "slip":
                shape = Qt.CursorShape.SplitHCursor
        elif x >= LEFT and band is not None and self._is_pressable(x, band):
            shape = Qt.CursorShape.PointingHandCursor
        if self.cursor().shape() is not shape:
            self.setCursor(shape)

    def _is_pressable(self, x: float, band: Band) -> bool:
        if band.kind not in {"row", "pose"}:
            return False
        return self._key_at(x, band) is not None or self._badge_at(x, band) is not None

    def leaveEvent(self, event: QEvent) -> None:
        """Hide the blade's line."""
        self._hover_x = None
        self.update()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for a menu of what was clicked."""
        x, y = float(event.pos().x()), float(event.pos().y())
        band = self._band_at(y) if y >= RULER else None
        kind, which = "ruler", ""
        if (flag := self._flag_at(x, y)) is not None:
            kind, which = "flag", flag
        elif band is not None and band.kind == "source" and (clip := self._clip_at(x)) is not None:
            kind, which = "clip", clip.id
        elif band is not None and band.kind == "sound" and (sound := self._sound_at(x)):
            kind, which = "clip", sound
        elif band is not None and band.kind == "row":
            badge = self._badge_at(x, band) if x >= LEFT else None
            kind, which = ("badge", badge) if badge else ("row", self.state.rows[band.row].name)
        elif band is not None and band.kind == "result" and (take := self._take_at(x)) is not None:
            kind, which = "take", take
        self.menu_wanted.emit(kind, which, event.globalPos())

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files, and what is in the library."""
        mime = event.mimeData()
        if mime.hasUrls() or mime.hasFormat(LIBRARY_MIME):
            event.acceptProposedAction()

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        """Show where it would be put."""
        self._gather_snaps()
        frame, line = self._snapped(self.state.span.frame(event.position().x()))
        self._line(frame if line is None else line)
        event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Show nothing more."""
        self._line(None)

    def dropEvent(self, event: QDropEvent) -> None:
        """Put it there."""
        frame, _ = self._snapped(self.state.span.frame(event.position().x()))
        self._line(None)
        event.acceptProposedAction()
        self.dropped.emit(event.mimeData(), max(frame, 0))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom at the cursor; over the names scroll; with Shift, or sideways, pan."""
        x = event.position().x()
        delta = event.angleDelta()
        sideways = delta.x() or (
            delta.y() if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0
        )
        if x < LEFT or event.modifiers() & Qt.KeyboardModifier.AltModifier:
            step = -(delta.y() or delta.x()) // 3
            self.state.scroll = min(max(self.state.scroll + step, 0), self._most_scroll())
            self.refresh()
        elif sideways:
            span = self.state.span
            span.first -= sideways / 120 * span.shown * 0.08
            span.keep_in(self.state.contents.frames)
            self._span_moved()
        elif delta.y():
            self.zoom(1.2 ** (delta.y() / 120), x)
        event.accept()

    def event(self, event: QEvent) -> bool:
        """Tell what is under the mouse."""
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            words = self._tip(float(event.pos().x()), float(event.pos().y()))
            if words:
                QToolTip.showText(event.globalPos(), words, self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)

    def _tip(self, x: float, y: float) -> str:
        band = self._band_at(y) if y >= RULER else None
        contents = self.state.contents
        if x < LEFT or band is None:
            return ""
        if band.kind == "source" and (clip := self._clip_at(x)) is not None:
            return f"{clip.title}  ·  {clip.stop - clip.start} " + say("frames")
        if (key := self._badge_at(x, band)) is not None:
            return next(badge.words for badge in contents.badges if badge.key == key)
        if band.kind == "row" and self.state.heat is not None:
            frame = self._frame_at(x)
            if frame < self.state.heat.frames:
                score = float(self.state.heat.scores[band.row, frame])
                words = (
                    say("unseen")
                    if score <= 0
                    else say("sure: {share} %", share=round(score * 100))
                )
                return f"{self.state.rows[band.row].title}  ·  {frame}  ·  {words}"
        if band.kind == "result" and (take := self._take_at(x)) is not None:
            bar = next(bar for bar in contents.takes if bar.id == take)
            return f"{bar.title}  ·  {bar.words}"
        return ""


class _Press:
    """What the mouse took hold of."""

    def __init__(
        self,
        kind: str,
        x: float,
        y: float,
        *,
        what: str = "",
        first: float = 0,
        length: int = 0,
        add: bool = False,
        band: Band | None = None,
    ) -> None:
        self.kind, self.x, self.y, self.what = kind, x, y, what
        self.first, self.length, self.add, self.band = first, length, add, band
        self.moved = False
        self.last: Gesture | None = None
