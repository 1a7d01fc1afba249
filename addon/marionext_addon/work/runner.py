# SPDX-License-Identifier: GPL-3.0-or-later
"""All renders of this Blender, driven by one timer that never waits.

What is true is kept here, in `Render`; ``window_manager.marionext.jobs`` is its mirror for the
sidebar and for scripts, for opening a file or undo may replace it at any moment. A render goes
through three things: its motion is recorded in small steps (at once, as the scene is now), it waits
its turn in the queue, and the engine works on it; the last two are `marionext.hosts`'. Wherever it
fails, it keeps a message, a hint and the folder, and `retry` goes on from there.
"""

import itertools
import logging
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from marionext.errors import EngineError, JobCancelled, JobError, SettingsError
from marionext.hosts import DetachedRender, JobEvent, JobQueue, SharedEngine, Started, Work
from marionext.jobs import encode_job, read_job
from marionext.protocol import Failed, Finished, FrameWritten, Log, Preview, Progress

from ..scene.choices import file_name
from ..scene.identity import identity_of
from ..state import changes, preferences
from ..state.messages import without_commands
from . import engine, folders, handing_over, jobs, larger, preparing, shots, takes
from .renders import (
    HandOver,
    Render,
    about,
    handed_over,
    is_here,
    mirror,
    read_render,
    renders_of,
)
from .shots import Shot

__all__ = ["Runner", "runner"]

logger = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between two looks at the engine."""
PATIENCE = 0.02
"""Seconds that one step of recording may take: a step a redraw, and Blender stays usable."""
IDLE_SECONDS = 300.0
"""An engine without work keeps its models loaded for this long."""
_CLOSING_SECONDS = 2.0
_RECORDING = 0.05
"""The share of a whole render that recording its motion is said to be."""


class Runner:
    """All renders of this session of Blender."""

    def __init__(self) -> None:
        """Begin without renders and without an engine."""
        self.renders: dict[str, Render] = {}
        self.slowest = 0.0
        """Longest time in seconds that a look at the engine took, recording left out."""
        self.slowest_of_own = 0.0
        """The same as time of this thread: what other programs took is not in it."""
        self.queue = JobQueue()
        self.engine = SharedEngine(idle_seconds=IDLE_SECONDS)
        self._numbers = itertools.count(1)
        self._changed: set[str] = set()
        self._ended: list[Render] = []
        """Those whose end nobody was told of yet."""

    # --------------------------------------------------------------------------- what users ask

    def add(
        self,
        scene: Any,
        kind: folders.Kind,
        folder: Path,
        *,
        patient: bool = True,
        hand_over: HandOver = "",
    ) -> Render:
        """Queue a render of a scene as it is now.

        Args:
            scene: whose settings have passed `jobs.check`.
            kind: of render.
            folder: an empty one, for the job.
            patient: record the motion in small steps, Blender free between them.
            hand_over: only record: who renders it is in `renders.HandOver`.

        Returns:
            The render; its state tells what becomes of it.
        """
        shot = shots.shot_of(scene, kind)
        render = Render.of(shot, folder, f"{folder.name}-{next(self._numbers)}")
        render.patient, render.hand_over = patient, hand_over
        try:
            self._begin_recording(render, scene, shot)
        except EngineError:
            # Nothing is in it but what was just begun.
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.renders[render.job_id] = render
        self._touch(render)
        self._select(render)
        self.wake()
        return render

    def _begin_recording(self, render: Render, scene: Any, shot: Shot) -> None:
        shot = replace(shot, identity=identity_of(scene, make=True))
        render.show(shot)
        command = engine.find() if render.hand_over == "QUEUE" else None
        patience = PATIENCE if render.patient else None
        preparation = preparing.prepare(scene, shot, Path(render.folder), patience=patience)
        if command is not None:
            preparation = self._then_queue(render, preparation, command)
        render.preparation = preparation
        render.state, render.message, render.lost = "RECORDING", "Recording the motion", False
        render.began = time.monotonic()

    @staticmethod
    def _then_queue(
        render: Render, preparation: preparing.Preparation, command: engine.EngineCommand
    ) -> preparing.Preparation:
        return handing_over.queued(
            preparation, Path(render.folder), command.arguments, engine.environment()
        )

    def cancel(self, render: Render) -> None:
        """Stop a render, wherever it is; what is finished is kept."""
        if render.job_id in self.queue.running:
            render.message = "Stopping after the work in hand"
            self.queue.cancel(render.job_id)
            self._touch(render)
        elif render.is_open:
            self.queue.remove(render.job_id)
            self._stop_recording(render)
            self._close(render, "CANCELLED", "Cancelled before it began")
        self.wake()

    @staticmethod
    def _stop_recording(render: Render) -> None:
        preparation, render.preparation = render.preparation, None
        if preparation is not None:
            preparation.close()

    def retry(self, render: Render) -> None:
        """Begin a job again that has ended; what its folder holds is not rendered again.

        Raises:
            SettingsError: it is at work, or its scene is gone.
        """
        if render.is_open:
            raise SettingsError(f"{render.name} is at work already")
        folder = Path(render.folder)
        recorded = (folder / folders.JOB_FILE).is_file()
        if recorded and render.hand_over == "QUEUE" and render.state == "FAILED":
            render.preparation = self._then_queue(render, preparing.prepared(), engine.find())
            render.state, render.message = "RECORDING", "Recording the motion"
        elif recorded:
            self._enqueue(render)
        else:
            scene = self._scene_to_record(render)
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
            self._begin_recording(render, scene, shots.shot_of(scene, render.kind))
        render.hint = render.code = ""
        render.progress, render.seconds_left = 0.0, -1.0
        render.exit_status = render.frames_done = 0
        render.warnings.clear()
        self._touch(render)
        self.wake()

    def again(self, render: Render, first: int, last: int, seed: int | None = None) -> None:
        """Make a part of a finished render again, as a take of its own.

        Raises:
            EngineError: it is at work, or is no render that is whole.
        """
        self._refuse_unfinished(render)
        takes.write_again(Path(render.folder), first, last, seed)
        self._do_again(render)

    def show_take(self, render: Render, number: int) -> None:
        """Show another take of a finished render; its videos are made anew.

        Raises:
            EngineError: it is at work, or is no render that is whole.
        """
        self._refuse_unfinished(render)
        takes.write_shown(Path(render.folder), number)
        self._do_again(render)

    def make_larger(self, render: Render, by: int, method: str) -> Render:
        """Queue a job that makes the pictures of a finished render larger.

        Args:
            render: whose; it stays as it is.
            by: how many times larger.
            method: of the engine's; empty: the best at that factor.

        Raises:
            EngineError: it is at work, holds no frames that can be made larger, or the job cannot
                be written.
        """
        self._refuse_unfinished(render)
        if render.kind not in {"RENDER", "DRAFT"}:
            raise SettingsError(
                f"{render.name} holds no frames of a render", hint="Make a render's larger."
            )
        engine.find()
        folder = larger.write_larger(Path(render.folder), by, method, video=bool(render.video))
        made = Render.of(shots.read_shot(folder), folder, f"{folder.name}-{next(self._numbers)}")
        made.about, made.patient = about(folder), render.patient
        self.renders[made.job_id] = made
        self._enqueue(made)
        self._touch(made)
        self._select(made)
        self.wake()
        return made

    @staticmethod
    def _refuse_unfinished(render: Render) -> None:
        # One whose last take was cancelled, or failed, is as whole as before.
        if render.is_open or not render.whole:
            raise SettingsError(
                f"{render.name} is not finished", hint="Wait for its last frame, or press Retry."
            )

    def _do_again(self, render: Render) -> None:
        render.job_file = takes.AGAIN_FILE
        self._enqueue(render)
        render.hint = ""
        render.progress, render.frames_done = 0.0, 0
        render.warnings.clear()
        self._touch(render)
        self.wake()

    @staticmethod
    def _scene_to_record(render: Render) -> Any:
        """Return the scene of a job whose motion was not recorded to its end.

        Raises:
            EngineError: it is not there any more, or cannot be rendered.
        """
        here = bool(render.file) and render.file == file_name()
        if render.lost and not here:
            raise SettingsError(
                f"the motion of {render.name} was to be recorded from another file",
                hint=f"Open {render.file} and press Retry there."
                if render.file
                else "It was never saved: render it again.",
            )
        scene = bpy.data.scenes.get(render.scene_name)
        if scene is None:
            raise SettingsError(
                f"the scene {render.scene_name!r}, whose motion was to be recorded, is gone"
            )
        jobs.check(scene, render.kind)
        return scene

    def rename(self, render: Render, title: str) -> None:
        """Call a render something else than its folder; kept beside its job.

        Raises:
            EngineError: its folder cannot be read or written.
        """
        folder = Path(render.folder)
        shots.write_shot(replace(shots.read_shot(folder), title=title.strip()), folder)
        render.name = title.strip() or folder.name
        self._touch(render)
        self._show()

    def delete(self, render: Render) -> tuple[str, ...]:
        """Take a job off the list, and what was written for it off the disk.

        Returns:
            Names of what lies in its folder and is not ours: that stays.

        Raises:
            EngineError: it is at work, or something cannot be removed.
        """
        self.remove(render)
        return folders.delete(Path(render.folder))

    def remove(self, render: Render) -> None:
        """Take a job off the list; its folder stays.

        Raises:
            SettingsError: it is at work.
        """
        if render.is_open:
            raise SettingsError(f"{render.name} is at work: cancel it first")
        del self.renders[render.job_id]
        self._changed.discard(render.job_id)
        self.rebuild_mirror()

    def wait(self, render: Render, say: Callable[[str], None]) -> None:
        """Block until a job has ended: for scripts and farms, not for windows.

        Args:
            render: the job.
            say: told in words how far it is, every few seconds.
        """
        told, stage = 0.0, ""
        while render.is_open:
            self._step()
            now = time.monotonic()
            if render.message and (render.message.split()[0] != stage or now - told > 5.0):
                told, stage = now, render.message.split()[0]
                say(f"{render.progress:4.0%}  {render.message}")
            time.sleep(0.01 if render.preparation is None else 0.0)
        self._show()

    # ---------------------------------------------------------------------------- what drives it

    def wake(self) -> None:
        """Have the timer run."""
        if not bpy.app.timers.is_registered(_pump):
            bpy.app.timers.register(_pump, first_interval=0.0, persistent=True)
        self._show()

    def pump(self) -> float | None:
        """Look after everything once; return when to look again, None when there is no need."""
        self._step()
        self._show()
        if any(render.preparation is not None for render in self.renders.values()):
            return 0.0
        if any(render.is_open for render in self.renders.values()):
            return INTERVAL
        return 1.0 if self.engine.rest() else None

    def _step(self) -> None:
        for render in list(self.renders.values()):
            if render.preparation is not None:
                self._record_motion(render)
                break
        started, own = time.perf_counter(), time.thread_time()
        grown = {}
        for event in self.queue.poll():
            render = self.renders[event.job_id]
            self._apply(render, event)
            self._touch(render)
            if isinstance(event, FrameWritten | Finished | Failed):
                grown[render.job_id] = render
        for render in grown.values():
            changes.frames_came.tell(render)
        self.slowest = max(self.slowest, time.perf_counter() - started)
        self.slowest_of_own = max(self.slowest_of_own, time.thread_time() - own)

    def _record_motion(self, render: Render) -> None:
        assert render.preparation is not None
        try:
            done = next(render.preparation)
            # The share of the whole that recording is said to be.
            render.progress = _RECORDING * done.done / max(done.total, 1)
            render.message = f"Recording the motion {done.done}/{done.total}"
            spent = time.monotonic() - render.began
            if 0 < done.done < done.total and spent > 1.0:
                render.seconds_left = spent * (done.total - done.done) / done.done
        except StopIteration as end:
            render.preparation = None
            render.warnings.extend(end.value)
            with suppress(EngineError, OSError):
                render.about = about(Path(render.folder))
            if render.hand_over:
                render.progress = 1.0
                self._close(render, "FINISHED", handed_over(render), "\n".join(render.warnings[:3]))
            else:
                self._enqueue(render)
        except EngineError as error:
            render.preparation = None
            self._fail(render, error)
        except Exception as error:
            # Blender data can vanish between two steps: the job fails, the queue goes on.
            logger.exception("recording %s failed", render.name)
            render.preparation = None
            self._close(
                render,
                "FAILED",
                f"Unexpected {type(error).__name__}: {error}",
                "Was something of the scene removed meanwhile? Press Retry to record it again.",
            )
        self._touch(render)

    def _enqueue(self, render: Render) -> None:
        render.state, render.message, render.seconds_left = "QUEUED", "Waiting", -1.0
        self.queue.add(render.job_id, lambda: self._beginning_of(render))

    def _beginning_of(self, render: Render) -> Callable[[], Work]:
        """Return what begins a job on a thread; all that Blender has to say is asked here.

        Raises:
            ProtocolError: there is no engine.
        """
        folder = Path(render.folder)
        job_file = folder / render.job_file
        command, settings = engine.find(), engine.engine_settings()
        environment = engine.environment()
        if render.patient and preferences.get().on_close == "LEAVE":
            return lambda: DetachedRender.start(
                folder,
                job_file,
                command=command.arguments,
                device=str(settings["device"]),
                environment=environment,
            )
        return lambda: self.engine.begin(
            encode_job(read_job(job_file)),
            settings,
            command=command.call("worker"),
            environment=environment,
        )

    def _apply(self, render: Render, event: JobEvent) -> None:
        match event:
            case Started():
                render.state, render.message = "RUNNING", "Starting the engine"
            case Progress():
                render.progress = _RECORDING + (1 - _RECORDING) * event.fraction
                render.message = event.text
                if render.kind == "POSE_MAPS" and event.stage == "encode" and event.total:
                    # There is no other stage to speak of.
                    render.progress = _RECORDING + (1 - _RECORDING) * event.done / event.total
                    render.message = f"drawing {event.done}/{event.total}"
                left = event.seconds_left
                render.seconds_left = -1.0 if left is None else left
            case Preview():
                render.preview = event.path
                changes.picture_changed.tell(event.path)
            case FrameWritten():
                render.frames_done += 1
            case Log():
                if event.level == "warning":
                    render.warnings.append(without_commands(event.text))
                logger.info("%s: %s", render.name, event.text)
            case Finished():
                render.progress, render.video = 1.0, next(iter(event.videos), "")
                render.frames_done = event.frames
                render.whole = True
                self._count_takes(render)
                render.job_file = folders.JOB_FILE
                text = f"{event.frames} frames in {_duration(event.seconds)}"
                self._close(render, "FINISHED", text, "\n".join(render.warnings[:3]))
            case Failed():
                render.code, render.exit_status = event.code, event.exit_status
                self._count_takes(render)
                if event.code == "cancelled":
                    self._close(render, "CANCELLED", "Cancelled; what is finished is kept")
                elif event.code == "protocol" and render.state == "RUNNING":
                    self._close(render, "FAILED", event.message, "Press Retry to go on from here.")
                else:
                    # What was noticed while the motion was recorded explains most failures.
                    advice = without_commands(event.hint or "")
                    hint = "\n".join([*render.warnings[:3], advice]).strip()
                    self._close(render, "FAILED", event.message, hint)

    @staticmethod
    def _count_takes(render: Render) -> None:
        if render.whole:  # else there can be none
            render.takes = max(0, len(takes.takes_of(Path(render.folder))) - 1)

    def _fail(self, render: Render, error: EngineError) -> None:
        render.code, render.exit_status = error.code, error.exit_status
        self._close(render, "FAILED", error.message, error.hint or "")

    def _close(self, render: Render, state: str, message: str, hint: str = "") -> None:
        render.state, render.message, render.hint = state, message, hint
        render.seconds_left = -1.0
        if state != "FINISHED" and not render.exit_status:
            render.exit_status = (JobCancelled if state == "CANCELLED" else JobError).exit_status
        self._touch(render)
        self._ended.append(render)

    # ------------------------------------------------------------------------------- the mirror

    def _touch(self, render: Render) -> None:
        self._changed.add(render.job_id)

    def _show(self) -> None:
        """Bring what has changed to the window manager, and have it drawn."""
        if not self._changed:
            return
        items = _session().jobs
        for job_id in self._changed:
            item = next((item for item in items if item.job_id == job_id), None)
            if item is None and not is_here(self.renders[job_id]):
                continue
            mirror(self.renders[job_id], item or items.add())
        self._changed.clear()
        changes.jobs_changed.tell()
        ended, self._ended = self._ended, []
        for render in ended:
            changes.job_ended.tell(render)

    def rebuild_mirror(self) -> None:
        """Rebuild the window manager's list in the order of the renders.

        What has ended and was made of another file is left out: its own file lists it.
        """
        session = _session()
        session.jobs.clear()
        for render in self.renders.values():
            if render.is_open or is_here(render):
                mirror(render, session.jobs.add())
        session.job_index = max(0, min(session.job_index, len(session.jobs) - 1))
        changes.jobs_changed.tell()

    def _select(self, render: Render) -> None:
        self._show()
        session = _session()
        for index, item in enumerate(session.jobs):
            if item.job_id == render.job_id:
                session.job_index = index

    # -------------------------------------------------------------------------- files and exits

    def pick_up(self, scene: Any) -> None:
        """List the newest renders of a scene's folder, and follow one that still runs."""
        known = {render.folder for render in self.renders.values()}
        for folder in renders_of(scene, folders.output_roots(scene)):
            if str(folder) not in known:
                # A folder without a job or a shot that can be read is not listed.
                with suppress(EngineError, OSError):
                    render = read_render(folder, f"{folder.name}-{next(self._numbers)}")
                    self._resume(render)
                    self.renders[render.job_id] = render
        self.rebuild_mirror()
        session = _session()
        session.job_index = max(0, len(session.jobs) - 1)  # the newest
        if any(render.is_open for render in self.renders.values()):
            self.wake()

    def _resume(self, render: Render) -> None:
        if render.state == "FINISHED":
            return
        left = DetachedRender.find(Path(render.folder))
        if left is not None:
            self.queue.adopt(render.job_id, left)
            render.state, render.message = "RUNNING", "Went on while Blender was closed"
            render.hint, render.frames_done = "", 0  # the events tell of all frames again
        elif render.state != "FAILED":
            render.state = "CANCELLED"
            render.message = f"{render.frames_done} of {render.frame_count} frames are there"
            render.hint = "Press Retry to go on."

    def leave_file(self) -> None:
        """Give up what is being recorded: the file that it is recorded from is being closed."""
        for render in self.renders.values():
            if render.preparation is not None:
                self._stop_recording(render)
                self._close(
                    render,
                    "FAILED",
                    "The file was closed while its motion was recorded",
                    "Open it again and press Retry.",
                )
            # Whatever has no job file by now was of that file, too.
            render.lost = True

    def close(self) -> None:
        """End the engine, unless it was to outlive Blender; nothing is lost either way."""
        if bpy.app.timers.is_registered(_pump):
            bpy.app.timers.unregister(_pump)
        self.queue.close(timeout=_CLOSING_SECONDS)
        self.engine.close(timeout=_CLOSING_SECONDS)
        for render in self.renders.values():
            self._stop_recording(render)
        self.renders.clear()
        self._changed.clear()
        self._ended.clear()
        # Blender would keep the list, for the add-on enabled again to show.
        _session().jobs.clear()


runner = Runner()
"""The one of this Blender."""


def _pump() -> float | None:
    return runner.pump()


def _session() -> Any:
    return bpy.context.window_manager.marionext


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole / 3600:.1f} h"


@persistent  # type: ignore[untyped-decorator]
def _opened(_path: object) -> None:
    """Show the jobs in the file that was opened, and what its folder holds."""
    runner.rebuild_mirror()
    for scene in bpy.data.scenes:
        runner.pick_up(scene)


@persistent  # type: ignore[untyped-decorator]
def _leaving(_path: object) -> None:
    runner.leave_file()


def _look_here() -> None:
    """Find the renders of the file that was open before the add-on was enabled."""
    if bpy.data.filepath and not runner.renders:
        _opened("")


def register() -> None:
    """Follow the opening of files."""
    bpy.app.handlers.load_pre.append(_leaving)
    bpy.app.handlers.load_post.append(_opened)
    if not bpy.app.background:
        # Add-ons that are enabled when Blender starts may not look at any file yet.
        bpy.app.timers.register(_look_here, first_interval=0.0)


def unregister() -> None:
    """End what runs."""
    if bpy.app.timers.is_registered(_look_here):
        bpy.app.timers.unregister(_look_here)
    bpy.app.handlers.load_pre.remove(_leaving)
    bpy.app.handlers.load_post.remove(_opened)
    runner.close()
