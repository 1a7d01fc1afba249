"""Jobs that make pictures, renders and videos larger."""

import json
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from tests.engine.backends.upscaling.ncnn_files import make_network

from marionext.cli import main
from marionext.frames import FrameRate
from marionext.job_files import inputs_of, model_of, results_of
from marionext.jobs import UpscaleJob, decode_job, encode_job, read_job
from marionext.local import LocalEngine
from marionext.output import Pictures, encode_video
from marionext.protocol import Event, Failed, Finished, FrameWritten, Log, Progress


@pytest.fixture(scope="module")
def engine() -> Iterator[LocalEngine]:
    with LocalEngine() as engine:
        yield engine


def run(engine: LocalEngine, job: dict[str, Any], **settings: Any) -> list[Event]:
    return engine.wait(engine.submit(job, {"device": "cpu", **settings}), timeout=120)


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Log))


def failure(events: list[Event]) -> Failed:
    assert isinstance(events[-1], Failed), events[-1]
    return events[-1]


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Frames 8 to 12, each a little brighter than the one before."""
    folder = tmp_path / "small"
    folder.mkdir()
    for number in range(8, 13):
        pixels = np.full((20, 30, 3), 10 * number, np.uint8)
        pixels[5:15, 10:20] = 200
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")
    return folder


def job_of(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "upscale",
        "source": str(folder),
        "output": str(folder.parent / "large"),
        "method": "lanczos",
        **changes,
    }


def test_frames_keep_their_names_and_a_record_says_what_they_were_made_of(
    engine: LocalEngine, frames: Path
) -> None:
    events = run(engine, job_of(frames, frames="8-10", by=3))
    assert isinstance(events[-1], Finished), events[-1]
    out = frames.parent / "large"
    names = ["000008.png", "000009.png", "000010.png"]
    assert sorted(path.name for path in out.glob("*.png")) == names
    written = [event for event in events if isinstance(event, FrameWritten)]
    assert [(event.frame, Path(event.path)) for event in written] == [
        (number, out / name) for number, name in enumerate(names, start=8)
    ]
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    with Image.open(out / names[0]) as picture:
        assert picture.size == (90, 60)
    record = json.loads((out / "upscale.json").read_text())
    assert set(record["files"]) == set(record["sources"]) == set(names)
    assert all(record["files"].values())
    assert record["job"]["by"] == 3
    # More frames of the same come to those that are there.
    events = run(engine, job_of(frames, by=3))
    assert "3 of 5 pictures are there already" in said(events)
    assert len(list(out.glob("*.png"))) == 5


def test_what_was_stopped_goes_on_and_what_changed_is_made_again(
    engine: LocalEngine, frames: Path
) -> None:
    out = frames.parent / "large"
    job_id = engine.submit(job_of(frames), {"device": "cpu"})
    while not isinstance(engine.next_event(), FrameWritten):
        pass
    engine.cancel(job_id)
    while not isinstance(event := engine.next_event(), Finished | Failed):
        pass
    if isinstance(event, Failed):
        assert event.code == "cancelled"
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert before
    assert isinstance(run(engine, job_of(frames))[-1], Finished)
    assert all((out / name).stat().st_mtime_ns == time for name, time in before.items())
    whole = {path.name: path.read_bytes() for path in out.glob("*.png")}
    assert len(whole) == 5
    # A frame of the source is painted over, one of the results is lost, one is damaged.
    Image.new("RGB", (30, 20), "red").save(frames / "000009.png")
    (out / "000010.png").unlink()
    (out / "000011.png").write_bytes(b"damaged")
    events = run(engine, job_of(frames))
    assert "1 picture has another source now" in said(events)
    assert "000011.png" in failure(events).message
    (out / "000011.png").unlink()
    events = run(engine, job_of(frames))
    assert isinstance(events[-1], Finished), events[-1]
    assert [event.frame for event in events if isinstance(event, FrameWritten)] == [9, 10, 11]
    made = {path.name: path.read_bytes() for path in out.glob("*.png")}
    assert {name for name in whole if made[name] != whole[name]} == {"000009.png"}


def test_nothing_of_the_user_is_replaced(engine: LocalEngine, frames: Path) -> None:
    out = frames.parent / "large"
    out.mkdir()
    (out / "000009.png").write_bytes(b"mine")
    (out / "notes.txt").write_text("mine")
    assert "did not write it here" in failure(run(engine, job_of(frames))).message
    assert [path.name for path in out.glob("*.png")] == ["000009.png"]
    (out / "000009.png").unlink()
    assert isinstance(run(engine, job_of(frames))[-1], Finished)
    # Other frames of the same names are another job's.
    shutil.copytree(frames, other := frames.parent / "other")
    job = job_of(other, output=str(out))
    assert "another job" in failure(run(engine, job)).message
    assert "another job" in failure(run(engine, job_of(frames, method="bicubic"))).message
    assert isinstance(run(engine, job, overwrite=True)[-1], Finished)
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("output", ["small", "small/larger", ""])
def test_results_never_lie_among_what_is_read(
    engine: LocalEngine, frames: Path, output: str
) -> None:
    before = sorted(frames.iterdir())
    events = run(engine, job_of(frames, output=str(frames.parent / output)))
    assert failure(events).code == "output"
    assert sorted(frames.iterdir()) == before


def test_a_video_keeps_its_rate_its_frames_and_its_sound(
    engine: LocalEngine, frames: Path, clips: Any
) -> None:
    folder = frames.parent
    pictures = clips.numbered(12, (48, 32))
    rate = FrameRate(Fraction(24000, 1001))
    encode_video(Pictures(12, lambda n: pictures[n]), rate, folder / "silent.mp4")
    clips.ffmpeg(
        "-i", folder / "silent.mp4", "-f", "lavfi", "-i", "sine=frequency=440:duration=1",
        "-c:v", "copy", "-t", "0.5", folder / "clip.mp4",
    )  # fmt: skip
    job = job_of(frames, source=str(folder / "clip.mp4"), output=str(folder / "big.mp4"))
    events = run(engine, job)
    assert isinstance(events[-1], Finished), events[-1]
    assert events[-1].videos == (str(folder / "big.mp4"),)
    with av.open(str(folder / "big.mp4")) as video:
        assert video.streams.video[0].average_rate == rate.fraction
        assert len(video.streams.audio) == 1
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert [clips.number_in(picture, 12) for picture in shown] == list(range(12))
    assert shown[0].shape == (64, 96, 3)
    assert not (folder / "big.mp4.upscale").exists()
    assert "is there already" in failure(run(engine, job)).message
    # Into a folder: the frames, and a video of every second of them.
    job |= {"output": str(folder / "parts"), "frames": "3-11:2", "videos": ["mp4"]}
    events = run(engine, job)
    assert isinstance(events[-1], Finished), events[-1]
    names = sorted(path.name for path in (folder / "parts").glob("*.png"))
    assert names == [f"{number:06d}.png" for number in (3, 5, 7, 9, 11)]
    with av.open(str(folder / "parts" / "clip.mp4")) as video:
        assert video.streams.video[0].average_rate == rate.fraction / 2
        assert len(video.streams.audio) == 1
        assert sum(1 for _ in video.decode(video=0)) == 5


def test_of_a_render_the_frames_that_are_shown_are_made_larger(
    engine: LocalEngine, make_job: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    job = make_job()
    assert isinstance(run(engine, job)[-1], Finished)
    render = Path(job["output"]["directory"])
    record = json.loads((render / "render.json").read_text())
    events = run(engine, job_of(render, output=str(tmp_path / "large"), videos=["mp4"]))
    assert isinstance(events[-1], Finished), events[-1]
    names = [f"{number:06d}.png" for number in record["numbers"]]
    assert sorted(path.name for path in (tmp_path / "large").glob("*.png")) == names
    with Image.open(tmp_path / "large" / names[0]) as picture:
        assert picture.size == tuple(2 * side for side in record["size"])
    (video,) = (tmp_path / "large").glob("*.mp4")
    with av.open(str(video)) as opened:
        assert opened.streams.video[0].average_rate == Fraction(record["rate"])
    assert "sound" not in said(events), "nobody asked for any, and there was none"
    # A video that somebody has taken away costs its sound, and no picture.
    for name in record["videos"]:
        (render / name).unlink()
    events = run(engine, job_of(render, output=str(tmp_path / "more"), videos=["mp4"]))
    assert isinstance(events[-1], Finished), events[-1]
    assert "is gone: its sound is not taken over" in said(events)


def test_one_picture_is_made_into_the_file_that_is_named(
    engine: LocalEngine, tmp_path: Path
) -> None:
    pixels = np.zeros((24, 24, 4), np.uint8)
    pixels[6:18, 6:18] = (250, 240, 230, 255)
    Image.fromarray(pixels).save(tmp_path / "cut-out.png")
    job = job_of(tmp_path / "cut-out.png", output=str(tmp_path / "large.webp"), method="bicubic")
    assert isinstance(run(engine, job)[-1], Finished)
    with Image.open(tmp_path / "large.webp") as picture:
        made = np.asarray(picture)
    assert made.shape == (48, 48, 4)
    half = (made[..., 3] > 60) & (made[..., 3] < 200)
    assert half.any()
    # Nothing of the black that nobody saw comes in at the outline.
    assert made[half][:, 0].min() > 240
    assert "by this very job" in said(run(engine, job))
    assert "is there already" in failure(run(engine, {**job, "by": 3})).message
    events = run(engine, {**job, "output": str(tmp_path / "large.jpg")})
    assert "laid over white" in said(events)
    Image.fromarray((np.arange(64 * 64).reshape(64, 64) * 16).astype(np.uint16)).save(
        tmp_path / "deep.png"
    )
    job = job_of(tmp_path / "deep.png", output=str(tmp_path / "eight.png"))
    assert "deep.png has more than 8 bits" in said(run(engine, job))
    made = np.asarray(Image.open(tmp_path / "eight.png"))
    assert made.shape == (128, 128, 3)
    assert made.max() > 250


def test_damage_is_found_and_repaired(
    engine: LocalEngine, frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = make_network(frames.parent / "net.param")
    assert isinstance(run(engine, job_of(frames, method=str(network)))[-1], Finished)
    out = frames.parent / "large"
    before = (out / "000010.png").read_bytes()
    assert main(["verify", str(out)]) == 0
    (out / "000010.png").write_bytes(b"damaged")
    (out / "000012.png").unlink()
    capsys.readouterr()
    assert main(["verify", str(out)]) != 0
    told = capsys.readouterr().out
    assert "000010.png is changed" in told
    assert "000012.png is missing" in told
    assert main(["verify", str(out), "--repair", "--device", "cpu"]) == 0
    assert (out / "000010.png").read_bytes() == before


def test_what_cannot_be_done_is_said_before_anything_is_made(
    engine: LocalEngine, frames: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.png").write_text("no picture")
    cases: list[tuple[dict[str, Any], str]] = [
        (job_of(tmp_path / "empty"), "there are none"),
        (job_of(tmp_path / "none.png"), "there is no"),
        (job_of(tmp_path / "none.mp4"), "there is no"),
        (job_of(tmp_path / "none"), "there is no"),
        (
            job_of(tmp_path / "text.png", output=str(tmp_path / "x.png")),
            "text.png cannot be read as one: cannot identify image file (Unid",
        ),
        (job_of(frames, frames="8-20"), "expected some of 8-12, got 13-20"),
        (job_of(frames, output=str(tmp_path / "x.png")), "expected a folder for 5 pictures"),
        (job_of(frames, output=str(tmp_path / "x.tif")), "expected a folder, a picture"),
        (job_of(frames, output=str(tmp_path / "x.mp4"), videos=["mp4"]), "expected none beside"),
        (job_of(frames, by=9), "by"),
        (job_of(frames, tile=3), "tile"),
        (job_of(frames, method="nearest"), "there is no nearest"),
    ]
    for job, words in cases:
        assert words in failure(run(engine, job)).message, (job, words)
    assert not (tmp_path / "large").exists()
    Image.new("RGB", (8, 8)).save(frames / "000008.bmp")
    events = run(engine, job_of(frames))
    assert "would both become 000008.png" in failure(events).message


def test_the_job_is_read_with_its_paths_and_says_what_it_reads_and_writes(tmp_path: Path) -> None:
    make_network(tmp_path / "net.param")
    path = tmp_path / "job.json"
    path.write_text(
        json.dumps(
            {
                "kind": "upscale",
                "source": "frames",
                "output": "large",
                "method": "net.param",
                "sound": "song.wav",
            }
        )
    )
    job = read_job(path)
    assert isinstance(job, UpscaleJob)
    assert job.source == str(tmp_path / "frames")
    assert job.method == str(tmp_path / "net.param")
    assert decode_job(encode_job(job)) == job
    assert set(inputs_of(job).values()) == {
        tmp_path / name for name in ("frames", "song.wav", "net.param")
    }
    assert results_of(job) == (tmp_path / "large",)
    assert model_of(job) == ""
    assert model_of(UpscaleJob(source="a", output="b", method="realesrgan")) == "realesrgan"


def test_the_command_writes_the_job_or_does_it(
    frames: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = frames.parent / "large"
    job_file = frames.parent / "job.json"
    command = ["upscale", str(frames), "--out", str(out), "--with", "bicubic", "--frames", "9"]
    assert main([*command, "--save-job", str(job_file)]) == 0
    job = read_job(job_file)
    assert isinstance(job, UpscaleJob)
    assert (job.method, job.frames, job.by) == ("bicubic", "9", 2)
    assert main(command) == 0
    assert str(out) in capsys.readouterr().out
    assert [path.name for path in out.glob("*.png")] == ["000009.png"]
