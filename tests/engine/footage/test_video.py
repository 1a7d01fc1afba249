import gc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from marionext.errors import JobCancelled, MotionError
from marionext.footage import Shown, probe, read_frames

RATE = Fraction(30000, 1001)
COUNT = 48


@pytest.fixture(scope="module")
def steady(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 numbered frames at 29.97 frames/s, with B-frames."""
    path = tmp_path_factory.mktemp("steady") / "steady.mp4"
    return clips.write(path, clips.numbered(COUNT), rate=RATE)


@pytest.mark.parametrize("name", ["clip.mkv", "clip.webm", "clip.mov", "clip.avi", "clip.ts"])
def test_every_frame_comes_once_in_order_at_the_exact_rate(
    name: str, steady: Path, clips: Any, tmp_path: Path
) -> None:
    codec = {"clip.webm": ["-c:v", "libvpx"], "clip.avi": ["-c:v", "mpeg4", "-q:v", "2"]}
    path = tmp_path / name
    clips.ffmpeg("-i", steady, *codec.get(name, []), path)
    info = probe(path)
    assert info.rate.fraction == RATE
    assert info.frames == info.source_frames == COUNT
    assert info.duration == COUNT / RATE
    assert not info.variable_rate
    frames = list(read_frames(path))
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert [clips.number_in(frame.picture, COUNT) for frame in frames] == list(range(COUNT))
    assert all(abs(frame.time - frame.index / RATE) <= Fraction(2, 1000) for frame in frames)


def test_the_frames_asked_for_are_those_that_come(steady: Path, clips: Any) -> None:
    frames = list(read_frames(steady, only=range(5, 40, 7)))
    assert [frame.index for frame in frames] == [5, 12, 19, 26, 33]
    assert [clips.number_in(frame.picture, COUNT) for frame in frames] == [5, 12, 19, 26, 33]


def test_frames_are_reduced_but_never_enlarged(steady: Path) -> None:
    info = probe(steady)
    assert info.size == (96, 64)
    assert info.fitted(48) == (48, 32)
    assert info.fitted(500) == (96, 64)
    assert next(read_frames(steady, longest=48)).picture.shape == (32, 48, 3)
    assert next(read_frames(steady, longest=500)).picture.shape == (64, 96, 3)


@pytest.mark.parametrize(("turn", "corner"), [(90, (-1, 0)), (180, (-1, -1)), (270, (0, -1))])
def test_rotated_telephone_videos_stand_upright(
    turn: int, corner: tuple[int, int], steady: Path, clips: Any, tmp_path: Path
) -> None:
    path = tmp_path / "rotated.mp4"
    clips.ffmpeg("-display_rotation", turn, "-i", steady, "-c", "copy", path)
    picture = next(read_frames(path)).picture
    width, height = (64, 96) if turn != 180 else (96, 64)
    assert probe(path).size == (width, height)
    assert picture.shape == (height, width, 3)
    row, column = (4 if side == 0 else -5 for side in corner)
    assert picture[row, column, 0] > 180
    assert picture[row, column, 1] < 90

    upright = tmp_path / "upright.png"
    clips.ffmpeg("-i", path, "-frames:v", 1, upright)
    difference = np.abs(np.asarray(Image.open(upright)).astype(int) - picture)
    assert np.median(difference) <= 3


def test_pixels_that_are_not_square_are_made_square(
    steady: Path, clips: Any, tmp_path: Path
) -> None:
    path = tmp_path / "anamorphic.mp4"
    clips.ffmpeg("-i", steady, "-vf", "setsar=4/3", path)
    assert probe(path).size == (128, 64)
    assert next(read_frames(path)).picture.shape == (64, 128, 3)


def test_a_variable_rate_is_recognised_and_its_times_are_exact(clips: Any, tmp_path: Path) -> None:
    stamps = [0]
    for step in [33, 34, 33, 66, 33, 34, 100, 33, 33, 34] * 3:
        stamps.append(stamps[-1] + step)
    path = tmp_path / "telephone.mp4"
    clips.write(path, clips.numbered(31), stamps=stamps, time_base=Fraction(1, 1000))
    info = probe(path)
    assert info.variable_rate
    assert info.rate.fraction == 30
    assert info.source_frames == 31
    assert info.frames in (39, 40)
    frames = list(read_frames(path))
    assert [clips.number_in(frame.picture, 31) for frame in frames] == list(range(31))
    assert all(
        abs(frame.time - Fraction(stamp, 1000)) <= Fraction(1, 1000)
        for frame, stamp in zip(frames, stamps, strict=True)
    )


def test_sound_and_single_frames_are_told(clips: Any, steady: Path, tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    clips.ffmpeg("-i", steady, "-f", "lavfi", "-i", "sine=d=1.6", "-c:v", "copy", path)
    assert probe(path).has_audio
    assert not probe(steady).has_audio
    single = clips.write(tmp_path / "single.mp4", clips.numbered(1), rate=Fraction(24))
    info = probe(single)
    assert (info.frames, info.rate.fraction) == (1, 24)
    assert len(list(read_frames(single))) == 1


def test_times_start_at_0_wherever_the_files_clock_does(
    clips: Any, steady: Path, tmp_path: Path
) -> None:
    path = tmp_path / "late.ts"
    clips.ffmpeg("-i", steady, path)
    assert probe(path).start > 1
    frames = list(read_frames(path))
    assert frames[0].time == 0
    assert all(later.time > earlier.time for earlier, later in pairwise(frames))


def test_reading_stops_when_it_is_cancelled(steady: Path) -> None:
    polls = iter([False] * 20 + [True] * COUNT)
    frames = read_frames(steady, cancelled=lambda: next(polls))
    assert next(frames).index == 0
    with pytest.raises(JobCancelled):
        list(frames)


def bad_files(clips: Any, steady: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    empty = folder / "empty.mp4"
    empty.touch()
    text = folder / "text.mp4"
    text.write_text("not a video at all\n" * 50)
    ansi = folder / "notes.nfo"
    ansi.write_text("not a video at all\n" * 50)
    sound = folder / "sound.m4a"
    clips.ffmpeg("-f", "lavfi", "-i", "sine=d=1", sound)
    cover, album = folder / "cover.png", folder / "album.mp3"
    Image.new("RGB", (32, 32)).save(cover)
    clips.ffmpeg("-i", sound, "-i", cover, "-map", 0, "-map", 1, "-disposition:v",
                 "attached_pic", "-c:v", "png", "-c:a", "libmp3lame", album)  # fmt: skip
    headless = folder / "headless.mp4"
    headless.write_bytes(steady.read_bytes()[: steady.stat().st_size // 2])
    streamed, broken = folder / "streamed.mp4", folder / "broken.mp4"
    clips.ffmpeg("-i", steady, "-c", "copy", "-movflags", "+faststart", streamed)
    broken.write_bytes(streamed.read_bytes()[: 2 * streamed.stat().st_size // 3])
    matroska, torn = folder / "whole.mkv", folder / "torn.mkv"
    clips.ffmpeg("-i", steady, "-c", "copy", matroska)
    torn.write_bytes(matroska.read_bytes()[: matroska.stat().st_size // 2])
    return {
        "missing": (folder / "missing.mp4", "there is no video"),
        "folder": (folder, "is a folder"),
        "empty": (empty, "empty"),
        "text": (text, "no video that can be read"),
        "ansi": (ansi, "no"),
        "sound": (sound, "holds audio only"),
        "album": (album, "holds audio only"),
        "headless": (headless, "broken off"),
        "broken": (broken, "broken off: it holds"),
        "torn": (torn, "broken off: it holds"),
    }


def test_what_is_no_whole_video_is_refused_with_what_was_found(
    clips: Any, steady: Path, tmp_path: Path
) -> None:
    for case, (path, words) in bad_files(clips, steady, tmp_path).items():
        with pytest.raises(MotionError, match=words) as failure:
            probe(path)
        assert path.name in str(failure.value), case


def test_a_video_without_a_frame_is_refused(clips: Any, steady: Path, tmp_path: Path) -> None:
    path = tmp_path / "none.mkv"
    clips.ffmpeg("-i", steady, "-c", "copy", "-frames:v", 0, path)
    with pytest.raises(MotionError):
        probe(path)


def test_a_damaged_packet_costs_its_frames_only(clips: Any, steady: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.mp4"
    clips.ffmpeg("-i", steady, "-c:v", "mpeg4", "-q:v", 2, "-g", 6, path)
    content = bytearray(path.read_bytes())
    middle = content.index(b"mdat") + 8000
    content[middle : middle + 400] = bytes(400)
    path.write_bytes(content)
    frames = list(read_frames(path))
    assert COUNT - 8 <= len(frames) <= COUNT
    assert probe(path).frames == COUNT


def test_what_was_decoded_goes_when_it_is_no_longer_held(clips: Any, tmp_path: Path) -> None:
    path = clips.write(tmp_path / "clip.mp4", clips.numbered(24))
    gc.collect()
    gc.disable()
    try:
        shown = Shown(path, probe(path))
        shown.picture(20)
        held = sum(type(each) is av.VideoFrame for each in gc.get_objects())
    finally:
        gc.enable()
    # A circle around each frame would keep a minute of 1080p in memory: six gigabytes.
    assert held < 12
