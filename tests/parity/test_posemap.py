"""Pose maps equal the reference's, for every recorded pose and size found in the golden folder."""

import hashlib
import json
import re
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from marionext.posemap import Drawer, NormalisedPose
from marionext.posemap.plain import draw_plain

SIZE = re.compile(r"(?P<name>.+)_(?P<height>\d+)x(?P<width>\d+)")


def digest(picture: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()


def recorded(folder: Path) -> dict[str, dict[tuple[int, int], set[str]]]:
    """Return for each pose and size (width, height) the accepted hashes of the map's bytes.

    OpenCV 4 and 5 differ in a few pixels of thick lines that leave the canvas; either is right.
    """
    accepted: dict[str, dict[tuple[int, int], set[str]]] = defaultdict(lambda: defaultdict(set))
    for listing in sorted(folder.glob("hashes*.json")):
        for case, value in json.loads(listing.read_text())["sha256_of_rgb_bytes"].items():
            match = SIZE.fullmatch(case)
            assert match is not None, case
            accepted[match["name"]][int(match["width"]), int(match["height"])].add(value)
    for picture in sorted(folder.rglob("*.png")):
        match = SIZE.fullmatch(picture.stem)
        assert match is not None, picture
        pixels = cv2.imread(str(picture), cv2.IMREAD_COLOR)[:, :, ::-1]
        assert pixels.shape[:2] == (int(match["height"]), int(match["width"])), picture
        accepted[match["name"]][pixels.shape[1], pixels.shape[0]].add(digest(pixels))
    return accepted


def read(path: Path) -> NormalisedPose:
    with np.load(path) as arrays:
        return NormalisedPose.from_arrays(
            candidate=arrays["candidate"],
            subset=arrays["subset"],
            body_scores=arrays["body_score"],
            hands=arrays["hands"],
            hand_scores=arrays["hands_score"],
            faces=arrays["faces"],
            face_scores=arrays["faces_score"],
        )


@pytest.fixture(scope="module")
def folder(golden_dir: Path) -> Path:
    folder = golden_dir / "d_draw_pose"
    if not folder.is_dir():
        pytest.skip(f"no recorded pose drawings in {golden_dir}")
    return folder


@pytest.mark.parametrize("way", ["quick", "plain"])
def test_maps_are_pixel_identical_to_the_recorded_ones(folder: Path, way: str) -> None:
    drawers: dict[tuple[int, int], Drawer] = {}
    compared, wrong = 0, []
    accepted = recorded(folder)
    for path in sorted(folder.glob("*.npz")):
        pose = read(path)
        for size, hashes in accepted[path.stem].items():
            if way == "quick":
                drawn = drawers.setdefault(size, Drawer(size)).draw_normalised(pose)
            else:
                drawn = draw_plain(pose, size)
            compared += 1
            if digest(drawn) not in hashes:
                wrong.append(f"{path.stem} {size[0]}x{size[1]}")
    assert compared, f"no recorded pose drawings in {folder}"
    assert not wrong, f"{len(wrong)} of {compared} differ: {', '.join(wrong)}"
