"""Which runner does which kind of job."""

from collections.abc import Callable
from typing import Any

from marionext.backends import Renderers
from marionext.jobs import (
    EngineSettings,
    ExportJob,
    Job,
    PictureJob,
    PoseMapJob,
    RenderJob,
    TakeJob,
    TrackJob,
    UpscaleJob,
)
from marionext.reporting import Reporter
from marionext.runs.export import export
from marionext.runs.pictures import make_pictures
from marionext.runs.poses import draw_maps, write_poses
from marionext.runs.render import render
from marionext.runs.result import Result
from marionext.runs.takes import show_take
from marionext.runs.upscale import upscale

__all__ = ["RUNNERS", "Runner"]

Runner = Callable[[Any, EngineSettings, Reporter, Renderers], Result]
"""Does a job of its kind: (job, machine, report, renderers) -> what it left behind."""

RUNNERS: dict[type[Job], Runner] = {
    RenderJob: render,
    TakeJob: show_take,
    TrackJob: write_poses,
    PoseMapJob: draw_maps,
    ExportJob: export,
    PictureJob: make_pictures,
    UpscaleJob: upscale,
}
