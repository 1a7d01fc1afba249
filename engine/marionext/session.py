"""Jobs one after another, each done by the runner of its kind; what is loaded stays loaded."""

from marionext.backends.renderers import Renderers
from marionext.jobs import EngineSettings, Job
from marionext.reporting import Reporter
from marionext.runs import RUNNERS, Result

__all__ = ["Result", "Session"]


class Session:
    """Does jobs one after another; the model of the last render stays loaded."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._renderers = Renderers()

    def run(self, job: Job, engine: EngineSettings, report: Reporter) -> Result:
        """Do a job, or what is missing of it.

        Raises:
            EngineError: one of its kinds; what is finished is kept.
        """
        return RUNNERS[type(job)](job, engine, report, self._renderers)
