"""Edits as values: what they refuse, and how they travel."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from marionext.codec import decode, encode
from marionext.edits import (
    Fill,
    Hide,
    Hold,
    Key,
    Keys,
    Mirror,
    Offset,
    PoseEdit,
    SetPoints,
    Smooth,
    Swap,
    Transform,
    out_of_reach,
)
from marionext.errors import SettingsError
from marionext.frames import FrameRange
from marionext.jobs import MotionSource, PoseSettings
from marionext.local import LocalEngine
from marionext.pose import apply, mirror
from marionext.pose.formats import read_track
from marionext.protocol import Failed, Finished
from marionext.reporting import Reporter
from marionext.skeleton import LIMB_GROUPS, MIRRORED, POINT_NAMES, point_numbers
from marionext.sources import open_motion

REPOSITORY = Path(__file__).parents[2]

relaxed = settings(deadline=None, max_examples=60)

NAMES = st.lists(st.sampled_from([*LIMB_GROUPS, *POINT_NAMES]), max_size=3, unique=True).map(tuple)
FEW = st.lists(st.sampled_from(POINT_NAMES), min_size=1, max_size=3, unique=True).map(tuple)
RANGES = st.builds(
    lambda start, length: FrameRange(start, start + length),
    st.integers(-200, 200),
    st.integers(1, 4),
)
PLACES = st.tuples(st.floats(-2000, 2000), st.floats(-2000, 2000))
EASES = {
    "ease_in": st.integers(0, 5),
    "ease_out": st.integers(0, 5),
    "ease": st.sampled_from(["smooth", "linear"]),
}
PART = {"frames": st.none() | RANGES, "joints": NAMES, "person": st.integers(0, 2)}


@st.composite
def set_points(draw: st.DrawFn) -> SetPoints:
    joints, frames = draw(FEW), draw(RANGES)
    rows = st.lists(st.none() | PLACES, min_size=len(joints), max_size=len(joints)).map(tuple)
    count = draw(st.sampled_from([1, len(frames)]))
    points = tuple(draw(st.lists(rows, min_size=count, max_size=count)))
    return SetPoints(frames=frames, joints=joints, points=points, score=draw(st.floats(0.1, 1)))


@st.composite
def keys(draw: st.DrawFn) -> Keys:
    joints, relative = draw(FEW), draw(st.booleans())
    made = []
    for frame in sorted(draw(st.sets(st.integers(-200, 200), min_size=1, max_size=4))):
        count = 1 if relative and draw(st.booleans()) else len(joints)
        points = tuple(draw(st.lists(PLACES, min_size=count, max_size=count)))
        how = draw(st.sampled_from(["smooth", "linear", "constant"]))
        made.append(Key(frame=frame, points=points, interpolation=how))
    return Keys(frames=draw(st.none() | RANGES), joints=joints, keys=tuple(made), relative=relative)


EDITS = st.one_of(
    set_points(),
    keys(),
    st.builds(Offset, by=PLACES, **EASES, **PART),
    st.builds(Hold, at=st.none() | st.integers(-200, 200), **PART),
    st.builds(Hide, **PART),
    st.builds(Swap, **PART),
    st.builds(Mirror, about=st.none() | st.floats(-100, 2000), **PART),
    st.builds(Smooth, window=st.sampled_from([5, 7, 21]), **PART),
    st.builds(Fill, replace=st.booleans(), **PART),
    st.builds(
        Transform,
        scale=st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)),
        rotation=st.floats(-720, 720),
        pivot=st.none() | PLACES,
        **EASES,
        **PART,
    ),
)


@relaxed
@given(EDITS)
def test_an_edit_survives_json(edit: Any) -> None:
    data = json.loads(json.dumps(encode(edit)))
    assert data["kind"] == edit.kind
    assert decode(PoseEdit, data) == edit
    assert hash(decode(PoseEdit, data)) == hash(edit)


def test_every_kind_has_a_name_of_its_own() -> None:
    kinds = [get_args(kind.__annotations__["kind"])[0] for kind in get_args(PoseEdit)]
    assert len(set(kinds)) == len(kinds) == 10


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "ofset", "by": [1, 2]}, r"\$\.kind: expected one of \['set', 'offset', 'hold'"),
        ({"kind": "offset"}, r"missing key 'by'"),
        ({"kind": "offset", "by": [1, 2, 3]}, r"\$\.by: expected 2 values"),
        ({"kind": "offset", "by": [1, 2e9]}, r"by: expected a number from -1e\+06"),
        ({"kind": "hide", "joints": ["left_arn"]}, r"name of a limb or a point, got 'left_arn'"),
        ({"kind": "hide", "joints": "left_arm"}, r"\$\.joints: expected a list"),
        ({"kind": "hide", "frames": "9-1"}, r"\$\.frames: frames '9-1' select nothing"),
        ({"kind": "hide", "frames": 3}, r"\$\.frames: expected text"),
        ({"kind": "hide", "person": -1}, r"person: expected a number from 0"),
        ({"kind": "set", "joints": ["nose"], "points": []}, r"points: expected those of 1 frames"),
        ({"kind": "set", "joints": ["nose"], "points": [[[1, 2], [3, 4]]]}, r"expected 1 places"),
        (
            {"kind": "set", "joints": ["nose"], "frames": "1-3", "points": [[[1, 2]], [[3, 4]]]},
            r"those of 1 or 3 frames, got 2",
        ),
        ({"kind": "smooth", "window": 6}, r"odd number"),
        ({"kind": "transform", "scale": [0, 1]}, r"scale: expected a number from 0.001"),
        ({"kind": "transform", "pivot": [0, 1], "pivot_joint": "neck"}, r"got both"),
        ({"kind": "transform", "pivot_joint": "left_arm"}, r"got the limb 'left_arm'"),
        ({"kind": "keys", "keys": []}, r"at least one"),
        (
            {"kind": "keys", "keys": [{"frame": 3, "points": [[0, 0]]}] * 2},
            r"ascending order of their frames, got \[3, 3\]",
        ),
        (
            {"kind": "keys", "keys": [{"frame": 3, "points": [[0, 0]]}], "relative": False},
            r"frame 3: expected 134 places",
        ),
    ],
)
def test_a_mistake_in_an_edit_is_named(data: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        decode(PoseEdit, data)


def test_a_misspelt_kind_brings_a_suggestion() -> None:
    with pytest.raises(SettingsError) as caught:
        decode(PoseEdit, {"kind": "ofset"})
    assert caught.value.hint == "Did you mean 'offset'?"


def test_an_edit_tells_which_points_it_may_change() -> None:
    assert Hide(joints=("left_arm",)).points_changed == (5, 6, 7)
    for edit in (Swap(joints=("left_arm",)), Mirror(joints=("left_arm",))):
        assert set(edit.points_changed) == {5, 6, 7, *(MIRRORED[n] for n in (5, 6, 7))}
    assert Hide().points_changed == point_numbers(())


def test_edits_of_frames_that_are_not_there_are_told() -> None:
    edits = [Hide(), *(Hide(frames=FrameRange(*span)) for span in ((1, 5), (5, 9), (8, 12)))]
    assert out_of_reach(edits, FrameRange(5, 8)) == (1, 3)


def test_the_example_in_the_documents_is_a_list_of_edits() -> None:
    text = (REPOSITORY / "docs" / "file-formats.md").read_text(encoding="utf-8")
    example = json.loads(text.split("### Edits of poses")[1].split("```json")[1].split("```")[0])
    edits = decode(PoseSettings, {"edits": example}).edits
    assert [edit.kind for edit in edits] == [item["kind"] for item in example]
    for kind in get_args(PoseEdit):
        assert f"| `{get_args(kind.__annotations__['kind'])[0]}` |" in text


def read(path: Path, wishes: PoseSettings) -> tuple[Any, list[str]]:
    """Read a motion; return it and what was said about it."""
    said: list[str] = []
    report = Reporter("", lambda event: said.append(getattr(event, "text", "")), lambda: False)
    return open_motion(MotionSource(path=str(path))).poses(wishes, (96, 128), report), said


def test_a_motion_is_edited_before_it_is_mirrored(track_file: Path) -> None:
    edits = (Offset(by=(5, 0), frames=FrameRange(103, 105)), Hide(frames=FrameRange(1, 3)))
    wishes = PoseSettings(clean=False, edits=edits, mirror=True)
    track, said = read(track_file, wishes)
    expected = mirror(apply(read_track(track_file), edits))
    assert track.points.tobytes() == expected.points.tobytes()
    assert any("edit 2 (hide) changes nothing" in text and "1-2" in text for text in said)


def test_the_motion_of_a_rig_is_edited_too() -> None:
    dance = REPOSITORY / "presets" / "motions" / "dance.bvh"
    plain, _ = read(dance, PoseSettings())
    hidden = Hide(joints=("left_arm",), frames=FrameRange(plain.first + 2, plain.first + 4))
    edited, _ = read(dance, PoseSettings(edits=(hidden,)))
    changed = (edited.scores != plain.scores).any(axis=(1, 2))
    assert changed.nonzero()[0].tolist() == [2, 3]


def test_ready_made_maps_cannot_be_edited(
    make_job: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    drawn = Image.new("RGB", (96, 128))
    ImageDraw.Draw(drawn).line((20, 20, 60, 90), fill=(255, 0, 0), width=4)
    drawn.save(folder / "0001.png")
    job = make_job(
        motion={"path": str(folder), "kind": "posemaps", "palette": "controlnext"},
        pose={"edits": [{"kind": "hide"}]},
    )
    with LocalEngine() as engine:
        failed = engine.wait(engine.submit(job), timeout=300)[-1]
    assert isinstance(failed, Failed)
    assert "neither mirrored nor changed" in failed.message


def test_an_edit_reaches_the_render_and_makes_it_another_one(
    make_job: Callable[..., dict[str, Any]], tmp_path: Path, track_file: Path
) -> None:
    edit = {"kind": "offset", "frames": "103-104", "joints": ["right_wrist"], "by": [9, 4]}
    job = make_job(pose={"edits": [edit]})
    with LocalEngine() as engine:
        assert isinstance(engine.wait(engine.submit(job, {}), timeout=300)[-1], Finished)
        poses = read_track(tmp_path / "out" / "poses.npz")
        without = engine.wait(engine.submit(make_job(), {}), timeout=300)[-1]
    assert (poses.points - read_track(track_file).points)[2, 0, 4].tolist() == [9, 4]
    assert poses.origins[:, 0, 4].tolist() == [0, 0, 2, 2, 0, 0, 0]
    assert isinstance(without, Failed)
    assert "pose.edits" in without.message
