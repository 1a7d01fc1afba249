"""Any rig file is opened by what it holds; what is not read is named, with a way out."""

import gzip
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from marionext.errors import MotionError
from marionext.frames import FrameRate
from marionext.motion import clips, load, load_all, write_animation

DANCE = Path(__file__).resolve().parents[3] / "presets" / "motions" / "dance.bvh"


def test_content_counts_and_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "dance.txt"
    path.write_bytes(b"\xef\xbb\xbf\r\n" + DANCE.read_bytes())
    assert len(load(path)) == 192
    assert clips(path) == ()
    sampled = tmp_path / "dance.glb"
    write_animation(load(DANCE), sampled)
    assert len(load(sampled)) == 192


def test_a_rate_is_kept_to_the_fraction() -> None:
    film = load(DANCE, rate=FrameRate(Fraction(24000, 1001)))
    assert film.rate == FrameRate(Fraction(24000, 1001))
    assert len(film) == 192  # 192 frames at 24 last as long as 191.8 of these
    twice = load(DANCE, rate=FrameRate(Fraction(48)))
    np.testing.assert_allclose(twice.heads[::2], load(DANCE).heads, atol=1e-9)


def test_a_clip_or_person_that_is_not_there_is_said() -> None:
    assert len(load_all(DANCE, clip="Hips")) == 1
    with pytest.raises(MotionError, match="holds one clip only, and none called 'samba'"):
        load(DANCE, clip="samba")
    with pytest.raises(MotionError, match="has 1 skeleton, none with the number 2"):
        load(DANCE, person=1)


@pytest.mark.parametrize(
    ("start", "name", "hint"),
    [
        (b"Kaydara FBX Binary  \x00\x1a\x00", "FBX", "Blender"),
        (b"; FBX 7.4.0 project file", "FBX", "Blender"),
        (b"BLENDER-v405", "a Blender file", "Blender"),
        (b"\x28\xb5\x2f\xfd\x00", "a compressed Blender file", "Blender"),
        (gzip.compress(b"BLENDER-v279", mtime=0), "a Blender file", "Blender"),
        (b"Vocaloid Motion Data 0002", "MikuMikuDance motion", "MMD Tools"),
        (b"Pmd\x00\x00\x80\x3f", "a MikuMikuDance model", "MMD Tools"),
        (b"#usda 1.0", "USD", "Blender"),
        (b'<?xml version="1.0"?><COLLADA/>', "XML", "Blender"),
        (gzip.compress(b"something else", mtime=0), "no motion file known here", "glTF"),
        (b"RIFF\x00\x00\x00\x00AVI ", "no motion file known here", "glTF"),
        (b"", "is empty", None),
    ],
)
def test_other_formats_are_named_with_a_way_out(
    tmp_path: Path, start: bytes, name: str, hint: str | None
) -> None:
    path = tmp_path / "motion.dat"
    path.write_bytes(start)
    with pytest.raises(MotionError, match=name) as error:
        load(path)
    assert hint is None or hint in str(error.value.hint)


def test_files_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(MotionError, match="there is no file"):
        load(tmp_path / "nothing.bvh")
    with pytest.raises(MotionError, match="cannot read"):
        load(tmp_path)


def test_motion_needs_nothing_but_numpy() -> None:
    heavy = ["torch", "cv2", "av", "mediapipe", "scipy", "PIL", "PySide6", "diffusers"]
    code = (
        f"import sys, marionext.motion\nprint(*[name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
