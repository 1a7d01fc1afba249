"""What the tests of the desktop share: no screen is needed, no folder of the user's is touched."""

import gc
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from marionext.capture.models import models_folder
from marionext.frames import FrameRate
from marionext.pose import PoseTrack

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

REPOSITORY = Path(__file__).parents[2]
NETWORKS = models_folder()
"""Where the detector's networks are, if they are installed: tests have homes of their own."""
HERO = REPOSITORY / "presets" / "characters" / "hero.png"
DANCE = REPOSITORY / "presets" / "motions" / "dance.bvh"


@pytest.fixture(autouse=True)
def _garbage_on_this_thread() -> Iterator[None]:
    """Take nothing of Qt down on another thread; see `marionext_desktop.model.garbage`."""
    gc.disable()
    yield
    gc.collect()
    gc.enable()


@pytest.fixture(autouse=True)
def _home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MARIONEXT_HOME", str(home))
    return home


@pytest.fixture
def hero(tmp_path: Path) -> Path:
    """The built-in character, with the pose beside it."""
    for name in ("hero.png", "hero.pose.npz"):
        (tmp_path / name).write_bytes((HERO.parent / name).read_bytes())
    return tmp_path / "hero.png"


def waving(frames: int = 12, *, rate: str = "24", people: int = 1) -> PoseTrack:
    """Make standing figures that wave their right arms; 96x128 pixels, numbered from 0."""
    places = np.zeros((frames, people, 134, 2), np.float32)
    scores = np.zeros((frames, people, 134), np.float32)
    body = [
        (48, 24), (48, 36), (38, 36), (32, 50), (28, 62), (58, 36), (64, 50), (66, 64), (42, 70),
        (41, 92), (41, 114), (54, 70), (55, 92), (55, 114), (46, 22), (50, 22), (43, 24), (53, 24),
    ]  # fmt: skip
    places[:, :, :18] = body
    swing = np.linspace(0, 2 * np.pi, frames, endpoint=False)
    places[:, :, 4, 1] -= 30 * np.abs(np.sin(swing))[:, None]
    scores[:, :, :18] = 0.9
    return PoseTrack(
        points=places, scores=scores, size=(96, 128), rate=FrameRate(Fraction(rate)), first=0
    )
