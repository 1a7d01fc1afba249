"""A folder seen from outside: its record, its frames as they come, what was said."""

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

from marionext.frames import FrameRate
from marionext.hosts import EventFile, FolderFollower, News, frame_path, read_state
from marionext.protocol import FrameWritten, Log, write_line
from marionext.record import RECORD, Record


def started(**changes: Any) -> Record:
    return Record.start(
        job={},
        inputs={},
        models={},
        size=(64, 64),
        rate=FrameRate(Fraction(24)),
        numbers=(101, 102, 103),
        **changes,
    )


def test_frames_are_news_once_and_again_when_they_are_rendered_again(tmp_path: Path) -> None:
    follower = FolderFollower(tmp_path)
    assert follower.poll() == News()
    assert follower.state.record is None
    record = started()
    record.write(tmp_path / RECORD)
    assert follower.poll() == News()
    assert not follower.state.finished
    record = record.with_frame(102, "b").with_frame(101, "a")
    record.write(tmp_path / RECORD)
    assert follower.poll().frames == (101, 102)
    assert follower.poll().frames == ()
    record.with_frame(103, "c").with_stage("finished").write(tmp_path / RECORD)
    assert follower.poll().frames == (103,)
    assert follower.state.finished
    record.with_frames({101: "a"}).write(tmp_path / RECORD)
    assert follower.poll().frames == ()
    record.write(tmp_path / RECORD)
    assert follower.poll().frames == (102,)
    record.with_frame(101, "of another take").write(tmp_path / RECORD)
    assert follower.poll().frames == (101,)
    assert frame_path(tmp_path, 7) == tmp_path / "frames" / "000007.png"


def test_a_damaged_or_newer_record_is_a_problem_of_its_folder_alone(tmp_path: Path) -> None:
    follower = FolderFollower(tmp_path)
    (tmp_path / RECORD).write_text("{ half", encoding="utf-8")
    assert follower.poll() == News()
    assert follower.state.problem is not None
    assert "not the record of a render" in follower.state.problem.message
    assert (follower.state.record, follower.state.frames, follower.state.finished) == (
        None,
        (),
        False,
    )
    newer = {"schema": "marionext.render", "version": 99}
    (tmp_path / RECORD).write_text(json.dumps(newer), encoding="utf-8")
    assert "got 99" in str(read_state(tmp_path).problem)
    started().with_frame(101, "a").write(tmp_path / RECORD)
    assert follower.poll().frames == (101,), "mended, it is followed on"
    assert follower.state.problem is None


def test_events_are_read_as_whole_lines_and_strange_ones_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    events = EventFile(path)
    follower = FolderFollower(tmp_path)
    assert events.poll() == []
    log = Log(job_id="a", level="info", text="one")
    frame = FrameWritten(job_id="a", frame=101, path="")
    whole, half = write_line(log), write_line(frame)
    with path.open("a", encoding="utf-8") as file:
        file.write(whole + half[:10])
    assert events.poll() == [log]
    assert events.poll() == []
    assert follower.poll() == News(events=(log,))
    with path.open("a", encoding="utf-8") as file:
        file.write(half[10:] + '{"type": "of another age"}\nnot json\n' + whole)
    assert events.poll() == [frame, log]
    assert follower.poll().events == (frame, log)
