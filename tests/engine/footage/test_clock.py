"""One clock: whatever is wrong with the beginning of a file, its frames stay where they belong."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from marionext.errors import MotionError
from marionext.footage import Shown, probe, read_frames, scan
from marionext.frames import FrameRate

RATE = Fraction(25)
COUNT = 48
GOP = 12


@pytest.fixture(scope="module")
def closed(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 numbered frames with a key frame at every twelfth."""
    path = tmp_path_factory.mktemp("closed") / "closed.mp4"
    options = {"g": str(GOP), "bf": "0", "sc_threshold": "0"}
    return clips.write(path, clips.numbered(COUNT), rate=RATE, options=options)


@pytest.fixture(scope="module")
def open_gop(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, with frames before each key frame in time that need the ones before it."""
    path = tmp_path_factory.mktemp("open") / "open.mp4"
    options = {"x264-params": f"open-gop=1:keyint={GOP}:bframes=2:b-adapt=0:scenecut=0"}
    return clips.write(path, clips.numbered(COUNT), rate=RATE, options=options)


def without_start(source: Path, path: Path, packets: int) -> Path:
    """Copy a video but for its first packets."""
    with av.open(str(source)) as reading, av.open(str(path), "w") as writing:
        stream = reading.streams.video[0]
        copy = writing.add_stream_from_template(stream)
        for number, packet in enumerate(reading.demux(stream)):
            if number >= packets and packet.size:
                packet.stream = copy
                writing.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mp4"])
@pytest.mark.parametrize("dropped", [1, 7])
def test_frames_of_a_video_cut_between_key_frames_stay_in_their_places(
    closed: Path, clips: Any, tmp_path: Path, suffix: str, dropped: int
) -> None:
    path = without_start(closed, tmp_path / f"cut{suffix}", dropped)
    info = probe(path)
    assert (info.frames, info.source_frames) == (COUNT - dropped, COUNT - dropped)
    assert info.held == GOP - dropped
    assert f"first {GOP - dropped} frames" in info.warnings[0]
    frames = list(read_frames(path))
    assert frames[0].index == info.held
    for frame in frames:
        assert clips.number_in(frame.picture, COUNT) == frame.index + dropped
        assert abs(frame.time - frame.index / RATE) <= Fraction(1, 1000)
        assert info.time_of(frame) == frame.index / RATE
    shown = Shown(path, info)
    for index in (40, 3, 0, 20, info.held, COUNT - dropped - 1):
        number = max(index, info.held) + dropped
        assert clips.number_in(shown.picture(index), COUNT) == number


def test_frames_that_lead_an_open_gop_are_counted(
    open_gop: Path, clips: Any, tmp_path: Path
) -> None:
    # Two frames come before the second key frame in time, and after it in the file.
    path = without_start(open_gop, tmp_path / "open.mkv", GOP - 2)
    info, first = probe(path), next(read_frames(path))
    assert info.held == first.index > 0
    assert abs(first.time - first.index / RATE) <= Fraction(1, 1000)
    whole = [clips.number_in(frame.picture, COUNT) for frame in read_frames(path)]
    assert whole[0] - first.index == COUNT - info.frames
    assert whole == list(range(whole[0], COUNT))


def test_a_damaged_start_is_held_and_damage_inside_moves_nothing(
    closed: Path, clips: Any, tmp_path: Path
) -> None:
    content = bytearray(closed.read_bytes())
    with av.open(str(closed)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in (0, 2 * GOP):  # key frames: what follows up to the next one is lost
        at, size = places[number]
        content[at : at + size] = bytes(size)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content)
    info = probe(path)
    assert (info.frames, info.held) == (COUNT, GOP)
    said: list[str] = []
    for frame in read_frames(path, say=said.append):
        assert frame.time == frame.index / RATE
        if frame.index < 2 * GOP or frame.index >= 3 * GOP:
            assert clips.number_in(frame.picture, COUNT) == frame.index
    assert all("damaged" in sentence for sentence in said)


@pytest.mark.parametrize("name", ["late.mkv", "late.webm", "live.mkv", "late.mp4", "pieces.mp4"])
def test_a_piece_whose_time_starts_late_is_whole(
    closed: Path, clips: Any, tmp_path: Path, name: str
) -> None:
    options = {
        "late.webm": ["-c:v", "libvpx"],
        "live.mkv": ["-c", "copy", "-live", 1],
        "pieces.mp4": ["-c", "copy", "-movflags", "frag_keyframe+empty_moov"],
    }
    path = tmp_path / name
    clips.ffmpeg("-i", closed, *options.get(name, ["-c", "copy"]), "-output_ts_offset", 7, path)
    info = probe(path)
    assert (info.frames, info.rate.fraction, info.held) == (COUNT, RATE, 0)
    assert [frame.index for frame in read_frames(path)] == list(range(COUNT))
    if name.endswith("mkv"):
        torn = tmp_path / "torn.mkv"
        torn.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if name.startswith("late"):
            with pytest.raises(MotionError, match="broken off"):
                probe(torn)


def test_what_is_hidden_counts_for_nothing(clips: Any, tmp_path: Path) -> None:
    path = tmp_path / "hidden.webm"
    clips.write(tmp_path / "in.mp4", clips.numbered(COUNT), rate=RATE)
    clips.ffmpeg(
        *("-i", tmp_path / "in.mp4", "-c:v", "libvpx", "-auto-alt-ref", 1),
        *("-lag-in-frames", 16, "-b:v", "200k", path),
    )
    info = probe(path)
    assert (info.frames, info.rate.fraction, info.variable_rate) == (COUNT, RATE, False)
    assert [frame.index for frame in read_frames(path)] == list(range(COUNT))


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("rate", ["14", "16", "30", "18", "25/2", "24000/1001"])
def test_short_clips_have_the_rate_they_were_made_at(
    clips: Any, tmp_path: Path, suffix: str, count: int, rate: str
) -> None:
    path = tmp_path / f"short{suffix}"
    clips.write(path, clips.numbered(count), rate=Fraction(rate), codec="mpeg4")
    info = probe(path)
    assert (info.rate.fraction, info.frames, info.variable_rate) == (Fraction(rate), count, False)
    assert info.notes == (f"{path.name}: {rate} frames/s, {count} frames",)


def test_a_declared_rate_takes_the_frames_as_they_are(closed: Path, clips: Any) -> None:
    info = probe(closed, declared=FrameRate(Fraction(16)))
    assert (info.frames, info.rate.fraction, info.variable_rate) == (COUNT, 16, False)
    said = "closed.mp4: 16 frames/s, as declared; its own time stamps say 25 frames/s"
    assert info.notes == (said,)
    frame = next(read_frames(closed, only=range(8, 9)))
    assert info.time_of(frame) == Fraction(1, 2)


def test_a_declared_rate_straightens_uneven_time_stamps(clips: Any, tmp_path: Path) -> None:
    path = tmp_path / "uneven.mp4"
    stamps = [0, 33, 66, 180, 200, 260]
    clips.write(path, clips.numbered(6), stamps=stamps, time_base=Fraction(1, 1000))
    assert probe(path).variable_rate
    info = probe(path, declared=FrameRate(Fraction(12)))
    assert (info.frames, info.variable_rate) == (6, False)
    assert "its own time stamps say variable" in info.notes[0]


def test_the_clock_is_that_of_the_first_packet(closed: Path, tmp_path: Path) -> None:
    path = without_start(closed, tmp_path / "cut.ts", 5)
    assert scan(path).origin == probe(path).start
    assert np.isclose(float(scan(path).times[1]), float(1 / RATE))
