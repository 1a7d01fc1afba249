"""MediaPipe's landmarkers behind a plain face: a picture goes in, pixels come out.

Everything that is particular to the library is here: loading it, its chatter on stderr, its
pictures and normalised coordinates, its errors. Each landmarker computes on one core and lets go
of Python's lock meanwhile, so several of them work side by side in threads.
"""

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from marionext.errors import DeviceError, ModelError

__all__ = ["BodyLandmarker", "BodySegmenter", "FaceLandmarker", "HandLandmarker", "HandTracker"]

logger = logging.getLogger(__name__)

Picture = NDArray[np.uint8]
Floats = NDArray[np.float64]

_MASK_BLOCK = 64
"""Pixels that a row has a multiple of, where the mask of a person is wanted."""
_WARM_UP = np.zeros((64, 64, 3), np.uint8)
_silence = threading.Lock()
"""Held while stderr is turned away, which is one for the whole process."""
_silenced = threading.Event()
"""Set once everything has been said that MediaPipe says only once."""


class _Landmarker:
    """What all landmarkers have in common: opened once, closed at the end."""

    def __init__(self, landmarker: Any) -> None:
        self._landmarker = landmarker

    def close(self) -> None:
        """Free the network."""
        self._landmarker.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


class BodyLandmarker(_Landmarker):
    """Finds people and their 33 body landmarks in single pictures."""

    def __init__(self, model: Path, *, people: int = 1, confidence: float = 0.5) -> None:
        """Load a body network.

        Args:
            model: the task file.
            people: how many to find at most.
            confidence: of the detector, from which on someone counts as a person.

        Raises:
            ModelError: the file cannot be loaded.
            DeviceError: MediaPipe cannot be loaded on this machine.
        """
        with _loading(model) as (vision, base):
            super().__init__(
                vision.PoseLandmarker.create_from_options(
                    vision.PoseLandmarkerOptions(
                        base_options=base,
                        num_poses=people,
                        min_pose_detection_confidence=confidence,
                    )
                )
            )
            self._landmarker.detect(_image(_WARM_UP))

    def detect(self, picture: Picture) -> list[Floats]:
        """Return for each person (33, 3): x, y in pixels and visibility, the surest first."""
        height, width = picture.shape[:2]
        if _silenced.is_set():
            found = self._landmarker.detect(_image(picture))
        else:
            with _quiet():
                found = self._landmarker.detect(_image(picture))
            if found.pose_landmarks:
                _silenced.set()
        return [
            np.array([(mark.x * width, mark.y * height, mark.visibility) for mark in person])
            for person in found.pose_landmarks
        ]


class BodySegmenter(_Landmarker):
    """Tells which pixels of a picture are the surest person."""

    def __init__(self, model: Path) -> None:
        """Load a body network; arguments and errors as in `BodyLandmarker`."""
        with _loading(model) as (vision, base):
            super().__init__(
                vision.PoseLandmarker.create_from_options(
                    vision.PoseLandmarkerOptions(base_options=base, output_segmentation_masks=True)
                )
            )
            self._landmarker.detect(_image(_WARM_UP))

    def segment(self, picture: Picture) -> NDArray[np.float32] | None:
        """Return how surely each pixel is the person, (h, w) from 0 to 1; None: nobody is found."""
        width = picture.shape[1]
        # Reading the mask of a picture whose rows are not whole blocks ends the process.
        beyond = -width % _MASK_BLOCK
        padded = np.pad(picture, ((0, 0), (0, beyond), (0, 0)), mode="edge")
        with _quiet():
            found = self._landmarker.detect(_image(padded)).segmentation_masks
        if not found:
            return None
        mask = np.array(found[0].numpy_view(), np.float32).reshape(padded.shape[:2])
        return np.ascontiguousarray(mask[:, :width])


class HandLandmarker(_Landmarker):
    """Finds hands and their 21 landmarks in single pictures."""

    def __init__(self, model: Path, *, hands: int = 2, confidence: float = 0.3) -> None:
        """Load the hand networks; arguments and errors as in `BodyLandmarker`."""
        with _loading(model) as (vision, base):
            super().__init__(
                vision.HandLandmarker.create_from_options(
                    _hand_options(vision, base, vision.RunningMode.IMAGE, hands, confidence)
                )
            )
            self.detect(_WARM_UP)

    def detect(self, picture: Picture) -> list[tuple[Floats, bool, float]]:
        """Return for each hand (21, 2) in pixels, whether it looks left, and how surely."""
        return _hands(self._landmarker.detect(_image(picture)), picture)


class HandTracker(_Landmarker):
    """Follows one hand through pictures that are centred on it.

    The search for a palm costs five times as much as placing the landmarks of a hand whose
    place is known; here it only runs when the hand was lost. Unlike MediaPipe's body tracker
    this one does not smooth over time, so it does not lag.
    """

    def __init__(self, model: Path, *, confidence: float = 0.3) -> None:
        """Load the hand networks; arguments and errors as in `BodyLandmarker`."""
        self._clock = 0
        with _loading(model) as (vision, base):
            super().__init__(
                vision.HandLandmarker.create_from_options(
                    _hand_options(vision, base, vision.RunningMode.VIDEO, 1, confidence)
                )
            )
            self.forget()

    def follow(self, picture: Picture) -> Floats | None:
        """Return the hand's (21, 2) in pixels, or None when it is not found."""
        # The clock only has to rise; nothing depends on its pace.
        self._clock += 33
        found = _hands(self._landmarker.detect_for_video(_image(picture), self._clock), picture)
        return found[0][0] if found else None

    def forget(self) -> None:
        """Let go of the hand: the next picture is searched afresh."""
        self.follow(_WARM_UP)


class FaceLandmarker(_Landmarker):
    """Finds a face and its 478 landmarks in single pictures."""

    def __init__(self, model: Path, *, confidence: float = 0.3) -> None:
        """Load the face networks; arguments and errors as in `BodyLandmarker`."""
        with _loading(model) as (vision, base):
            super().__init__(
                vision.FaceLandmarker.create_from_options(
                    vision.FaceLandmarkerOptions(
                        base_options=base,
                        min_face_detection_confidence=confidence,
                        min_face_presence_confidence=confidence,
                    )
                )
            )
            self.detect(_WARM_UP)

    def detect(self, picture: Picture) -> Floats | None:
        """Return (478, 2) in pixels, or None when there is no face."""
        height, width = picture.shape[:2]
        found = self._landmarker.detect(_image(picture)).face_landmarks
        if not found:
            return None
        return np.array([(mark.x * width, mark.y * height) for mark in found[0]])


def _hand_options(vision: Any, base: Any, mode: Any, hands: int, confidence: float) -> Any:
    return vision.HandLandmarkerOptions(
        base_options=base,
        running_mode=mode,
        num_hands=hands,
        min_hand_detection_confidence=confidence,
        min_hand_presence_confidence=confidence,
        min_tracking_confidence=confidence,
    )


def _hands(found: Any, picture: Picture) -> list[tuple[Floats, bool, float]]:
    height, width = picture.shape[:2]
    return [
        (
            np.array([(mark.x * width, mark.y * height) for mark in marks]),
            side[0].category_name == "Left",
            side[0].score,
        )
        for marks, side in zip(found.hand_landmarks, found.handedness, strict=True)
    ]


def _image(picture: Picture) -> Any:
    import mediapipe  # noqa: PLC0415 - needs system libraries that may be missing

    return mediapipe.Image(
        image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture)
    )


@contextmanager
def _loading(model: Path) -> Iterator[tuple[Any, Any]]:
    """Give MediaPipe's vision module and options for a file, translating what goes wrong."""
    try:
        from mediapipe.tasks.python import BaseOptions, vision  # noqa: PLC0415 - as above
    except (ImportError, OSError) as error:
        raise DeviceError(
            f"MediaPipe cannot be loaded: {error}",
            hint="It needs EGL and GLES. On Debian or Ubuntu: apt-get install libegl1 libgles2",
        ) from error
    try:
        with _quiet():
            # As contents, not as a path: MediaPipe cannot open every path on Windows.
            yield vision, BaseOptions(model_asset_buffer=model.read_bytes())
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelError(
            f"{model} cannot be loaded by MediaPipe: {error}",
            hint="Fetch it again with: marionext models pull mediapipe",
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what native libraries write to stderr while they load; it goes to the debug log."""
    with _silence, tempfile.TemporaryFile() as captured:
        try:
            sys.stderr.flush()
            kept = os.dup(2)
        except (OSError, AttributeError):  # no stderr at all, as under pythonw
            yield
            return
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            captured.seek(0)
            for line in captured.read().decode(errors="replace").splitlines():
                logger.debug("mediapipe: %s", line)
