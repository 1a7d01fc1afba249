from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marionext.errors import CharacterError
from marionext.pose.formats import read_native
from marionext_desktop.model.casting import character_file, is_prepared, prepare
from marionext_desktop.model.project import Character, Crop

POINTS = tuple((100.0 + n, 60.0 + n, 0.9) for n in range(134))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.zeros((400, 300, 3), np.uint8)
    pixels[50:150, 80:180] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "hero.png")
    return tmp_path / "hero.png"


def character(path: Path, **changes: object) -> Character:
    return Character(id="c", path=str(path), name="hero", size=(300, 400), **changes)  # type: ignore[arg-type]


def test_a_picture_as_it_is_needs_no_copy(picture: Path) -> None:
    whole = character(picture)
    assert is_prepared(whole)
    assert prepare(whole) == picture


def test_a_crop_and_a_pose_by_hand_make_a_copy_with_the_pose_beside_it(picture: Path) -> None:
    cut = character(picture, crop=Crop(x=80, y=50, width=100, height=100), points=POINTS)
    assert not is_prepared(cut)
    made = prepare(cut)
    assert is_prepared(cut)
    assert made == character_file(cut) != picture
    shown = np.asarray(Image.open(made))
    assert shown.shape[:2] == (100, 100)
    assert (shown[..., 0] == 255).all()
    track = read_native(made.with_suffix(".pose.npz"))
    assert track.size == (100, 100)
    assert track.points[0, 0, 0].tolist() == [20.0, 10.0]
    before = made.stat().st_mtime_ns
    assert prepare(cut) == made
    assert made.stat().st_mtime_ns == before
    other = character(picture, crop=Crop(x=81, y=50, width=100, height=100), points=POINTS)
    assert character_file(other) != made


def test_the_copy_follows_the_picture(picture: Path) -> None:
    cut = character(picture, crop=Crop(x=0, y=0, width=50, height=50))
    made = prepare(cut)
    Image.new("RGB", (300, 400), "blue").save(picture)
    assert character_file(cut) != made
    assert np.asarray(Image.open(prepare(cut)))[0, 0].tolist() == [0, 0, 255]


def test_what_cannot_be_cut_is_said_in_words(picture: Path, tmp_path: Path) -> None:
    outside = character(picture, crop=Crop(x=900, y=0, width=50, height=50))
    with pytest.raises(CharacterError, match="within 300x400"):
        prepare(outside)
    gone = character(tmp_path / "gone.png", crop=Crop(x=0, y=0, width=50, height=50))
    with pytest.raises(CharacterError, match=r"gone\.png"):
        prepare(gone)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(CharacterError, match=r"text\.png"):
        prepare(character(tmp_path / "text.png", crop=Crop(x=0, y=0, width=5, height=5)))
