"""What is learned from: folders of videos, their poses, and what is left out of them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from marionext import footage
from marionext.errors import MotionError, SettingsError
from marionext.frames import FrameRate
from marionext.output import Pictures, encode_video
from marionext.pose import PoseTrack
from marionext.pose.formats import read_track, write_track
from marionext.protocol import Log
from marionext.training.finetune.batches import Drawing, region_weights
from marionext.training.finetune.clip_list import ClipEntry, find_clips
from marionext.training.finetune.encoding import open_encoded
from marionext.training.finetune.recordings import open_recording
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.reports import Report, TrainingReporter

Trainer = Callable[..., Path]
VideoMaker = Callable[..., Path]

REPOSITORY = Path(__file__).resolve().parents[4]


def record_of(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "data.json").read_text())
    return record


def opened(folder: Path, name: str, size: tuple[int, int] = (32, 48), **entry: Any) -> Any:
    return open_recording(
        folder,
        ClipEntry(video=name, **entry),
        size,
        spare=folder / "spare",
        on_progress=lambda _done, _total: None,
    )


def test_bad_clips_are_told_of_and_left_out(
    tmp_path: Path, run_training: Trainer, make_video: VideoMaker, reports: list[Report]
) -> None:
    data = tmp_path / "data"
    good = make_video(data / "good.mp4")
    make_video(data / "more" / "also good.mp4")
    (data / "broken.mp4").write_bytes(good.read_bytes()[:500])
    (data / "empty.mp4").write_bytes(b"")
    (data / "notes.txt").write_text("no video")
    make_video(data / "short.mp4", 1)
    # The poses of another picture, and of a part of the frames.
    wide = make_video(data / "wide.mp4", size=(96, 64), poses=False)
    write_track(read_track(good.with_suffix(".pose.npz")), wide.with_suffix(".pose.npz"))
    longer = make_video(data / "longer.mp4", 10, poses=False)
    write_track(read_track(good.with_suffix(".pose.npz")), longer.with_suffix(".pose.npz"))
    make_video(data / "unseen.mp4", poses=False)
    nobody = read_track(good.with_suffix(".pose.npz"))
    write_track(nobody.with_(scores=np.zeros_like(nobody.scores)), data / "unseen.pose.npz")
    run_training(
        tmp_path / "out", 1, run={"data": str(data)}, report=TrainingReporter(reports.append)
    )
    record = record_of(tmp_path / "out")
    assert [clip["name"] for clip in record["learned"]] == ["good.mp4", "more/also good.mp4"]
    reasons = {clip["name"]: clip["reason"] for clip in record["skipped"]}
    assert set(reasons) == {
        "broken.mp4", "empty.mp4", "longer.mp4", "short.mp4", "unseen.mp4", "wide.mp4",
    }  # fmt: skip
    assert "another picture: expected 96x64" in reasons["wide.mp4"]
    assert "9-10 are missing" in reasons["longer.mp4"]
    assert "at least 2 frames" in reasons["short.mp4"]
    assert "nobody is seen" in reasons["unseen.mp4"]
    warned = [
        event.text for event in reports if isinstance(event, Log) and event.level == "warning"
    ]
    for name in reasons:
        assert any(text.startswith(f"{name} is left out") for text in warned)


def test_a_folder_of_nothing_but_bad_clips_is_refused(
    tmp_path: Path, run_training: Trainer
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.mp4").write_bytes(b"no video")
    (data / "b.mp4").write_bytes(b"no video")
    with pytest.raises(MotionError, match=r"none of the clips .* a.mp4.*and 1 more"):
        run_training(tmp_path / "out", 1, run={"data": str(data)})


def test_a_list_chooses_clips_frames_and_what_is_held_out(
    tmp_path: Path, run_training: Trainer, make_video: VideoMaker
) -> None:
    data = tmp_path / "data"
    make_video(data / "one.mp4", 12)
    make_video(data / "two.mp4", 6)
    make_video(data / "left alone.mp4", 6)
    clips = [{"video": "one.mp4", "frames": "3-10"}, {"video": "two.mp4", "held_out": True}]
    (data / "manifest.json").write_text(json.dumps({"clips": clips}))
    run_training(tmp_path / "out", 1, run={"data": str(data)})
    record = record_of(tmp_path / "out")
    assert record["learned"] == [{"name": "one.mp4", "frames": 8, "windows": 7}]
    assert [clip["name"] for clip in record["held_out"]] == ["two.mp4"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read as JSON"),
        ('{"clips": [{"vidoe": "a.mp4"}]}', "unknown key 'vidoe'"),
        ('{"clips": []}', "found none"),
    ],
)
def test_a_wrong_list_is_an_error_that_says_where(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises((SettingsError, MotionError), match=words):
        find_clips(tmp_path)


def test_control_pictures_of_ones_own_take_the_poses_place(
    tmp_path: Path, run_training: Trainer, make_video: VideoMaker
) -> None:
    data = tmp_path / "data"
    make_video(data / "dance.mp4", 6, poses=False)
    make_video(data / "dance.control.mp4", 6, poses=False)
    assert [clip.control for clip in find_clips(data)] == ["dance.control.mp4"]
    run_training(tmp_path / "out", 2, run={"data": str(data)}, control="fresh")
    path = next((tmp_path / "out" / "encoded").glob("*.safetensors"))
    clip = open_encoded(path)
    assert clip.ready_made
    picture = clip.control(3, None)  # type: ignore[arg-type]  # nothing is drawn
    assert picture.shape == (48, 32, 3)
    assert picture.std() > 10


def test_what_is_encoded_is_not_encoded_again(
    tmp_path: Path, run_training: Trainer, make_video: VideoMaker
) -> None:
    data = tmp_path / "data"
    make_video(data / "a.mp4")
    video = make_video(data / "b.mp4")
    run_training(tmp_path / "out", 1, run={"data": str(data)})
    folder = tmp_path / "out" / "encoded"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    make_video(video, 7)
    run_training(tmp_path / "out", 2, run={"data": str(data), "resume": True})
    after = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(before) == 2
    assert len(after) == 3
    assert all(after[name] == moment for name, moment in before.items())


def test_a_wide_video_is_cut_around_the_person(tmp_path: Path) -> None:
    rate = FrameRate.parse("10")
    frames = np.zeros((4, 64, 160, 3), np.uint8)
    frames[:, :, 120:150] = 255
    encode_video(Pictures(4, lambda index: frames[index]), rate, tmp_path / "wide.mp4")
    points = np.zeros((4, 1, 134, 2), np.float32)
    points[:, :, :18] = (135, 32)
    scores = np.zeros((4, 1, 134), np.float32)
    scores[:, :, :18] = 1
    track = PoseTrack(points=points, scores=scores, size=(160, 64), rate=rate, first=1)
    write_track(track, tmp_path / "wide.npz")
    recording = opened(tmp_path, "wide.mp4", (32, 64))
    picture = next(recording.pictures())
    assert picture.shape == (64, 32, 3)
    assert picture.mean() > 220
    assert recording.points[0, 0, 0].tolist() == pytest.approx([16, 32])


def test_frames_and_poses_belong_together(tmp_path: Path, make_video: VideoMaker) -> None:
    make_video(tmp_path / "dance.mp4", 9)
    whole = opened(tmp_path, "dance.mp4")
    part = opened(tmp_path, "dance.mp4", frames="4-7")
    assert (part.first, part.count) == (4, 4)
    assert np.array_equal(part.points, whole.points[3:7])
    for mine, theirs in zip(part.pictures(), list(whole.pictures())[3:7], strict=True):
        assert np.array_equal(mine, theirs)
    with pytest.raises(MotionError, match="the video has 1-9"):
        opened(tmp_path, "dance.mp4", frames="4-10")


def test_a_video_of_uneven_rate_gives_the_frame_nearest_to_each_tick(
    tmp_path: Path, make_video: VideoMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_video(tmp_path / "dance.mp4", 6)
    times = [Fraction(0), Fraction(1, 12), Fraction(1, 3), Fraction(3, 8), Fraction(5, 12)]
    pictures = [np.full((96, 64, 3), 40 * number, np.uint8) for number in range(5)]

    def uneven(_path: Path) -> Iterator[footage.VideoFrame]:
        for index, (time, picture) in enumerate(zip(times, pictures, strict=True)):
            yield footage.VideoFrame(index, time, picture)

    monkeypatch.setattr(footage, "read_frames", uneven)
    recording = opened(tmp_path, "dance.mp4")
    shown = [int(picture[0, 0, 0]) // 40 for picture in recording.pictures()]
    assert shown == [0, 1, 1, 2, 2, 4]


def test_hands_and_faces_weigh_more(settings: FinetuneSettings) -> None:
    settings = replace(settings, width=64, height=64, hand_weight=5.0, face_weight=3.0)
    points = np.zeros((1, 134, 2), np.float32)
    scores = np.zeros((1, 134), np.float32)
    points[0, 92:113], scores[0, 92:113] = (12, 52), 1.0
    points[0, 24:92], scores[0, 24:92] = (44, 12), 1.0
    points[0, 113:134], scores[0, 113:134] = (30, 30), 0.1
    weights = region_weights(points, scores, settings, (8, 8))
    assert weights[6, 1] == 5
    assert weights[1, 5] == 3
    assert weights[3, 3] == 1
    assert weights.mean() < 1.5


def test_a_sample_depends_on_its_number_alone(
    tmp_path: Path, run_training: Trainer, settings: FinetuneSettings
) -> None:
    run_training(tmp_path, 1)
    paths = sorted((tmp_path / "encoded").glob("*.safetensors"))
    clips = tuple(open_encoded(path) for path in paths)
    together = Drawing(clips, settings).batch(4, 3)
    apart = Drawing(clips, settings)
    for place, number in ((2, 6), (0, 4), (1, 5)):
        alone = apart.batch(number, 1)
        for name in ("latents", "noise", "sigmas", "maps", "references", "weights", "kept"):
            assert torch.equal(getattr(alone, name)[0], getattr(together, name)[place]), name
        assert alone.names[0] == together.names[place]
    assert len({sigma.item() for sigma in together.sigmas}) == 3


def test_some_windows_look_like_later_ones(
    tmp_path: Path, run_training: Trainer, settings: FinetuneSettings
) -> None:
    run_training(tmp_path, 1)
    clips = tuple(open_encoded(path) for path in (tmp_path / "encoded").glob("*.safetensors"))
    later = Drawing(clips, replace(settings, later=0.999)).batch(0, 1)
    assert torch.equal(later.latents[0, 0], later.latents[0, 1])
    assert not later.weights[0, 0].any()
    assert later.weights[0, 1].any()
    usual = Drawing(clips, replace(settings, later=0.0)).batch(0, 1)
    assert not torch.equal(usual.latents[0, 0], usual.latents[0, 1])


def test_latents_are_those_of_the_pictures(
    tmp_path: Path, run_training: Trainer, tiny_folder: Path, make_video: VideoMaker
) -> None:
    from marionext.backends.svd.loading import NetworkFiles

    make_video(tmp_path / "data" / "dance.mp4")
    run_training(tmp_path / "out", 1, run={"data": str(tmp_path / "data")})
    encoded = load_file(next((tmp_path / "out" / "encoded").glob("*.safetensors")))
    pictures = list(opened(tmp_path / "data", "dance.mp4").pictures())
    pixels = torch.from_numpy(pictures[5]).permute(2, 0, 1)[None].float() / 127.5 - 1
    vae = NetworkFiles(tiny_folder, torch.float32).vae()
    with torch.no_grad():
        latents = vae.encode(pixels).latent_dist.mode()[0]
    assert torch.allclose(encoded["latents"][5], latents, atol=1e-5)


@pytest.mark.media
@pytest.mark.slow
def test_poses_that_are_not_there_are_detected_and_kept(
    tmp_path: Path, run_training: Trainer
) -> None:
    source = REPOSITORY.parent / "shared" / "media" / "dance_02.mp4"
    if not source.is_file():
        pytest.skip("needs a dance video")
    data = tmp_path / "data"
    data.mkdir()
    frames = [frame.picture for frame in footage.read_frames(source, longest=480, only=range(8))]
    encode_video(Pictures(len(frames), lambda index: frames[index]), FrameRate.parse("30"),
                 data / "dance.mp4")  # fmt: skip
    run_training(tmp_path / "out", 1, run={"data": str(data)})
    track = read_track(data / "dance.pose.npz")
    assert len(track) == len(frames)
    assert (track.scores[:, 0, :18] > 0.3).sum() > 8 * len(frames)
