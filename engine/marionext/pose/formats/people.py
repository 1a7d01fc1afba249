"""People as OpenPose writes them in JSON, and the several ways others do.

A frame is ``{"people": [{"pose_keypoints_2d": [x, y, score, ...], "face_keypoints_2d": ...,
"hand_left_keypoints_2d": ..., "hand_right_keypoints_2d": ...}]}``. Bodies have 18 joints (COCO) or
25 (BODY_25: the same, a mid hip, six points of the feet), faces 70 points (68 and the pupils) or
68. Parts may be missing, empty or null. Coordinates are pixels, 0..1 or -1..1 (OpenPose's
``--keypoint_scale`` 0, 3 and 4), and nothing in the file says which.
"""

import math
from dataclasses import dataclass
from typing import Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError, SettingsError
from marionext.frames import FrameRate
from marionext.pose.skeleton import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    POINT_COUNT,
    RIGHT_HAND,
    SEEN_SCORE,
)
from marionext.pose.track import PoseTrack

__all__ = [
    "Coordinates",
    "JsonFrame",
    "assemble",
    "flat",
    "frame_object",
    "parse_frame",
    "to_pixels",
    "triplets",
]

Coordinates = Literal["pixels", "unit", "signed"]
"""What a file's coordinates are: pixels, 0..1 or -1..1, both over the whole picture."""

_MOST_PEOPLE = 64
"""With more ids than this a tracker lost people all the time: its ids are not followed."""
_LARGEST = 1e9
"""Coordinates beyond this are no pixels; float32 holds them, and sums of them."""
_NORMALISED_AT_MOST = 3.0
"""Coordinates that all lie within this are taken as normalised: people may stick out of a picture,
yet none fits into three pixels."""
_NEGATIVE_SHARE = 0.2
"""Normalised coordinates are taken as -1..1 when at least this share is negative."""

_BODY25 = (*range(8), *range(9, 19), *range(19, 25))
"""BODY_25's numbers of our body joints and feet; its 8 is the mid hip."""
_HIPS = (8, 11)
_EYES = (slice(36, 42), slice(42, 48))
_PARTS = {
    "face": (FACE, ("face_keypoints_2d", "face_keypoints")),
    "left hand": (LEFT_HAND, ("hand_left_keypoints_2d", "hand_left_keypoints")),
    "right hand": (RIGHT_HAND, ("hand_right_keypoints_2d", "hand_right_keypoints")),
    "feet": (FEET, ("foot_keypoints_2d",)),
}
_BODY_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_SCORES = "marionext_scores"


@dataclass(frozen=True, slots=True)
class JsonFrame:
    """One frame as read, in the file's own coordinates."""

    points: NDArray[np.float64]
    """(people, 134, 2)."""
    scores: NDArray[np.float64]
    """(people, 134)."""
    canvas: tuple[int, int] | None
    """Width and height of the picture, if the file says."""
    rate: str | None
    """Frames per second, if the file says (ours do)."""
    ids: tuple[int | None, ...]
    """Who each of the people is, where the file tells: the same number is the same person."""


def parse_frame(value: object, where: str) -> JsonFrame:
    """Read one frame.

    Args:
        value: the frame, as JSON.
        where: file and frame, for error messages.

    Raises:
        MotionError: it is not such a frame.
    """
    if not isinstance(value, dict):
        raise MotionError(f"{where}: expected an object with 'people', found {_kind(value)}")
    people = value.get("people")
    if not isinstance(people, list):
        keys = ", ".join(map(repr, list(value)[:5])) or "none"
        raise MotionError(f"{where}: expected a list 'people' (OpenPose JSON), found keys: {keys}")
    poses = [_parse_person(person, f"{where}, person {i}") for i, person in enumerate(people)]
    points = np.zeros((len(poses), POINT_COUNT, 2))
    scores = np.zeros((len(poses), POINT_COUNT))
    for index, pose in enumerate(poses):
        points[index], scores[index] = pose[:, :2], pose[:, 2]
    width, height = value.get("canvas_width"), value.get("canvas_height")
    canvas = None
    if _is_number(width) and _is_number(height) and min(width, height) >= 1:
        canvas = (round(width), round(height))
    rate = value.get("frame_rate")
    ids = tuple(_id_or_none(person.get("person_id")) for person in people)
    return JsonFrame(points, scores, canvas, rate if isinstance(rate, str) else None, ids)


def _parse_person(person: object, where: str) -> NDArray[np.float64]:
    """Read one person: (134, 3) of x, y, score."""
    if not isinstance(person, dict):
        raise MotionError(f"{where}: expected an object with keypoints, found {_kind(person)}")
    pose = np.zeros((POINT_COUNT, 3))
    body = triplets(_first(person, _BODY_KEYS), f"{where}, body")
    if len(body) == BODY.stop:
        pose[BODY] = body
    elif len(body) == len(_BODY25) + 1:
        pose[: FEET.stop] = body[list(_BODY25)]
    elif len(body):
        raise MotionError(
            f"{where}: expected 18 or 25 body keypoints of three numbers, found {len(body)}"
        )
    for name, (place, keys) in _PARTS.items():
        part = triplets(_first(person, keys), f"{where}, {name}")
        count = place.stop - place.start
        expected = (68, 70) if place is FACE else (count,)
        if len(part) in expected:
            pose[place] = part[:count]
        elif len(part):
            wanted = " or ".join(map(str, expected))
            raise MotionError(f"{where}: expected {wanted} points of the {name}, got {len(part)}")
    scores = person.get(_SCORES)
    if isinstance(scores, list) and len(scores) == POINT_COUNT and all(map(_is_number, scores)):
        pose[:, 2] = scores
    # Gaps are written as zeros by some and as -1 by others; neither is a place.
    pose[pose[:, 2] == 0] = 0
    return pose


def _id_or_none(value: object) -> int | None:
    """Read OpenPose's ``person_id``, a list of one number; -1 says that nobody was followed."""
    number = value[0] if isinstance(value, list) and len(value) == 1 else None
    return number if isinstance(number, int) and number >= 0 else None


def _first(person: dict[str, object], keys: tuple[str, ...]) -> object:
    """Return the value of the first of the keys that is there, or None."""
    return next((person[key] for key in keys if person.get(key) is not None), None)


def triplets(value: object, where: str) -> NDArray[np.float64]:
    """Read x, y, score, x, y, score ...: (points, 3), none where ``value`` is None or empty.

    Raises:
        MotionError: it is no list of numbers, or their count is not a multiple of three.
    """
    if value is None:
        return np.zeros((0, 3))
    if not isinstance(value, list):
        raise MotionError(f"{where}: expected a list of numbers, found {_kind(value)}")
    if len(value) % 3:
        raise MotionError(f"{where}: expected x, y, score for each point, got {len(value)} numbers")
    for number in value:
        if not _is_number(number):
            raise MotionError(
                f"{where}: expected finite numbers, found {number!r}",
                hint="Set unknown points to 0, 0 with score 0.",
            )
    return np.array(value, np.float64).reshape(-1, 3)


def to_pixels(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    size: tuple[int, int] | None,
    coordinates: Coordinates | None,
    where: str,
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Turn a whole file's coordinates into pixels; find out what they are unless told.

    A person who stays in the lower right quarter of a -1..1 picture looks like one of 0..1: then
    the caller has to know.

    Args:
        points: (..., 134, 2).
        scores: (..., 134).
        size: width and height of the picture.
        coordinates: what they are, None to find out.
        where: the file, for the error message.

    Returns:
        Points in pixels, and the size.

    Raises:
        MotionError: the size is needed and not known.
    """
    known = points[scores > 0]
    if coordinates is None:
        coordinates = "pixels"
        if known.size and np.abs(known).max() <= _NORMALISED_AT_MOST:
            coordinates = "signed" if (known < 0).mean() >= _NEGATIVE_SHARE else "unit"
    if size is None:
        raise MotionError(
            f"{where} does not say how large the picture is that its keypoints lie in",
            hint="Give the size of the video they were found in, such as 1080x1920.",
        )
    if coordinates == "pixels":
        return points, size
    extent = np.array(size, np.float64)
    placed = points * extent if coordinates == "unit" else (points + 1) / 2 * extent
    # Unknown points stay at 0, so that reading what was written gives the same arrays.
    return np.where(scores[..., None] == 0, 0, placed), size


def assemble(
    frames: dict[int, JsonFrame],
    where: str,
    *,
    size: tuple[int, int] | None,
    rate: FrameRate | None,
    first: int | None,
    coordinates: Coordinates | None,
) -> PoseTrack:
    """Make a track of frames by number; numbers left out become frames where nobody is seen.

    Args:
        frames: frame number to frame, at least one.
        where: the file or folder, for error messages.
        size: width and height, None to take the file's own.
        rate: None to take the file's own, or 30 where it has none.
        first: number of the first frame, None to take the file's.
        coordinates: what the coordinates are, None to find out.

    Raises:
        MotionError: the size is not known, or differs from frame to frame.
    """
    start, stop = min(frames), max(frames) + 1
    slots = _slots(frames)
    people = max((max(places) + 1 for places in slots.values() if places), default=0)
    points = np.zeros((stop - start, people, POINT_COUNT, 2))
    scores = np.zeros(points.shape[:3])
    for number, frame in frames.items():
        points[number - start, slots[number]] = frame.points
        scores[number - start, slots[number]] = frame.scores
    sizes = sorted({frame.canvas for frame in frames.values() if frame.canvas is not None})
    if size is None and len(sizes) > 1:
        found = ", ".join(f"{width}x{height}" for width, height in sizes[:3])
        raise MotionError(f"{where}: expected pictures of one size, found {found}")
    known = size or (sizes[0] if sizes else None)
    pixels, known = to_pixels(points, scores, known, coordinates, where)
    rates = [frame.rate for frame in frames.values() if frame.rate is not None]
    try:
        rate = rate or FrameRate.parse(rates[0] if rates else "30")
    except SettingsError as error:
        raise MotionError(f"{where}: {error.message}") from None
    return PoseTrack(
        points=pixels.astype(np.float32),
        scores=scores.astype(np.float32),
        size=known,
        rate=rate,
        first=start if first is None else first,
    )


def _slots(frames: dict[int, JsonFrame]) -> dict[int, list[int]]:
    """Return for each frame the places of its people in the track.

    Where everybody has an id, those of one id share a place; else people are as the file has them.
    """
    ids = {person for frame in frames.values() for person in frame.ids}
    known = sorted(person for person in ids if person is not None)
    distinct = all(len(set(frame.ids)) == len(frame.ids) for frame in frames.values())
    if None in ids or not distinct or len(known) > _MOST_PEOPLE:
        return {number: list(range(len(frame.points))) for number, frame in frames.items()}
    place = {person: index for index, person in enumerate(known)}
    return {
        number: [place[person] for person in frame.ids if person is not None]
        for number, frame in frames.items()
    }


def frame_object(track: PoseTrack, index: int, *, comfy: bool) -> dict[str, object]:
    """Return one frame of a track as JSON, in pixels; people who are not seen are left out.

    Args:
        track: the track.
        index: which frame, from 0.
        comfy: 18 joints and scores of 0 and 1, since ComfyUI's nodes take every score below 1 as
            unseen; the true scores stand beside. Otherwise BODY_25 and 70 points a face.
    """
    people = []
    for number, (points, scores) in enumerate(
        zip(track.points[index], track.scores[index], strict=True)
    ):
        if not scores.any():
            continue
        pose = np.column_stack([points, scores])
        pose[scores == 0] = 0
        extra: dict[str, object] = {}
        if comfy:
            extra[_SCORES] = flat(pose[:, 2])
            pose[:, 2] = pose[:, 2] >= SEEN_SCORE
            extra["foot_keypoints_2d"] = flat(pose[FEET])
        people.append(
            {
                "person_id": [number],
                "pose_keypoints_2d": flat(pose[BODY] if comfy else _body25(pose)),
                "face_keypoints_2d": flat(pose[FACE] if comfy else _face70(pose[FACE])),
                "hand_left_keypoints_2d": flat(pose[LEFT_HAND]),
                "hand_right_keypoints_2d": flat(pose[RIGHT_HAND]),
            }
            | extra
        )
    width, height = track.size
    return {
        "version": 1.3,
        "people": people,
        "canvas_width": width,
        "canvas_height": height,
        "frame_rate": str(track.rate),
    }


def _body25(pose: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return BODY_25 of a person: ours, with the mid hip between the hips."""
    body = np.zeros((25, 3), np.float32)
    body[list(_BODY25)] = pose[: FEET.stop]
    body[8] = _middle(pose[list(_HIPS)])
    return body


def _face70(face: NDArray[np.float32]) -> NDArray[np.float32]:
    """Add the pupils: the middles of the eyes."""
    return np.vstack([face, *(_middle(face[eye])[None] for eye in _EYES)])


def _middle(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of (n, 3) points with the lowest score, unseen if one of them is."""
    lowest = points[:, 2].min()
    return np.array([*points[:, :2].mean(0), lowest] if lowest > 0 else [0, 0, 0], np.float32)


def flat(values: NDArray[np.float32]) -> list[float]:
    """Return numbers for JSON with as few digits as give back the same float32."""
    return [float(text) for text in values.astype(np.float32).reshape(-1).astype(str)]


def _is_number(value: object) -> TypeGuard[int | float]:
    """Tell whether a JSON value is a finite number that float32 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and abs(value) < _LARGEST


def _kind(value: object) -> str:
    """Name a JSON value's type as its users do."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "nothing" if value is None else "a number")
