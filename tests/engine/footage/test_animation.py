"""Animated WebP, PNG and GIF are motions with their own time."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext.errors import MotionError
from marionext.footage import Shown, is_animation, probe, read_frames
from marionext.jobs import MotionSource
from marionext.sources import open_motion

COUNT = 9


def save(path: Path, pictures: list[Any], duration: Any, **options: Any) -> Path:
    images = [Image.fromarray(picture) for picture in pictures]
    if path.suffix == ".webp":
        options["lossless"] = True
    images[0].save(path, save_all=True, append_images=images[1:], duration=duration, **options)
    return path


@pytest.mark.parametrize("suffix", [".webp", ".png", ".apng", ".gif"])
def test_every_picture_comes_at_its_time(clips: Any, tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"dance{suffix}", clips.numbered(COUNT), 40)
    assert is_animation(path)
    info = probe(path)
    assert (info.size, info.rate.fraction, info.frames) == ((96, 64), 25, COUNT)
    frames = list(read_frames(path, longest=48))
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in range(COUNT)]
    assert frames[0].picture.shape == (32, 48, 3)
    shown = Shown(path, info)
    for index in (4, 0, 8, 8, 3):
        assert clips.number_in(shown.picture(index), COUNT) == index
    motion = open_motion(MotionSource(path=str(path), kind="video"))
    assert (motion.kind, len(motion.frames), motion.rate.fraction) == ("video", COUNT, 25)


@pytest.mark.parametrize(
    ("suffix", "durations", "rate"),
    [
        (".webp", (62, 63), "16"),
        (".png", (62.5, 62.5), "16"),
        (".gif", (30, 30, 40), "30"),
        (".gif", (70, 60, 70), "15"),
    ],
)
def test_the_rate_is_that_which_the_durations_round(
    clips: Any, tmp_path: Path, suffix: str, durations: tuple[float, ...], rate: str
) -> None:
    shown = [durations[index % len(durations)] for index in range(12)]
    path = save(tmp_path / f"dance{suffix}", clips.numbered(12), shown)
    info = probe(path)
    assert (info.rate.fraction, info.frames, info.variable_rate) == (Fraction(rate), 12, False)


def test_pictures_that_are_shown_for_different_times_are_put_on_a_grid(
    clips: Any, tmp_path: Path
) -> None:
    path = save(tmp_path / "slow.webp", clips.numbered(4), [100, 300, 100, 100])
    info = probe(path)
    assert (info.rate.fraction, info.frames, info.variable_rate) == (10, 6, True)
    assert [frame.time for frame in read_frames(path)] == [0, *(Fraction(n, 10) for n in (1, 4, 5))]


@pytest.mark.parametrize("suffix", [".webp", ".png", ".gif"])
def test_a_still_picture_is_no_motion(clips: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"still{suffix}"
    Image.fromarray(clips.numbered(1)[0]).save(path)
    assert not is_animation(path)
    with pytest.raises(MotionError, match="single picture"):
        open_motion(MotionSource(path=str(path)))


def test_a_cover_for_other_programs_is_no_frame_and_glass_lies_on_black(tmp_path: Path) -> None:
    pictures = [np.zeros((8, 8, 4), np.uint8) for _ in range(4)]
    for index, picture in enumerate(pictures):
        picture[index, :, :] = (0, 200, 0, 255)
    path = save(tmp_path / "cover.png", pictures, 50, default_image=True)
    frames = list(read_frames(path))
    assert [int(frame.picture[:, 0, 1].argmax()) for frame in frames] == [1, 2, 3]
    assert not frames[0].picture[5:].any()


def test_a_torn_animation_is_refused(clips: Any, tmp_path: Path) -> None:
    path = save(tmp_path / "torn.webp", clips.numbered(COUNT), 40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MotionError, match=r"torn\.webp"):
        open_motion(MotionSource(path=str(path)))
