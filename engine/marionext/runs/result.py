"""What a job left behind."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Result"]


@dataclass(frozen=True, slots=True)
class Result:
    """What a job left behind."""

    directory: Path
    """The folder of the results, or the one file that was made."""
    frames: int
    """How many there are, all of them."""
    videos: tuple[Path, ...] = ()
