from dataclasses import replace

import numpy as np
import pytest
import torch

from marionext.backends.svd import Models, decode
from marionext.errors import JobCancelled
from marionext.settings import SvdSettings


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 3, 8])
def test_starting_in_the_middle_gives_the_same_frames(
    models: Models, settings: SvdSettings, chunk: int, parity: bool
) -> None:
    settings = replace(settings, decode_chunk=chunk, parity=parity)
    latents = torch.randn(6, 4, 16, 16)
    frames = list(decode(models, latents, settings))
    assert len(frames) == 5
    assert all(frame.shape == (64, 64, 3) and frame.dtype == np.uint8 for frame in frames)
    for start in (0, 1, 3, 5):
        rest = list(decode(models, latents, settings, frames=range(start, len(latents) - 1)))
        assert len(rest) == 5 - start
        assert all(a.tobytes() == b.tobytes() for a, b in zip(rest, frames[start:], strict=True))


def test_the_slot_does_not_bleed_into_the_first_frame_except_in_parity(
    models: Models, settings: SvdSettings
) -> None:
    settings = replace(settings, decode_chunk=2)
    latents = torch.randn(4, 4, 16, 16)
    changed = latents.clone()
    changed[0] = torch.randn(4, 16, 16)

    def first(values: torch.Tensor, parity: bool) -> np.ndarray:
        return next(decode(models, values, replace(settings, parity=parity)))

    assert np.array_equal(first(latents, False), first(changed, False))
    assert not np.array_equal(first(latents, True), first(changed, True))


def test_frames_come_as_they_are_decoded_and_cancelling_stops_between_chunks(
    models: Models, settings: SvdSettings
) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    frames = decode(models, torch.randn(9, 4, 16, 16), settings, cancelled=cancelled)
    for _ in range(4):
        assert next(frames).shape == (64, 64, 3)
    with pytest.raises(JobCancelled):
        next(frames)
