# SPDX-License-Identifier: GPL-3.0-or-later
"""The queue of jobs, driven by one timer of Blender that never waits.

What is true is kept here, in `Record`; ``window_manager.marionext.jobs`` is its mirror for the
sidebar and for scripts, for opening a file or undo may replace it at any moment. A job goes through
three things: its motion is recorded in small steps (at once, as the scene is now), it waits its
turn, and the engine renders it. Wherever it fails, the record keeps a message, a hint and the
folder, and `retry` goes on from there.
"""

import itertools
import logging
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from marionext.client import EngineProcess
from marionext.errors import EngineError, JobCancelled, JobError, SettingsError
from marionext.jobs import read_job
from marionext.protocol import Event, Failed, Finished, FrameWritten, Log, Preview, Progress

from ..scene.choices import file_name
from ..state import changes, preferences
from . import engine, folders, jobs, preparing, shots
from .renders import Record, mirror, read_record, renders_of
from .running import DetachedRender, PoseMapRun, Starting, Work, WorkerRender
from .shots import Shot

__all__ = ["Record", "Runner", "runner"]

logger = logging.getLogger(__name__)

INTERVAL = 0.1
"""Seconds between two looks at the engine."""
PATIENCE = 0.02
"""Seconds that one step of recording may take: a step a redraw, and Blender stays usable."""
IDLE_SECONDS = 300.0
"""An engine without work keeps its models loaded for so long; then their memory is given back."""
_CLOSING_SECONDS = 2.0


class Runner:
    """All jobs of this session of Blender."""

    def __init__(self) -> None:
        """Begin without jobs and without an engine."""
        self.records: dict[str, Record] = {}
        self.slowest = 0.0
        """Longest time in seconds that a look at the engine took, recording left out."""
        self.slowest_of_own = 0.0
        """The same as time of this thread: what other programs took is not in it."""
        self._numbers = itertools.count(1)
        self._works: dict[str, Work] = {}
        """What is at work: one job of the queue, and renders that an earlier Blender left."""
        self._engine: EngineProcess | None = None
        self._engine_command: tuple[str, ...] = ()
        self._idle_since = 0.0
        self._changed: set[str] = set()

    # --------------------------------------------------------------------------- what users ask

    def add(
        self,
        scene: Any,
        kind: folders.Kind,
        folder: Path,
        *,
        patient: bool = True,
        hand_over: bool = False,
    ) -> Record:
        """Queue a render of a scene as it is now.

        Args:
            scene: whose settings have passed `jobs.check`.
            kind: of render.
            folder: an empty one, for the job.
            patient: record the motion in small steps, Blender free between them.
            hand_over: only record: another computer renders it.

        Returns:
            The record; its state tells what becomes of it.
        """
        shot = shots.shot_of(scene, kind)
        record = Record.of(shot, folder, f"{folder.name}-{next(self._numbers)}")
        record.patient, record.hand_over = patient, hand_over
        try:
            self._begin_recording(record, scene, shot)
        except EngineError:
            # Nothing is in it but what was just begun.
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self.records[record.job_id] = record
        self._touch(record)
        self._select(record)
        self.wake()
        return record

    def _begin_recording(self, record: Record, scene: Any, shot: Shot) -> None:
        record.show(shot)
        record.preparation = preparing.prepare(
            scene, shot, Path(record.folder), patience=PATIENCE if record.patient else None
        )
        record.state, record.message, record.lost = "RECORDING", "Recording the motion", False

    def cancel(self, record: Record) -> None:
        """Stop a job, wherever it is; what is finished is kept."""
        work = self._works.get(record.job_id)
        if work is not None:
            record.message = "Stopping after the work in hand"
            work.cancel()
            self._touch(record)
        elif record.is_open:
            self._stop_recording(record)
            self._close(record, "CANCELLED", "Cancelled before it began")
        self.wake()

    @staticmethod
    def _stop_recording(record: Record) -> None:
        preparation, record.preparation = record.preparation, None
        if preparation is not None:
            preparation.close()

    def retry(self, record: Record) -> None:
        """Begin a job again that has ended; what its folder holds is not rendered again.

        Raises:
            SettingsError: it is at work, or its scene is gone.
        """
        if record.is_open:
            raise SettingsError(f"{record.name} is at work already")
        folder = Path(record.folder)
        recorded = (folder / folders.JOB_FILE).is_file()
        if recorded:
            record.state, record.message = "QUEUED", "Waiting"
        else:
            scene = self._scene_to_record(record)
            with suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
            self._begin_recording(record, scene, shots.shot_of(scene, record.kind))
        record.hint = record.code = ""
        record.progress, record.seconds_left = 0.0, -1.0
        record.exit_status = record.frames_done = 0
        record.warnings.clear()
        self._touch(record)
        self.wake()

    @staticmethod
    def _scene_to_record(record: Record) -> Any:
        """Return the scene of a job whose motion was not recorded to its end.

        Raises:
            EngineError: it is not there any more, or cannot be rendered.
        """
        here = bool(record.file) and record.file == file_name()
        if record.lost and not here:
            raise SettingsError(
                f"the motion of {record.name} was to be recorded from another file",
                hint=f"Open {record.file} and press Retry there."
                if record.file
                else "It was never saved: render it again.",
            )
        scene = bpy.data.scenes.get(record.scene_name)
        if scene is None:
            raise SettingsError(
                f"the scene {record.scene_name!r}, whose motion was to be recorded, is gone"
            )
        jobs.check(scene, record.kind)
        return scene

    def remove(self, record: Record) -> None:
        """Take a job off the list; its folder stays.

        Raises:
            SettingsError: it is at work.
        """
        if record.is_open:
            raise SettingsError(f"{record.name} is at work: cancel it first")
        del self.records[record.job_id]
        self._changed.discard(record.job_id)
        self.rebuild_mirror()

    def wait(self, record: Record, say: Callable[[str], None]) -> None:
        """Block until a job has ended: for scripts and farms, not for windows.

        Args:
            record: the job.
            say: told in words how far it is, every few seconds.
        """
        told, stage = 0.0, ""
        while record.is_open:
            self._step()
            now = time.monotonic()
            if record.message and (record.message.split()[0] != stage or now - told > 5.0):
                told, stage = now, record.message.split()[0]
                say(f"{record.progress:4.0%}  {record.message}")
            time.sleep(0.01 if record.preparation is None else 0.0)
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
        if any(record.preparation is not None for record in self.records.values()):
            return 0.0
        if any(record.is_open for record in self.records.values()):
            return INTERVAL
        if self._engine is not None:
            if time.monotonic() - self._idle_since < IDLE_SECONDS:
                return 1.0
            self._release_engine()
        return None

    def _step(self) -> None:
        for record in list(self.records.values()):
            if record.preparation is not None:
                self._record_motion(record)
                break
        started, own = time.perf_counter(), time.thread_time()
        for job_id, work in list(self._works.items()):
            self._follow(self.records[job_id], work)
        if not self._works:
            self._start_next()
        self.slowest = max(self.slowest, time.perf_counter() - started)
        self.slowest_of_own = max(self.slowest_of_own, time.thread_time() - own)

    def _record_motion(self, record: Record) -> None:
        assert record.preparation is not None
        try:
            # The share of the whole that recording is said to be.
            record.progress = 0.05 * next(record.preparation)
        except StopIteration as end:
            record.preparation = None
            record.warnings.extend(end.value)
            if record.hand_over:
                record.progress = 1.0
                text = f"Render it with: marionext batch {record.folder}/{folders.JOB_FILE}"
                self._close(record, "FINISHED", text, "\n".join(record.warnings[:3]))
            else:
                record.state, record.message = "QUEUED", "Waiting"
        except EngineError as error:
            record.preparation = None
            self._fail(record, error)
        except Exception as error:
            # Blender data can vanish between two steps: the job fails, the queue goes on.
            logger.exception("recording %s failed", record.name)
            record.preparation = None
            self._close(
                record,
                "FAILED",
                f"Unexpected {type(error).__name__}: {error}",
                "Was something of the scene removed meanwhile? Press Retry to record it again.",
            )
        self._touch(record)

    def _start_next(self) -> None:
        for record in list(self.records.values()):
            if record.state == "QUEUED":
                try:
                    self._works[record.job_id] = Starting(self._beginning_of(record))
                except EngineError as error:
                    self._fail(record, error)
                    continue
                record.state, record.message = "RUNNING", "Starting the engine"
                self._touch(record)
                return

    def _beginning_of(self, record: Record) -> Callable[[], Work]:
        """Return what begins a job on a thread; all that Blender has to say is asked here.

        Raises:
            ProtocolError: there is no engine.
        """
        folder = Path(record.folder)
        job_file = folder / folders.JOB_FILE
        command, settings = engine.find(), engine.engine_settings()
        if record.kind == "POSE_MAPS":
            return lambda: PoseMapRun(folder, read_job(job_file), command)
        if record.patient and preferences.get().on_close == "LEAVE":
            return lambda: DetachedRender.start(folder, job_file, command, settings)
        if self._engine is not None and (
            not self._engine.alive or self._engine_command != command.arguments
        ):
            self._release_engine()

        def begin() -> Work:
            job = read_job(job_file)
            if self._engine is None:
                self._engine_command = command.arguments
                self._engine = EngineProcess(
                    command.call("worker"), environment=engine.environment()
                )
            return WorkerRender(self._engine, job, settings)

        return begin

    def _follow(self, record: Record, work: Work) -> None:
        for event in work.poll():
            self._apply(record, event)
            self._touch(record)
        if not record.is_open:
            del self._works[record.job_id]
            self._idle_since = time.monotonic()

    def _apply(self, record: Record, event: Event) -> None:
        match event:
            case Progress():
                record.progress = 0.05 + 0.95 * event.fraction
                record.message = event.text
                left = event.seconds_left
                record.seconds_left = -1.0 if left is None else left
            case Preview():
                record.preview = event.path
                changes.picture_changed.tell(event.path)
            case FrameWritten():
                record.frames_done += 1
            case Log():
                if event.level == "warning":
                    record.warnings.append(event.text)
                logger.info("%s: %s", record.name, event.text)
            case Finished():
                record.progress, record.video = 1.0, next(iter(event.videos), "")
                record.frames_done = event.frames
                text = f"{event.frames} frames in {_duration(event.seconds)}"
                self._close(record, "FINISHED", text, "\n".join(record.warnings[:3]))
            case Failed():
                record.code, record.exit_status = event.code, event.exit_status
                if event.code == "cancelled":
                    self._close(record, "CANCELLED", "Cancelled; what is finished is kept")
                elif event.code == "protocol":
                    self._close(record, "FAILED", event.message, "Press Retry to go on from here.")
                    self._release_engine()
                else:
                    self._close(record, "FAILED", event.message, event.hint or "")

    def _fail(self, record: Record, error: EngineError) -> None:
        record.code, record.exit_status = error.code, error.exit_status
        self._close(record, "FAILED", error.message, error.hint or "")

    def _close(self, record: Record, state: str, message: str, hint: str = "") -> None:
        record.state, record.message, record.hint = state, message, hint
        record.seconds_left = -1.0
        if state != "FINISHED" and not record.exit_status:
            record.exit_status = (JobCancelled if state == "CANCELLED" else JobError).exit_status
        self._touch(record)

    def _release_engine(self) -> None:
        """Let the engine end; whoever waits for that is a thread that knows nothing of Blender."""
        process, self._engine = self._engine, None
        if process is not None:
            threading.Thread(
                target=process.close, kwargs={"timeout": _CLOSING_SECONDS}, daemon=True
            ).start()

    # ------------------------------------------------------------------------------- the mirror

    def _touch(self, record: Record) -> None:
        self._changed.add(record.job_id)

    def _show(self) -> None:
        """Bring what has changed to the window manager, and have it drawn."""
        if not self._changed:
            return
        items = _session().jobs
        for job_id in self._changed:
            item = next((item for item in items if item.job_id == job_id), None)
            if item is None:
                item = items.add()
            mirror(self.records[job_id], item)
        self._changed.clear()
        changes.jobs_changed.tell()

    def rebuild_mirror(self) -> None:
        """Make the window manager's list anew, in the order of the records."""
        session = _session()
        session.jobs.clear()
        for record in self.records.values():
            mirror(record, session.jobs.add())
        session.job_index = max(0, min(session.job_index, len(session.jobs) - 1))
        changes.jobs_changed.tell()

    def _select(self, record: Record) -> None:
        self._show()
        session = _session()
        for index, item in enumerate(session.jobs):
            if item.job_id == record.job_id:
                session.job_index = index

    # -------------------------------------------------------------------------- files and exits

    def pick_up(self, scene: Any) -> None:
        """List the newest renders of a scene's folder, and follow one that still runs."""
        known = {record.folder for record in self.records.values()}
        for folder in renders_of(scene, folders.output_root(scene)):
            if str(folder) not in known:
                # A damaged folder is not listed.
                with suppress(EngineError, OSError, ValueError, LookupError, TypeError):
                    record = read_record(folder, f"{folder.name}-{next(self._numbers)}")
                    self._resume(record)
                    self.records[record.job_id] = record
        self.rebuild_mirror()
        if any(record.is_open for record in self.records.values()):
            self.wake()

    def _resume(self, record: Record) -> None:
        if record.state == "FINISHED":
            return
        left = DetachedRender.find(Path(record.folder))
        if left is not None:
            self._works[record.job_id] = left
            record.state, record.message = "RUNNING", "Went on while Blender was closed"
            record.frames_done = 0  # the events tell of all frames again
            return
        record.state = "CANCELLED"
        record.message = f"{record.frames_done} of {record.frame_count} frames are there"
        record.hint = "Press Retry to go on."

    def leave_file(self) -> None:
        """Give up what is being recorded: the file that it is recorded from is being closed."""
        for record in self.records.values():
            if record.preparation is not None:
                self._stop_recording(record)
                self._close(
                    record,
                    "FAILED",
                    "The file was closed while its motion was recorded",
                    "Open it again and press Retry.",
                )
            # Whatever has no job file by now was of that file, too.
            record.lost = True

    def close(self) -> None:
        """End the engine, unless it was to outlive Blender; nothing is lost either way."""
        if bpy.app.timers.is_registered(_pump):
            bpy.app.timers.unregister(_pump)
        for work in self._works.values():
            if isinstance(work, Starting):
                work.join(_CLOSING_SECONDS)
                if isinstance(work.begun, PoseMapRun):
                    work.begun.cancel()
        self._works.clear()
        if self._engine is not None:
            self._engine.close(timeout=_CLOSING_SECONDS)
            self._engine = None
        for record in self.records.values():
            self._stop_recording(record)
        self.records.clear()
        self._changed.clear()
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
    if bpy.data.filepath and not runner.records:
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
