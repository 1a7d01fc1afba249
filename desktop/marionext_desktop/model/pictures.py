"""Pictures for the viewer: frames of videos and of takes, the newest that is wanted first.

A window asks for what it shows now and paints what has come; a question that a newer one overtakes
is dropped, even on its way. Frames come from the proxy where its piece is there, else from the
video itself, and always from the same numbers. What was read stays in memory up to a number of
bytes, and an idle loader reads ahead in the direction of the playhead.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from marionext.errors import EngineError, JobCancelled, MotionError
from marionext_desktop.model.project import Source
from marionext_desktop.model.proxies import (
    PIECE_FRAMES,
    PROXY_SIDE,
    Proxies,
    VideoFrames,
    piece_of,
)

__all__ = ["CACHE_BYTES", "Picture", "PictureCache", "PictureKey", "Pictures"]

logger = logging.getLogger(__name__)

CACHE_BYTES = 128 << 20
_AHEAD = 24
_OPEN_PIECES = 3
_OPEN_VIDEOS = 2
_REST_SECONDS = 3.0
"""From when on a decoder that is not used is let go."""

Picture = NDArray[np.uint8]
"""(height, width, 4): blue, green, red and 255, row by row, as a QImage of Format_RGB32 has it."""


@dataclass(frozen=True, slots=True)
class PictureKey:
    """Which picture is meant."""

    path: str
    """Of a video, or of a picture."""
    frame: int = -1
    """Of the video, from 0; -1: a picture."""
    changed: int = 0
    """When the picture was written, so that one that was rendered anew is another."""


class PictureCache:
    """The pictures that were used last, within a number of bytes; any thread may use it."""

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        """Hold nothing yet."""
        self.limit = limit
        self._size = 0
        self._items: OrderedDict[PictureKey, Picture] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes that are held."""
        return self._size

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._items)

    def get(self, key: PictureKey) -> Picture | None:
        """Return a picture, if it is held."""
        with self._lock:
            picture = self._items.get(key)
            if picture is not None:
                self._items.move_to_end(key)
            return picture

    def holds(self, key: PictureKey) -> bool:
        """Tell whether a picture is held, without using it."""
        return key in self._items

    def put(self, key: PictureKey, picture: Picture) -> None:
        """Hold a picture; those used longest ago go."""
        with self._lock:
            old = self._items.pop(key, None)
            self._size += picture.nbytes - (0 if old is None else old.nbytes)
            self._items[key] = picture
            while self._size > self.limit and len(self._items) > 1:
                self._size -= self._items.popitem(last=False)[1].nbytes

    def clear(self) -> None:
        """Hold nothing."""
        with self._lock:
            self._items.clear()
            self._size = 0


class Pictures(QObject):
    """Loads pictures on a thread."""

    ready = Signal(object)
    """A `PictureKey` whose picture can be had now."""
    failed = Signal(object, object)
    """A `PictureKey`, and the `EngineError` that says why there is none."""

    def __init__(
        self,
        proxies: Proxies | None = None,
        *,
        limit: int = CACHE_BYTES,
        parent: QObject | None = None,
    ) -> None:
        """Load nothing yet.

        Args:
            proxies: where pieces are; None: there are none.
            limit: bytes of pictures that are held.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self.cache = PictureCache(limit)
        self._proxies = proxies
        self._wake = threading.Condition()
        self._wanted: list[tuple[PictureKey, Source | None]] = []
        """What the newest question asks for: several where several are shown side by side."""
        self._generation = 0
        self._ahead: list[tuple[PictureKey, Source | None]] = []
        self._refused: dict[PictureKey, EngineError] = {}
        self._closed = False
        self._reader = _Reader(proxies)
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------------------------- for windows

    @staticmethod
    def key_of_file(path: Path) -> PictureKey:
        """Return what a picture's file is asked for by; one that is not there is no key of it."""
        try:
            changed = path.stat().st_mtime_ns
        except OSError:
            changed = 0
        return PictureKey(str(path), -1, changed)

    def get(self, source: Source, frame: int) -> Picture | None:
        """Return a frame of a video, if it is there now."""
        return self.cache.get(PictureKey(source.path, frame))

    def get_file(self, key: PictureKey) -> Picture | None:
        """Return a picture, if it is there now."""
        return self.cache.get(key)

    def want(
        self,
        frames: Iterable[tuple[Source, int]] = (),
        files: Iterable[PictureKey] = (),
        *,
        ahead: Iterable[tuple[Source, int]] = (),
        ahead_files: Iterable[PictureKey] = (),
    ) -> bool:
        """Ask for what is shown now; it takes the place of what was asked before.

        Args:
            frames: of videos.
            files: pictures (`key_of_file`).
            ahead: frames that will be wanted next, in their order.
            ahead_files: pictures that will be wanted next.

        Returns:
            Whether all that is shown now is there; if not, `ready` tells.
        """
        wanted: list[tuple[PictureKey, Source | None]] = [
            (PictureKey(source.path, frame), source) for source, frame in frames
        ]
        wanted += [(key, None) for key in files]
        later: list[tuple[PictureKey, Source | None]] = [
            (PictureKey(source.path, frame), source) for source, frame in ahead
        ]
        later += [(key, None) for key in ahead_files]
        missing = [each for each in wanted if not self.cache.holds(each[0])]
        with self._wake:
            self._generation += 1
            self._wanted, self._ahead = missing, later[: 2 * _AHEAD]
            self._wake.notify()
        return not missing

    def problem(self, key: PictureKey) -> EngineError | None:
        """Return why a picture cannot be had, or None."""
        return self._refused.get(key)

    def forget_problems(self) -> None:
        """Try again what could not be had: media were found again."""
        self._refused.clear()
        self._reader.forget()

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._closed = True
            self._generation += 1
            self._wake.notify()
        self._thread.join(5.0)

    # ------------------------------------------------------------------------------------ inside

    def _run(self) -> None:
        while True:
            with self._wake:
                if not self._closed and not self._wanted and not self._ahead:
                    self._wake.wait(_REST_SECONDS if self._reader.decoding else None)
                if self._closed:
                    self._reader.forget()
                    return
                generation = self._generation
                task = None
                if self._wanted:
                    task, now = self._wanted.pop(0), True
                elif self._ahead:
                    task, now = self._ahead.pop(0), False
            self._reader.rest()
            if task is None:
                continue
            key, source = task
            if self.cache.holds(key) or key in self._refused:
                continue
            try:
                picture = self._reader.read(key, source, partial(self._is_overtaken, generation))
            except JobCancelled:
                continue
            except EngineError as error:
                self._refused[key] = error
                self._emit(self.failed, key, error)
                continue
            except Exception as error:  # a thread that dies would show nothing any more
                logger.exception("%s cannot be shown", key)
                self._refused[key] = MotionError(f"Unexpected {type(error).__name__}: {error}")
                continue
            self.cache.put(key, picture)
            if now:
                self._emit(self.ready, key)

    def _is_overtaken(self, generation: int) -> bool:
        return self._generation != generation

    def _emit(self, signal: Any, *values: object) -> None:
        try:
            signal.emit(*values)
        except RuntimeError:  # the window is gone
            self._closed = True


class _Reader:
    """Reads pictures, with what is read from kept open; on the loader's thread alone."""

    def __init__(self, proxies: Proxies | None) -> None:
        self._proxies = proxies
        self._pieces: OrderedDict[Path, _Piece] = OrderedDict()
        self._videos: OrderedDict[str, VideoFrames] = OrderedDict()
        self._decoding: dict[str, float] = {}
        """When videos were last read themselves whose decoders are open."""

    @property
    def decoding(self) -> bool:
        """Whether a video's own decoder is open."""
        return bool(self._decoding)

    def rest(self) -> None:
        """Let go of decoders that are not used any more: since proxies are there, say."""
        now = time.monotonic()
        for path, used in list(self._decoding.items()):
            if now - used > _REST_SECONDS:
                del self._decoding[path]
                if path in self._videos:
                    self._videos[path].rest()

    def read(
        self, key: PictureKey, source: Source | None, cancelled: Callable[[], bool]
    ) -> Picture:
        """Return a picture.

        Raises:
            MotionError: it cannot be read.
            JobCancelled: another one is wanted.
        """
        if source is None:
            return _read_file(Path(key.path))
        proxies = self._proxies
        piece = proxies.file(source, key.frame) if proxies is not None else None
        if piece is not None and proxies is not None:
            try:
                return self._piece(piece).read(key.frame % PIECE_FRAMES)
            except (OSError, LookupError, ValueError):
                # Damaged, or removed by another window: the video itself is still there.
                logger.info("%s cannot be read", piece, exc_info=True)
                self._pieces.pop(piece, None)
                proxies.pieces(source).discard(piece_of(key.frame))
        return _with_alpha(self._video(key.path).read(key.frame, cancelled))

    def _piece(self, path: Path) -> "_Piece":
        piece = self._pieces.pop(path, None) or _Piece(path)
        self._pieces[path] = piece
        while len(self._pieces) > _OPEN_PIECES:
            self._pieces.popitem(last=False)[1].close()
        return piece

    def _video(self, path: str) -> VideoFrames:
        video = self._videos.pop(path, None)
        if video is None:
            video = VideoFrames(path, longest=PROXY_SIDE * 2)
        self._videos[path] = video
        self._decoding[path] = time.monotonic()
        while len(self._videos) > _OPEN_VIDEOS:
            self._decoding.pop(self._videos.popitem(last=False)[0], None)
        return video

    def forget(self) -> None:
        """Close everything."""
        for piece in self._pieces.values():
            piece.close()
        self._pieces.clear()
        self._videos.clear()
        self._decoding.clear()


class _Piece:
    """A piece of a proxy, opened: every frame of it is a key frame."""

    def __init__(self, path: Path) -> None:
        import av  # noqa: PLC0415 - late, on this thread

        self._file = av.open(str(path))
        self._stream = self._file.streams.video[0]
        self._stream.codec_context.thread_count = 1
        self._base = self._stream.time_base
        self._at = -1
        self._frames: Any = None
        # One for all frames: each would else set up its own, with threads of its own.
        self._converter = av.video.reformatter.VideoReformatter()

    def read(self, place: int) -> Picture:
        """Return its frame of that place, from 0."""
        if self._frames is None or place != self._at + 1:
            self._file.seek(self._stamp(place), stream=self._stream, backward=True)
            self._frames = self._file.decode(self._stream)
        for frame in self._frames:
            self._at = round(float(frame.pts * self._base) * 30)
            if self._at >= place:
                break
        else:
            raise LookupError(f"a piece breaks off before its frame {place}")
        shown = self._converter.reformat(frame, format="bgra", interpolation="FAST_BILINEAR")
        plane = shown.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(shown.height, plane.line_size)
        picture = rows[:, : shown.width * 4].reshape(shown.height, shown.width, 4)
        return np.ascontiguousarray(picture)

    def _stamp(self, place: int) -> int:
        return round(place / 30 / float(self._base or 1))

    def close(self) -> None:
        self._frames = None
        self._file.close()


def _read_file(path: Path) -> Picture:
    """Return a picture's file, upright.

    Raises:
        MotionError: it cannot be read.
    """
    from PIL import Image, ImageOps  # noqa: PLC0415 - late, on this thread

    try:
        with Image.open(path) as image:
            picture = np.asarray(ImageOps.exif_transpose(image).convert("RGBA"))
    except (OSError, ValueError) as error:
        raise MotionError(f"{path} cannot be shown: {error}") from None
    return np.ascontiguousarray(picture[..., [2, 1, 0, 3]])


def _with_alpha(picture: NDArray[np.uint8]) -> Picture:
    """Return an RGB picture as blue, green, red and 255."""
    whole = np.empty((*picture.shape[:2], 4), np.uint8)
    whole[..., :3] = picture[..., ::-1]
    whole[..., 3] = 255
    return whole
