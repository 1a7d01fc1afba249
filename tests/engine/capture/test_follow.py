import numpy as np
import pytest

from marionext.capture.follow import follow, identify, parse_choice
from marionext.errors import MotionError, SettingsError

SIZE = (1000, 600)


def box(x: float, height: float = 300, y: float = 300) -> list[float]:
    return [x - height / 6, y - height / 2, x + height / 6, y + height / 2]


def two_people(looks: int) -> list[np.ndarray]:
    """A tall one on the left, a small one on the right, listed in changing order."""
    frames = []
    for look in range(looks):
        pair = [box(250 + look, 400), box(750 - look, 250)]
        frames.append(np.array(pair if look % 2 else pair[::-1]))
    return frames


def test_people_are_chosen_by_size_place_and_number() -> None:
    looks = two_people(20)
    centres = {
        choice: follow(looks, range(0, 60, 3), person=choice, size=SIZE, frames=60, rate=30)[0, 0]
        for choice in ("largest", "left", "right", "0", 1)
    }
    for choice, expected in (("largest", 250), ("left", 250), ("right", 750), ("0", 250), (1, 750)):
        assert centres[choice][[0, 2]].mean() == pytest.approx(expected, abs=10), choice


def test_everybody_is_followed_the_largest_first() -> None:
    boxes = follow(two_people(20), range(20), person="all", size=SIZE, frames=20, rate=10)
    assert boxes.shape == (2, 20, 4)
    assert boxes[0, 0, 0] < boxes[1, 0, 0]


def test_who_passes_behind_somebody_keeps_their_identity() -> None:
    looks = []
    for look in range(41):
        left, right = box(200 + 15 * look, 300), box(800 - 15 * look, 300, y=330)
        looks.append(np.array([left, right] if look % 3 else [right, left]))
    slots = identify(looks, person="left", size=SIZE, patience=20)
    xs = [looks[look][slot][[0, 2]].mean() for look, slot in enumerate(slots[0])]
    steps = np.diff(xs)
    assert (steps > 0).all() or (steps < 0).all()


def test_the_box_is_between_the_looks_where_the_person_is() -> None:
    looks = [np.array([box(100 + 30 * look)]) for look in range(20)]
    boxes = follow(looks, range(0, 60, 3), person="largest", size=SIZE, frames=60, rate=30)[0]
    inner = np.arange(10, 48)
    np.testing.assert_allclose(boxes[inner][:, [0, 2]].mean(1), 100 + 10 * inner, atol=1)


def test_short_absences_are_bridged() -> None:
    looks = [np.array([box(300)]) if not 8 <= look < 12 else np.zeros((0, 4)) for look in range(20)]
    boxes = follow(looks, range(20), person="largest", size=SIZE, frames=20, rate=10)
    np.testing.assert_allclose(boxes[0], np.tile(box(300), (20, 1)), atol=1e-6)


def test_after_a_cut_the_choice_is_made_again_and_boxes_do_not_blend() -> None:
    looks = [np.array([box(200, 500), box(800, 200)]) for _ in range(10)]
    looks += [np.array([box(850, 150, y=100), box(450, 560)]) for _ in range(10)]
    boxes = follow(looks, range(20), person="largest", size=SIZE, frames=20, rate=10)[0]
    assert boxes[:10, [0, 2]].mean(1) == pytest.approx(200)
    assert boxes[10:, [0, 2]].mean(1) == pytest.approx(450)


def test_nobody_and_too_few_are_told_apart() -> None:
    nobody = [np.zeros((0, 4))] * 5
    assert follow(nobody, range(5), person="largest", size=SIZE, frames=5, rate=10).shape[0] == 0
    with pytest.raises(MotionError, match="person"):
        follow(two_people(5), range(5), person=7, size=SIZE, frames=5, rate=10)
    with pytest.raises(SettingsError, match="'tallest'"):
        parse_choice("tallest")
