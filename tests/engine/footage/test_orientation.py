"""Pictures come out as players show them, and as large as the first."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from marionext.footage import Shown, probe, read_frames

COUNT = 8


@pytest.fixture(scope="module")
def plain(clips: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames with a red corner and a bar."""
    path = tmp_path_factory.mktemp("plain") / "plain.mp4"
    return clips.write(path, clips.numbered(COUNT), options={"crf": "12"})


@pytest.mark.parametrize(("turn", "flip"), list(product((0, 90, 180, 270), (False, True))))
def test_all_eight_orientations_are_those_of_players(
    plain: Path, clips: Any, tmp_path: Path, turn: int, flip: bool
) -> None:
    path, upright = tmp_path / "laid.mp4", tmp_path / "upright.png"
    flipping = ["-display_hflip"] if flip else []
    clips.ffmpeg("-display_rotation", turn, *flipping, "-i", plain, "-c", "copy", path)
    clips.ffmpeg("-i", path, "-frames:v", 1, upright)
    expected = np.asarray(Image.open(upright).convert("RGB")).astype(int)
    info, first = probe(path), next(read_frames(path))
    assert info.size == (expected.shape[1], expected.shape[0])
    for picture in (first.picture, Shown(path, info).picture(0)):
        assert picture.shape == expected.shape
        assert np.median(np.abs(picture - expected)) <= 3
        assert np.abs(picture - expected).mean() < 8


def joined(clips: Any, folder: Path, second: list[Any], way: list[Any]) -> Path:
    """Make a stream whose second half is of another size, turned, or of other pixels."""
    options = {"crf": "12"}
    clips.write(folder / "a.mp4", clips.numbered(COUNT), options=options)
    clips.write(folder / "b.mp4", second, options=options)
    clips.ffmpeg("-i", folder / "a.mp4", "-c", "copy", folder / "a.ts")
    clips.ffmpeg(
        *("-i", folder / "b.mp4", "-c", "copy", *way),
        *("-output_ts_offset", COUNT / 30, folder / "b.ts"),
    )
    path = folder / "joined.ts"
    path.write_bytes((folder / "a.ts").read_bytes() + (folder / "b.ts").read_bytes())
    return path


@pytest.mark.parametrize("case", ["smaller", "turned", "wide pixels"])
def test_what_changes_within_a_file_is_shown_as_the_first_frame_and_said(
    clips: Any, tmp_path: Path, case: str
) -> None:
    second, way = clips.numbered(COUNT), []
    if case == "smaller":
        second = clips.numbered(COUNT, (192, 128))
    if case == "turned":
        second = [np.rot90(picture, -1) for picture in second]
        way = ["-bsf:v", "h264_metadata=display_orientation=insert:rotate=90"]
    if case == "wide pixels":
        second = clips.numbered(COUNT, (48, 64))
        way = ["-bsf:v", "h264_metadata=sample_aspect_ratio=2/1"]
    path = joined(clips, tmp_path, second, way)
    said: list[str] = []
    frames = list(read_frames(path, say=said.append))
    assert len(frames) == 2 * COUNT
    for number in range(COUNT):
        one, other = frames[number].picture, frames[COUNT + number].picture
        assert one.shape == other.shape == (64, 96, 3)
        assert np.abs(one.astype(int) - other).mean() < 8, number
    assert len(said) == 1
    assert said[0].startswith("joined.ts: frames 9-16 are ")


def test_a_figure_keeps_its_proportions_where_the_picture_changes_its_shape(
    clips: Any, tmp_path: Path
) -> None:
    upright = [np.full((96, 64, 3), 200, np.uint8)] * COUNT
    frames = list(read_frames(joined(clips, tmp_path, upright, [])))
    lit = frames[-1].picture[..., 1] > 100
    assert lit.shape == (64, 96)
    assert lit.any(1).sum() == 64
    assert lit.any(0).sum() == pytest.approx(64 * 64 / 96, abs=2)
