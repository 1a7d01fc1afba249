"""The sound of a render: the motion's own, another file's, or none."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from marionext.cli import main
from marionext.cli.options import job_from
from marionext.local import LocalEngine
from marionext.output import Pictures, encode_video
from marionext.pose.formats import read_track
from marionext.posemap import draw
from marionext.protocol import Event, Failed, Finished, Log
from marionext.record import identity_of

JobMaker = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine() as engine:
        yield engine


@pytest.fixture
def song(tmp_path: Path, clips: Any) -> Path:
    path = tmp_path / "song.wav"
    clips.ffmpeg("-f", "lavfi", "-i", "sine=frequency=440:duration=1", path)
    return path


@pytest.fixture
def maps_with_sound(tmp_path: Path, track_file: Path, song: Path, clips: Any) -> Path:
    """A video of seven pose maps, and a tone."""
    track = read_track(track_file)
    pictures = [draw(track.points[n], track.scores[n], track.size, (64, 64)) for n in range(7)]
    encode_video(Pictures(7, lambda n: pictures[n]), track.rate, tmp_path / "silent.mp4")
    path = tmp_path / "maps.mp4"
    clips.ffmpeg("-i", tmp_path / "silent.mp4", "-i", song, "-c:v", "copy", "-t", "0.29", path)
    return path


def sound_of(events: list[Event], folder: Path) -> int:
    """Return how many tracks of sound the video of a finished render has."""
    assert isinstance(events[-1], Finished), events[-1]
    (video,) = folder.glob("*.mp4")
    with av.open(str(video)) as container:
        return len(container.streams.audio)


def warnings_of(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Log) and event.level == "warning"]


def test_the_sound_of_pose_maps_is_kept_unless_none_is_wanted(
    engine: LocalEngine, make_job: JobMaker, maps_with_sound: Path, tmp_path: Path
) -> None:
    motion = {"path": str(maps_with_sound), "palette": "controlnext"}
    job = make_job(motion=motion, frames="1-2")
    events = engine.wait(engine.submit(job), timeout=300)
    assert sound_of(events, tmp_path / "out") == 1
    assert any("24 frames/s, 7 frames" in event.text for event in events if isinstance(event, Log))
    job = make_job(motion=motion, frames="1-2", output={"audio": False})
    (tmp_path / "out" / "maps.mp4").unlink()
    assert sound_of(engine.wait(engine.submit(job), timeout=300), tmp_path / "out") == 0


def test_a_pose_track_takes_its_sound_from_a_file(
    engine: LocalEngine, make_job: JobMaker, song: Path, tmp_path: Path, clips: Any
) -> None:
    job = make_job(frames="102-103", output={"sound": str(song)})
    assert sound_of(engine.wait(engine.submit(job), timeout=300), tmp_path / "out") == 1
    silent = clips.write(tmp_path / "silent.mkv", clips.numbered(4))
    job = make_job(frames="102-103", output={"sound": str(silent)})
    (tmp_path / "out" / "wave.mp4").unlink()
    events = engine.wait(engine.submit(job), timeout=300)
    assert sound_of(events, tmp_path / "out") == 0
    assert any("silent.mkv has no sound" in text for text in warnings_of(events))
    job = make_job(output={"sound": str(tmp_path / "gone.wav"), "directory": str(tmp_path / "new")})
    failed = engine.wait(engine.submit(job), timeout=300)[-1]
    assert isinstance(failed, Failed)
    assert "no such sound file" in failed.message


def test_the_command_line_names_a_file_or_none(
    track_file: Path, character_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Any] = []
    monkeypatch.setattr(
        "marionext.cli.render.job_from", lambda options: jobs.append(job_from(options)) or jobs[-1]
    )
    monkeypatch.chdir(tmp_path)
    render = ["render", "--motion", str(track_file), "--character", str(character_file)]
    for index, words in enumerate(([], ["--audio", "a.wav"], ["--audio", "none"], ["--no-audio"])):
        saved = ["--save-job", f"{index}.json", "--frames", "900"]
        main([*render, "--out", "out", *words, *saved])
    told = [(job.output.audio, job.output.sound) for job in jobs]
    assert told == [(True, None), (True, str(tmp_path / "a.wav")), (False, None), (False, None)]


def test_sound_is_no_part_of_what_a_render_is(make_job: JobMaker) -> None:
    plain, sung = make_job(), make_job(output={"sound": "song.wav", "audio": True})
    assert identity_of(plain, {}, {}, {}) == identity_of(sung, {}, {}, {})
