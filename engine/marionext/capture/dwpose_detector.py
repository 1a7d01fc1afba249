"""DWPose through rtmlib and ONNX Runtime, for users who have its two networks.

DWPose (Yang et al. 2023, arXiv:2307.15880) is the detector whose drawings the pose-map weights
were trained on. rtmlib prepares pictures and reads the networks' answers; here are the choices
that make its poses those of ControlNeXt's reference: only people are detected (the detector knows
80 classes), pictures are RGB, and the neck is simply seen or not.
"""

import contextlib
import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext import presets
from marionext.capture.detections import Detections, no_person
from marionext.capture.follow import PATIENCE_SECONDS, Choice, identify
from marionext.errors import DeviceError, ModelError
from marionext.footage import VideoInfo, read_frames
from marionext.pose import from_whole_body
from marionext.pose.skeleton import POINT_COUNT
from marionext.pose.wholebody import WHOLE_BODY_COUNT

__all__ = ["DwposeDetector", "detect_people_in_picture", "detect_people_in_video"]

logger = logging.getLogger(__name__)

Picture = NDArray[np.uint8]
Floats = NDArray[np.float32]

PEOPLE_NETWORK = "yolox_l.onnx"
POSE_NETWORK = "dw-ll_ucoco_384.onnx"
_PUBLISHED_BYTES = {PEOPLE_NETWORK: 216_746_733, POSE_NETWORK: 134_399_116}
_PEOPLE_PIXELS = (640, 640)
_POSE_PIXELS = (288, 384)
_PERSON_CLASS = 0
_LEAST_SCORE = 0.3
"""Of a person; rtmlib's own 0.7 misses many dancers."""


class DwposeDetector:
    """The two networks, loaded."""

    def __init__(
        self, folder: Path | None = None, *, say: Callable[[str], None] | None = None
    ) -> None:
        """Load the networks.

        Args:
            folder: that holds both files; default: ``models/dwpose`` in this user's folder.
            say: told when a file is another than the published one; None: the log is.

        Raises:
            ModelError: a file is missing, or is none that ONNX Runtime can load.
            DeviceError: rtmlib or ONNX Runtime is not installed.
        """
        folder = folder or presets.home() / "models" / "dwpose"
        people, pose = folder / PEOPLE_NETWORK, folder / POSE_NETWORK
        missing = [path.name for path in (people, pose) if not path.is_file()]
        if missing:
            raise ModelError(
                f"DWPose's networks are not in {folder}: missing {' and '.join(missing)}",
                hint=f"Copy {PEOPLE_NETWORK} and {POSE_NETWORK} there (Apache-2.0, published by "
                "DWPose's authors), or use the detector mediapipe.",
            )
        for path in (people, pose):
            if path.stat().st_size != _PUBLISHED_BYTES[path.name]:
                (say or logger.warning)(f"{path} is not the file that DWPose's authors published")
        try:
            from onnxruntime.capi import onnxruntime_pybind11_state as onnx  # noqa: PLC0415
            from rtmlib import YOLOX, RTMPose  # noqa: PLC0415 - optional dependency
        except (ImportError, OSError) as error:
            raise DeviceError(
                f"DWPose needs rtmlib and ONNX Runtime, which cannot be loaded: {error}",
                hint="Install them with: pip install 'marionext[dwpose]'",
            ) from error
        failures = (onnx.Fail, onnx.InvalidGraph, onnx.InvalidProtobuf, onnx.NoSuchFile)
        try:
            # rtmlib prints what it loads; standard output may be the worker's protocol.
            with contextlib.redirect_stdout(io.StringIO()):
                self._people: Any = YOLOX(
                    str(people),
                    _PEOPLE_PIXELS,
                    "multiclass",
                    score_thr=_LEAST_SCORE,
                    backend="onnxruntime",
                )
                self._pose: Any = RTMPose(str(pose), _POSE_PIXELS, backend="onnxruntime")
        except failures as error:
            raise ModelError(
                f"a network in {folder} cannot be loaded: {error}", hint="Copy it there again."
            ) from error

    def find(self, picture: Picture) -> Floats:
        """Return the boxes of the people in a picture: (people, 4), the surest first.

        Args:
            picture: (height, width, 3), RGB.
        """
        found, classes = self._people(picture)
        boxes = np.asarray(found, np.float32).reshape(-1, 4)
        people: Floats = boxes[np.asarray(classes).reshape(-1) == _PERSON_CLASS]
        return people

    def place(self, picture: Picture, boxes: Floats) -> tuple[Floats, Floats]:
        """Return points (people, 134, 2) in pixels and scores (people, 134) for boxes."""
        points = np.zeros((len(boxes), WHOLE_BODY_COUNT, 2), np.float32)
        scores = np.zeros((len(boxes), WHOLE_BODY_COUNT), np.float32)
        for number, box in enumerate(boxes):
            crop, centre, scale = self._pose.preprocess(picture, box)
            answers = self._pose.inference(crop)
            points[number] = self._pose.postprocess(answers, centre, scale)[0][0]
            # The reference takes the lesser of both axes, rtmlib their mean.
            scores[number] = np.minimum(answers[0][0].max(-1), answers[1][0].max(-1))
        return from_whole_body(points, np.maximum(scores, 0))


def detect_people_in_video(
    path: Path,
    info: VideoInfo,
    *,
    person: Choice,
    window: range,
    on_progress: Callable[[float], None],
    cancelled: Callable[[], bool],
    say: Callable[[str], None] | None = None,
    detector: DwposeDetector | None = None,
) -> Detections:
    """Detect the chosen people in every frame of a video.

    Args:
        path: the video.
        info: what `probe` says of it.
        person: whom to follow.
        window: the frame indices wanted.
        on_progress: called with the share done, 0 to 1.
        cancelled: polled before every frame.
        say: told what is wrong with the video or the networks.
        detector: loaded networks; None: those of this user.

    Raises:
        MotionError: nobody is found, or the video cannot be read.
        ModelError, DeviceError: as in `DwposeDetector`.
        JobCancelled: ``cancelled`` returned True.
    """
    detector = detector or DwposeDetector(say=say)
    boxes: list[NDArray[np.float64]] = []
    poses: list[tuple[Floats, Floats]] = []
    times = []
    for frame in read_frames(path, only=window, cancelled=cancelled, say=say):
        here = detector.find(frame.picture)
        boxes.append(here.astype(np.float64))
        poses.append(detector.place(frame.picture, here))
        times.append(info.time_of(frame))
        on_progress((frame.index - window.start + 1) / len(window))
    patience = max(1, round(PATIENCE_SECONDS * float(info.rate)))
    slots = identify(boxes, person=person, size=info.size, patience=patience)
    if not len(slots):
        raise no_person(path, window, len(boxes))
    found = Detections(info.size, people=len(slots))
    for look, (points, scores) in enumerate(poses):
        chosen = slots[:, look]
        seen = chosen >= 0
        all_points = np.zeros((len(slots), POINT_COUNT, 2), np.float32)
        all_scores = np.zeros((len(slots), POINT_COUNT), np.float32)
        all_points[seen], all_scores[seen] = points[chosen[seen]], scores[chosen[seen]]
        found.add(times[look], all_points, all_scores)
    return found


def detect_people_in_picture(
    picture: Picture, detector: DwposeDetector | None = None
) -> tuple[Floats, Floats]:
    """Detect the largest person in a picture, or whatever fills the picture if there is none.

    Args:
        picture: (height, width, 3), RGB.
        detector: loaded networks; None: those of this user.

    Returns:
        Points (1, 134, 2) and scores (1, 134).

    Raises:
        ModelError, DeviceError: as in `DwposeDetector`.
    """
    detector = detector or DwposeDetector()
    boxes = detector.find(picture)
    if not len(boxes):
        # The reference does so: a drawing may be nobody to the one network, but not to the other.
        height, width = picture.shape[:2]
        boxes = np.array([[0, 0, width, height]], np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    return detector.place(picture, boxes[[sides.prod(1).argmax()]])
