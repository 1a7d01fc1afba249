"""What every window over the engine needs, Blender's and the desktop's alike: no bpy, no Qt.

`JobQueue` keeps the order of jobs and has one at work at a time, `SharedEngine` keeps the process
that they run in, `DetachedRender` is a render that outlives its window, `FolderFollower` sees what
becomes of a folder, wherever it is rendered, `LivePictures` shows the character in a pose while it
is being made. Nothing here waits and nothing has a clock of its own: a host calls ``poll`` from its
timer. Standard library only.
"""

from marionext.hosts.commands import Answer, CommandRun
from marionext.hosts.detached import DetachedRender
from marionext.hosts.engines import SharedEngine
from marionext.hosts.following import (
    EventFile,
    FolderFollower,
    FolderState,
    News,
    frame_path,
    read_state,
)
from marionext.hosts.live import LivePictures
from marionext.hosts.processes import CommandProcess, ProcessId
from marionext.hosts.queue import JobEvent, JobQueue, Started, Work

__all__ = [
    "Answer",
    "CommandProcess",
    "CommandRun",
    "DetachedRender",
    "EventFile",
    "FolderFollower",
    "FolderState",
    "JobEvent",
    "JobQueue",
    "LivePictures",
    "News",
    "ProcessId",
    "SharedEngine",
    "Started",
    "Work",
    "frame_path",
    "read_state",
]
