"""Names of points and limbs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.errors import SettingsError
from marionext.skeleton import (
    BODY,
    FACE,
    FEET,
    LEFT_HAND,
    LIMB_GROUPS,
    MIRRORED,
    POINT_COUNT,
    POINT_NAMES,
    RIGHT_HAND,
    point_names,
    point_numbers,
)


def test_no_name_means_two_things() -> None:
    assert not set(LIMB_GROUPS) & set(POINT_NAMES)
    assert len(set(POINT_NAMES)) == POINT_COUNT


@pytest.mark.parametrize("name", LIMB_GROUPS)
def test_each_limb_has_its_counterpart(name: str) -> None:
    swapped = {"left": "right", "right": "left"}
    other = "_".join(swapped.get(word, word) for word in name.split("_"))
    assert {MIRRORED[number] for number in LIMB_GROUPS[name]} == set(LIMB_GROUPS[other])
    assert len(set(LIMB_GROUPS[name])) == len(LIMB_GROUPS[name])


def test_limbs_cover_the_whole_figure() -> None:
    parts = ("head", "torso", "arms", "legs", "feet", "hands", "face")
    assert set(point_numbers(parts)) == set(range(POINT_COUNT))
    face = ("face_jaw", "face_brows", "face_nose", "face_eyes", "face_mouth")
    assert point_numbers(face) == tuple(range(FACE.start, FACE.stop))
    for name, place in (("left_hand", LEFT_HAND), ("right_hand", RIGHT_HAND), ("feet", FEET)):
        assert LIMB_GROUPS[name] == tuple(range(place.start, place.stop))
    assert LIMB_GROUPS["body"] == tuple(range(BODY.start, BODY.stop))
    middle = set(range(POINT_COUNT)) - set(point_numbers(("left_side", "right_side")))
    assert all(MIRRORED[number] == number for number in middle)


def test_numbers_come_in_the_order_of_the_names_each_once() -> None:
    assert point_numbers(("left_wrist", "left_arm")) == (7, 5, 6)
    assert point_numbers(()) == tuple(range(POINT_COUNT))


def test_an_unknown_name_brings_a_suggestion() -> None:
    with pytest.raises(SettingsError) as caught:
        point_numbers(("left_arms",))
    assert "left_arm" in str(caught.value.hint)


@given(st.sets(st.sampled_from([*LIMB_GROUPS, *POINT_NAMES]), min_size=1))
def test_points_are_written_as_few_names_that_mean_them(names: set[str]) -> None:
    numbers = set(point_numbers(names))
    written = point_names(numbers)
    assert set(point_numbers(written)) == numbers
    assert len(written) <= len(numbers)


def test_a_whole_limb_is_written_by_its_name() -> None:
    assert point_names(point_numbers(("left_hand", "nose"))) == ("left_hand", "nose")
    assert point_names(range(POINT_COUNT)) == ()
