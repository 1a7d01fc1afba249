from dataclasses import replace
from pathlib import Path

import pytest
from tests.desktop.model.test_editing import made

from marionext.edits import Hide, Smooth
from marionext.errors import CharacterError, OutputError
from marionext.frames import FrameRange
from marionext.jobs import Pictures
from marionext_desktop.model import editing, posing, rendering, takes
from marionext_desktop.model.exporting import check_free, exported_pictures, missing_frames
from marionext_desktop.model.project import Character, Project, Take


def project() -> Project:
    hero = Character(id="h", path="/hero.png", name="hero")
    return replace(made(("a", 60), ("b", 40)), characters=(hero,))


def take(folder: Path, name: str, span: FrameRange, **changes: object) -> Take:
    known = Take(
        id=name, name=name, folder=str(folder / name), character="h", span=span, poses="",
        model="doll", status="done",
    )  # fmt: skip
    return replace(known, **changes)  # type: ignore[arg-type]


def rendered(each: Take) -> Take:
    folder = takes.render_folder(each) / "frames"
    folder.mkdir(parents=True)
    for frame in range(each.span.start, each.span.stop):
        (folder / f"{frame:06d}.png").write_bytes(b"png")
    return each


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (lambda p: posing.add_edits(p, "a", [Hide(frames=FrameRange(20, 22))]), True),
        (lambda p: posing.add_edits(p, "a", [Hide(frames=FrameRange(50, 55))]), False),
        (lambda p: posing.add_edits(p, "a", [Smooth(frames=FrameRange(45, 50))]), True),
        (lambda p: posing.add_edits(p, "b", [Hide()]), False),
        (lambda p: editing.slip(editing.trim(p, "a", "end", -10), "a", 2), True),
        (lambda p: editing.blade(p, 50), False),
        (lambda p: editing.blade(p, 20), False),
        (lambda p: posing.add_edits(editing.blade(p, 20), "a", [Hide()]), True),
        (lambda p: editing.extract(p, ["b"]), False),
        (lambda p: editing.set_person(p, "a", 1), True),
        (lambda p: editing.add_marker(p, 20), False),
        (lambda p: editing.set_mark_in(p, 20), False),
        (lambda p: editing.set_volume(p, "a", 0.5), False),
        (lambda p: replace(p, size=(640, 640)), True),
    ],
)
def test_a_take_is_of_before_when_its_poses_are_others(
    tmp_path: Path, change: object, stale: bool
) -> None:
    before = project()
    span = FrameRange(10, 40)
    one = take(tmp_path, "v1", span, poses=takes.poses_key(before, span))
    assert not takes.is_stale(before, one)
    after = change(before)  # type: ignore[operator]
    assert after != before
    assert takes.is_stale(after, one) == stale


def test_the_newest_take_is_seen_and_a_hidden_one_is_not(tmp_path: Path) -> None:
    one = take(tmp_path, "v1", FrameRange(0, 100))
    two = take(tmp_path, "v2", FrameRange(20, 60))
    three = take(tmp_path, "v3", FrameRange(40, 50), status="rendering")
    shown = replace(project(), takes=(one, two, three))
    spans = " ".join(f"{each.span}:{each.take.name}" for each in takes.segments(shown))
    assert spans == "0-19:v1 20-39:v2 40-49:v3 50-59:v2 60-99:v1"
    assert takes.take_at(shown, 45) is two
    assert takes.take_at(shown, 99) is one
    assert takes.take_at(shown, 100) is None
    hidden = takes.with_take(shown, "v2", hidden=True)
    assert takes.take_at(hidden, 45) == one
    assert takes.take_at(takes.remove_take(shown, "v1"), 99) is None
    assert takes.next_name(shown) == "v4"


def test_an_export_takes_each_frame_from_where_it_is_seen(tmp_path: Path) -> None:
    one = rendered(take(tmp_path, "v1", FrameRange(0, 30)))
    two = rendered(take(tmp_path, "v2", FrameRange(10, 20)))
    shown = replace(project(), takes=(one, two))
    folders = [str(takes.render_folder(each) / "frames") for each in (one, two)]
    assert exported_pictures(shown, FrameRange(5, 25)) == (
        Pictures(folder=folders[0], frames="5-9"),
        Pictures(folder=folders[1], frames="10-19"),
        Pictures(folder=folders[0], frames="20-24"),
    )
    assert exported_pictures(shown, FrameRange(5, 25), one) == (
        Pictures(folder=folders[0], frames="5-24"),
    )
    with pytest.raises(OutputError, match="30-31 are not"):
        exported_pictures(shown, FrameRange(5, 32))
    takes.frame_file(two, 12).unlink()
    assert missing_frames(shown, FrameRange(0, 30)) == (12,)


def test_a_take_gets_a_folder_that_nothing_else_has(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    made_take = rendering.new_take(project(), tmp_path, FrameRange(0, 10), created=1.0, draft=True)
    assert made_take.folder == str(tmp_path / "v1-2")
    assert (made_take.name, made_take.quality, made_take.status) == ("v1", "draft", "waiting")
    nobody = replace(project(), characters=())
    with pytest.raises(CharacterError, match="has none"):
        rendering.new_take(nobody, tmp_path, FrameRange(0, 10), created=1.0)


def test_nothing_of_the_users_is_in_the_way(tmp_path: Path) -> None:
    check_free(tmp_path / "new.mp4")
    (tmp_path / "a.mp4").write_bytes(b"mine")
    with pytest.raises(OutputError, match="there already"):
        check_free(tmp_path / "a.mp4")
    check_free(tmp_path / "a.mp4", replace_file=True)
    with pytest.raises(OutputError, match="holds something"):
        check_free(tmp_path)
