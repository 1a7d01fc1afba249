import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot
from tests.desktop.media import write_clicks, write_video

from marionext.frames import FrameRange
from marionext_desktop.model import editing
from marionext_desktop.model.importing import look_at
from marionext_desktop.model.project import Project, Source
from marionext_desktop.model.sound import (
    SAMPLE_RATE,
    Sounds,
    beat_frames,
    decode,
    mix,
    read_wave,
    samples_of,
    write_mix,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    write_video(folder / "tone.mp4", 90, tone=440.0)
    write_clicks(folder / "clicks.wav", 12.0, bpm=128.0)
    return folder


def source(path: Path) -> Source:
    found = look_at(str(path)).source
    assert found is not None
    return found


def hertz(samples: np.ndarray) -> float:
    mono = samples.mean(1) if samples.ndim == 2 else samples
    spectrum = np.abs(np.fft.rfft(mono * np.hanning(len(mono))))
    return float(np.argmax(spectrum) * SAMPLE_RATE / len(mono))


def test_a_tone_is_decoded_from_the_first_frame_on(folder: Path, tmp_path: Path) -> None:
    decode(str(folder / "tone.mp4"), str(tmp_path / "a.pcm"))
    samples = samples_of(tmp_path / "a.pcm")
    assert len(samples) == pytest.approx(3 * SAMPLE_RATE, abs=2100)
    assert hertz(samples[SAMPLE_RATE : 2 * SAMPLE_RATE].astype(float)) == pytest.approx(440, abs=2)
    drawn = read_wave(tmp_path / "a.npz")
    assert len(drawn.peaks) == pytest.approx(600, abs=10)
    assert drawn.peaks[100:500, 1].min() > 0.4
    assert drawn.peaks[100:500, 0].max() < -0.4


def test_the_beats_of_a_click_track_are_found(folder: Path, tmp_path: Path) -> None:
    clicks = source(folder / "clicks.wav")
    assert (clicks.kind, clicks.frames) == ("sound", 1200)
    decode(clicks.path, str(tmp_path / "c.pcm"))
    drawn = read_wave(tmp_path / "c.npz")
    assert drawn.tempo == pytest.approx(128, rel=0.02)
    beat = 60 / 128
    off = [abs((at - beat / 2) / beat - round((at - beat / 2) / beat)) * beat for at in drawn.beats]
    assert len(drawn.beats) >= 20
    assert max(off) < 0.03
    project = editing.append(
        editing.add_source(Project(), clicks),
        editing.whole_clip(Project(sources=(clicks,)), clicks.id),
    )
    frames = beat_frames(project, project.clips[0], drawn)
    assert frames[1] - frames[0] in (14, 15)


def sequence(folder: Path) -> tuple[Project, dict[str, np.ndarray]]:
    tone, clicks = source(folder / "tone.mp4"), source(folder / "clicks.wav")
    project = Project()
    for each in (tone, clicks):
        project = editing.add_source(project, each)
        project = editing.append(project, editing.whole_clip(project, each.id))
    time = np.arange(3 * SAMPLE_RATE)
    sine = (np.sin(2 * np.pi * 440 * time / SAMPLE_RATE) * 12000).astype(np.int16)
    return project, {
        tone.id: np.stack([sine, sine], 1),
        clicks.id: np.zeros((12 * SAMPLE_RATE, 2), np.int16),
    }


def test_a_mix_is_the_same_in_any_blocks(folder: Path) -> None:
    project, sounds = sequence(folder)
    project = editing.blade(project, 31)
    whole = mix(project, sounds, 0, 4 * SAMPLE_RATE)
    parts = [mix(project, sounds, at, 1111) for at in range(0, 4 * SAMPLE_RATE, 1111)]
    assert np.array_equal(np.concatenate(parts)[: len(whole)], whole)
    assert not whole[3 * SAMPLE_RATE :].any()
    # A cut is not heard, neither in place nor in loudness.
    uncut, _ = sequence(folder)
    assert np.array_equal(
        mix(uncut, {uncut.clips[0].source: sounds[project.clips[0].source]}, 0, 99_000),
        whole[:99_000],
    )


def test_twice_as_fast_is_an_octave_higher_and_a_still_is_silent(folder: Path) -> None:
    project, sounds = sequence(folder)
    name = project.clips[0].id
    fast = editing.retime(project, name, Fraction(2))
    part = mix(fast, sounds, SAMPLE_RATE // 4, SAMPLE_RATE)
    assert hertz(part) == pytest.approx(880, abs=2)
    back = mix(editing.reverse(project, name), sounds, SAMPLE_RATE, SAMPLE_RATE)
    assert hertz(back) == pytest.approx(440, abs=2)
    still = editing.hold(project, name, 3)
    assert not mix(still, sounds, 0, SAMPLE_RATE).any()
    quiet = editing.set_volume(project, name, 0.5)
    assert np.abs(mix(quiet, sounds, 9000, 9000)).max() == pytest.approx(6000 / 32768, rel=0.01)


def test_the_mix_of_a_range_is_as_long_as_its_frames(folder: Path, tmp_path: Path) -> None:
    project, _ = sequence(folder)
    files = {each.id: str(tmp_path / f"{each.id}.pcm") for each in project.sources}
    made = write_mix(project, FrameRange(10, 70), files, str(tmp_path / "mix.wav"))
    assert made is not None
    with wave.open(made) as file:
        assert (file.getframerate(), file.getnchannels()) == (SAMPLE_RATE, 2)
        assert file.getnframes() == 2 * SAMPLE_RATE
        heard = np.frombuffer(file.readframes(SAMPLE_RATE), "<i2").reshape(-1, 2)
    assert hertz(heard.astype(float)) == pytest.approx(440, abs=2)
    silent = replace(project, clips=())
    assert write_mix(silent, FrameRange(0, 9), files, str(tmp_path / "none.wav")) is None


def test_sound_is_decoded_once_and_told(folder: Path, tmp_path: Path, qtbot: QtBot) -> None:
    sounds = Sounds(root=tmp_path)
    tone = source(folder / "tone.mp4")
    with qtbot.waitSignal(sounds.ready, timeout=30_000):
        sounds.want(tone)
    assert sounds.wave(tone) is not None
    assert len(sounds.samples[tone.id]) > 2 * SAMPLE_RATE
    sounds.close()
    again = Sounds(root=tmp_path)
    with qtbot.waitSignal(again.ready):
        again.want(tone)
    with qtbot.waitSignal(again.failed, timeout=30_000) as told:
        again.want(replace(tone, id="x", path=str(tmp_path / "gone.mp4"), stamp=None))
    assert "gone.mp4" in str(told.args[1])
    again.close()


def test_a_sound_of_half_a_second_has_no_beats_and_is_decoded(tmp_path: Path) -> None:
    path = write_clicks(tmp_path / "short.wav", 0.4)
    decode(str(path), str(tmp_path / "short.pcm"))
    wave = read_wave(tmp_path / "short.npz")
    assert len(wave.beats) == 0
    assert len(wave.peaks) == 80
