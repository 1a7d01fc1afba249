import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.errors import MotionError, SettingsError
from marionext.pose import Origin, choose_person, keep_identities, link_boxes
from marionext.pose.people import parse_who

SIZE = (1920, 1080)


def together(*tracks):
    """Several dancers in one track."""
    return tracks[0].with_(
        points=np.concatenate([track.points for track in tracks], 1),
        scores=np.concatenate([track.scores for track in tracks], 1),
    )


def walking(track, way):
    """The same dancer, going some pixels to the right over the clip."""
    steps = np.linspace(0, way, len(track))[:, None, None]
    points = track.points.copy()
    points[..., 0] += steps
    return track.with_(points=points)


def shuffled(track, seed):
    """The people of each frame in random order, as detectors list them."""
    rng = np.random.default_rng(seed)
    order = rng.permuted(np.tile(np.arange(track.people), (len(track), 1)), axis=1)
    frames = np.arange(len(track))[:, None]
    return track.with_(
        points=track.points[frames, order],
        scores=track.scores[frames, order],
        origins=track.origins[frames, order],
    )


@pytest.fixture
def pair(dancer, bodies):
    """An adult who goes from left to right, and a child who comes the other way."""
    adult = dancer(bodies["adult"], 120, size=SIZE, metre=300, centre=500)
    child = dancer(bodies["child"], 120, size=SIZE, metre=300, centre=1400)
    return together(walking(adult, 900), walking(child, -900))


@pytest.mark.parametrize("seed", range(4))
def test_who_passes_somebody_keeps_their_number(pair, seed):
    followed = keep_identities(shuffled(pair, seed))
    assert followed.people == 2
    assert (followed.points == pair.points).all()


def test_who_is_gone_for_a_moment_comes_back_as_the_same(pair):
    scores = pair.scores.copy()
    scores[30:45, 1] = 0
    followed = keep_identities(shuffled(pair.with_(scores=scores), 1))
    assert followed.people == 2
    assert (followed.scores == scores).all()


def test_who_comes_back_later_elsewhere_is_somebody_else(dancer):
    track = dancer(frames=120, size=SIZE, metre=200, centre=300)
    points, scores = track.points.copy(), track.scores.copy()
    scores[30:80] = 0
    points[80:, ..., 0] += 1200
    again = track.with_(points=points, scores=scores)
    assert keep_identities(again).people == 2
    assert keep_identities(again, least_frames=35).people == 1


def test_one_of_several_is_chosen_by_size_place_or_number(dancer, bodies):
    trio = together(
        dancer(bodies["adult"], 20, size=SIZE, metre=250, centre=960),
        dancer(bodies["tall"], 20, size=SIZE, metre=350, centre=1600),
        dancer(bodies["child"], 20, size=SIZE, metre=250, centre=300),
    )
    expected = {"largest": 1, "right": 1, "centre": 0, "left": 2, 0: 2, 1: 0, 2: 1}
    for who, number in expected.items():
        chosen = choose_person(shuffled(trio, 5), who)
        assert chosen.people == 1
        assert (chosen.points[:, 0] == trio.points[:, number]).all()


def test_a_passer_by_is_not_chosen_by_place(dancer):
    track = together(
        dancer(frames=60, size=SIZE, metre=250, centre=1200),
        dancer(frames=60, size=SIZE, metre=500, centre=300),
    )
    scores = track.scores.copy()
    scores[2:, 1] = 0
    chosen = choose_person(track.with_(scores=scores), "left")
    assert (chosen.points[:, 0] == track.points[:, 0]).all()


def test_nobody_and_too_few_are_clear_errors(dancer):
    track = dancer(frames=3)
    with pytest.raises(MotionError, match="nobody"):
        choose_person(track.with_(scores=track.scores * 0))
    with pytest.raises(MotionError, match="shows 1 person, none with the number 2"):
        choose_person(track, 1)
    with pytest.raises(SettingsError, match="smallest"):
        choose_person(track, "smallest")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(1, 50)] * 2), max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_no_two_boxes_of_a_frame_are_one_person(frames):
    boxes = [
        np.array([[x, y, x + w, y + h] for x, y, w, h in frame]).reshape(-1, 4) for frame in frames
    ]
    numbers = link_boxes(boxes)
    for frame, found in zip(boxes, numbers, strict=True):
        assert len(found) == len(frame) == len(set(found.tolist()))
        assert (found >= 0).all()


def test_boxes_that_are_not_there_have_no_number():
    boxes = [np.array([[0, 0, 9, 9], [np.nan] * 4]), np.zeros((0, 4)), np.array([[0, 0, 9, 9.0]])]
    assert [found.tolist() for found in link_boxes(boxes)] == [[0, -1], [], [0]]
    assert link_boxes(boxes, patience=1)[2].tolist() == [1]


def test_where_points_come_from_follows_the_person(dancer):
    pair = together(dancer(frames=8, centre=150), dancer(frames=8, centre=420))
    origins = pair.origins.copy()
    origins[:, 1] = Origin.BY_HAND
    followed = keep_identities(shuffled(pair.with_(origins=origins), 1))
    assert (followed.origins[:, 1] == Origin.BY_HAND).all()
    assert not followed.origins[:, 0].any()
    assert (choose_person(pair.with_(origins=origins), "right").origins == Origin.BY_HAND).all()


@pytest.mark.parametrize(
    ("text", "who"),
    [("#1", 0), ("#2", 1), ("0", 0), ("1", 1), ("left", "left"), ("largest", "largest")],
)
def test_people_are_counted_from_1_and_in_old_jobs_from_0(text, who):
    assert parse_who(text) == who


def test_there_is_no_person_0():
    with pytest.raises(SettingsError, match="counted from #1"):
        parse_who("#0")
