"""The camera that frames a motion sees all of it, from where it was told, and no smaller."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.errors import SettingsError
from marionext.frames import FrameRate
from marionext.motion import JointAnimation, follow_motion, frame_motion, front_of

NAMES = ("hips", "head", "leftArm", "rightArm", "leftLeg", "rightLeg")
AT_REST = np.array(
    [[0, 0, 1], [0, 0, 1.6], [0.6, 0, 1.4], [-0.6, 0, 1.4], [0.1, 0, 0.1], [-0.1, 0, 0.1]]
)


def dancer(turns: list[float], paths: np.ndarray | None = None) -> JointAnimation:
    """Return a body that faces -y at 0 degrees and turns to its left."""
    angles = np.radians(turns)
    rotations = np.zeros((len(turns), 3, 3))
    rotations[:, 0, 0] = rotations[:, 1, 1] = np.cos(angles)
    rotations[:, 1, 0], rotations[:, 0, 1] = np.sin(angles), -np.sin(angles)
    rotations[:, 2, 2] = 1
    heads = AT_REST @ rotations.swapaxes(1, 2)
    if paths is not None:
        heads = heads + paths[:, None]
    count = len(NAMES)
    every = np.repeat(rotations[:, None], count, axis=1)
    return JointAnimation(
        names=NAMES,
        parents=np.array([-1, 0, 0, 0, 0, 0]),
        heads=heads,
        tails=heads + np.array([0, 0, 0.01]),
        rotations=every,
        rest_heads=AT_REST,
        rest_tails=AT_REST + np.array([0, 0, 0.01]),
        rest_rotations=np.broadcast_to(np.eye(3), (count, 3, 3)),
        rate=FrameRate(Fraction(24)),
    )


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    width=st.integers(64, 1920),
    height=st.integers(64, 1920),
    yaw=st.floats(-360, 360),
    pitch=st.floats(-90, 90),
    focal=st.floats(12, 200),
    margin=st.floats(0, 0.4),
)
def test_every_joint_is_inside_the_margin_and_two_borders_are_touched(
    seed: int, width: int, height: int, yaw: float, pitch: float, focal: float, margin: float
) -> None:
    rng = np.random.default_rng(seed)
    motion = dancer(list(rng.uniform(-180, 180, 5)), rng.normal(size=(5, 3)))
    size = (width, height)
    camera = frame_motion(motion, size, yaw=yaw, pitch=pitch, focal_mm=focal, margin=margin)
    pixels, depth = camera.project(motion.heads, size)
    assert depth.min() > 0
    part = pixels / size
    assert part.min() > margin - 1e-9
    assert part.max() < 1 - margin + 1e-9
    # No nearer camera would do: with flesh and hair, the outline comes close to two borders.
    free = np.minimum(part.min(axis=(0, 1)), 1 - part.max(axis=(0, 1))) - margin
    assert free.min() < 0.3 * (1 - 2 * margin)


def test_the_top_of_the_head_and_the_tips_of_the_hands_are_inside() -> None:
    motion = dancer([0])
    camera = frame_motion(motion, (512, 1024), margin=0.05)
    reach = np.array([[[0, 0, 1.78], [0.65, 0, 1.4], [-0.65, 0, 1.4], [0, 0, 0.05]]])
    pixels, _ = camera.project(reach, (512, 1024))
    assert (pixels > 0).all()
    assert (pixels < (512, 1024)).all()


@pytest.mark.parametrize(
    ("yaw", "side", "sign"), [(0, 1, -1), (90, 0, 1), (180, 1, 1), (270, 0, -1)]
)
def test_yaw_walks_round_the_character(yaw: float, side: int, sign: int) -> None:
    camera = frame_motion(dancer([0]), (512, 512), yaw=yaw)
    place = camera.positions[0]
    assert sign * place[side] > 1
    assert abs(place[1 - side]) < 0.2


def test_the_front_is_seen_wherever_the_character_faces() -> None:
    for turn in (0, 45, 120, -90):
        motion = dancer([turn])
        front = front_of(motion)
        expected = [np.sin(np.radians(turn)), -np.cos(np.radians(turn)), 0]
        np.testing.assert_allclose(front, expected, atol=1e-9)
        pixels, _ = frame_motion(motion, (512, 512)).project(motion.heads, (512, 512))
        left, right = pixels[0, 2, 0], pixels[0, 3, 0]
        assert left - right > 100  # the character's left is on the viewer's right


def test_who_turns_right_round_is_seen_as_they_began() -> None:
    spin = dancer(list(range(30, 390, 30)))
    np.testing.assert_allclose(front_of(spin), front_of(dancer([30])), atol=1e-9)


def test_pitch_looks_down_from_above() -> None:
    camera = frame_motion(dancer([0]), (512, 512), pitch=45)
    place = camera.positions[0]
    assert place[2] - 0.9 == pytest.approx(-place[1], abs=0.4)
    above = frame_motion(dancer([0]), (512, 512), pitch=90).positions[0]
    assert abs(above[:2]).max() < 0.1


def test_only_chosen_joints_are_framed() -> None:
    motion = dancer([0])
    near = frame_motion(motion, (512, 512), joints=[1])
    far = frame_motion(motion, (512, 512))
    assert -near.positions[0, 1] < 0.5 * -far.positions[0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pitch": 91.0}, "pitch is between -90 and 90"),
        ({"margin": 0.5}, "margin is at least 0 and below 0.5"),
        ({"margin": -0.1}, "margin is at least 0"),
        ({"focal_mm": 0.0}, "focal length is greater than 0"),
        ({"focal_mm": float("nan")}, "focal length is greater than 0"),
    ],
)
def test_settings_outside_their_range_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        frame_motion(dancer([0]), (512, 512), **changes)  # type: ignore[arg-type]


def walker(frames: int, *, speed: float, curve: float = 0.0, rate: int = 30) -> JointAnimation:
    """Return somebody of one shape who walks, straight or in a curve (degrees a second)."""
    angles = np.radians(curve) * np.arange(frames) / rate
    steps = np.stack([-np.sin(angles), -np.cos(angles), np.zeros(frames)], axis=1) * speed / rate
    places = np.cumsum(steps, axis=0) + np.array([3.0, 20.0, 0.0])
    places[:, 2] = 0.02 * np.sin(np.arange(frames))
    return dancer([0] * frames, places).with_(rate=FrameRate(Fraction(rate)))


@pytest.mark.parametrize("yaw", [0, 35, 90, 180])
@pytest.mark.parametrize("curve", [0, 40])
def test_a_camera_that_goes_along_keeps_size_and_place(yaw: float, curve: float) -> None:
    motion, size = walker(240, speed=1.4, curve=curve), (576, 1024)
    camera = follow_motion(motion, size, yaw=yaw)
    pixels, depth = camera.project(motion.heads, size)
    assert depth.min() > 0
    heights = np.ptp(pixels[..., 1], axis=1)
    assert np.ptp(heights) < 0.03 * heights.mean()
    assert heights.mean() > 0.5 * size[1]
    middle = pixels.mean(axis=1)
    assert np.abs(middle[:, 0] - size[0] / 2).max() < 0.06 * size[0]
    still, _ = frame_motion(motion, size, yaw=yaw).project(motion.heads, size)
    assert np.ptp(still[..., 1], axis=1).mean() < 0.6 * heights.mean()


def test_a_camera_that_goes_along_leaves_a_jump_a_jump() -> None:
    frames = 60
    places = np.zeros((frames, 3))
    places[25:36, 2] = 0.5 * np.sin(np.linspace(0, np.pi, 11))
    motion, size = dancer([0] * frames, places), (576, 1024)
    pixels, _ = follow_motion(motion, size).project(motion.heads, size)
    body = np.ptp(pixels[0, :, 1])
    rise = pixels[0, :, 1].mean() - pixels[30, :, 1].mean()
    assert 0.2 * body < rise < 0.31 * body, "0.5 m of 1.65"
    assert pixels.min() > 0


def test_arms_that_are_raised_do_not_move_a_camera_that_goes_along() -> None:
    motion = dancer([0] * 40)
    heads = motion.heads.copy()
    heads[20:, 2:4, 2] += 0.5
    camera = follow_motion(motion.with_(heads=heads), (512, 512))
    np.testing.assert_allclose(camera.views, np.repeat(camera.views[:1], 40, axis=0), atol=1e-9)


def test_a_camera_that_goes_along_with_one_frame_is_the_still_one() -> None:
    motion, size = dancer([30]), (512, 512)
    along, still = follow_motion(motion, size, pitch=10), frame_motion(motion, size, pitch=10)
    np.testing.assert_allclose(along.views, still.views, atol=1e-12)
    np.testing.assert_allclose(along.focal, still.focal)
