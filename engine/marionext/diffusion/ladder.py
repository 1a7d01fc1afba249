"""Ways to fit a render into a device's memory, from the fastest to the smallest; no torch."""

from dataclasses import dataclass

__all__ = ["GIB", "RUNGS", "Rung"]

GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to fit a render into a device's memory; all of them show the same picture."""

    name: str
    summary: str
    """Said aloud when the rung is taken."""
    control_chunk: int
    """Frames that the control network sees at a time."""
    resident: bool = False
    """Whether every network stays on the device for the whole run."""
    chunked: bool = False
    """Whether the UNet's feed-forward layers take a frame at a time."""
    streamed: bool = False
    """Whether the UNet's layers visit the device one after another."""


RUNGS = (
    Rung(
        name="resident",
        summary="all networks stay on the device",
        control_chunk=24,
        resident=True,
    ),
    Rung(
        name="lean",
        summary="each network is on the device only while it works",
        control_chunk=8,
    ),
    Rung(
        name="chunked",
        summary="the UNet's widest layers take one frame at a time",
        control_chunk=4,
        chunked=True,
    ),
    Rung(
        name="streamed",
        summary="the UNet's layers visit the device one after another",
        control_chunk=2,
        chunked=True,
        streamed=True,
    ),
)
"""The ladder, from the fastest to the smallest."""
