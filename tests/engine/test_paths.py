"""What is read is never written to, and names fit the file system."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from marionext.cli import main
from marionext.errors import OutputError
from marionext.local import LocalEngine
from marionext.paths import LONGEST_NAME, fitting_name, refuse_overlap
from marionext.pose.formats import read_track
from marionext.posemap import draw
from marionext.protocol import Event, Failed, Finished
from marionext.record import Record

JobMaker = Callable[..., dict[str, Any]]


def run(job: dict[str, Any], **settings: Any) -> Event:
    with LocalEngine() as engine:
        return engine.wait(engine.submit(job, settings), timeout=300)[-1]


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".marionext.lock"
    }


def put(source: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())
    return target


@given(stem=st.text(min_size=1, max_size=300).filter(lambda text: "/" not in text))
def test_a_name_fits_keeps_its_ending_and_stays_itself_where_it_can(stem: str) -> None:
    if any(0xD800 <= ord(letter) < 0xE000 for letter in stem):
        return
    name = fitting_name(stem, "-with-poses.mp4")
    assert len(os.fsencode(name)) <= LONGEST_NAME
    assert name.endswith("-with-poses.mp4")
    if len(os.fsencode(stem)) < 230:
        assert name == f"{stem}-with-poses.mp4"


def test_names_that_begin_alike_stay_apart() -> None:
    names = {fitting_name("舞" * 90 + str(number), ".mp4") for number in range(20)}
    assert len(names) == 20


def test_a_motion_of_77_chinese_characters_renders(
    make_job: JobMaker, track_file: Path, tmp_path: Path
) -> None:
    motion = put(track_file, tmp_path / "in" / ("舞" * 77 + ".npz"))
    job = make_job(motion={"path": str(motion)}, frames="101-102", output={"side_by_side": True})
    finished = run(job)
    assert isinstance(finished, Finished), finished
    assert len(finished.videos) == 2
    assert all(Path(video).is_file() for video in finished.videos)


READ_AND_WRITTEN: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "the motion as the record of poses": lambda job, out: job["motion"].update(
        path=str(put(Path(job["motion"]["path"]), out / "poses.npz"))
    ),
    "the motion in the folder of frames": lambda job, out: job["motion"].update(
        path=str(put(Path(job["motion"]["path"]), out / "frames" / "wave.npz"))
    ),
    "the character as the preview": lambda job, out: job.update(
        character=str(put(Path(job["character"]), out / "preview.png"))
    ),
    "the character's pose in the folder of takes": lambda job, out: job.update(
        character=str(
            put(
                put(
                    Path(job["character"]).with_suffix(".pose.npz"),
                    out / "takes" / "hero.pose.npz",
                ).parent.parent.parent
                / "hero.png",
                out / "takes" / "hero.png",
            )
        )
    ),
    "the motion by a link": lambda job, out: (out / "poses.npz").symlink_to(job["motion"]["path"]),
    "the motion by a hard link": lambda job, out: (out / "poses.npz").hardlink_to(
        job["motion"]["path"]
    ),
}


@pytest.mark.parametrize("case", READ_AND_WRITTEN)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_read_is_not_written_to(
    make_job: JobMaker, tmp_path: Path, case: str, overwrite: bool
) -> None:
    job = make_job(frames="101-102")
    (tmp_path / "out").mkdir()
    READ_AND_WRITTEN[case](job, tmp_path / "out")
    before = content(tmp_path)
    failed = run(job, overwrite=overwrite)
    assert isinstance(failed, Failed), failed
    assert failed.code == "output"
    assert "result" in failed.message
    assert content(tmp_path) == before


def test_a_source_video_beside_its_render_is_not_replaced(tmp_path: Path) -> None:
    refused = pytest.raises(OutputError, match="would be overwritten")
    video = tmp_path / "dance.mp4"
    video.write_bytes(b"of the user")
    with refused:
        refuse_overlap({"the motion": [video]}, [tmp_path / "." / "dance.mp4"])
    (tmp_path / "link").symlink_to(tmp_path)
    with refused:
        refuse_overlap({"the motion": [tmp_path / "link" / "dance.mp4"]}, [video])


def test_input_maps_are_not_removed_by_overwriting(
    make_job: JobMaker, track_file: Path, tmp_path: Path
) -> None:
    track = read_track(track_file)
    maps = tmp_path / "w" / "frames"
    maps.mkdir(parents=True)
    for index in range(3):
        drawn = draw(track.points[index], track.scores[index], track.size, (64, 64))
        Image.fromarray(drawn).save(maps / f"{index + 1:06d}.png")
    before = content(tmp_path / "w")
    job = make_job(motion={"path": str(maps)}, output={"directory": str(tmp_path / "w")})
    for overwrite in (False, True):
        failed = run(job, overwrite=overwrite)
        assert isinstance(failed, Failed)
        assert failed.code == "output"
        assert content(tmp_path / "w") == before


@pytest.mark.parametrize("name", ["wave.mp4", "preview.png", "poses.npz", "posemaps/000101.png"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_of_the_user_where_a_result_belongs_is_left_alone(
    make_job: JobMaker, tmp_path: Path, name: str, overwrite: bool
) -> None:
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"of the user")
    job = make_job(frames="101-102", output={"pose_maps": True})
    failed = run(job, overwrite=overwrite)
    assert isinstance(failed, Failed)
    assert "is no result of this render" in failed.message
    assert content(tmp_path / "out") == {name: b"of the user"}, "and nothing is left there"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name.partition("/")[0]]
    mine.unlink()
    assert isinstance(run(job), Finished)


def test_overwriting_removes_what_the_record_lists_and_nothing_else(
    make_job: JobMaker, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert isinstance(run(make_job(output={"pose_maps": True})), Finished)
    (out / "notes.txt").write_text("of the user")
    (out / "frames" / "best.png").write_bytes(b"of the user")
    assert isinstance(run(make_job(frames="101", settings={"seed": 4}), overwrite=True), Finished)
    assert sorted(content(out)) == [
        ".render.json",
        "frames/000101.png",
        "frames/best.png",
        "notes.txt",
        "poses.npz",
        "preview.png",
        "render.json",
        "takes/000/kept/latents.safetensors",
        "wave.mp4",
    ]


def test_frames_that_no_record_lists_stop_the_overwriting(
    make_job: JobMaker, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert isinstance(run(make_job(frames="101-102")), Finished)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(out / "frames" / "000900.png")
    before = content(out)
    failed = run(make_job(frames="101"), overwrite=True)
    assert isinstance(failed, Failed)
    assert "900" in failed.message
    assert content(out) == before


def test_a_record_that_cannot_be_read_is_put_aside(make_job: JobMaker, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "render.json").write_text('{"mine": true}')
    assert isinstance(run(make_job(frames="101")), Failed)
    assert isinstance(run(make_job(frames="101"), overwrite=True), Finished)
    kept = tmp_path / "out" / "render.unreadable-1.json"
    assert kept.read_text() == '{"mine": true}'


def test_a_track_does_not_replace_its_source_nor_another_file(
    track_file: Path, tmp_path: Path
) -> None:
    before = track_file.read_bytes()
    assert main(["track", str(track_file), "-o", str(track_file), "--overwrite"]) == 1
    assert track_file.read_bytes() == before
    mine = tmp_path / "mine.npz"
    mine.write_bytes(b"of the user")
    assert main(["track", str(track_file), "-o", str(mine)]) == 1
    assert mine.read_bytes() == b"of the user"
    assert main(["track", str(track_file), "-o", str(mine), "--overwrite"]) == 0
    assert len(read_track(mine)) == 7
    long = tmp_path / ("舞" * 84 + ".npz")
    assert main(["track", str(track_file), "-o", str(long)]) == 1


def test_the_notes_of_a_render_are_on_record(make_job: JobMaker, tmp_path: Path) -> None:
    assert isinstance(run(make_job(frames="101", settings={"width": 70})), Finished)
    notes = Record.read(tmp_path / "out" / "render.json").notes
    assert any("size 70x64 is rendered as 64x64" in note for note in notes)


def test_videos_are_made_again_only_where_something_changed(
    make_job: JobMaker, tmp_path: Path
) -> None:
    job = make_job(frames="101-103")
    video = tmp_path / "out" / "wave.mp4"
    assert isinstance(run(job), Finished)
    made = video.stat().st_mtime_ns
    finished = run(job)
    assert isinstance(finished, Finished)
    assert finished.videos == (str(video),)
    assert video.stat().st_mtime_ns == made, "nothing had changed"
    video.write_bytes(b"damaged")
    assert isinstance(run(job), Finished)
    assert video.read_bytes() != b"damaged"
    made = video.stat().st_mtime_ns
    assert isinstance(run({**job, "output": {**job["output"], "audio": False}}), Finished)
    assert video.stat().st_mtime_ns != made, "made in another way"
