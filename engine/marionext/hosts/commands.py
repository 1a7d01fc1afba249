"""Commands of the engine that run for a while and then answer: the doctor, fetching a model."""

import json
import os
import re
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from marionext.errors import EngineError
from marionext.files import temporary_folder
from marionext.hosts.processes import CommandProcess, last_words

__all__ = ["Answer", "CommandRun"]

_SECONDS_TO_START = 2.0
_ERROR = re.compile(r"^(?:marionext[\w ]*: )?error: ", re.MULTILINE)
_LAST_BYTES = 8192
"""Read of what a command says while it runs: a long one says megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command has said."""

    status: int
    """Exit status; -1: it could not be started."""
    output: str
    errors: str
    """The end of its stderr, or why it could not be started."""

    @property
    def failure(self) -> str:
        """Why it failed, for people to read: what its last event says, else its stderr."""
        for line in reversed(self.output.splitlines()):
            try:
                told = json.loads(line)
            except ValueError:
                continue
            if isinstance(told, dict) and told.get("type") == "failed":
                return "\n".join(filter(None, (told.get("message"), told.get("hint"))))
        # What it told of its progress before is no reason.
        said = "\n".join(map(str.strip, _ERROR.split(self.errors)[-1].strip().splitlines()))
        return said or f"It ended with status {self.status}."


class CommandRun:
    """One run of a command, asked now and then whether it has ended."""

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the command, on a thread: that can take time.

        Args:
            arguments: the program and its arguments.
            environment: variables laid over this process's own.
        """
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._arguments = list(arguments)
        self._environment = dict(environment or {})
        self._process: CommandProcess | None = None
        self._failure: EngineError | None = None
        try:
            # A folder of its own, removed at the end: the system's may be shared.
            self._folder = temporary_folder("marionext-")
        except EngineError as error:
            self._failure = error
        self._thread = threading.Thread(target=self._start, daemon=True)
        self._thread.start()

    def poll(self) -> Answer | None:
        """Return the answer, once, when it has ended; None before."""
        if self._failure is not None:
            answer = Answer(status=-1, output="", errors=str(self._failure))
        elif self._process is None or (status := self._process.status()) is None:
            return None
        else:
            text = self._output.read_text(encoding="utf-8", errors="replace")
            answer = Answer(status=status, output=text, errors=last_words(self._errors))
        self._clean_up()
        return answer

    @property
    def said(self) -> str:
        """The last lines of its stdout up to now, the first of them cut off."""
        try:
            with self._output.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _LAST_BYTES))
                return file.read().decode("utf-8", errors="replace")
        except OSError:  # not begun yet, or ended and cleaned up
            return ""

    def stop(self) -> None:
        """End it without an answer."""
        self._thread.join(_SECONDS_TO_START)
        if self._process is not None:
            self._process.kill()
        self._clean_up()

    def _clean_up(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def _output(self) -> Path:
        return self._place / "out"

    @property
    def _errors(self) -> Path:
        return self._place / "err"

    @property
    def _place(self) -> Path:
        return Path() if self._folder is None else Path(self._folder.name)

    def _start(self) -> None:
        if self._failure is not None:
            return
        try:
            self._process = CommandProcess(
                self._arguments,
                output=self._output,
                errors=self._errors,
                environment=self._environment,
            )
        except EngineError as error:
            self._failure = error
