"""From a video or a picture to keypoints, whatever the detector."""

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from marionext.capture.detections import Detections, no_person
from marionext.capture.follow import Choice, parse_choice
from marionext.errors import CharacterError, MotionError, SettingsError
from marionext.files import open_file
from marionext.footage import FIRST_FRAME, VideoInfo, probe
from marionext.footage.timing import Timing, resample
from marionext.frames import FrameRange, FrameRate, format_frames
from marionext.pose import PoseTrack

__all__ = ["DETECTORS", "detect_picture", "extract_track"]

logger = logging.getLogger(__name__)

DETECTORS = ("mediapipe", "dwpose")


class _VideoDetector(Protocol):
    """What a detector's module offers for videos."""

    def __call__(
        self,
        path: Path,
        info: VideoInfo,
        *,
        person: Choice,
        window: range,
        on_progress: Callable[[float], None],
        cancelled: Callable[[], bool],
        say: Callable[[str], None],
    ) -> Detections: ...


def extract_track(
    path: str | Path,
    *,
    info: VideoInfo | None = None,
    detector: str = "mediapipe",
    person: Choice = "largest",
    frames: FrameRange | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
    say: Callable[[str], None] | None = None,
) -> PoseTrack:
    """Detect a person's body, hands and face in every frame of a video.

    Raw detections, one per frame: `marionext.pose.clean` fills gaps and smooths.

    Args:
        path: the video.
        info: what `probe` told of it, if it was asked already.
        detector: one of `DETECTORS`.
        person: ``largest``, ``left``, ``centre``, ``right``, a number from 0, left to right, or
            ``all``.
        frames: which frames, the video's first being number 1; None: all.
        on_progress: called with frames done and frames in all.
        cancelled: polled before every frame.
        say: told what a user should know of the result: frames that are damaged, or that show
            nobody.

    Returns:
        A track with one pose per frame at the video's exact rate (`marionext.footage.timing` says
        how a variable rate is put on a grid); frames in which the person is not seen have score 0.

    Raises:
        MotionError: the video cannot be read, or nobody is found in it.
        SettingsError: detector, person or frames are none that there are.
        ModelError: the detector's networks are missing or damaged.
        DeviceError: the detector cannot be loaded on this machine.
        JobCancelled: ``cancelled`` returned True.
    """
    path = Path(path)
    detect = _video_detector(detector)
    parse_choice(person)
    info = info or probe(path)
    whole = FrameRange(FIRST_FRAME, FIRST_FRAME + info.frames)
    wanted = frames or whole
    if wanted.start < whole.start or wanted.stop > whole.stop:
        raise MotionError(f"frames {wanted} were asked for, {path.name} has {whole}")
    # The frames of a variable-rate video are numbered on the grid, so all of them are needed
    # to know which of them lie in the range.
    window = (
        range(info.source_frames)
        if info.variable_rate
        else range(wanted.start - FIRST_FRAME, wanted.stop - FIRST_FRAME)
    )
    # The first picture that can be decoded stands for those before it.
    seen = range(max(window.start, info.held), max(window.stop, info.held + 1))

    def report(share: float) -> None:
        if on_progress is not None:
            on_progress(round(share * len(wanted)), len(wanted))

    found = detect(
        path,
        info,
        person=person,
        window=seen,
        on_progress=report,
        cancelled=cancelled or (lambda: False),
        say=say or logger.warning,
    )
    if not found.times:
        raise no_person(path, window, 0)
    points, scores = _on_grid(found, info, window)
    if info.variable_rate:
        kept = slice(wanted.start - FIRST_FRAME, wanted.stop - FIRST_FRAME)
        points, scores = points[kept], scores[kept]
    _tell_gaps(path, scores, wanted.start, window, say or logger.warning)
    return PoseTrack(
        points=points, scores=scores, size=info.size, rate=info.rate, first=wanted.start
    )


def detect_picture(
    picture: str | Path | NDArray[np.uint8], *, detector: str = "mediapipe"
) -> PoseTrack:
    """Detect the largest person in a picture, such as the character's.

    Args:
        picture: a file, or (height, width, 3) RGB.
        detector: one of `DETECTORS`.

    Returns:
        A track of one frame and one person, of the picture's size.

    Raises:
        CharacterError: the file is no picture.
        MotionError: nobody is found in it, as in many drawings.
        SettingsError, ModelError, DeviceError: as in `extract_track`.
    """
    detect = _picture_detector(detector)
    pixels = picture if isinstance(picture, np.ndarray) else _read_picture(Path(picture))
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise CharacterError(
            f"expected an RGB picture of shape (height, width, 3), uint8, got {pixels.shape}, "
            f"{pixels.dtype}"
        )
    points, scores = detect(pixels)
    if not (scores > 0).any():
        raise MotionError(
            "no person was found in the picture",
            hint="Someone drawn far from life is not recognised; give the pose by hand.",
        )
    height, width = pixels.shape[:2]
    return PoseTrack(
        points=points[None],
        scores=scores[None],
        size=(width, height),
        rate=FrameRate(Fraction(1)),
        first=FIRST_FRAME,
    )


def _video_detector(name: str) -> _VideoDetector:
    """Return the function of a detector; its libraries are only loaded here."""
    if name == "mediapipe":
        from marionext.capture import mediapipe_detector  # noqa: PLC0415 - heavy, optional

        return mediapipe_detector.detect_people_in_video
    if name == "dwpose":
        from marionext.capture import dwpose_detector  # noqa: PLC0415 - heavy, optional

        return dwpose_detector.detect_people_in_video
    raise SettingsError(f"expected a detector of {', '.join(DETECTORS)}, got {name!r}")


def _picture_detector(
    name: str,
) -> Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    if name == "mediapipe":
        from marionext.capture import mediapipe_detector  # noqa: PLC0415 - heavy, optional

        return mediapipe_detector.detect_people_in_picture
    if name == "dwpose":
        from marionext.capture import dwpose_detector  # noqa: PLC0415 - heavy, optional

        return dwpose_detector.detect_people_in_picture
    raise SettingsError(f"expected a detector of {', '.join(DETECTORS)}, got {name!r}")


def _on_grid(
    found: Detections, info: VideoInfo, window: range
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bring detections from the times of the video's frames to those of the exact rate."""
    points, scores = found.points, found.scores
    if not info.variable_rate and len(points) == len(window):
        return points, scores
    # Damaged data leaves gaps in a video of constant rate: they are closed by time as well.
    start = info.rate.seconds(window.start)
    count = info.frames if info.variable_rate else len(window)
    timing = Timing(info.rate, count, variable=True)
    return resample(points, scores, [time - start for time in found.times], timing)


def _tell_gaps(
    path: Path,
    scores: NDArray[np.float32],
    first: int,
    window: range,
    say: Callable[[str], None],
) -> None:
    """Say in which frames nobody is seen; raise when that is all of them."""
    unseen: NDArray[np.bool_] = np.logical_not((scores > 0).any(axis=(1, 2)))
    if unseen.all():
        raise no_person(path, window, len(window))
    if unseen.any():
        numbers = tuple(int(number) for number in first + np.flatnonzero(unseen))
        share = f"{len(numbers)} of {len(unseen)} frames"
        say(f"{path.name}: nobody is seen in {share}: {format_frames(numbers)}")


def _read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture upright, without transparency."""
    try:
        with open_file(path) as file, Image.open(file) as image:
            upright = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, UnidentifiedImageError) as error:
        raise CharacterError(f"{path} is no picture that can be read: {error}") from error
    white = Image.new("RGBA", upright.size, "white")
    return np.asarray(Image.alpha_composite(white, upright).convert("RGB"))
