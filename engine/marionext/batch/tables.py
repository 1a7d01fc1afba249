"""Tables of jobs: what a spreadsheet saves as CSV, a job in each row.

The first row names the parts of a job (`marionext.batch.fields`). Commas, semicolons and tabs are
told apart; quotes, a byte order mark and the line ``sep=;`` are read as spreadsheets mean them.
"""

import csv
import re
from pathlib import Path
from typing import Any

from marionext import limits
from marionext.batch.fields import fill, place_of, put, stem_of, value_of
from marionext.errors import SettingsError
from marionext.files import read_text
from marionext.limits import quoted
from marionext.settings import DEFAULT_MODEL

__all__ = ["TABLE_SUFFIXES", "read_table"]

TABLE_SUFFIXES = frozenset({".csv", ".tsv"})

_NEEDED = ("motion", "character", "out")


def read_table(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """Read a table.

    Returns:
        For each row its line in the file and the content of a job file, its ``out`` filled in.

    Raises:
        SettingsError: the file is missing, no table, or a column is missing or named twice.
    """
    try:
        text = read_text(path, longest=limits.TABLE_BYTES)
    except FileNotFoundError:
        raise SettingsError(f"{path}: no such table") from None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise SettingsError(
            f"{path}: {error}", hint="Save the table again as CSV in UTF-8."
        ) from None
    try:
        return _rows(text)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error.message}", hint=error.hint) from None
    except csv.Error as error:
        raise SettingsError(f"{path}: not a table: {error}") from None


def _rows(text: str) -> list[tuple[int, dict[str, Any]]]:
    lines = text.splitlines(keepends=True)
    skipped = 0
    told = re.fullmatch(r'"?sep=(.)"?\s*', lines[0]) if lines else None
    if told is not None:
        lines, skipped = lines[1:], 1
    first = re.sub(r'"[^"]*"', "", lines[0]) if lines else ""
    delimiter = told[1] if told is not None else max(";\t,", key=first.count)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    names = [name.strip() for name in next(reader, [])]
    while names and not names[-1]:
        names.pop()
    _check(names)
    found = []
    for cells in reader:
        row = [cell.strip() for cell in cells]
        if not any(row):
            continue
        line = reader.line_num + skipped
        if any(row[len(names) :]):
            raise SettingsError(
                f"line {line}: expected {len(names)} cells, got {len(row)}",
                hint="Cells that hold the separator have to stand in quotes.",
            )
        found.append((line, _job(dict(zip(names, row, strict=False)), line)))
        if len(found) > limits.SHOTS:
            raise SettingsError(f"expected at most {limits.SHOTS:,} rows, there are more")
    return found


def _check(names: list[str]) -> None:
    for name in names:
        if not name or names.count(name) > 1:
            what = f"{quoted(name)} is there twice" if name else "one has no name"
            raise SettingsError(f"expected a name of its own for each column, {what}")
    if missing := [name for name in _NEEDED if name not in names]:
        raise SettingsError(
            f"expected a first row that names the columns, {', '.join(_NEEDED)} among them, "
            f"{', '.join(missing)} is missing in {quoted(', '.join(names))}",
            hint="Others are seed, frames, model, quality ... or any part of a job file.",
        )


def _job(cells: dict[str, str], line: int) -> dict[str, Any]:
    """Return a row as the content of a job file."""
    given = {name: text for name, text in cells.items() if text}
    values: dict[str, object] = {name.rpartition(".")[2]: text for name, text in given.items()}
    values |= {"line": line, "shot": stem_of(given.get("motion", ""))}
    values["character"] = stem_of(given.get("character", ""))
    if "shot" in given:
        values["shot"] = given.pop("shot")
    job: dict[str, Any] = {"model": DEFAULT_MODEL}
    for name, text in given.items():
        try:
            filled = fill(text, values) if name == "out" else text
            place = place_of(name)
            value = value_of(place, filled, given.get("model", DEFAULT_MODEL))
            put(job, place, value)
        except SettingsError as error:
            raise SettingsError(f"line {line}: {error.message}", hint=error.hint) from None
    return job
