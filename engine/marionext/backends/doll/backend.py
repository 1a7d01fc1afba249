"""The paper doll as a backend: figures beforehand, and frames drawn one by one.

Frames know nothing of each other, so nothing is kept between them but the dolls themselves
(`marionext.casting`), and frames of a take are drawn as those of the render are. What mends them
(`marionext.backends.doll.refiner`) is one small network; with ``refine`` off none runs, and torch
is not needed.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from marionext import presets
from marionext.backends.base import Backend, Figures, Renderer, Work
from marionext.backends.processor import computing_with, threads
from marionext.bundles import ModelBundle
from marionext.casting import find_files
from marionext.doll import MAKER, DollDrawer
from marionext.errors import MotionError
from marionext.jobs import EngineSettings, RenderJob
from marionext.reporting import Reporter
from marionext.settings import DollSettings
from marionext.sources import OpenMotion
from marionext.staging import Staged

if TYPE_CHECKING:
    from marionext.backends.doll.refiner import Refiner, RefinerNetwork

__all__ = ["REFINER", "DollBackend", "DollRenderer", "refines"]

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
        if refines(settings):
            computed["threads"] = str(threads())
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
        """Load the network that mends, where one is wanted."""
        if not refines(settings):
            return DollRenderer(None)
        from marionext.backends.doll.refiner import load_network  # noqa: PLC0415 - torch

        return DollRenderer(load_network(bundle.folder / REFINER))


def refines(settings: DollSettings) -> bool:
    """Tell whether frames are mended: it is wanted, and the weights are there."""
    return settings.refine == "auto" and (presets.folder("doll") / REFINER).is_file()


class DollRenderer(Renderer[DollSettings]):
    """Draws frames, and mends them."""

    def __init__(self, network: "RefinerNetwork | None") -> None:
        """Keep the network; None: frames stay as they are drawn."""
        self._network = network

    def prepare(self, staged: Staged) -> None:
        """Make the dolls, or find them where they are kept."""
        _ = staged.dolls

    def render(
        self, staged: Staged, settings: DollSettings, work: Work, report: Reporter
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Draw the frames that are missing."""
        if self._network is None:
            yield from self._draw(staged, settings, work, report, None)
            return
        from marionext.backends.doll.refiner import Refiner  # noqa: PLC0415 - torch

        with computing_with(work.threads):
            refiner = Refiner(self._network, settings.size)
            yield from self._draw(staged, settings, work, report, refiner)

    def _draw(
        self,
        staged: Staged,
        settings: DollSettings,
        work: Work,
        report: Reporter,
        refiner: "Refiner | None",
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        track = staged.fitted
        drawer = DollDrawer(staged.dolls, settings.size)
        depths = track.depths if track.knows_depths else None
        # Of all frames, whichever are missing: what lies over what in one depends on those before.
        orders = drawer.plan(track.points, track.scores, depths)
        for done, number in enumerate(work.missing, start=1):
            index = number - track.first
            points, scores = track.points[index], track.scores[index]
            near = None if depths is None else depths[index]
            drawn = drawer.draw(points, scores, near, orders[index])
            picture = drawn.picture
            if refiner is not None:
                picture = refiner.refine(drawn, points, scores, drawer.background)
            yield number, picture
            report.progress("draw", done, len(work.missing))
