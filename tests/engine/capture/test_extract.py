from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from marionext.capture import detect_picture, extract_track
from marionext.errors import CharacterError, JobCancelled, ModelError, MotionError, SettingsError
from marionext.frames import FrameRange
from marionext.pose import PoseTrack
from marionext.pose.skeleton import BODY, FACE, LEFT_HAND, RIGHT_HAND

SIZE = (480, 600)
SHOWN = (320, 480)
DRIFT = 6
"""Pixels by which the hero moves to the right from frame to frame."""


def placed(hero: np.ndarray, *lefts: int, wide: int = 0) -> np.ndarray:
    """Put the hero into a larger picture, at each of some distances from the left."""
    import cv2

    small = cv2.resize(hero, SHOWN, interpolation=cv2.INTER_AREA)
    picture = np.empty((SIZE[1], SIZE[0] * (wide or max(1, len(lefts))), 3), np.uint8)
    picture[:] = hero[4, 4]
    for left in lefts:
        picture[60 : 60 + SHOWN[1], left : left + SHOWN[0]] = small
    return picture


def body_of(track: PoseTrack) -> np.ndarray:
    """(frames, joints, 2) of the first person's joints that are seen all along."""
    seen = (track.scores[:, 0, BODY] > 0.3).all(0)
    assert seen.sum() >= 12
    return track.points[:, 0, BODY][:, seen]


@pytest.fixture(scope="module")
def walking(hero: np.ndarray, clips: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames in which the hero drifts to the right."""
    path = tmp_path_factory.mktemp("walking") / "walking.mp4"
    pictures = [placed(hero, 20 + DRIFT * index) for index in range(12)]
    return clips.write(path, pictures, rate=Fraction(24), options={"crf": "12"})


@pytest.fixture(scope="module")
def track(networks: None, walking: Path) -> PoseTrack:
    return extract_track(walking)


def test_every_frame_has_its_pose_at_its_time(track: PoseTrack) -> None:
    assert (len(track), track.people, track.size) == (12, 1, SIZE)
    assert track.rate.fraction == 24
    assert track.first == 1
    moved = body_of(track).mean(1)[:, 0]
    # Frame i shows pose i: a lag of a frame would be an offset of six pixels.
    np.testing.assert_allclose(np.diff(moved), DRIFT, atol=1.5)


def test_body_hands_and_face_are_where_they_are_drawn(track: PoseTrack) -> None:
    scores = track.scores[:, 0]
    for part in (FACE, LEFT_HAND, RIGHT_HAND):
        assert (scores[:, part] > 0).mean() > 0.9
    # The hero faces us with spread arms: their left is the picture's right.
    assert (track.points[:, 0, 5, 0] > track.points[:, 0, 2, 0] + 40).all()
    for part, wrist in ((LEFT_HAND, 7), (RIGHT_HAND, 4)):
        gap = np.linalg.norm(track.points[:, 0, part][:, 0] - track.points[:, 0, wrist], axis=-1)
        assert gap.max() < 40
    nose, face = track.points[:, 0, 0], track.points[:, 0, FACE].mean(1)
    assert np.linalg.norm(nose - face, axis=-1).max() < 20


def test_the_same_video_gives_the_same_numbers(track: PoseTrack, walking: Path) -> None:
    again = extract_track(walking)
    np.testing.assert_array_equal(again.points, track.points)
    np.testing.assert_array_equal(again.scores, track.scores)


def test_part_of_a_video_keeps_its_frame_numbers(track: PoseTrack, walking: Path) -> None:
    part = extract_track(walking, frames=FrameRange(4, 8))
    assert (part.first, len(part)) == (4, 4)
    difference = part.points[:, 0, BODY] - track.points[3:7, 0, BODY]
    assert np.abs(difference[part.scores[:, 0, BODY] > 0.3]).max() < 12
    with pytest.raises(MotionError, match="1-12"):
        extract_track(walking, frames=FrameRange(4, 14))


def test_progress_rises_to_the_number_of_frames(networks: None, walking: Path) -> None:
    told: list[tuple[int, int]] = []
    extract_track(
        walking, frames=FrameRange(1, 5), on_progress=lambda done, all_: told.append((done, all_))
    )
    assert told == sorted(told)
    assert told[-1] == (4, 4)


def test_a_capture_stops_when_it_is_cancelled(networks: None, walking: Path) -> None:
    told: list[int] = []
    with pytest.raises(JobCancelled):
        extract_track(
            walking,
            on_progress=lambda done, _: told.append(done),
            cancelled=lambda: bool(told) and told[-1] >= 4,
        )
    assert max(told) < 12


def test_rotated_and_variable_videos_show_the_pose_at_its_time(
    networks: None, hero: np.ndarray, clips: Any, tmp_path: Path
) -> None:
    # Six pixels for every 33 ms, with frames dropped here and there; stored lying on its side.
    kept = [0, 1, 2, 4, 5, 7, 8, 9, 11]
    pictures = [np.rot90(placed(hero, 20 + DRIFT * index), -1) for index in kept]
    lying, path = tmp_path / "lying.mp4", tmp_path / "telephone.mp4"
    clips.write(
        lying,
        pictures,
        stamps=[round(1000 * index / 30) for index in kept],
        time_base=Fraction(1, 1000),
        options={"crf": "12"},
    )
    clips.ffmpeg("-display_rotation", 90, "-i", lying, "-c", "copy", path)
    found = extract_track(path)
    assert found.size == SIZE
    assert found.rate.fraction == 30
    assert len(found) == 12
    moved = body_of(found).mean(1)[:, 0]
    np.testing.assert_allclose(moved - moved[0], DRIFT * np.arange(12), atol=3)


def test_the_person_asked_for_is_followed(
    networks: None, hero: np.ndarray, clips: Any, tmp_path: Path
) -> None:
    pictures = [placed(hero, 30 + 4 * index, 560 - 4 * index) for index in range(4)]
    path = clips.write(tmp_path / "pair.mp4", pictures, rate=Fraction(12), options={"crf": "12"})
    left, right = (extract_track(path, person=who) for who in ("left", "right"))
    assert np.diff(body_of(left).mean(1)[:, 0]).mean() == pytest.approx(4, abs=1)
    assert np.diff(body_of(right).mean(1)[:, 0]).mean() == pytest.approx(-4, abs=1)
    both = extract_track(path, person="all")
    assert both.people == 2


def test_frames_without_the_person_have_score_0(
    networks: None,
    hero: np.ndarray,
    clips: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pictures = [placed(hero, 80) if index < 4 or index > 6 else placed(hero) for index in range(10)]
    path = clips.write(tmp_path / "gap.mp4", pictures, rate=Fraction(10), options={"crf": "12"})
    found = extract_track(path)
    seen = (found.scores[:, 0] > 0.3).any(1)
    assert seen.tolist() == [True] * 4 + [False] * 3 + [True] * 3
    assert "5-7" in caplog.text


def test_every_frame_around_a_cut_has_its_pose(
    networks: None, hero: np.ndarray, clips: Any, tmp_path: Path
) -> None:
    # Looked at are frames 0, 3, 6, 9: the cut, after frame 7, is at none of them.
    pictures = [placed(hero, 30 if index < 8 else 600, wide=2) for index in range(12)]
    path = clips.write(tmp_path / "cut.mp4", pictures, rate=Fraction(30), options={"crf": "12"})
    found = extract_track(path)
    assert (found.scores[:, 0] > 0.3).any(1).all()
    middles = body_of(found).mean(1)[:, 0]
    assert np.ptp(middles[:8]) < 20
    assert np.ptp(middles[8:]) < 20
    assert middles[8] - middles[7] > 500


def test_a_video_of_one_frame_gives_one_pose(
    networks: None, hero: np.ndarray, clips: Any, tmp_path: Path
) -> None:
    path = clips.write(tmp_path / "one.mp4", [placed(hero, 80)], rate=Fraction(24))
    found = extract_track(path)
    assert (len(found), found.rate.fraction) == (1, 24)
    assert body_of(found).shape[0] == 1


def test_a_video_without_anybody_says_where_was_looked(
    networks: None, clips: Any, tmp_path: Path
) -> None:
    path = clips.write(tmp_path / "empty.mp4", clips.numbered(8, (160, 120)), rate=Fraction(10))
    with pytest.raises(MotionError, match=r"no person was found in empty\.mp4.*1-8"):
        extract_track(path)


def test_a_picture_gives_one_pose(networks: None, hero: np.ndarray, tmp_path: Path) -> None:
    from PIL import Image

    found = detect_picture(hero)
    height, width = hero.shape[:2]
    assert (len(found), found.people, found.size) == (1, 1, (width, height))
    assert (found.scores[0, 0, BODY] > 0.3).sum() >= 14
    path = tmp_path / "hero.png"
    Image.fromarray(hero).save(path)
    np.testing.assert_array_equal(detect_picture(path).points, found.points)


def test_a_picture_of_nobody_is_a_motion_error_and_no_picture_a_character_error(
    networks: None, tmp_path: Path
) -> None:
    with pytest.raises(MotionError, match="no person"):
        detect_picture(np.full((120, 160, 3), 90, np.uint8))
    text = tmp_path / "hero.png"
    text.write_text("no picture")
    with pytest.raises(CharacterError, match=r"hero\.png"):
        detect_picture(text)
    with pytest.raises(CharacterError, match="RGB"):
        detect_picture(np.zeros((4, 4), np.uint8))


def test_an_unknown_detector_and_missing_networks_are_told(
    walking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError, match="'kinect'"):
        extract_track(walking, detector="kinect")
    with pytest.raises(SettingsError, match="'tallest'"):
        extract_track(walking, person="tallest")
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path))
    for detector, hint in (("mediapipe", "models pull"), ("dwpose", "dw-ll_ucoco_384.onnx")):
        with pytest.raises(ModelError) as failure:
            extract_track(walking, detector=detector)
        assert hint in str(failure.value)


@pytest.mark.media
@pytest.mark.slow
def test_a_real_dance_is_captured_whole(networks: None, media: Path) -> None:
    found = extract_track(media / "dance_02.mp4", frames=FrameRange(100, 160))
    scores = found.scores[:, 0]
    assert len(found) == 60
    assert found.size == (576, 1024)
    seen = (scores[:, [0, 1, 2, 3, 5, 6, 8, 11]] > 0.3).mean()
    assert seen > 0.98
    assert (scores[:, FACE] > 0).any(1).mean() > 0.98
    for part in (LEFT_HAND, RIGHT_HAND):
        assert (scores[:, part] > 0).any(1).mean() > 0.8


def test_the_pose_of_the_first_picture_stands_for_those_before_it(
    networks: None, hero: np.ndarray, clips: Any, tmp_path: Path
) -> None:
    pictures = [placed(hero, 20 + DRIFT * index) for index in range(10)]
    path = tmp_path / "damaged.mp4"
    options = {"crf": "12", "g": "4", "bf": "0", "sc_threshold": "0"}
    clips.write(path, pictures, rate=Fraction(24), options=options)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        first = next(container.demux(video=0))
        content[first.pos : first.pos + first.size] = bytes(first.size)
    path.write_bytes(content)
    found = extract_track(path)
    assert (len(found), found.first, found.rate.fraction) == (10, 1, 24)
    moved = body_of(found).mean(1)[:, 0]
    np.testing.assert_array_equal(found.points[:4], np.repeat(found.points[4:5], 4, axis=0))
    np.testing.assert_allclose(np.diff(moved[4:]), DRIFT, atol=1.5)
    part = extract_track(path, frames=FrameRange(2, 4))
    assert part.frames == FrameRange(2, 4)
    np.testing.assert_allclose(body_of(part).mean(1)[:, 0], moved[4], atol=3)


def test_what_a_user_should_know_is_said(
    networks: None, hero: np.ndarray, clips: Any, tmp_path: Path
) -> None:
    pictures = [placed(hero, 80) if index < 4 else placed(hero) for index in range(8)]
    path = clips.write(tmp_path / "gone.mp4", pictures, rate=Fraction(10), options={"crf": "12"})
    said: list[str] = []
    extract_track(path, say=said.append)
    assert said == ["gone.mp4: nobody is seen in 4 of 8 frames: 5-8"]
