import os
from dataclasses import replace
from pathlib import Path

import pytest

from marionext_desktop.model.places import keep_small, stamp_of, takes_folder, track_name
from marionext_desktop.model.project import Reading, Source


def test_a_stamp_tells_media_apart_wherever_they_lie(tmp_path: Path) -> None:
    one, other = tmp_path / "a.mp4", tmp_path / "b.mp4"
    content = bytes(range(256)) * 20_000  # 5 MB: the middle is not read
    one.write_bytes(content)
    other.write_bytes(content)
    os.utime(other, (0, 0))
    assert stamp_of(one).digest == stamp_of(other).digest
    other.write_bytes(content[:-1] + b"x")
    assert stamp_of(one).digest != stamp_of(other).digest
    other.write_bytes(content + b"x")
    assert stamp_of(one).digest != stamp_of(other).digest
    folder = tmp_path / "poses"
    folder.mkdir()
    (folder / "1.json").write_text("{}")
    before = stamp_of(folder).digest
    (folder / "2.json").write_text("{}")
    assert stamp_of(folder).digest != before
    with pytest.raises(OSError, match="gone"):
        stamp_of(tmp_path / "gone")


def test_poses_belong_to_the_content_and_to_how_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"video")
    stamp = stamp_of(tmp_path / "a.mp4")
    source = Source(id="a", path="/one/a.mp4", kind="video", name="a", stamp=stamp)
    moved = replace(source, id="b", path="/two/b.mp4", name="b")
    assert track_name(source) == track_name(moved)
    other = replace(source, reading=Reading(detector="dwpose"))
    assert track_name(source) != track_name(other)


def test_takes_lie_beside_the_project(tmp_path: Path) -> None:
    assert takes_folder(tmp_path / "kitchen.marionext") == tmp_path / "kitchen takes"
    assert takes_folder(None).name == "takes"


def test_a_cache_loses_what_was_used_longest_ago(tmp_path: Path) -> None:
    for age, name in enumerate("edcba"):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (1000 + age, 1000 + age))
    keep_small(tmp_path, 30, {tmp_path / "e"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "e"]
    keep_small(tmp_path, 30, set())
    assert len(list(tmp_path.iterdir())) == 3
    keep_small(tmp_path / "nowhere", 0, set())
