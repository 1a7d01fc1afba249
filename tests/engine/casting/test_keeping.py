"""Dolls are made once: kept, found again, and never believed where they are another's."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from marionext.casting import dolls_folder, open_doll, read_kept, write_kept
from marionext.doll import Doll
from marionext.errors import CharacterError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of the user's: no doll is kept yet, and no detector is there."""
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def same(one: Doll, other: Doll) -> bool:
    """Tell whether two dolls are equal to the bit."""
    if (one.size, one.notes, len(one.layers)) != (other.size, other.notes, len(other.layers)):
        return False
    arrays = [(one.background, other.background), (one.points, other.points)]
    arrays += [(one.scores, other.scores)]
    for a, b in zip(one.layers, other.layers, strict=True):
        if (a.part, a.corner) != (b.part, b.corner):
            return False
        arrays += [(a.pixels, b.pixels), (a.seen, b.seen)]
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in arrays)


def kept() -> list[Path]:
    return sorted(dolls_folder().iterdir())


def test_a_doll_is_kept_and_found_again_the_same_to_the_bit(character_file: Path) -> None:
    said: list[str] = []
    made = open_doll(character_file, said.append)
    (path,) = kept()
    content = path.read_bytes()
    found = open_doll(character_file, said.append)
    assert same(made, found)
    assert found.layers
    assert path.read_bytes() == content
    assert same(read_kept(path), made)


def test_a_doll_of_another_picture_pose_or_outline_is_another(
    character_file: Path, tmp_path: Path
) -> None:
    open_doll(character_file, print)
    pixels = np.asarray(Image.open(character_file)).copy()
    pixels[60, 40] += 1
    Image.fromarray(pixels).save(character_file)
    open_doll(character_file, print)
    assert len(kept()) == 2
    mask = tmp_path / "outline.png"
    Image.fromarray((pixels[..., 2] < 200).astype(np.uint8) * 255).save(mask)
    open_doll(character_file, print, mask=mask)
    assert len(kept()) == 3
    mask.rename(tmp_path / "hero.mask.png")
    open_doll(character_file, print)
    assert len(kept()) == 3, "the same outline under another name"


@pytest.mark.parametrize("damage", ["half", "empty", "text", "another's"])
def test_a_kept_doll_that_is_damaged_or_anothers_is_told_and_made_again(
    character_file: Path, tmp_path: Path, damage: str
) -> None:
    made = open_doll(character_file, print)
    (path,) = kept()
    whole = path.read_bytes()
    if damage == "another's":
        write_kept(made, path, "of something else")
    else:
        path.write_bytes({"half": whole[: len(whole) // 2], "empty": b"", "text": b"x"}[damage])
    said: list[str] = []
    assert same(open_doll(character_file, said.append), made)
    assert any("made again" in text for text in said)
    assert path.read_bytes() == whole
    said.clear()
    open_doll(character_file, said.append)
    assert not any("made again" in text for text in said)


def test_of_many_dolls_the_oldest_go_and_nothing_that_is_not_ours(character_file: Path) -> None:
    made = open_doll(character_file, print)
    (first,) = kept()
    for number in range(30):
        path = dolls_folder() / f"{number:064x}.doll.npz"
        write_kept(made, path, "key")
        os.utime(path, (number + 1, number + 1))
    mine = dolls_folder() / "notes.txt"
    mine.write_text("of the user", encoding="utf-8")
    character_file.with_suffix(".mask.png").write_bytes(_white(character_file))
    open_doll(character_file, print)
    names = {path.name for path in kept()}
    assert len(names) == 16 + 1
    assert {mine.name, first.name} <= names
    assert f"{29:064x}.doll.npz" in names
    assert f"{0:064x}.doll.npz" not in names


def _white(character: Path) -> bytes:
    """Return a mask of all of a picture, as a PNG."""
    from marionext.output import encode_png

    with Image.open(character) as picture:
        size = picture.size
    return encode_png(np.full((size[1], size[0], 3), 255, np.uint8))


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(
    character_file: Path, home: Path
) -> None:
    home.mkdir()
    (home / "dolls").write_text("a file in the way", encoding="utf-8")
    said: list[str] = []
    open_doll(character_file, said.append)
    assert any("not kept for the next time" in text for text in said)
    assert (home / "dolls").read_text(encoding="utf-8") == "a file in the way"


def test_a_kept_doll_holds_no_pickles(tmp_path: Path) -> None:
    path = tmp_path / "x.doll.npz"
    np.savez(path, doll=np.array([{}], dtype=object))
    with pytest.raises(CharacterError, match="pickled"):
        read_kept(path)
