"""Paint the sheet: everything but the playhead, which moves on top of the picture made here."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QLineF, QPoint, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

from marionext.frames import FrameRate
from marionext_desktop.model.timecode import format_timecode, frames_a_second
from marionext_desktop.model.words import say
from marionext_desktop.ui.icons import icon_picture
from marionext_desktop.ui.painting import (
    BOLD,
    MEDIUM,
    NORMAL,
    box,
    diamond,
    painting,
    text,
    text_width,
)
from marionext_desktop.ui.theme import theme
from marionext_desktop.ui.timeline.bands import LEFT, RULER, Band, Span
from marionext_desktop.ui.timeline.contents import ClipBar, Contents, SoundBar
from marionext_desktop.ui.timeline.heat import HeatStrips
from marionext_desktop.ui.timeline.rows import Row

__all__ = ["SheetPainter", "SheetState", "ruler_step"]

Thumbnails = Callable[[str, int, int], QPixmap | None]
"""Clip, frame of the sequence and height in pixels to a picture, or None: it will come."""

_ROOM_OF_DIAMOND = 16
"""Pixels a key from which on keys are diamonds; below they are a dotted line."""
_LEAST_GAP = 3.0
"""Pixels from which on a gap is hatched."""
_LEAST_SCALE_OF_GAPS = 0.2
"""Pixels for a frame from which on gaps are looked for."""


@dataclass
class SheetState:
    """What is shown of the contents, and how."""

    contents: Contents = field(default_factory=Contents)
    rows: tuple[Row, ...] = ()
    heat: HeatStrips | None = None
    bands: tuple[Band, ...] = ()
    span: Span = field(default_factory=Span)
    scroll: int = 0
    folded: bool = False
    timecode: bool = True
    chosen_rows: Collection[str] = ()
    chosen_keys: Collection[tuple[str, int]] = ()
    chosen_clips: Collection[str] = ()
    chosen_badge: str = ""
    cached: tuple[tuple[int, int], ...] = ()
    shown_takes: Collection[str] = ()
    thumbnails: Thumbnails | None = None


def ruler_step(span: Span, rate: int) -> int:
    """Return how many frames lie between two numbers of the ruler.

    Args:
        span: what is shown.
        rate: whole frames a second.
    """
    steps = [1, 2, 5, 10]
    steps += [rate * seconds for seconds in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)]
    return next((step for step in steps if step * span.scale >= 92), steps[-1])


class SheetPainter:
    """Paints a state on a widget's picture.

    Args:
        painter: on the picture.
        state: what to paint.
        width: of the picture in pixels of the window.
        height: of it.
        area: the part that is painted; what lies outside stays as it is. None: all.
    """

    def __init__(
        self,
        painter: QPainter,
        state: SheetState,
        width: int,
        height: int,
        area: QRect | None = None,
    ) -> None:
        self.p, self.state, self.width, self.height = painter, state, width, height
        self.area = QRect(0, 0, width, height) if area is None else area
        self.span = state.span
        self._dense: list[tuple[NDArray[np.floating], int]] = []
        self._chosen: dict[str, set[int]] | None = None
        first = max(math.floor(self.span.frame(max(self.area.left(), LEFT))) - 1, 0)
        last = math.ceil(self.span.frame(self.area.right() + 1)) + 1
        self.first, self.stop = first, max(min(last, state.contents.frames), first)

    def paint(self) -> None:
        """Paint everything right of the names."""
        p, area = self.p, self.area
        right = area & QRect(LEFT, 0, self.width - LEFT, self.height)
        p.setClipRect(right)
        p.fillRect(right, theme().colour("panel"))
        p.setRenderHint(QPainter.RenderHint.Antialiasing)
        below = right & QRect(LEFT, RULER, self.width - LEFT, self.height - RULER)
        if not below.isEmpty():
            p.save()
            p.setClipRect(below)
            for band, top in self._bands():
                if band.kind != "row":
                    getattr(self, f"_{band.kind}")(band, top)
            self._strips()
            self._decorations()
            self._badges()
            self._outside()
            p.restore()
        if area.top() < RULER:
            self._ruler()

    def _bands(self) -> list[tuple[Band, int]]:
        """Return the bands that are painted, each with its upper edge in the picture."""
        low, high = max(self.area.top(), RULER), min(self.area.bottom() + 1, self.height)
        placed = [(band, RULER + band.top - self.state.scroll) for band in self.state.bands]
        return [(band, top) for band, top in placed if top < high and top + band.height > low]

    def paint_names(self) -> None:
        """Paint the column at the left: it does not change with the span."""
        p = self.p
        p.fillRect(QRectF(0, 0, LEFT, self.height), theme().colour("panel"))
        p.setRenderHint(QPainter.RenderHint.Antialiasing)
        p.setClipRect(QRectF(0, RULER, LEFT, self.height - RULER))
        titles = {
            "source": (say("Source"), "film"),
            "sound": (say("Sound"), "audio-lines"),
            "result": (say("Result"), "sparkles"),
        }
        for band, top in self._bands():
            if band.kind == "pose":
                self._pose_name(band, top)
            elif band.kind == "row":
                self._row_name(band, top)
            elif band.kind == "curves":
                self._curve_names(band, top)
            else:
                self._name(top, band.height, *titles[band.kind])
        p.setClipping(False)
        p.fillRect(QRectF(LEFT - 1, 0, 1, self.height), theme().colour("line"))

    def _pose_name(self, band: Band, top: int) -> None:
        p = self.p
        p.fillRect(QRectF(0, top, LEFT, band.height), theme().colour("head"))
        arrow = "chevron-right" if self.state.folded else "chevron-down"
        p.drawPixmap(QPointF(14, top + (band.height - 14) / 2), icon_picture(arrow, "text", 14))
        middle = top + band.height / 2 + 4.5
        advance = text(p, 40, middle, say("Pose"), "strong", 12, MEDIUM)
        text(
            p,
            48 + advance,
            middle,
            self.state.contents.person,
            "faint",
            11,
            width=LEFT - 60 - advance,
        )

    def _row_name(self, band: Band, top: int) -> None:
        p, row = self.p, self.state.rows[band.row]
        chosen = row.name in self.state.chosen_rows
        if chosen:
            p.fillRect(QRectF(0, top, LEFT - 1, band.height), theme().colour("accent", 46))
            p.fillRect(QRectF(0, top, 2, band.height), theme().colour("accent"))
        indent = 14 if row.parent else 0
        box(p, QRectF(32 + indent, top + 4, 3, band.height - 8), 1.5, row.side)
        if row.parent is None:
            arrow = "chevron-down" if row.open else "chevron-right"
            at = QPointF(15, top + (band.height - 12) / 2)
            p.drawPixmap(at, icon_picture(arrow, "faint", 12))
        weight = MEDIUM if chosen else NORMAL
        colour = "strong" if chosen else "faint" if row.parent else "text"
        text(
            p,
            42 + indent,
            top + band.height / 2 + 4,
            row.title,
            colour,
            11,
            weight,
            width=LEFT - 56 - indent,
        )

    def _curve_names(self, band: Band, top: int) -> None:
        curves = self.state.contents.curves
        for place, curve in enumerate(curves):
            y = top + place * band.height / len(curves)
            text(self.p, 32, y + 18, curve.title, curve.colour, 11, MEDIUM)

    # ---------------------------------------------------------------- bands

    def _name(self, top: float, height: float, words: str, picture: str, more: str = "") -> None:
        p = self.p
        at = QPointF(14, top + (height - 16) / 2)
        p.drawPixmap(at, icon_picture(picture, "text", 16))
        advance = text(p, 40, top + height / 2 + 4.5, words, "strong", 12, MEDIUM)
        if more:
            text(
                p,
                48 + advance,
                top + height / 2 + 4.5,
                more,
                "faint",
                11,
                width=LEFT - 66 - advance,
            )

    def _source(self, band: Band, top: int) -> None:
        p = self.p
        p.save()
        p.setClipRect(QRectF(LEFT, top, self.width, band.height))
        for clip in self.state.contents.clips:
            if clip.stop >= self.first and clip.start <= self.stop:
                self._clip(clip, top + 3, band.height - 6)
        p.restore()

    def _clip(self, clip: ClipBar, top: float, height: float) -> None:
        p, span = self.p, self.span
        area = QRectF(span.x(clip.start), top, (clip.stop - clip.start) * span.scale, height)
        if area.width() > 3:
            area.setWidth(area.width() - 1)
        thumbnails = self.state.thumbnails
        if thumbnails is None or clip.missing:
            box(p, area, 4, "line")
        else:
            shape = QPainterPath()
            shape.addRoundedRect(area, 4, 4)
            p.save()
            p.setClipPath(shape, Qt.ClipOperation.IntersectClip)
            p.fillRect(area, theme().colour("line"))
            self._thumbnails(thumbnails, clip, area)
            p.restore()
        chosen = clip.id in self.state.chosen_clips
        edge = "selected" if chosen else "bad" if clip.missing else "left"
        box(
            p,
            area.adjusted(0.5, 0.5, -0.5, -0.5),
            4,
            None,
            theme().colour(edge, 255 if chosen else 110),
            1.5 if chosen else 1,
        )
        self._clip_name(clip, area)

    def _thumbnails(self, thumbnails: Thumbnails, clip: ClipBar, area: QRectF) -> None:
        wide = area.height() * 1.1
        left = max(area.left(), self.area.left() - wide, LEFT - wide)
        place = area.left() + (left - area.left()) // wide * wide
        while place < min(area.right(), self.area.right() + 1, self.width):
            frame = int(self.span.frame(place + wide / 2))
            frame = min(max(frame, clip.start), clip.stop - 1)
            picture = thumbnails(clip.id, frame, int(area.height()))
            if picture is not None:
                self._cover(picture, QRectF(place, area.top(), wide - 1, area.height()))
            place += wide

    def _clip_name(self, clip: ClipBar, area: QRectF) -> None:
        note = say("file is missing") if clip.missing else clip.waiting or clip.note
        left = max(area.left(), float(LEFT)) + 4
        room = area.right() - left - 8
        words = clip.title
        wide = min(
            text_width(words, 10, MEDIUM) + (text_width(note, 10) + 10 if note else 0) + 12, room
        )
        if wide < 26:
            return
        p = self.p
        box(p, QRectF(left, area.top() + 4, wide, 16), 3, QColor(0, 0, 0, 175))
        advance = text(
            p, left + 6, area.top() + 15.5, words, "#e8eaed", 10, MEDIUM, width=wide - 10
        )
        if note and wide - advance > 30:
            colour = "#ff8a66" if clip.missing else "#c9ced6"
            text(
                p,
                left + 14 + advance,
                area.top() + 15.5,
                note,
                colour,
                10,
                width=wide - advance - 14,
            )

    def _cover(self, picture: QPixmap, area: QRectF) -> None:
        """Draw a picture so that it covers an area, cut where it is too tall or too wide."""
        ratio = self.p.device().devicePixelRatioF()
        # Rounded down: a line between two of them stays in sight.
        key = (picture.cacheKey(), int(area.width()), round(area.height()), ratio)
        found = _covers.pop(key, None) or _cut(picture, *key[1:])
        _covers[key] = found
        if len(_covers) > _MOST_COVERS:
            del _covers[next(iter(_covers))]
        self.p.drawPixmap(round(area.x()), round(area.y()), found)

    def _pose(self, band: Band, top: int) -> None:
        area = QRectF(LEFT, top, self.width - LEFT, band.height)
        self.p.fillRect(area, theme().colour("head"))
        self._keys_of("", top, band.height, "text", 3.4)
        self._key_lines("text")

    def _curves(self, band: Band, top: int) -> None:
        p, span = self.p, self.span
        area = QRectF(LEFT, top, self.width - LEFT, band.height)
        p.fillRect(area, theme().colour("field"))
        curves = self.state.contents.curves
        if not curves:
            text(
                p,
                area.center().x(),
                area.center().y(),
                say("Choose a joint to see its curves"),
                "faint",
                12,
                align="centre",
            )
            return
        p.save()
        p.setClipRect(area)
        height = band.height / len(curves)
        first, stop = self.first, self.stop
        for place, curve in enumerate(curves):
            y = top + place * height
            p.setPen(QPen(theme().colour("edge"), 1))
            p.drawLine(QLineF(LEFT, y + height - 0.5, self.width, y + height - 0.5))
            step = max(int((stop - first) / max(span.width, 1)), 1)
            frames = np.arange(first, stop, step)
            if len(frames) < 2:
                continue
            values = curve.values[first:stop:step]
            known = values[np.isfinite(values)]
            if not len(known):
                continue
            low, high = float(known.min()), float(known.max())
            scale = (height - 28) / max(high - low, 1.0)
            xs = LEFT + (frames + 0.5 - span.first) * span.scale
            for line, colour, width in (
                (curve.before, theme().colour("faint", 150), 1.2),
                (curve.values, theme().colour(curve.colour), 1.8),
            ):
                if line is None:
                    continue
                part = line[first:stop:step]
                ys = y + 14 + (part - low) * scale
                p.setPen(QPen(colour, width))
                self._line(xs, ys)
        p.restore()

    def _line(self, xs: np.ndarray, ys: np.ndarray) -> None:
        """Draw a line that breaks where it is not known."""
        known = np.isfinite(ys)
        edges = np.flatnonzero(np.diff(np.r_[0, known.astype(np.int8), 0]))
        for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            points = [
                QPointF(x, y) for x, y in zip(xs[a:b].tolist(), ys[a:b].tolist(), strict=True)
            ]
            self.p.drawPolyline(QPolygonF(points))

    def _sound(self, band: Band, top: int) -> None:
        for sound in self.state.contents.sounds:
            if sound.stop >= self.first and sound.start <= self.stop:
                self._wave(sound, top + 3, band.height - 6)
        span = self.span
        beats = np.asarray(self.state.contents.beats, np.int64)
        if len(beats) < 2:
            return
        apart = float(beats[-1] - beats[0]) / (len(beats) - 1) * span.scale
        bars = np.arange(len(beats)) % 4 == 0
        for strong, least, tall, alpha in ((False, 5.0, 5, 80), (True, 1.5, 10, 170)):
            if apart < least:
                continue
            shown = beats[(bars == strong) & (beats >= self.first) & (beats <= self.stop)]
            self._ticks((shown - span.first) * span.scale, top + 3, tall, "strong", alpha)

    def _wave(self, sound: SoundBar, top: float, height: float) -> None:
        p, span = self.p, self.span
        area = QRectF(span.x(sound.start), top, (sound.stop - sound.start) * span.scale, height)
        chosen = sound.id in self.state.chosen_clips
        p.save()
        p.setClipRect(QRectF(LEFT, top - 1, self.width - LEFT, height + 2))
        edge = theme().colour("selected") if chosen else theme().colour("good", 90)
        box(p, area.adjusted(0.5, 0.5, -1.5, -0.5), 4, theme().colour("good", 26), edge)
        left = int(max(area.left() + 1, LEFT, self.area.left()))
        right = int(min(area.right() - 2, self.width, self.area.right() + 1))
        peaks = sound.peaks
        if peaks is not None and len(peaks) and right > left:
            at = (np.arange(left, right + 1) - area.left()) / area.width() * len(peaks)
            places = np.clip(at.astype(int), 0, len(peaks) - 1)
            tall = np.maximum.reduceat(peaks, places[:-1]) * (height / 2 - 3)
            rows = np.abs(np.arange(int(height)) + 0.5 - height / 2).astype(np.float32)
            heard = rows[:, None] <= np.maximum(tall, 0.5).astype(np.float32)
            wave = heard * np.uint32(_premultiplied("good", 200))
            p.drawImage(QPoint(left, round(top)), _image(wave))
        if area.width() > 60 and sound.title:
            x = max(area.left(), float(LEFT)) + 4
            wide = min(text_width(sound.title, 10, MEDIUM) + 12, area.right() - x - 4)
            if wide > 24:
                box(
                    p, QRectF(x, top + 3, wide, 15), 3, QColor(0, 0, 0, 130 if theme().dark else 90)
                )
                text(p, x + 6, top + 14, sound.title, "#e8eaed", 10, MEDIUM, width=wide - 8)
        p.restore()

    def _result(self, band: Band, top: int) -> None:
        p, span = self.p, self.span
        p.save()
        p.setClipRect(QRectF(LEFT, top, self.width - LEFT, band.height))
        for take in self.state.contents.takes:
            x, wide = span.x(take.start), (take.stop - take.start) * span.scale
            area = QRectF(x + 0.5, top + 5.5, max(wide - 2, 3), band.height - 11)
            colour = {"stale": "warn", "failed": "bad"}.get(take.state, "accent")
            fill = {"done": 62, "running": 34, "waiting": 20, "stale": 38, "failed": 34}[take.state]
            shown = take.id in self.state.shown_takes
            edge = theme().colour("strong" if shown else colour, 255 if shown else 150)
            box(p, area, 4, theme().colour(colour, fill), edge)
            if take.state == "running" and take.progress > 0:
                part = QRectF(area.x(), area.y(), area.width() * take.progress, area.height())
                box(p, part, 4, theme().colour(colour, 90))
            left = max(area.left(), float(LEFT)) + 8
            room = area.right() - left - 6
            if room > 16:
                advance = text(
                    p, left, area.center().y() + 4, take.title, "strong", 11, BOLD, width=room
                )
                tone = (
                    "warn" if take.state == "stale" else "bad" if take.state == "failed" else "text"
                )
                if room - advance > 24:
                    text(
                        p,
                        left + advance + 8,
                        area.center().y() + 4,
                        take.words,
                        tone,
                        11,
                        width=room - advance - 8,
                    )
        p.restore()

    # ---------------------------------------------------------------- rows

    def _row_bands(self) -> list[tuple[Band, int]]:
        return [(band, top) for band, top in self._bands() if band.kind == "row"]

    def _strips(self) -> None:
        """Draw the heat of all rows: one picture, stretched."""
        heat, rows = self.state.heat, self._row_bands()
        if heat is None or not rows or not heat.frames:
            return
        p, span = self.p, self.span
        level, image = heat.at_scale(span.scale)
        # Cut at whole pixels of the level, so that a part is painted as the whole would be.
        first = float(max(self.first // level * level, 0))
        stop = min(-(-self.stop // level) * level, float(heat.frames))
        if stop <= first:
            return
        left, wide = span.x(first), (stop - first) * span.scale
        p.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        p.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        part_left, part_wide = first / level, (stop - first) / level
        for band, top in rows:
            area = QRectF(left, top + 2, wide, band.height - 4)
            p.drawImage(area, image, QRectF(part_left, band.row, part_wide, 1))
        p.setRenderHint(QPainter.RenderHint.Antialiasing)
        p.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)

    def _decorations(self) -> None:
        """Draw what lies on the strips: gaps, what is held, keys."""
        heat = self.state.heat
        hatched = heat is not None and self.span.scale >= _LEAST_SCALE_OF_GAPS
        for band, top in self._row_bands():
            if hatched and heat is not None and band.row < len(heat.scores):
                self._gaps(heat, band, top)
            row = self.state.rows[band.row]
            self._keys_of(row.name, top, band.height, "strong", 4.2)
        self._key_lines("strong")

    def _gaps(self, heat: HeatStrips, band: Band, top: int) -> None:
        p, span = self.p, self.span
        p.setPen(QPen(theme().colour("warn", 170), 1))
        p.setBrush(QBrush(_hatch()))
        for start, stop in heat.gaps(band.row, self.first, self.stop):
            wide = (stop - start) * span.scale
            if wide >= _LEAST_GAP:
                area = QRectF(span.x(start), top + 2, wide, band.height - 4)
                p.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 2, 2)

    def _keys_of(self, name: str, top: float, height: float, colour: str, size: float) -> None:
        keys = self.state.contents.keys.get(name)
        if keys is None:
            return
        p, span = self.p, self.span
        middle = top + height / 2
        for link in keys.links:
            if link.stop < self.first or link.start > self.stop or not name:
                continue
            a, b = span.x(link.start + 0.5), span.x(link.stop - 0.5)
            if link.held:
                box(
                    p,
                    QRectF(a, middle - 2.5, max(b - a, 2), 5),
                    2.5,
                    theme().colour("strong", 215),
                    "line",
                )
            else:
                p.setPen(QPen(theme().colour("strong", 130), 1.4))
                p.drawLine(QLineF(a, middle, b, middle))
        ends = (self.first, self.stop, span.first, span.first + span.shown)
        low, high, left, right = np.searchsorted(keys.frames, ends).tolist()
        shown = keys.frames[low:high]
        if not len(shown):
            return
        places = (shown + (0.5 - span.first)) * span.scale
        if (right - left) * _ROOM_OF_DIAMOND > span.width:
            self._dense.append((places, round(top + height - 4)))
            return
        chosen = self._chosen_frames(name)
        ratio = p.device().devicePixelRatioF()
        plain, lit = diamond(colour, size, ratio), diamond("selected", size, ratio)
        back = plain.width() / ratio / 2
        y, lefts = round(middle - back), (places + (LEFT - back)).round().astype(int)
        for frame, x in zip(shown.tolist(), lefts.tolist(), strict=True):
            p.drawPixmap(x, y, lit if frame in chosen else plain)

    def _key_lines(self, colour: str) -> None:
        """Draw the keys that are too dense for diamonds: dotted lines, all rows' at once."""
        rows, self._dense = self._dense, []
        if not rows:
            return
        wide = int(self.width - LEFT)
        columns = np.concatenate([places for places, _ in rows]).astype(int)
        lines = np.repeat(np.arange(len(rows)), [len(places) for places, _ in rows])
        seen = (columns >= 0) & (columns < wide)
        dots = np.zeros((len(rows), wide), np.uint32)
        dots[lines[seen], columns[seen]] = _premultiplied(colour, 255)
        image = _image(dots)
        for number, (_, y) in enumerate(rows):
            for line in (y, y + 1):
                self.p.drawImage(LEFT, line, image, 0, number, wide, 1)

    def _chosen_frames(self, name: str) -> Collection[int]:
        """Return the frames of a row's keys that are chosen; ``""``: those of any row."""
        if self._chosen is None:
            self._chosen = {"": set()}
            for row, frame in self.state.chosen_keys:
                self._chosen.setdefault(row, set()).add(frame)
                self._chosen[""].add(frame)
        return self._chosen.get(name, ())

    def _ticks(
        self, places: NDArray[np.floating], y: float, height: int, colour: str, alpha: int = 255
    ) -> None:
        """Draw upright lines, as many as may be: at most one a pixel, all in one picture.

        Args:
            places: pixels right of the names.
            y: of their upper ends.
            height: of each.
            colour: by name.
            alpha: 0 (clear) to 255.
        """
        wide = int(self.width - LEFT)
        columns = places.astype(int)
        columns = columns[(columns >= 0) & (columns < wide)]
        lines = np.zeros((height, wide), np.uint32)
        lines[:, columns] = _premultiplied(colour, alpha)
        self.p.drawImage(QPoint(LEFT, round(y)), _image(lines))

    def _badges(self) -> None:
        p, span = self.p, self.span
        places = {self.state.rows[b.row].name: (b, top) for b, top in self._row_bands()}
        bars: dict[str, list[QRect]] = {}
        for badge in self.state.contents.badges:
            if badge.stop < self.first or badge.start > self.stop:
                continue
            x, wide = span.x(badge.start), max((badge.stop - badge.start) * span.scale, 3.0)
            colour = "bad" if badge.serious else "warn"
            # A gap is hatched already.
            fill = 120 if badge.serious else 0 if badge.icon == "circle-dashed" else 46
            lit = badge.key == self.state.chosen_badge
            for name in badge.rows:
                if name not in places:
                    continue
                band, top = places[name]
                edge = "selected" if lit else colour
                if wide < 8:
                    bars.setdefault(edge, []).append(
                        QRect(round(x), top + 2, max(round(wide), 2), band.height - 4)
                    )
                    continue
                area = QRectF(x, top + 2, wide, band.height - 4).adjusted(0.5, 0.5, -0.5, -0.5)
                box(p, area, 3, theme().colour(colour, fill), edge, 1.5 if lit else 1)
                if wide >= 18:
                    sign = icon_picture(badge.icon, "#ffffff" if theme().dark else "strong", 12)
                    p.drawPixmap(QPointF(area.center().x() - 6, area.center().y() - 6), sign)
        p.setPen(Qt.PenStyle.NoPen)
        for edge, areas in bars.items():
            p.setBrush(theme().colour(edge, 220))
            p.drawRects(areas)

    def _outside(self) -> None:
        """Dim what lies outside in and out."""
        contents, p = self.state.contents, self.p
        shade = theme().colour("shade", 70 if theme().dark else 46)
        if contents.mark_in:
            right = self.span.x(contents.mark_in)
            p.fillRect(QRectF(LEFT, RULER, max(right - LEFT, 0), self.height), shade)
        if contents.mark_out is not None and contents.mark_out + 1 < contents.frames:
            left = max(self.span.x(contents.mark_out + 1), float(LEFT))
            p.fillRect(QRectF(left, RULER, self.width, self.height), shade)

    # ---------------------------------------------------------------- ruler

    def _ruler(self) -> None:
        p, span, contents = self.p, self.span, self.state.contents
        p.fillRect(QRectF(LEFT, 0, self.width, RULER), theme().colour("panel"))
        rate = frames_a_second(contents.rate)
        step = ruler_step(span, rate)
        p.save()
        p.setClipRect(QRectF(LEFT, 0, self.width - LEFT, RULER))
        begin = int(max(span.frame(self.area.left() - 92), 0) // step * step)
        end = min(span.first + span.shown, span.frame(self.area.right() + 1))
        frames = np.arange(begin, max(math.ceil(end), begin), step)
        places = (frames - span.first) * span.scale
        if step >= 5:
            small = step * span.scale / 5 * np.arange(1, 5)
            self._ticks((places[:, None] + small).ravel(), 15, 4, "edge")
        self._ticks(places, 4, RULER - 12, "edge")
        for frame, x in zip(frames.tolist(), places.tolist(), strict=True):
            words = _ruler_words(frame, contents.rate, contents.drop_frame, self.state.timecode)
            text(p, LEFT + x + 5, 15, words, "text", 11, figures=True)
        p.setPen(Qt.PenStyle.NoPen)
        for start, stop in self.state.cached:
            area = QRectF(span.x(start), RULER - 5, (stop - start) * span.scale, 2)
            p.fillRect(area, theme().colour("good", 210))
        self._marks()
        for flag in contents.flags:
            x = span.x(flag.frame)
            shape = QPainterPath(QPointF(x, 23))
            for dx, dy in ((8, 23), (8, 32), (0, 37)):
                shape.lineTo(x + dx, dy)
            shape.closeSubpath()
            p.fillPath(shape, theme().colour(flag.colour))
            text(p, x + 12, 33, flag.name, flag.colour, 10, BOLD)
        p.restore()

    def _marks(self) -> None:
        p, span, contents = self.p, self.span, self.state.contents
        if contents.mark_in is None and contents.mark_out is None:
            return
        start = contents.mark_in or 0
        stop = contents.frames if contents.mark_out is None else contents.mark_out + 1
        left, right = span.x(start), span.x(stop)
        p.fillRect(QRectF(left, 1, right - left, RULER - 10), theme().colour("accent", 26))
        p.setPen(QPen(theme().colour("accent"), 2))
        for x, way in ((left, 6), (right, -6)):
            p.drawLine(QLineF(x, 2, x, RULER - 9))
            p.drawLine(QLineF(x, 2, x + way, 2))
            p.drawLine(QLineF(x, RULER - 9, x + way, RULER - 9))


_MOST_COVERS = 400
_covers: dict[tuple[int, int, int, float], QPixmap] = {}
"""Pictures as large as they are shown, those used last at the end: scaling takes a while."""


def _cut(picture: QPixmap, width: int, height: int, ratio: float) -> QPixmap:
    """Return what is shown of a picture where it covers an area, in the display's pixels."""
    w, h = max(picture.width(), 1), max(picture.height(), 1)
    scale = max(width / w, height / h)
    wide, tall = width / scale, height / scale
    cut = QPixmap(max(round(width * ratio), 1), max(round(height * ratio), 1))
    cut.setDevicePixelRatio(ratio)
    with painting(cut) as painter:
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        # People's heads are in the upper half.
        part = QRectF((w - wide) / 2, (h - tall) * 0.3, wide, tall)
        painter.drawPixmap(QRectF(0, 0, width, height), picture, part)
    return cut


@lru_cache(maxsize=1024)
def _ruler_words(frame: int, rate: FrameRate, drop: bool, timecode: bool) -> str:
    if not timecode:
        return str(frame)
    words = format_timecode(frame, rate, drop=drop)
    return words[3:] if words.startswith("00:") else words


def _image(pixels: NDArray[np.uint32]) -> QImage:
    """Return an image over pixels (height, width), premultiplied 0xAARRGGBB, of which none stays.

    It is to be drawn before the pixels go.
    """
    height, width = pixels.shape
    form = QImage.Format.Format_ARGB32_Premultiplied
    return QImage(pixels.data, width, height, width * 4, form)


def _premultiplied(name: str, alpha: int) -> int:
    return _premultiplied_rgb(theme().colour(name).rgb(), alpha)


@lru_cache(maxsize=256)
def _premultiplied_rgb(rgb: int, alpha: int) -> int:
    red, green, blue = ((rgb >> shift & 255) * alpha // 255 for shift in (16, 8, 0))
    return alpha << 24 | red << 16 | green << 8 | blue


def _hatch() -> QPixmap:
    """Return the pattern that gaps are filled with."""
    key = theme().colour("warn").name()
    if key not in _hatches:
        picture = QPixmap(8, 8)
        picture.fill(theme().colour("heat_none"))
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(theme().colour("warn", 120), 1.2))
        for shift in (-8, 0, 8):
            painter.drawLine(QLineF(shift, 8, shift + 8, 0))
        painter.end()
        _hatches[key] = picture
    return _hatches[key]


_hatches: dict[str, QPixmap] = {}
