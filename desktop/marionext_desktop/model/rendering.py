"""From the document to a render: the poses of a range as a file, the job beside it, the take.

Everything that a render needs lies in the folder of its take: `motion.npz`, `job.json`, and what
the engine makes in `render`. So a take can be rendered again, by another machine too, whatever
becomes of the project.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from marionext import bundles, presets
from marionext.edits import PoseEdit, SetPoints
from marionext.errors import CharacterError, MotionError, OutputError
from marionext.files import write_json
from marionext.frames import FrameRange
from marionext.jobs import (
    MotionSource,
    OutputSettings,
    PoseSettings,
    RenderJob,
    encode_job,
    read_job,
)
from marionext.pose import PoseTrack
from marionext.pose.formats import read_native, write_native
from marionext.record import RECORD, Record
from marionext.settings import DollSettings, Settings, SvdSettings, default_settings
from marionext.skeleton import POINT_NAMES
from marionext_desktop.model.casting import prepare
from marionext_desktop.model.editing import new_id
from marionext_desktop.model.project import Character, Project, RenderChoice, Take
from marionext_desktop.model.takes import next_name, poses_key, render_folder

__all__ = [
    "DRAFT",
    "JOB_FILE",
    "MOTION_FILE",
    "Prepared",
    "chosen_character",
    "joined_job",
    "new_take",
    "plan_job",
    "prepare_render",
    "qualities",
    "render_job",
    "settings_of",
]

DRAFT = "draft"
"""The quality preset of a draft."""
JOB_FILE = "job.json"
MOTION_FILE = "motion.npz"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A render that can be queued."""

    take: Take
    job_file: Path


def qualities() -> tuple[str, ...]:
    """Return the names of the quality presets, from the quickest to the best."""
    usual = ("draft", "fast", "balanced", "exact")
    found = presets.names("quality")
    return (*(n for n in usual if n in found), *(n for n in found if n not in usual))


def models() -> tuple[str, ...]:
    """Return the names of the models that render motions: others make characters."""
    names = presets.names("models")
    return tuple(name for name in names if bundles.read_card(name).kind == "video")


def chosen_character(project: Project, choice: RenderChoice | None = None) -> Character:
    """Return the character that takes the part.

    Raises:
        CharacterError: the project has none.
    """
    choice = choice or project.render
    if not project.characters:
        raise CharacterError(
            "expected a character, the project has none",
            hint="Drop a picture of somebody on the window, or take one of the built-in ones.",
        )
    if choice.character is None:
        return project.characters[0]
    try:
        return project.character(choice.character)
    except LookupError:
        return project.characters[0]


def settings_of(choice: RenderChoice) -> Settings:
    """Return how a choice renders.

    Raises:
        SettingsError: model or quality are none that there are, or a number is out of range.
    """
    settings = default_settings(choice.model, choice.quality)
    changes: dict[str, Any] = {}
    if choice.size is not None:
        changes |= {"width": choice.size[0], "height": choice.size[1]}
    if isinstance(settings, SvdSettings):
        changes["seed"] = choice.seed
        if choice.steps is not None:
            changes["steps"] = choice.steps
    return replace(settings, **changes)


def render_job(
    choice: RenderChoice,
    character: Path,
    motion: Path,
    output: Path,
    *,
    others: tuple[str, ...] = (),
) -> RenderJob:
    """Return the job of a render.

    Args:
        choice: how.
        character: its picture or doll.
        motion: the poses as they shall be, already changed by hand and cleaned.
        output: folder.
        others: characters of the second person, the third ...
    """
    settings = settings_of(choice)
    if isinstance(settings, DollSettings) and others:
        settings = replace(settings, others=others)
    return RenderJob(
        motion=MotionSource(path=str(motion), kind="track", person="all"),
        character=str(character),
        output=OutputSettings(
            directory=str(output), videos=(), audio=False, side_by_side=choice.side_by_side
        ),
        model=choice.model,
        quality=choice.quality,
        pose=PoseSettings(fit=choice.fit, clean=False, mirror=choice.mirror),
        settings=settings,
    )


def new_take(
    project: Project, folder: Path, span: FrameRange, *, created: float, draft: bool = False
) -> Take:
    """Return a take that is to be rendered.

    Args:
        project: its choices decide how.
        folder: of all takes; this one gets a folder of its own in it.
        span: of the sequence.
        created: seconds since 1970.
        draft: quickly rather than well.

    Raises:
        CharacterError: the project has no character.
    """
    name = next_name(project)
    choice = project.render
    place = folder / name
    number = 1
    while place.exists():  # of another project of this name, or one that was taken off the list
        number += 1
        place = folder / f"{name}-{number}"
    return Take(
        id=new_id(),
        name=name,
        folder=str(place),
        character=chosen_character(project).id,
        span=span,
        poses=poses_key(project, span),
        model=choice.model,
        quality=DRAFT if draft else choice.quality,
        created=created,
    )


def plan_job(project: Project, span: FrameRange, motion: Path, *, draft: bool = False) -> RenderJob:
    """Return a job to be estimated; nothing of it is written.

    Args:
        project: its choices decide how.
        span: of the sequence.
        motion: any pose track of as many frames.
        draft: quickly rather than well.

    Raises:
        CharacterError: the project has no character.
        SettingsError: the choices do not go together.
    """
    choice = replace(project.render, quality=DRAFT) if draft else project.render
    character = Path(chosen_character(project, choice).path)
    job = render_job(choice, character, motion, motion.parent / "estimate")
    return replace(job, frames=str(span))


def prepare_render(project: Project, take: Take, track: PoseTrack) -> Prepared:
    """Write all that the render of a take needs; called beside the window.

    Args:
        project: its characters and choices.
        take: `new_take`.
        track: the poses of its span, numbered as the sequence (`Poses.sequence_track`).

    Raises:
        CharacterError: the character's picture cannot be read.
        MotionError: nobody is in the range.
        OutputError: it cannot be written.
    """
    if not (track.scores > 0).any():
        raise MotionError(
            f"expected somebody in frames {take.span}, nobody is in any of them",
            hint="Choose another person in the viewer, or another range.",
        )
    choice = replace(project.render, quality=take.quality, model=take.model)
    character = prepare(project.character(take.character))
    folder = Path(take.folder)
    motion = folder / MOTION_FILE
    write_native(track, motion)
    job = render_job(choice, character, motion, render_folder(take))
    job_file = folder / JOB_FILE
    write_json(job_file, encode_job(job))
    return Prepared(take, job_file)


def joined_job(base: Take, take: Take, track: PoseTrack) -> Prepared:
    """Write the job that makes a part of a finished render anew, joined to its neighbours.

    The poses that were rendered stay as they are; where they are others today, that is said as
    edits of the new part.

    Args:
        base: the render, which is done.
        take: the new part, with the folder of the render and the number that the engine will give
            it.
        track: today's poses of the part.

    Raises:
        OutputError: the render is not finished, or cannot be read.
    """
    folder = Path(base.folder)
    record = Record.read(render_folder(base) / RECORD)
    if record.stage.name != "finished":
        raise OutputError(
            f"expected {base.name} to be finished, it is at {record.stage.name!r}",
            hint="Wait for it, or render the range as a take of its own.",
        )
    job = read_job(folder / JOB_FILE)
    if not isinstance(job, RenderJob):
        raise OutputError(f"{folder / JOB_FILE}: expected a render, got a job of {job.kind!r}")
    before = read_native(folder / MOTION_FILE)
    edits = tuple(_edits(before, track))
    settings = job.settings
    if isinstance(settings, SvdSettings):
        settings = replace(settings, seed=settings.seed + take.part)
    again = replace(
        job,
        again=str(take.span),
        pose=replace(job.pose, edits=edits),
        settings=settings,
        motion=replace(job.motion, path=str(folder / MOTION_FILE)),
    )
    job_file = folder / f"job-{take.part:03d}.json"
    write_json(job_file, encode_job(again))
    return Prepared(take, job_file)


def _edits(before: PoseTrack, now: PoseTrack) -> list[PoseEdit]:
    """Return the edits that bring poses that were rendered to what they are now."""
    if now.people != before.people or now.frames.start < before.frames.start:
        raise OutputError(
            f"expected {before.people} people in frames of {before.frames}, there are "
            f"{now.people} in {now.frames} now",
            hint="Render the range as a take of its own.",
        )
    edits: list[PoseEdit] = []
    start = now.first - before.first
    for person in range(now.people):
        old_points = before.points[start : start + len(now), person]
        old_scores = before.scores[start : start + len(now), person]
        points, scores = now.points[:, person], now.scores[:, person]
        seen = (scores > 0) | (old_scores > 0)
        moved = np.abs(points - old_points).max(-1) > 1e-3
        other = seen & (moved | ((scores > 0) != (old_scores > 0)))
        rows = np.flatnonzero(other.any(1))
        for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(rows) else ():
            joints = np.flatnonzero(other[run].any(0))
            places = tuple(
                tuple(
                    (float(points[row, joint, 0]), float(points[row, joint, 1]))
                    if scores[row, joint] > 0
                    else None
                    for joint in joints
                )
                for row in run
            )
            first = now.first + int(run[0])
            edits.append(
                SetPoints(
                    frames=FrameRange(first, first + len(run)),
                    joints=tuple(POINT_NAMES[joint] for joint in joints),
                    person=person,
                    points=places,
                )
            )
    return edits
