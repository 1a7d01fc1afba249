# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the keypoints over the 3D viewport, in camera view and in free view, while scrubbing.

The draw handler is there only while the overlay is on. It reads what Blender has evaluated
anyway and changes nothing.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import blf
import bpy
import gpu
import numpy as np
from bpy.app.handlers import persistent
from numpy.typing import NDArray

from marionext.errors import EngineError

from ..scene import cameras, filmed
from ..scene.choices import render_size, scene_rate
from ..scene.live import (
    Shown,
    Watcher,
    drawable,
    look_through,
    picture_corners,
    places_in_picture,
)
from ..state import changes
from ..work.drawn import Drawn, Keypoints
from .strokes import Strokes, figure_strokes, frame_strokes, to_region, together

__all__ = ["register", "show", "shown", "unregister"]

_SECONDS = 0.02
"""Between rays while playback rests."""


class _Overlay:
    """What exists while the overlay is on."""

    def __init__(self) -> None:
        self.watcher = Watcher()
        self.drawn: Drawn | None = None
        """Where the keypoints are shown as a render draws them."""
        self.handler = bpy.types.SpaceView3D.draw_handler_add(self.draw, (), "WINDOW", "POST_PIXEL")

    def close(self) -> None:
        bpy.types.SpaceView3D.draw_handler_remove(self.handler, "WINDOW")
        self.draw_as_rendered(False)

    def draw_as_rendered(self, on: bool) -> None:
        """Begin or end to find out how a render draws the keypoints."""
        if on and self.drawn is None:
            self.drawn = Drawn()
        elif not on and self.drawn is not None:
            self.drawn.close()
            self.drawn = None
            _tell("", "")

    def _rendered(self, scene: Any, now: Keypoints, size: tuple[int, int]) -> Keypoints | None:
        wanted = self.drawn is not None and scene.marionext.overlay_drawn
        return self.drawn.at(scene, now, size) if wanted and self.drawn is not None else None

    def draw(self) -> None:
        """Draw one region; Blender calls it at every redraw of every 3D viewport."""
        context = bpy.context
        space, region = context.space_data, context.region
        view = context.region_data
        if view is None or not space.overlay.show_overlays:
            return
        if not context.scene.marionext.overlay:
            return
        if filmed.is_filmed(context.scene):
            self._draw_file(context, view, region)
            return
        try:
            now = self.watcher.look(context.scene, context.view_layer)
        except EngineError as error:
            _write(error.message)
            return
        matrix = np.array(view.perspective_matrix, dtype=np.float64)
        scale = context.preferences.system.ui_scale
        through_camera = view.view_perspective == "CAMERA"
        size = (region.width, region.height)
        if through_camera and now.views:
            points = np.stack([seen.pixels[0] for seen in now.views]).astype(np.float32)
            scores = np.stack([seen.scores[0] for seen in now.views]).astype(np.float32)
            found = self._rendered(context.scene, (points, scores), now.size)
            if found is not None:
                flat = _flat_strokes(now.look, now.size, found, matrix, size, scale)
                _fill(together(list(flat)))
                return
        _fill(together(list(_strokes(now, matrix, size, scale, through_camera))))

    def _draw_file(self, context: Any, view: Any, region: Any) -> None:
        """Draw the keypoints of a file's motion, in views through the camera."""
        if view.view_perspective != "CAMERA":
            return
        matrix = np.array(view.perspective_matrix, dtype=np.float64)
        scale, size = context.preferences.system.ui_scale, (region.width, region.height)
        scene = context.scene
        picture = render_size(scene)
        now = scene.frame_current + Fraction(float(scene.frame_subframe))
        try:
            track = filmed.poses_at(
                scene, (now,), picture, fit=scene.marionext.fit, rate=scene_rate(scene), first=0
            )
            look = look_through(scene, context.view_layer, picture)
        except EngineError as error:
            _write(error.message)
            return
        keypoints = (track.points[0], track.scores[0])
        found = self._rendered(scene, keypoints, picture) or keypoints
        _fill(together(list(_flat_strokes(look, picture, found, matrix, size, scale))))


def _flat_strokes(
    look: cameras.Look,
    picture: tuple[int, int],
    keypoints: Keypoints,
    matrix: NDArray[np.float64],
    size: tuple[int, int],
    scale: float,
) -> Iterator[Strokes]:
    """Yield keypoints that lie in the render's picture, in the camera's frame."""
    corners, before = to_region(picture_corners(look, picture), matrix, size)
    if before.all():
        yield frame_strokes(corners, scale=scale)
    for points, scores in zip(*keypoints, strict=True):
        places = places_in_picture(look, picture, points.astype(np.float64))
        flat, ahead = to_region(places, matrix, size)
        yield figure_strokes(flat, scores, ahead & (scores > 0), scale=scale)


def _strokes(
    now: Shown, matrix: NDArray[np.float64], size: tuple[int, int], scale: float, framed: bool
) -> Iterator[Strokes]:
    if framed:
        corners, before = to_region(picture_corners(now.look, now.size), matrix, size)
        if before.all():
            yield frame_strokes(corners, scale=scale)
    for view, figure in zip(now.views, now.figures, strict=True):
        points, before = to_region(view.places[0], matrix, size)
        yield figure_strokes(points, view.scores[0], before & drawable(figure), scale=scale)


def _shader() -> tuple[Any, int]:
    """Return Blender's shader of coloured corners and how many numbers a place has in it.

    Blender 4.0 dropped the dimension from the names.
    """
    if bpy.app.version >= (4, 0, 0):
        return gpu.shader.from_builtin("SMOOTH_COLOR"), 3
    return gpu.shader.from_builtin("2D_SMOOTH_COLOR"), 2


def _fill(strokes: Strokes) -> None:
    corners, colours = strokes
    if not len(corners):
        return
    shader, length = _shader()
    if length == 3:
        flat = np.zeros((len(corners), 1), dtype=np.float32)
        corners = np.concatenate([corners, flat], axis=1)
    form = gpu.types.GPUVertFormat()
    form.attr_add(id="pos", comp_type="F32", len=length, fetch_mode="FLOAT")
    form.attr_add(id="color", comp_type="F32", len=4, fetch_mode="FLOAT")
    vertices = gpu.types.GPUVertBuf(form, len(corners))
    vertices.attr_fill("pos", np.ascontiguousarray(corners))
    vertices.attr_fill("color", np.ascontiguousarray(colours))
    gpu.state.blend_set("ALPHA")
    gpu.types.GPUBatch(type="TRIS", buf=vertices).draw(shader)
    gpu.state.blend_set("NONE")


def _write(message: str) -> None:
    """Say in the corner of the viewport why nothing is drawn."""
    scale = bpy.context.preferences.system.ui_scale
    if bpy.app.version >= (4, 0, 0):
        blf.size(0, 12 * scale)
    else:
        blf.size(0, 12 * scale, 72)
    blf.color(0, 1.0, 0.8, 0.3, 1.0)
    blf.position(0, 24 * scale, 24 * scale, 0)
    blf.draw(0, f"Marionext: {message}")


_overlays: list[_Overlay] = []


def shown() -> bool:
    """Tell whether the overlay is on."""
    return bool(_overlays)


def show(on: bool) -> None:
    """Switch the overlay on or off; each scene's own switch is respected while it is on."""
    if on and not _overlays:
        _overlays.append(_Overlay())
        if not bpy.app.timers.is_registered(_cast):
            bpy.app.timers.register(_cast, first_interval=_SECONDS, persistent=True)
    while _overlays and not on:
        _overlays.pop().close()
    _redraw()


def _cast() -> float | None:
    """Cast a few rays and record a few poses while nothing plays; ends with the overlay."""
    if not _overlays:
        return None
    screen = bpy.context.screen
    if screen is None or screen.is_animation_playing or bpy.app.is_job_running("RENDER"):
        return 0.2
    scene, overlay = bpy.context.scene, _overlays[0]
    if not scene.marionext.overlay:
        return 0.2
    try:
        if overlay.watcher.cast(scene, bpy.context.view_layer):
            _redraw()
    except EngineError:
        return 0.5  # the draw handler says what is the matter
    drawn = overlay.drawn
    if drawn is not None and scene.marionext.overlay_drawn and drawn.step(scene):
        _tell(drawn.message, drawn.hint)
        _redraw()
    return _SECONDS if overlay.watcher.busy or (drawn is not None and drawn.busy) else 0.2


def _tell(message: str, hint: str) -> None:
    session = bpy.context.window_manager.marionext
    if (session.drawn_message, session.drawn_hint) != (message, hint):
        session.drawn_message, session.drawn_hint = message, hint
        changes.jobs_changed.tell()


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def sync(*_arguments: object) -> None:
    """Show the overlay if any scene wants it: after a file was opened, or a switch was turned."""
    wanted = [scene.marionext for scene in bpy.data.scenes if scene.marionext.overlay]
    show(bool(wanted))
    for overlay in _overlays:
        overlay.draw_as_rendered(any(settings.overlay_drawn for settings in wanted))


@persistent  # type: ignore[untyped-decorator]
def _opened(*_arguments: object) -> None:
    # What was learnt belongs to the file before.
    show(False)
    sync()


@persistent  # type: ignore[untyped-decorator]
def _undone(*_arguments: object) -> None:
    sync()
    _note_change()


@persistent  # type: ignore[untyped-decorator]
def _updated(_scene: object, graph: Any = None) -> None:
    if graph is not None and graph.id_type_updated("ACTION"):
        _note_change()


def _note_change() -> None:
    """The motion may be another one, also in frames that are not shown."""
    for overlay in _overlays:
        if overlay.drawn is not None:
            overlay.drawn.note_change()


def _handlers() -> tuple[tuple[Any, Any], ...]:
    handlers = bpy.app.handlers
    return (
        (handlers.load_post, _opened),
        (handlers.undo_post, _undone),
        (handlers.redo_post, _undone),
        (handlers.depsgraph_update_post, _updated),
    )


def register() -> None:
    """Follow the scenes' switches from file to file, and through undo."""
    changes.overlay_switched.listen(sync)
    changes.poses_edited.listen(_redraw)
    for handlers, follow in _handlers():
        handlers.append(follow)
    if not bpy.app.background:
        # Add-ons that are enabled when Blender starts may not look at any scene yet.
        bpy.app.timers.register(sync, first_interval=0.0)


def unregister() -> None:
    """Take the drawing away."""
    changes.overlay_switched.forget(sync)
    changes.poses_edited.forget(_redraw)
    for handlers, follow in _handlers():
        if follow in handlers:
            handlers.remove(follow)
    if bpy.app.timers.is_registered(sync):
        bpy.app.timers.unregister(sync)
    show(False)
    if bpy.app.timers.is_registered(_cast):
        bpy.app.timers.unregister(_cast)
