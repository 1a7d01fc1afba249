"""What each kind of job does: a function for each, and one table from kind to function."""

from marionext.runs.result import Result
from marionext.runs.table import RUNNERS, Runner

__all__ = ["RUNNERS", "Result", "Runner"]
