import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.desktop.conftest import DANCE

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
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(DANCE), str(hero), str(folder)],
        env={**os.environ, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
        capture_output=True, text=True, check=False, timeout=580,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "the end" in done.stdout
    with av.open(str(folder / "dance.mp4")) as video:
        stream = video.streams.video[0]
        assert stream.average_rate == 24
        assert sum(1 for _ in video.decode(stream)) == 13
