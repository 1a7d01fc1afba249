# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of the engine that run for a while and then answer; a timer waits for them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import bpy

from marionext.hosts import Answer, CommandRun

from ..work import engine

__all__ = ["Cancelling", "Done", "Task", "begin", "end", "running", "stop_all"]

_INTERVAL = 0.2

Done = Callable[[Answer], None]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A command under way."""

    name: str
    run: CommandRun
    done: Done
    """Called with the answer."""
    during: Callable[[CommandRun, float], None] | None
    """Called now and then, with the seconds since it was begun."""
    began: float


class Cancelling:
    """Base of operators that stop a task."""

    task: str
    """Its name."""
    tell: Callable[[str], None]
    """Takes away what was said about it."""

    def execute(self, _context: object) -> set[str]:
        """Stop it, if it runs."""
        found = running(self.task)
        if found is None:
            return {"CANCELLED"}
        end(found)
        self.tell("")
        return {"FINISHED"}


_tasks: list[Task] = []


def begin(
    name: str,
    arguments: Sequence[str],
    done: Done,
    *,
    during: Callable[[CommandRun, float], None] | None = None,
    wait: bool = False,
) -> None:
    """Start a command.

    Args:
        name: to find it by.
        arguments: the program and its arguments.
        done: called with the answer.
        during: called now and then while it runs.
        wait: return when it has answered: for scripts.
    """
    run = CommandRun(arguments, engine.environment())
    task = Task(name, run, done, during, time.monotonic())
    _tasks.append(task)
    if wait:
        while task in _tasks:
            _follow()
            time.sleep(0.05)
    elif not bpy.app.timers.is_registered(_follow):
        bpy.app.timers.register(_follow, first_interval=_INTERVAL, persistent=True)


def running(name: str) -> Task | None:
    """Return the task of that name, or None."""
    return next((task for task in _tasks if task.name == name), None)


def end(task: Task) -> None:
    """Stop a command without an answer."""
    _tasks.remove(task)
    task.run.stop()


def stop_all() -> None:
    """Stop everything: the add-on is going away."""
    if bpy.app.timers.is_registered(_follow):
        bpy.app.timers.unregister(_follow)
    for task in _tasks:
        end(task)


def _follow() -> float | None:
    for task in list(_tasks):
        answer = task.run.poll()
        if answer is not None:
            _tasks.remove(task)
            task.done(answer)
        elif task.during is not None:
            task.during(task.run, time.monotonic() - task.began)
    return _INTERVAL if _tasks else None
