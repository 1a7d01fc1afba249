# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview: the character in the pose of the current frame, while it is being made.

Handlers only note that something has moved; a timer reads the pose, asks the engine, and brings the
newest picture to the image *Marionext Live*. Nothing waits: a pose that was overtaken is never
drawn.

A render fits its motion as a whole. So that the preview agrees with it, the fit is measured on
poses spread over the range (`measuring`). A bone thus moves against a fit that stands still while
it is moved. Where there are edits, the whole range is recorded: some of them look at other frames.
"""

import math
import shutil
import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent
from numpy.typing import NDArray

from marionext.errors import EngineError
from marionext.files import explain
from marionext.hosts import LivePictures
from marionext.jobs import LivePose
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native
from marionext.protocol import Failed, Posed

from ..scene import cameras, choices, filmed
from ..scene.edits import edits_of
from ..scene.live import Watcher, look_through
from ..state import changes
from ..state.messages import without_commands
from . import engine, jobs, shots
from .edited import edited_pose, pose_of, thinned
from .editors import image_editors, redraw
from .measuring import Measuring
from .reference import character_of
from .runner import runner

__all__ = [
    "IMAGE",
    "Picture",
    "image_or_none",
    "picture",
    "previews",
    "pump",
    "register",
    "switch",
    "unregister",
]

IMAGE = "Marionext Live"
"""Name of the image."""
_MARK = "marionext_live"
_SECONDS = 0.02
"""Between two looks at what has moved and what has come."""
_REST = 1.0
"""Seconds without a new picture after which the last one is packed."""
_MEASURED = 48
"""Poses that a fit is measured on; a shorter range is measured whole."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture that came last, and what was looked at when it was asked for."""

    number: int
    pixels: NDArray[np.float32]
    """(height, width, 4) in the display's colours, from the bottom up."""
    look: cameras.Look | None
    """Of the camera; None: there is none, and the motion comes from a file."""
    size: tuple[int, int]
    """Of the picture that was asked for."""


class _Preview:
    """What exists while the preview is on."""

    def __init__(self) -> None:
        # Within Blender's own, which it takes away when it quits.
        try:
            self.folder = Path(tempfile.mkdtemp(prefix="marionext-live-", dir=bpy.app.tempdir))
        except OSError as error:
            raise explain(error, Path(bpy.app.tempdir)) from None
        self.watcher = Watcher(draft=True)
        self.pictures = LivePictures(runner.engine)
        self.moved = True
        """Whether the pose may have changed since it was read."""
        self.measuring = Measuring("DRAFT", most=_MEASURED)
        """The poses that the fit is measured on."""
        self.recorded: PoseTrack | None = None
        """The whole motion with each pose at its number, where edits look at it."""
        self.motion: str | None = None
        """Their file."""
        self.written: PoseTrack | None = None
        """What is in it."""
        self.asked: LivePose | None = None
        self.look: cameras.Look | None = None
        """Of the camera, for it."""
        self.unedited: PoseTrack | None = None
        """The pose of it, before edits."""
        self.asked_at = 0.0
        self.frame = 0.0
        """Of the scene, when the pose was read last."""
        self.lag = 0.0
        """Seconds from the last question that was answered to its picture."""
        self.drawing = 0.0
        """Seconds of them that the engine took."""
        self.shown = 0
        """Pictures so far."""
        self.pixels: NDArray[np.float32] | None = None
        """(height, width, 4) of the last one, from the bottom up."""
        self.packed = True
        self.slowest = 0.0
        """Longest time in seconds that Blender was kept by one look."""

    def close(self) -> None:
        """Leave nothing behind; the engine goes when it has been idle for a while."""
        self.pictures.forget()
        self.measuring.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        _remove_image()
        runner.wake()

    # ------------------------------------------------------------------------------- each tick

    def step(self) -> None:
        """Look after everything once.

        Raises:
            EngineError: the preview cannot go on.
        """
        if bpy.app.is_job_running("RENDER"):
            return  # the scene is the renderer's
        scene, layer = bpy.context.scene, bpy.context.view_layer
        self._keep_measured(scene)
        if self.moved:
            self.moved = False
            self._ask(scene, layer)
        answer = self.pictures.poll()
        if isinstance(answer, Failed):
            raise _told(answer)
        if answer is not None:
            self._show(answer)
        elif not self.packed and time.monotonic() - self.asked_at > _REST:
            self._pack()

    def _ask(self, scene: Any, layer: Any) -> None:
        fit = scene.marionext.pose_fit
        if fit != "none" and self.motion is None:
            return  # asked as soon as it is measured
        try:
            now, look = self._see(scene, layer)
            edited = edited_pose(now, edits_of(scene, now.size), self._motion_for(now))
        except EngineError as error:
            _say(error.message, error.hint or "")
            return
        pose = LivePose(
            character=str(character_of(scene, "DRAFT")),
            width=now.size[0],
            height=now.size[1],
            points=tuple(edited.points[0].tolist()),
            scores=tuple(edited.scores[0].tolist()),
            depths=tuple(edited.depths[0].tolist()) if edited.knows_depths else None,
            fit=fit,
            motion=None if fit == "none" else self.motion,
        )
        if pose == self.asked:
            return  # what has changed is not in the picture
        if scene.frame_current_final == self.frame and not self._stands(now):
            self.measuring.note_change()  # not the timeline has moved, but something in it
        self.frame = scene.frame_current_final
        self.asked, self.asked_at = pose, time.monotonic()
        self.look, self.unedited = look, now
        self.pictures.ask(
            pose, command=engine.find().call("worker"), environment=engine.environment()
        )

    def _see(self, scene: Any, layer: Any) -> tuple[PoseTrack, cameras.Look | None]:
        """Return the pose of the current frame, with its number, and what the camera sees.

        Raises:
            EngineError: there is nobody, or no camera that is needed.
        """
        if not filmed.is_filmed(scene):
            shown = self.watcher.look(scene, layer)
            return pose_of(shown, _number(scene)), shown.look
        size = choices.render_size(scene, draft=True)
        moment = scene.frame_current + Fraction(float(scene.frame_subframe))
        pose = filmed.poses_at(
            scene,
            (moment,),
            size,
            fit=scene.marionext.fit,
            rate=choices.frame_rate(scene),
            first=_number(scene),
        )
        has_camera = choices.camera_of(scene) is not None
        return pose, look_through(scene, layer, size) if has_camera else None

    def _stands(self, now: PoseTrack) -> bool:
        """Tell whether the figure stands as it was asked for last, whatever else is new."""
        before = self.unedited
        return before is None or (
            np.array_equal(before.points, now.points) and np.array_equal(before.scores, now.scores)
        )

    def _motion_for(self, now: PoseTrack) -> PoseTrack | None:
        """Return the recorded motion if it is of the same people in the same picture."""
        whole = self.recorded
        if whole is None or (whole.size, whole.people) != (now.size, now.people):
            return None
        return whole

    def _show(self, posed: Posed) -> None:
        self.lag, self.drawing = time.monotonic() - self.asked_at, posed.seconds
        self.shown += 1
        size = (posed.width, posed.height)
        if self.pixels is None or self.pixels.shape[:2] != (size[1], size[0]):
            self.pixels = np.ones((size[1], size[0], 4), dtype=np.float32)
        rows = np.frombuffer(posed.pixels, dtype=np.uint8).reshape(size[1], size[0], 3)
        np.multiply(rows[::-1], np.float32(1 / 255), out=self.pixels[..., :3])
        _write_image(self.pixels)
        self.packed = False
        changes.live_came.tell()
        _say("")

    def _pack(self) -> None:
        """Let the image count as saved: else Blender asks about it before it quits."""
        self.packed = True
        image = image_or_none()
        if image is not None and image.has_data:
            image.pack()

    # -------------------------------------------------------------------------------- the fit

    def _keep_measured(self, scene: Any) -> None:
        """Record poses for the fit and for edits where there are none, or others are needed."""
        is_edited = any(edit.enabled for edit in scene.marionext.edits)
        self.measuring.most = None if is_edited else _MEASURED
        if scene.marionext.pose_fit == "none" and not is_edited:
            return
        ended = self.measuring.step(scene)
        if ended and self.measuring.failed is not None:
            if self.motion is None:
                raise self.measuring.failed
            # What was measured before serves until the next change.
            _say(self.measuring.failed.message, self.measuring.failed.hint or "")
            return
        if self.measuring.busy and self.motion is None:
            _say("Recording the motion")
        track = self.measuring.track
        if not ended or track is None:
            return
        self.moved = True
        if track is not self.written:
            self.written = track
            # Another name each time, so that a question says which it means.
            path = self.folder / f"motion-{self.measuring.count}.npz"
            write_native(thinned(track, _MEASURED), path)
            self.motion = str(path)
        self.recorded = _on_its_own_numbers(track, self.measuring.shot) if is_edited else None


def _on_its_own_numbers(track: PoseTrack, shot: shots.Shot | None) -> PoseTrack | None:
    """Return a recording of all of a shot on the shot's numbers."""
    if shot is None or len(track) != shot.count:
        return None
    return shots.on_its_own_numbers(track.with_(first=shot.first), shot)


def _number(scene: Any) -> int:
    """Return the number that the current frame has in a recording, or the one before has."""
    first = choices.frame_numbers(scene).start
    per_frame: Fraction = choices.frame_rate(scene).fraction / choices.scene_rate(scene).fraction
    now: Fraction = scene.frame_current + Fraction(float(scene.frame_subframe))
    return math.floor(first + (now - first) * per_frame)


def _told(failed: Failed) -> EngineError:
    return EngineError(
        without_commands(failed.message), hint=without_commands(failed.hint or "") or None
    )


# ------------------------------------------------------------------------------------- the image


def picture() -> Picture | None:
    """Return the picture that came last, or None."""
    for preview in previews:
        if preview.pixels is not None and preview.unedited is not None:
            size = preview.unedited.size
            return Picture(preview.shown, preview.pixels, preview.look, size)
    return None


def image_or_none() -> Any:
    """Return the image of the preview, or None."""
    return next((image for image in bpy.data.images if image.get(_MARK)), None)


def _write_image(pixels: NDArray[np.float32]) -> None:
    height, width = pixels.shape[:2]
    image = image_or_none()
    if image is None:
        image = bpy.data.images.new(IMAGE, width, height, alpha=False)
        image[_MARK] = True
        _show_image(image)
    if tuple(image.size) != (width, height):
        image.scale(width, height)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    redraw([image])


def _show_image(image: Any) -> None:
    """Give the image to an Image Editor that shows nothing."""
    for space, _ in image_editors():
        if space.image is None:
            space.image = image
            return


def _remove_image() -> None:
    for image in [image for image in bpy.data.images if image.get(_MARK)]:
        bpy.data.images.remove(image)


# ------------------------------------------------------------------------------ on, off, handlers

previews: list[_Preview] = []
"""The one that is on, or none."""


def switch(on: bool, message: str = "", hint: str = "") -> None:
    """Switch the preview on or off.

    Args:
        on: whether it is wanted.
        message: why it was switched off, for people to read.
        hint: what to do about it.
    """
    if on and not previews:
        try:
            engine.find()
            jobs.check(bpy.context.scene, "POSE_MAPS")
            character_of(bpy.context.scene, "DRAFT")
            preview = _Preview()
        except EngineError as error:
            on, message, hint = False, error.message, error.hint or ""
        else:
            _remove_image()  # one that undo or a file has brought back
            previews.append(preview)
            _listen(True)
            message = "Starting the engine"
    while previews and not on:
        _listen(False)
        previews.pop().close()
    session = bpy.context.window_manager.marionext
    if session.live != on:
        session.live = on  # tells `_switched`, which finds nothing to do
    _say(message, hint)


def _say(message: str, hint: str = "") -> None:
    session = bpy.context.window_manager.marionext
    if (session.live_message, session.live_hint) != (message, hint):
        session.live_message, session.live_hint = message, hint
        changes.jobs_changed.tell()


def pump() -> float | None:
    """Look after the preview once; return when to look again, None when there is none."""
    if not previews:
        return None
    started = time.perf_counter()
    preview = previews[0]
    try:
        preview.step()
        preview.slowest = max(preview.slowest, time.perf_counter() - started)
    except EngineError as error:
        switch(False, error.message, error.hint or "")
    except Exception:
        switch(False, "The live preview was ended by a defect; the console has more about it.")
        raise
    return _SECONDS if previews else None


@persistent  # type: ignore[untyped-decorator]
def _frame_changed(*_arguments: object) -> None:
    for preview in previews:
        preview.moved = True


@persistent  # type: ignore[untyped-decorator]
def _updated(_scene: object, graph: Any = None) -> None:
    for preview in previews:
        preview.moved = True
        if graph is not None and not preview.measuring.busy and graph.id_type_updated("ACTION"):
            preview.measuring.note_change()


def _edited() -> None:
    for preview in previews:
        preview.moved = True


@persistent  # type: ignore[untyped-decorator]
def _undone(*_arguments: object) -> None:
    """Ask anew; an image that undo has brought back is taken away."""
    for preview in previews:
        preview.moved, preview.asked = True, None
        preview.measuring.note_change()
    if not previews:
        _remove_image()


_showing: list[Any] = []
"""Image Editors that show the image again after the file was saved."""


@persistent  # type: ignore[untyped-decorator]
def _saving(*_arguments: object) -> None:
    """Keep the image out of the file."""
    image = image_or_none()
    _showing[:] = [
        space for space, _ in image_editors() if image is not None and space.image == image
    ]
    _remove_image()


@persistent  # type: ignore[untyped-decorator]
def _saved(*_arguments: object) -> None:
    for preview in previews:
        if preview.pixels is not None:
            _write_image(preview.pixels)
            for space in _showing:
                space.image = image_or_none()
            preview.packed = False
    _showing.clear()


@persistent  # type: ignore[untyped-decorator]
def _leaving(*_arguments: object) -> None:
    """End with the file."""
    switch(False)


@persistent  # type: ignore[untyped-decorator]
def _opened(*_arguments: object) -> None:
    """Begin switched off, whatever the file was saved with."""
    _remove_image()
    switch(False)


def _listen(on: bool) -> None:
    """Follow what moves, only while the preview is on."""
    handlers = bpy.app.handlers
    for each, follow in (
        (handlers.frame_change_post, _frame_changed),
        (handlers.depsgraph_update_post, _updated),
    ):
        if on and follow not in each:
            each.append(follow)
        elif not on and follow in each:
            each.remove(follow)
    if on and not bpy.app.timers.is_registered(pump):
        bpy.app.timers.register(pump, first_interval=0.0, persistent=True)


def _always() -> tuple[tuple[Any, Any], ...]:
    handlers = bpy.app.handlers
    return (
        (handlers.undo_post, _undone),
        (handlers.redo_post, _undone),
        (handlers.save_pre, _saving),
        (handlers.save_post, _saved),
        (handlers.load_pre, _leaving),
        (handlers.load_post, _opened),
    )


def register() -> None:
    """Follow the switch, undo, saving and the opening of files."""
    changes.live_switched.listen(switch)
    changes.poses_edited.listen(_edited)
    for handlers, follow in _always():
        handlers.append(follow)


def unregister() -> None:
    """Take everything away."""
    switch(False)
    if bpy.app.timers.is_registered(pump):
        bpy.app.timers.unregister(pump)
    changes.live_switched.forget(switch)
    changes.poses_edited.forget(_edited)
    for handlers, follow in _always():
        if follow in handlers:
            handlers.remove(follow)
