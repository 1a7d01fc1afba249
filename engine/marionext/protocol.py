"""What host and engine process say to each other: one JSON object a line.

The host sends `Submit`, `Cancel`, `Plan`, `Pose`, `Reference` and `Shutdown`; the engine answers
with events. The first is `Hello`; every job that was accepted ends with exactly one `Finished` or
`Failed`, every question with one `Reply` or `Failed`. Frames and previews travel as paths, the
pictures of live poses in the line itself. ``docs/protocol.md`` describes the exchange.
"""

import binascii
import json
from dataclasses import dataclass, field
from typing import Any

from marionext.codec import decode, encode
from marionext.errors import EngineError, ProtocolError, SettingsError
from marionext.limits import quoted

__all__ = [
    "PROTOCOL_VERSION",
    "Cancel",
    "Command",
    "Event",
    "Failed",
    "Finished",
    "FrameWritten",
    "Hello",
    "Log",
    "Plan",
    "Planned",
    "Pose",
    "Posed",
    "Preview",
    "Progress",
    "Reference",
    "Referenced",
    "Reply",
    "Shutdown",
    "Submit",
    "read_command",
    "read_event",
    "write_line",
]

PROTOCOL_VERSION = 1
"""Grows when an old host could no longer understand the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit:
    """Host: do this."""

    job_id: str
    job: dict[str, Any]
    """A `marionext.jobs.Job` as JSON values; absent keys take their defaults."""
    engine: dict[str, Any] = field(default_factory=dict)
    """`marionext.jobs.EngineSettings` as JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Host: stop this job, queued or running."""

    job_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Host: what will this render take? It is answered while another job runs.

    Of several questions that wait, only the newest is answered; the others fail as ``cancelled``.
    """

    job_id: str
    """Of the question."""
    job: dict[str, Any]
    engine: dict[str, Any] = field(default_factory=dict)
    """As those of `Submit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Host: how does the character look in this pose? It is answered while jobs run.

    Of several questions that wait, only the newest is answered; the others fail as ``cancelled``.
    """

    job_id: str
    """Of the question."""
    pose: dict[str, Any]
    """A `marionext.jobs.LivePose` as JSON values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Host: what pose does this render lay its motion over? It is answered while jobs run.

    The motion itself need not be there yet. Of several questions that wait, only the newest is
    answered; the others fail as ``cancelled``.
    """

    job_id: str
    """Of the question."""
    job: dict[str, Any]
    """As that of `Submit`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Host: cancel everything and end. The end of the engine's stdin means the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """Engine: the first line."""

    protocol: int
    version: str
    """Version of Marionext."""
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Engine: how far a job is."""

    job_id: str
    stage: str
    """``poses``, ``models``, ``denoise``, ``decode`` or ``encode``."""
    done: int
    total: int
    """Units of the stage; 0 where they are not known."""
    fraction: float
    """Of the whole job, 0 to 1, never falling."""
    seconds_left: float | None
    """Estimate for the whole job, or None while there is nothing to go by."""
    text: str
    """The same in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """Engine: a rough picture of the result so far."""

    job_id: str
    path: str
    """PNG, replaced by the next preview."""
    frame: int
    """Number of the frame it shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameWritten:
    """Engine: a frame is complete on disk."""

    job_id: str
    frame: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """Engine: something the user may want to read: a size rounded, a rung of memory taken."""

    job_id: str
    level: str
    """``info`` or ``warning``."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Engine: the job is done."""

    job_id: str
    directory: str
    """The folder of the results, or the one file that was made."""
    frames: int
    videos: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """Engine: the job is over without all of its results."""

    job_id: str
    code: str
    """As `marionext.errors`: ``motion``, ``model``, ``device``, ``cancelled`` ..."""
    message: str
    hint: str | None = None
    exit_status: int = 1

    @classmethod
    def of(cls, job_id: str, error: EngineError) -> "Failed":
        """Make the event of an error."""
        return cls(
            job_id=job_id,
            code=error.code,
            message=error.message,
            hint=error.hint,
            exit_status=error.exit_status,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """Engine: the answer to a `Plan`; a `Failed` with the question's id, where there is none."""

    job_id: str
    outline: dict[str, Any]
    """`marionext.planning.Outline` as JSON values; of pictures, and of pictures made larger,
    `marionext.runs.outlines.PictureOutline`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posed:
    """Engine: the answer to a `Pose`; a `Failed` with the question's id, where there is none."""

    job_id: str
    width: int
    """Of the picture in pixels."""
    height: int
    picture: str
    """Its pixels in base64: RGB of 8 bits, row by row from the top, no header and no padding."""
    seconds: float
    """That the answer took."""

    @classmethod
    def of(
        cls, job_id: str, size: tuple[int, int], pixels: bytes | memoryview, seconds: float
    ) -> "Posed":
        """Make the event of a picture."""
        picture = binascii.b2a_base64(pixels, newline=False).decode("ascii")
        return cls(job_id=job_id, width=size[0], height=size[1], picture=picture, seconds=seconds)

    @property
    def pixels(self) -> bytes:
        """The pixels: ``height * width * 3`` bytes.

        Raises:
            ProtocolError: the engine has sent something else.
        """
        try:
            pixels = binascii.a2b_base64(self.picture)
        except ValueError as error:
            raise ProtocolError(f"expected a picture in base64: {error}") from None
        if len(pixels) != 3 * self.width * self.height:
            raise ProtocolError(
                f"expected {3 * self.width * self.height} bytes of a picture of "
                f"{self.width}x{self.height}, got {len(pixels)}"
            )
        return pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Referenced:
    """Engine: the answer to a `Reference`; a `Failed` with the question's id, where there is none.

    No people: the pose of the character is not known, and the motion is placed without it.
    """

    job_id: str
    width: int
    """Of the render's frame in pixels."""
    height: int
    points: tuple[Any, ...]
    """(people, 134, 2) in pixels of the frame, x to the right, y down."""
    scores: tuple[Any, ...]
    """(people, 134)."""


Command = Submit | Cancel | Plan | Pose | Reference | Shutdown
Reply = Planned | Posed | Referenced
"""What answers a question."""
Event = Hello | Progress | Preview | FrameWritten | Log | Reply | Finished | Failed

_COMMANDS: dict[str, type[Command]] = {
    "submit": Submit,
    "cancel": Cancel,
    "plan": Plan,
    "pose": Pose,
    "reference": Reference,
    "shutdown": Shutdown,
}
_EVENTS: dict[str, type[Event]] = {
    "hello": Hello,
    "progress": Progress,
    "preview": Preview,
    "frame": FrameWritten,
    "log": Log,
    "planned": Planned,
    "posed": Posed,
    "referenced": Referenced,
    "finished": Finished,
    "failed": Failed,
}
_TYPES = {kind: name for name, kind in (*_COMMANDS.items(), *_EVENTS.items())}


def write_line(message: Command | Event) -> str:
    """Return the message as one line, its end included; ASCII, so no encoding can hurt it."""
    return json.dumps({"type": _TYPES[type(message)], **encode(message)}) + "\n"


def read_command(line: str) -> Command:
    """Read a line from the host.

    Raises:
        ProtocolError: the line is no command.
    """
    message = _read(line, _COMMANDS)
    assert isinstance(message, Command)
    return message


def read_event(line: str) -> Event:
    """Read a line from the engine.

    Raises:
        ProtocolError: the line is no event.
    """
    message = _read(line, _EVENTS)
    assert isinstance(message, Event)
    return message


def _read(line: str, kinds: dict[str, Any]) -> object:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        # ValueError: besides what is no JSON, numbers of thousands of digits.
        raise ProtocolError(
            f"expected a JSON object on one line, got {quoted(line)}: {error}"
        ) from None
    if not isinstance(data, dict):
        raise ProtocolError(f"expected a JSON object, got {quoted(line)}")
    name = data.pop("type", None)
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None:
        raise ProtocolError(f"expected a type among {', '.join(kinds)}, got {quoted(line)}")
    try:
        return decode(kind, data)
    except SettingsError as error:
        raise ProtocolError(f"{error.message} in {quoted(line)}", hint=error.hint) from None
