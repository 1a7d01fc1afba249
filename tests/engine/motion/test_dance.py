"""The bundled dance: made by its script, on its feet, and a loop."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from marionext.motion import JointAnimation, load, map_rig

REPOSITORY = Path(__file__).resolve().parents[3]
DANCE = REPOSITORY / "presets" / "motions" / "dance.bvh"


@pytest.fixture(scope="module")
def dance() -> JointAnimation:
    return load(DANCE)


def test_the_script_makes_the_dance_that_is_bundled(dance: JointAnimation, tmp_path: Path) -> None:
    script = REPOSITORY / "scripts" / "make_dance.py"
    again = tmp_path / "again.bvh"
    subprocess.run([sys.executable, script, again], check=True, timeout=120)
    made = load(again)
    assert (made.names, made.rate) == (dance.names, dance.rate)
    # Not byte by byte: the last digit may differ between processors.
    np.testing.assert_allclose(made.heads, dance.heads, atol=1e-5)


def test_it_is_sixteen_beats_at_24_frames_a_second(dance: JointAnimation) -> None:
    assert (len(dance), str(dance.rate)) == (192, "24")
    assert dance.height == pytest.approx(1.73, abs=0.01)


def test_body_and_fingers_are_mapped_without_guessing(dance: JointAnimation) -> None:
    mapping = map_rig(dance)
    assert not mapping.guessed
    assert set(mapping.bones.values()) >= set(dance.names) - {"Spine", "Spine1", "Spine2"}


def test_feet_stay_on_the_floor_and_do_not_slide(dance: JointAnimation) -> None:
    for side in ("Left", "Right"):
        ball = dance.heads[:, dance.index(f"{side}ToeBase")]
        assert ball[:, 2].min() > 0.019
        down = ball[:, 2] < 0.0205
        both = down[1:] & down[:-1]
        slide = np.linalg.norm(np.diff(ball, axis=0), axis=1)[both]
        assert slide.max() < 0.012  # metres a frame, at the moment a foot leaves the floor
        assert 0.4 < down.mean() < 0.95


def test_knees_bend_forwards_and_arms_stay_out_of_the_body(dance: JointAnimation) -> None:
    front = dance.turns[:, dance.index("Hips")] @ np.array([0.0, -1.0, 0.0])
    spine = dance.heads[:, [dance.index("Hips"), dance.index("Neck")]]
    for side in ("Left", "Right"):
        hip, knee, ankle, elbow, hand = (
            dance.heads[:, dance.index(side + name)]
            for name in ("UpLeg", "Leg", "Foot", "ForeArm", "Hand")
        )
        assert (((knee - (hip + ankle) / 2) * front).sum(axis=1) > 0).all()
        for joint in (elbow, hand):
            along = spine[:, 1] - spine[:, 0]
            part = ((joint - spine[:, 0]) * along).sum(axis=1) / (along**2).sum(axis=1)
            nearest = spine[:, 0] + np.clip(part, 0, 1)[:, None] * along
            assert np.linalg.norm(joint - nearest, axis=1).min() > 0.18


def test_the_last_frame_leads_into_the_first(dance: JointAnimation) -> None:
    steps = np.linalg.norm(np.diff(dance.heads, axis=0), axis=2).max(axis=1)
    seam = np.linalg.norm(dance.heads[0] - dance.heads[-1], axis=1).max()
    assert seam < np.median(steps) * 1.5
