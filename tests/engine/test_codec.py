"""The strict codec, shown on the job it reads most."""

import contextlib
import json
import math
from typing import Any

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
    SvdSettings,
    decode_job,
    default_settings,
    encode_job,
)

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
        decode_job(changed("settings.stepz", 3))
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
FLOATS = st.floats(0, 90, allow_nan=False)
JOBS = st.builds(
    RenderJob,
    motion=st.builds(
        MotionSource,
        path=TEXT,
        kind=st.sampled_from(["auto", "video", "rig"]),
        clip=st.none() | TEXT,
        camera=st.builds(CameraSettings, yaw=FLOATS, pitch=FLOATS),
        first=st.none() | st.integers(-100, 100),
    ),
    character=TEXT,
    output=st.builds(
        OutputSettings,
        directory=TEXT,
        videos=st.lists(st.sampled_from(["mp4", "gif"])).map(tuple),
        audio=st.booleans(),
    ),
    frames=st.none() | st.just("1-5"),
    pose=st.builds(PoseSettings, mirror=st.booleans()),
    settings=st.builds(
        SvdSettings,
        seed=st.integers(0, 2**63 - 1),
        control_strength=st.floats(0, 10),
        window=st.integers(7, 24),
    ),
)


@given(JOBS)
def test_a_job_survives_json(job: RenderJob) -> None:
    assert decode_job(json.loads(json.dumps(encode_job(job)))) == job


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
