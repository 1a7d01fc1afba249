# SPDX-License-Identifier: GPL-3.0-or-later
"""The live preview: the character in the pose of the current frame, while it is being made.

Handlers only note that something has moved; a timer reads the pose, asks the engine, and brings the
newest picture to the image *Marionext Live*. Nothing waits: a pose that was overtaken is never
drawn.

A render fits its motion as a whole. So that the preview agrees with it, poses spread over the
range are recorded, in small pieces, and the engine measures the fit on them; they are recorded
again when the settings or, after a moment of rest, poses or animation have changed. A bone thus
moves against a fit that stands still while it is moved.
"""

import shutil
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.app.handlers import persistent
from numpy.typing import NDArray

from marionext.errors import CharacterError, EngineError
from marionext.frames import FrameRate
from marionext.hosts import LivePictures
from marionext.jobs import LivePose
from marionext.pose import PoseTrack
from marionext.pose.formats import write_native
from marionext.protocol import Failed, Posed

from ..scene import cameras, choices, recording, rig
from ..scene.live import Shown, Watcher
from ..state import changes
from . import engine, jobs, reference, shots
from .editors import image_editors, redraw
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
"""Seconds without a change after which the animation counts as made."""
_MEASURED = 48
"""Poses that a fit is measured on; a shorter range is measured whole."""
_PATIENCE = 0.01
"""Seconds of recording between two looks."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture that came last, and what was looked at when it was asked for."""

    number: int
    pixels: NDArray[np.float32]
    """(height, width, 4) in the display's colours, from the bottom up."""
    shown: Shown


class _Preview:
    """What exists while the preview is on."""

    def __init__(self) -> None:
        # Within Blender's own, which it takes away when it quits.
        self.folder = Path(tempfile.mkdtemp(prefix="marionext-live-", dir=bpy.app.tempdir))
        self.watcher = Watcher(draft=True)
        self.pictures = LivePictures(runner.engine)
        self.moved = True
        """Whether the pose may have changed since it was read."""
        self.animated = 0.0
        """When the motion was changed, on the monotonic clock; 0: not since it was measured."""
        self.measured: object = None
        """What the poses that the fit is measured on were recorded for."""
        self.motion: str | None = None
        """Their file."""
        self.track: PoseTrack | None = None
        """What is in it."""
        self.measuring: Generator[None, None, None] | None = None
        self.measurements = 0
        self.asked: LivePose | None = None
        self.seen: Shown | None = None
        """What was looked at for it."""
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
        if self.measuring is not None:
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
            shown = self.watcher.look(scene, layer)
        except EngineError as error:
            _say(error.message, error.hint or "")
            return
        pose = LivePose(
            character=str(_character(scene)),
            width=shown.size[0],
            height=shown.size[1],
            points=tuple(view.pixels[0].tolist() for view in shown.views),
            scores=tuple(view.scores[0].tolist() for view in shown.views),
            fit=fit,
            motion=None if fit == "none" else self.motion,
        )
        if pose == self.asked:
            return  # what has changed is not in the picture
        if scene.frame_current_final == self.frame and not self._is_seen(pose):
            self.animated = time.monotonic()  # not the timeline has moved, but something in it
        self.frame = scene.frame_current_final
        self.asked, self.asked_at, self.seen = pose, time.monotonic(), shown
        self.pictures.ask(
            pose, command=engine.find().call("worker"), environment=engine.environment()
        )

    def _is_seen(self, pose: LivePose) -> bool:
        """Tell whether the figure stands as it was asked for last, whatever else is new."""
        asked = self.asked
        return asked is None or (asked.points, asked.scores) == (pose.points, pose.scores)

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
        """Record poses for the fit where there are none, or others are needed."""
        if scene.marionext.pose_fit == "none":
            return
        if self.measuring is None:
            form = _form(scene)
            rests = self.animated and time.monotonic() - self.animated > _REST
            if form == self.measured and not (rests and not _is_playing()):
                return
            self.measured, self.animated = form, 0.0
            self.measuring = self._measure(scene)
            if self.motion is None:
                _say("Recording the motion")
        due = time.perf_counter() + _PATIENCE
        try:
            while time.perf_counter() < due:
                next(self.measuring)
        except StopIteration:
            self.measuring, self.moved = None, True
        except EngineError as error:
            self.measuring = None
            if self.motion is None:
                raise
            # What was measured before serves until the next change.
            _say(error.message, error.hint or "")

    def _measure(self, scene: Any) -> Generator[None, None, None]:
        shot = shots.shot_of(scene, "DRAFT")
        times = _spread(shot.times)
        steps = recording.record_in_steps(
            scene,
            rig.people_of(scene),
            recording.Moments(times=times, rate=_rate(times, shot), first=0),
            shot.size,
            fit=shot.fit,
            frame=shot.frame,
            camera=choices.chosen_camera(scene),
            may_move=False,
        )
        recorded = yield from _without_values(steps)
        self.measurements += 1
        if self.track is not None and _is_same(self.track, recorded.track):
            return
        self.track = recorded.track
        # Another name each time, so that a question says which it means.
        path = self.folder / f"motion-{self.measurements}.npz"
        write_native(recorded.track, path)
        self.motion = str(path)


def _without_values(
    steps: Generator[recording.Progress, None, recording.Recording],
) -> Generator[None, None, recording.Recording]:
    try:
        while True:
            try:
                next(steps)
            except StopIteration as end:
                recorded: recording.Recording = end.value
                return recorded
            yield
    finally:
        # Closed too when this generator is: the recording takes its temporary scene away.
        steps.close()


def _spread(times: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Return at most `_MEASURED` of the times, evenly spread, the first and the last among them."""
    if len(times) <= _MEASURED:
        return times
    last = len(times) - 1
    return tuple(times[round(n * last / (_MEASURED - 1))] for n in range(_MEASURED))


def _is_same(track: PoseTrack, other: PoseTrack) -> bool:
    return (
        (track.size, track.points.shape) == (other.size, other.points.shape)
        and np.allclose(track.points, other.points, atol=0.01)
        and np.allclose(track.scores, other.scores, atol=0.01)
    )


def _rate(times: tuple[Fraction, ...], shot: shots.Shot) -> FrameRate:
    """Return how many of the times a second has."""
    if len(times) < 2:
        return shot.rate
    return FrameRate((len(times) - 1) / (times[-1] - times[0]) * shot.scene_rate.fraction)


def _form(scene: Any) -> object:
    """Return what changes with every setting that the fit depends on."""
    settings = scene.marionext
    chosen = choices.chosen_camera(scene)
    # Where markers switch the scene's camera, it is another one from frame to frame.
    marked = tuple(
        (marker.frame, marker.camera.name)
        for marker in scene.timeline_markers
        if marker.camera is not None
    )
    looking = scene.camera.name if scene.camera is not None and not marked else None
    people = tuple(
        (armature.name_full, person.preset)
        for person, armature in zip(settings.people, choices.armatures(scene), strict=False)
    )
    return (
        scene.name,
        people,
        choices.frame_numbers(scene),
        choices.frame_rate(scene),
        choices.scene_rate(scene),
        choices.render_size(scene, draft=True),
        cameras.Frame.of(scene),
        settings.fit,
        None if chosen is None else chosen.name,
        marked or looking,
    )


def _is_playing() -> bool:
    windows = bpy.context.window_manager.windows
    return any(window.screen.is_animation_playing for window in windows)


def _character(scene: Any) -> Path:
    """Return the file of the character's picture, or the folder of a layered doll.

    Raises:
        CharacterError: there is none yet.
    """
    if scene.marionext.character_source == "IMAGE":
        return jobs.character_picture(scene)
    picture = reference.current_picture(scene, shots.shot_of(scene, "DRAFT"))
    if picture is None:
        raise CharacterError(
            "the picture of the character is still to be rendered from this scene",
            hint="Press Render from This Scene in the Character panel.",
        )
    return picture


def _told(failed: Failed) -> EngineError:
    return EngineError(failed.message, hint=failed.hint)


# ------------------------------------------------------------------------------------- the image


def picture() -> Picture | None:
    """Return the picture that came last, or None."""
    for preview in previews:
        if preview.pixels is not None and preview.seen is not None:
            return Picture(preview.shown, preview.pixels, preview.seen)
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
            _character(bpy.context.scene)
        except EngineError as error:
            on, message, hint = False, error.message, error.hint or ""
        else:
            _remove_image()  # one that undo or a file has brought back
            previews.append(_Preview())
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
        if graph is not None and preview.measuring is None and graph.id_type_updated("ACTION"):
            preview.animated = time.monotonic()


@persistent  # type: ignore[untyped-decorator]
def _undone(*_arguments: object) -> None:
    """Ask anew; an image that undo has brought back is taken away."""
    for preview in previews:
        preview.moved, preview.asked, preview.animated = True, None, time.monotonic()
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
    for handlers, follow in _always():
        handlers.append(follow)


def unregister() -> None:
    """Take everything away."""
    switch(False)
    if bpy.app.timers.is_registered(pump):
        bpy.app.timers.unregister(pump)
    changes.live_switched.forget(switch)
    for handlers, follow in _always():
        if follow in handlers:
            handlers.remove(follow)
