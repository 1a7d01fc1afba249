"""Small copies of videos in which every frame stands alone, so that any of them is there at once.

A proxy is made in pieces of some seconds, from the playhead outwards, by a process that stands back
behind everything else; until a piece is there its frames are read from the video itself. Pieces are
kept by the content of their video and go when the cache grows too large, those used longest ago
first.
"""

import logging
import shutil
from bisect import bisect_right
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from marionext.errors import EngineError, OutputError
from marionext.files import explain, replacing
from marionext.frames import FrameRange
from marionext_desktop.model.places import cache_folder
from marionext_desktop.model.project import Source
from marionext_desktop.model.side_process import SideProcess

__all__ = [
    "PIECE_FRAMES",
    "PROXY_SIDE",
    "Proxies",
    "VideoFrames",
    "make_piece",
    "piece_file",
    "piece_of",
    "proxy_folder",
]

logger = logging.getLogger(__name__)

PIECE_FRAMES = 240
PROXY_SIDE = 960
"""Pixels of the longer side."""
_CACHE_BYTES = 20 << 30
_SUFFIX = ".mkv"
_VERSION = 1


def proxy_folder(source: Source, root: Path | None = None) -> Path:
    """Return where the pieces of a source's proxy are."""
    digest = source.stamp.digest[:32] if source.stamp is not None else "unknown"
    return (root or cache_folder("proxies")) / f"{digest}-{PROXY_SIDE}-{_VERSION}"


def piece_of(frame: int) -> int:
    """Return the number of the piece that a frame is in."""
    return frame // PIECE_FRAMES


def piece_file(folder: Path, piece: int) -> Path:
    """Return the file of a piece; it need not be there."""
    return folder / f"{piece:05d}{_SUFFIX}"


class VideoFrames:
    """The pictures of a video by the numbers of its frames at its exact rate, from 0.

    The same pictures that the poses were read from: upright, on the engine's clock.
    """

    def __init__(self, path: str, *, longest: int | None = None) -> None:
        """Read through the file's headers.

        Raises:
            MotionError: it cannot be read.
        """
        from marionext.footage import Shown, probe  # noqa: PLC0415 - PyAV

        self._info = probe(path)
        self._shown = Shown(path, self._info, longest=longest)

    def __len__(self) -> int:
        """Return the number of frames."""
        return self._info.frames

    def read(self, frame: int, cancelled: object = None) -> NDArray[np.uint8]:
        """Return a frame, (height, width, 3) RGB.

        Args:
            frame: from 0.
            cancelled: as that of `marionext.footage.Shown.picture`.
        """
        return self._shown.picture(self._index(frame), cancelled=cancelled)  # type: ignore[arg-type]

    def rest(self) -> None:
        """Let go of the decoder, which holds a hundred megabytes; the next picture opens it."""
        self._shown.rest()

    @property
    def proxy_size(self) -> tuple[int, int]:
        """Width and height of its proxy: even, in its shape."""
        width, height = self._info.fitted(PROXY_SIDE)
        return max(2, width // 2 * 2), max(2, height // 2 * 2)

    def for_encoder(self, frame: int) -> Any:
        """Return a frame as one of PyAV's, as large as the proxy."""
        return self._shown.frame(self._index(frame), self.proxy_size)

    def _index(self, frame: int) -> int:
        info = self._info
        if not info.variable_rate or not info.times:
            return frame
        time = frame / info.rate.fraction + Fraction(1, 10**6)
        return max(0, bisect_right(info.times, time) - 1)


_open: list[tuple[str, VideoFrames]] = []
"""In the process beside the window: the video that pieces were last made of."""


def make_piece(path: str, piece: int, output: str) -> int:
    """Make a piece of a proxy; called beside the window.

    Returns:
        The frames that are in it.

    Raises:
        MotionError: the video cannot be read.
        OutputError: the disk is full, say.
    """
    import av  # noqa: PLC0415 - beside the window only

    if not _open or _open[0][0] != path:
        _open[:] = [(path, VideoFrames(path))]
    frames = _open[0][1]
    wanted = range(piece * PIECE_FRAMES, min((piece + 1) * PIECE_FRAMES, len(frames)))
    try:
        with (
            replacing(Path(output)) as temporary,
            av.open(str(temporary), "w", format="matroska") as container,
        ):
            stream = None
            for place, frame in enumerate(wanted):
                shown = frames.for_encoder(frame)
                if stream is None:
                    stream = container.add_stream("libx264", rate=30)
                    stream.width, stream.height, stream.pix_fmt = *frames.proxy_size, "yuv420p"
                    coder = stream.codec_context
                    coder.thread_count = 1
                    # The proxy is shown in the colours of the video.
                    coder.colorspace, coder.color_range = shown.colorspace, shown.color_range
                    stream.options = {
                        "preset": "ultrafast", "crf": "22", "g": "1", "tune": "fastdecode",
                    }  # fmt: skip
                shown.pict_type = av.video.frame.PictureType.NONE
                shown.pts = place
                shown.time_base = Fraction(1, 30)
                for packet in stream.encode(shown):
                    container.mux(packet)
            for packet in stream.encode() if stream is not None else ():
                container.mux(packet)
    except av.error.FFmpegError as error:
        if isinstance(error, OSError):
            raise explain(OSError(error.errno, str(error)), Path(output)) from error
        raise OutputError(f"a proxy of {path} cannot be made: {error}") from error
    return len(wanted)


class Proxies(QObject):
    """Makes proxies of the videos that are looked at."""

    made = Signal(str, int)
    """Id of a source, and a piece of it that is there now."""
    failed = Signal(object)
    """An `EngineError`: the disk is full, say. Videos are read themselves from then on."""
    _done = Signal(object, int, object)

    def __init__(self, *, root: Path | None = None, parent: QObject | None = None) -> None:
        """Make nothing before `look_at` says where.

        Args:
            root: folder of all proxies; None: the desktop's cache.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self._root = root or cache_folder("proxies")
        self._process = SideProcess(background=True)
        self._at: tuple[Source, int] | None = None
        self._others: list[Source] = []
        self._there: dict[str, set[int]] = {}
        self._busy = False
        self._paused = False
        self._broken: set[str] = set()
        self._done.connect(self._take)

    def look_at(self, source: Source, frame: int, others: tuple[Source, ...] = ()) -> None:
        """Say where the playhead is: pieces near it come first.

        Args:
            source: a video.
            frame: of it.
            others: videos that come after all of this one.
        """
        self._at, self._others = (source, frame), list(others)
        self._go_on()

    def pause(self, paused: bool) -> None:
        """Leave the processor to something else for a while, such as playing."""
        self._paused = paused
        self._go_on()

    def has(self, source: Source, frame: int) -> bool:
        """Tell whether a frame is in a piece that is there."""
        return piece_of(frame) in self.pieces(source)

    def pieces(self, source: Source) -> set[int]:
        """Return the pieces of a source that are there."""
        if source.id not in self._there:
            folder = proxy_folder(source, self._root)
            found = {int(p.stem) for p in folder.glob(f"*{_SUFFIX}") if p.stem.isdigit()}
            self._there[source.id] = found
        return self._there[source.id]

    def cached(self, source: Source) -> tuple[FrameRange, ...]:
        """Return the frames that are in pieces, as stretches in order."""
        spans: list[FrameRange] = []
        for piece in sorted(self.pieces(source)):
            start = piece * PIECE_FRAMES
            stop = min(start + PIECE_FRAMES, source.frames)
            if start >= stop:
                continue
            if spans and spans[-1].stop == start:
                spans[-1] = FrameRange(spans[-1].start, stop)
            else:
                spans.append(FrameRange(start, stop))
        return tuple(spans)

    def file(self, source: Source, frame: int) -> Path | None:
        """Return the piece that a frame is in, or None; the cache remembers that it was used."""
        if not self.has(source, frame):
            return None
        return piece_file(proxy_folder(source, self._root), piece_of(frame))

    def lost(self, source: Source, frame: int) -> None:
        """Note that a piece cannot be read: it is made anew."""
        with suppress(OSError):
            piece_file(proxy_folder(source, self._root), piece_of(frame)).unlink(missing_ok=True)
        self.pieces(source).discard(piece_of(frame))
        self._go_on()

    def close(self) -> None:
        """Make no more; pieces that are there stay."""
        self._process.close()

    def _next(self) -> tuple[Source, int] | None:
        if self._at is None:
            return None
        source, frame = self._at
        for each, near in ((source, frame), *((other, 0) for other in self._others)):
            if each.id in self._broken or each.kind != "video":
                continue
            there, centre = self.pieces(each), piece_of(near)
            missing = [p for p in range(piece_of(each.frames - 1) + 1) if p not in there]
            if missing:
                # What lies ahead is wanted sooner than what lies behind.
                best = min(missing, key=lambda p: (p - centre) if p >= centre else 2 * (centre - p))
                return each, best
        return None

    def _go_on(self) -> None:
        if self._busy or self._paused:
            return
        task = self._next()
        if task is None:
            return
        source, piece = task
        self._busy = True
        output = piece_file(proxy_folder(source, self._root), piece)
        self._process.call(
            make_piece, source.path, piece, str(output),
            done=lambda result: self._done.emit(source, piece, result),
        )  # fmt: skip

    def _take(self, source: Source, piece: int, result: object) -> None:
        self._busy = False
        if isinstance(result, EngineError):
            self._broken.add(source.id)
            self.failed.emit(result)
        else:
            self.pieces(source).add(piece)
            self._keep_small(source)
            self.made.emit(source.id, piece)
        QTimer.singleShot(0, self._go_on)

    def _keep_small(self, source: Source) -> None:
        """Remove the proxies that were used longest ago, where all together are too large."""
        own = proxy_folder(source, self._root)
        with suppress(OSError):
            own.touch()
            folders = [place for place in self._root.iterdir() if place.is_dir()]
            sizes = {p: sum(f.stat().st_size for f in p.iterdir()) for p in folders}
            total = sum(sizes.values())
            for place in sorted(folders, key=lambda p: p.stat().st_mtime):
                if total <= _CACHE_BYTES or place == own:
                    break
                shutil.rmtree(place, ignore_errors=True)
                total -= sizes[place]
