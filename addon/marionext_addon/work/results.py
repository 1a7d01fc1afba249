# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring a render back to where animators look: Image Editor, sequencer, camera background.

Everywhere, scene frame F shows the picture of frame F. A render that left frames out, or has a rate
of its own, is given a folder of links in which every scene frame has its picture.
"""

import contextlib
import math
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from marionext.errors import SettingsError
from marionext.files import replacing_folder

from ..state.paths import absolute
from .folders import FRAMES, POSE_MAPS
from .shots import Shot, read_shot

__all__ = [
    "ImageSequence",
    "add_strip",
    "as_camera_background",
    "as_image",
    "find_pictures",
    "in_file",
    "is_result",
    "set_image_user",
    "shown_images",
    "strip_range",
]

_LINKS = "in-sync"
_VIEWED = {"AgX": "AgX Base sRGB", "Filmic": "Filmic sRGB"}
"""For view transforms, the colour space of pictures that went through them."""
_MARK = "marionext_result"
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class ImageSequence:
    """A picture for each frame of the scene, as Blender shows image sequences."""

    folder: Path
    first: int
    """Scene frame of the first picture."""
    number: int
    """In the name of the first picture's file; the others count on from it."""
    count: int

    def path(self, index: int) -> Path:
        """Return the picture of scene frame ``first + index``."""
        return self.folder / f"{self.number + index:06d}.png"


def find_pictures(folder: Path, *, coming: bool = False) -> ImageSequence:
    """Return the pictures of a render, in step with the scene that it was made of.

    Args:
        folder: of the job; frames, or else pose maps, are taken.
        coming: the render is still at work: the sequence has a place for every frame to come.

    Raises:
        SettingsError: there is no picture yet, or the folder does not say of which frames.
        OutputError: the links cannot be made.
    """
    shot = read_shot(folder)
    found = _numbered(folder / FRAMES) or _numbered(folder / POSE_MAPS)
    if not found:
        raise SettingsError(
            f"{folder.name} has no pictures yet", hint="Wait for its first frames, or press Retry."
        )
    numbers = list(shot.numbers) if coming else sorted(found)
    first, count = numbers[0], len(numbers)
    # Blender takes no minus for part of a picture's number.
    if shot.per_frame == 1 and first >= 0 and numbers == list(range(first, first + count)):
        return ImageSequence(next(iter(found.values())).parent, first, first, count)
    return _link(folder / _LINKS, found, numbers, shot)


def _numbered(folder: Path) -> dict[int, Path]:
    try:
        pictures = [path for path in folder.glob("*.png") if _NUMBER.fullmatch(path.stem)]
        return {int(path.stem): path for path in pictures}
    except OSError:
        return {}


def _link(folder: Path, found: dict[int, Path], numbers: list[int], shot: Shot) -> ImageSequence:
    """Give every scene frame a link to its picture: the last one that is due by then."""
    first = math.ceil(shot.time_of(numbers[0]))
    # The last picture holds until the next one would be due, or to the end of the range.
    after = math.ceil(shot.time_of(numbers[-1] + shot.step))
    last = max(min(after - 1, shot.last_frame), first)
    start = max(first, 0)
    shown = 0
    shutil.rmtree(folder, ignore_errors=True)
    with replacing_folder(folder) as part:
        for frame in range(first, last + 1):
            while shown + 1 < len(numbers) and shot.time_of(numbers[shown + 1]) <= frame:
                shown += 1
            if numbers[shown] in found:
                _link_or_copy(found[numbers[shown]], part / f"{start + frame - first:06d}.png")
    return ImageSequence(folder, first, start, last - first + 1)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def as_image(pictures: ImageSequence, name: str) -> Any:
    """Return the pictures as an image sequence of Blender."""
    image = next(iter(shown_images(pictures.folder, inside=False)), None)
    if image is None:
        # Any of them stands for all; the first may be still to come.
        paths = map(pictures.path, range(pictures.count))
        image = bpy.data.images.load(str(next(path for path in paths if path.is_file())))
        image.name = name
        image.filepath = in_file(Path(image.filepath))
        image[_MARK] = True
    image.source = "SEQUENCE"
    image.reload()
    return image


def is_result(image: Any) -> bool:
    """Tell whether an image is a render that was brought back."""
    return bool(image.get(_MARK))


def shown_images(folder: Path, *, inside: bool = True) -> list[Any]:
    """Return Blender's images of a render.

    Args:
        folder: of the job.
        inside: the pictures lie in a folder of it; else in it itself.
    """

    def place(image: Any) -> Path:
        parent = absolute(image.filepath).parent
        return parent.parent if inside else parent

    return [image for image in bpy.data.images if is_result(image) and place(image) == folder]


def set_image_user(user: Any, pictures: ImageSequence) -> None:
    """Have a place that shows a sequence show each picture at its frame."""
    user.frame_duration = pictures.count
    user.frame_start = pictures.first
    # Blender counts a sequence's pictures from 1, and ours begin at their own number.
    user.frame_offset = pictures.number - 1
    user.use_cyclic = False
    user.use_auto_refresh = True


def add_strip(scene: Any, pictures: ImageSequence, name: str) -> Any:
    """Add the pictures to a scene's sequencer, each at its frame, and return the strip."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    last = pictures.first + pictures.count
    strip = strips.new_image(
        name=name,
        filepath=in_file(pictures.path(0)),
        channel=_free_channel(strips, pictures.first, last),
        frame_start=pictures.first,
        fit_method="FIT",
    )
    for index in range(1, pictures.count):
        strip.elements.append(pictures.path(index).name)
    # One picture makes a strip of one frame; the others came after.
    setattr(strip, _name(strip, "right_handle", "frame_final_end"), last)
    _keep_colours(scene, strip)
    return strip


def in_file(path: Path) -> str:
    """Return a path as Blender's preferences want it kept in the file: maybe relative to it."""
    if bpy.data.filepath and bpy.context.preferences.filepaths.use_relative_paths:
        try:
            return str(bpy.path.relpath(str(path)))
        except ValueError:  # another drive
            pass
    return str(path)


def _keep_colours(scene: Any, strip: Any) -> None:
    """Have a strip look as its pictures do, whatever the scene's view makes of a render's light.

    The sequencer lays the view transform over everything. Pictures that are said to have been seen
    through the same view come out as they are.
    """
    inverse = _VIEWED.get(scene.view_settings.view_transform)
    if inverse is not None:
        with contextlib.suppress(
            TypeError
        ):  # a configuration of the studio's own has no such space
            strip.colorspace_settings.name = inverse


def strip_range(strip: Any) -> tuple[int, int]:
    """Return a strip's first frame and the one after its last."""
    start = getattr(strip, _name(strip, "left_handle", "frame_final_start"))
    return int(start), int(getattr(strip, _name(strip, "right_handle", "frame_final_end")))


def _name(strip: Any, new: str, old: str) -> str:
    """Return the name of a property in this Blender; 5.2 warns of the old ones."""
    return new if hasattr(strip, new) else old


def _free_channel(strips: Any, first: int, last: int) -> int:
    taken = set()
    for strip in strips:
        start, end = strip_range(strip)
        if start < last and end > first:
            taken.add(strip.channel)
    return next(channel for channel in range(1, 129) if channel not in taken or channel == 128)


def as_camera_background(camera: Any, pictures: ImageSequence, name: str, *, fit: str) -> Any:
    """Show the pictures through a camera, each at its frame.

    Args:
        camera: object of the camera.
        pictures: to show.
        name: of the image.
        fit: how the camera's frame became the render's (``CROP`` or ``LETTERBOX``).

    Returns:
        The background; one that shows the same render already is used again.

    Raises:
        SettingsError: the camera is linked from another file and cannot be changed.
    """
    if camera.data.library is not None:
        raise SettingsError(
            f"the camera {camera.name!r} is linked from another file",
            hint="Make it local, or a library override of its data.",
        )
    image = as_image(pictures, name)
    backgrounds = camera.data.background_images
    background = next((b for b in backgrounds if b.image == image), None) or backgrounds.new()
    background.image = image
    set_image_user(background.image_user, pictures)
    background.alpha = 0.6
    background.display_depth = "FRONT"
    # A cropped render lies within the camera's frame, a letter-boxed one around it.
    background.frame_method = "FIT" if fit == "CROP" else "CROP"
    camera.data.show_background_images = True
    return background
