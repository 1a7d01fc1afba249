"""Many jobs in one go: which they are, what keeps them from being done, and what became of each.

A batch is made of job files, tables and matrices (`list_shots`), looked at before anything starts
(`refused`), done one after another (`Batch`) or by a Ray cluster (`ClusterBatch`), and told of in
one page (`write_report`). A farm gets the same shots as a template (`openjd`).

Names are imported when they are first used: listing needs no pictures.
"""

from typing import TYPE_CHECKING, Any

from marionext.lazy import load_name

if TYPE_CHECKING:
    from marionext.batch.cluster import Cluster, ClusterBatch
    from marionext.batch.figures import Figures, look_at
    from marionext.batch.listing import Listing, job_files, list_shots
    from marionext.batch.openjd import (
        Needs,
        needs_of,
        needs_of_picture,
        template,
        to_yaml,
    )
    from marionext.batch.report import free_report_path, write_report
    from marionext.batch.running import Batch, Row, State, is_finished
    from marionext.batch.shots import Problem, Shot, named, ordered, refused

__all__ = [
    "Batch",
    "Cluster",
    "ClusterBatch",
    "Figures",
    "Listing",
    "Needs",
    "Problem",
    "Row",
    "Shot",
    "State",
    "free_report_path",
    "is_finished",
    "job_files",
    "list_shots",
    "look_at",
    "named",
    "needs_of",
    "needs_of_picture",
    "ordered",
    "refused",
    "template",
    "to_yaml",
    "write_report",
]

_PLACES = {
    "cluster": ("Cluster", "ClusterBatch"),
    "figures": ("Figures", "look_at"),
    "listing": ("Listing", "job_files", "list_shots"),
    "openjd": ("Needs", "needs_of", "needs_of_picture", "template", "to_yaml"),
    "report": ("free_report_path", "write_report"),
    "running": ("Batch", "Row", "State", "is_finished"),
    "shots": ("Problem", "Shot", "named", "ordered", "refused"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    return load_name(__name__, name, _PLACES, globals())
