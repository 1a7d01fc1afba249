from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marionext.frames import FrameRange, FrameRate
from marionext_desktop.model import editing
from marionext_desktop.model.editing import add_source, append, whole_clip
from marionext_desktop.model.project import Clip, Project, Source
from marionext_desktop.model.snapping import snap, snap_span, snap_targets


def source(name: str, frames: int = 100, rate: str = "30") -> Source:
    return Source(
        id=name,
        path=f"/media/{name}.mp4",
        kind="video",
        name=name,
        frames=frames,
        rate=FrameRate.parse(rate),
        size=(640, 480),
    )


def made(*clips: tuple[str, int], rates: dict[str, str] | None = None) -> Project:
    """Return a project of whole sources, one after the other, each clip with its source's name."""
    project = replace(Project(), rate=FrameRate.parse("30"))
    for name, frames in clips:
        project = replace(
            project,
            sources=(*project.sources, source(name, frames, (rates or {}).get(name, "30"))),
        )
        project = append(project, replace(whole_clip(project, name), id=name))
    return project


def shown(project: Project) -> list[str | None]:
    """Return what is seen in each frame."""
    frames: list[str | None] = []
    for frame in range(max((clip.stop for clip in project.clips), default=0)):
        clip = project.clip_at(frame)
        place = "" if clip is None else project.source_frame(clip, frame)
        frames.append(None if clip is None else f"{clip.source}{place}")
    return frames


def test_a_source_of_another_rate_takes_as_long_as_it_lasts() -> None:
    project = made(("a", 50), rates={"a": "25"})
    assert project.clips[0].count == 60
    assert shown(project)[:7] == ["a0", "a0", "a1", "a2", "a3", "a4", "a5"]


@given(
    cut=st.integers(1, 119),
    speed=st.fractions(Fraction(1, 5), 5).filter(bool),
    backwards=st.booleans(),
)
@settings(deadline=None)
def test_a_cut_clip_shows_what_it_showed(cut: int, speed: Fraction, backwards: bool) -> None:
    project = editing.retime(made(("a", 50), rates={"a": "25"}), "a", speed)
    if backwards:
        project = editing.reverse(project, "a")
    halved = editing.blade(project, cut)
    assert shown(halved) == shown(project)
    assert len(halved.clips) == (2 if cut < project.length else 1)


@given(speed=st.fractions(Fraction(1, 20), 20).filter(bool))
@settings(deadline=None)
def test_backwards_is_the_same_frames_from_the_end(speed: Fraction) -> None:
    project = editing.retime(made(("a", 40)), "a", speed)
    back = editing.reverse(project, "a")
    assert shown(back) == shown(project)[::-1]
    assert editing.reverse(back, "a") == project


@given(
    frame=st.integers(0, 99),
    speed=st.sampled_from(
        [Fraction(1, 3), Fraction(1), Fraction(9, 4), Fraction(-1), Fraction(-2)]
    ),
    rate=st.sampled_from(["24", "25", "30", "60"]),
)
@settings(deadline=None)
def test_a_frame_of_the_source_is_found_on_the_timeline(
    frame: int, speed: Fraction, rate: str
) -> None:
    project = editing.retime(made(("a", 100), rates={"a": rate}), "a", speed)
    clip = project.clips[0]
    where = [at for at in range(clip.at, clip.stop) if project.source_frame(clip, at) == frame]
    assert project.timeline_frame(clip, frame) == (where[0] if where else None)
    assert list(project.source_frames(clip)) == [
        project.source_frame(clip, at) for at in range(clip.at, clip.stop)
    ]


def test_trim_stops_at_the_source_and_at_the_neighbour() -> None:
    project = made(("a", 10), ("b", 10))
    assert editing.trim(project, "a", "end", 5) is project  # the source has no more
    shorter = editing.trim(project, "a", "end", -4)
    assert shown(shorter)[5:12] == ["a5", None, None, None, None, "b0", "b1"]
    assert editing.trim(shorter, "a", "end", 99) == project
    late = editing.trim(shorter, "b", "start", 3)
    assert shown(late)[10:14] == [None, None, None, "b3"]
    assert editing.trim(late, "b", "start", -99).clip("b").at == 10


def test_ripple_trim_leaves_no_gap() -> None:
    project = editing.trim(made(("a", 10), ("b", 10)), "a", "start", 4, ripple=True)
    assert shown(project) == [*(f"a{n}" for n in range(4, 10)), *(f"b{n}" for n in range(10))]
    project = editing.trim(project, "a", "end", -2, ripple=True)
    assert project.clip("b").at == 4


def test_roll_moves_only_the_cut() -> None:
    project = editing.trim(made(("a", 10), ("b", 10)), "a", "end", -5, ripple=True)
    rolled = editing.roll(project, "a", 3)
    assert shown(rolled)[6:10] == ["a6", "a7", "b3", "b4"]
    assert rolled.length == project.length
    assert editing.roll(rolled, "a", -3) == project


@given(
    by=st.integers(-200, 200), speed=st.sampled_from([Fraction(1), Fraction(-3), Fraction(1, 2)])
)
@settings(deadline=None)
def test_slip_keeps_to_the_source(by: int, speed: Fraction) -> None:
    project = editing.retime(made(("a", 60)), "a", speed)
    project = editing.trim(project, "a", "end", -project.clips[0].count // 2)
    slipped = editing.slip(project, "a", by).clips[0]
    places = [slipped.first + k * project.step(slipped) for k in (0, slipped.count - 1)]
    assert all(0 <= place < 60 for place in places)
    assert slipped.span == project.clips[0].span


def test_a_moved_clip_covers_what_lies_there() -> None:
    project = made(("a", 10), ("b", 10))
    moved = editing.move(project, ["a"], 4)
    assert shown(moved)[:16] == [
        *([None] * 4), *(f"a{n}" for n in range(10)), "b4", "b5",
    ]  # fmt: skip
    assert editing.move(project, ["a"], -4) is project


def test_extract_closes_the_gap_and_lift_leaves_it() -> None:
    project = made(("a", 5), ("b", 5), ("c", 5))
    assert shown(editing.lift(project, ["b"]))[4:11] == ["a4", *([None] * 5), "c0"]
    extracted = editing.extract(project, ["b"])
    assert extracted.clip("c").at == 5
    assert editing.close_gap(editing.lift(project, ["b"]), 7) == extracted


def test_a_range_is_taken_out_with_its_markers() -> None:
    project = made(("a", 10), ("b", 10))
    for frame in (2, 8, 15):
        project = editing.add_marker(project, frame, str(frame))
    out = editing.extract_range(project, FrameRange(6, 14))
    assert shown(out) == [*(f"a{n}" for n in range(6)), *(f"b{n}" for n in range(4, 10))]
    assert [(each.frame, each.name) for each in out.markers] == [(2, "2"), (7, "15")]


def test_insert_makes_room_and_overwrite_does_not() -> None:
    project = made(("a", 10), ("b", 4))
    extra = Clip(id="x", source="b", at=3, count=4)
    inserted = editing.insert(project, extra)
    assert shown(inserted)[2:9] == ["a2", "b0", "b1", "b2", "b3", "a3", "a4"]
    assert inserted.length == 18
    assert shown(editing.overwrite(project, extra))[2:9] == [
        "a2", "b0", "b1", "b2", "b3", "a7", "a8",
    ]  # fmt: skip


def test_a_still_holds_the_frame_it_was_made_of() -> None:
    project = editing.freeze(made(("a", 10)), 4, 3)
    assert shown(project) == [
        "a0",
        "a1",
        "a2",
        "a3",
        "a4",
        "a4",
        "a4",
        *(f"a{n}" for n in range(4, 10)),
    ]


def test_retime_ripples_or_ends_at_the_neighbour() -> None:
    project = made(("a", 10), ("b", 10))
    slow = editing.retime(project, "a", Fraction(1, 2))
    assert (slow.clip("a").count, slow.clip("b").at) == (20, 20)
    assert shown(slow)[:4] == ["a0", "a0", "a1", "a1"]
    bounded = editing.retime(project, "a", Fraction(1, 2), ripple=False)
    assert (bounded.clip("a").count, bounded.clip("b").at) == (10, 10)
    assert editing.retime(project, "a", Fraction(10**6)).clip("a").speed == 100


def test_another_rate_keeps_the_times() -> None:
    project = editing.set_rate(made(("a", 60), ("b", 30)), FrameRate.parse("60"))
    assert [(clip.at, clip.count) for clip in project.clips] == [(0, 120), (120, 60)]
    assert shown(project)[:4] == ["a0", "a0", "a1", "a1"]


def test_marks_give_the_range_in_any_order() -> None:
    project = editing.set_mark_out(editing.set_mark_in(made(("a", 50)), 10), 19)
    assert project.span == FrameRange(10, 20)
    assert editing.set_mark_in(project, 30).span == FrameRange(30, 50)
    assert editing.set_mark_out(project, 5).span == FrameRange(0, 6)
    assert editing.clear_marks(project).span == FrameRange(0, 50)


def test_what_comes_near_snaps() -> None:
    project = editing.add_marker(made(("a", 50)), 20)
    targets = snap_targets(project, playhead=33)
    assert targets == (0, 20, 33, 50)
    assert snap(22.4, targets, 3) == (20, 20)
    assert snap(26.4, targets, 3) == (26, None)
    assert snap_span(11.2, 20, targets, 3) == (13, 33)
    assert snap_span(40, 7, targets, 3.5) == (43, 50)


def test_edit_points_are_gone_through() -> None:
    project = editing.add_marker(made(("a", 10), ("b", 10)), 4)
    assert editing.next_edit_point(project, 0) == 4
    assert editing.next_edit_point(project, 4) == 10
    assert editing.next_edit_point(project, 10, back=True) == 4
    assert editing.next_edit_point(project, 20) is None


def test_clips_cannot_lie_on_each_other() -> None:
    from marionext.errors import SettingsError

    project = made(("a", 10))
    with pytest.raises(SettingsError, match="lies on the one before"):
        project.with_clips({"x": Clip(id="x", source="a", at=5, count=3)})
    with pytest.raises(SettingsError, match="no source 'z'"):
        project.with_clips({"x": Clip(id="x", source="z", at=50, count=3)})
    assert add_source(project, source("q", 3)).source("q").frames == 3
