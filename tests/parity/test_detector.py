"""DWPose as ours equals the reference's, with the networks' answers given.

The recorded answers of both networks are played back by a stand-in for ONNX Runtime's session, so
what is tested is everything around the networks: how pictures are prepared, which boxes are kept,
how answers become points, and the order of the 134 points.
"""

from pathlib import Path

import numpy as np
import pytest

from marionext.capture.dwpose_detector import (
    PEOPLE_NETWORK,
    POSE_NETWORK,
    DwposeDetector,
    detect_people_in_picture,
)
from marionext.pose.skeleton import BODY, FACE, LEFT_HAND, RIGHT_HAND, SEEN_SCORE

pytest.importorskip("rtmlib", reason="the extra 'dwpose' is not installed")


class Tensor:
    def __init__(self, name: str) -> None:
        self.name = name


class RecordedSession:
    """Answers as the recorded network did, and keeps what it was asked."""

    asked: list[np.ndarray]

    def __init__(self, answers: list[list[np.ndarray]]) -> None:
        self.answers = answers
        self.asked = []

    def get_inputs(self) -> list[Tensor]:
        return [Tensor("input")]

    def get_outputs(self) -> list[Tensor]:
        return [Tensor("output")]

    def run(self, _: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.asked.append(inputs["input"])
        return [answer.copy() for answer in self.answers[len(self.asked) - 1]]


@pytest.fixture
def recording(case: Path) -> dict[str, np.ndarray]:
    with np.load(case) as arrays:
        return dict(arrays)


@pytest.fixture
def sessions(recording: dict[str, np.ndarray]) -> dict[str, RecordedSession]:
    seen = np.zeros((1, 8400, 85), np.float32)
    seen[0, recording["det_rows_index"]] = recording["det_rows"]
    poses = [
        [x[None], y[None]] for x, y in zip(recording["simcc_x"], recording["simcc_y"], strict=True)
    ]
    return {PEOPLE_NETWORK: RecordedSession([[seen]]), POSE_NETWORK: RecordedSession(poses)}


@pytest.fixture
def detector(
    sessions: dict[str, RecordedSession], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DwposeDetector:
    for name in sessions:
        (tmp_path / name).touch()
    monkeypatch.setattr(
        "onnxruntime.InferenceSession",
        lambda path_or_bytes, **_: sessions[Path(path_or_bytes).name],
    )
    return DwposeDetector(tmp_path)


def boxes_of(detector: DwposeDetector, picture: np.ndarray) -> np.ndarray:
    """The kept boxes; where there are none the reference takes the whole picture."""
    boxes = detector.find(picture)
    height, width = picture.shape[:2]
    return boxes if len(boxes) else np.array([[0, 0, width, height]], np.float32)


@pytest.mark.cases("k_dwpose_detector/*.npz")
def test_the_same_people_are_kept_in_the_same_order(
    detector: DwposeDetector, recording: dict[str, np.ndarray]
) -> None:
    found = detector.find(recording["image"])
    np.testing.assert_allclose(found, recording["boxes"].reshape(-1, 4), atol=1e-3)


@pytest.mark.cases("k_dwpose_detector/*.npz")
def test_the_networks_are_fed_the_same_pictures(
    detector: DwposeDetector,
    recording: dict[str, np.ndarray],
    sessions: dict[str, RecordedSession],
) -> None:
    detector.place(recording["image"], boxes_of(detector, recording["image"]))
    if "det_input_uint8" in recording:
        asked = sessions[PEOPLE_NETWORK].asked[0][0]
        np.testing.assert_array_equal(asked, recording["det_input_uint8"])
    mean, deviation = np.array((123.675, 116.28, 103.53)), np.array((58.395, 57.12, 57.375))
    for asked, crop in zip(
        sessions[POSE_NETWORK].asked, recording["pose_crops_uint8"], strict=True
    ):
        pixels = asked[0].transpose(1, 2, 0) * deviation + mean
        difference = np.abs(pixels - crop)
        # OpenCV 5 warps a few values differently by up to five levels.
        assert difference.max() <= 5.01
        assert (difference > 0.01).mean() <= 0.06


@pytest.mark.cases("k_dwpose_detector/*.npz")
def test_points_and_scores_equal_the_recorded_ones(
    detector: DwposeDetector, recording: dict[str, np.ndarray]
) -> None:
    picture = recording["image"]
    points, scores = detector.place(picture, boxes_of(detector, picture))

    people = len(points)
    height, width = picture.shape[:2]
    size = np.array((width, height))
    # Where the score is 0 or less the reference writes a place of no meaning.
    body_scores = recording["body_score"]
    real = body_scores > 0
    assert (scores[:, BODY] >= SEEN_SCORE).astype(bool).tolist() == (
        (recording["subset"] >= 0).tolist()
    )
    np.testing.assert_allclose(scores[:, BODY], np.maximum(body_scores, 0), atol=1e-6)
    candidate = recording["candidate"].reshape(people, 18, 2) * size
    np.testing.assert_allclose(points[:, BODY][real], candidate[real], atol=2e-3)

    hands = recording["hands"].reshape(2, people, 21, 2) * size
    for part, hand in ((LEFT_HAND, 0), (RIGHT_HAND, 1)):
        expected = recording["hands_score"].reshape(2, people, 21)[hand]
        np.testing.assert_allclose(scores[:, part], np.maximum(expected, 0), atol=1e-6)
        real = expected > 0
        np.testing.assert_allclose(points[:, part][real], hands[hand][real], atol=2e-3)

    expected = recording["faces_score"]
    np.testing.assert_allclose(scores[:, FACE], np.maximum(expected, 0), atol=1e-6)
    real = expected > 0
    np.testing.assert_allclose(points[:, FACE][real], (recording["faces"] * size)[real], atol=2e-3)


@pytest.mark.cases("k_dwpose_detector/*.npz")
def test_a_picture_gives_one_person_even_where_nobody_is_detected(
    detector: DwposeDetector, recording: dict[str, np.ndarray]
) -> None:
    points, scores = detect_people_in_picture(recording["image"], detector)
    assert points.shape == (1, 134, 2)
    assert scores.shape == (1, 134)
    assert (scores >= 0).all()
