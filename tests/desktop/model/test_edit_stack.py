from contextlib import suppress
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.edits import (
    Fill,
    Hide,
    Hold,
    Key,
    Keys,
    Mirror,
    Offset,
    PoseEdit,
    SetPoints,
    Smooth,
    Swap,
    Transform,
)
from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.pose import PoseTrack, apply
from marionext_desktop.model.edit_stack import EditStack

FRAMES = 48


def wandering(frames: int = FRAMES, people: int = 2) -> PoseTrack:
    """Make people who wander about, with gaps, and with depths."""
    random = np.random.default_rng(3)
    steps = random.normal(0, 2, (frames, people, 134, 2))
    scores = random.uniform(0.2, 1, (frames, people, 134)).astype(np.float32)
    scores[20:25, 0, 92:113] = 0
    return PoseTrack(
        points=(300 + np.cumsum(steps, axis=0)).astype(np.float32),
        scores=scores,
        depths=random.normal(0, 9, scores.shape).astype(np.float32),
        size=(640, 480),
        rate=FrameRate(Fraction(30)),
    )


TRACK = wandering()
JOINTS = st.sampled_from(
    [(), ("left_arm",), ("right_hand", "right_wrist"), ("nose",), ("face",), ("legs",)]
)
SPANS = st.one_of(
    st.none(),
    st.tuples(st.integers(-5, FRAMES + 5), st.integers(1, 30)).map(
        lambda both: FrameRange(both[0], both[0] + both[1])
    ),
)


@st.composite
def edits(draw: st.DrawFn) -> PoseEdit:
    part = {"frames": draw(SPANS), "joints": draw(JOINTS), "person": draw(st.integers(0, 1))}
    ease = {"ease_in": draw(st.integers(0, 8)), "ease_out": draw(st.integers(0, 8))}
    number = draw(st.floats(-40, 40))
    match draw(st.integers(0, 10)):
        case 0:
            part["joints"] = ("left_wrist",)
            return SetPoints(points=(((number, 5.0),),), **part)
        case 1:
            return Offset(by=(number, 3.0), **part, **ease)
        case 2:
            return Hold(at=draw(st.one_of(st.none(), st.integers(0, FRAMES))), **part)
        case 3:
            return Hide(**part)
        case 4:
            return Swap(**part)
        case 5:
            return Mirror(**part)
        case 6:
            return Smooth(window=draw(st.sampled_from([5, 9])), **part)
        case 7:
            return Fill(replace=draw(st.booleans()), **part)
        case 8:
            return Transform(rotation=number, scale=(1.5, 0.8), **part, **ease)
        case 9:
            return Transform(rotation=number, pivot_joint="neck", **part)
        case _:
            frames = sorted(draw(st.sets(st.integers(0, FRAMES - 1), min_size=1, max_size=4)))
            keys = tuple(Key(frame=at, points=((number, float(at)),)) for at in frames)
            return Keys(keys=keys, **part)


def same(stack: EditStack, track: PoseTrack) -> bool:
    have = stack.keypoints
    return all(
        np.array_equal(a, b)
        for a, b in (
            (have.points, track.points),
            (have.scores, track.scores),
            (have.origins, track.origins),
            (have.depths, track.depths),
        )
    )


def applied(edits: tuple[PoseEdit, ...]) -> PoseTrack:
    """Apply edits as the engine does, those left out that do not fit."""
    track = TRACK
    for edit in edits:
        with suppress(MotionError):
            track = apply(track, [edit])
    return track


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(edits(), max_size=5), max_size=4), st.data())
def test_from_any_edits_to_any_others_it_is_as_the_engine_applies_them(
    lists: list[list[PoseEdit]], data: st.DataObject
) -> None:
    stack = EditStack(TRACK)
    before: tuple[PoseEdit, ...] = ()
    for new in lists:
        kept = data.draw(st.integers(0, len(before)))
        wanted = (*before[:kept], *new)
        stack.take_back_to(wanted)
        for edit in wanted[len(stack.edits) :]:
            with suppress(MotionError):  # such as a turn about a joint that is never seen
                stack.put(edit)
        assert stack.edits == wanted
        assert same(stack, applied(wanted))
        before = wanted
    stack.take_back_to(())
    assert same(stack, TRACK)


def test_it_tells_which_frames_have_changed() -> None:
    stack = EditStack(TRACK)
    assert stack.put(Offset(by=(1, 1), frames=FrameRange(10, 20))) == FrameRange(10, 20)
    assert stack.put(Hide(frames=FrameRange(-3, 4), joints=("nose",))) == FrameRange(0, 4)
    assert stack.put(Hide(frames=FrameRange(99, 104))) is None
    assert stack.take_back_to(()) == FrameRange(0, 20)
    assert stack.take_back_to(()) is None


def test_a_costly_edit_that_was_undone_is_not_worked_out_again() -> None:
    stack = EditStack(wandering(60))
    smooth = Smooth(window=7)
    assert not stack.is_quick(smooth)
    stack.put(smooth)
    smoothed = stack.keypoints.track()
    stack.take_back_to(())
    assert stack.is_quick(smooth)
    stack.put(smooth)
    assert same(stack, smoothed)


def test_a_fork_goes_its_own_way() -> None:
    stack = EditStack(TRACK)
    stack.put(Hide(joints=("nose",)))
    fork = stack.fork()
    fork.put(Hide(joints=("neck",)))
    assert same(stack, apply(TRACK, [Hide(joints=("nose",))]))
    assert same(fork, apply(TRACK, [Hide(joints=("nose",)), Hide(joints=("neck",))]))
    fork.take_back_to(())
    assert same(fork, TRACK)


def test_an_edit_that_does_not_fit_is_told_and_changes_nothing() -> None:
    stack = EditStack(TRACK)
    with pytest.raises(MotionError, match="person"):
        stack.put(Hide(person=7))
    assert same(stack, TRACK)
    assert len(stack.edits) == 1
    stack.take_back_to(())
    assert same(stack, TRACK)
