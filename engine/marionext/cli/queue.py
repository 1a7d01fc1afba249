"""``marionext queue``: jobs that wait for this machine, and the workers that do them."""

import argparse
import contextlib
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from marionext.cli import console
from marionext.cli.interrupts import Interrupts
from marionext.cli.jobs import PARTIAL
from marionext.cli.options import add_engine_options, engine_settings
from marionext.codec import encode
from marionext.errors import JobCancelled, SettingsError
from marionext.frames import parse_frames
from marionext.limits import SECONDS_TO_END
from marionext.paths import user_path
from marionext.queueing import (
    STATES,
    Entry,
    Store,
    Watch,
    Worker,
    admit,
    queue_folder,
    rescue,
)

__all__ = ["add_commands", "row"]

_JOBS = "numbers such as 3 or 3-7, 'all', or a state: " + ", ".join(STATES)
_SECONDS_TO_FOLLOW = 0.5


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's commands."""
    queue = commands.add_parser(
        "queue",
        help="jobs that wait for this machine, done by any number of workers",
        description="Jobs wait in the queue of this user until a worker does them. Several workers "
        "share the queue; whatever dies, nothing is done twice and nothing is lost.",
    )
    actions = queue.add_subparsers(dest="action", required=True, metavar="ACTION")

    add = _action(actions, "add", "queue job files", _add)
    add.add_argument("jobs", nargs="+", metavar="JOB", help="job files (JSON)")
    add.add_argument("--priority", type=int, default=0, help="larger is sooner (0)")
    add.add_argument(
        "--retry",
        type=int,
        default=2,
        metavar="N",
        help="how often a job is tried again that fails by no fault of its own (2)",
    )
    add.add_argument(
        "--root",
        metavar="DIR",
        help="the jobs may write in here, and in the folder of their own file",
    )
    add.add_argument("--allow-outside", action="store_true", help="they may write anywhere")
    add.add_argument("--json", action="store_true", help="JSON on stdout")

    listing = _action(actions, "ls", "list the jobs", _list)
    listing.add_argument("which", nargs="*", metavar="JOBS", help=_JOBS)
    listing.add_argument("--json", action="store_true", help="JSON on stdout")

    pause = _action(actions, "pause", "begin no more jobs, or not these", _pause)
    pause.add_argument("which", nargs="*", metavar="JOBS", help=f"{_JOBS} (the whole queue)")
    resume = _action(actions, "resume", "begin jobs again", _resume)
    resume.add_argument("which", nargs="*", metavar="JOBS", help=f"{_JOBS} (the whole queue)")
    retry = _action(actions, "retry", "try failed jobs again, from where they stopped", _retry)
    retry.add_argument("which", nargs="*", metavar="JOBS", help=f"{_JOBS} (failed)")
    priority = _action(actions, "priority", "do jobs sooner or later", _prioritise)
    priority.add_argument("which", metavar="JOBS", help=_JOBS)
    priority.add_argument("priority", type=int, metavar="N", help="larger is sooner; 0 is usual")
    remove = _action(actions, "rm", "take jobs off the queue; what they made stays", _remove)
    remove.add_argument("which", nargs="+", metavar="JOBS", help=_JOBS)

    log = _action(actions, "log", "print what was said about a job", _log)
    log.add_argument("number", type=int, metavar="JOB", help="its number")
    log.add_argument("--follow", "-f", action="store_true", help="until the job has ended")

    _action(actions, "rescue", "begin anew with what a damaged queue still holds", _rescue)

    work = _action(actions, "work", "do jobs, until Ctrl-C", _work)
    work.add_argument("--drain", action="store_true", help="end when no job is left to do")
    work.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    work.add_argument(
        "--while-stdin",
        action="store_true",
        help="end when stdin ends: for programs that start workers and must leave none behind",
    )
    add_engine_options(work)


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("--queue", metavar="DIR", help="folder of the queue (your own)")
    parser.add_argument("--verbose", "-v", action="store_true", help="more messages on stderr")
    parser.set_defaults(run=run)
    return parser


def _folder(options: argparse.Namespace) -> Path:
    return user_path(options.queue) if options.queue else queue_folder()


@contextlib.contextmanager
def _opened(options: argparse.Namespace) -> Iterator[Store]:
    """Open the queue as it really is: jobs whose workers have died are at work no longer."""
    with Store(_folder(options)) as store:
        Watch().look(store, me=None)
        yield store


def _add(options: argparse.Namespace) -> int:
    if not 0 <= options.retry <= 100:
        raise SettingsError(f"--retry: expected a number from 0 to 100, got {options.retry}")
    roots = [user_path(options.root)] if options.root else []
    admission = admit(
        [user_path(job) for job in options.jobs],
        roots=None if options.allow_outside else roots,
        priority=options.priority,
        retries=options.retry,
    )
    if admission.refused:
        for error in admission.refused:
            console.show_error(error)
        console.say("Nothing was queued.")
        return admission.refused[0].exit_status
    with _opened(options) as store:
        numbers = store.add(admission.jobs)
        if options.json:
            console.show_json(numbers)
        else:
            for number in numbers:
                console.show_result(f"{number}  {store.entry(number).output}")
    return 0


def _list(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        entries, paused = store.entries(), store.paused
    if options.which:
        wanted = set(_numbers(entries, options.which))
        entries = [entry for entry in entries if entry.number in wanted]
    if options.json:
        console.show_json([encode(entry) for entry in entries])
        return 0
    if entries:
        console.show_result("\n".join(row(entry) for entry in entries))
    counts = Counter(entry.state for entry in entries)
    told = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    console.say((told or "no jobs") + ("; the queue is paused" if paused else ""))
    return 0


def row(entry: Entry) -> str:
    """Return a job as a line of the list."""
    state = f"{entry.state}, {entry.asked} asked" if entry.asked else str(entry.state)
    share = f"{entry.fraction:4.0%}" if entry.state != "waiting" or entry.fraction else "    "
    priority = f"{entry.priority:+d}" if entry.priority else ""
    message = entry.message.partition("\n")[0]
    return (
        f"{entry.number:>6}  {state:<8} {share} {priority:>4}  {entry.output}  {message}".rstrip()
    )


def _numbers(entries: Sequence[Entry], which: Sequence[str]) -> list[int]:
    """Return the numbers that a user means.

    Raises:
        SettingsError: it is neither numbers nor a state, or there is no job of such a number.
    """
    known = {entry.number: entry.state for entry in entries}
    chosen: dict[int, None] = {}
    for text in which:
        if text == "all" or text in STATES:
            found = [number for number, state in known.items() if text in {"all", state}]
        else:
            try:
                found = list(parse_frames(text))
            except SettingsError:
                raise SettingsError(f"expected jobs as {_JOBS}, got {text!r}") from None
            if absent := [number for number in found if number not in known]:
                raise SettingsError(
                    f"no job of the queue has the number {absent[0]}",
                    hint="See: marionext queue ls",
                )
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _pause(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        if not options.which:
            store.pause()
            console.say("The queue is paused; jobs at work go on.")
            return 0
        return _tell(store.pause_jobs(_numbers(store.entries(), options.which)), "paused")


def _resume(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        if not options.which:
            store.resume()
            console.say("The queue goes on.")
            return 0
        return _tell(store.resume_jobs(_numbers(store.entries(), options.which)), "waiting again")


def _retry(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        numbers = _numbers(store.entries(), options.which or ["failed"])
        return _tell(store.retry(numbers), "waiting again")


def _prioritise(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        numbers = _numbers(store.entries(), [options.which])
        return _tell(store.prioritise(numbers, options.priority), f"at {options.priority:+d}")


def _remove(options: argparse.Namespace) -> int:
    with _opened(options) as store:
        numbers = _numbers(store.entries(), options.which)
        return _tell(store.remove(numbers), "off the queue; what they made stays")


def _tell(count: int, what: str) -> int:
    console.say(f"{count} {'job' if count == 1 else 'jobs'} {what}")
    return 0


def _log(options: argparse.Namespace) -> int:
    place = 0
    with _opened(options) as store:
        while True:
            # Asked before reading: what was said last is then read for certain.
            state = store.entry(options.number).state
            lines, place = store.log(options.number, after=place)
            for line in lines:
                at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.at))
                console.show_result(f"{at}  {line.text}")
            if not options.follow or state in {"done", "failed"}:
                return 0
            time.sleep(_SECONDS_TO_FOLLOW)


def _rescue(options: argparse.Namespace) -> int:
    found = rescue(_folder(options))
    console.say(
        f"{found.rescued} jobs are in a new queue, {found.paused} of them paused; the damaged file "
        f"is kept as {found.kept}"
    )
    return 0


def _work(options: argparse.Namespace) -> int:
    if options.device in {"auto", "cuda"}:
        from marionext.queueing.gpus import claim_gpu  # noqa: PLC0415 - pictures

        # Until this process ends.
        if (held := claim_gpu()) is not None:
            console.say(f"This worker has {held.gpu.name}.")
    printer = console.EventPrinter(as_json=options.json)
    worker = Worker(
        _folder(options),
        engine_settings(options),
        show=printer.show,
        say=console.say,
        drain=options.drain,
    )
    stop = _Stop(worker)
    if options.while_stdin:
        threading.Thread(target=_end_with_stdin, args=(stop,), daemon=True).start()
    with Interrupts(stop):
        worker.run()
    if stop.called:
        return JobCancelled.exit_status
    failed = [status for status in worker.statuses if status]
    if failed:
        return PARTIAL if len(failed) < len(worker.statuses) else failed[0]
    return 0


class _Stop:
    """Called when a worker is to stop; remembers that it was."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.called = False

    def __call__(self) -> None:
        self.called = True
        self._worker.stop()


def _end_with_stdin(stop: _Stop) -> None:
    """Stop the worker when stdin ends, and end the process soon after whatever it is doing."""
    # Below Python's own reader: that one would be locked while the program ends.
    with contextlib.suppress(OSError):
        while os.read(0, 1 << 12):
            pass
    stop()
    time.sleep(SECONDS_TO_END)
    os._exit(JobCancelled.exit_status)
