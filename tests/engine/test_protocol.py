"""Messages of the worker protocol, and the client against engines that misbehave."""

import json
import sys
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.client import EngineProcess
from marionext.errors import ModelError, ProtocolError
from marionext.protocol import (
    Cancel,
    Event,
    Failed,
    Finished,
    FrameWritten,
    Hello,
    Log,
    Pose,
    Posed,
    Preview,
    Progress,
    Reference,
    Referenced,
    Submit,
    read_command,
    read_event,
    write_line,
)

NUMBERS = st.integers(-(10**9), 10**9)
TEXT = st.text(st.characters(codec="utf-8"))
EVENTS = st.one_of(
    st.builds(Hello, protocol=st.integers(), version=TEXT, pid=st.integers()),
    st.builds(
        Progress,
        job_id=TEXT,
        stage=TEXT,
        done=st.integers(),
        total=st.integers(),
        fraction=st.floats(0, 1),
        seconds_left=st.none() | st.floats(0, 1e6),
        text=TEXT,
    ),
    st.builds(Preview, job_id=TEXT, path=TEXT, frame=st.integers()),
    st.builds(FrameWritten, job_id=TEXT, frame=st.integers(), path=TEXT),
    st.builds(Log, job_id=TEXT, level=TEXT, text=TEXT),
    st.builds(
        Posed,
        job_id=TEXT,
        width=NUMBERS,
        height=NUMBERS,
        picture=TEXT,
        seconds=st.floats(0, 1e6),
    ),
    st.builds(
        Referenced,
        job_id=TEXT,
        width=NUMBERS,
        height=NUMBERS,
        points=st.tuples(st.lists(st.lists(st.floats(0, 1)))),
        scores=st.tuples(st.lists(st.floats(0, 1))),
    ),
    st.builds(Failed, job_id=TEXT, code=TEXT, message=TEXT, hint=st.none() | TEXT),
)


@given(EVENTS)
def test_an_event_survives_its_line(event: Event) -> None:
    line = write_line(event)
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    assert line.isascii()
    assert read_event(line) == event


@given(TEXT, TEXT)
def test_a_command_survives_its_line(job_id: str, path: str) -> None:
    for command in (
        Cancel(job_id=job_id),
        Submit(job_id=job_id, job={"a": [path]}, engine={}),
        Pose(job_id=job_id, pose={"character": path}),
        Reference(job_id=job_id, job={"character": path}),
    ):
        assert read_command(write_line(command)) == command


def test_a_host_without_wishes_for_the_engine_need_not_say_so() -> None:
    line = '{"type": "submit", "job_id": "1", "job": {"kind": "track"}}'
    assert read_command(line) == Submit(job_id="1", job={"kind": "track"}, engine={})


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_a_picture_survives_its_line(width: int, height: int, data: st.DataObject) -> None:
    count = 3 * width * height
    pixels = data.draw(st.binary(min_size=count, max_size=count))
    posed = read_event(write_line(Posed.of("q", (width, height), pixels, 0.5)))
    assert isinstance(posed, Posed)
    assert posed.pixels == pixels


@pytest.mark.parametrize("picture", ["AAAA", "A", "\u00e9", ""])
def test_a_picture_of_another_size_is_a_protocol_error(picture: str) -> None:
    posed = Posed(job_id="q", width=2, height=2, picture=picture, seconds=0.0)
    with pytest.raises(ProtocolError, match="expected"):
        _ = posed.pixels


@given(TEXT)
def test_any_other_line_is_a_protocol_error(line: str) -> None:
    with pytest.raises(ProtocolError):
        read_command(line)


@pytest.mark.parametrize("line", ['{"type": "cancel"}', '{"type": "dance"}', "[1]", "{" * 10000])
def test_a_broken_command_says_what_was_expected(line: str) -> None:
    with pytest.raises(ProtocolError, match=r"expected|missing"):
        read_command(line)


def test_an_error_travels_with_its_code_and_hint() -> None:
    failed = Failed.of("7", ModelError("no weights", hint="pull them"))
    assert (failed.code, failed.hint, failed.exit_status) == ("model", "pull them", 4)


def fake_engine(body: str) -> list[str]:
    """Return the command of an engine that says hello and then does ``body``."""
    hello = json.dumps({"type": "hello", "protocol": 1, "version": "test", "pid": 1})
    script = f"import sys, time\nprint({hello!r}, flush=True)\n{textwrap.dedent(body)}"
    return [sys.executable, "-c", script]


def test_an_engine_that_dies_fails_its_jobs_with_its_last_words() -> None:
    body = """
        sys.stdin.readline()
        print("the card is on fire", file=sys.stderr, flush=True)
        sys.exit(9)
    """
    with EngineProcess(fake_engine(body)) as engine:
        job_id = engine.submit({})
        last = engine.wait(job_id, timeout=20)[-1]
        assert isinstance(last, Failed)
        assert "status 9" in last.message
        assert "on fire" in last.message
        assert engine.poll() == []


def test_noise_on_the_engines_stdout_is_ignored() -> None:
    done = json.dumps(
        {
            "type": "finished",
            "job_id": "@",
            "directory": "d",
            "frames": 1,
            "videos": [],
            "seconds": 1.0,
        }
    )
    body = f"""
        import json
        job = json.loads(sys.stdin.readline())["job_id"]
        print("Welcome to a chatty library", flush=True)
        print({done!r}.replace("@", job), flush=True)
        sys.stdin.read()
    """
    with EngineProcess(fake_engine(body)) as engine:
        job_id = engine.submit({})
        assert isinstance(engine.wait(job_id, timeout=20)[-1], Finished)


def test_an_engine_of_another_protocol_is_refused() -> None:
    script = (
        'import sys; print(\'{"type": "hello", "protocol": 99, "version": "9", '
        '"pid": 1}\', flush=True); sys.stdin.read()'
    )
    with EngineProcess([sys.executable, "-c", script]) as engine:
        job_id = engine.submit({})
        last = engine.wait(job_id, timeout=20)[-1]
        assert isinstance(last, Failed)
        assert "protocol 99" in last.message


def test_an_engine_that_is_not_there_says_so_at_once() -> None:
    with pytest.raises(ProtocolError, match="cannot be started"):
        EngineProcess(["/no/such/engine"])


def test_the_client_never_waits_for_a_deaf_engine() -> None:
    with EngineProcess(fake_engine("time.sleep(60)")) as engine:
        for _ in range(200):
            engine.submit({"padding": "x" * 10_000})
            engine.poll()
        assert engine.alive, "had the client waited, the engine would have slept its minute"
        engine.close(timeout=0.1)
        assert not engine.alive
