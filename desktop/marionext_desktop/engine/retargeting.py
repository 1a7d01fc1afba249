"""What the motion becomes on the character: its proportions, and the file that a live fit needs.

A fit is measured on the whole motion. For pictures while somebody scrubs, some dozens of its poses
stand for it, as the engine's live pictures have it (`marionext.jobs.LivePose.motion`).
"""

import shutil
import uuid
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from marionext.errors import EngineError
from marionext.frames import FrameRate
from marionext.pose import PoseTrack, fit, select
from marionext.pose.formats import write_native
from marionext_desktop.engine.characters import CharacterPoses
from marionext_desktop.model.document import Document
from marionext_desktop.model.library import FoundPose
from marionext_desktop.model.places import cache_folder
from marionext_desktop.model.poses import Poses
from marionext_desktop.model.project import Character, Project
from marionext_desktop.model.rendering import chosen_character
from marionext_desktop.model.side_process import SideProcess

__all__ = ["Proportion", "Retarget", "Retargeting", "measure"]

_REST_MS = 600
_SAMPLES = 48
_LIMBS = {
    "Head": ("head",),
    "Torso": ("spine", "shoulders", "hips"),
    "Arms": ("upper arm", "forearm"),
    "Legs": ("thigh", "shin"),
    "Hands": ("palm", "hand"),
}
"""Limbs as the window names them, and the parts that the engine measures."""
_BODY = ("spine", "shoulders", "hips", "upper arm", "forearm", "thigh", "shin")


@dataclass(frozen=True, slots=True)
class Proportion:
    """How long a limb of the character is."""

    limb: str
    """``Head``, ``Torso``, ``Arms``, ``Legs`` or ``Hands``."""
    ratio: float
    """The dancer's being 1, once both are as large."""


@dataclass(frozen=True, slots=True)
class Retarget:
    """What a fit makes of the motion."""

    proportions: tuple[Proportion, ...] = ()
    warnings: tuple[str, ...] = ()
    motion: Path | None = None
    """Poses that a live fit is measured on."""


def measure(
    track: PoseTrack,
    found: FoundPose,
    size: tuple[int, int],
    mode: Literal["none", "linear", "limbs", "inside"],
    output: Path,
) -> Retarget:
    """Measure a fit, and write the poses that a live one is measured on; beside the window.

    Args:
        track: poses of the motion, evenly spread over it.
        found: the character's pose.
        size: of the character's picture.
        mode: the fit.
        output: the ``.npz``.
    """
    write_native(track, output)
    reference = PoseTrack(
        points=found.points[None, None], scores=found.scores[None, None], size=size,
        rate=FrameRate(Fraction(1)),
    )  # fmt: skip
    report = fit(track, reference, mode).report
    measured = fit(track, reference, "limbs").report.ratios if not report.ratios else report.ratios
    return Retarget(_proportions(measured), report.warnings, output)


def _proportions(ratios: dict[str, float]) -> tuple[Proportion, ...]:
    body = [ratios[part] for part in _BODY if part in ratios]
    if not body:
        return ()
    whole = float(np.median(body))
    found = []
    for limb, parts in _LIMBS.items():
        known = [ratios[part] for part in parts if part in ratios]
        if known:
            found.append(Proportion(limb, float(np.mean(known)) / whole))
    return tuple(found)


class Retargeting(QObject):
    """Keeps what a fit makes of the motion up to date."""

    changed = Signal()
    _measured = Signal(object, object)

    def __init__(
        self,
        document: Document,
        poses: Poses,
        characters: CharacterPoses,
        parent: QObject | None = None,
    ) -> None:
        """Measure as soon as poses and character are known."""
        super().__init__(parent)
        self._document, self._poses, self._characters = document, poses, characters
        self._process = SideProcess()
        self._folder = cache_folder("live") / uuid.uuid4().hex[:12]
        self._numbers = 0
        self.now = Retarget()
        """As last measured."""
        self._asked: object = None
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._measure)
        self._measured.connect(self._take)
        for signal in (document.changed, poses.changed, poses.track_ready, characters.changed):
            signal.connect(self._stir)
        self._stir()

    def close(self) -> None:
        """Measure no more, and remove what was written for live fits."""
        self._rest.stop()
        self._process.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _stir(self, *_: object) -> None:
        self._rest.start()

    def _measure(self) -> None:
        project = self._document.project
        what = self._what(project)
        if what is None:
            self._set(Retarget())
            return
        character, found, track = what
        key = (found.points.tobytes(), track.points.tobytes(), project.render.fit, character.size)
        if key == self._asked:
            return
        self._asked = key
        self._numbers += 1
        output = self._folder / f"{self._numbers:06d}.npz"
        size = character.size if min(character.size) > 0 else project.size
        self._process.call(
            measure, track, found, size, project.render.fit, output,
            done=lambda result: self._measured.emit(key, result),
        )  # fmt: skip

    def _what(self, project: Project) -> tuple[Character, FoundPose, PoseTrack] | None:
        """Return the character, its pose and the motion's, or None while one is not known."""
        span = project.span
        if span is None or not project.characters:
            return None
        character = chosen_character(project)
        found = self._characters.pose(character)
        track = self._poses.sequence_track(span)
        if found is None or track is None or not (track.scores > 0).any():
            return None
        step = max(1, -(-len(track) // _SAMPLES))
        numbers = tuple(range(span.start, span.stop, step))
        sampled = select(track, numbers)
        return character, found, replace(sampled, first=0)

    def _take(self, key: object, result: object) -> None:
        if key is not self._asked:
            return
        if isinstance(result, Retarget):
            self._set(result)
        elif isinstance(result, EngineError):
            self._set(Retarget(warnings=(result.message,)))

    def _set(self, retarget: Retarget) -> None:
        if retarget == self.now:
            return
        before, self.now = self.now.motion, retarget
        self.changed.emit()
        if before is not None and before != retarget.motion:
            # A picture may be on its way that is measured on it.
            QTimer.singleShot(5_000, self, lambda: before.unlink(missing_ok=True))
