"""Clips that the capture tests make for themselves, and the networks where they are installed."""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from marionext import presets
from marionext.capture.models import locate_models
from marionext.errors import ModelError

MEDIA = Path(__file__).resolve().parents[3].parent / "shared" / "media"


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


@pytest.fixture(scope="session")
def networks() -> None:
    """Skip where the detector's networks are not installed."""
    try:
        locate_models()
    except ModelError as error:
        pytest.skip(f"{error.message} ({error.hint})")


@pytest.fixture(scope="session")
def hero() -> np.ndarray:
    """The bundled character, in which the detector recognises a person."""
    path = presets.folder("characters") / "hero.png"
    if not path.is_file():
        pytest.skip(f"no {path}")
    return np.asarray(Image.open(path).convert("RGB"))
