"""COCO-WholeBody JSON: 133 keypoints a person, as data sets and many detectors write them.

Two shapes are read. A data set: ``images`` and ``annotations``, an annotation holding
``keypoints`` (17 joints), ``foot_kpts``, ``face_kpts``, ``lefthand_kpts``, ``righthand_kpts`` - or
all 133 in ``keypoints``. And a detector's results: a list of such annotations without images.
The format is described in the repository jin-s13/COCO-WholeBody (data_format.md).
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.files import reading
from marionext.frames import FrameRate
from marionext.limits import FRAME_NUMBER
from marionext.pose.formats.files import (
    check_poses,
    frame_number_or_none,
    read_json,
    write_json,
)
from marionext.pose.formats.people import Coordinates, JsonFrame, assemble, flat, triplets
from marionext.pose.formats.remarks import Remarks
from marionext.pose.skeleton import BODY_NAMES
from marionext.pose.track import PoseTrack
from marionext.pose.wholebody import WHOLE_BODY_COUNT, from_whole_body, to_whole_body

__all__ = ["read_coco", "write_coco"]

_PARTS = {
    "keypoints": slice(0, 17),
    "foot_kpts": slice(17, 23),
    "face_kpts": slice(23, 91),
    "lefthand_kpts": slice(91, 112),
    "righthand_kpts": slice(112, 133),
}
_VALID = {"face_kpts": "face_valid", "lefthand_kpts": "lefthand_valid"} | {
    "righthand_kpts": "righthand_valid",
    "foot_kpts": "foot_valid",
}
_COCO_NAMES = tuple(
    BODY_NAMES[index] for index in (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)
)
_FLAG_SCORES = np.array([0.0, 0.5, 1.0])
"""What COCO's visibility means as a score: not labelled; labelled but hidden; seen."""
_LONGEST_GAP = 1000
_MOST_HOLES_PER_IMAGE = 100


def read_coco(
    path: Path,
    *,
    size: tuple[int, int] | None = None,
    rate: FrameRate | None = None,
    first: int | None = None,
    coordinates: Coordinates | None = None,
    remarks: Remarks | None = None,
) -> PoseTrack:
    """Read COCO-WholeBody JSON: data set or results.

    The frame number is the last number in an image's file name, else its id; where those do not
    make a sequence (ids of a photo collection), images are numbered in order. A body whose third
    numbers are visibility flags (0, 1, 2) gets scores of 0, 0.5, 1. The neck is computed.

    Raises:
        MotionError: the file is something else, holds no image, or the size is not known.
    """
    with reading(path, MotionError, "COCO-WholeBody JSON"):
        return _read(path, size, rate, first, coordinates, remarks or Remarks())


def _read(
    path: Path,
    size: tuple[int, int] | None,
    rate: FrameRate | None,
    first: int | None,
    coordinates: Coordinates | None,
    remarks: Remarks,
) -> PoseTrack:
    value = read_json(path)
    images: list[object] = []
    info: object = None
    if isinstance(value, list):
        annotations = value
    elif isinstance(value, dict) and isinstance(value.get("annotations"), list):
        annotations = value["annotations"]
        images = value["images"] if isinstance(value.get("images"), list) else []
        info = value.get("info")
    else:
        raise MotionError(f"expected COCO-WholeBody JSON in {path}, found no 'annotations'")
    bytes_read = path.stat().st_size
    check_poses(path, bytes_read, 1, len(annotations))
    poses: dict[int, list[NDArray[np.float64]]] = {}
    ids: dict[int, list[int | None]] = {}
    for index, annotation in enumerate(annotations):
        where = f"{path}, annotation {index}"
        try:
            image, pose = _parse_annotation(annotation, where)
        except MotionError as error:
            if len(annotations) == 1:
                raise
            remarks.add("an annotation that cannot be read is left out", error.message)
            continue
        poses.setdefault(image, []).append(pose)
        who = annotation.get("track_id")
        ids.setdefault(image, []).append(who if isinstance(who, int) else None)
    _flags_to_scores(poses)
    canvases, numbers = _number_images(images, sorted(poses), path)
    written_rate = info.get("frame_rate") if isinstance(info, dict) else None
    frames = {}
    for image, number in numbers.items():
        stacked = np.array(poses.get(image, [])).reshape(-1, WHOLE_BODY_COUNT, 3)
        points, scores = from_whole_body(
            stacked[..., :2].astype(np.float32), stacked[..., 2].astype(np.float32)
        )
        frames[number] = JsonFrame(
            points.astype(np.float64),
            scores.astype(np.float64),
            canvases.get(image),
            written_rate if isinstance(written_rate, str) else None,
            tuple(ids.get(image, ())),
        )
    if not frames:
        raise MotionError(f"expected at least one image in {path}, found none")
    return assemble(
        frames, path, remarks, bytes_read=bytes_read,
        size=size, rate=rate, first=first, coordinates=coordinates,
    )  # fmt: skip


def _parse_annotation(annotation: object, where: str) -> tuple[int, NDArray[np.float64]]:
    """Read one person: image id, and (133, 3) of x, y, score."""
    if not isinstance(annotation, dict) or not isinstance(annotation.get("image_id"), int):
        raise MotionError(f"{where}: expected an object with keypoints and a whole 'image_id'")
    image = int(annotation["image_id"])
    pose = np.zeros((WHOLE_BODY_COUNT, 3))
    for name, place in _PARTS.items():
        part = triplets(annotation.get(name), f"{where}, {name}")
        if name == "keypoints" and len(part) == WHOLE_BODY_COUNT:
            return image, part
        expected = place.stop - place.start
        if len(part) not in (0, expected):
            raise MotionError(f"{where}: expected {expected} points in {name!r}, found {len(part)}")
        if len(part) and annotation.get(_VALID.get(name, ""), True):
            pose[place] = part
    return image, pose


def _flags_to_scores(poses: dict[int, list[NDArray[np.float64]]]) -> None:
    """Where the bodies carry visibility flags instead of scores, make scores of them, in place."""
    everyone = [pose for people in poses.values() for pose in people]
    if not everyone:
        return
    flags = np.array(everyone)[:, :17, 2]
    if flags.max() == len(_FLAG_SCORES) - 1 and np.isin(flags, range(len(_FLAG_SCORES))).all():
        for pose in everyone:
            pose[:17, 2] = _FLAG_SCORES[pose[:17, 2].astype(int)]


def _number_images(
    images: list[object], annotated: list[int], path: Path
) -> tuple[dict[int, tuple[int, int]], dict[int, int]]:
    """Return each image's size (where it has one) and its frame number."""
    canvases: dict[int, tuple[int, int]] = {}
    names: dict[int, int | None] = {}
    for index, image in enumerate(images):
        number = image.get("id") if isinstance(image, dict) else None
        if not (isinstance(image, dict) and isinstance(number, int)) or number in names:
            raise MotionError(f"{path}, image {index}: expected an object with an 'id' of its own")
        width, height = image.get("width"), image.get("height")
        if isinstance(width, int) and isinstance(height, int) and min(width, height) >= 1:
            canvases[number] = (width, height)
        name = image.get("file_name")
        stem = Path(name).stem if isinstance(name, str) else ""
        names[number] = frame_number_or_none(stem)
    for number in annotated:
        if images and number not in names:
            raise MotionError(f"{path}: expected an image for every annotation, {number} has none")
        names.setdefault(number, None)
    by_name = {number: name for number, name in names.items() if name is not None}
    if len(set(by_name.values())) == len(names) and _is_sequence(list(by_name.values())):
        return canvases, by_name
    if _is_sequence(list(names)):
        return canvases, {number: number for number in names}
    return canvases, {number: index for index, number in enumerate(names)}


def _is_sequence(numbers: list[int]) -> bool:
    """Tell whether numbers are those of a clip's frames: no implausibly long gap."""
    ordered = sorted(numbers)
    if not ordered or ordered[-1] - ordered[0] > _MOST_HOLES_PER_IMAGE * (len(ordered) + 1):
        return False
    if max(abs(ordered[0]), abs(ordered[-1])) > FRAME_NUMBER:
        return False
    return all(b - a <= _LONGEST_GAP for a, b in pairwise(ordered))


def write_coco(track: PoseTrack, path: Path) -> None:
    """Write a COCO-WholeBody data set with one image a frame, in pixels, with scores.

    The neck has no place in it. Rate stands under ``info``; people who are not seen are left out.

    Raises:
        OutputError: it cannot be written.
    """
    width, height = track.size
    images: list[object] = []
    annotations: list[object] = []
    for index, number in enumerate(range(track.first, track.first + len(track))):
        images.append(
            {"id": index, "file_name": f"{number:06d}.png", "width": width, "height": height}
        )
        people = zip(*to_whole_body(track.points[index], track.scores[index]), strict=True)
        for person, (points, scores) in enumerate(people):
            if scores.any():
                names = {"id": len(annotations), "image_id": index, "track_id": person}
                annotations.append(names | _annotation(points, scores))
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(_COCO_NAMES),
        "skeleton": [],
    }
    write_json(
        path,
        {
            "info": {"description": "Marionext pose track", "frame_rate": str(track.rate)},
            "images": images,
            "annotations": annotations,
            "categories": [category],
        },
    )


def _annotation(points: NDArray[np.float32], scores: NDArray[np.float32]) -> dict[str, object]:
    """Return one person as JSON."""
    pose = np.column_stack([points, scores])
    known = scores > 0
    pose[scores == 0] = 0
    left, top = points[known].min(0) if known.any() else np.zeros(2, np.float32)
    right, bottom = points[known].max(0) if known.any() else np.zeros(2, np.float32)
    box = flat(np.array([left, top, right - left, bottom - top]))
    return (
        {"category_id": 1, "iscrowd": 0}
        | {"bbox": box, "area": box[2] * box[3], "num_keypoints": int(known[:17].sum())}
        | {name: flat(pose[place]) for name, place in _PARTS.items()}
        | {flag: bool(known[_PARTS[name]].any()) for name, flag in _VALID.items()}
    )
