"""The paper doll as a backend: figures beforehand, and frames drawn one by one.

Frames know nothing of each other, so nothing is kept between them but the dolls themselves
(`marionext.casting`), and frames of a take are drawn as those of the render are. What mends them
(`marionext.backends.doll.refiner`) is one small network that learnt from drawn figures: it mends
characters in flat colours only, photographs stay as the doll draws them. With ``refine`` off none
runs, and torch is not needed.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from marionext.backends.base import Backend, Figures, Renderer, Work
from marionext.backends.processor import computing_with, threads
from marionext.bundles import ModelBundle
from marionext.casting import find_files
from marionext.doll import MAKER, DollDrawer, Drawn, is_flat
from marionext.errors import MotionError
from marionext.jobs import EngineSettings, RenderJob
from marionext.reporting import Reporter
from marionext.settings import DollSettings
from marionext.sources import OpenMotion
from marionext.staging import Staged

if TYPE_CHECKING:
    from marionext.backends.doll.refiner import Refiner, RefinerNetwork

Made = TypeVar("Made")

__all__ = ["REFINER", "DollBackend", "DollRenderer"]

REFINER = "refiner.safetensors"
"""File of the network's weights, in the model's folder."""

_GIB = 1 << 30
_OPERATIONS = 2_000
"""Floating-point operations for a pixel of a frame, about: a hundredth of a second at 256x384 on
the processor that `marionext.planning` assumes where none has been timed."""
_LIBRARIES = 0.3
"""GiB of memory that the libraries take."""
_BYTES = 200
"""Of memory for a pixel of a frame: its picture, the layers, and what is known of each pixel."""


class DollBackend(Backend[DollSettings]):
    """Characters cut out of their own pictures."""

    architecture = "doll"
    settings = DollSettings

    def refuse(self, motion: OpenMotion) -> None:
        """Refuse ready-made pose maps: a doll is bent along keypoints."""
        if motion.kind == "posemaps":
            raise MotionError(
                "a doll needs keypoints, ready-made pose maps are only pictures of them",
                hint="Give the poses that they were drawn from, or --model puppet.",
            )

    def characters(self, job: RenderJob) -> dict[str, tuple[Path, ...]]:
        """Return the files of everybody's picture, pose and outline."""
        assert isinstance(job.settings, DollSettings)
        found: dict[str, tuple[Path, ...]] = {}
        for person, path in enumerate((job.character, *job.settings.others), start=1):
            name = "character" if person == 1 else f"person {person}"
            files = find_files(Path(path))
            found[name] = files.own
            found |= {f"{name} {what}": (file,) for what, file in files.beside.items()}
        return found

    def device(self, engine: EngineSettings) -> str:  # noqa: ARG002 - there is one only
        """Return the processor."""
        return "cpu"

    def outline(
        self,
        bundle: ModelBundle,  # noqa: ARG002 - the same for all
        settings: DollSettings,
        numbers: tuple[int, ...],
        device: str,  # noqa: ARG002 - there is one only
    ) -> Figures:
        """Reckon from the size of a frame."""
        width, height = settings.size
        return Figures(
            host_gib=_LIBRARIES + width * height * _BYTES / _GIB,
            state_bytes=0,
            operations=float(_OPERATIONS * width * height * len(numbers)),
        )

    def computed(
        self,
        settings: DollSettings,
        engine: EngineSettings,  # noqa: ARG002 - there is one device only
    ) -> dict[str, str]:
        """Return the version of the way dolls are made and drawn; of a network also its threads."""
        computed = {"device": "cpu", "doll": str(MAKER)}
        if settings.refine == "auto":
            # One core draws what the others mend.
            computed["threads"] = str(max(1, threads() - 1))
        return computed

    def check_kept(self, kept: Path) -> None:
        """Ask for nothing: frames know nothing of each other."""

    def versions(self) -> dict[str, str]:
        """Return those of numpy and OpenCV."""
        import cv2  # noqa: PLC0415 - where it is needed only

        return {"numpy": np.__version__, "opencv": str(cv2.__version__)}

    def open(
        self,
        bundle: ModelBundle,
        settings: DollSettings,
        engine: EngineSettings,  # noqa: ARG002 - there is one device only
        say: Callable[[str], None],  # noqa: ARG002 - nothing runs short
    ) -> "DollRenderer":
        """Return what renders; what mends is loaded when there is something to mend."""
        return DollRenderer(bundle.folder / REFINER if settings.refine == "auto" else None)


class DollRenderer(Renderer[DollSettings]):
    """Draws frames, and mends them.

    Args:
        weights: of the network that mends; None: frames stay as they are drawn.
    """

    def __init__(self, weights: Path | None) -> None:
        """Load nothing yet."""
        self._weights = weights
        self._network: RefinerNetwork | None = None

    def prepare(self, staged: Staged) -> None:
        """Make the dolls, or find them where they are kept."""
        _ = staged.dolls

    def render(
        self, staged: Staged, settings: DollSettings, work: Work, report: Reporter
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Draw the frames that are missing."""
        drawer = DollDrawer(staged.dolls, settings.size)
        drawn = self._draw(staged, drawer, work)
        if self._weights is None or not all(is_flat(doll) for doll in staged.dolls):
            for done, (number, frame) in enumerate(drawn, start=1):
                yield number, frame.picture
                report.progress("draw", done, len(work.missing))
            return
        track = staged.fitted
        with computing_with(work.threads):
            refiner = self._refiner(self._weights, settings.size)
            for done, (number, frame) in enumerate(_ahead(drawn), start=1):
                index = number - track.first
                points, scores = track.points[index], track.scores[index]
                yield number, refiner.refine(frame, points, scores, drawer.background)
                report.progress("draw", done, len(work.missing))

    def _refiner(self, weights: Path, size: tuple[int, int]) -> "Refiner":
        from marionext.backends.doll.refiner import Refiner, load_network  # noqa: PLC0415 - torch

        if self._network is None:
            self._network = load_network(weights)
        return Refiner(self._network, size)

    @staticmethod
    def _draw(staged: Staged, drawer: DollDrawer, work: Work) -> Iterator[tuple[int, Drawn]]:
        track = staged.fitted
        depths = track.depths if track.knows_depths else None
        # Of all frames, whichever are missing: what lies over what in one depends on those before.
        orders = drawer.plan(track.points, track.scores, depths)
        for number in work.missing:
            index = number - track.first
            near = None if depths is None else depths[index]
            yield (
                number,
                drawer.draw(track.points[index], track.scores[index], near, orders[index]),
            )


def _ahead(made: Iterable[Made]) -> Iterator[Made]:
    """Yield what is made; a thread makes the next meanwhile."""
    each = iter(made)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(next, each, None)
        while (ready := waiting.result()) is not None:
            waiting = thread.submit(next, each, None)
            yield ready
