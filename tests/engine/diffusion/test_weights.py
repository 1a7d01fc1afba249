"""Damaged files of weights are errors of ours, however they are damaged."""

import contextlib
import io
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from marionext.diffusion.weights import as_safetensors
from marionext.errors import ModelError

SHAPES = {f"layer{index}.weight": (3, 4) for index in range(8)}


def pickled() -> bytes:
    stream = io.BytesIO()
    torch.save({name: torch.zeros(shape) for name, shape in SHAPES.items()}, stream)
    return stream.getvalue()


CONTENT = pickled()
CHANGES = st.lists(st.tuples(st.integers(0, len(CONTENT) - 1), st.integers(0, 255)), max_size=20)


@given(changes=CHANGES, length=st.integers(0, len(CONTENT)) | st.just(len(CONTENT)))
def test_a_damaged_file_is_read_or_refused_but_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    content = bytearray(CONTENT)
    for place, value in changes:
        content[place] = value
    path = tmp_path_factory.mktemp("weights") / "unet.bin"
    path.write_bytes(content[:length])
    with contextlib.suppress(ModelError):
        assert as_safetensors(path, SHAPES).is_file()


def test_a_whole_file_is_converted_once(tmp_path: Path) -> None:
    path = tmp_path / "unet.bin"
    path.write_bytes(CONTENT)
    first = as_safetensors(path, SHAPES)
    written = first.stat().st_mtime_ns
    assert as_safetensors(path, SHAPES).stat().st_mtime_ns == written
