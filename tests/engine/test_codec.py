"""The strict codec, shown on the job it reads most."""

import contextlib
import json
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.codec import decode, encode
from marionext.errors import SettingsError
from marionext.jobs import (
    CameraSettings,
    MotionSource,
    OutputSettings,
    PoseSettings,
    RenderJob,
    decode_job,
    encode_job,
)
from marionext.settings import DollSettings, Settings, SvdSettings, default_settings

MINIMAL = {
    "motion": {"path": "dance.mp4"},
    "character": "hero.png",
    "output": {"directory": "out"},
}


def changed(path: str, value: object) -> dict[str, Any]:
    """Return the minimal job with one value changed; ``path`` like ``settings.steps``."""
    job = json.loads(json.dumps(MINIMAL))
    *parents, last = path.split(".")
    place = job
    for name in parents:
        place = place.setdefault(name, {})
    place[last] = value
    return dict(job)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed("settings.stepz", 3), r"\$\.settings: unknown key 'stepz'"),
        (changed("settings.steps", "3"), r"\$\.settings\.steps: expected a whole number, got text"),
        (changed("settings.steps", True), r"\$\.settings\.steps: expected a whole number"),
        (changed("settings.steps", 0), r"\$\.settings: steps: expected a number from 1"),
        (changed("settings.overlap", 99), r"overlap: expected 0 up to less than the window"),
        (changed("settings.guidance_min", math.nan), r"expected a finite number"),
        (changed("settings.schedule", "fast"), r"expected one of \['karras', 'ays'\]"),
        (changed("motion.rate", "fast"), r"\$\.motion\.rate: expected a frame rate"),
        (changed("motion.camera.yaw", []), r"\$\.motion\.camera\.yaw: expected a number, got a li"),
        (changed("output.videos", ["avi"]), r"\$\.output\.videos\[0\]"),
        (changed("frames", "9-1"), r"select nothing"),
        (changed("version", 99), r"version"),
        (changed("model", 3), r"\$\.model: expected text"),
        ({"motion": {"path": "a"}, "character": "b"}, r"\$: missing key 'output'"),
        ([], r"expected an object"),
        ({**MINIMAL, "settings": []}, r"\$\.settings: expected an object"),
    ],
)
def test_a_mistake_in_a_job_is_named_with_its_place(data: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        decode_job(data)


def test_a_misspelt_key_brings_a_suggestion() -> None:
    with pytest.raises(SettingsError) as caught:
        decode_job({**changed("settings.stepz", 3), "model": "puppet"})
    assert caught.value.hint == "Did you mean 'steps'?"


def test_absent_settings_are_those_of_the_model_and_the_quality() -> None:
    job = decode_job({**MINIMAL, "model": "svd", "quality": "balanced", "settings": {"seed": 5}})
    assert job.settings.seed == 5
    assert job.settings == decode(
        SvdSettings, {"seed": 5}, base=default_settings("svd", "balanced")
    )
    assert job.settings.steps == 10


def test_a_new_quality_preset_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError) as caught:
        decode_job({**MINIMAL, "quality": "superb"})
    assert "balanced" in str(caught.value)


TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
PATHS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
FLOATS = st.floats(0, 90, allow_nan=False)
JOBS = st.builds(
    RenderJob,
    motion=st.builds(
        MotionSource,
        path=PATHS,
        kind=st.sampled_from(["auto", "video", "rig"]),
        clip=st.none() | TEXT,
        camera=st.builds(CameraSettings, yaw=FLOATS, pitch=FLOATS),
        first=st.none() | st.integers(-100, 100),
    ),
    character=PATHS,
    output=st.builds(
        OutputSettings,
        directory=PATHS,
        videos=st.lists(st.sampled_from(["mp4", "gif"])).map(tuple),
        audio=st.booleans(),
    ),
    frames=st.none() | st.just("1-5"),
    pose=st.builds(PoseSettings, mirror=st.booleans()),
)
SVD = st.builds(
    SvdSettings,
    seed=st.integers(0, 2**63 - 1),
    control_strength=st.floats(0, 10),
    window=st.integers(7, 24),
)
DOLLS = st.builds(
    DollSettings,
    width=st.integers(16, 8192),
    others=st.lists(PATHS, max_size=2).map(tuple),
    refine=st.sampled_from(["auto", "off"]),
)


@given(JOBS, SVD.map(lambda s: ("puppet", s)) | DOLLS.map(lambda s: ("doll", s)))
def test_a_job_survives_json(job: RenderJob, how: tuple[str, Settings]) -> None:
    job = replace(job, model=how[0], settings=how[1])
    assert decode_job(json.loads(json.dumps(encode_job(job)))) == job


def test_a_job_that_names_no_model_is_one_of_the_doll() -> None:
    job = decode_job({**MINIMAL, "settings": {"width": 300, "refine": "off"}})
    assert (job.model, job.settings) == ("doll", DollSettings(width=300, refine="off"))
    assert decode_job({**MINIMAL, "quality": "draft"}).settings.size == (256, 384)


@pytest.mark.parametrize(
    "before",
    [
        {"version": 1},
        {"settings": {"steps": 5}},
        {"settings": {"kind": "svd"}},
        {"version": 1, "quality": "draft", "settings": {"width": 64}},
    ],
)
def test_a_job_from_before_there_were_dolls_still_means_the_puppet(before: dict[str, Any]) -> None:
    job = decode_job({**MINIMAL, **before})
    assert job.model == "puppet"
    assert job.settings.kind == "svd"
    assert decode_job({**MINIMAL, **before, "model": "svd"}).model == "svd"


def test_settings_of_another_kind_than_the_models_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"\$\.settings\.kind: expected one of \['doll'\]"):
        decode_job({**MINIMAL, "model": "doll", "settings": {"kind": "svd"}})
    with pytest.raises(SettingsError, match="unknown key 'steps'"):
        decode_job({**MINIMAL, "model": "doll", "settings": {"steps": 3}})


def test_pictures_of_other_people_start_at_the_jobs_folder(tmp_path: Path) -> None:
    job = decode_job({**MINIMAL, "settings": {"others": ["b.png", "/c.png"]}}, beside=tmp_path)
    assert job.settings.others == (str(tmp_path / "b.png"), str(Path("/c.png").absolute()))


@pytest.mark.parametrize("sides", [(15, 64), (64, 8193)])
def test_a_doll_has_any_even_size_that_can_be_a_video(sides: tuple[int, int]) -> None:
    assert DollSettings(width=301, height=16).size == (302, 16)
    with pytest.raises(SettingsError, match="expected a number from 16 to 8192"):
        DollSettings(width=sides[0], height=sides[1])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["motion", "character", "output", "settings", "path", "x"]), inner
            )
        ),
        max_leaves=12,
    )
)
def test_anything_is_either_a_job_or_a_settings_error(data: object) -> None:
    with contextlib.suppress(SettingsError):
        decode_job(data)


@pytest.mark.parametrize(
    ("given_size", "rounded"),
    [((576, 1024), (576, 1024)), ((500, 700), (512, 704)), ((64, 70), (64, 64))],
)
def test_sizes_are_rounded_to_multiples_of_64(
    given_size: tuple[int, int], rounded: tuple[int, int]
) -> None:
    assert SvdSettings(width=given_size[0], height=given_size[1]).size == rounded


def test_what_has_no_json_form_is_a_mistake_of_ours() -> None:
    with pytest.raises(TypeError, match="no JSON form"):
        encode(object())


@dataclass(frozen=True)
class Circle:
    radius: float = 1.0
    kind: Literal["circle"] = "circle"


@dataclass(frozen=True)
class Box:
    side: float = 1.0
    corners: float = 0.0
    kind: Literal["box", "square"] = "box"


Shape = Circle | Box


@dataclass(frozen=True)
class Drawing:
    shape: Circle | Box | None = None
    more: tuple[Shape, ...] = field(default=())


@pytest.mark.parametrize("shape", [Circle(3.0), Box(2.0), Box(2.0, kind="square")])
def test_a_union_is_told_apart_by_its_kind(shape: Shape) -> None:
    assert decode(Shape, encode(shape)) == shape
    drawing = Drawing(shape, (shape, Circle()))
    assert decode(Drawing, json.loads(json.dumps(encode(drawing)))) == drawing


def test_without_a_kind_the_first_of_a_union_is_meant() -> None:
    assert decode(Shape, {"radius": 2}) == Circle(2.0)
    assert decode(Drawing, {"shape": None}).shape is None
    with pytest.raises(SettingsError, match=r"\$\.more\[0\]: unknown key 'side'"):
        decode(Drawing, {"more": [{"side": 2}]})


def test_an_unknown_kind_brings_those_there_are() -> None:
    with pytest.raises(SettingsError) as caught:
        decode(Drawing, {"more": [{"kind": "squar"}]})
    assert "$.more[0].kind: expected one of ['circle', 'box', 'square']" in caught.value.message
    assert caught.value.hint == "Did you mean 'square'?"
    for wrong in ({"kind": 3}, {"kind": []}, {"kind": None}, [], "box"):
        with pytest.raises(SettingsError):
            decode(Shape, wrong)


def test_what_a_union_lacks_is_taken_from_a_base_of_the_same_kind() -> None:
    base = Drawing(Box(5.0, 1.0))
    assert decode(Drawing, {"shape": {"side": 2}}, base=base).shape == Box(2.0, 1.0)
    assert decode(Drawing, {"shape": {"kind": "box"}}, base=base).shape == Box(5.0, 1.0)
    assert decode(Drawing, {"shape": {"kind": "circle"}}, base=base).shape == Circle(1.0)
