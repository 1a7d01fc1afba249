"""Frames of several renders made into one video or sequence."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from marionext.errors import SettingsError
from marionext.frames import FrameRate
from marionext.job_files import inputs_of, results_of
from marionext.jobs import ExportJob, Pictures, decode_job, encode_job, read_job
from marionext.local import LocalEngine
from marionext.protocol import Event, Failed, Finished, Progress


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine() as engine:
        yield engine


def run(engine: LocalEngine, job: dict[str, Any], **settings: Any) -> list[Event]:
    return engine.wait(engine.submit(job, settings), timeout=300)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """A draft of frames 1 to 10 in grey, and frames 4 to 6 larger and brighter."""
    for folder, numbers, size, grey in (
        ("draft", range(1, 11), (32, 48), 40),
        ("final", range(4, 7), (64, 96), 200),
    ):
        (tmp_path / folder).mkdir()
        for number in numbers:
            Image.new("RGB", size, (grey + number,) * 3).save(
                tmp_path / folder / f"{number:06d}.png"
            )
    return tmp_path


def job_of(folder: Path, **changes: Any) -> dict[str, Any]:
    job = {
        "kind": "export",
        "pictures": [
            {"folder": str(folder / "draft"), "frames": "2-3"},
            {"folder": str(folder / "final"), "frames": "4-6"},
            {"folder": str(folder / "draft"), "frames": "7-9"},
        ],
        "output": str(folder / "cut.mp4"),
        "rate": "30000/1001",
    }
    return job | changes


def test_every_picture_is_a_frame_at_the_exact_rate(engine: LocalEngine, frames: Path) -> None:
    events = run(engine, job_of(frames))
    finished = events[-1]
    assert isinstance(finished, Finished), finished
    assert (finished.frames, finished.videos) == (8, (str(frames / "cut.mp4"),))
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[0] < 0.5
    with av.open(str(frames / "cut.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.average_rate == Fraction(30000, 1001)
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert shown[0].shape == (48, 32, 3)
    grey = [round(float(picture.mean())) for picture in shown]
    assert grey == pytest.approx([42, 43, 204, 205, 206, 47, 48, 49], abs=2)


def test_pictures_of_another_shape_lie_whole_on_black(engine: LocalEngine, frames: Path) -> None:
    job = job_of(frames, form="png", output=str(frames / "out"), width=100, height=48, first=101)
    assert isinstance(run(engine, job)[-1], Finished)
    names = sorted(path.name for path in (frames / "out").iterdir())
    assert names == [f"{number:06d}.png" for number in range(101, 109)]
    picture = np.asarray(Image.open(frames / "out" / "000103.png"))
    assert picture.shape == (48, 100, 3)
    assert not picture[:, :30].any()
    assert picture[:, 50].min() > 190


def test_nothing_of_the_users_is_replaced(engine: LocalEngine, frames: Path) -> None:
    (frames / "cut.mp4").write_bytes(b"mine")
    failed = run(engine, job_of(frames))[-1]
    assert isinstance(failed, Failed)
    assert "there already" in failed.message
    assert (frames / "cut.mp4").read_bytes() == b"mine"
    assert isinstance(run(engine, job_of(frames), overwrite=True)[-1], Finished)
    into_the_frames = job_of(frames, form="png", output=str(frames / "draft"))
    assert isinstance(run(engine, into_the_frames)[-1], Failed)
    assert len(list((frames / "draft").iterdir())) == 10


def test_missing_frames_are_named(engine: LocalEngine, frames: Path) -> None:
    pictures = [{"folder": str(frames / "draft"), "frames": "8-12"}]
    failed = run(engine, job_of(frames, pictures=pictures))[-1]
    assert isinstance(failed, Failed)
    assert failed.code == "output"
    assert "000011.png" in failed.message
    assert not (frames / "cut.mp4").exists()


def test_an_export_is_a_job_like_others(frames: Path) -> None:
    job = decode_job(job_of(frames))
    assert isinstance(job, ExportJob)
    assert decode_job(encode_job(job)) == job
    assert results_of(job) == (frames / "cut.mp4",)
    assert inputs_of(job) == {
        "the frames 1": frames / "draft",
        "the frames 2": frames / "final",
    }
    file = frames / "export.json"
    file.write_text(
        '{"kind": "export", "pictures": [{"folder": "draft", "frames": "1"}], "output": "a.gif",'
        ' "form": "gif", "rate": "12", "sound": "s.wav", "sound_start": "3/2"}'
    )
    read = read_job(file)
    assert isinstance(read, ExportJob)
    assert read.pictures == (Pictures(folder=str(frames / "draft"), frames="1"),)
    assert (read.output, read.sound) == (str(frames / "a.gif"), str(frames / "s.wav"))
    assert (read.sound_start, read.rate) == (Fraction(3, 2), FrameRate(Fraction(12)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pictures": []}, "at least one folder"),
        ({"pictures": [{"folder": "a", "frames": "x"}]}, "expected frames"),
        ({"sound_start": "1.5"}, "a fraction"),
        ({"sound_start": "1/0"}, "a fraction"),
        ({"width": 10}, "both a width and a height"),
        ({"rate": None}, "rate"),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    frames: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        decode_job(job_of(frames, **changes))


def test_the_pose_of_a_picture_is_a_job(engine: LocalEngine, frames: Path) -> None:
    job = {
        "kind": "track",
        "motion": {"path": str(frames / "draft" / "000001.png"), "kind": "picture"},
        "output": str(frames / "pose.npz"),
    }
    failed = run(engine, job)[-1]
    assert isinstance(failed, Failed)
    # Nobody is in a grey picture; or there are no networks to look for somebody with.
    assert failed.code in {"motion", "model"}
