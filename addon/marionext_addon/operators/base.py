# SPDX-License-Identifier: GPL-3.0-or-later
"""What several operators share: how they report an error, and how they name a job."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from marionext.errors import EngineError, SettingsError

from ..work import problems
from ..work.renders import Render
from ..work.runner import runner

__all__ = ["OnJob", "active_render", "refuse_gone", "report_error", "seen"]


def report_error(operator: Any, error: EngineError) -> set[str]:
    """Tell the user about an error in Blender's way."""
    operator.report({"ERROR"}, str(error))
    problems.note_error(operator.bl_idname, error)
    return {"CANCELLED"}


def active_render(context: Any, job_id: str = "") -> Render:
    """Return the job of that id, or the active one of the list.

    Raises:
        SettingsError: there is none.
    """
    session = context.window_manager.marionext
    if not job_id and 0 <= session.job_index < len(session.jobs):
        job_id = session.jobs[session.job_index].job_id
    render = runner.renders.get(job_id)
    if render is None:
        raise SettingsError("there is no such job in the list", hint="Choose one in the list.")
    return render


def refuse_gone(render: Render) -> None:
    """Make sure that a job's folder is there.

    Raises:
        SettingsError: it was moved, or deleted.
    """
    if not Path(render.folder).is_dir():
        raise SettingsError(
            f"the folder is gone: {render.folder}",
            hint="Was it moved or deleted? Remove the render from the list.",
        )


def seen(render: Render) -> None:
    """Take the notice of a render's end away: somebody has looked at it."""
    session = bpy.context.window_manager.marionext
    if session.notice == render.job_id:
        session.notice = ""


class OnJob:
    """Base of the operators that do something with one job."""

    bl_options = {"REGISTER"}

    job_id: StringProperty(
        name="Job", description="Empty: the active one of the list", options={"SKIP_SAVE"}
    )

    def execute(self, context: Any) -> set[str]:
        """Do it, and report what stands in the way."""
        try:
            return self.act(context, active_render(context, self.job_id))
        except EngineError as error:
            return report_error(self, error)

    def act(self, context: Any, render: Render) -> set[str]:
        """Do what the operator is for."""
        raise NotImplementedError
