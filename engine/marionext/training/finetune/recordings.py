"""Clips before they are encoded: pictures of a video with their poses, or drawn figures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext import capture, footage, pose
from marionext.character import crop_geometry
from marionext.errors import MotionError, OutputError
from marionext.frames import FrameRate, format_frames, parse_frames
from marionext.pose import PoseTrack
from marionext.pose.formats import read_track, write_track
from marionext.pose.people import parse_who
from marionext.pose.skeleton import SEEN_SCORE
from marionext.posemap import PoseMapSource, read_maps
from marionext.training.figures.clips import make_clip
from marionext.training.finetune.clip_list import ClipEntry, pose_file

__all__ = ["Recording", "drawn_figure", "open_recording"]

Picture = NDArray[np.uint8]

REFERENCES = 4
"""Frames of a video that serve as the character's picture."""

SAME_SHAPE = 0.02
"""How far the aspect ratio of poses and video may differ: coders round sizes to even numbers."""

FIRST_SEED = 7_000_000_000
"""Drawn figures from here on: neither trained on nor held out in the training of the puppet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A clip at the size of the training."""

    name: str
    first: int
    """Number of the first picture in the source."""
    rate: FrameRate
    size: tuple[int, int]
    """Width and height of the pictures."""
    pictures: Callable[[], Iterator[Picture]]
    """Gives all pictures in order: (height, width, 3)."""
    points: NDArray[np.float32]
    """(pictures, people, 134, 2) in pixels of the training's size."""
    scores: NDArray[np.float32]
    """(pictures, people, 134)."""
    references: tuple[int, ...]
    """Indices of the pictures that serve as the character's."""
    dance: int
    """Index of the first picture of the dance itself."""
    source: Path | None = None
    """The video; None: drawn."""
    control: Callable[[int], Picture] | None = None
    """Gives the ready-made control picture of an index; None: the poses are drawn."""
    notes: tuple[str, ...] = ()
    """What the user should know."""

    @property
    def count(self) -> int:
        """Number of pictures."""
        return len(self.points)


def drawn_figure(number: int, frames: int, size: tuple[int, int]) -> Recording:
    """Draw the clip of a number: a reference first, then the frames of a dance."""
    clip = make_clip(FIRST_SEED + number, frames, size)
    return Recording(
        name=f"figure {number}",
        first=0,
        rate=FrameRate(Fraction(12)),
        size=size,
        pictures=lambda: iter(clip.frames),
        points=clip.points,
        scores=clip.scores,
        references=(0,),
        dance=1,
    )


def open_recording(
    folder: Path,
    entry: ClipEntry,
    size: tuple[int, int],
    *,
    spare: Path,
    on_progress: Callable[[int, int], None],
) -> Recording:
    """Open a video with its poses, or with its control pictures.

    Args:
        folder: that the entry's paths start from.
        entry: of the list.
        size: width and height of the training's pictures.
        spare: folder for poses that are detected where the video's own folder is closed.
        on_progress: told how many frames of how many are searched for the person.

    Raises:
        EngineError: one of its kinds; the clip cannot be used and the message says why.
    """
    video = folder / entry.video
    info = footage.probe(video)
    notes = list(info.warnings)
    first, count = _span(entry, info.frames)
    maps = None if entry.control is None else _ready_made(folder / entry.control, first, count)
    if maps is None:
        track = _poses(folder, entry, video, spare, on_progress)
        points, scores = _fitting(track, info.size, first, count)
    else:
        points = np.zeros((count, 1, 134, 2), np.float32)
        scores = np.zeros((count, 1, 134), np.float32)
    resized, corner = _crop(info.size, size, points, scores)
    if resized[0] > info.size[0]:
        notes.append(f"{info.size[0]}x{info.size[1]} is enlarged to cover {size[0]}x{size[1]}")
    scale = np.array(resized, np.float32) / np.array(info.size, np.float32)

    def pictures() -> Iterator[Picture]:
        for picture in _on_grid(video, info.rate, first - 1, count):
            yield _cut(picture, resized, corner, size)

    def control(index: int) -> Picture:
        assert maps is not None
        return _cut(maps.frame(first + index), resized, corner, size)

    return Recording(
        name=entry.video,
        first=first,
        rate=info.rate,
        size=size,
        pictures=pictures,
        points=np.asarray(points * scale - np.array(corner, np.float32), np.float32),
        scores=scores,
        references=_references(scores, count, maps is not None),
        dance=0,
        source=video,
        control=None if maps is None else control,
        notes=tuple(notes),
    )


def _span(entry: ClipEntry, frames: int) -> tuple[int, int]:
    """Return number of the first frame and how many there are."""
    if entry.frames is None:
        return 1, frames
    numbers = parse_frames(entry.frames)
    if numbers[-1] - numbers[0] + 1 != len(numbers):
        raise MotionError(f"expected one span of frames such as 1-120, got {entry.frames!r}")
    if numbers[0] < 1 or numbers[-1] > frames:
        raise MotionError(f"frames {entry.frames} were asked for, the video has 1-{frames}")
    return numbers[0], len(numbers)


def _poses(
    folder: Path,
    entry: ClipEntry,
    video: Path,
    spare: Path,
    on_progress: Callable[[int, int], None],
) -> PoseTrack:
    """Read a clip's poses; what is not there is detected and kept, as `marionext track` does."""
    who = parse_who(entry.person)
    kept = folder / entry.poses if entry.poses is not None else pose_file(video)
    apart = spare / f"{entry.video.replace('/', '_')}.npz"
    for place in (kept, apart):
        if entry.poses is not None or place.is_file():
            track = read_track(place)
            several = track.people > 1 and entry.person != "all"
            return pose.choose_person(track, who) if several else track
    track = pose.clean(capture.extract_track(video, person=who, on_progress=on_progress)).track
    try:
        write_track(track, kept)
    except OutputError:
        spare.mkdir(parents=True, exist_ok=True)
        write_track(track, apart)
    return track


def _fitting(
    track: PoseTrack, size: tuple[int, int], first: int, count: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return points in pixels of the video, and scores, of the frames that are used."""
    if not track.people:
        raise MotionError("its poses hold nobody")
    aspects = [width / height for width, height in (track.size, size)]
    if abs(aspects[0] / aspects[1] - 1) > SAME_SHAPE:
        raise MotionError(
            f"its poses belong to another picture: expected {size[0]}x{size[1]} or its shape, "
            f"got {track.size[0]}x{track.size[1]}",
            hint="Delete the pose file to have the poses detected again.",
        )
    missing = tuple(number for number in range(first, first + count) if number not in track.frames)
    if missing:
        raise MotionError(
            f"expected poses for frames {first}-{first + count - 1}, got {track.frames}: "
            f"{format_frames(missing)} are missing",
            hint="Delete the pose file to have the poses detected again, or name the frames to "
            "use in manifest.json.",
        )
    part = slice(first - track.first, first - track.first + count)
    scale = np.array(size, np.float32) / np.array(track.size, np.float32)
    return np.asarray(track.points[part] * scale, np.float32), track.scores[part]


def _ready_made(path: Path, first: int, count: int) -> PoseMapSource:
    """Open control pictures; their colours are taken as they are."""
    maps = read_maps(path, palette="any")
    if first not in maps.frames or first + count - 1 not in maps.frames:
        raise MotionError(
            f"expected control pictures for frames {first}-{first + count - 1}, "
            f"{path.name} has {maps.frames}"
        )
    return maps


def _crop(
    source: tuple[int, int],
    size: tuple[int, int],
    points: NDArray[np.float32],
    scores: NDArray[np.float32],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the size to bring pictures to, and left and top of the cut around the person."""
    resized, corner = crop_geometry(*source, size)
    seen = points[scores > SEEN_SCORE]
    if not len(seen):
        return resized, corner
    centre = np.median(seen, axis=0) * np.array(resized) / np.array(source)
    left, top = (
        int(np.clip(round(float(middle - wanted / 2)), 0, whole - wanted))
        for middle, wanted, whole in zip(centre, size, resized, strict=True)
    )
    return resized, (left, top)


def _cut(
    picture: Picture, resized: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> Picture:
    shrinks = resized[0] < picture.shape[1]
    way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    whole = cv2.resize(picture, resized, interpolation=way)
    left, top = corner
    return np.ascontiguousarray(whole[top : top + size[1], left : left + size[0]], dtype=np.uint8)


def _on_grid(video: Path, rate: FrameRate, start: int, count: int) -> Iterator[Picture]:
    """Give the frame nearest to each tick of the exact rate, as the poses are on it."""
    ticks = iter(range(start, start + count))
    tick = next(ticks)
    before: footage.VideoFrame | None = None
    for frame in footage.read_frames(video):
        while before is not None and rate.seconds(tick) <= (before.time + frame.time) / 2:
            yield before.picture
            following = next(ticks, None)
            if following is None:
                return
            tick = following
        before = frame
    assert before is not None  # the reader raises where there is no frame
    yield before.picture
    for _ in ticks:
        yield before.picture


def _references(scores: NDArray[np.float32], count: int, ready_made: bool) -> tuple[int, ...]:
    """Choose frames that show the character: spread over the clip, those best seen nearby."""
    joints = (scores[:, :, :18] > SEEN_SCORE).sum(axis=2).max(axis=1, initial=0)
    seen = np.ones(count) if ready_made else joints
    chosen = []
    for part in np.array_split(np.arange(count), min(REFERENCES, count)):
        best = part[int(np.argmax(seen[part]))]
        if seen[best] > 0:
            chosen.append(int(best))
    if not chosen:
        raise MotionError("nobody is seen in it")
    return tuple(chosen)
