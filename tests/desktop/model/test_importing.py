from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image
from tests.desktop.conftest import DANCE, HERO, waving
from tests.desktop.media import write_clicks, write_video

from marionext.errors import EngineError
from marionext.pose.formats import write_openpose, write_track
from marionext_desktop.model.importing import look_at


def test_a_video_tells_frames_rate_size_and_sound(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 45, rate="30000/1001", tone=330.0)
    source = look_at(str(path)).source
    assert source is not None
    assert (source.kind, source.frames, source.size) == ("video", 45, (320, 240))
    assert source.rate.fraction == Fraction(30000, 1001)
    assert source.sound
    assert source.stamp is not None
    silent = look_at(str(write_video(tmp_path / "b.mp4", 5))).source
    assert silent is not None
    assert not silent.sound


def test_motions_and_poses(tmp_path: Path) -> None:
    rig = look_at(str(DANCE)).source
    assert rig is not None
    assert (rig.kind, rig.size) == ("motion", (576, 1024))
    assert rig.frames > 50
    write_track(waving(9), tmp_path / "wave.npz")
    track = look_at(str(tmp_path / "wave.npz")).source
    assert track is not None
    assert (track.kind, track.frames, track.size, str(track.rate)) == ("poses", 9, (96, 128), "24")
    write_openpose(waving(9), tmp_path / "poses")
    folder = look_at(str(tmp_path / "poses"))
    assert folder.source is not None
    assert (folder.source.kind, folder.source.frames) == ("poses", 9)


def test_pictures_are_characters_as_they_are_seen(tmp_path: Path) -> None:
    hero = look_at(str(HERO)).character
    assert hero is not None
    assert hero.name == "hero"
    assert min(hero.size) > 100
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    Image.new("RGB", (40, 30), "red").save(tmp_path / "phone.jpg", exif=exif)
    phone = look_at(str(tmp_path / "phone.jpg")).character
    assert phone is not None
    assert phone.size == (30, 40)
    (tmp_path / "hero.doll").mkdir()
    doll = look_at(str(tmp_path / "hero.doll")).character
    assert doll is not None
    assert doll.name == "hero"


def test_moving_pictures_are_videos(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), (n * 20, 0, 0)) for n in range(6)]
    for name in ("a.gif", "a.png", "a.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100)
        source = look_at(str(tmp_path / name)).source
        assert source is not None, name
        assert (source.kind, source.frames, str(source.rate)) == ("video", 6, "10")


def test_sound_lasts_as_long_as_it_does(tmp_path: Path) -> None:
    sound = look_at(str(write_clicks(tmp_path / "a.wav", 2.5))).source
    assert sound is not None
    assert (sound.kind, sound.lane, sound.has_poses) == ("sound", "sound", False)
    assert sound.rate.seconds(sound.frames) == pytest.approx(2.5, abs=0.02)


NOTHING = ["gone.mp4", "a.txt", "a.mp4", "a.bvh", "a.png", "a.json", "folder", "a.fbx"]


@pytest.mark.parametrize("name", NOTHING)
def test_what_is_nothing_of_these_is_refused_in_words(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif not name.startswith("gone"):
        path.write_bytes(b"this is nothing that moves")
    with pytest.raises(EngineError) as refused:
        look_at(str(path))
    assert name.partition(".")[0] in refused.value.message or "BVH" in refused.value.message
