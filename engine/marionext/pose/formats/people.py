"""People as OpenPose writes them in JSON, and the several ways others do.

A frame is ``{"people": [{"pose_keypoints_2d": [x, y, score, ...], "face_keypoints_2d": ...,
"hand_left_keypoints_2d": ..., "hand_right_keypoints_2d": ...}]}``. Bodies have 18 joints (COCO
and a neck), 25 (BODY_25: also a mid hip and six points of the feet), 26 (HALPE) or 17 (COCO alone),
faces 70 points (68 and the pupils) or 68. Parts may be missing, empty or null; one of another form
costs that part, not the clip. Editors write ``width`` and ``height`` for the canvas, or a list
``keypoints`` of pairs for each person. Coordinates are pixels, 0..1 or -1..1 (OpenPose's
``--keypoint_scale`` 0, 3 and 4), and nothing in the file says which.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError, SettingsError
from marionext.frames import FrameRate
from marionext.limits import PICTURE_SIDE, quoted
from marionext.pose.formats.files import check_poses
from marionext.pose.formats.remarks import Remarks
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
    "count_people",
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
_USUAL_SIZES = (
    (512, 512), (576, 1024), (640, 480), (720, 1280), (768, 1024), (1024, 1024), (1080, 1920),
    (1440, 2560), (2160, 3840), (4320, 7680),
)  # fmt: skip
"""Pictures that keypoints are usually found in, in pixels."""
_LARGEST = 1e9
"""Coordinates beyond this are no pixels; float32 holds them, and sums of them."""
_NORMALISED_AT_MOST = 3.0
"""Coordinates that all lie within this are taken as normalised: people may stick out of a picture,
yet none fits into three pixels."""
_NEGATIVE_SHARE = 0.2
"""Normalised coordinates are taken as -1..1 when at least this share is negative."""

_BODY25 = (*range(8), *range(9, 19), *range(19, 25))
"""BODY_25's numbers of our body joints and feet; its 8 is the mid hip."""
_COCO17 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
"""Where COCO's 17 joints stand in ours; it has no neck."""
_HALPE = (*_COCO17, None, 1, None, 18, 21, 19, 22, 20, 23)
"""Where HALPE's 26 joints stand in ours: COCO's, the top of the head, neck, hip, and feet."""
_HIPS = (8, 11)
_EYES = (slice(36, 42), slice(42, 48))
_PARTS = {
    "face": (FACE, ("face_keypoints_2d", "face_keypoints")),
    "left hand": (LEFT_HAND, ("hand_left_keypoints_2d", "hand_left_keypoints")),
    "right hand": (RIGHT_HAND, ("hand_right_keypoints_2d", "hand_right_keypoints")),
    "feet": (FEET, ("foot_keypoints_2d",)),
}
_LISTS = ("people", "keypoints")
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


def count_people(value: object) -> int:
    """Return how many people a frame lists, before anything is made of them."""
    if isinstance(value, list):
        return sum(map(count_people, value[:1]))
    if not isinstance(value, dict):
        return 0
    return sum(len(value[key]) for key in _LISTS if isinstance(value.get(key), list))


def parse_frame(value: object, where: str, remarks: Remarks) -> JsonFrame:
    """Read one frame.

    Args:
        value: the frame, as JSON; null is a frame without people.
        where: file and frame, for messages.
        remarks: takes note of what is left out.

    Raises:
        MotionError: it is not such a frame.
    """
    if isinstance(value, list) and len(value) == 1:
        value = value[0]  # a frame in a file of its own, written as a clip of one
    if value is None:
        remarks.add("a frame that is null is one without people", where)
        value = {"people": []}
    if not isinstance(value, dict):
        raise MotionError(f"{where}: expected an object with 'people', found {_kind(value)}")
    people = _people(value, where, remarks)
    poses = [
        _parse_person(person, f"{where}, person {i}", remarks) for i, person in enumerate(people)
    ]
    points = np.zeros((len(poses), POINT_COUNT, 2))
    scores = np.zeros((len(poses), POINT_COUNT))
    for index, pose in enumerate(poses):
        points[index], scores[index] = pose[:, :2], pose[:, 2]
    width, height = (value.get(f"canvas_{side}", value.get(side)) for side in ("width", "height"))
    canvas = None
    if _is_number(width) and _is_number(height) and min(width, height) >= 1:
        canvas = (round(width), round(height))
    rate = value.get("frame_rate")
    ids = tuple(_id_or_none(person.get("person_id")) for person in people)
    return JsonFrame(points, scores, canvas, rate if isinstance(rate, str) else None, ids)


def _people(frame: dict[str, object], where: str, remarks: Remarks) -> list[dict[str, object]]:
    """Return the people of a frame as OpenPose has them.

    Raises:
        MotionError: it has none of the keys that people stand under.
    """
    if "people" not in frame and isinstance(frame.get("keypoints"), list):
        return [_from_pairs(person) for person in cast(list[object], frame["keypoints"])]
    if "people" not in frame:
        keys = ", ".join(map(repr, list(frame)[:5])) or "none"
        raise MotionError(f"{where}: expected a list 'people' (OpenPose JSON), found keys: {keys}")
    people = frame["people"]
    if people is None:
        return []
    if not isinstance(people, list):
        raise MotionError(f"{where}: expected a list of people, found {_kind(people)}")
    known: list[dict[str, object]] = []
    for person in people:
        if isinstance(person, dict):
            known.append(person)
        else:
            remarks.add(f"a person that is {_kind(person)} is left out", where)
    return known


def _from_pairs(person: object) -> dict[str, object]:
    """Turn an editor's list of x, y for each joint into OpenPose's; 0, 0 and null are unseen."""
    body: list[object] = []
    for pair in person if isinstance(person, list) else []:
        known = isinstance(pair, list) and len(pair) >= 2 and any(pair[:2])
        body += [*pair[:2], 1.0] if known else [0.0, 0.0, 0.0]
    return {"pose_keypoints_2d": body}


def _parse_person(person: dict[str, object], where: str, remarks: Remarks) -> NDArray[np.float64]:
    """Read one person: (134, 3) of x, y, score."""
    pose = np.zeros((POINT_COUNT, 3))
    body = _part(_first(person, _BODY_KEYS), "body", where, remarks)
    if len(body) == BODY.stop:
        pose[BODY] = body
    elif len(body) == len(_BODY25) + 1:
        pose[: FEET.stop] = body[list(_BODY25)]
    elif len(body) == len(_HALPE):
        places = [place for place in _HALPE if place is not None]
        pose[places] = body[[place is not None for place in _HALPE]]
    elif len(body) == len(_COCO17):
        pose[list(_COCO17)] = body
        pose[1] = _middle(pose[[2, 5]])
    elif len(body):
        remarks.add(
            f"a body of {len(body)} keypoints is left out (expected 17, 18, 25 or 26)", where
        )
    for name, (place, keys) in _PARTS.items():
        part = _part(_first(person, keys), name, where, remarks)
        count = place.stop - place.start
        expected = (68, 70) if place is FACE else (count,)
        if len(part) in expected:
            pose[place] = part[:count]
        elif len(part):
            wanted = " or ".join(map(str, expected))
            remarks.add(f"a {name} of {len(part)} points is left out (expected {wanted})", where)
    scores = person.get(_SCORES)
    if isinstance(scores, list) and len(scores) == POINT_COUNT and all(map(_is_number, scores)):
        pose[:, 2] = scores
    # Gaps are written as zeros by some and as -1 by others; neither is a place.
    pose[pose[:, 2] == 0] = 0
    return pose


def _id_or_none(value: object) -> int | None:
    """Read OpenPose's ``person_id``, a list of one number; -1 says that nobody was followed."""
    number = value[0] if isinstance(value, list) and len(value) == 1 else value
    return number if isinstance(number, int) and number >= 0 else None


def _first(person: dict[str, object], keys: tuple[str, ...]) -> object:
    """Return the value of the first of the keys that is there, or None."""
    return next((person[key] for key in keys if person.get(key) is not None), None)


def _part(value: object, name: str, where: str, remarks: Remarks) -> NDArray[np.float64]:
    """Read a part of a person: (points, 3); one that cannot be read is left out, and said."""
    try:
        return triplets(value, f"{where}, {name}")
    except MotionError as error:
        remarks.add(f"a {name} that cannot be read is left out", error.message)
        return np.zeros((0, 3))


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
                f"{where}: expected finite numbers, found {quoted(number)}",
                hint="Set unknown points to 0, 0 with score 0.",
            )
    return np.array(value, np.float64).reshape(-1, 3)


def to_pixels(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    size: tuple[int, int] | None,
    coordinates: Coordinates | None,
    where: str,
    remarks: Remarks,
) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Turn a whole file's coordinates into pixels; find out what they are unless told.

    A person who stays in the lower right quarter of a -1..1 picture looks like one of 0..1: then
    the caller has to know.

    Args:
        points: (..., 134, 2).
        scores: (..., 134).
        size: width and height of the picture.
        coordinates: what they are, None to find out.
        where: the file, for messages.
        remarks: takes note of a size that was guessed.

    Returns:
        Points in pixels, and the size.

    Raises:
        MotionError: the size is needed, not known, and cannot be guessed.
    """
    known = points[scores > 0]
    told = coordinates is not None
    if coordinates is None:
        coordinates = "pixels"
        if known.size and np.abs(known).max() <= _NORMALISED_AT_MOST:
            coordinates = "signed" if (known < 0).mean() >= _NEGATIVE_SHARE else "unit"
    if size is None and coordinates == "pixels" and known.size:
        size = _usual_size(known)
        remarks.add(
            "the size of the picture is not in the file: taken for "
            f"{size[0]}x{size[1]}, the smallest usual one that holds all points; if it is another, "
            "say --source-size WIDTHxHEIGHT",
            where,
        )
    if size is None:
        raise MotionError(
            f"{where} does not say how large the picture is that its keypoints lie in",
            hint="Say --source-size with the size of the video, such as 1080x1920.",
        )
    if coordinates == "pixels":
        found = points if told else _parts_in_pixels(points, scores, size, where, remarks)
        return found, size
    extent = np.array(size, np.float64)
    placed = points * extent if coordinates == "unit" else (points + 1) / 2 * extent
    # Unknown points stay at 0, so that reading what was written gives the same arrays.
    return np.where(scores[..., None] == 0, 0, placed), size


def _parts_in_pixels(
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    size: tuple[int, int],
    where: str,
    remarks: Remarks,
) -> NDArray[np.float64]:
    """Bring parts to pixels whose coordinates are from 0 to 1 though others are pixels.

    Some editors normalise the body alone.
    """
    placed = points.copy()
    for name, part in (("body", BODY), *((name, place) for name, (place, _) in _PARTS.items())):
        known = points[..., part, :][scores[..., part] > 0]
        if len(known) > 1 and known.min() >= 0 and known.max() <= 1 and known.max() > 0:
            placed[..., part, :] *= np.array(size, np.float64)
            remarks.add(f"the {name}'s coordinates are taken as 0 to 1, others are pixels", where)
    return placed


def _usual_size(known: NDArray[np.float64]) -> tuple[int, int]:
    """Return the smallest usual picture that holds (points, 2) pixels, a little overshoot aside.

    Of two as large, the upright one goes before where the points spread more in height.
    """
    low, high = np.percentile(known, 1, axis=0), np.percentile(known, 99, axis=0)
    upright = high[1] - low[1] >= high[0] - low[0]
    sizes = sorted(
        {(w, h) for pair in _USUAL_SIZES for w, h in (pair, pair[::-1])},
        key=lambda size: (size[0] * size[1], (size[1] < size[0]) == upright),
    )
    fitting = [size for size in sizes if high[0] <= size[0] and high[1] <= size[1]]
    if fitting:
        return fitting[0]
    width, height = (int(-(-side // 64) * 64) for side in high)
    return min(max(width, 64), PICTURE_SIDE), min(max(height, 64), PICTURE_SIDE)


def assemble(
    frames: dict[int, JsonFrame],
    path: Path,
    remarks: Remarks,
    *,
    bytes_read: int,
    size: tuple[int, int] | None,
    rate: FrameRate | None,
    first: int | None,
    coordinates: Coordinates | None,
) -> PoseTrack:
    """Make a track of frames by number; numbers left out become frames where nobody is seen.

    Args:
        frames: frame number to frame, at least one.
        path: the file or folder, for messages.
        remarks: takes note of what was concluded.
        bytes_read: of the file, or of all files.
        size: width and height, None to take the file's own.
        rate: None to take the file's own, or 30 where it has none.
        first: number of the first frame, None to take the file's.
        coordinates: what the coordinates are, None to find out.

    Raises:
        MotionError: the size is not known, or differs from frame to frame.
    """
    where = str(path)
    start, stop = min(frames), max(frames) + 1
    slots = _slots(frames)
    people = max((max(places) + 1 for places in slots.values() if places), default=0)
    check_poses(path, bytes_read, stop - start, people)
    points = np.zeros((stop - start, people, POINT_COUNT, 2))
    scores = np.zeros(points.shape[:3])
    for number, frame in frames.items():
        points[number - start, slots[number]] = frame.points
        scores[number - start, slots[number]] = frame.scores
    if not (scores > 0).any() and remarks.texts:
        raise MotionError(f"nobody can be read from {where}: {remarks.texts[0]}")
    sizes = sorted({frame.canvas for frame in frames.values() if frame.canvas is not None})
    if size is None and len(sizes) > 1:
        found = ", ".join(f"{width}x{height}" for width, height in sizes[:3])
        raise MotionError(f"{where}: expected pictures of one size, found {found}")
    if sizes and max(sizes[0]) > PICTURE_SIDE:
        raise MotionError(
            f"{where}: expected a picture of at most {PICTURE_SIDE:,} pixels a side, found "
            f"{sizes[0][0]}x{sizes[0][1]}",
            hint="Say --source-size with the size of the video, such as 1080x1920.",
        )
    known = size or (sizes[0] if sizes else None)
    pixels, known = to_pixels(points, scores, known, coordinates, where, remarks)
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


def _middle(points: NDArray[np.floating]) -> NDArray[np.float32]:
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
    return abs(value) < _LARGEST  # False for NaN; whole numbers may have any number of digits


def _kind(value: object) -> str:
    """Name a JSON value's type as its users do."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "nothing" if value is None else "a number")
