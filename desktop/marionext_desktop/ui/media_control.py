"""What is seen and heard at the playhead: frames, sound, thumbnails, the clock."""

import uuid
from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QKeyEvent, QKeySequence, QPixmap

from marionext.frames import FrameRange
from marionext_desktop.model import takes
from marionext_desktop.model.pictures import Picture, PictureKey, Pictures
from marionext_desktop.model.places import cache_folder
from marionext_desktop.model.playback import Player
from marionext_desktop.model.project import Clip, Project, Source, Take
from marionext_desktop.model.proxies import PROXY_SIDE, Proxies
from marionext_desktop.model.sound import PEAKS_A_SECOND, Sounds, Wave, beat_frames, write_mix
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.library_control import LibraryControl
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Options, Showing
from marionext_desktop.ui.status_bar import StatusBar
from marionext_desktop.ui.timeline.contents import SoundBar
from marionext_desktop.ui.timeline.control import TimelineControl
from marionext_desktop.ui.transport import Transport
from marionext_desktop.ui.viewer.control import ViewerControl

__all__ = ["MediaControl"]

_AHEAD = 12

_WRAPPED = 8
_THUMB_BYTES = 24 << 20
_MOST_THUMBS = 600
_THUMB_STEP = 2
"""Thumbnails are of every so manieth second frame, so that zooming finds most of them there."""


class MediaControl(QObject):
    """Feeds the viewer, the timeline and the loudspeakers."""

    _mixed = Signal(object, object)

    def __init__(
        self,
        session: Session,
        showing: Showing,
        actions: Actions,
        viewer: ViewerControl,
        timeline: TimelineControl,
        transport: Transport,
        library: LibraryControl,
        status: StatusBar,
    ) -> None:
        super().__init__(viewer)
        self._session, self._showing = session, showing
        self._viewer, self._timeline, self._transport = viewer, timeline, transport
        self._library, self._status = library, status
        self.proxies = Proxies(parent=self)
        self.pictures = Pictures(self.proxies, parent=self)
        self._small = Pictures(self.proxies, limit=_THUMB_BYTES, parent=self)
        self.sounds = Sounds(parent=self)
        self.player = Player(session.document, sounds=lambda: self.sounds.samples, parent=self)
        self._wrapped: OrderedDict[PictureKey, QImage] = OrderedDict()
        self._thumbs: OrderedDict[tuple[str, int], QPixmap] = OrderedDict()
        self._thumb_frames: dict[str, list[int]] = {}
        """Which frames of each source they are of, ascending."""
        self._asked: dict[tuple[str, int], Source] = {}
        self._proxies_wanted = True
        self._read: object = None
        """Which source the health that is shown is about, and whether by its proxy."""
        self._heard: object = None
        """What the sound that the timeline shows was made of."""
        self._stop = actions["stop"]
        self._held = False
        """Whether the key that stops is held: J and L go frame by frame then."""
        window = actions.parent()
        if window is not None:
            window.installEventFilter(self)

        session.document.changed.connect(self._document_changed)
        showing.frame_changed.connect(self._frame_changed)
        showing.takes_changed.connect(self.show_frame)
        showing.options_changed.connect(self._options_changed)
        self.player.frame_changed.connect(showing.go_to)
        self.player.playing_changed.connect(self._playing_changed)
        self.player.speed_changed.connect(lambda _speed: self._show_health())
        self.player.dropped_changed.connect(lambda _count: self._show_health())
        self.pictures.ready.connect(self._picture_ready)
        self._small.ready.connect(self._thumb_ready)
        self.proxies.made.connect(lambda _name, _piece: self._show_cached())
        self.proxies.failed.connect(lambda error: session.told.emit("warn", error.message))
        self.sounds.ready.connect(lambda _name: self._show_sounds())
        self.sounds.failed.connect(lambda _name, error: session.told.emit("warn", error.message))
        self._mixed.connect(lambda done, result: done(result))
        timeline.sheet.show_thumbnails(self._thumbnail)
        timeline.sheet.scrubbing.connect(self._scrub)
        self._ask_later = QTimer(self, singleShot=True, interval=60)
        self._ask_later.timeout.connect(self._ask_for_thumbs)
        self._cached_later = QTimer(self, singleShot=True, interval=200)
        self._cached_later.timeout.connect(self._show_cached)
        self._was_playing = 0
        for name, do in {
            "play": self.player.toggle,
            "stop": self.player.stop,
            "shuttle_back": lambda: self._shuttle(-1),
            "shuttle_on": lambda: self._shuttle(1),
        }.items():
            actions.on(name, do)
        self._show_health()

    # ---------------------------------------------------------------- the frame

    def _frame_changed(self, frame: int) -> None:
        if self.player.frame != frame:
            self.player.go_to(frame)
        self.show_frame()

    def show_frame(self) -> None:
        """Show source and takes of the frame, as far as they are there; the rest comes."""
        project, frame = self._session.project, self._showing.frame
        clip = project.clip_at(frame)
        source = None if clip is None else project.source(clip.source)
        video = source is not None and source.kind == "video"
        frames: list[tuple[Source, int]] = []
        ahead: list[tuple[Source, int]] = []
        if video and clip is not None and source is not None:
            at = project.source_frame(clip, frame)
            frames.append((source, at))
            way = -1 if self.player.speed < 0 else 1
            last = min(frame + way * _AHEAD, clip.stop - 1)
            ahead = [
                (source, project.source_frame(clip, each))
                for each in range(frame + way, last + way, way)
            ]
            if self._proxies_wanted:
                others = tuple(s for s in project.sources if s.kind == "video" and s is not source)
                self.proxies.look_at(source, at, others)
        read = (source, bool(frames) and self.proxies.has(*frames[0]))
        if read != self._read:
            self._read = read
            self._show_health()
        shown, other = self._takes(project, frame)
        files = [self._take_key(take, frame) for take in (shown, other) if take is not None]
        ahead_files = []
        if shown is not None:
            stop = min(frame + _AHEAD, shown.span.stop)
            ahead_files = [self._take_key(shown, each) for each in range(frame + 1, stop)]
        self.pictures.want(frames, files, ahead=ahead, ahead_files=ahead_files)
        self._show_source(frames[0] if frames else None)
        self._show_takes(project, shown, other)

    def _takes(self, project: Project, frame: int) -> tuple[Take | None, Take | None]:
        """Return the take that is the result of a frame, and the one it is compared with."""
        known = {take.id: take for take in project.takes}
        chosen, other = known.get(self._showing.take_b), known.get(self._showing.take_a)
        shown = chosen if chosen is not None and frame in chosen.span else None
        if shown is None:
            shown = takes.take_at(project, frame)
        if other is not None and frame not in other.span:
            other = None
        return shown, other

    def _take_key(self, take: Take, frame: int) -> PictureKey:
        return Pictures.key_of_file(takes.frame_file(take, frame))

    def _show_source(self, wanted: tuple[Source, int] | None) -> None:
        if wanted is None:
            self._viewer.show_source(None)
            return
        source, frame = wanted
        picture = self.pictures.get(source, frame)
        if picture is not None:
            image = self._wrap(PictureKey(source.path, frame), picture)
            self._viewer.show_source(image, title=source.name)
        # Until it comes, the frame before stays: black in between would flicker.

    def _show_takes(self, project: Project, shown: Take | None, other: Take | None) -> None:
        frame = self._showing.frame
        for take, show in ((shown, self._viewer.show_result), (other, self._viewer.show_other)):
            if take is None:
                show(None)
                continue
            key = self._take_key(take, frame)
            picture = self.pictures.get_file(key)
            if picture is not None:
                words = _take_words(project, take)
                if take is shown:
                    note = say("pose changed") if takes.is_stale(project, take) else ""
                    self._viewer.show_result(
                        self._wrap(key, picture), title=take.name, more=words, note=note
                    )
                else:
                    self._viewer.show_other(self._wrap(key, picture), title=take.name, more=words)
            elif not key.changed:
                show(None)

    def _picture_ready(self, _key: PictureKey) -> None:
        self.show_frame_again()

    def show_frame_again(self) -> None:
        """Show what has come, without asking anew."""
        project, frame = self._session.project, self._showing.frame
        clip = project.clip_at(frame)
        source = None if clip is None else project.source(clip.source)
        if clip is not None and source is not None and source.kind == "video":
            self._show_source((source, project.source_frame(clip, frame)))
        self._show_takes(project, *self._takes(project, frame))

    def _wrap(self, key: PictureKey, picture: Picture) -> QImage:
        """Return an image over a picture's memory; the same one for the same picture."""
        image = self._wrapped.get(key)
        if image is None:
            height, width = picture.shape[:2]
            image = QImage(picture.data, width, height, width * 4, QImage.Format.Format_RGB32)
            image.pixels = picture  # type: ignore[attr-defined]  # keeps the memory alive
            self._wrapped[key] = image
            while len(self._wrapped) > _WRAPPED:
                self._wrapped.popitem(last=False)
        return image

    # ---------------------------------------------------------------- playing

    def _options_changed(self, _old: Options, new: Options) -> None:
        self.player.loop, self.player.muted = new.loop, new.mute

    def _playing_changed(self, playing: bool) -> None:
        self.proxies.pause(playing)
        self._transport.show_playing(float(self.player.speed))
        self._show_health()
        if playing:
            self.sounds.want_all(self._session.project)

    def _shuttle(self, way: int) -> None:
        if self._held:
            self.player.step(way)
        else:
            self.player.shuttle(way)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Notice whether the key that stops is held."""
        kind = event.type()
        if kind in {QEvent.Type.ShortcutOverride, QEvent.Type.KeyRelease} and isinstance(
            event, QKeyEvent
        ):
            pressed = QKeySequence(event.keyCombination())
            if pressed in self._stop.shortcuts():
                self._held = kind is QEvent.Type.ShortcutOverride or event.isAutoRepeat()
        return False

    def _scrub(self, on: bool) -> None:
        """Stand while the playhead is dragged, go on afterwards."""
        if on:
            self._was_playing = self.player.speed
            self.player.stop()
        elif self._was_playing:
            self.player.play(self._was_playing)
            self._was_playing = 0

    def _show_health(self) -> None:
        project = self._session.project
        clip = project.clip_at(self._showing.frame)
        words = ""
        if clip is not None:
            source = project.source(clip.source)
            if source.kind == "video":
                has = self.proxies.has(source, project.source_frame(clip, self._showing.frame))
                side = min(PROXY_SIDE, max(source.size))
                words = say("Proxy {n}p", n=side) if has else say("Original")
        self._transport.show_health(words, self.player.dropped, float(self.player.speed or 1))
        self._transport.show_playing(float(self.player.speed))

    # ---------------------------------------------------------------- the timeline

    def _document_changed(self, old: Project, new: Project) -> None:
        if (
            old.clips is not new.clips
            or old.sources is not new.sources
            or old.takes is not new.takes
        ):
            self.show_frame()
        if old.sources is not new.sources or old.clips is not new.clips or old.rate != new.rate:
            self.sounds.want_all(new)
            self._show_sounds()
            self._cached_later.start()
            self._ask_later.start()

    def _show_sounds(self) -> None:
        project = self._session.project
        sources = project.by_id
        clips = list(project.lane("sound"))
        own = bool(clips)
        if not own:
            clips = [clip for clip in project.lane("motion") if sources[clip.source].sound]
        bars: list[SoundBar] = []
        beats: list[int] = []
        waves = [self.sounds.wave(sources[clip.source]) for clip in clips]
        heard = (
            [(replace(clip, edits=()), sources[clip.source].rate) for clip in clips],
            waves, own, project.rate, project.music_offset,
        )  # fmt: skip
        if heard == self._heard:
            return
        self._heard = heard
        for clip, wave in zip(clips, waves, strict=True):
            source = sources[clip.source]
            peaks = None if wave is None else clip_peaks(project, clip, wave)
            bars.append(
                SoundBar(clip.id, source.name if own else "", clip.at, clip.stop, peaks, own)
            )
            if wave is not None:
                beats += beat_frames(project, clip, wave)
        self._timeline.sounds, self._timeline.beats = tuple(bars), tuple(beats)
        self._timeline.show_contents()

    def _show_cached(self) -> None:
        project = self._session.project
        spans: list[tuple[int, int]] = []
        total = 0
        for clip in project.lane("motion"):
            source = project.source(clip.source)
            if source.kind != "video":
                spans.append((clip.at, clip.stop))
                total += clip.count
                continue
            low, high = sorted(
                (project.source_frame(clip, clip.at), project.source_frame(clip, clip.stop - 1))
            )
            for span in self.proxies.cached(source):
                first, last = max(span.start, low), min(span.stop - 1, high)
                ends = [project.timeline_frame(clip, first), project.timeline_frame(clip, last)]
                if first <= last and None not in ends:
                    start, stop = sorted(end for end in ends if end is not None)
                    spans.append((start, stop + 1))
                    total += stop + 1 - start
        self._timeline.sheet.show_cached(tuple(spans))
        if project.length and any(s.kind == "video" for s in project.sources):
            held = self.pictures.cache.size / 1e6
            self._status.show_cache(
                say(
                    "Cache {n} of {all} frames · {mb} MB",
                    n=total,
                    all=project.length,
                    mb=round(held),
                )
            )
        self._show_health()
        self._ask_later.start()

    # ---------------------------------------------------------------- thumbnails

    def _thumbnail(self, name: str, frame: int, height: int) -> QPixmap | None:
        """Return a small picture of a clip, or ask for it."""
        project = self._session.project
        clip = next((each for each in project.clips if each.id == name), None)
        if clip is None:
            return None
        source = project.source(clip.source)
        if source.kind != "video":
            return self._library.drawing(source)
        step = max(round(float(source.rate)) // _THUMB_STEP, 1)
        at = project.source_frame(clip, frame)
        key = (source.id, at // step * step)
        found = self._thumbs.get(key)
        if found is None:
            self._asked[key] = source
            if not self._ask_later.isActive():
                self._ask_later.start()
            # Until it comes, the nearest there is.
            there = self._thumb_frames.get(source.id, [])
            place = bisect_left(there, at)
            near = there[max(place - 1, 0) : place + 1]
            if not near:
                return None
            return self._thumbs[source.id, min(near, key=lambda frame: abs(frame - at))]
        self._thumbs.move_to_end(key)
        return found

    def _ask_for_thumbs(self) -> None:
        """Ask for the thumbnails that are lacking, where they can be had quickly."""
        wanted = [
            (source, min(source.frames // 3, source.frames - 1))
            for source in self._session.project.sources
            if source.kind == "video" and source.id not in self._library.pictures
        ]
        for (_name, frame), source in list(self._asked.items()):
            if self.proxies.has(source, frame) or source.frames < 400:
                wanted.append((source, frame))
        self._asked.clear()
        if wanted:
            self._small.want(wanted[:120])

    def _thumb_ready(self, key: PictureKey) -> None:
        picture = self._small.get_file(key)
        if picture is None:
            return
        height, width = picture.shape[:2]
        image = QImage(picture.data, width, height, width * 4, QImage.Format.Format_RGB32)
        side = 2 * 84
        small = QPixmap.fromImage(
            image.scaled(
                side * 2,
                side,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )
        for source in self._session.project.sources:
            if source.path == key.path:
                if (source.id, key.frame) not in self._thumbs:
                    insort(self._thumb_frames.setdefault(source.id, []), key.frame)
                self._thumbs[source.id, key.frame] = small
                if source.id not in self._library.pictures:
                    self._library.pictures[source.id] = small
                    self._library.refresh()
        while len(self._thumbs) > _MOST_THUMBS:
            (name, frame), _ = self._thumbs.popitem(last=False)
            self._thumb_frames[name].remove(frame)
        self._timeline.sheet.refresh_thumbnails()

    # ---------------------------------------------------------------- sound of an export

    def mix(self, project: Project, span: FrameRange, done: Callable[[object], None]) -> None:
        """Write what is heard in a range to a file.

        Args:
            project: its clips.
            span: of the sequence.
            done: called with its path, None where nothing is heard, or an `EngineError`.
        """
        files = {
            source.id: str(self.sounds.file(source)) for source in project.sources if source.sound
        }
        output = cache_folder("mixes") / f"{uuid.uuid4().hex}.wav"

        def take(result: object) -> None:
            done(Path(result) if isinstance(result, str) else result)

        self._session.side.call(
            write_mix, project, span, files, str(output),
            done=lambda result: self._mixed.emit(take, result),
        )  # fmt: skip

    def make_proxies(self, on: bool) -> None:
        """Make proxies of videos, or no more."""
        self._proxies_wanted = on

    def close(self) -> None:
        """End what runs beside the window."""
        self.player.close()
        self.pictures.close()
        self._small.close()
        self.proxies.close()
        self.sounds.close()


def clip_peaks(project: Project, clip: Clip, wave: Wave) -> NDArray[np.float32] | None:
    """Return how loud a clip is from its beginning to its end: (bins,) from 0 to 1."""
    if clip.hold is not None or not len(wave.peaks):
        return None
    source = project.source(clip.source)
    rate = float(source.rate)
    ends = float(clip.first) / rate, float(clip.first + clip.count * project.step(clip)) / rate
    low, high = (max(round(end * PEAKS_A_SECOND), 0) for end in sorted(ends))
    loud = np.abs(wave.peaks[low:high]).max(axis=1).astype(np.float32)
    missing = (high - low) - len(loud)
    if missing > 0:
        loud = np.pad(loud, (0, missing))
    loud = loud * np.float32(min(clip.volume, 1.0))
    return np.ascontiguousarray(loud[::-1] if clip.speed < 0 else loud)


def _take_words(project: Project, take: Take) -> str:
    name = next((each.name for each in project.characters if each.id == take.character), "")
    return " · ".join(part for part in (say(take.quality) if take.quality else "", name) if part)
