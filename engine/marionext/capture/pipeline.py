"""Pass 2 in threads: several frames are looked at at once, and their results come in order.

The body networks see single pictures, so any of them may take any frame. Each hand is followed
from frame to frame and has a thread of its own, as has the face. Frames wait in two short queues,
so memory does not grow with the video, and the numbers do not depend on who was faster.
"""

import os
import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marionext.capture.closeup import HandFinder, find_face, one_hand_only, place_body
from marionext.capture.finding import MOST_PEOPLE
from marionext.capture.follow import nearby_boxes
from marionext.capture.landmarkers import (
    BodyLandmarker,
    FaceLandmarker,
    HandLandmarker,
    HandTracker,
)
from marionext.capture.mapping import Landmarks
from marionext.capture.models import DetectorModels
from marionext.footage import VideoFrame

__all__ = ["CloseUp"]

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

_MOST_WORKERS = 4


class CloseUp:
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
