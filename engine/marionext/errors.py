"""Every error a host may have to show, as one small tree.

::

    EngineError            something went wrong that the user can be told about
    ├── JobError           the job as given cannot be rendered
    │   ├── SettingsError  a setting is unknown, of the wrong type or out of range
    │   ├── MotionError    the motion (video, rig file, pose track, pose maps) cannot be used
    │   └── CharacterError the character picture cannot be used
    ├── ModelError         a model is missing, incomplete, or not the one it should be
    ├── DeviceError        the machine cannot run it: memory, device, driver
    ├── OutputError        results cannot be written: full disk, read-only or busy folder
    ├── ProtocolError      the two ends of the worker's pipe do not understand each other
    └── JobCancelled       the user asked to stop

The message says what was expected and what was found, ``hint`` what to do about it. ``code`` is
the name in the worker protocol, ``exit_status`` the status of the command line.
"""

from typing import ClassVar

__all__ = [
    "CharacterError",
    "DeviceError",
    "EngineError",
    "JobCancelled",
    "JobError",
    "ModelError",
    "MotionError",
    "OutputError",
    "ProtocolError",
    "SettingsError",
]


class EngineError(Exception):
    """Base of all errors meant for the user.

    Args:
        message: what was expected and what was found, in one or two sentences.
        hint: what the user can do, or None.
    """

    code: ClassVar[str] = "failed"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep message and hint apart, so that a host can lay them out as it likes."""
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """Return message and hint as one text."""
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class JobError(EngineError):
    """The job as given cannot be rendered."""

    code = "job"
    exit_status = 3


class SettingsError(JobError):
    """A setting is unknown, of the wrong type, or out of range."""

    code = "settings"
    exit_status = 2


class MotionError(JobError):
    """The motion cannot be read, or holds nothing that can be rendered."""

    code = "motion"


class CharacterError(JobError):
    """The character picture cannot be read or used."""

    code = "character"


class ModelError(EngineError):
    """A model is missing, incomplete, or not the one it should be."""

    code = "model"
    exit_status = 4


class DeviceError(EngineError):
    """The machine cannot run this: out of memory, device absent, driver fault."""

    code = "device"
    exit_status = 5


class OutputError(EngineError):
    """Results cannot be written: full disk, read-only folder, folder in use."""

    code = "output"


class ProtocolError(EngineError):
    """The two ends of the worker's pipe do not understand each other, or one is gone."""

    code = "protocol"


class JobCancelled(EngineError):  # noqa: N818 - nothing went wrong
    """The user asked to stop; everything finished so far is kept."""

    code = "cancelled"
    exit_status = 130
