from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from marionext.capture.dwpose_detector import (
    PEOPLE_NETWORK,
    POSE_NETWORK,
    DwposeDetector,
    detect_people_in_video,
)
from marionext.errors import ModelError, MotionError
from marionext.footage import probe

COUNT = 12


class Strip:
    """Stands in for the networks: the frame's number is read from its picture.

    Two people walk towards and past each other; they are listed in changing order, and the one
    from the left hides for two frames.
    """

    def __init__(self, number_in: Any) -> None:
        self._number_in = number_in

    def find(self, picture: np.ndarray) -> np.ndarray:
        number = self._number_in(picture, COUNT)
        boxes = [
            [5 + 4 * number, 10, 25 + 4 * number, 60],
            [70 - 4 * number, 4, 95 - 4 * number, 62],
        ]
        if number in (2, 3):
            boxes = boxes[1:]
        return np.array(boxes if number % 2 else boxes[::-1], np.float32)

    def place(self, _: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        points = np.repeat(middles[:, None], 134, axis=1).astype(np.float32)
        return points, np.full(points.shape[:2], 0.7, np.float32)


@pytest.fixture
def path(clips: Any, tmp_path: Path) -> Path:
    return clips.write(tmp_path / "strip.mp4", clips.numbered(COUNT), rate=Fraction(10))


def capture(path: Path, clips: Any, person: str | int) -> Any:
    return detect_people_in_video(
        path,
        probe(path),
        person=person,
        window=range(COUNT),
        on_progress=lambda _: None,
        cancelled=lambda: False,
        detector=Strip(clips.number_in),  # type: ignore[arg-type]
    )


def test_the_chosen_person_is_followed_through_the_crowd(path: Path, clips: Any) -> None:
    right = capture(path, clips, "largest")
    assert right.points.shape == (COUNT, 1, 134, 2)
    np.testing.assert_allclose(right.points[:, 0, 0, 0], 82.5 - 4 * np.arange(COUNT))
    assert (right.scores == np.float32(0.7)).all()


def test_who_is_hidden_has_score_0(path: Path, clips: Any) -> None:
    everybody = capture(path, clips, "all")
    assert everybody.points.shape[1] == 2
    hidden = np.flatnonzero((everybody.scores == 0).all(-1)[:, 1])
    assert hidden.tolist() == [2, 3]


def test_more_people_than_there_are_cannot_be_followed(path: Path, clips: Any) -> None:
    with pytest.raises(MotionError, match="person"):
        capture(path, clips, 5)


def test_files_that_are_no_networks_are_a_model_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rtmlib", reason="the extra 'dwpose' is not installed")
    (tmp_path / PEOPLE_NETWORK).write_bytes(b"no network")
    with pytest.raises(ModelError, match=POSE_NETWORK):
        DwposeDetector(tmp_path)
    (tmp_path / POSE_NETWORK).write_bytes(b"no network")
    with pytest.raises(ModelError, match="cannot be loaded"):
        DwposeDetector(tmp_path)
    assert capsys.readouterr().out == ""
