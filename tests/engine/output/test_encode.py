"""Videos are decoded again: count, rate, colours, and where the sound begins, to the sample."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from marionext.errors import JobCancelled, OutputError
from marionext.footage import probe, read_frames
from marionext.frames import FrameRate
from marionext.output import Pictures, Sound, VideoKind, encode_video, video_suffix, write_png

NTSC = FrameRate(Fraction(30000, 1001))
SIZE = (64, 48)
PALETTE = ((200, 40, 30), (30, 180, 60), (40, 60, 210), (220, 210, 40))


def flat(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Return a picture of one colour, with its number as a row of bright and dark blocks."""
    picture = np.full((size[1], size[0], 3), PALETTE[index % 4], np.uint8)
    for bit in range(8):
        picture[:8, bit * 8 : bit * 8 + 8] = 255 if index >> bit & 1 else 0
    return picture


def number_of(picture: np.ndarray) -> int:
    return sum(1 << bit for bit in range(8) if picture[2:6, bit * 8 + 2 : bit * 8 + 6].mean() > 127)


def clip(count: int) -> Pictures:
    return Pictures(count, flat)


def decode(path: Path) -> tuple[list[np.ndarray], list[Fraction], Fraction]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [frame.pts * Fraction(frame.time_base) for frame in frames]
        return [f.to_ndarray(format="rgb24") for f in frames], times, Fraction(stream.average_rate)


def hear(path: Path) -> tuple[np.ndarray, int, Fraction]:
    """Return the samples of the first channel from video time 0 on, and their rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        rate = stream.codec_context.sample_rate
        pieces: list[np.ndarray] = []
        first: Fraction | None = None
        for frame in container.decode(stream):
            if first is None:
                first = frame.pts * Fraction(frame.time_base)
            samples = frame.to_ndarray()
            plane = (
                samples[0] if frame.format.is_planar else samples[0, :: frame.layout.nb_channels]
            )
            scale = 1 if np.issubdtype(plane.dtype, np.floating) else np.iinfo(plane.dtype).max
            pieces.append(plane / scale)
    assert first is not None
    start = round(first * rate)
    whole = np.concatenate(pieces)
    whole = np.concatenate([np.zeros(max(start, 0)), whole[max(-start, 0) :]])
    return whole, rate, first


def beeps(seconds: float, rate: int, every: float = 0.5) -> np.ndarray:
    """Return silence with a burst of 1 kHz, 20 ms long, at 0.25 s and every so often after it."""
    time = np.arange(round(seconds * rate)) / rate
    inside = ((time - 0.25) % every < 0.02) & (time >= 0.25)
    return (0.8 * inside * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)


def onsets(samples: np.ndarray, rate: int) -> list[float]:
    """Return the seconds at which bursts begin."""
    loud = np.abs(samples) > 0.25
    places = np.flatnonzero(loud)
    return [
        place / rate
        for index, place in enumerate(places)
        if index == 0 or place - places[index - 1] > 0.1 * rate
    ]


def film(
    path: Path,
    *,
    frames: int = 60,
    rate: Fraction = NTSC.fraction,
    sound: float | None = 2.0,
    sample_rate: int = 44100,
    layout: str = "stereo",
    codec: str = "aac",
    video_delay: Fraction = Fraction(0),
    sound_delay: float = 0.0,
) -> Path:
    """Make a source video with beeps, the sound so many seconds long."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p"
        video.time_base = 1 / rate
        audio = None
        if sound is not None:
            audio = container.add_stream(codec, rate=sample_rate)
            audio.layout = layout
        for index in range(frames):
            frame = av.VideoFrame.from_ndarray(flat(index), format="rgb24")
            frame.pts = index + round(video_delay * rate)
            frame.time_base = 1 / rate
            for packet in video.encode(frame):
                container.mux(packet)
        for packet in video.encode():
            container.mux(packet)
        if audio is not None and sound is not None:
            mono = beeps(sound, sample_rate)
            channels = audio.layout.nb_channels
            for at in range(0, len(mono), 1024):
                block = np.repeat(mono[None, at : at + 1024], channels, axis=0)
                packed = audio.format.name in ("s16", "flt")
                if audio.format.name.startswith("s16"):
                    block = (block * 32767).astype(np.int16)
                if packed:
                    block = block.T.reshape(1, -1)
                sounding = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(block), format=audio.format.name, layout=layout
                )
                sounding.sample_rate = sample_rate
                sounding.pts = at + round(sound_delay * sample_rate)
                sounding.time_base = Fraction(1, sample_rate)
                for packet in audio.encode(sounding):
                    container.mux(packet)
            for packet in audio.encode():
                container.mux(packet)
    return path


@pytest.mark.parametrize("kind", ["mp4", "webm", "prores", "gif"])
@pytest.mark.parametrize("rate", [NTSC, FrameRate(Fraction(24))], ids=str)
def test_n_pictures_are_n_frames_in_order_at_the_rate(
    tmp_path: Path, kind: VideoKind, rate: FrameRate
) -> None:
    path = tmp_path / f"clip{video_suffix(kind)}"
    made = encode_video(clip(37), rate, path, kind=kind)
    frames, times, average = decode(path)
    assert [number_of(frame) for frame in frames] == list(range(37))
    assert made.size == SIZE
    assert made.sound == "none"
    tick = {"mp4": 0, "prores": 0, "webm": Fraction(1, 1000), "gif": Fraction(1, 100)}[kind]
    for index, time in enumerate(times):
        assert abs(time - rate.seconds(index)) <= tick
    if kind in ("mp4", "prores"):
        assert average == rate.fraction
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["mp4", "webm", "prores", "gif"])
def test_colours_come_back_as_they_were(tmp_path: Path, kind: VideoKind) -> None:
    path = tmp_path / f"clip{video_suffix(kind)}"
    encode_video(clip(4), NTSC, path, kind=kind)
    with av.open(str(path)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            shown = frame
            if kind != "gif":
                # 1 is BT.709 in the standard's table, 1 the limited range in FFmpeg's.
                assert (frame.colorspace, frame.color_range) == (1, 1)
                shown = frame.reformat(format="rgb24", src_colorspace="ITU709")
            seen = shown.to_ndarray(format="rgb24")[20:40, 10:50].mean(axis=(0, 1))
            assert np.abs(seen - PALETTE[index]).max() < 4


def test_odd_sizes_are_padded_where_they_must_be(tmp_path: Path) -> None:
    odd = Pictures(3, lambda index: flat(index, (65, 49)))
    made = encode_video(odd, NTSC, tmp_path / "odd.mp4")
    assert made.size == (66, 50)
    assert "65x49" in made.notes[0]
    assert decode(tmp_path / "odd.mp4")[0][0].shape == (50, 66, 3)
    assert encode_video(odd, NTSC, tmp_path / "odd.gif", kind="gif").size == (65, 49)


def test_files_are_encoded_in_the_order_given_and_side_by_side(tmp_path: Path) -> None:
    paths = []
    for number in (7, 3, 101, -2):
        paths.append(tmp_path / f"{number}.png")
        write_png(paths[-1], flat(number & 255))
    files = Pictures.of_files(paths)
    encode_video(files, NTSC, tmp_path / "files.mp4")
    frames, _, _ = decode(tmp_path / "files.mp4")
    assert [number_of(frame) for frame in frames] == [7, 3, 101, 254]
    both = Pictures.beside(clip(4), files)
    encode_video(both, NTSC, tmp_path / "both.mp4")
    frames, _, _ = decode(tmp_path / "both.mp4")
    assert frames[0].shape == (48, 128, 3)
    assert [(number_of(f[:, :64]), number_of(f[:, 64:])) for f in frames] == [
        (0, 7), (1, 3), (2, 101), (3, 254),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sample_rate", "layout", "seconds"),
    [(44100, "stereo", 2.0), (48000, "mono", 2.0), (8000, "mono", 2.0), (44100, "stereo", 1.1)],
)
def test_whole_sound_is_copied_and_stays_where_it_was(
    tmp_path: Path, sample_rate: int, layout: str, seconds: float
) -> None:
    source = film(tmp_path / "s.mp4", sample_rate=sample_rate, layout=layout, sound=seconds)
    made = encode_video(clip(60), NTSC, tmp_path / "out.mp4", sound=Sound(source))
    assert made.sound == "copied"
    before, rate, _ = hear(source)
    after, rate_after, _ = hear(tmp_path / "out.mp4")
    assert rate_after == rate
    expected = onsets(before, rate)
    assert len(expected) == len(onsets(beeps(seconds, rate), rate))
    assert onsets(after, rate) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("kind", ["mp4", "webm", "prores"])
@pytest.mark.parametrize(
    ("sample_rate", "layout"), [(44100, "stereo"), (48000, "stereo"), (8000, "mono")]
)
def test_a_part_is_cut_to_the_sample(
    tmp_path: Path, kind: VideoKind, sample_rate: int, layout: str
) -> None:
    source = film(tmp_path / "s.mp4", frames=120, sound=4.0, sample_rate=sample_rate, layout=layout)
    start = NTSC.seconds(17)
    path = tmp_path / f"out{video_suffix(kind)}"
    made = encode_video(clip(60), NTSC, path, kind=kind, sound=Sound(source, start))
    assert made.sound == "encoded"
    before, rate, _ = hear(source)
    after, rate_after, _ = hear(path)
    end = start + NTSC.seconds(60)
    expected = [time - float(start) for time in onsets(before, rate) if start <= time < end]
    assert len(expected) == 4
    assert onsets(after, rate_after) == pytest.approx(expected, abs=0.001)
    # Compressed sound may end with a packet that is not full.
    assert len(after) / rate_after == pytest.approx(float(NTSC.seconds(60)), abs=0.06)


def test_sound_longer_than_the_frames_is_cut_and_shorter_left_short(tmp_path: Path) -> None:
    source = film(tmp_path / "long.mp4", frames=30, sound=4.0)
    made = encode_video(clip(30), NTSC, tmp_path / "out.mp4", sound=Sound(source))
    assert made.sound == "encoded"
    samples, rate, _ = hear(tmp_path / "out.mp4")
    assert len(samples) / rate == pytest.approx(float(NTSC.seconds(30)), abs=0.03)
    late = encode_video(clip(30), NTSC, tmp_path / "b.mp4", sound=Sound(source, Fraction(9)))
    assert late.sound == "none"
    assert "no sound in these frames" in late.notes[0]


@pytest.mark.parametrize("start", [0, 5])
def test_sound_that_begins_before_or_after_the_video_stays_in_step(
    tmp_path: Path, start: int
) -> None:
    delay = NTSC.seconds(3)
    source = film(tmp_path / "s.mkv", frames=60, sound=2.2, codec="pcm_s16le", video_delay=delay)
    begin = NTSC.seconds(start)
    made = encode_video(clip(60 - start), NTSC, tmp_path / "out.mp4", sound=Sound(source, begin))
    assert made.sound == "encoded"
    samples, rate, _ = hear(tmp_path / "out.mp4")
    expected = [time - float(delay + begin) for time in (0.25, 0.75, 1.25, 1.75)]
    assert onsets(samples, rate)[-3:] == pytest.approx(expected[-3:], abs=0.001)


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "ts"])
def test_sound_that_begins_late_keeps_its_place(tmp_path: Path, container: str) -> None:
    source = film(tmp_path / f"s.{container}", sound=1.7, sound_delay=0.2)
    made = encode_video(clip(60), NTSC, tmp_path / "out.mp4", sound=Sound(source))
    assert made.sound == ("encoded" if container == "ts" else "copied")
    samples, rate, _ = hear(tmp_path / "out.mp4")
    expected = [time + 0.2 for time in (0.25, 0.75, 1.25)]
    assert onsets(samples, rate) == pytest.approx(expected, abs=0.001)


def test_sources_without_sound_or_without_sense_still_give_a_video(tmp_path: Path) -> None:
    silent = film(tmp_path / "silent.mp4", sound=None)
    assert encode_video(clip(5), NTSC, tmp_path / "a.mp4", sound=Sound(silent)).sound == "none"
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"\0" * 4000)
    made = encode_video(clip(5), NTSC, tmp_path / "b.mp4", sound=Sound(broken))
    assert made.sound == "none"
    assert "has no sound" in made.warnings[0]
    assert len(decode(tmp_path / "b.mp4")[0]) == 5
    made = encode_video(clip(5), NTSC, tmp_path / "c.gif", kind="gif", sound=Sound(silent))
    assert made.sound == "none"


def packets_of(path: Path, kind: str) -> list[tuple[int, int]]:
    """Return where the packets of a file's first stream of a kind lie: place and size."""
    with av.open(str(path)) as container:
        stream = getattr(container.streams, kind)[0]
        return [(packet.pos, packet.size) for packet in container.demux(stream) if packet.size]


@pytest.mark.parametrize("codec", ["aac", "mp2", "ac3"])
def test_damaged_packets_of_sound_cost_their_own_time(tmp_path: Path, codec: str) -> None:
    source = film(tmp_path / "s.mp4", codec=codec)
    whole, rate, _ = hear(source)
    content = bytearray(source.read_bytes())
    places = packets_of(source, "audio")
    for at, size in places[20:23]:
        content[at : at + size] = np.random.default_rng(at).bytes(size)
    source.write_bytes(content)
    made = encode_video(clip(60), NTSC, tmp_path / "out.mp4", sound=Sound(source))
    assert made.sound == "encoded"
    assert "of its sound" in made.warnings[0]
    assert "cannot be decoded" in made.warnings[0]
    samples, _, _ = hear(tmp_path / "out.mp4")
    assert onsets(samples, rate)[-2:] == pytest.approx(onsets(whole, rate)[-2:], abs=0.001)
    assert onsets(samples, rate)[0] == pytest.approx(0.25, abs=0.001)


def two_tracks(path: Path) -> Path:
    """Copy a film's sound into two tracks, the first of them of a kind that nobody knows."""
    source = film(path.with_name("one.mov"))
    with av.open(str(source)) as reading, av.open(str(path), "w") as writing:
        video = writing.add_stream_from_template(reading.streams.video[0])
        sounds = [writing.add_stream_from_template(reading.streams.audio[0]) for _ in range(2)]
        for packet in reading.demux():
            if not packet.size:
                continue
            if packet.stream.type == "video":
                packet.stream = video
                writing.mux(packet)
                continue
            content, times = bytes(packet), (packet.pts, packet.dts, packet.duration)
            for sound in sounds:
                copy = av.Packet(content)
                copy.pts, copy.dts, copy.duration = times
                copy.time_base, copy.stream = packet.time_base, sound
                writing.mux(copy)
    return unknown(path, 1)


def unknown(path: Path, tracks: int) -> Path:
    """Give the first sound tracks of a QuickTime file a kind that nobody knows."""
    content = path.read_bytes()
    start = content.index(b"mp4a")  # the picture has a decoder's description of its own
    head, sounds = content[:start], content[start:]
    sounds = sounds.replace(b"mp4a", b"zzzz", 3 * tracks).replace(b"esds", b"zzzz", tracks)
    path.write_bytes(head + sounds)
    return path


def test_sound_of_an_unknown_kind_falls_through_to_the_next_track(tmp_path: Path) -> None:
    source = two_tracks(tmp_path / "two.mov")
    made = encode_video(clip(60), NTSC, tmp_path / "out.mp4", sound=Sound(source))
    assert made.sound == "copied"
    assert "track 1 (of an unknown kind)" in made.warnings[0]
    assert "track 2 (aac) is taken" in made.warnings[0]
    samples, rate, _ = hear(tmp_path / "out.mp4")
    assert onsets(samples, rate) == pytest.approx((0.25, 0.75, 1.25, 1.75), abs=0.001)
    unknown(source, 2)
    made = encode_video(clip(60), NTSC, tmp_path / "none.mp4", sound=Sound(source))
    assert made.sound == "none"
    assert "cannot be decoded" in made.warnings[0]


def test_sound_that_changes_from_mono_to_stereo_goes_on(tmp_path: Path) -> None:
    film(tmp_path / "a.ts", frames=30, sound=1.0, layout="mono", codec="mp2")
    film(tmp_path / "b.ts", frames=30, sound=1.0, layout="stereo", codec="mp2", sound_delay=1.0,
         video_delay=Fraction(1))  # fmt: skip
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    made = encode_video(clip(60), NTSC, tmp_path / "out.mp4", sound=Sound(joined))
    assert made.sound == "encoded"
    samples, rate, _ = hear(tmp_path / "out.mp4")
    assert len(onsets(samples, rate)) == 4


@pytest.mark.parametrize("part", [0, 10])
def test_sound_stays_in_step_where_the_first_frames_cannot_be_decoded(
    tmp_path: Path, part: int
) -> None:
    source, cut = film(tmp_path / "s.mp4"), tmp_path / "cut.mp4"
    dropped = 5
    with av.open(str(source)) as reading, av.open(str(cut), "w") as writing:
        copies = [writing.add_stream_from_template(stream) for stream in reading.streams]
        met = 0
        for packet in reading.demux():
            met += packet.stream.type == "video"
            if packet.size and (packet.stream.type != "video" or met > dropped):
                packet.stream = copies[packet.stream_index]
                writing.mux(packet)
    info = probe(cut)
    found = next(read_frames(cut))
    assert info.frames == 60 - dropped
    assert info.held == found.index > 0
    assert number_of(found.picture) == found.index + dropped
    sound = Sound(cut, NTSC.seconds(part))
    encode_video(clip(55 - part), NTSC, tmp_path / "out.mp4", sound=sound)
    samples, rate, _ = hear(tmp_path / "out.mp4")
    late = float(NTSC.seconds(dropped + part))
    expected = [time - late for time in (0.25, 0.75, 1.25, 1.75) if time > late]
    assert onsets(samples, rate) == pytest.approx(expected, abs=0.001)


def test_cancelling_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4"
    target.write_bytes(b"the older one")
    seen: list[int] = []

    def cancelled() -> bool:
        return len(seen) >= 3

    with pytest.raises(JobCancelled):
        encode_video(
            clip(50),
            NTSC,
            target,
            on_progress=lambda done, _: seen.append(done),
            cancelled=cancelled,
        )
    assert seen == [1, 2, 3]
    assert [item.name for item in tmp_path.iterdir()] == ["clip.mp4"]
    assert target.read_bytes() == b"the older one"


def test_progress_reaches_the_count_in_every_kind(tmp_path: Path) -> None:
    for kind in ("mp4", "gif"):
        seen: list[tuple[int, int]] = []
        encode_video(
            clip(5), NTSC, tmp_path / f"c.{kind}", kind=kind,
            on_progress=lambda done, total, seen=seen: seen.append((done, total)),
        )  # fmt: skip
        assert seen[-1] == (5, 5)
        assert seen == sorted(seen)


def test_faults_are_told_in_words_and_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="at least one frame"):
        encode_video(clip(0), NTSC, tmp_path / "none.mp4")
    mixed = Pictures(3, lambda index: flat(index, SIZE if index < 2 else (128, 48)))
    with pytest.raises(OutputError, match="number 2 is 128x48, not 64x48"):
        encode_video(mixed, NTSC, tmp_path / "mixed.mp4")
    damaged = tmp_path / "frame.png"
    damaged.write_bytes(b"\x89PNG")
    with pytest.raises(OutputError, match=r"frame\.png is damaged"):
        encode_video(Pictures.of_files([damaged]), NTSC, tmp_path / "damaged.mp4")
    with pytest.raises(OutputError, match="cannot be read"):
        encode_video(Pictures.of_files([tmp_path / "no.png"]), NTSC, tmp_path / "damaged.mp4")
    with pytest.raises(OutputError, match="same number of pictures"):
        Pictures.beside(clip(3), clip(4))
    assert [item.name for item in tmp_path.iterdir()] == ["frame.png"]


def test_what_ffmpeg_says_is_passed_on(tmp_path: Path) -> None:
    huge = Pictures(1, lambda _: np.zeros((2, 20000, 3), np.uint8))
    with pytest.raises(OutputError, match=r"FFmpeg could not write wide\.mp4.*status") as caught:
        encode_video(huge, NTSC, tmp_path / "wide.mp4", kind="mp4")
    assert len(caught.value.message.splitlines()) > 1
    assert not list(tmp_path.iterdir())


@pytest.fixture(autouse=True)
def no_threads_are_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before
