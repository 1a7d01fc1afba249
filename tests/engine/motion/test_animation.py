"""Joint animations are checked once, kept exactly, and brought to other rates."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.motion import (
    Camera,
    JointAnimation,
    load,
    read_animation,
    resample,
    write_animation,
)

RATE = FrameRate(Fraction(30))


def swinging_arm(frames: int = 4, **changes: object) -> JointAnimation:
    """Return two bones: a post, and an arm of 1 m that turns by 30 degrees a frame about z."""
    angle = np.radians(30) * np.arange(frames)
    turns = np.tile(np.eye(3), (frames, 2, 1, 1))
    turns[:, 1, 0, 0] = turns[:, 1, 1, 1] = np.cos(angle)
    turns[:, 1, 1, 0] = np.sin(angle)
    turns[:, 1, 0, 1] = -np.sin(angle)
    heads = np.zeros((frames, 2, 3))
    heads[:, 1] = [0, 0, 1]
    tails = heads + turns @ np.array([1.0, 0, 0])
    tails[:, 0] = [0, 0, 1]
    fields: dict[str, object] = {
        "names": ("post", "arm"),
        "parents": np.array([-1, 0]),
        "heads": heads,
        "tails": tails,
        "rotations": turns,
        "rest_heads": heads[0],
        "rest_tails": tails[0],
        "rest_rotations": turns[0],
        "rate": RATE,
    }
    return JointAnimation(**{**fields, **changes})  # type: ignore[arg-type]


def test_frames_carry_the_numbers_of_their_source() -> None:
    assert swinging_arm(first=101).frames == FrameRange(101, 105)


def test_turns_bring_a_direction_at_rest_to_where_it_points_now() -> None:
    arm = swinging_arm()
    along = (arm.turns[:, 1] @ (arm.rest_tails[1] - arm.rest_heads[1])[:, None])[..., 0]
    np.testing.assert_allclose(along, arm.tails[:, 1] - arm.heads[:, 1], atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("post", "post")}, "a name of its own"),
        ({"parents": np.array([1, -1])}, "each before its children"),
        ({"parents": np.array([-1, -2])}, "each before its children"),
        ({"tails": np.zeros((4, 3, 3))}, r"expected tails of shape \(4, 2, 3\)"),
        ({"heads": np.full((4, 2, 3), np.nan)}, "heads of the animation are not finite"),
        ({"heads": np.zeros((0, 2, 3))}, "at least one frame"),
        ({"names": ()}, "at least one bone"),
        ({"morphs": ("blink",), "morph_weights": np.zeros((3, 1))}, "expected morph_weights"),
        (
            {"camera": Camera(views=np.tile(np.eye(4), (2, 1, 1)), focal=np.ones(2))},
            "the camera has 2 frames, the motion 4",
        ),
    ],
)
def test_an_animation_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(MotionError, match=message):
        swinging_arm(**changes)


def test_resampling_turns_at_constant_speed_and_keeps_lengths_and_time() -> None:
    views = np.tile(np.eye(4), (4, 1, 1))
    views[:, 0, 3] = np.arange(4)
    camera = Camera(views=views, focal=np.array([1.0, 2, 3, 4]))
    weights = np.array([[0.0], [1], [2], [3]])
    arm = swinging_arm(camera=camera, morphs=("open",), morph_weights=weights)
    twice = resample(arm, FrameRate(Fraction(60)))
    assert len(twice) == 8  # 4 frames at 30 last as long as 8 at 60; the last pose is held
    halves = np.minimum(np.arange(8) / 2, 3)
    angles = np.degrees(np.arctan2(twice.tails[:, 1, 1], twice.tails[:, 1, 0]))
    np.testing.assert_allclose(angles, 30 * halves, atol=1e-9)
    lengths = np.linalg.norm(twice.tails[:, 1] - twice.heads[:, 1], axis=1)
    np.testing.assert_allclose(lengths, 1)
    assert twice.camera is not None
    np.testing.assert_allclose(twice.camera.views[:, 0, 3], halves)
    np.testing.assert_allclose(twice.camera.focal, 1 + halves)
    np.testing.assert_allclose(twice.morph_weights[:, 0], halves)
    back = resample(twice, RATE)
    np.testing.assert_allclose(back.tails, arm.tails, atol=1e-12)


def test_an_animation_comes_back_from_its_file_exactly(tmp_path: Path) -> None:
    camera = Camera(
        views=np.eye(4)[None], focal=np.array([1.5]), shift=np.array([[0.1, 0]]), fit="vertical"
    )
    arm = swinging_arm(
        first=101, camera=camera, humanoid={"hips": "post"}, notes=("from Blender",), source="腕"
    )
    path = tmp_path / "arm.npz"
    write_animation(arm, path)
    for back in (read_animation(path), load(path)):
        for name in JointAnimation.__dataclass_fields__:
            if name in {"camera", "files"}:
                continue
            one, other = getattr(arm, name), getattr(back, name)
            np.testing.assert_array_equal(one, other, err_msg=name)
        assert back.camera is not None
        np.testing.assert_array_equal(back.camera.views, camera.views)
        assert back.camera.shift is not None
        assert (back.camera.fit, back.camera.scale) == ("vertical", None)
    assert load(path).files == (path,)
    assert [file.name for file in tmp_path.iterdir()] == ["arm.npz"]


def test_a_damaged_animation_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "arm.npz"
    write_animation(swinging_arm(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MotionError, match="expected an animation written by Marionext"):
        load(path)
    np.savez(path, points=np.zeros(3))
    with pytest.raises(MotionError, match="expected an animation written by Marionext"):
        load(path)
