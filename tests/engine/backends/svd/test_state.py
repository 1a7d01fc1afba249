from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.backends.svd import DenoiseState, read_state, write_state
from marionext.backends.svd.state import Latents, draw_noise, read_latents, write_latents
from marionext.errors import OutputError


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63 - 1), short=st.integers(1, 6), more=st.integers(0, 6))
def test_a_longer_clip_begins_with_the_noise_of_a_shorter_one(
    seed: int, short: int, more: int
) -> None:
    image, latents = draw_noise(seed, short, (4, 8, 8), (64, 64))
    longer_image, longer = draw_noise(seed, short + more, (4, 8, 8), (64, 64))
    assert torch.equal(image, longer_image)
    assert torch.equal(latents, longer[: short + 1])


def test_noise_is_drawn_in_the_references_order() -> None:
    generator = torch.Generator().manual_seed(7)
    image = torch.randn(1, 3, 64, 128, generator=generator)
    latents = torch.randn(1, 5, 4, 8, 16, generator=generator)
    found_image, found = draw_noise(7, 4, (4, 8, 16), (128, 64))
    assert torch.equal(found_image, image)
    assert torch.equal(found, latents[0])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    numbers=st.lists(st.integers(-100, 10**6), min_size=1, max_size=6, unique=True),
    others=st.lists(st.integers(-100, 10**6), min_size=1, max_size=6, unique=True),
)
def test_a_frames_noise_belongs_to_its_number(
    seed: int, numbers: list[int], others: list[int]
) -> None:
    image, latents = draw_noise(seed, numbers, (4, 8, 8), (64, 64))
    other_image, other = draw_noise(seed, others, (4, 8, 8), (64, 64))
    assert torch.equal(image, other_image)
    assert torch.equal(latents[0], other[0])
    for place, number in enumerate(numbers, 1):
        for other_place, other_number in enumerate(others, 1):
            same = torch.equal(latents[place], other[other_place])
            assert same == (number == other_number)


def test_noise_by_number_is_as_normal_as_noise_in_a_row() -> None:
    _, latents = draw_noise(3, range(64), (4, 32, 32), (64, 64))
    flat = latents.flatten(1)
    assert abs(float(flat.mean())) < 0.01
    assert abs(float(flat.std()) - 1) < 0.01
    assert (torch.corrcoef(flat) - torch.eye(65)).abs().max() < 0.1


def test_latents_of_finished_frames_come_back_as_they_were(tmp_path: Path) -> None:
    kept = Latents((-2, 4, 5), torch.randn(3, 4, 8, 8).half(), torch.randn(4, 8, 8).half())
    write_latents(kept, tmp_path / "latents")
    back = read_latents(tmp_path / "latents")
    assert back.numbers == kept.numbers
    assert torch.equal(back.frames, kept.frames)
    assert back.slot is not None
    assert kept.slot is not None
    assert torch.equal(back.slot, kept.slot)
    write_latents(Latents((7,), torch.zeros(1, 4, 8, 8), None), tmp_path / "latents")
    assert read_latents(tmp_path / "latents").slot is None
    for content in (b"", (tmp_path / "latents").read_bytes()[:90]):
        (tmp_path / "garbled").write_bytes(content)
        with pytest.raises(OutputError, match="not the latents"):
            read_latents(tmp_path / "garbled")


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = DenoiseState(3, torch.randn(4, 4, 8, 8))
    write_state(state, tmp_path / "latents")
    back = read_state(tmp_path / "latents")
    assert back.step == 3
    assert torch.equal(back.latents, state.latents)
    assert [path.name for path in tmp_path.iterdir()] == ["latents"]


def test_a_garbled_or_missing_state_is_told(tmp_path: Path) -> None:
    path = tmp_path / "latents"
    with pytest.raises(OutputError, match="not a saved state"):
        read_state(path)
    write_state(DenoiseState(1, torch.zeros(2, 4, 8, 8)), path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(OutputError, match="not a saved state"):
        read_state(path)


def test_a_state_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be kept"):
        write_state(DenoiseState(1, torch.zeros(2, 4, 8, 8)), tmp_path / "file" / "latents")
