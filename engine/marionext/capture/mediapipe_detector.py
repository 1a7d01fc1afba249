"""Two passes over a video with MediaPipe: find whom to follow, then look closely.

Pass 1 looks at ten frames a second with the light body network and yields a smooth box around the
chosen person. Pass 2 places the joints with the heavy network on that box, and hands and face on
crops around wrists and head, where they are large enough to be seen: with a person at a third of
the picture's height, a detector fed whole frames finds a third of the hands and no face.

Every frame of pass 2 is detected on its own, because MediaPipe's body tracking lags by half a
frame. The body networks, the two hands and the face work in threads of their own; results are
collected in order, so a run gives the same numbers whatever the number of threads. The video is
decoded twice instead of being kept: memory does not grow with its length.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marionext.capture.closeup import HandFinder, find_face, one_hand_only, place_body
from marionext.capture.detections import Detections, no_person
from marionext.capture.finding import MOST_PEOPLE, sight_people
from marionext.capture.follow import Choice, follow, nearby_boxes
from marionext.capture.landmarkers import (
    BodyLandmarker,
    FaceLandmarker,
    HandLandmarker,
    HandTracker,
)
from marionext.capture.mapping import Landmarks, whole_body
from marionext.capture.models import DetectorModels, locate_models
from marionext.capture.video import VideoFrame, VideoInfo, read_frames
from marionext.errors import JobCancelled
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
_MOST_WORKERS = 4
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
) -> Detections:
    """Detect the chosen person in every frame of a video.

    Args:
        path: the video.
        info: what `probe` says of it.
        person: whom to follow.
        window: the frame indices wanted.
        on_progress: called with the share done, 0 to 1.
        cancelled: polled before every frame.

    Raises:
        MotionError: nobody is found, or the video cannot be read.
        ModelError: the networks are missing or damaged.
        JobCancelled: ``cancelled`` returned True.
    """
    models = locate_models()
    boxes, crowded = _find(path, info, models, person, window, on_progress, cancelled)
    heights = boxes[..., 3] - boxes[..., 1]
    longest = round(max(info.size) * min(1.0, _PERSON_PIXELS / max(float(np.median(heights)), 1)))
    size = info.fitted(longest)
    scale = np.array(size, np.float32) / np.array(info.size, np.float32)
    frames = read_frames(path, longest=longest, only=window, cancelled=cancelled)
    found = Detections(info.size, people=len(boxes))
    with _CloseUp(models, people=len(boxes), crowded=crowded) as look:
        for frame, people in look.follow(frames, boxes * np.tile(scale, 2), _step(info)):
            # Frames are read ahead of the results: ask here as well.
            if cancelled():
                raise JobCancelled("the capture was cancelled")
            points = np.zeros((len(boxes), POINT_COUNT, 2), np.float32)
            scores = np.zeros((len(boxes), POINT_COUNT), np.float32)
            for number, landmarks in enumerate(people):
                if landmarks is not None:
                    points[number], scores[number] = whole_body(landmarks, size)
            found.add(frame.time, (points / scale).astype(np.float32), scores)
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


class _CloseUp:
    """Pass 2: the networks, the threads they work in, and the order of their results."""

    def __init__(self, models: DetectorModels, *, people: int, crowded: bool) -> None:
        """Load the networks.

        Args:
            models: their files.
            people: how many people are followed.
            crowded: whether somebody else may be found in a person's box.
        """
        self._open = ExitStack()
        workers = _workers()
        self._bodies: queue.SimpleQueue[BodyLandmarker] = queue.SimpleQueue()
        with ExitStack() as opening:
            for _ in range(workers):
                self._bodies.put(opening.enter_context(BodyLandmarker(models.body)))
            self._crowd = opening.enter_context(_CrowdLandmarker(models.body)) if crowded else None
            self._faces = opening.enter_context(FaceLandmarker(models.face))
            searchers = [opening.enter_context(HandLandmarker(models.hand)) for _ in range(2)]
            self._hands = [
                [
                    HandFinder(
                        left=left,
                        searcher=searcher,
                        tracker=opening.enter_context(HandTracker(models.hand)),
                    )
                    for left, searcher in zip((True, False), searchers, strict=True)
                ]
                for _ in range(people)
            ]
            # Threads are entered last and left first: no network is closed under their hands.
            self._body_pool = opening.enter_context(ThreadPoolExecutor(workers))
            self._hand_pools = [opening.enter_context(ThreadPoolExecutor(1)) for _ in range(2)]
            self._face_pool = opening.enter_context(ThreadPoolExecutor(1))
            self._open = opening.pop_all()
        self._ahead = 2 * workers

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the threads and free the networks."""
        for pool in (self._body_pool, *self._hand_pools, self._face_pool):
            pool.shutdown(cancel_futures=True)
        self._open.close()

    def follow(
        self, frames: Iterable[VideoFrame], boxes: Floats, step: int
    ) -> Iterator[tuple[VideoFrame, list[Landmarks | None]]]:
        """Look at every frame, a few of them at once.

        Args:
            frames: in order.
            boxes: (people, frames, 4); a frame beyond the last box takes the last.
            step: frames between two looks of pass 1.

        Yields:
            Each frame, in order, with what was found of each person.
        """
        bodies: deque[tuple[VideoFrame, list[Future[Floats | None]]]] = deque()
        parts: deque[tuple[VideoFrame, list[_Parts | None]]] = deque()
        for frame in frames:
            bodies.append(
                (
                    frame,
                    [
                        self._body_pool.submit(
                            self._body, frame.picture, nearby_boxes(path, frame.index, step)
                        )
                        for path in boxes
                    ],
                )
            )
            if len(bodies) > self._ahead:
                parts.append(self._details(*bodies.popleft()))
            if len(parts) > self._ahead:
                yield _collected(*parts.popleft())
        while bodies:
            parts.append(self._details(*bodies.popleft()))
            if len(parts) > self._ahead:
                yield _collected(*parts.popleft())
        while parts:
            yield _collected(*parts.popleft())

    def _body(self, picture: Picture, boxes: Sequence[Floats]) -> Floats | None:
        """Place a body in the first box where it is, with whichever network is free."""
        landmarker = self._bodies.get()
        try:
            found = (place_body(picture, box, landmarker, self._crowd) for box in boxes)
            return next((body for body in found if body is not None), None)
        finally:
            self._bodies.put(landmarker)

    def _details(
        self, frame: VideoFrame, bodies: Sequence[Future[Floats | None]]
    ) -> tuple[VideoFrame, list["_Parts | None"]]:
        """Send hands and face of a frame to their threads, once its bodies are there."""
        parts: list[_Parts | None] = []
        for hands, future in zip(self._hands, bodies, strict=True):
            body = future.result()
            parts.append(
                None
                if body is None
                else (
                    body,
                    [
                        pool.submit(hand.find, frame.picture, body)
                        for pool, hand in zip(self._hand_pools, hands, strict=True)
                    ],
                    self._face_pool.submit(find_face, frame.picture, body, self._faces),
                )
            )
        return frame, parts


class _CrowdLandmarker:
    """Finds several people at once; loaded when it is first needed, for one thread at a time."""

    def __init__(self, model: Path) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._loaded: BodyLandmarker | None = None

    def detect(self, picture: Picture) -> list[Floats]:
        """Return the people in a picture, as `BodyLandmarker.detect`."""
        with self._lock:
            if self._loaded is None:
                self._loaded = BodyLandmarker(self._model, people=MOST_PEOPLE)
            return self._loaded.detect(picture)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._loaded is not None:
            self._loaded.close()


_Parts = tuple[Floats, list[Future[Floats | None]], Future[Floats | None]]
"""A body, its two hands to come, and its face to come."""


def _collected(
    frame: VideoFrame, people: Sequence[_Parts | None]
) -> tuple[VideoFrame, list[Landmarks | None]]:
    """Wait for hands and face of a frame."""
    found: list[Landmarks | None] = []
    for person in people:
        if person is None:
            found.append(None)
            continue
        body, hands, face = person
        left, right = one_hand_only(body, hands[0].result(), hands[1].result())
        found.append(Landmarks(body=body, left_hand=left, right_hand=right, face=face.result()))
    return frame, found


def _workers() -> int:
    """Return how many bodies to place at once: one for each core this process may use."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _MOST_WORKERS))
