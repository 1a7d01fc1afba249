# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene and its settings come to as a job, and what is still missing for one.

Paths in a job are relative to its folder, so that it can be rendered again, moved, or handed to
another computer.
"""

from pathlib import Path
from typing import Any

from marionext import bundles
from marionext.codec import decode
from marionext.errors import CharacterError, ModelError, MotionError
from marionext.jobs import MotionSource, OutputSettings, PoseMapJob, PoseSettings, RenderJob
from marionext.settings import Settings, SvdSettings, default_settings

from ..scene import filmed
from ..scene.choices import (
    armatures,
    camera_of,
    frame_numbers,
    model_of,
    render_size,
)
from ..scene.edits import edits_of
from ..state.paths import absolute
from .folders import MOTION_FILE, POSE_MAPS, Kind
from .shots import Shot

__all__ = [
    "DOLL_FILE",
    "build_job",
    "character_picture",
    "check",
]

DOLL_FILE = "doll.json"
"""File of the folder of a layered doll, as `marionext.casting` has it: too heavy for Blender."""


def check(scene: Any, kind: Kind) -> None:
    """Make sure that a scene can be rendered, before anything is recorded.

    Raises:
        EngineError: something is missing; the message says what, the hint where to give it.
    """
    settings = scene.marionext
    filmed_track = filmed.track_of(scene) if filmed.is_filmed(scene) else None
    people = () if filmed_track is not None else armatures(scene)
    if not people and filmed_track is None:
        raise MotionError(
            "no armature is chosen",
            hint="Pick one in the sidebar's Rig panel, or select it before you press Render.",
        )
    for armature in people:
        if armature.mode == "EDIT":
            raise MotionError(
                f"the armature {armature.name!r} is in Edit Mode, which shows it at rest",
                hint="Leave Edit Mode (Tab) and press the button again.",
            )
    frame_numbers(scene)
    edits_of(scene, render_size(scene))
    if filmed_track is None and camera_of(scene) is None:
        if settings.camera == "OBJECT":
            raise MotionError(
                "no camera is chosen",
                hint="Choose one in Camera and Frames, or take the scene's.",
            )
        raise MotionError(
            "the scene has no camera",
            hint="Add one and make it the scene's, or choose one in Camera and Frames.",
        )
    if kind == "POSE_MAPS":
        return
    if settings.character_source == "IMAGE":
        character_picture(scene)
    bundle = bundles.find(model_of(scene))
    if not bundle.card.built_in and not bundle.folder.is_dir():
        raise ModelError(
            f"the model {bundle.card.title} is not on this computer",
            hint="Press Fetch Model in the add-on's preferences, or choose another model.",
        )


def character_picture(scene: Any) -> Path:
    """Return the file of the character's picture, or the folder of a layered doll.

    The picker picks files: of such a folder it is ``doll.json``.

    Raises:
        CharacterError: none is chosen, or it is not there.
    """
    settings = scene.marionext
    if not settings.character:
        raise CharacterError(
            "no picture of the character is chosen",
            hint="Choose an image in the sidebar's Character panel, or render one from this scene.",
        )
    path = absolute(settings.character)
    if path.name == DOLL_FILE:
        path = path.parent
    if (path / DOLL_FILE).is_file():
        return path
    if not path.is_file():
        raise CharacterError(
            f"the picture of the character is not there: {path}",
            hint="Choose an image in the sidebar's Character panel, or render one from this scene.",
        )
    return path


def _render_settings(scene: Any, shot: Shot) -> tuple[Settings, str | None]:
    settings = scene.marionext
    draft = shot.kind == "DRAFT"
    quality = "draft" if draft else settings.quality
    quality = None if quality == "MODEL" else quality
    given: dict[str, Any] = {"width": shot.size[0], "height": shot.size[1]}
    base = default_settings(model_of(scene), quality)
    if isinstance(base, SvdSettings):
        given |= {
            "seed": settings.seed,
            "control_strength": round(settings.control_strength, 6),
        }
        if settings.steps and not draft:
            given["steps"] = settings.steps
        if settings.guidance > 0:
            given |= dict.fromkeys(("guidance_min", "guidance_max"), round(settings.guidance, 6))
    found: Settings = decode(type(base), given, base=base)
    return found, quality


def build_job(scene: Any, shot: Shot, character: str) -> RenderJob | PoseMapJob:
    """Return the job of a shot, its paths relative to its folder.

    Args:
        scene: with its settings.
        shot: of it.
        character: file of the character's picture; pose maps need none.

    Raises:
        SettingsError: a setting is out of its range, or a file of edits cannot be read.
    """
    # Keypoints of a rig are the truth: nothing is cleaned, nobody is left out.
    motion = MotionSource(path=MOTION_FILE, kind="track", person="all")
    edits = edits_of(scene, shot.size)
    if shot.kind == "POSE_MAPS":
        return PoseMapJob(
            motion=motion,
            output=POSE_MAPS,
            pose=PoseSettings(fit="none", clean=False, edits=edits),
            frames=shot.selection,
            width=shot.size[0],
            height=shot.size[1],
        )
    settings, quality = _render_settings(scene, shot)
    chosen = scene.marionext
    return RenderJob(
        motion=motion,
        character=character,
        model=model_of(scene),
        quality=quality,
        frames=shot.selection,
        pose=PoseSettings(fit=chosen.pose_fit, clean=False, edits=edits),
        settings=settings,
        output=OutputSettings(directory=".", pose_maps=chosen.save_pose_maps),
    )
