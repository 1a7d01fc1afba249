import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.backends.svd import Models
from marionext.backends.svd.conditioning import clip_pixels, encode_character
from marionext.character import crop_geometry
from marionext.diffusion import fit_character
from marionext.errors import CharacterError

sides = st.integers(1, 5000)
frames = st.integers(1, 32).map(lambda count: 64 * count)


@given(width=sides, height=sides, to_width=frames, to_height=frames)
def test_the_resized_picture_covers_the_frame_and_the_crop_is_inside(
    width: int, height: int, to_width: int, to_height: int
) -> None:
    (wide, high), (left, top) = crop_geometry(width, height, (to_width, to_height))
    assert 0 <= left <= wide - to_width
    assert 0 <= top <= high - to_height
    assert left == 0 or top == 0


@settings(max_examples=20, deadline=None)
@given(width=st.integers(64, 200), height=st.integers(64, 200))
def test_a_picture_of_any_shape_becomes_a_frame(width: int, height: int) -> None:
    picture = np.full((height, width, 3), (10, 200, 30), dtype=np.uint8)
    found = fit_character(picture, (64, 128))
    assert found.shape == (128, 64, 3)
    assert np.array_equal(np.unique(found.reshape(-1, 3), axis=0), [[10, 200, 30]])


def test_other_arrays_are_refused() -> None:
    with pytest.raises(CharacterError, match="8 bits"):
        fit_character(np.zeros((64, 64, 4), np.uint8), (64, 64))


def test_clip_input_of_a_flat_picture_is_flat() -> None:
    pixels = clip_pixels(np.full((300, 400, 3), 128, np.uint8), 32)
    assert pixels.shape == (1, 3, 32, 32)
    assert float(pixels.flatten(2).std(-1).max()) < 1e-4


def test_previews_show_the_characters_colours(models: Models) -> None:
    """The map is fitted on the picture itself: it must give back the picture's coarse colours."""
    rng = np.random.default_rng(4)
    coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    picture = np.repeat(np.repeat(coarse, 8, 0), 8, 1)
    condition = encode_character(
        models,
        picture,
        (64, 64),
        torch.zeros(1, 3, 64, 64),
        noise_augmentation=0.0,
        time_ids=(6, 128, 0.0),
    )
    assert condition.embedding.shape == (1, 1, 16)
    assert condition.image_latents.shape == (1, 4, 16, 16)
    mean = condition.image_latents.mean((0, 2, 3)) @ condition.preview[:-1] + condition.preview[-1]
    assert torch.allclose(mean, torch.tensor(picture / 255).float().mean((0, 1)), atol=0.02)
    empty = condition.emptied()
    assert not empty.embedding.any()
    assert not empty.image_latents.any()
    assert torch.equal(empty.time_ids, condition.time_ids)
