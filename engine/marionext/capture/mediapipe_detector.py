"""Two passes over a video with MediaPipe: find whom to follow, then look closely.

Pass 1 looks at ten frames a second with the light body network and yields a smooth box around the
chosen person. Pass 2 places the joints with the heavy network on that box, and hands and face on
crops around wrists and head, where they are large enough to be seen: with a person at a third of
the picture's height, a detector fed whole frames finds a third of the hands and no face.

Every body of pass 2 is detected on its own, because MediaPipe's body tracking lags by half a
frame. The video is decoded twice instead of being kept: memory does not grow with its length.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from marionext.capture.closeup import HandFinder, find_face, one_hand_only, place_body
from marionext.capture.detections import Detections, no_person
from marionext.capture.finding import MOST_PEOPLE, sight_people
from marionext.capture.follow import Choice, follow
from marionext.capture.landmarkers import (
    BodyLandmarker,
    FaceLandmarker,
    HandLandmarker,
)
from marionext.capture.mapping import Landmarks, whole_body
from marionext.capture.models import DetectorModels, locate_models
from marionext.capture.pipeline import CloseUp
from marionext.errors import JobCancelled
from marionext.footage import VideoInfo, read_frames
from marionext.pose.skeleton import POINT_COUNT

__all__ = ["detect_people_in_picture", "detect_people_in_video"]

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]
Progress = Callable[[float], None]

_LOOKS_PER_SECOND = 10
_FINDING_PIXELS = 640
"""Longer side of the frames in pass 1."""
_PERSON_PIXELS = 1200
"""Frames of pass 2 are reduced until the person is this large: more shows nothing more."""
_FINDING_SHARE = 0.15
"""Of the time, for the progress."""
_PICTURE_CONFIDENCES = (0.5, 0.2)
"""Drawn characters look less like people: a second try takes a vaguer likeness."""


def detect_people_in_video(
    path: Path,
    info: VideoInfo,
    *,
    person: Choice,
    window: range,
    on_progress: Progress,
    cancelled: Callable[[], bool],
    say: Callable[[str], None] | None = None,
) -> Detections:
    """Detect the chosen person in every frame of a video.

    Args:
        path: the video.
        info: what `probe` says of it.
        person: whom to follow.
        window: the frame indices wanted.
        on_progress: called with the share done, 0 to 1.
        cancelled: polled before every frame.
        say: told what is wrong with the video.

    Raises:
        MotionError: nobody is found, or the video cannot be read.
        ModelError: the networks are missing or damaged.
        JobCancelled: ``cancelled`` returned True.
    """
    models = locate_models()
    boxes, crowded = _find(path, info, models, person, window, on_progress, cancelled)
    sides = (boxes[..., 2:] - boxes[..., :2]).max(-1)
    smallest = max(float(np.median(sides, axis=1).min()), 1.0)
    longest = round(max(info.size) * min(1.0, _PERSON_PIXELS / smallest))
    size = info.fitted(longest)
    scale = np.array(size, np.float32) / np.array(info.size, np.float32)
    frames = read_frames(path, longest=longest, only=window, cancelled=cancelled, say=say)
    found = Detections(info.size, people=len(boxes))
    with CloseUp(models, people=len(boxes), crowded=crowded) as look:
        for frame, people in look.follow(frames, boxes * np.tile(scale, 2), _step(info)):
            # Frames are read ahead of the results: ask here as well.
            if cancelled():
                raise JobCancelled("the capture was cancelled")
            points = np.zeros((len(boxes), POINT_COUNT, 2), np.float32)
            scores = np.zeros((len(boxes), POINT_COUNT), np.float32)
            for number, landmarks in enumerate(people):
                if landmarks is not None:
                    points[number], scores[number] = whole_body(landmarks, size)
            found.add(info.time_of(frame), (points / scale).astype(np.float32), scores)
            done = (frame.index - window.start + 1) / len(window)
            on_progress(_FINDING_SHARE + (1 - _FINDING_SHARE) * min(done, 1.0))
    return found


def detect_people_in_picture(picture: Picture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Detect the largest person in a picture, a photograph or a drawing.

    Args:
        picture: (height, width, 3), RGB.

    Returns:
        Points (1, 134, 2) and scores (1, 134); empty (0, ...) when nobody is found.

    Raises:
        ModelError: the networks are missing or damaged.
    """
    models = locate_models()
    height, width = picture.shape[:2]
    for confidence in _PICTURE_CONFIDENCES:
        with BodyLandmarker(models.finder, people=MOST_PEOPLE, confidence=confidence) as finder:
            boxes = sight_people(picture, finder)
        if not len(boxes):
            continue
        sides = boxes[:, 2:] - boxes[:, :2]
        box = boxes[sides.prod(1).argmax()]
        with (
            BodyLandmarker(models.body, confidence=confidence) as bodies,
            HandLandmarker(models.hand) as hands,
            FaceLandmarker(models.face) as faces,
        ):
            body = place_body(picture, box, bodies, None)
            if body is None:
                continue
            left, right = one_hand_only(
                body,
                *(
                    HandFinder(left=side, searcher=hands, tracker=None).find(picture, body)
                    for side in (True, False)
                ),
            )
            face = find_face(picture, body, faces)
        points, scores = whole_body(
            Landmarks(body=body, left_hand=left, right_hand=right, face=face), (width, height)
        )
        return points[None], scores[None]
    return (
        np.zeros((0, POINT_COUNT, 2), np.float32),
        np.zeros((0, POINT_COUNT), np.float32),
    )


def _find(
    path: Path,
    info: VideoInfo,
    models: DetectorModels,
    person: Choice,
    window: range,
    on_progress: Progress,
    cancelled: Callable[[], bool],
) -> tuple[Floats, bool]:
    """Pass 1: where the chosen people are in every frame.

    Returns:
        (people, frames up to the window's end, 4) boxes in pixels of the video, and whether
        there are other people to confuse them with.
    """
    step = _step(info)
    scale = np.array(info.size) / info.fitted(_FINDING_PIXELS)
    looks: list[Floats] = []
    looked_at: list[int] = []
    with BodyLandmarker(models.finder, people=MOST_PEOPLE) as finder:
        for frame in read_frames(
            path,
            longest=_FINDING_PIXELS,
            only=range(window.start, window.stop, step),
            cancelled=cancelled,
        ):
            looks.append(sight_people(frame.picture, finder) * np.tile(scale, 2))
            looked_at.append(frame.index)
            on_progress(_FINDING_SHARE * (frame.index - window.start) / len(window))
    boxes = follow(
        looks,
        looked_at,
        person=person,
        size=info.size,
        frames=window.stop,
        rate=float(info.rate),
    )
    if not len(boxes):
        raise no_person(path, window, len(looks))
    return boxes, max(len(people) for people in looks) > 1


def _step(info: VideoInfo) -> int:
    """Return how many frames lie between two looks of pass 1."""
    return max(1, round(float(info.rate) / _LOOKS_PER_SECOND))
