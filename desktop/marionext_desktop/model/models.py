"""The models: what is there, fetched with its progress, checked.

``marionext models`` does it, in processes of its own: going online is nothing that the window's
process ever does.
"""

import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, QTimer, Signal

from marionext.errors import EngineError, ModelError, ProtocolError
from marionext.hosts import CommandProcess, CommandRun

__all__ = ["KnownModel", "Models"]

logger = logging.getLogger(__name__)

_POLL_MS = 200

ModelStage = Literal["ready", "absent", "incomplete", "fetching", "checking"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownModel:
    """A model, there or not."""

    name: str
    title: str
    description: str
    kind: str
    """``video``, or ``detector``."""
    stage: ModelStage
    folder: str
    licence: str
    built_in: bool
    gated: str | None
    """Repository whose licence has to be accepted online before it can be fetched."""
    download_bytes: int | None
    fraction: float = 0.0
    """Of the fetch."""
    bytes_per_second: float = 0.0
    message: str = ""
    """What the last check or fetch has said."""

    @property
    def usable(self) -> bool:
        """Whether it can render, or find people."""
        return self.stage in {"ready", "checking"}


class _Fetch:
    """A fetch at work: its progress as lines on its stdout."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="marionext-")
        self._output = Path(self._folder.name) / "out"
        self.errors = Path(self._folder.name) / "err"
        self.process = CommandProcess(
            arguments, output=self._output, errors=self.errors, environment={}
        )
        self._read = 0

    def news(self) -> dict[str, Any] | None:
        """Return the newest progress since the last call."""
        with self._output.open("rb") as file:
            file.seek(self._read)
            whole, end, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(end)
        for line in reversed(whole.splitlines()):
            try:
                found = json.loads(line)
            except ValueError:
                continue
            if isinstance(found, dict) and "done" in found:
                return found
        return None

    def words(self) -> str:
        """Return why it failed."""
        text = self.errors.read_text(encoding="utf-8", errors="replace").strip()
        lines = [line.removeprefix("error:").strip() for line in text.splitlines() if line.strip()]
        return "\n".join(lines[-4:])

    def close(self) -> None:
        """Remove its files."""
        self._folder.cleanup()


class Models(QObject):
    """The models of this user."""

    changed = Signal()
    failed = Signal(str, object)
    """Name of a model, and the `EngineError` that says why it cannot be fetched."""

    def __init__(
        self, *, command: Sequence[str] | None = None, parent: QObject | None = None
    ) -> None:
        """Know nothing before `refresh`.

        Args:
            command: the program and what makes it Marionext; None: this Python's.
            parent: owner in Qt.
        """
        super().__init__(parent)
        self._command = tuple(command or (sys.executable, "-m", "marionext"))
        self._known: dict[str, KnownModel] = {}
        self._listing: CommandRun | None = None
        self._again = False
        self._checks: dict[str, CommandRun] = {}
        self._fetches: dict[str, _Fetch] = {}
        self._stopped: set[str] = set()
        self._timer = QTimer(self, interval=_POLL_MS)
        self._timer.timeout.connect(self._poll)

    @property
    def models(self) -> tuple[KnownModel, ...]:
        """All there are to know of, in the order of their list."""
        return tuple(self._known.values())

    def model(self, name: str) -> KnownModel | None:
        """Return a model by its name."""
        return self._known.get(name)

    def refresh(self) -> None:
        """Look again which are there."""
        if self._listing is not None:
            self._again = True
            return
        self._listing = CommandRun([*self._command, "models", "list", "--json"])
        self._timer.start()

    def fetch(self, name: str) -> None:
        """Fetch a model; what has come already is kept when it is stopped."""
        if name in self._fetches or name not in self._known:
            return
        try:
            fetch = _Fetch([*self._command, "models", "pull", name, "--json"])
        except EngineError as error:
            self.failed.emit(name, error)
            return
        self._fetches[name] = fetch
        self._stopped.discard(name)
        self._set(name, stage="fetching", fraction=0.0, message="")
        self._timer.start()

    def stop(self, name: str) -> None:
        """Stop fetching a model."""
        fetch = self._fetches.get(name)
        if fetch is not None:
            self._stopped.add(name)
            fetch.process.interrupt()

    def check(self, name: str) -> None:
        """Read all of a model's files and compare them with their hashes."""
        if name in self._checks or name not in self._known:
            return
        self._checks[name] = CommandRun([*self._command, "models", "check", name, "--json"])
        self._set(name, stage="checking", message="")
        self._timer.start()

    def close(self) -> None:
        """Stop everything."""
        self._timer.stop()
        for run in (self._listing, *self._checks.values()):
            if run is not None:
                run.stop()
        for fetch in self._fetches.values():
            fetch.process.kill()
            fetch.close()
        self._checks.clear()
        self._fetches.clear()

    # ------------------------------------------------------------------------------------ inside

    def _poll(self) -> None:
        self._poll_listing()
        for name, run in list(self._checks.items()):
            answer = run.poll()
            if answer is not None:
                del self._checks[name]
                self._checked(name, answer.status, answer.output, answer.errors)
        for name, fetch in list(self._fetches.items()):
            self._poll_fetch(name, fetch)
        if self._listing is None and not self._checks and not self._fetches:
            self._timer.stop()

    def _poll_listing(self) -> None:
        answer = None if self._listing is None else self._listing.poll()
        if answer is None:
            return
        self._listing = None
        try:
            rows = json.loads(answer.output)
            known = {row["name"]: _read(row) for row in rows}
        except (ValueError, KeyError, TypeError):
            logger.warning("the models cannot be listed: %s", answer.errors)
            self.failed.emit("", ProtocolError(f"The models cannot be listed.\n{answer.errors}"))
            return
        for name, model in known.items():
            old = self._known.get(name)
            if old is not None:
                at_work = name in self._fetches or name in self._checks
                stage = old.stage if at_work else model.stage
                known[name] = replace(
                    model, stage=stage, fraction=old.fraction, message=old.message
                )
        self._known = known
        self.changed.emit()
        if self._again:
            self._again = False
            self.refresh()

    def _poll_fetch(self, name: str, fetch: _Fetch) -> None:
        # Whether it runs is asked before reading: what it wrote last is then read for certain.
        status = fetch.process.status()
        news = fetch.news()
        if news is not None and status is None:
            total = max(float(news["total"]), 1.0)
            self._set(
                name,
                fraction=min(float(news["done"]) / total, 1.0),
                bytes_per_second=float(news.get("bytes_per_second", 0.0)),
            )
        if status is None:
            return
        words = fetch.words()
        del self._fetches[name]
        fetch.close()
        if status == 0:
            self._set(name, stage="ready", fraction=1.0, message="")
        else:
            stopped = name in self._stopped
            self._set(name, stage="incomplete", message="" if stopped else words)
            if not stopped:
                self.failed.emit(name, ModelError(words or f"The fetch ended with {status}."))
        self.refresh()

    def _checked(self, name: str, status: int, output: str, errors: str) -> None:
        try:
            told = "\n".join(str(each["text"]) for each in json.loads(output))
        except (ValueError, KeyError, TypeError):
            told = errors.removeprefix("error:").strip()
        self._set(name, stage="ready" if status == 0 else "incomplete", message=told)

    def _set(self, name: str, **changes: Any) -> None:
        model = self._known.get(name)
        if model is not None:
            self._known[name] = replace(model, **changes)
            self.changed.emit()


def _read(row: dict[str, Any]) -> KnownModel:
    stages: dict[str, ModelStage] = {
        "ready": "ready", "not here": "absent", "incomplete": "incomplete",
    }  # fmt: skip
    return KnownModel(
        name=row["name"],
        title=row["title"],
        description=row["description"],
        kind=row["kind"],
        stage=stages[row["state"]],
        folder=row["folder"],
        licence=row["licence"],
        built_in=row["built_in"],
        gated=row["gated"],
        download_bytes=row["download_bytes"],
    )
