import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.desktop.conftest import DANCE, NETWORKS
from tests.desktop.media import write_dancer

SCRIPT = Path(__file__).with_name("real_window.py")


@pytest.fixture
def display() -> Iterator[str]:
    """Start an X server without a screen."""
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.skip("needs Xvfb and xdotool: bootstrap.py test says how to get them")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1600x960x24", "-nolisten", "tcp"],
        pass_fds=(write,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as told:
        number = told.readline().strip()
    yield f":{number}"
    server.terminate()
    server.wait(10)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_story_in_a_real_window(display: str, hero: Path, tmp_path: Path) -> None:
    import av

    folder = tmp_path / "out"
    folder.mkdir()
    other = tmp_path / "understudy.png"
    for end in (".png", ".pose.npz"):
        shutil.copy(hero.with_suffix(end), other.with_suffix(end))
    motion = DANCE
    if NETWORKS.is_dir():
        # A video with a person and a sound, as a user would bring one.
        models = Path(os.environ["MARIONEXT_HOME"]) / "models"
        models.mkdir()
        (models / NETWORKS.name).symlink_to(NETWORKS)
        motion = write_dancer(tmp_path / "dancer.mp4", 24, tone=440.0)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, (motion, hero, other, folder))],
        env={**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
        capture_output=True, text=True, check=False, timeout=580,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "the end" in done.stdout
    with av.open(str(folder / "dance.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.average_rate == 24
        assert sum(1 for _ in video.decode(stream)) == 13
    if motion == DANCE:
        return
    with av.open(str(folder / "dance.mp4")) as video:
        sound = video.streams.audio[0]
        heard = np.concatenate([each.to_ndarray()[0] for each in video.decode(sound)])
    assert len(heard) / sound.rate == pytest.approx(13 / 24, abs=0.05)
    loudest = np.abs(np.fft.rfft(heard)).argmax() * sound.rate / len(heard)
    assert loudest == pytest.approx(440.0, abs=4)
