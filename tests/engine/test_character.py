"""The character's picture: turned upright, made opaque, checked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext.character import read_character
from marionext.errors import CharacterError


def test_the_cameras_rotation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("RGB", (80, 100), "white")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert read_character(tmp_path / "a.jpg").pixels.shape == (80, 100, 3)


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "I;16", "RGBA", "LA"])
def test_every_kind_of_picture_becomes_eight_bit_colour(tmp_path: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    Image.new(mode, (70, 70)).save(tmp_path / f"a.{suffix}")
    character = read_character(tmp_path / f"a.{suffix}")
    assert character.pixels.shape == (70, 70, 3)
    assert character.pixels.dtype == np.uint8


def test_transparency_is_laid_over_white_and_said(tmp_path: Path) -> None:
    Image.new("RGBA", (70, 70), (255, 0, 0, 0)).save(tmp_path / "a.png")
    character = read_character(tmp_path / "a.png")
    assert (character.pixels == 255).all()
    assert "transparent" in character.notes[0]
    Image.new("RGBA", (70, 70), (255, 0, 0, 255)).save(tmp_path / "b.png")
    assert read_character(tmp_path / "b.png").notes == ()


def test_sixteen_bit_grey_keeps_its_brightness(tmp_path: Path) -> None:
    grey = np.full((70, 70), 0x8000, np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert abs(int(read_character(tmp_path / "a.png").pixels.mean()) - 128) <= 1


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n" + b"0" * 50])
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(CharacterError, match=r"a\.png"):
        read_character(tmp_path / "a.png")


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(CharacterError, match="cannot be read"):
        read_character(tmp_path / "a.png")


def grey_ramp() -> np.ndarray[Any, Any]:
    return np.linspace(0, 65535, 96 * 96).reshape(96, 96).round()


@pytest.mark.parametrize("form", ["big end first", "little end first", "32 bits", "0 to 1"])
def test_grey_of_more_than_eight_bits_keeps_its_brightness(tmp_path: Path, form: str) -> None:
    ramp, path = grey_ramp(), tmp_path / "grey.tiff"
    if form == "big end first":
        path = tmp_path / "grey.pgm"
        path.write_bytes(b"P5 96 96 65535\n" + ramp.astype(">u2").tobytes())
    elif form == "little end first":
        Image.fromarray(ramp.astype(np.uint16)).save(path)
    elif form == "32 bits":
        Image.fromarray(ramp.astype(np.int32)).save(path)
    else:
        Image.fromarray((ramp / 65535).astype(np.float32)).save(path)
    pixels = read_character(path).pixels[..., 0].astype(int)
    assert np.abs(pixels - ramp / 257).max() <= 1


def test_numbers_that_are_no_brightness_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "depth.tiff"
    Image.fromarray(np.full((96, 96), 1e9, np.float32)).save(path)
    with pytest.raises(CharacterError, match="grey values"):
        read_character(path)


def test_a_gigantic_picture_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sky.png"
    Image.new("1", (12_000, 10_000)).save(path)
    with pytest.raises(CharacterError, match="12000x10000"):
        read_character(path)
    Image.new("1", (30_000, 20_000)).save(path)
    with pytest.raises(CharacterError, match="100 megapixels"):
        read_character(path)


def test_a_picture_of_95_megapixels_is_read_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    Image.new("L", (9_500, 10_000), 77).save(path)
    assert read_character(path).pixels.shape == (10_000, 9_500, 3)
