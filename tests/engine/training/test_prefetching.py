import os
import time
from collections import deque

import pytest

from marionext.errors import ModelError
from marionext.training.prefetching import Stocking, arriving, drawn_ahead


class Broken:
    """Makes one step and then nothing more."""

    def __call__(self, step: int) -> int:
        if step == 1:
            os._exit(3)
        return step


class Squares:
    """Takes longest for the first steps."""

    def __call__(self, step: int) -> int:
        time.sleep(0.2 if step < 2 else 0)
        return step * step


@pytest.mark.parametrize("processes", [1, 2, 5])
def test_steps_come_in_their_order_however_many_make_them(processes: int) -> None:
    made = list(drawn_ahead(Squares(), 1, 9, processes))
    assert made == [(step, step * step) for step in range(1, 9)]


def test_a_maker_that_ended_is_told() -> None:
    with pytest.raises(ModelError, match="ended at step 1"):
        list(drawn_ahead(Broken(), 0, 3))


def test_a_training_that_goes_on_has_at_hand_what_it_had() -> None:
    stocking = Stocking(first=3, kept=4, renewed=0.5)
    at_hand: deque[int] = deque(maxlen=stocking.kept)
    through = {}
    for step, joining in arriving(abs, 0, 9, stocking):
        at_hand.extend(joining)
        through[step] = list(at_hand)
    assert through[0] == [0, 1, 2]
    assert through[8] == [3, 4, 5, 6]
    assert next(arriving(abs, 5, 9, stocking)) == (5, through[5])
