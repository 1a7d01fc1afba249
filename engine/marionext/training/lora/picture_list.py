"""The pictures to learn from and their captions, in the forms that people have them in.

Beside ``hero.png`` lies ``hero.txt`` (or ``hero.caption``). A folder named ``10_ink hero``, as
kohya's scripts want it, has its pictures learned from ten times as often, and ``ink hero`` is the
caption of those that have none. Or ``metadata.jsonl`` (or ``.csv``) lists files and texts, as
Hugging Face's imagefolder has it; then it alone decides what is used.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marionext.errors import CharacterError, SettingsError
from marionext.files import read_text

__all__ = ["LISTS", "PICTURES", "PictureEntry", "find_pictures"]

PICTURES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
LISTS = ("metadata.jsonl", "metadata.csv")

_CAPTIONS = (".txt", ".caption")
_TEXTS = ("text", "caption", "prompt")
"""What lists call a caption; the first that is there counts."""
_LONGEST_LIST = 100 << 20
_LONGEST_CAPTION = 64 << 10
_REPEATED = re.compile(r"(\d+)_(.+)")
_YES = {True: True, False: False, "true": True, "false": False, "1": True, "0": False, "": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEntry:
    """One picture; its path starts from the folder."""

    picture: str
    words: str | None = None
    """Its caption; None: it has none."""
    repeats: int = 1
    """How many times it is learned from where others are once."""
    held_out: bool = False
    """Kept apart to measure with."""


def find_pictures(folder: Path) -> tuple[PictureEntry, ...]:
    """List a folder's pictures, by its list or by what is found in it and its subfolders.

    Raises:
        CharacterError: there is no such folder, or no picture in it.
        SettingsError: the list, or a caption, cannot be read.
    """
    if not folder.is_dir():
        raise CharacterError(
            f"expected a folder of pictures, {folder} is "
            f"{'a file' if folder.exists() else 'not there'}",
            hint="Give --data a folder of pictures with captions beside them: hero.png, hero.txt.",
        )
    listed = next((folder / name for name in LISTS if (folder / name).is_file()), None)
    entries = tuple(_listed(listed) if listed is not None else _found(folder))
    if not entries:
        raise CharacterError(
            f"expected pictures to learn from, found none in {listed or folder}",
            hint=f"Pictures end in {', '.join(sorted(PICTURES))}.",
        )
    return entries


def _found(folder: Path) -> Iterator[PictureEntry]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if path.suffix.lower() not in PICTURES or hidden or not path.is_file():
            continue
        repeated = _REPEATED.fullmatch(path.parent.name) if len(name.parts) > 1 else None
        yield PictureEntry(
            picture=name.as_posix(),
            words=_beside(path) or (repeated[2] if repeated else None),
            repeats=max(1, int(repeated[1])) if repeated else 1,
        )


def _beside(picture: Path) -> str | None:
    """Return the caption that lies beside a picture."""
    for suffix in _CAPTIONS:
        path = picture.with_suffix(suffix)
        if path.is_file():
            try:
                return " ".join(read_text(path, longest=_LONGEST_CAPTION).split()) or None
            except (OSError, ValueError) as error:
                raise SettingsError(
                    f"{path}: expected a caption in UTF-8: {error}", hint="Save it as plain text."
                ) from None
    return None


def _listed(path: Path) -> Iterator[PictureEntry]:
    for number, row in _rows(path):
        where = f"{path}, line {number}"
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            raise SettingsError(
                f"{where}: expected a file_name, got {name!r}",
                hint='A line is {"file_name": "hero.png", "text": "what is to be seen"}.',
            )
        text = next((row[key] for key in _TEXTS if row.get(key)), None)
        if text is not None and not isinstance(text, str):
            raise SettingsError(f"{where}: expected a text, got {text!r}")
        repeats, held_out = row.get("repeats") or 1, row.get("held_out") or False
        try:
            yield PictureEntry(
                picture=name,
                words=None if text is None else " ".join(text.split()) or None,
                repeats=max(1, int(repeats)),
                held_out=_YES[held_out.lower() if isinstance(held_out, str) else held_out],
            )
        except (KeyError, OverflowError, TypeError, ValueError):
            raise SettingsError(
                f"{where}: expected repeats as a number and held_out as true or false, got "
                f"{repeats!r} and {held_out!r}"
            ) from None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        content = read_text(path, longest=_LONGEST_LIST)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    if path.suffix == ".csv":
        yield from enumerate(csv.DictReader(io.StringIO(content)), start=2)
        return
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise SettingsError(f"{path}, line {number}: cannot be read as JSON: {error}") from None
        if not isinstance(row, dict):
            raise SettingsError(f"{path}, line {number}: expected an object, got {row!r}")
        yield number, row
