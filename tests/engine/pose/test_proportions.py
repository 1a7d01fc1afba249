import numpy as np
import pytest

from marionext.pose.proportions import compare_proportions, measure_lengths
from marionext.pose.skeleton import FACE


def lengths(track):
    return measure_lengths(track.points[:, 0], track.scores[:, 0])


def test_lengths_are_those_of_the_body_though_limbs_point_at_the_camera(dancer, bodies):
    body = bodies["adult"]
    measured = lengths(dancer(body, 120, metre=400))
    for name, length in {
        "spine": body.spine,
        "shoulders": body.shoulders,
        "hips": body.hips,
        "upper arm": body.upper_arm,
        "forearm": body.forearm,
        "thigh": body.thigh,
        "shin": body.shin,
        "neck": body.neck,
    }.items():
        assert measured[name] == pytest.approx(400 * length, rel=0.06), name


def test_noise_and_single_wild_frames_do_not_make_limbs_long(dancer, bodies):
    track = dancer(bodies["adult"], 120, metre=400, strength=0)
    noisy = track.points + np.random.default_rng(0).normal(0, 4, track.points.shape)
    noisy[::15, 0, 4] += 300
    measured = lengths(track.with_(points=noisy.astype(np.float32)))
    assert measured["forearm"] == pytest.approx(400 * bodies["adult"].forearm, rel=0.06)


def test_parts_never_seen_are_left_out(dancer):
    track = dancer(frames=5)
    scores = track.scores.copy()
    scores[:, :, [9, 10, 12, 13]] = 0.2
    measured = lengths(track.with_(scores=scores))
    assert "spine" in measured
    assert not {"thigh", "shin"} & set(measured)


@pytest.mark.parametrize("name", ["child", "tall"])
def test_ratios_are_those_of_the_bodies(dancer, bodies, name):
    adult, other = bodies["adult"], bodies[name]
    found = compare_proportions(
        lengths(dancer(adult, 120, metre=500)), lengths(dancer(other, 1, strength=0, metre=400))
    )
    for part, ratio in {
        "spine": other.spine / adult.spine,
        "upper arm": other.upper_arm / adult.upper_arm,
        "thigh": other.thigh / adult.thigh,
        "shin": other.shin / adult.shin,
        "head": other.head / adult.head,
        "hand": other.hand / adult.hand,
    }.items():
        assert found.ratios[part] == pytest.approx(0.8 * ratio, rel=0.08), part
        assert part in found.measured


def test_a_forearm_that_points_at_the_camera_is_not_believed():
    dancer = {"spine": 100.0, "upper arm": 60.0, "forearm": 50.0, "thigh": 80.0, "shin": 80.0}
    character = dancer | {"forearm": 10.0}
    ratios = compare_proportions(dancer, character).ratios
    assert ratios["upper arm"] == 1
    assert ratios["forearm"] > 0.7


def test_a_bust_lends_its_size_to_what_it_does_not_show():
    dancer = {"spine": 100.0, "shoulders": 70.0, "thigh": 80.0, "shin": 80.0, "upper arm": 60.0}
    character = {"shoulders": 140.0, "upper arm": 120.0}
    found = compare_proportions(dancer, character)
    assert set(found.ratios.values()) == {2.0}
    assert found.measured == {"shoulders", "upper arm"}


def test_figures_without_a_common_part_cannot_be_compared():
    assert compare_proportions({"spine": 100.0}, {"thigh": 50.0}) is None
    assert compare_proportions({}, {}) is None


@pytest.mark.parametrize("turned", [0.8, 0.5, 0.2])
def test_a_head_that_is_always_turned_aside_is_as_large_as_before(dancer, bodies, turned):
    track = dancer(bodies["adult"], 60, metre=500)
    points = track.points.copy()
    head = [14, 15, 16, 17, *range(FACE.start, FACE.stop)]
    nose = points[:, :, :1]
    points[:, :, head] = nose + (points[:, :, head] - nose) * (turned, 1)
    character = lengths(dancer(bodies["child"], 1, strength=0, metre=400))
    wanted = compare_proportions(lengths(track), character).ratios["head"]
    found = compare_proportions(lengths(track.with_(points=points)), character).ratios["head"]
    assert found == pytest.approx(wanted, rel=0.12)
