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
from marionext.files import explain, replacing
from marionext.pose.formats import write_native

from ..scene import reach, recording, rig
from ..scene.choices import armatures, camera_of, chosen_camera, groups_of_rays, render_size
from ..scene.own import OwnScene
from ..scene.played import Cast
from ..scene.temporary import without_listeners
from ..state.paths import absolute
from . import jobs
from .folders import Kind
from .shots import Shot, shot_of

__all__ = ["character_of", "current_picture", "form_of", "render_reference"]


def form_of(size: tuple[int, int], fit: str, camera: str) -> str:
    """Return in a word what else than the frame decides how the scene's picture is cut."""
    return f"{size[0]}x{size[1]} {fit} {camera}"


def current_picture(scene: Any, shot: Shot) -> Path | None:
    """Return the picture that was made of a scene for shots of this form, or None.

    A draft takes the large one where it has the same shape: the engine makes it smaller.
    """
    settings = scene.marionext
    width, height = render_size(scene)
    same = width * shot.size[1] == height * shot.size[0]
    size = (width, height) if same else shot.size
    if settings.scene_picture_form != form_of(size, shot.fit, shot.camera):
        return None
    path = absolute(settings.scene_picture)
    return path if settings.scene_picture and path.is_file() else None


def character_of(scene: Any, kind: Kind) -> Path:
    """Return the file of the character's picture, or the folder of a layered doll.

    Raises:
        CharacterError: there is none yet.
    """
    if scene.marionext.character_source == "IMAGE":
        return jobs.character_picture(scene)
    picture = current_picture(scene, shot_of(scene, kind))
    if picture is None:
        raise CharacterError(
            "the picture of the character is still to be rendered from this scene",
            hint="Press Render from This Scene in the Character panel.",
        )
    return picture


def render_reference(scene: Any, shot: Shot, path: Path, *, frame: int | None = None) -> None:
    """Render a frame of a scene, cropped or letter-boxed as the render will be.

    Args:
        scene: to render with its own engine and camera.
        shot: what of it.
        path: of the PNG; the pose goes beside it.
        frame: of the scene; None: as it is now, with poses that were not keyed.

    Raises:
        CharacterError: Blender could not render it.
        EngineError: the rig cannot be recorded, or a file cannot be written.
    """
    whole = path.with_name(f".{path.stem}-whole.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        moved = frame is not None and frame != scene.frame_current
        with _shown(scene, frame if moved else None) as stays, _copied(scene) as copy:
            _prepare(copy, whole, shot, chosen_camera(scene))
            if moved and not stays:
                with without_listeners():
                    copy.frame_set(frame)
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
        _write_cut(whole, path, shot.size)
    except OSError as error:
        raise explain(error, path) from None
    finally:
        whole.unlink(missing_ok=True)
    _write_pose(scene, shot, path.with_suffix(".pose.npz"), frame)


@contextlib.contextmanager
def _shown(scene: Any, frame: int | None) -> Iterator[bool]:
    """Have the user's scene itself show a frame where its copy would show something else.

    Yields:
        Whether it does.
    """
    people = armatures(scene)
    eyes = [] if camera_of(scene) is None else [camera_of(scene)]
    if frame is None or not reach.reasons(scene, (*people, *eyes)):
        yield False
        return
    with OwnScene(Cast.of(scene, people, eyes)) as played:
        for time in played.before(Fraction(frame)):
            played.go(time)
        played.go(Fraction(frame))
        yield True


@contextlib.contextmanager
def _copied(scene: Any) -> Iterator[Any]:
    """Give a copy of a scene that shares its objects and writes no file, and take it away again."""
    copy = scene.copy()
    copy.name = ".Marionext reference"
    trees: list[Any] = []
    try:
        _own_compositor(scene, copy, trees)
        yield copy
    finally:
        bpy.data.scenes.remove(copy)
        for tree in trees:
            bpy.data.node_groups.remove(tree)


def _own_compositor(scene: Any, copy: Any, trees: list[Any]) -> None:
    """Give a copied scene a compositor that shows the copy and writes no files.

    Its File Output nodes would replace frames of the user's own.

    Args:
        scene: the original.
        copy: of it.
        trees: the node groups that had to be copied for it are added.
    """
    if hasattr(copy, "compositing_node_group"):  # Blender 5: shared by both scenes
        tree = copy.compositing_node_group
        if tree is not None:
            copy.compositing_node_group = tree = tree.copy()
            trees.append(tree)
    else:
        tree = copy.node_tree if copy.use_nodes else None
    if tree is not None:
        for node in tree.nodes:
            if node.type == "R_LAYERS" and node.scene == scene:
                node.scene = copy
        _remove_outputs(tree, trees)


def _writes(tree: Any) -> bool:
    return any(
        node.type == "OUTPUT_FILE"
        or (node.type == "GROUP" and node.node_tree is not None and _writes(node.node_tree))
        for node in tree.nodes
    )


def _remove_outputs(tree: Any, trees: list[Any]) -> None:
    for node in list(tree.nodes):
        if node.type == "OUTPUT_FILE":
            tree.nodes.remove(node)
        elif node.type == "GROUP" and node.node_tree is not None and _writes(node.node_tree):
            node.node_tree = node.node_tree.copy()
            trees.append(node.node_tree)
            _remove_outputs(node.node_tree, trees)


def _prepare(copy: Any, path: Path, shot: Shot, camera: Any) -> None:
    render = copy.render
    # The whole frame of the camera, so large that the part that is kept has the size wanted.
    whole = shot.frame.laid_over(shot.size, shot.fit)
    render.resolution_x, render.resolution_y = (max(1, round(side)) for side in whole)
    render.pixel_aspect_x = render.pixel_aspect_y = 1.0
    render.resolution_percentage = 100
    render.use_border = False
    render.use_sequencer = False
    render.use_multiview = False
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
            target.file_format = "PNG"
            with replacing(path) as part:
                target.filepath_raw = str(part)
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


def _write_pose(scene: Any, shot: Shot, path: Path, frame: int | None) -> None:
    if not armatures(scene):
        path.unlink(missing_ok=True)
        return
    now = Fraction(scene.frame_current) + Fraction(scene.frame_subframe).limit_denominator(1000)
    recorded = recording.record(
        scene,
        rig.people_of(scene),
        recording.Moments(
            times=(now if frame is None else Fraction(frame),),
            rate=shot.scene_rate,
            first=scene.frame_current if frame is None else frame,
        ),
        shot.size,
        fit=shot.fit,
        frame=shot.frame,
        camera=chosen_camera(scene),
        rays=groups_of_rays(scene),
    )
    write_native(recorded.track, path)
