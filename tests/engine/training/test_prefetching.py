import os
import time

import pytest

from marionext.errors import ModelError
from marionext.training.prefetching import drawn_ahead


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
