import re
from fractions import Fraction
from itertools import pairwise

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
    SetPoints,
    Smooth,
    Swap,
    Transform,
    resized,
)
from marionext.errors import MotionError
from marionext.frames import FrameRange, FrameRate
from marionext.pose import Origin, PoseTrack, apply, apply_at, mirror, select, trim
from marionext.pose.skeleton import (
    LEFT_HAND,
    LIMB_GROUPS,
    MIRRORED,
    POINT_COUNT,
    POINT_NAMES,
    RIGHT_HAND,
    point_numbers,
)

FRAMES, FIRST = 12, 101

relaxed = settings(deadline=None, max_examples=60)


def crowd(seed, people=2):
    """Anything at all: places, scores and origins by chance."""
    rng = np.random.default_rng(seed)
    shape = (FRAMES, people, POINT_COUNT)
    return PoseTrack(
        points=rng.uniform(0, 1000, (*shape, 2)).astype(np.float32),
        scores=rng.choice([0, 0.2, 0.7, 0.9], shape).astype(np.float32),
        origins=rng.integers(0, 3, shape).astype(np.uint8),
        size=(1000, 800),
        rate=FrameRate(Fraction(30)),
        first=FIRST,
    )


TRACKS = st.integers(0, 2**32 - 1).map(crowd)
SPANS = st.builds(
    lambda start, length: FrameRange(start, start + length),
    st.integers(FIRST - 4, FIRST + FRAMES + 2),
    st.integers(1, 8),
)
JOINTS = st.lists(st.sampled_from([*LIMB_GROUPS, *POINT_NAMES]), max_size=3, unique=True).map(tuple)
PLACES = st.tuples(st.floats(-500, 1500), st.floats(-500, 1500))
PART = {"frames": st.none() | SPANS, "joints": JOINTS, "person": st.integers(0, 1)}
EASES = {
    "ease_in": st.integers(0, 4),
    "ease_out": st.integers(0, 4),
    "ease": st.sampled_from(["smooth", "linear"]),
}


@st.composite
def set_points(draw):
    joints, frames = draw(JOINTS.filter(len)), draw(SPANS)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    places = rng.uniform(0, 1000, (len(frames), len(point_numbers(joints)), 2)).tolist()
    points = tuple(
        tuple(None if rng.random() < 0.1 else tuple(place) for place in row) for row in places
    )
    return SetPoints(frames=frames, joints=joints, points=points, person=draw(st.integers(0, 1)))


@st.composite
def keys(draw):
    times = sorted(draw(st.sets(st.integers(FIRST - 3, FIRST + 15), min_size=1, max_size=5)))
    how = st.sampled_from(["smooth", "linear", "constant"])
    made = tuple(Key(frame=t, points=(draw(PLACES),), interpolation=draw(how)) for t in times)
    joints, relative = draw(JOINTS), draw(st.booleans())
    if not relative:
        joints = (draw(st.sampled_from(POINT_NAMES)),)
    return Keys(
        frames=draw(st.none() | SPANS),
        joints=joints,
        person=draw(st.integers(0, 1)),
        keys=made,
        relative=relative,
    )


KINDS = {
    "set": set_points(),
    "offset": st.builds(Offset, by=PLACES, **EASES, **PART),
    "hold": st.builds(Hold, at=st.none() | st.integers(FIRST - 3, FIRST + 15), **PART),
    "hide": st.builds(Hide, **PART),
    "swap": st.builds(Swap, **PART),
    "mirror": st.builds(Mirror, about=st.none() | st.floats(0, 1000), **PART),
    "smooth": st.builds(Smooth, window=st.sampled_from([5, 7, 9]), **PART),
    "fill": st.builds(Fill, replace=st.booleans(), **PART),
    "transform": st.builds(
        Transform,
        scale=st.tuples(st.floats(0.2, 5), st.floats(0.2, 5)),
        rotation=st.floats(-400, 400),
        pivot=st.none() | PLACES,
        **EASES,
        **PART,
    ),
    "keys": keys(),
}


def same(one, other):
    return all(
        getattr(one, name).tobytes() == getattr(other, name).tobytes()
        for name in ("points", "scores", "origins")
    )


@pytest.mark.parametrize("kind", KINDS)
@relaxed
@given(data=st.data())
def test_an_edit_changes_nothing_outside_to_the_last_bit(kind, data):
    track, edit = data.draw(TRACKS), data.draw(KINDS[kind])
    before = track.points.tobytes(), track.scores.tobytes(), track.origins.tobytes()
    edited = apply(track, [edit])
    inside = np.zeros(track.scores.shape, bool)
    for number in range(FIRST, FIRST + FRAMES):
        if edit.frames is None or number in edit.frames:
            inside[number - FIRST, edit.person, list(edit.points_changed)] = True
    for name in ("points", "scores", "origins"):
        new, old = getattr(edited, name), getattr(track, name)
        assert new.dtype == old.dtype
        assert new[~inside].tobytes() == old[~inside].tobytes()
    # And the track that it was made of is as it was.
    assert before == (track.points.tobytes(), track.scores.tobytes(), track.origins.tobytes())


@pytest.mark.parametrize("kind", ["set", "offset", "hide", "swap", "mirror", "transform", "keys"])
@relaxed
@given(data=st.data())
def test_a_part_of_a_motion_is_edited_as_the_whole_is(kind, data):
    track, edit = data.draw(TRACKS), data.draw(KINDS[kind].filter(lambda edit: edit.frames))
    part = FrameRange(FIRST + 3, FIRST + 9)
    assert same(apply(trim(track, part), [edit]), trim(apply(track, [edit]), part))


@pytest.mark.parametrize("kind", KINDS)
@relaxed
@given(data=st.data())
def test_motions_of_a_frame_or_two_are_edited_as_long_ones_are(kind, data):
    track, edit = data.draw(TRACKS), data.draw(KINDS[kind])
    start, frames = data.draw(st.integers(0, FRAMES - 3)), data.draw(st.integers(1, 3))
    short = trim(track, FrameRange(FIRST + start, FIRST + start + frames))
    assert len(apply(short, [edit])) == frames


def undone(edit):
    """The edit that undoes another."""
    match edit:
        case Offset():
            part = {"frames": edit.frames, "joints": edit.joints, "person": edit.person}
            ease = {"ease_in": edit.ease_in, "ease_out": edit.ease_out, "ease": edit.ease}
            return Offset(by=(-edit.by[0], -edit.by[1]), **part, **ease)
        case Swap() | Mirror():
            return edit
    raise AssertionError


@relaxed
@given(TRACKS, KINDS["offset"] | KINDS["swap"] | KINDS["mirror"])
def test_an_edit_and_its_inverse_give_the_motion_back(track, edit):
    back = apply(track, [edit, undone(edit)])
    np.testing.assert_allclose(back.points, track.points, atol=1e-3)
    assert back.scores.tobytes() == track.scores.tobytes()
    if isinstance(edit, Swap):
        assert same(back, track)


@relaxed
@given(TRACKS, SPANS, st.floats(-400, 400), st.floats(0.2, 5), st.integers(0, 3))
def test_turning_and_growing_are_undone_by_turning_and_shrinking(track, frames, turn, scale, ease):
    part = {"frames": frames, "joints": ("left_arm", "face"), "ease_in": ease}
    turned = Transform(rotation=turn, scale=(scale, scale), pivot=(500, 300), **part)
    back = Transform(rotation=-turn, scale=(1 / scale, 1 / scale), pivot=(500, 300), **part)
    np.testing.assert_allclose(apply(track, [turned, back]).points, track.points, atol=0.01)


@relaxed
@given(TRACKS, KINDS["keys"].filter(lambda edit: edit.relative))
def test_keys_and_their_opposites_give_the_motion_back(track, edit):
    negative = tuple(
        Key(
            frame=key.frame,
            points=tuple((-x, -y) for x, y in key.points),
            interpolation=key.interpolation,
        )
        for key in edit.keys
    )
    opposite = Keys(frames=edit.frames, joints=edit.joints, person=edit.person, keys=negative)
    np.testing.assert_allclose(apply(track, [edit, opposite]).points, track.points, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
@relaxed
@given(data=st.data())
def test_an_edit_means_the_same_in_a_picture_of_another_size(kind, data):
    track, edit = data.draw(TRACKS), data.draw(KINDS[kind])
    small = track.with_(points=track.points / 4, size=(250, 200))
    edited = apply(small, resized([edit], (0.25, 0.25)))
    whole = apply(track, [edit])
    np.testing.assert_allclose(4 * edited.points, whole.points, rtol=1e-4, atol=0.05)
    assert np.array_equal(edited.scores, whole.scores)


@relaxed
@given(TRACKS, st.lists(st.one_of(*KINDS.values()), max_size=4), st.integers(0, 4))
def test_edits_are_applied_one_after_the_other(track, edits, cut):
    assert same(apply(apply(track, edits[:cut]), edits[cut:]), apply(track, edits))


@settings(deadline=None, max_examples=200)
@given(TRACKS, st.lists(st.one_of(*KINDS.values()), max_size=4), st.integers(0, FRAMES - 1))
def test_one_frame_is_edited_as_it_is_among_all(track, edits, row):
    number = FIRST + row
    try:
        wanted = trim(apply(track, edits), FrameRange(number, number + 1))
    except MotionError as error:
        with pytest.raises(MotionError, match=re.escape(str(error))):
            apply_at(track, edits, number)
        return
    assert same(apply_at(track, edits, number), wanted)


def test_the_order_of_edits_counts(dancer):
    track = dancer(frames=3)
    moved, hidden = Offset(by=(30, 0), joints=("nose",)), Hold(at=0, joints=("nose",))
    first = apply(track, [moved, Mirror()]).points[0, 0, 0, 0]
    last = apply(track, [Mirror(), moved]).points[0, 0, 0, 0]
    assert last - first == pytest.approx(60)
    assert same(apply(track, [hidden, hidden]), apply(track, [hidden]))


@relaxed
@given(TRACKS, KINDS["keys"])
def test_keys_are_met_exactly(track, edit):
    edited = apply(track, [edit])
    (joint, *_) = edit.points_changed
    for key in edit.keys:
        if key.frame not in (edit.frames or track.frames) or key.frame not in track.frames:
            continue
        row, value = key.frame - FIRST, np.array(key.points[0])
        if edit.relative:
            value = value + track.points[row, edit.person, joint]
            if not track.scores[row, edit.person, joint]:
                continue
        assert (edited.points[row, edit.person, joint] == value.astype(np.float32)).all()


def values_of(edit, frames=FRAMES):
    """How far keys move a point, frame by frame: (frames,)."""
    still = PoseTrack(
        points=np.zeros((frames, 1, POINT_COUNT, 2), np.float32),
        scores=np.ones((frames, 1, POINT_COUNT), np.float32),
        size=(10, 10),
        rate=FrameRate(Fraction(30)),
    )
    return apply(still, [edit]).points[:, 0, 0, 0]


@relaxed
@given(
    st.dictionaries(st.integers(0, 40), st.integers(-200, 200), min_size=1),
    st.lists(st.sampled_from(["smooth", "linear", "constant"]), min_size=41, max_size=41),
)
def test_between_two_keys_nothing_turns_round_or_overshoots(places, hows):
    times = sorted(places)
    made = tuple(
        Key(frame=t, points=((places[t], 0),), interpolation=h)
        for t, h in zip(times, hows, strict=False)
    )
    way = values_of(Keys(keys=made), 41)
    assert (way[: times[0]] == places[times[0]]).all()
    assert (way[times[-1] :] == places[times[-1]]).all()
    for before, after in pairwise(times):
        steps = np.diff(way[before : after + 1])
        assert (steps >= -1e-4).all() or (steps <= 1e-4).all()
        assert way[before] == places[before]


def test_interpolations_are_those_that_animators_know():
    def way(how, *values):
        made = tuple(
            Key(frame=4 * i, points=((value, 0),), interpolation=how)
            for i, value in enumerate(values)
        )
        return values_of(Keys(keys=made), 4 * len(values) - 3).tolist()

    assert way("constant", 0, 8) == [0, 0, 0, 0, 8]
    assert way("linear", 0, 8) == [0, 2, 4, 6, 8]
    assert way("smooth", 0, 32) == [0, 5, 16, 27, 32]
    # A hold is a hold, and a key on the way is passed without stopping.
    assert way("smooth", 0, 8, 8)[4:] == [8] * 5
    straight = way("smooth", 0, 32, 64)
    assert straight[5] - straight[4] == pytest.approx(straight[4] - straight[3])
    assert straight[5] - straight[4] > 6


def test_points_are_set_where_asked_and_nowhere_else(dancer):
    track = dancer(frames=6).with_(first=11)
    edit = SetPoints(
        frames=FrameRange(13, 15), joints=("right_wrist", "left_wrist"), points=(((1, 2), (3, 4)),)
    )
    new = apply(track, [edit])
    changed = (new.points != track.points).any(-1)[:, 0]
    assert np.argwhere(changed).tolist() == [[2, 4], [2, 7], [3, 4], [3, 7]]
    assert new.points[2, 0, 7].tolist() == [3, 4]
    assert new.scores[2, 0, 7] == 1


def test_pasted_poses_follow_frame_by_frame(dancer):
    track = dancer(frames=6)
    points = (((1, 1), None), ((2, 2), (5, 5)), (None, (6, 6)))
    edit = SetPoints(frames=FrameRange(4, 7), joints=("nose", "neck"), points=points)
    new = apply(track, [edit])
    assert new.points[4:, 0, 0].tolist() == [[1, 1], [2, 2]]
    assert new.scores[4:, 0, 1].tolist() == [0, 1]
    with pytest.raises(MotionError, match=r"edit 1 \(set\): expected points of 6 frames, or of on"):
        apply(track, [SetPoints(joints=("nose",), points=(((1, 1),), ((2, 2),)))])


def test_a_move_grows_and_fades(dancer):
    track = dancer(frames=7)
    moves = {}
    for ease in ("linear", "smooth"):
        edit = Offset(by=(30, 0), joints=("right_wrist",), ease_in=2, ease_out=2, ease=ease)
        moves[ease] = (apply(track, [edit]).points - track.points)[:, 0, 4, 0]
    np.testing.assert_allclose(moves["linear"], [10, 20, 30, 30, 30, 20, 10], atol=1e-3)
    np.testing.assert_allclose(
        moves["smooth"], np.array([7, 20, 27, 27, 27, 20, 7]) * 30 / 27, atol=1e-3
    )


def test_holding_and_hiding(dancer):
    track = dancer(frames=6)
    held = apply(track, [Hold(frames=FrameRange(2, 5), joints=("right_wrist",))])
    assert (held.points[2:5, 0, 4] == track.points[2, 0, 4]).all()
    later = apply(track, [Hold(frames=FrameRange(2, 5), joints=("right_wrist",), at=5)])
    assert (later.points[2:5, 0, 4] == track.points[5, 0, 4]).all()
    hidden = apply(track, [Hide(frames=FrameRange(0, 2), joints=("right_wrist", "left_arm"))])
    assert hidden.scores[:, 0, 4].astype(bool).tolist() == [False, False, True, True, True, True]


def test_one_side_is_enough_to_exchange_both(dancer):
    track = dancer(frames=4)
    swapped = apply(track, [Swap(frames=FrameRange(1, 3), joints=("left_arm",))])
    np.testing.assert_array_equal(
        swapped.points[1:3, 0, [2, 3, 4]], track.points[1:3, 0, [5, 6, 7]]
    )
    np.testing.assert_array_equal(
        swapped.points[1:3, 0, [5, 6, 7]], track.points[1:3, 0, [2, 3, 4]]
    )


def test_mirroring_twice_changes_nothing(dancer):
    track = dancer(frames=5)
    np.testing.assert_allclose(mirror(mirror(track)).points, track.points, atol=1e-3)


def test_a_raised_left_hand_becomes_a_raised_right_hand(dancer):
    track = dancer(frames=3)
    turned = mirror(track)
    np.testing.assert_array_equal(
        turned.points[:, :, RIGHT_HAND, 0], track.size[0] - track.points[:, :, LEFT_HAND, 0]
    )
    assert (turned.points[:, :, 4, 1] == track.points[:, :, 7, 1]).all()


@relaxed
@given(TRACKS, st.none() | SPANS, JOINTS, st.none() | st.integers(0, 1))
def test_mirroring_a_part_gives_what_mirroring_all_gives_there(track, frames, joints, person):
    whole, part = mirror(track), mirror(track, frames=frames, joints=joints, person=person)
    rows = [row for row in range(FRAMES) if frames is None or row + FIRST in frames]
    people = range(2) if person is None else [person]
    points = sorted({*point_numbers(joints), *(MIRRORED[n] for n in point_numbers(joints))})
    inside = np.zeros(track.scores.shape, bool)
    inside[np.ix_(rows, people, points)] = True
    expected = np.where(inside[..., None], whole.points, track.points)
    np.testing.assert_array_equal(part.points, expected)


def test_mirroring_about_a_line(dancer):
    track = dancer(frames=2)
    turned = mirror(track, about=100)
    np.testing.assert_array_equal(turned.points[:, 0, 0, 0], 200 - track.points[:, 0, 0, 0])


def test_a_joint_is_the_pivot_frame_by_frame(dancer):
    track = dancer(frames=9)
    edit = Transform(joints=("left_arm",), rotation=90, pivot_joint="left_shoulder")
    turned = apply(track, [edit])
    np.testing.assert_allclose(turned.points[:, 0, 5], track.points[:, 0, 5], atol=1e-3)
    arm, now = (t.points[:, 0, 7] - t.points[:, 0, 5] for t in (track, turned))
    # A quarter clockwise: what pointed to the right points down.
    np.testing.assert_allclose(now, np.stack([-arm[:, 1], arm[:, 0]], -1), atol=1e-2)


def test_a_pivot_that_is_never_seen_is_refused(dancer):
    track = apply(dancer(frames=2), [Hide(joints=("neck",))])
    with pytest.raises(MotionError, match="neck"):
        apply(track, [Transform(pivot_joint="neck", rotation=3)])


def test_a_wrong_stretch_is_filled_from_both_sides(dancer):
    truth = dancer(frames=40)
    points = truth.points.copy()
    points[15:20, 0, 7] += [200, 100]
    wrong = truth.with_(points=points)
    mend = Fill(frames=FrameRange(15, 20), joints=("left_wrist",), replace=True)
    filled = apply(wrong, [mend])
    assert np.abs(filled.points - truth.points).max() < 12
    assert (filled.origins[15:20, 0, 7] == Origin.FILLED).all()
    assert same(apply(wrong, [Fill(frames=mend.frames, joints=mend.joints)]), wrong)


def test_gaps_of_any_length_are_filled_and_ends_held(dancer):
    truth = dancer(frames=60)
    lost = apply(truth, [Hide(joints=("left_hand",), frames=FrameRange(*span))
                         for span in ((0, 5), (10, 40), (50, 60))])  # fmt: skip
    filled = apply(lost, [Fill(joints=("left_hand",))])
    assert (filled.scores > 0).all()
    # At the ends the hand goes on hanging on the wrist.
    for rows, end in ((slice(0, 5), 5), (slice(50, 60), 49)):
        hanging = filled.points[rows, 0, LEFT_HAND] - filled.points[rows, 0, [7]]
        there = truth.points[end, 0, LEFT_HAND] - truth.points[end, 0, 7]
        np.testing.assert_allclose(hanging, np.broadcast_to(there, hanging.shape), atol=1e-3)
    never = apply(truth, [Hide(joints=("feet",)), Fill()])
    assert not never.scores[:, 0, 18:24].any()


def test_trembling_is_smoothed_in_the_range_only(dancer):
    truth = dancer(frames=60, strength=0.5)
    noise = np.random.default_rng(1).normal(0, 3, truth.points.shape)
    noisy = truth.with_(points=truth.points + noise)
    rows = slice(20, 40)
    smooth = apply(noisy, [Smooth(frames=FrameRange(20, 40), window=9)])
    error = [np.abs(t.points[rows] - truth.points[rows]).mean() for t in (noisy, smooth)]
    assert error[1] < 0.7 * error[0]
    whole = apply(noisy, [Smooth(window=9)])
    np.testing.assert_allclose(smooth.points[rows], whole.points[rows], atol=1e-4)


@pytest.mark.parametrize(
    ("edit", "origin"),
    [
        (SetPoints(joints=("nose",), points=(((1, 2),),)), Origin.BY_HAND),
        (Offset(joints=("nose",), by=(1, 1)), Origin.BY_HAND),
        (Hold(joints=("nose",)), Origin.BY_HAND),
        (Hide(joints=("nose",)), Origin.BY_HAND),
        (Transform(joints=("nose",), rotation=3), Origin.BY_HAND),
        (Keys(joints=("nose",), keys=(Key(frame=1, points=((2, 2),)),)), Origin.BY_HAND),
        (Fill(joints=("nose",), replace=True, frames=FrameRange(1, 2)), Origin.FILLED),
        (Smooth(joints=("nose",)), Origin.DETECTED),
        (Mirror(joints=("nose",)), Origin.DETECTED),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_each_edit_says_where_points_come_from(dancer, edit, origin):
    edited = apply(dancer(frames=8), [edit])
    assert edited.origins[1, 0, 0] == origin
    assert not edited.origins[:, 0, 1:].any()


def test_where_points_come_from_goes_along_with_them(dancer):
    track = apply(dancer(frames=4), [Offset(joints=("left_wrist",), by=(9, 0))])
    assert (apply(track, [Swap()]).origins[:, 0, 4] == Origin.BY_HAND).all()
    assert (mirror(track).origins[:, 0, 4] == Origin.BY_HAND).all()
    assert (select(track, (3, 1)).origins[:, 0, 7] == Origin.BY_HAND).all()


def test_edits_of_what_is_not_there(dancer):
    track = dancer(frames=3)
    with pytest.raises(MotionError, match=r"edit 2 \(hide\): expected a person below 1"):
        apply(track, [Hide(), Hide(person=1)])
    assert same(apply(track, [Hide(frames=FrameRange(9, 12))]), track)
