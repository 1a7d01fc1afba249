import subprocess
import sys

import marionext.capture


def test_all_is_sorted_and_there() -> None:
    names = marionext.capture.__all__
    assert names == sorted(names, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(marionext.capture, name) for name in names)


def test_reading_videos_needs_neither_mediapipe_nor_opencv_nor_torch() -> None:
    code = (
        "import sys, marionext.capture, marionext.capture.models;"
        "sys.exit(bool({'mediapipe', 'cv2', 'torch', 'onnxruntime'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_command_that_fetches_networks_starts_without_a_warning() -> None:
    command = [sys.executable, "-W", "error", "-m", "marionext.capture.models", "--help"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--from" in done.stdout
