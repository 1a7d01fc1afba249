"""The character's picture is cut and prepared exactly as the reference does it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from marionext.backends.svd.conditioning import clip_pixels
from marionext.character import crop_geometry
from marionext.diffusion.cropping import fit_character


def read(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.mark.cases("i_reference_image/in_*.png")
def test_resizing_and_cropping_equal_the_reference(case: Path) -> None:
    index = re.fullmatch(r"in_(\d+)_.*", case.stem)
    assert index is not None
    (expected,) = case.parent.glob(f"out_{index[1]}_*.png")
    wanted = read(expected)
    found = fit_character(read(case), (wanted.shape[1], wanted.shape[0]))
    assert np.array_equal(found, wanted)


@pytest.mark.cases("i_reference_image/index.json")
def test_the_geometry_equals_the_reference_for_every_recorded_size(case: Path) -> None:
    index = json.loads(case.read_text())
    rows = [
        (*entry["in_hw"], *entry["target_hw"], *entry["resize_hw"], *entry["crop_top_left"])
        for entry in index["images"].values()
    ]
    for row in rows + index["table"]:
        height, width, to_height, to_width, resized_height, resized_width, top, left = row
        resized, corner = crop_geometry(width, height, (to_width, to_height))
        assert (resized, corner) == ((resized_width, resized_height), (left, top)), row


@pytest.mark.cases("j_clip_preprocess/img*.png")
def test_clip_sees_what_it_sees_in_the_reference(case: Path) -> None:
    index = re.fullmatch(r"img(\d+)_.*", case.stem)
    assert index is not None
    recorded = load_file(case.with_name("pixel_values.safetensors"))
    wanted = recorded[f"pixel_values.{index[1]}"]
    found = clip_pixels(read(case), wanted.shape[-1])
    assert found.dtype == torch.float32
    assert float((found - wanted).abs().max()) <= 1e-5
