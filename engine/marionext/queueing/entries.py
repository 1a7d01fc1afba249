"""What the queue holds, as values: jobs that come in, jobs as they stand, a worker's turn."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

__all__ = ["STATES", "Claim", "Entry", "Line", "NewJob", "State"]

State = Literal["working", "waiting", "paused", "failed", "done"]
"""``working``: a worker has it; ``waiting``: the next worker may have it; ``paused``: nobody may
until somebody says so; ``failed``: it waits for somebody to look at it; ``done``."""

STATES: tuple[State, ...] = get_args(State)
"""In the order that people are shown them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job that is to be queued; it has been looked at already (`marionext.queueing.admit`)."""

    job: Mapping[str, Any]
    """As `marionext.jobs.encode_job` gives it, paths absolute."""
    results: tuple[Path, ...]
    """Where it writes; no two open jobs share one of them."""
    model: str = ""
    """What has to be loaded for it; jobs of one model are done together. Empty: nothing."""
    priority: int = 0
    """Larger is sooner."""
    retries: int = 2
    """How often it is tried again when it fails by no fault of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A job of the queue as it stands."""

    number: int
    """For good: no other job ever gets it."""
    state: State
    asked: Literal["", "pause", "remove"]
    """What becomes of a job at work as soon as its worker lets go of it."""
    priority: int
    model: str
    output: str
    """The first of its results, for people."""
    attempts: int
    """How often a worker has begun it."""
    fraction: float
    """How much is done, 0 to 1."""
    message: str
    """How it ended or what it waits for; may be empty."""
    added: float
    """When, in seconds since 1970, as the next two; for people only."""
    begun: float | None
    ended: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One worker's turn at one job: good until the job is ended or given to another worker."""

    number: int
    worker: int
    attempt: int
    """Counts the turns of the job; an earlier turn can change nothing any more."""
    model: str
    output: str
    job: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line of a job's log."""

    at: float
    """Seconds since 1970."""
    text: str
