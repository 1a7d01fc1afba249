"""Hands belong to their wrists: what is done with what the hand networks find."""

from typing import Any

import numpy as np
import pytest

from marionext.capture.closeup import HandFinder

UNIT = 200
"""The shoulders' width in pixels."""
PICTURE = np.zeros((1000, 800, 3), np.uint8)
WRIST = np.array((500.0, 600.0))


def below(right: float, down: float) -> np.ndarray:
    """A place beside the wrist."""
    return WRIST + np.array((right, down))


def body() -> np.ndarray:
    """(33, 3): somebody with a hanging left arm."""
    marks = np.ones((33, 3))
    marks[:, :2] = (400, 400)
    marks[11, :2], marks[12, :2] = (500, 300), (300, 300)
    marks[23, :2], marks[24, :2] = (450, 600), (350, 600)
    marks[15, :2], marks[16, :2] = WRIST, (300, 600)
    marks[[17, 19, 21], :2] = below(0, 50)
    return marks


def hand(root: np.ndarray, length: float) -> np.ndarray:
    """(21, 2): a hand that hangs from a place, its fingers next to each other."""
    marks = np.zeros((21, 2))
    for finger in range(5):
        for joint in range(4):
            share = (0.4, 0.6, 0.8, 1.0)[joint]
            marks[1 + 4 * finger + joint] = (4 * (finger - 2) * share, length * share)
    return marks + root


class Searcher:
    """Stands for the hand network: tells what it finds by how large a crop it is given."""

    def __init__(self, found: dict[int, np.ndarray]) -> None:
        self.found, self.asked = found, []

    def detect(self, picture: np.ndarray) -> list[tuple[np.ndarray, bool, float]]:
        side = len(picture)
        self.asked.append(side)
        for least, marks in sorted(self.found.items(), reverse=True):
            if side >= least:
                # The crop lies around 0.9 of the way from the wrist to the knuckles.
                corner = (below(0, 45) - side / 2).astype(int)
                return [(marks - corner, True, 0.9)]
        return []


def find(found: dict[int, np.ndarray]) -> tuple[np.ndarray | None, Searcher]:
    searcher = Searcher(found)
    finder = HandFinder(left=True, searcher=searcher, tracker=None)  # type: ignore[arg-type]
    return finder.find(PICTURE, body()), searcher


def test_a_hand_on_its_wrist_is_taken_at_once() -> None:
    right = hand(below(3, 5), 100)
    found, searcher = find({0: right})
    np.testing.assert_allclose(found, right, atol=1e-6)
    assert len(searcher.asked) == 1


def test_the_hand_nearest_to_the_wrist_is_taken_whatever_crop_shows_it() -> None:
    fingers, whole = hand(below(0, 60), 45), hand(below(2, 8), 105)
    found, searcher = find({0: fingers, 290: whole})
    np.testing.assert_allclose(found, whole, atol=1e-6)
    assert len(searcher.asked) == 2


def test_fingers_that_are_taken_for_a_hand_are_drawn_out_to_the_wrist() -> None:
    fingers = hand(below(0, 60), 45)
    found, _ = find({0: fingers})
    assert found is not None
    np.testing.assert_allclose(found[0], WRIST, atol=1e-6)
    np.testing.assert_allclose(found[12], fingers[12], atol=1e-6)
    along = found[[0, 9, 10, 11, 12], 1]
    assert (np.diff(along) > 0).all(), "joints stay in their order"
    np.testing.assert_allclose(found[:, 0], fingers[:, 0], atol=1e-6)


@pytest.mark.parametrize("away", [0.45, 0.6])
def test_what_is_far_from_the_wrist_is_no_hand_of_it(away: float) -> None:
    found, _ = find({0: hand(below(0, away * UNIT), 45)})
    assert found is None


class Tracker:
    """Stands for the network that follows a hand: it is stuck to the fingers."""

    def __init__(self) -> None:
        self.forgot = False

    def follow(self, picture: np.ndarray) -> Any:
        side = len(picture)
        return hand(below(0, 60), 45) - (below(0, 45) - side / 2).astype(int)

    def forget(self) -> None:
        self.forgot = True


def test_a_hand_that_is_followed_is_looked_for_again_when_it_comes_off_its_wrist() -> None:
    whole, tracker = hand(below(2, 8), 105), Tracker()
    finder = HandFinder(left=True, searcher=Searcher({0: whole}), tracker=tracker)  # type: ignore[arg-type]
    np.testing.assert_allclose(finder.find(PICTURE, body()), whole, atol=1e-6)
    assert tracker.forgot
