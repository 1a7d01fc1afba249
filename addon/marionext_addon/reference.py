# SPDX-License-Identifier: GPL-3.0-or-later
"""Render the character's picture from the scene itself, with the pose read off the rig.

The picture has exactly the size and the framing of the render, so the pose beside it
(``character.pose.npz``) is the truth: the engine needs no detector for it. A linked copy of the
scene is rendered, so that nothing of the user's own has to be changed and put back.
"""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from numpy.typing import NDArray

from marionext.errors import CharacterError
from marionext.pose.formats import write_native

from . import jobs, recording, rig, sampling

__all__ = ["render_reference"]


def render_reference(scene: Any, path: Path, size: tuple[int, int]) -> None:
    """Render the current frame of a scene, cropped or letter-boxed as the render will be.

    Args:
        scene: to render with its own engine and camera.
        path: of the PNG; the pose goes beside it.
        size: width and height in pixels.

    Raises:
        CharacterError: Blender could not render it.
        EngineError: the rig cannot be sampled, or a file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_name(f".{path.stem}-whole.png")
    fit = scene.marionext.fit
    with _copied(scene) as copy:
        _prepare(copy, whole, size, fit, jobs.chosen_camera(scene))
        try:
            bpy.ops.render.render(write_still=True, scene=copy.name)
        except RuntimeError as error:
            raise CharacterError(
                f"Blender could not render this frame: {error}",
                hint="Render it once with F12 to see what is the matter, or choose an image.",
            ) from None
    if not whole.is_file():
        raise CharacterError(
            "Blender rendered this frame, but no picture came of it",
            hint="Is another render running? Choose an image of the character instead.",
        )
    _write_cut(whole, path, size)
    whole.unlink()
    _write_pose(scene, path.with_suffix(".pose.npz"), size)


@contextlib.contextmanager
def _copied(scene: Any) -> Iterator[Any]:
    """Give a copy of a scene that shares its objects, and take it away again."""
    copy = scene.copy()
    copy.name = "Marionext reference"
    try:
        yield copy
    finally:
        bpy.data.scenes.remove(copy)


def _prepare(copy: Any, path: Path, size: tuple[int, int], fit: str, camera: Any) -> None:
    render = copy.render
    aspect_x, aspect_y = render.pixel_aspect_x, render.pixel_aspect_y
    shown = render.resolution_x * aspect_x, render.resolution_y * aspect_y
    ratios = size[0] / shown[0], size[1] / shown[1]
    # The whole frame of the camera, so large that the part that is kept has the size wanted.
    scale = max(ratios) if fit == "CROP" else min(ratios)
    render.resolution_x, render.resolution_y = (max(1, round(side * scale)) for side in shown)
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.resolution_percentage = 100
    render.use_border = False
    render.use_sequencer = False
    render.use_file_extension = False
    render.filepath = str(path)
    image = render.image_settings
    if hasattr(image, "media_type"):
        image.media_type = "IMAGE"
    image.file_format = "PNG"
    image.color_mode = "RGB"
    image.color_depth = "8"
    if camera is not None:
        for marker in list(copy.timeline_markers):
            copy.timeline_markers.remove(marker)
        copy.camera = camera


def _write_cut(whole: Path, path: Path, size: tuple[int, int]) -> None:
    """Write the middle of a picture, or the picture in the middle of a dark one."""
    source = bpy.data.images.load(str(whole))
    try:
        width, height = source.size
        pixels = np.empty(width * height * 4, dtype=np.float32)
        source.pixels.foreach_get(pixels)
        cut = _centred(pixels.reshape(height, width, 4), size)
        # Written by the same road as it was read: no view transform is laid over it twice.
        target = bpy.data.images.new("Marionext reference", size[0], size[1], alpha=False)
        try:
            target.colorspace_settings.name = source.colorspace_settings.name
            target.pixels.foreach_set(cut.ravel())
            target.filepath_raw = str(path)
            target.file_format = "PNG"
            target.save()
        finally:
            bpy.data.images.remove(target)
    finally:
        bpy.data.images.remove(source)


def _centred(picture: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return the middle of a picture at another size; black where it does not reach."""
    result = np.zeros((size[1], size[0], 4), dtype=np.float32)
    result[..., 3] = 1.0
    taken, given = [], []
    for have, want in zip(picture.shape[:2], (size[1], size[0]), strict=True):
        common = min(have, want)
        taken.append(slice((have - common) // 2, (have - common) // 2 + common))
        given.append(slice((want - common) // 2, (want - common) // 2 + common))
    result[given[0], given[1]] = picture[taken[0], taken[1]]
    return result


def _write_pose(scene: Any, path: Path, size: tuple[int, int]) -> None:
    if not jobs.armatures(scene):
        path.unlink(missing_ok=True)
        return
    now = Fraction(scene.frame_current) + Fraction(scene.frame_subframe).limit_denominator(1000)
    take = sampling.sample(
        scene,
        rig.people_of(scene),
        sampling.Timing(times=(now,), rate=jobs.scene_rate(scene), first=scene.frame_current),
        size,
        fit=scene.marionext.fit,
        camera=jobs.chosen_camera(scene),
        rays=recording.groups_of_rays(scene),
    )
    write_native(take.track, path)
