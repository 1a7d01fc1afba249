"""What tests of the whole engine render: a short motion, a character, the built-in model."""

import subprocess
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from marionext.frames import FrameRate
from marionext.pose import PoseTrack
from marionext.pose.formats import write_track

REPOSITORY = Path(__file__).parents[2]
MEDIA = Path(__file__).resolve().parents[2].parent / "shared" / "media"

JobMaker = Callable[..., dict[str, Any]]


def dancing_track(frames: int, *, first: int = 101, rate: str = "24") -> PoseTrack:
    """Make a standing figure that waves its right arm; 96x128 pixels."""
    places = np.zeros((frames, 1, 134, 2), np.float32)
    scores = np.zeros((frames, 1, 134), np.float32)
    body = [
        (48, 24), (48, 36), (38, 36), (32, 50), (28, 62), (58, 36), (64, 50), (66, 64), (42, 70),
        (41, 92), (41, 114), (54, 70), (55, 92), (55, 114), (46, 22), (50, 22), (43, 24), (53, 24),
    ]  # fmt: skip
    places[:, 0, :18] = body
    swing = np.linspace(0, 2 * np.pi, frames, endpoint=False)
    places[:, 0, 4, 1] -= 30 * np.abs(np.sin(swing))
    scores[:, 0, :18] = 0.9
    return PoseTrack(
        points=places,
        scores=scores,
        size=(96, 128),
        rate=FrameRate(Fraction(rate)),
        first=first,
    )


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Tiny networks gain nothing from threads, and lose much on a busy machine."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def track_file(tmp_path: Path) -> Path:
    """Seven poses, numbered from 101, at 24 frames/s."""
    path = tmp_path / "wave.npz"
    write_track(dancing_track(7), path)
    return path


@pytest.fixture
def character_file(tmp_path: Path) -> Path:
    """A drawn figure on a plain ground, and its pose beside it."""
    pixels = np.full((128, 96, 3), (200, 210, 230), np.uint8)
    pixels[14:32, 40:56] = (230, 190, 160)
    pixels[32:72, 36:60] = (180, 40, 40)
    pixels[72:116, 38:58] = (40, 50, 120)
    path = tmp_path / "hero.png"
    Image.fromarray(pixels).save(path)
    write_track(dancing_track(1, first=0), tmp_path / "hero.pose.npz")
    return path


@pytest.fixture
def make_job(tmp_path: Path, track_file: Path, character_file: Path) -> JobMaker:
    """Return a maker of small jobs; keyword arguments go over the top level of the job."""

    def make(**changes: Any) -> dict[str, Any]:
        job: dict[str, Any] = {
            "motion": {"path": str(track_file)},
            "character": str(character_file),
            "model": "puppet",
            "pose": {"clean": False},
            "settings": {"width": 64, "height": 64, "steps": 2, "window": 4, "overlap": 2},
            "output": {"directory": str(tmp_path / "out")},
        }
        for key, value in changes.items():
            job[key] = {**job[key], **value} if isinstance(job.get(key), dict) else value
        return job

    return make


class Clips:
    """Makes small videos."""

    @staticmethod
    def write(
        path: Path,
        pictures: Sequence[np.ndarray],
        *,
        rate: Fraction = Fraction(30),
        stamps: Sequence[int] | None = None,
        time_base: Fraction | None = None,
        codec: str = "libx264",
        options: dict[str, str] | None = None,
    ) -> Path:
        """Write pictures as a video; ``stamps`` are their times in units of ``time_base``."""
        height, width = pictures[0].shape[:2]
        base = time_base or 1 / rate
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = base
            stream.options = options or {}
            for index, picture in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                frame.pts = stamps[index] if stamps is not None else index
                frame.time_base = base
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return path

    @staticmethod
    def ffmpeg(*arguments: Any) -> None:
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True)

    @staticmethod
    def numbered(count: int, size: tuple[int, int] = (96, 64)) -> list[np.ndarray]:
        """Pictures that tell their number by the length of a bar; red in the top left corner."""
        width, height = size
        pictures = []
        for index in range(count):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[height // 2 :, : round(width * (index + 1) / count)] = 220
            picture[:16, :16] = (230, 20, 20)
            pictures.append(picture)
        return pictures

    @staticmethod
    def number_in(picture: np.ndarray, count: int) -> int:
        """Read the number of a picture that `numbered` made."""
        height, width = picture.shape[:2]
        length = (picture[3 * height // 4, :, 1] > 110).sum()
        return round(count * int(length) / width) - 1


@pytest.fixture(scope="session")
def clips() -> type[Clips]:
    """The maker of small videos."""
    return Clips


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of clips that are not in the repository."""
    if not MEDIA.is_dir():
        pytest.skip(f"no clips in {MEDIA}")
    return MEDIA
