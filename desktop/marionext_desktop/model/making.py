"""Make a character's picture from words: a command of the engine, beside the window."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from marionext.errors import EngineError
from marionext.hosts import CommandRun
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native
from marionext.settings import DEFAULT_PICTURE_MODEL
from marionext_desktop.model.places import home

__all__ = ["CharacterMaker", "CharacterWish"]

_POLL_MS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CharacterWish:
    """What picture is wanted."""

    prompt: str
    negative: str = ""
    base: str = DEFAULT_PICTURE_MODEL
    """Name of a model, its folder, or a checkpoint file."""
    seed: int = 0
    count: int = 1
    steps: int = 0
    """0: as the model has it."""
    pose: PoseTrack | None = None
    """One frame that the picture is steered by."""


class CharacterMaker(QObject):
    """Makes one character at a time.

    Args:
        command: the program and what makes it Marionext; None: this Python's.
        folder: for the pictures; None: the desktop's own.
        parent: owner in Qt.
    """

    progressed = Signal(float, str)
    """Share that is done, and what is being done."""
    made = Signal(object)
    """Paths of the pictures, the first one first."""
    failed = Signal(str)
    """Why there is no picture."""

    def __init__(
        self,
        *,
        command: Sequence[str] | None = None,
        folder: Path | None = None,
        parent: QObject | None = None,
    ) -> None:
        """Make nothing yet."""
        super().__init__(parent)
        self._command = tuple(command or (sys.executable, "-m", "marionext"))
        self._folder = folder or home() / "characters"
        self._run: CommandRun | None = None
        self._out = Path()
        self._timer = QTimer(self, interval=_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def busy(self) -> bool:
        """Whether a picture is being made."""
        return self._run is not None

    def make(self, wish: CharacterWish) -> None:
        """Begin; `made` or `failed` tells the end.

        Raises:
            EngineError: the folder for the pictures cannot be written to.
        """
        if self._run is not None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._out = Path(tempfile.mkdtemp(prefix="made-", dir=self._folder))
        except OSError as error:
            raise EngineError(f"{self._folder} cannot be written to: {error.strerror}") from error
        # Words may begin with a dash.
        line = [*self._command, "image", f"--prompt={wish.prompt}", "--base", wish.base, "--json"]
        line += ["--out", str(self._out), "--seed", str(wish.seed), "--count", str(wish.count)]
        if wish.negative.strip():
            line.append(f"--negative={wish.negative}")
        if wish.steps:
            line += ["--steps", str(wish.steps)]
        if wish.pose is not None:
            # Beside the folder: into it the engine writes, and what it reads may not lie there.
            track = self._out.with_name(f"{self._out.name}.pose.npz")
            write_native(wish.pose, track)
            line += ["--control", f"pose={track}@{wish.pose.first}"]
        self._run = CommandRun(line)
        self._timer.start()

    def stop(self) -> None:
        """Make no picture after all; nothing more is told of it."""
        self._timer.stop()
        if self._run is not None:
            self._run.stop()
            self._run = None

    def _poll(self) -> None:
        run = self._run
        if run is None:
            return
        told = _last_progress(run.said)
        answer = run.poll()
        if answer is None:
            if told is not None:
                self.progressed.emit(*told)
            return
        self._timer.stop()
        self._run = None
        pictures = sorted((self._out / "pictures").glob("*.png"))
        if answer.status == 0 and pictures:
            self.made.emit(pictures)
        else:
            self.failed.emit(answer.failure)


def _last_progress(said: str) -> tuple[float, str] | None:
    """Return share and words of the last line of progress that the engine has written."""
    for line in reversed(said.splitlines()):
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and told.get("type") == "progress":
            return float(told.get("fraction") or 0.0), str(told.get("text") or told["stage"])
    return None
