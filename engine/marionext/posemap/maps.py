"""Ready-made pose maps as motion: a folder of numbered pictures, a video, an animated picture."""

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.files import is_cut_off, open_file, read_bytes, reading
from marionext.footage import FIRST_FRAME, Shown, probe
from marionext.footage.timing import nearest_frames
from marionext.frames import FrameRange, FrameRate, check_count, format_frames
from marionext.limits import FRAME_NUMBER, VIDEO_PIXELS
from marionext.pose import resampled_count
from marionext.posemap.recognise import Palette, is_pose_map, recognise_palette

__all__ = ["PoseMapSource", "read_maps"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_NUMBER = re.compile(r"((?:(?:^|(?<=[_. ]))-)?(?<!\d)\d+)\D*$")
"""The last number of a name; the hyphen of ``dance-0005`` is none, that of ``-0005`` a sign."""
_DEFAULT_RATE = FrameRate(Fraction(30))
_EXAMINED = 8
_SHOWN = 20


class _Pictures(Protocol):
    """Pictures by index, all of one size."""

    size: tuple[int, int]
    count: int
    files: tuple[Path, ...]

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return picture ``index``, (height, width, 3) red, green, blue."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseMapSource:
    """Pose maps that are read when they are wanted, in the trained palette."""

    frames: FrameRange
    """Their frame numbers."""
    rate: FrameRate
    size: tuple[int, int]
    """Width and height of the maps as they are stored."""
    palette: Palette
    """The one they are stored in; they are given in the trained one."""
    notes: tuple[str, ...] = ()
    """What was concluded in opening them: one line about the rate."""
    warnings: tuple[str, ...] = ()
    """What is wrong with them, though they can be used."""
    _index: Callable[[int], int]
    _pictures: _Pictures

    @property
    def files(self) -> tuple[Path, ...]:
        """What they are read from."""
        return self._pictures.files

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frames)

    def frame(self, number: int, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
        """Return the map of a frame, (height, width, 3) red, green, blue.

        Args:
            number: of the frame, in ``frames``.
            size: width and height wanted; a map of another shape is centred on black, so that
                the figure keeps its proportions. None: as stored.

        Raises:
            MotionError: there is no such frame, or it cannot be read.
        """
        if number not in self.frames:
            raise MotionError(f"expected a frame within {self.frames}, got {number}")
        picture = self._pictures.picture(self._index(number - self.frames.start))
        if self.palette == "openpose":
            picture = picture[:, :, ::-1]
        return _fitted(np.ascontiguousarray(picture), size or self.size)


def read_maps(
    path: Path | str,
    *,
    palette: Literal["auto", "controlnext", "openpose", "any"] = "auto",
    rate: FrameRate | None = None,
    source_rate: FrameRate | None = None,
    first: int | None = None,
) -> PoseMapSource:
    """Open ready-made pose maps.

    Args:
        path: a folder of pictures whose names end in their frame numbers, a video, or an animated
            WebP, PNG or GIF.
        palette: what the maps are drawn in: the standard OpenPose colours, those of ControlNeXt
            with red and blue exchanged, or ``auto``: told from the maps. ``any`` stands for
            pictures of another kind, taken as they are, for models that were trained on such.
        rate: to read them at: maps of another rate are resampled to it, the nearest for each.
            Pictures in a folder whose rate nothing tells are taken to have it.
        source_rate: the rate that they have, whatever a file says; None: a video's own, and of
            pictures in a folder ``rate``, or 30.
        first: number of the first frame; None: as the files are named, 1 for a video.

    Raises:
        MotionError: nothing there can be read as pose maps; the message says why.
    """
    path = Path(path)
    if not path.exists():
        raise MotionError(f"no such pose maps: {path}")
    with reading(path, MotionError, "pose maps"):
        return _read_maps(path, palette, rate, source_rate, first)


def _read_maps(
    path: Path,
    palette: Literal["auto", "controlnext", "openpose", "any"],
    rate: FrameRate | None,
    source_rate: FrameRate | None,
    first: int | None,
) -> PoseMapSource:
    pictures: _Folder | _Video = _Folder(path) if path.is_dir() else _Video(path, source_rate)
    own_rate = source_rate or pictures.rate or rate or _DEFAULT_RATE
    wanted = rate or own_rate
    step = own_rate.fraction / wanted.fraction
    count = resampled_count(pictures.count, own_rate, wanted)
    check_count(count)
    last = pictures.count - 1

    def index(frame: int) -> int:
        return frame if step == 1 else min(int(frame * step + Fraction(1, 2)), last)

    start = pictures.first if first is None else first
    known: Palette
    match palette:
        case "auto":
            known = _palette(pictures, path)
        case "any":
            known = "controlnext"
        case _:
            known = _checked(pictures, path, palette)
    return PoseMapSource(
        frames=FrameRange(start, start + count),
        rate=wanted,
        size=pictures.size,
        palette=known,
        notes=pictures.notes or (_about_rate(path, pictures.count, own_rate, source_rate, rate),),
        warnings=pictures.warnings,
        _index=index,
        _pictures=pictures,
    )


def _about_rate(
    folder: Path,
    count: int,
    own: FrameRate,
    declared: FrameRate | None,
    wanted: FrameRate | None,
) -> str:
    """Say in one line what rate pictures are taken to have, and why."""
    why = (
        "as declared"
        if declared is not None
        else "the rate to read them at, as nothing says another"
        if wanted is not None
        else "as nothing says another (--source-rate declares it)"
    )
    return f"{folder.name}: {count} pictures, {own} frames/s, {why}"


def _some_maps(pictures: "_Folder | _Video", path: Path) -> list[NDArray[np.uint8]]:
    """Return some of the maps, spread evenly, having made sure that they are maps."""
    places = np.unique(np.linspace(0, pictures.count - 1, _EXAMINED).astype(int)).tolist()
    shown = [pictures.picture(place) for place in places]
    for place, picture in zip(places, shown, strict=True):
        if not is_pose_map(picture):
            raise MotionError(
                f"expected pose maps, strokes on black; {path.name} frame "
                f"{pictures.number(place)} is another kind of picture",
                hint="Give a dance video as a video, without saying that it is pose maps.",
            )
    if not any(picture.any() for picture in shown):
        raise MotionError(f"the pose maps in {path} are all black: there is nobody in them")
    return shown


def _palette(pictures: "_Folder | _Video", path: Path) -> Palette:
    found = recognise_palette(_some_maps(pictures, path))
    if found is None:
        raise MotionError(
            f"the colours of the pose maps in {path} do not tell which palette they are drawn in",
            hint='Say palette "openpose" (the standard: the right shoulder is red) or '
            '"controlnext" (it is blue).',
        )
    return found


def _checked(pictures: "_Folder | _Video", path: Path, palette: Palette) -> Palette:
    _some_maps(pictures, path)
    return palette


def _fitted(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring a map to a size; what is added to keep its proportions is black, like its ground."""
    height, width = picture.shape[:2]
    if (width, height) == size:
        return picture
    scale = min(size[0] / width, size[1] / height)
    inner = tuple(
        min(max(round(side * scale), 1), limit)
        for side, limit in zip((width, height), size, strict=True)
    )
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(picture, inner, interpolation=method)
    fitted = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    fitted[top : top + inner[1], left : left + inner[0]] = resized
    return fitted


class _Folder:
    """Numbered pictures in a folder."""

    rate: FrameRate | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        numbered: dict[int, Path] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
                continue
            match = _NUMBER.search(path.stem)
            if match is None:
                raise MotionError(
                    f"expected pictures whose names end in their frame number, got {path.name}",
                    hint="Name them 000001.png, 000002.png ...",
                )
            number = int(match[1])
            if abs(number) > FRAME_NUMBER:
                raise MotionError(
                    f"expected frame numbers of at most {FRAME_NUMBER:,}, got {path.name}",
                    hint="Name them 000001.png, 000002.png ...",
                )
            if number in numbered:
                raise MotionError(
                    f"two pictures are frame {number}: {numbered[number].name} and {path.name}"
                )
            numbered[number] = path
        if not numbered:
            raise MotionError(f"expected pictures of pose maps in {folder}, found none")
        self.first, last = min(numbered), max(numbered)
        if last - self.first + 1 != len(numbered):
            missing = last - self.first + 1 - len(numbered)
            absent = (n for n in range(self.first, last + 1) if n not in numbered)
            shown = format_frames(tuple(islice(absent, _SHOWN)))
            shown += " ..." if missing > _SHOWN else ""
            raise MotionError(
                f"the pose maps in {folder} go from {self.first} to {last}, "
                f"but {missing} are missing: {shown}",
                hint="Add the missing pictures, or number them without holes.",
            )
        self.count = len(numbered)
        self._paths = [numbered[number] for number in sorted(numbered)]
        self.files: tuple[Path, ...] = tuple(self._paths)
        self.size = self._size(self._paths[0])
        for path in self._paths[1:]:
            size = self._size(path)
            if size != self.size:
                raise MotionError(
                    f"expected pose maps of one size: {self._paths[0].name} has "
                    f"{self.size[0]}x{self.size[1]}, {path.name} has {size[0]}x{size[1]}"
                )

    def number(self, index: int) -> int:
        """Return the frame number of a picture."""
        return self.first + index

    @staticmethod
    def _size(path: Path) -> tuple[int, int]:
        """Return width and height from the header alone: a long sequence opens quickly."""
        # Imported here: only picture folders need it.
        from PIL import Image  # noqa: PLC0415

        with reading(path, MotionError, "a picture"), warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            try:
                with open_file(path) as file, Image.open(file) as image:
                    width, height = image.size
            except Image.DecompressionBombError:
                raise _vast(path, "far more") from None
        if width * height > VIDEO_PIXELS:
            raise _vast(path, f"{width}x{height}")
        return width, height

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a picture, one with alpha laid over black."""
        path = self._paths[index]
        with reading(path, MotionError, "a picture"):
            picture = self._decoded(path)
        height, width = picture.shape[:2]
        if (width, height) != self.size:
            raise MotionError(
                f"expected a picture of {self.size[0]}x{self.size[1]}, {path.name} has "
                f"{width}x{height}"
            )
        return picture

    def _decoded(self, path: Path) -> NDArray[np.uint8]:
        self._size(path)  # before memory is taken for it
        content = read_bytes(path)
        decoded = None
        if content and not is_cut_off(content):
            decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None:
            raise MotionError(f"{path} cannot be read as a picture: it is damaged or cut off")
        if decoded.dtype != np.uint8:
            decoded = (decoded / np.iinfo(decoded.dtype).max * 255).astype(np.uint8)
        if decoded.ndim == 2:
            return np.repeat(decoded[:, :, None], 3, axis=2)
        if decoded.shape[2] == 4:
            alpha = decoded[:, :, 3:].astype(np.uint16)
            decoded = (decoded[:, :, :3] * alpha // 255).astype(np.uint8)
        return np.asarray(decoded[:, :, ::-1], dtype=np.uint8)


def _vast(path: Path, found: str) -> MotionError:
    return MotionError(
        f"expected pose maps of at most {VIDEO_PIXELS // 1_000_000} megapixels, {path.name} has "
        f"{found}",
        hint="Make them smaller: a render takes a few megapixels at most.",
    )


class _Video:
    """Frames of a video or an animated picture, at their places in time."""

    first = FIRST_FRAME

    def __init__(self, path: Path, declared: FrameRate | None) -> None:
        self.files: tuple[Path, ...] = (path,)
        self._info = probe(path, declared=declared)
        self._shown = Shown(path, self._info)
        timing = self._info.timing
        # Of a variable rate the nearest picture in time is shown: maps cannot be mixed.
        self._places = nearest_frames(self._info.times, timing) if timing.variable else None
        self.count, self.size = self._info.frames, self._info.size
        self.rate: FrameRate | None = self._info.rate
        self.notes, self.warnings = self._info.notes, self._info.warnings

    def number(self, index: int) -> int:
        """Return the frame number of a frame."""
        return self.first + index

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return a frame, upright."""
        return self._shown.picture(index if self._places is None else int(self._places[index]))
