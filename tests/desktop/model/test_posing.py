import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.desktop.model.test_findings import dancing

from marionext.edits import Hold, Key, Keys, Offset, SetPoints
from marionext.frames import FrameRange, FrameRate
from marionext.pose import apply
from marionext.skeleton import LIMB_GROUPS, POINT_NAMES
from marionext_desktop.model import editing, posing
from marionext_desktop.model.edit_stack import EditStack
from marionext_desktop.model.limbs import dragged, limb_of
from marionext_desktop.model.project import Project, Source

TRACK = dancing(60)
NOW = EditStack(TRACK).keypoints
BONES = [(2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (11, 12), (12, 13)]


def project() -> Project:
    source = Source(
        id="s", path="/m.npz", kind="poses", name="m", frames=60, size=TRACK.size,
        rate=FrameRate(Fraction(30)),
    )  # fmt: skip
    empty = editing.add_source(Project(), source)
    return editing.append(empty, replace(editing.whole_clip(empty, "s"), id="c"))


def posed(changed: Project) -> np.ndarray:
    return apply(TRACK, changed.clip("c").edits).points[:, 0]


def length(points: np.ndarray, bone: tuple[int, int]) -> float:
    return float(np.linalg.norm(points[bone[1]] - points[bone[0]]))


@settings(max_examples=80, deadline=None)
@given(
    joint=st.sampled_from([3, 4, 6, 7, 9, 10, 12, 13, 95, 116]),
    x=st.floats(-300, 900),
    y=st.floats(-300, 1100),
)
def test_a_limb_keeps_its_lengths_wherever_it_is_dragged(joint: int, x: float, y: float) -> None:
    points, scores = TRACK.points[0, 0], TRACK.scores[0, 0]
    new = points.copy()
    for point, place in dragged(points, scores, joint, (x, y), "limb").items():
        new[point] = place
    assert np.isfinite(new).all()
    for bone in BONES:
        assert length(new, bone) == pytest.approx(length(points, bone), abs=0.01)
    for wrist, hand in ((7, 92), (4, 113)):
        assert np.linalg.norm(new[hand] - new[wrist]) == pytest.approx(
            np.linalg.norm(points[hand] - points[wrist]), abs=0.01
        )
    shoulders = [1, 2, 5, 8, 11]
    assert np.array_equal(new[shoulders], points[shoulders])


def test_a_wrist_within_reach_comes_to_the_pointer() -> None:
    points, scores = TRACK.points[0, 0], TRACK.scores[0, 0]
    moved = dragged(points, scores, 4, (180.0, 300.0), "limb")
    assert moved[4] == pytest.approx((180, 300), abs=0.01)
    assert set(moved) >= {3, 4, 113, 133}
    far = dragged(points, scores, 4, (-900.0, 220.0), "limb")
    reach = length(points, (2, 3)) + length(points, (3, 4))
    assert math.dist(far[4], points[2]) == pytest.approx(reach, abs=0.01)


def test_a_joint_alone_and_a_hand_as_it_is() -> None:
    points, scores = TRACK.points[0, 0], TRACK.scores[0, 0]
    assert set(dragged(points, scores, 3, (1, 1), "joint")) == {3}
    assert set(dragged(points, scores, 7, (1, 1), "joint")) == {7, 92}
    hand = dragged(points, scores, 100, (400.0, 400.0), "hand")
    assert set(hand) == {7, *range(92, 113)}
    way = np.array(hand[100]) - points[100]
    assert all(np.allclose(np.array(hand[p]) - points[p], way, atol=1e-3) for p in hand)
    whole = dragged(points, scores, 1, (310.0, 225.0), "limb")
    assert np.allclose(np.array(whole[10]) - points[10], np.array(whole[1]) - points[1], atol=1e-3)


def test_a_point_that_is_not_seen_can_be_put_somewhere() -> None:
    scores = TRACK.scores[0, 0].copy()
    scores[4] = 0
    moved = dragged(TRACK.points[0, 0], scores, 4, (50.0, 60.0), "joint")
    assert moved[4] == (50.0, 60.0)


def test_a_drag_fades_into_the_frames_around() -> None:
    there = (float(TRACK.points[20, 0, 4, 0]) + 40, float(TRACK.points[20, 0, 4, 1]))
    changed = posing.drag(project(), "c", 0, 20, {4: there}, NOW, fade=(5, 10))
    way = posed(changed)[:, 4] - TRACK.points[:, 0, 4]
    assert way[20].tolist() == pytest.approx([40, 0], abs=0.01)
    assert not way[:16].any()
    assert not way[30:].any()
    assert (np.diff(way[15:21, 0]) > 0).all()
    assert (np.diff(way[20:31, 0]) < 0).all()
    (mark,) = posing.marks(changed.clip("c"), 60)
    assert (mark.kind, mark.frames) == ("key", FrameRange(20, 21))


def test_a_second_drag_of_the_same_joint_takes_the_place_of_the_first() -> None:
    once = posing.drag(project(), "c", 0, 20, {4: (1.0, 1.0)}, NOW)
    twice = posing.drag(once, "c", 0, 20, {4: (2.0, 2.0)}, NOW)
    assert len(twice.clip("c").edits) == 1
    other = posing.drag(twice, "c", 0, 21, {4: (2.0, 2.0)}, NOW)
    assert len(other.clip("c").edits) == 2


def test_poses_are_copied_and_pasted() -> None:
    arm = LIMB_GROUPS["left_arm"]
    copied = posing.copy_poses(NOW, 0, FrameRange(5, 8), arm)
    changed = posing.paste_poses(project(), "c", 0, 30, copied)
    now, then = posed(changed)[30:33][:, list(arm)], TRACK.points[5:8, 0][:, list(arm)]
    assert np.allclose(now, then, atol=0.01)
    assert np.array_equal(posed(changed)[33], TRACK.points[33, 0])
    held = posing.copy_poses(NOW, 0, FrameRange(5, 6), arm)
    changed = posing.paste_poses(project(), "c", 0, 30, held, count=6)
    assert np.allclose(posed(changed)[35, 7], TRACK.points[5, 0, 7], atol=0.01)
    here = posing.paste_poses(project(), "c", 0, 30, copied, about="joint", now=NOW)
    first = min(arm)
    assert np.allclose(posed(here)[30, first], TRACK.points[30, 0, first], atol=0.01)


def test_edits_show_as_keys_and_bars() -> None:
    changed = posing.hold(project(), "c", 0, FrameRange(10, 20), [4], None)
    changed = posing.hide(changed, "c", 0, FrameRange(30, 35), range(92, 113))
    changed = posing.offset(changed, "c", 0, None, [], (3, 4))
    changed = posing.key(changed, "c", 0, 40, [4, 7], NOW)
    kinds = [(mark.kind, mark.frames) for mark in posing.marks(changed.clip("c"), 60)]
    assert kinds == [
        ("hold", FrameRange(10, 20)),
        ("hide", FrameRange(30, 35)),
        ("change", FrameRange(0, 60)),
        ("key", FrameRange(40, 41)),
    ]


def test_marks_are_moved_spread_and_removed() -> None:
    keys = Keys(
        joints=("nose",), frames=FrameRange(10, 31),
        keys=tuple(Key(frame=at, points=((float(at), 0.0),)) for at in (10, 20, 30)),
    )  # fmt: skip
    put = SetPoints(joints=("neck",), frames=FrameRange(5, 6), points=(((1.0, 2.0),),))
    held = Hold(joints=("nose",), frames=FrameRange(40, 50), at=40)
    start = posing.add_edits(project(), "c", [keys, put, held])
    moved = posing.move_marks(start, "c", {0, 2}, 3).clip("c").edits
    assert [key.frame for key in moved[0].keys] == [13, 23, 33]  # type: ignore[union-attr]
    assert moved[0].frames == FrameRange(13, 34)
    assert moved[1] is put
    assert (moved[2].frames, moved[2].at) == (FrameRange(43, 53), 43)  # type: ignore[union-attr]
    spread = posing.scale_marks(start, "c", {0, 1}, 10, 2.0).clip("c").edits
    assert [key.frame for key in spread[0].keys] == [10, 30, 50]  # type: ignore[union-attr]
    assert spread[1].frames == FrameRange(0, 1)
    marks = posing.marks(start.clip("c"), 60)
    left = posing.remove_marks(start, "c", [mark for mark in marks if mark.frames.start in (20, 5)])
    assert [key.frame for key in left.clip("c").edits[0].keys] == [10, 30]  # type: ignore[union-attr]
    assert len(left.clip("c").edits) == 2
    nothing = posing.remove_marks(start, "c", marks)
    assert nothing.clip("c").edits == ()


def test_every_point_has_a_row() -> None:
    rows = {limb_of(point) for point in range(len(POINT_NAMES))}
    assert rows == {
        "head", "face", "torso", "right_arm", "right_hand", "left_arm", "left_hand", "right_leg",
        "left_leg", "right_foot", "left_foot",
    }  # fmt: skip


def test_an_offset_leaves_the_source_alone() -> None:
    changed = posing.offset(project(), "c", 0, FrameRange(10, 20), [4], (5.0, 0.0), ease=2)
    (edit,) = changed.clip("c").edits
    assert isinstance(edit, Offset)
    assert (edit.ease_in, edit.ease_out) == (2, 2)
    trimmed = editing.trim(changed, "c", "start", 8)
    assert trimmed.clip("c").edits == (edit,)
