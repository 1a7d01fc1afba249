"""The repository's files tell nothing of the machine they were written on."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

MACHINE_PATH = re.compile(r"(?<![\w.{}*~$])(/(?:root|work|home/\w+|Users/\w+|mnt/\w+)/)\w")
WINDOWS_PATH = re.compile(r"\b[A-Z]:\\{1,2}Users\\")
ADDRESS = re.compile(r"\b(?:https?|ftp|git|ssh)://([^\s/\"'`)>\\{}]+)")
"""Addresses in documents and comments; those that a program goes to come from the user."""

KNOWN_HOSTS = {
    "127.0.0.1",
    "arxiv.org",
    "doi.org",
    "fsf.org",
    "json-schema.org",
    "keepachangelog.com",
    "localhost",
    "semver.org",
    "www.apache.org",
    "www.gnu.org",
    "www.w3.org",
}


def texts() -> Iterator[tuple[str, str]]:
    """Yield name and content of each text file that is in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True
    )
    if listed.returncode != 0:
        pytest.skip("not a checkout: there is no list of the repository's files")
    for name in filter(None, listed.stdout.split("\0")):
        path = ROOT / name
        if not path.is_file() or path.stat().st_size > 2_000_000:
            continue
        try:
            yield name, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def matches(pattern: re.Pattern[str]) -> list[str]:
    this = Path(__file__).name
    return [
        f"{name}: {match[0]}"
        for name, text in texts()
        if not name.endswith(this)
        for match in pattern.finditer(text)
    ]


@pytest.mark.parametrize("pattern", [MACHINE_PATH, WINDOWS_PATH], ids=["unix", "windows"])
def test_no_file_holds_a_path_of_somebodys_machine(pattern: re.Pattern[str]) -> None:
    assert matches(pattern) == []


def test_no_file_names_a_host_to_fetch_from() -> None:
    found = [
        f"{name}: {match[0]}"
        for name, text in texts()
        for match in ADDRESS.finditer(text)
        if match[1].partition(":")[0] not in KNOWN_HOSTS
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "found"),
    [("see /root/models", True), ("a/root/models", False), ("~/work/models", False)],
)
def test_paths_are_told_apart(text: str, found: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) == found


def test_no_secret_looking_token_is_in_the_repository() -> None:
    assert matches(re.compile(r"\b(?:hf|ghp|gho|sk)_[A-Za-z0-9]{20,}\b")) == []


def test_the_picture_of_the_rooms_is_as_the_import_contract() -> None:
    """After a change of the layers: python scripts/draw_rooms.py."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import draw_rooms
    finally:
        sys.path.pop(0)
    drawn = draw_rooms.draw(draw_rooms.layers())
    assert draw_rooms.PICTURE.read_text(encoding="utf-8") == drawn
