"""What the engine needs of a way to make frames; each architecture's folder here is one such way.

A `Backend` tells figures without loading anything and opens a `Renderer`, which makes the frames of
what is staged. Folders, takes and going on after a crash are the session's; what a renderer keeps
for that in the folders it is given (`Work`) is its own affair.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from marionext.bundles import ModelBundle
from marionext.casting import find_files
from marionext.jobs import EngineSettings, RenderJob
from marionext.reporting import Reporter
from marionext.settings import Settings
from marionext.sources import OpenMotion
from marionext.staging import Staged

__all__ = ["Backend", "Figures", "Renderer", "Rung", "Work"]


_S = TypeVar("_S", bound=Settings)
"""The settings of a backend's own type."""


def _nobody(_stage: str, _done: int, _total: int) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to fit a render into a device's memory."""

    name: str
    summary: str
    device_gib: float
    """Estimated peak memory of the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a render takes, told before anything is loaded."""

    windows: tuple[tuple[str, int], ...] = ()
    """Where frames are made together: the numbers a window covers and how many places it has."""
    steps: int = 0
    evaluations: int = 0
    """How often the largest network runs."""
    rungs: tuple[Rung, ...] = ()
    """From the fastest to the smallest."""
    host_gib: float
    """Memory of the host, the networks aside."""
    state_bytes: int
    """Disk for what is kept beside the frames."""
    operations: float
    """Floating-point operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Which frames a renderer makes in one run, and where it keeps what it needs to go on.

    A run that was killed is given the same folders again and ends in the same bytes.
    """

    missing: tuple[int, ...]
    """Numbers of the frames to return, ascending."""
    made: tuple[int, ...] | None = None
    """Numbers of the frames that are made anew while all others are held; None: all are made."""
    state: Path
    """Folder for what an unfinished run goes on from; emptied when it is finished."""
    kept: Path
    """Folder for what stays with the frames, so that a part of them can be made again."""
    held: Mapping[int, Path] = field(default_factory=dict)
    """For each frame that is held the ``kept`` folder of the take that shows it."""
    first: Path
    """The ``kept`` folder of the render itself, the first take."""
    threads: int | None = None
    """Threads of the processor to compute with, as the render was begun: bytes depend on them.
    None: as many as usual."""
    saved: Callable[[str, int, int], None] = _nobody
    """Told stage, units done and units in all, whenever ``state`` has reached the disk."""
    preview: Path | None = None
    """File for a rough picture of the result so far, as PNG; None: none is wanted."""


class Renderer(ABC, Generic[_S]):
    """Networks that are loaded, or whatever makes the frames."""

    device: str = "cpu"
    """Kind of the device it works on."""

    def prepare(self, staged: Staged) -> None:
        """Make what is made once for a character: it says nothing about the pace of frames.

        Raises:
            CharacterError: the character cannot be used.
        """

    @abstractmethod
    def render(
        self, staged: Staged, settings: _S, work: Work, report: Reporter
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Make frames, one by one in the order of their numbers.

        Args:
            staged: the motion laid over the character.
            settings: of the backend's own type.
            work: which frames, and where its state is.
            report: told how far it is; raises where the host wants to stop.

        Yields:
            Number and picture (height, width, 3) RGB of each frame of ``work.missing``.

        Raises:
            DeviceError: the device cannot do it.
            OutputError: the state cannot be kept, or what is held is not there.
            JobCancelled: the host wants the job to stop.
        """


class Backend(ABC, Generic[_S]):
    """One way to make frames."""

    architecture: ClassVar[str]
    """As models' cards name it."""
    settings: type[_S]
    """The type of its settings in a job."""

    def refuse(self, motion: OpenMotion) -> None:
        """Make sure that frames can be made of a motion of this kind: by default, of any.

        Raises:
            MotionError: they cannot; says which other model can.
        """

    def characters(self, job: RenderJob) -> dict[str, tuple[Path, ...]]:
        """Return the files of a job's characters that change pixels, by what they are.

        By default those of one picture and its pose.

        Raises:
            CharacterError: a layered doll does not tell its files.
        """
        files = find_files(Path(job.character))
        found = {"character": files.own}
        return found if files.pose is None else {**found, "character pose": (files.pose,)}

    @abstractmethod
    def device(self, engine: EngineSettings) -> str:
        """Return the kind of the device that it would compute on."""

    @abstractmethod
    def outline(
        self, bundle: ModelBundle, settings: _S, numbers: tuple[int, ...], device: str
    ) -> Figures:
        """Reckon what a render takes, without loading a network.

        Raises:
            SettingsError: settings do not go together.
            ModelError: the bundle's configuration cannot be read.
        """

    @abstractmethod
    def computed(self, settings: _S, engine: EngineSettings) -> dict[str, str]:
        """Return how this machine computes it, as far as that changes bits: device, number format.

        A render that goes on takes ``threads`` from its record (decision 23): see `Work`.

        Raises:
            DeviceError: the device that is wanted is not there.
        """

    @abstractmethod
    def check_kept(self, kept: Path) -> None:
        """Make sure that a part of a finished render can be made again.

        Args:
            kept: folder of what was kept of the render, as in `Work`.

        Raises:
            OutputError: too little was kept.
        """

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of the libraries that compute it."""

    @abstractmethod
    def open(
        self,
        bundle: ModelBundle,
        settings: _S,
        engine: EngineSettings,
        say: Callable[[str], None],
    ) -> Renderer[_S]:
        """Load a model.

        Args:
            bundle: of this backend's architecture.
            settings: of the render at hand.
            engine: which device and number format to use.
            say: takes what is worth a word later on, such as memory running short.

        Raises:
            ModelError: the files are not what they should be.
            DeviceError: the device cannot hold it.
        """
