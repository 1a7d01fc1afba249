"""The whole way without a window: import, capture, edit, render in the queue, export."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from pytestqt.qtbot import QtBot
from tests.desktop.conftest import waving
from tests.desktop.media import write_clicks

from marionext.frames import FrameRange
from marionext.pose.formats import write_track
from marionext.protocol import Failed, Finished
from marionext_desktop.engine import Engine
from marionext_desktop.engine.capturing import Captures
from marionext_desktop.model import editing, posing, rendering, takes
from marionext_desktop.model.document import Document
from marionext_desktop.model.exporting import (
    export_job,
    export_otio,
    export_poses,
    exported_pictures,
)
from marionext_desktop.model.importing import look_at
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Project
from marionext_desktop.model.queue import RenderQueue
from marionext_desktop.model.sound import write_mix

Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def wait(qtbot: QtBot) -> Wait:
    return lambda until: qtbot.waitUntil(until, timeout=120_000)


@pytest.mark.slow
def test_a_motion_becomes_a_video(tmp_path: Path, hero: Path, wait: Wait, qtbot: QtBot) -> None:
    write_track(waving(24), tmp_path / "wave.npz")
    document, engine = Document(), Engine()
    poses = Poses(document, folder=tmp_path / "tracks")
    captures = Captures(document, poses, engine)
    queue = RenderQueue(folder=tmp_path / "queue", engine=["--device", "cpu"])
    try:
        found, person = look_at(str(tmp_path / "wave.npz")), look_at(str(hero))
        assert found.source is not None
        assert person.character is not None
        project = editing.add_source(Project(), found.source)
        project = replace(project, characters=(person.character,))
        project = editing.append(project, editing.whole_clip(project, found.source.id))
        document.do("Import", project)

        captures.start(found.source)
        wait(lambda: captures.state(document.project.sources[0]).stage == "ready")
        wait(lambda: poses.keypoints(document.project.clips[0]) is not None)

        clip = document.project.clips[0]
        keypoints = poses.keypoints(clip)
        assert keypoints is not None
        document.do(
            "Drag",
            posing.drag(document.project, clip.id, 0, 8, {4: (20.0, 40.0)}, keypoints, fade=(2, 2)),
        )
        document.do("Mark", editing.set_mark_in(document.project, 4))
        document.do("Mark", editing.set_mark_out(document.project, 15))
        span = document.project.span
        assert span == FrameRange(4, 16)
        track = poses.sequence_track(span)
        assert track is not None
        assert track.points[4, 0, 4].tolist() == pytest.approx([20.0, 40.0], abs=0.01)

        take = rendering.new_take(
            document.project, tmp_path / "takes", span, created=1.0, draft=True
        )
        prepared = rendering.prepare_render(document.project, take, track)
        numbers: list[int] = []
        queue.add([prepared.job_file], numbers.extend)
        wait(lambda: bool(numbers))
        wait(lambda: (i := queue.state.item(numbers[0])) is not None and i.entry.state == "done")
        item = queue.state.item(numbers[0])
        assert item is not None
        assert item.frames == tuple(range(4, 16))
        take = replace(take, status="done", entry=numbers[0])
        document.amend(lambda p: replace(p, takes=(*p.takes, take)))
        assert all(takes.frame_file(take, frame).is_file() for frame in range(4, 16))
        assert not takes.is_stale(document.project, take)

        music = look_at(str(write_clicks(tmp_path / "clicks.wav", 3.0))).source
        assert music is not None
        project = editing.add_source(document.project, music)
        document.do("Music", editing.append(project, editing.whole_clip(project, music.id)))
        files = {music.id: str(tmp_path / "clicks.pcm")}
        mix = write_mix(document.project, span, files, str(tmp_path / "mix.wav"))
        assert mix is not None
        pictures = exported_pictures(document.project, span)
        job = export_job(document.project, pictures, tmp_path / "out.mp4", "mp4", sound=Path(mix))
        ended: list[Finished | Failed] = []
        task = engine.run(job, "Export")
        task.finished.connect(ended.append)
        task.failed.connect(ended.append)
        wait(lambda: bool(ended))
        assert isinstance(ended[0], Finished), ended[0]
        with av.open(str(tmp_path / "out.mp4")) as video:
            stream = video.streams.video[0]
            assert sum(1 for _ in video.decode(stream)) == 12
            assert stream.average_rate == Fraction(24)
        with av.open(str(tmp_path / "out.mp4")) as video:
            heard = sum(frame.samples for frame in video.decode(video.streams.audio[0]))
        assert heard == pytest.approx(48_000 * 12 / 24, abs=2048)
        for form in ("gif", "png"):
            job = export_job(document.project, pictures, tmp_path / form, form, sound=Path(mix))
            done: list[Finished | Failed] = []
            task = engine.run(job, "Export")
            task.finished.connect(done.append)
            task.failed.connect(done.append)
            wait(lambda done=done: bool(done))
            assert isinstance(done[0], Finished), done[0]
        assert len(list((tmp_path / "png").glob("*.png"))) == 12
        assert (tmp_path / "png" / "000001.png").is_file()
        export_otio(document.project, tmp_path / "cut.otio")
        assert '"Clip.' in (tmp_path / "cut.otio").read_text()
        export_poses(track, tmp_path / "poses")
        assert len(list((tmp_path / "poses").glob("*.json"))) == 12

        # An edit within the range makes the take one of before; another range is none of it.
        keypoints = poses.keypoints(document.project.clips[0])
        assert keypoints is not None
        late = posing.drag(document.project, clip.id, 0, 22, {4: (1.0, 1.0)}, keypoints)
        assert not takes.is_stale(late, take)
        changed = posing.drag(document.project, clip.id, 0, 10, {7: (80.0, 30.0)}, keypoints)
        assert takes.is_stale(changed, take)

        # The part that has changed is made anew, joined to the rest.
        document.do("Drag", changed)
        part = FrameRange(9, 12)
        again = replace(take, id="again", span=part, part=1, poses="")
        new = poses.sequence_track(part)
        assert new is not None
        joined = rendering.joined_job(take, again, new)
        more: list[int] = []
        queue.add([joined.job_file], more.extend)
        wait(lambda: bool(more))
        wait(lambda: (i := queue.state.item(more[0])) is not None and i.entry.state == "done")
        for frame in range(9, 12):
            assert takes.frame_file(again, frame).is_file()
        assert takes.frame_file(again, 10).read_bytes() != takes.frame_file(take, 10).read_bytes()
        assert "takes/000" in str(takes.frame_file(take, 10))
    finally:
        queue.close(keep_working=False)
        engine.close()
        poses.close()
