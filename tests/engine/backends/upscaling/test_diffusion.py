import shutil

import numpy as np
import pytest
from tests.engine.backends.pictures.tiny import make_control, make_sd3, make_sd15

from marionext.backends.upscaling import diffusion, open_upscaler, recognise
from marionext.errors import ModelError, SettingsError
from marionext.jobs import EngineSettings

CPU = EngineSettings(device="cpu")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = make_sd3(tmp_path_factory.mktemp("upscaler") / "sd3")
    make_control(folder / "controlnext", "sd3")
    (folder / "marionext.toml").write_text(
        "[settings]\nsteps = 4\nguidance = 1.0\n"
        "[upscale]\nby = 2\ntile = 48\noverlap = 16\nchange = 0.25\n"
    )
    return folder


def gradient(width, height):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 4, columns * 3, 200 - rows - columns], 2).astype(np.uint8)


@pytest.mark.parametrize("size", [(61, 45), (10, 70), (24, 24)])
def test_pictures_of_any_size_come_out_twice_as_large_and_the_same_each_time(base, size):
    upscaler = open_upscaler(recognise(str(base), 2), CPU, print)
    parts = []
    made = upscaler.enlarge(gradient(*size), lambda done, total: parts.append((done, total)))
    assert made.shape == (2 * size[1], 2 * size[0], 3)
    assert parts == sorted(parts)
    assert parts[-1][0] == parts[-1][1]
    assert (upscaler.enlarge(gradient(*size), lambda *_: None) == made).all()


def test_no_seam_shows_where_parts_meet(base):
    flat = np.full((60, 60, 3), 120, np.uint8)
    upscaler = open_upscaler(recognise(str(base), 2), CPU, print)
    made = upscaler.enlarge(flat, lambda *_: None).astype(int)
    inside = abs(np.diff(made, axis=1)).mean(axis=(0, 2))
    # Tiles begin at 0, 18 and 36 of 60 pixels: what is made between is not rougher there.
    seams = [*range(36, 48), *range(72, 84)]
    others = np.delete(inside, seams)
    assert inside[seams].max() <= others.max()


def test_the_job_may_say_other_parts_and_more_change(base):
    method = recognise(str(base), 2)
    assert open_upscaler(method, CPU, print).computed["tile"] == "48"
    assert open_upscaler(method, CPU, print, tile=64).computed["tile"] == "64"
    usual = open_upscaler(method, CPU, print)
    more = open_upscaler(method, CPU, print, change=1.0)
    pictures = [each.enlarge(gradient(24, 24), lambda *_: None) for each in (usual, more)]
    assert (pictures[0] != pictures[1]).any()
    with pytest.raises(SettingsError, match="at most 128 pixels"):
        open_upscaler(method, CPU, print, tile=160)
    with pytest.raises(SettingsError, match="at least one of 4 steps"):
        open_upscaler(method, CPU, print, change=0.2)


def test_parts_that_are_made_together_are_steered_each_by_its_own_picture(base, monkeypatch):
    path = shutil.copytree(base, base.parent / "guided")
    (path / "marionext.toml").write_text(
        "[settings]\nsteps = 4\nguidance = 3.0\n[upscale]\ntile = 48\nchange = 0.5\n"
    )
    picture = np.random.default_rng(0).integers(0, 256, (24, 60, 3), np.uint8)
    made = []
    for at_once in (1, 4):
        monkeypatch.setattr(diffusion, "_AT_ONCE", {True: at_once})
        upscaler = open_upscaler(recognise(str(path), 2), CPU, print)
        made.append(upscaler.enlarge(picture, lambda *_: None).astype(int))
    assert abs(made[0] - made[1]).max() <= 1


def test_stopping_takes_effect_within_a_part(base):
    def stop(done, total):
        heard.append(done)
        if len(heard) == 2:
            raise InterruptedError

    heard = []
    with pytest.raises(InterruptedError):
        open_upscaler(recognise(str(base), 2), CPU, print).enlarge(gradient(24, 24), stop)
    assert heard == [0, 0]


def test_bases_that_cannot_make_larger_are_refused(base, tmp_path):
    with pytest.raises(SettingsError, match="expected 2"):
        recognise(str(base), 3)
    with pytest.raises(ModelError, match="lowres"):
        recognise(str(make_sd3(tmp_path / "bare")), 2)
    with pytest.raises(ModelError, match="family sd15"):
        recognise(str(make_sd15(tmp_path / "other")), 2)
