"""Files on their way to another machine and back: nothing of the user's is written over."""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from marionext.batch import Cluster
from marionext.batch.shipping import Delivery, Scratch, chunks
from marionext.errors import DeviceError, OutputError, SettingsError
from marionext.jobs import Job, RenderJob, TakeJob, TrackJob, read_job

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths of Unix")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scratch]:
    (tmp_path / "there").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "there"))
    made = Scratch()
    yield made
    made.remove()


@pytest.fixture
def render(write_job: Callable[..., Path]) -> RenderJob:
    job = read_job(write_job("a"))
    assert isinstance(job, RenderJob)
    return job


def send(delivery: Delivery, scratch: Scratch) -> None:
    for path in delivery.files:
        scratch.put(str(path), chunks(path))


def bring(delivery: Delivery, scratch: Scratch) -> None:
    made, gone = scratch.results(str(delivery.place))
    delivery.bring(made, gone, lambda path, at: scratch.read(path, at, 7))


def test_a_job_finds_its_files_at_their_places_in_the_other_machine_s_folder(
    render: RenderJob, scratch: Scratch
) -> None:
    delivery = Delivery(render, overwrite=False)
    send(delivery, scratch)
    names = {path.name for path in delivery.files}
    assert names == {"wave.npz", "hero.png", "hero.pose.npz"}
    moved = scratch.moved(render)
    assert isinstance(moved, RenderJob)
    assert Path(moved.character).read_bytes() == Path(render.character).read_bytes()
    assert Path(moved.character).with_suffix(".pose.npz").is_file()
    line = json.dumps({"path": moved.character})
    assert json.loads(scratch.as_sent(line)) == {"path": render.character}
    delivery.close()


def test_results_come_back_whole_with_the_user_s_paths_in_their_record(
    render: RenderJob, scratch: Scratch, tmp_path: Path
) -> None:
    delivery = Delivery(render, overwrite=False)
    send(delivery, scratch)
    moved = scratch.moved(render)
    assert isinstance(moved, RenderJob)
    there = Path(moved.output.directory)
    (there / "frames").mkdir(parents=True)
    (there / "frames" / "000101.png").write_bytes(b"a picture")
    (there / "empty.txt").write_bytes(b"")
    (there / "render.json").write_text(json.dumps({"motion": moved.motion.path}), encoding="utf-8")
    bring(delivery, scratch)
    here = tmp_path / "out" / "a"
    assert (here / "frames" / "000101.png").read_bytes() == b"a picture"
    assert (here / "empty.txt").read_bytes() == b""
    record = json.loads((here / "render.json").read_text(encoding="utf-8"))
    assert record == {"motion": render.motion.path}
    # The next time all of it is sent along; what is unchanged does not come back.
    delivery.close()
    again = Delivery(render, overwrite=False)
    assert here / "frames" / "000101.png" in again.files
    other = Scratch()
    send(again, other)
    assert other.results(str(again.place)) == ({}, [])
    other.remove()
    again.close()


def test_what_came_in_the_place_of_a_result_meanwhile_is_left_alone(
    render: RenderJob, scratch: Scratch, tmp_path: Path
) -> None:
    delivery = Delivery(render, overwrite=True)
    send(delivery, scratch)
    moved = scratch.moved(render)
    assert isinstance(moved, RenderJob)
    Path(moved.output.directory).mkdir(parents=True)
    (Path(moved.output.directory) / "wave.mp4").write_bytes(b"a video")
    elsewhere = tmp_path / "mine.mp4"
    elsewhere.write_bytes(b"mine")
    (tmp_path / "out" / "a" / "wave.mp4").symlink_to(elsewhere)
    with pytest.raises(OutputError, match=r"wave\.mp4 has come or changed"):
        bring(delivery, scratch)
    assert elsewhere.read_bytes() == b"mine"
    delivery.close()


@pytest.mark.parametrize("name", ["/etc/marionext", "{place}/../../other.png"])
def test_a_worker_writes_nothing_but_results(render: RenderJob, name: str, tmp_path: Path) -> None:
    delivery = Delivery(render, overwrite=False)
    with pytest.raises(OutputError, match="no result of its job"):
        delivery.bring({name.format(place=delivery.place): 1}, (), lambda _path, _at: b"x")
    assert not (tmp_path / "other.png").exists()
    with pytest.raises(OutputError, match="came cut off"):
        delivery.bring({str(delivery.place / "a.png"): 5}, (), lambda _path, at: b"x"[at:])
    assert not (delivery.place / "a.png").exists()
    delivery.close()


def test_results_that_stand_in_the_way_and_busy_folders_are_refused_before_anything_is_sent(
    render: RenderJob, tmp_path: Path
) -> None:
    held = Delivery(render, overwrite=False)
    with pytest.raises(OutputError, match="in use by another run"):
        Delivery(render, overwrite=False)
    held.close()
    (tmp_path / "out" / "a" / "wave.mp4").write_bytes(b"mine")
    with pytest.raises(OutputError, match="is no result of this render"):
        Delivery(render, overwrite=False)
    take: Job = TakeJob(directory=str(tmp_path))
    with pytest.raises(SettingsError, match="a change of takes"):
        Delivery(take, overwrite=False)


def test_what_a_killed_worker_left_is_swept_up_by_the_next_one_and_nothing_else(
    tmp_path: Path, scratch: Scratch
) -> None:
    place = tmp_path / "there"
    left = place / "marionext-ray-left"
    left.mkdir()
    (left / ".marionext.lock").write_bytes(b"")
    strange = place / "marionext-ray-link"
    strange.symlink_to(tmp_path)
    mine = place / "other"
    mine.mkdir()
    before = set(place.iterdir())
    Scratch().remove()
    assert before - set(place.iterdir()) == {left}, "that of a worker at work stays, too"
    assert (tmp_path / "there").is_dir()
    assert os.path.lexists(strange)


def test_a_track_and_its_findings_come_back_to_two_places(
    tmp_path: Path, track_file: Path, scratch: Scratch
) -> None:
    from marionext.jobs import MotionSource

    job = TrackJob(
        motion=MotionSource(path=str(track_file)),
        output=str(tmp_path / "made" / "clean.npz"),
        findings=str(tmp_path / "told" / "findings.json"),
    )
    delivery = Delivery(job, overwrite=False)
    send(delivery, scratch)
    moved = scratch.moved(job)
    assert isinstance(moved, TrackJob)
    assert moved.findings is not None
    for path, content in ((moved.output, b"track"), (moved.findings, b"[]")):
        Path(path).parent.mkdir()
        Path(path).write_bytes(content)
    for place in delivery.places:
        made, gone = scratch.results(str(place))
        delivery.bring(made, gone, lambda path, at: scratch.read(path, at, 7))
    assert Path(job.output).read_bytes() == b"track"
    assert (tmp_path / "told" / "findings.json").read_bytes() == b"[]"


def test_without_ray_the_line_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = {"ray": None}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    with pytest.raises(DeviceError, match="Ray is not installed") as told:
        Cluster("10.0.0.1:6379")
    assert told.value.hint is not None
    assert 'pip install "marionext[farm]"' in told.value.hint
