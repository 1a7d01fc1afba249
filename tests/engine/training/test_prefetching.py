import os

import pytest

from marionext.errors import ModelError
from marionext.training.prefetching import drawn_ahead


class Broken:
    """Makes one step and then nothing more."""

    def __call__(self, step: int) -> int:
        if step == 1:
            os._exit(3)
        return step


def test_a_maker_that_ended_is_told() -> None:
    with pytest.raises(ModelError, match="ended at step 1"):
        list(drawn_ahead(Broken(), 0, 3))
