"""Numbers out of all bounds: each is refused at once, by a message that names the limit."""

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext import limits
from marionext.cli import main
from marionext.codec import decode
from marionext.errors import EngineError, OutputError, ProtocolError, SettingsError
from marionext.files import read_json, read_toml
from marionext.frames import FrameRange, FrameRate, parse_frames
from marionext.jobs import CameraSettings, MotionSource, TrackJob, decode_job, read_job
from marionext.limits import quoted
from marionext.local import LocalEngine
from marionext.pose.formats import read_track, write_track
from marionext.protocol import Finished, read_command
from marionext.record import RECORD, Record

JobMaker = Callable[..., dict[str, Any]]
MANY_DIGITS = "9" * 5000
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "text",
    [
        *("1e15", "100001", "1/1001", "0.0009"),
        *("1e-999999999", "1e999999999", "1e-99", MANY_DIGITS, f"1/{MANY_DIGITS}"),
        *(f"0.{MANY_DIGITS}", "1_000", " 24 24", "24\0", "\ud800"),
    ],
    ids=quoted,
)
def test_a_rate_out_of_bounds_is_refused_at_once(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(SettingsError, match="frame rate") as caught:
        FrameRate.parse(text)
    assert time.monotonic() - started < 1
    assert len(caught.value.message) < 300


@given(st.text() | st.from_regex(r"[-+0-9eE./_]{1,30}"))
def test_whatever_is_given_as_a_rate_is_one_or_refused(text: str) -> None:
    try:
        rate = FrameRate.parse(text)
    except SettingsError:
        return
    assert FrameRate.parse(str(rate)) == rate


def test_the_bounds_of_rates_are_rates_themselves() -> None:
    assert float(FrameRate.parse("1/1000")) == 0.001
    assert float(FrameRate.parse("100000")) == 100_000


@pytest.mark.parametrize(
    "text",
    [
        ",".join(f"{n}0000001-{n + 1}0000000" for n in range(12)),
        "1-1000001",
        "0-999999999:3",
        ",".join(["1-999999"] * 3),
    ],
    ids=quoted,
)
def test_more_frames_than_fit_are_refused_before_they_are_listed(text: str) -> None:
    started = time.monotonic()
    with pytest.raises(SettingsError, match="at most 1,000,000 frames") as caught:
        parse_frames(text)
    assert "--frames" in (caught.value.hint or "")
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    "text", [MANY_DIGITS, f"-{MANY_DIGITS}", f"1-{MANY_DIGITS}", "1-2:" + MANY_DIGITS], ids=quoted
)
def test_a_frame_number_out_of_bounds_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="999,999,999") as caught:
        parse_frames(text)
    assert len(caught.value.message) < 300
    with pytest.raises(SettingsError):
        FrameRange.parse(text)


@pytest.mark.parametrize("number", [10**9, -(10**9), 10**400], ids=quoted)
def test_the_first_number_of_a_motion_has_bounds(number: int) -> None:
    with pytest.raises(SettingsError, match="first: expected a frame number"):
        MotionSource(path="a.bvh", first=number)


@pytest.mark.parametrize(
    "size", [(0, 0), (0, 480), (640, 10**400), (70_000, 70_000), (-1, 5)], ids=quoted
)
def test_a_declared_size_has_bounds(size: tuple[int, int]) -> None:
    with pytest.raises(SettingsError, match="source_size"):
        MotionSource(path="a.json", source_size=size)


@pytest.mark.parametrize("side", [0, 15, 8193, 60_000, 10**400], ids=quoted)
def test_a_size_has_bounds(side: int) -> None:
    with pytest.raises(SettingsError, match="width: expected a number from 16 to 8192"):
        TrackJob(motion=MotionSource(path="a.bvh"), output="b.npz", width=side)


@pytest.mark.parametrize("value", [10**400, -(10**400), float("inf"), float("nan")], ids=quoted)
def test_a_number_too_large_for_arithmetic_is_a_setting_out_of_range(value: float) -> None:
    with pytest.raises(SettingsError):
        decode(CameraSettings, {"yaw": value})


@pytest.mark.parametrize(
    "arguments",
    [
        *(["--size", size] for size in ("60000x60000", "0x0", f"{MANY_DIGITS}x1", "1x")),
        *(["--rate", rate] for rate in ("1e15", "1e-999999999", "0")),
        *(["--source-size", size] for size in ("0x0", "99999x99999")),
        *(["--frames", frames] for frames in ("1-99999999", MANY_DIGITS)),
        *(["--first", first] for first in ("9999999999", MANY_DIGITS)),
        *(["--seed", seed] for seed in ("-1", "99999999999999999999", MANY_DIGITS)),
        *(["--yaw", angle] for angle in ("nan", "inf", "1e999")),
        *(["--steps", "0"], ["--window", "100000"], ["--guidance", "nan"], ["--margin", "-1"]),
    ],
    ids=quoted,
)
def test_the_command_line_refuses_in_words(
    arguments: list[str], track_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["plan", "--motion", str(track_file), *arguments]
    try:
        status = main(command)
    except SystemExit as ended:  # argparse ends by itself
        status = int(ended.code or 0)
    assert status == 2
    said = capsys.readouterr().err
    assert "error: " in said
    assert "Traceback" not in said


def test_a_rate_that_makes_too_many_frames_of_a_motion_is_refused(
    track_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = read_track(track_file)
    long = short.with_(points=np.repeat(short.points, 50, 0), scores=np.repeat(short.scores, 50, 0))
    write_track(long, tmp_path / "long.npz")
    command = ["plan", "--motion", str(tmp_path / "long.npz"), "--rate", "100000"]
    assert main(command) == 2
    assert "at most 1,000,000 frames" in capsys.readouterr().err
    assert main([*command[:2], str(track_file), "--rate", "100000"]) == 0


def test_frames_too_far_apart_for_a_rate_keep_that_of_the_motion(make_job: JobMaker) -> None:
    job = make_job(frames="101,107", motion={"source_rate": "1/500"}, output={"videos": []})
    with LocalEngine() as engine:
        assert isinstance(engine.wait(engine.submit(job), timeout=300)[-1], Finished)


@pytest.mark.parametrize(
    "line",
    [
        '{"type": "submit", "job_id": "1", "job": {"seed": ' + MANY_DIGITS + "}}",
        MANY_DIGITS,
        DEEP,
        '{"a":' * 100_000,
        "\0",
        "\ufffd\ufffd",
        '{"type": ["submit"]}',
        '{"type": {"a": 1}}',
        '{"type": 1e999}',
        '{"type": "submit", "job_id": 5, "job": [], "engine": {}}',
        '{"type": "' + "x" * 1_000_000 + '"}',
        '{"type": "cancel", "job_id": "1", "' + "y" * 1_000_000 + '": 0}',
        "[]",
        "null",
        '"' + "z" * 1_000_000,
    ],
    ids=quoted,
)
def test_a_line_of_any_kind_is_a_short_protocol_error(line: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        read_command(line)
    assert len(caught.value.message) < 600


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["motion", "character", "output", "settings", "pose", "frames", "kind", "model", "version"]
)


@given(st.dictionaries(KEYS, JSON))
def test_a_job_of_any_values_is_a_job_or_refused(data: dict[str, Any]) -> None:
    with contextlib.suppress(EngineError):
        decode_job(data)


@given(JSON)
def test_whatever_is_quoted_stays_short(value: object) -> None:
    assert len(quoted(value)) <= limits.QUOTED + 5


@pytest.mark.parametrize("value", [10**5000, "x" * 10**6, [[]] * 10**5], ids=quoted)
def test_what_is_quoted_is_cut(value: object) -> None:
    assert len(quoted(value)) <= limits.QUOTED + 5


CONTENTS = {
    "digits": f'{{"version": {MANY_DIGITS}}}'.encode(),
    "deep": DEEP.encode(),
    "empty": b"",
    "cut off": b'{"motion": {"pa',
    "not utf-8": b"\xff\xfe{}",
    "nul": b"\0" * 100,
    "number": b"5",
    "list": b"[]",
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_json_file_of_any_content_is_one_of_our_errors(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / RECORD
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=RECORD):
        read_job(path)
    with pytest.raises(OutputError, match=RECORD):
        Record.read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_saved_by_the_editors_of_windows_are_read(encoding: str, tmp_path: Path) -> None:
    job = tmp_path / "job.json"
    job.write_text(json.dumps({"kind": "track", "motion": {"path": "été.mp4"}}), encoding)
    assert Path(read_json(job)["motion"]["path"]).name == "été.mp4"
    if encoding != "utf-16":  # which TOML forbids
        preset = tmp_path / "preset.toml"
        preset.write_text('name = "été"', encoding)
        assert read_toml(preset) == {"name": "été"}


def test_files_of_ours_have_a_length_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "long.toml"
    path.write_bytes(b"# " + b"x" * limits.TOML_BYTES)
    with pytest.raises(ValueError, match=r"expected at most 4\.2 MB"):
        read_toml(path)
    with pytest.raises(ValueError, match="at most 10 bytes"):
        read_json(path, longest=10)


def test_every_limit_is_in_the_page_on_security() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text(encoding="utf-8")
    absent = [name for name in limits.__all__ if name.isupper() and f"`{name}`" not in page]
    assert not absent
