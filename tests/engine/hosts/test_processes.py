"""Which process is meant: real ones, ended ones, and numbers that are another's by now."""

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from marionext.errors import OutputError, ProtocolError
from marionext.hosts import Answer, CommandProcess, CommandRun, ProcessId
from marionext.hosts.processes import last_words

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def until(condition, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.005)


def test_a_process_is_known_until_it_ends_and_is_not_taken_for_another() -> None:
    process = subprocess.Popen(SLEEP)
    try:
        process_id = ProcessId.of(process.pid)
        assert process_id.alive
        for other in (
            replace(process_id, born="at another time"),
            replace(process_id, host="another computer"),
            replace(process_id, born=""),
        ):
            assert not other.alive
            other.interrupt()
            other.end()
        assert process.poll() is None, "nobody but the one that was meant"
        process_id.end()
        # Ended, and not yet asked for its status by its parent.
        until(lambda: not process_id.alive)
        assert process.wait(10) != 0
        assert not process_id.alive
    finally:
        process.kill()
        process.wait()


def test_a_number_that_never_was_is_nobody() -> None:
    assert ProcessId.of(2**22 + 1).born == ""
    assert not ProcessId.of(2**22 + 1).alive


def test_a_command_writes_into_files_and_can_be_interrupted(tmp_path: Path) -> None:
    code = "import sys, time; print('out'); print('err', file=sys.stderr); sys.stdout.flush()\n"
    code += "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    sys.exit(130)"
    process = CommandProcess(
        [sys.executable, "-c", code],
        output=tmp_path / "out",
        errors=tmp_path / "err",
        environment={},
    )
    until(lambda: (tmp_path / "out").read_text() == "out\n")
    assert process.status() is None
    process.interrupt()
    until(lambda: process.status() is not None)
    assert process.status() == 130
    assert last_words(tmp_path / "err") == "err"
    process.interrupt()
    process.kill()
    assert last_words(tmp_path / "nothing") == ""


def test_what_cannot_be_started_or_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError, match="cannot be started with 'no-such-program'"):
        CommandProcess(
            ["no-such-program"], output=tmp_path / "o", errors=tmp_path / "e", environment={}
        )
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        CommandProcess(SLEEP, output=tmp_path / "file" / "o", errors=tmp_path / "e", environment={})


def answer_of(run: CommandRun) -> Answer:
    found: list[Answer] = []

    def ended() -> bool:
        answer = run.poll()
        if answer is not None:
            found.append(answer)
        return bool(found)

    until(ended)
    return found[0]


def test_a_command_answers_once_it_has_ended() -> None:
    code = "import os, sys; print(os.environ['WORD']); print('aside', file=sys.stderr); sys.exit(4)"
    answer = answer_of(CommandRun([sys.executable, "-c", code], {"WORD": "hello"}))
    assert answer == Answer(status=4, output="hello\n", errors="aside")
    assert answer.failure == "aside"
    missing = answer_of(CommandRun(["no-such-program"]))
    assert missing.status == -1
    assert "cannot be started" in missing.errors


def test_a_command_without_a_place_for_its_words_fails_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    run = CommandRun([sys.executable, "-c", "print('hello')"])
    assert "no temporary folder can be made" in answer_of(run).failure
    run.stop()


def test_why_a_command_failed_is_told_without_what_it_said_before() -> None:
    why = "a.npz cannot be written\nGo elsewhere."
    told = f"0%  reading the motion\n 97%  writing, a.npz\nerror: {why}".replace("Go", "       Go")
    assert Answer(status=5, output="", errors=told).failure == why
    usage = "usage: marionext image\n   [--json]\nmarionext image: error: expected one argument"
    assert Answer(status=2, output="", errors=usage).failure == "expected one argument"
    assert Answer(status=3, output="", errors="").failure == "It ended with status 3."


def test_a_command_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "began"
    run = CommandRun(
        [sys.executable, "-c", f"import time, pathlib; pathlib.Path({str(mark)!r}).touch()\n"
         "time.sleep(60)"]
    )  # fmt: skip
    until(mark.is_file)
    folder = run._output.parent
    run.stop()
    assert not folder.exists()
