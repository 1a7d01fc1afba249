"""What keeps the render's page, the queue and the takes of the document together."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QPixmap

from marionext.errors import EngineError
from marionext.frames import FrameRange
from marionext.protocol import Failed, Planned
from marionext.queueing import Line
from marionext_desktop.model import rendering, takes
from marionext_desktop.model.blank_tracks import blank_track, write_blank_track
from marionext_desktop.model.project import Project, Take, TakeStatus
from marionext_desktop.model.queue import QueueItem, QueueState
from marionext_desktop.model.rendering import Prepared
from marionext_desktop.model.words import say
from marionext_desktop.ui.actions import Actions
from marionext_desktop.ui.inspector.rendering import EstimateLines, RenderPage, Version
from marionext_desktop.ui.loading import PictureFiles
from marionext_desktop.ui.queue_panel import JobCard, QueuePanel
from marionext_desktop.ui.session import Session
from marionext_desktop.ui.showing import Showing
from marionext_desktop.ui.timeline.contents import TakeBar

__all__ = ["RenderControl"]

_STATUS: dict[str, TakeStatus] = {
    "waiting": "waiting",
    "working": "rendering",
    "paused": "paused",
    "done": "done",
    "failed": "failed",
}
_CARD_STATES = {
    "waiting": "waiting",
    "working": "running",
    "paused": "paused",
    "done": "done",
    "failed": "failed",
}
_MODELS = {
    "doll": "paper doll · built in",
    "puppet": "puppet · built in",
    "svd": "Stable Video Diffusion",
}
_ESTIMATE_MS = 350


class RenderControl(QObject):
    """Renders, and shows what becomes of it."""

    _prepared = Signal(object, object)

    def __init__(
        self,
        page: RenderPage,
        queue: QueuePanel,
        session: Session,
        showing: Showing,
        actions: Actions,
        files: PictureFiles,
    ) -> None:
        super().__init__(page)
        self.page, self.panel = page, queue
        self._session, self._showing, self._actions, self._files = session, showing, actions, files
        self._whole = False
        """Whether all of the sequence is rendered, whatever in and out say."""
        self._state = session.queue.state
        self._later = QTimer(self, singleShot=True, interval=20)
        self._later.timeout.connect(self._show)
        self._estimate_later = QTimer(self, singleShot=True, interval=_ESTIMATE_MS)
        self._estimate_later.timeout.connect(self._estimate)
        self._estimated: object = None
        self._prepared.connect(self._take_prepared)
        page.changed.connect(self._change)
        page.range_chosen.connect(self._choose_range)
        page.version_chosen.connect(self.choose_version)
        queue.asked.connect(self._asked)
        actions.on("draft", lambda: self.render(draft=True))
        actions.on("render", lambda: self.render(draft=False))
        actions.on("again", self.render_again)
        actions["pause_queue"].toggled.connect(self._pause_queue)
        actions.on("show_take", self._show_here)
        actions.on("set_a", lambda: self._compare_here(shift=True))
        actions.on("set_b", lambda: self._compare_here(shift=False))
        session.document.changed.connect(self._document_changed)
        session.queue.changed.connect(self._queue_changed)
        session.queue.failed.connect(self._tell)
        showing.takes_changed.connect(self.refresh)
        showing.space_changed.connect(lambda _space: self._estimate_later.start())
        files.ready.connect(lambda _path: self.refresh())
        self.refresh()

    # ---------------------------------------------------------------- what is shown

    def refresh(self) -> None:
        """Show everything anew, soon."""
        self._later.start()

    def _document_changed(self, old: Project, new: Project) -> None:
        if (old.render, old.span, old.characters, old.size) != (
            new.render,
            new.span,
            new.characters,
            new.size,
        ):
            self._estimate_later.start()
        self.refresh()

    def _show(self) -> None:
        project, page = self._session.project, self.page
        choice = project.render
        known = rendering.models()
        names: list[str] = [name for name in ("puppet", "doll", "svd") if name in known]
        names += [name for name in known if name not in names]
        page.model.offer([(name, say(_MODELS.get(name, name))) for name in names])
        page.model.choose(choice.model)
        qualities = [("", say("as the model has it"))]
        qualities += [(name, say(name.capitalize())) for name in rendering.qualities()]
        page.quality.offer(qualities)
        page.quality.choose(choice.quality or "")
        page.character.offer([(each.id, each.name) for each in project.characters])
        chosen = choice.character or (project.characters[0].id if project.characters else "")
        page.character.choose(chosen)
        page.frame_size.offer(self._sizes(project))
        page.frame_size.choose("" if choice.size is None else f"{choice.size[0]}x{choice.size[1]}")
        marked = project.mark_in is not None or project.mark_out is not None
        page.range.choose("all" if self._whole or not marked else "range")
        page.range.button("range").setEnabled(marked)
        page.seed.show_value(choice.seed)
        page.steps.show_value(choice.steps or 0)
        diffusion = choice.model != "doll"
        page.seed.setEnabled(diffusion)
        page.steps.setEnabled(diffusion)
        page.quality.setEnabled(diffusion)
        some = bool(project.characters and project.clips)
        self._actions.allow(some, "draft", "render", "again")
        page.show_versions(self._versions(project), self._showing.take_a, self._showing.take_b)
        self.panel.show_jobs(self._cards(project))
        self._actions["pause_queue"].blockSignals(True)
        self._actions.check("pause_queue", self._state.paused)
        self._actions["pause_queue"].blockSignals(False)

    def _sizes(self, project: Project) -> list[tuple[str, str]]:
        """Return sizes of the canvas's proportions that models can render."""
        w, h = project.size
        sizes = [("", say("as the model has it"))]
        for short in (384, 512, 576, 768):
            share = short / min(w, h)
            wide, tall = (max(round(side * share / 64) * 64, 64) for side in (w, h))
            sizes.append((f"{wide}x{tall}", f"{wide} × {tall}"))
        return sizes

    def _versions(self, project: Project) -> list[Version]:
        found = []
        for take in reversed(project.takes):
            stale = take.status == "done" and takes.is_stale(project, take)
            states = {"rendering": "running", "done": "done", "failed": "failed"}
            state = "stale" if stale else states.get(take.status, "waiting")
            words = {
                "stale": say("pose changed"),
                "running": say("rendering"),
                "failed": say("failed"),
                "waiting": say(take.status),
                "done": say(take.quality or "final"),
            }[state]
            found.append(
                Version(
                    id=take.id, title=take.name, words=words, state=state,  # type: ignore[arg-type]
                    picture=self._picture(take),
                )
            )  # fmt: skip
        return found

    def _picture(self, take: Take) -> QPixmap | None:
        middle = (take.span.start + take.span.stop) // 2
        for frame in (middle, take.span.start):
            path = takes.frame_file(take, frame)
            picture = self._files.pixmap(path)
            if picture is not None:
                return picture
        return self._files.pixmap(takes.preview_file(take))

    def _cards(self, project: Project) -> list[JobCard]:
        by_entry = {take.entry: take for take in project.takes if take.entry is not None}
        return [
            self._card(project, item, by_entry.get(item.entry.number)) for item in self._state.items
        ]

    def _card(self, project: Project, item: QueueItem, take: Take | None) -> JobCard:
        entry = item.entry
        state = _CARD_STATES.get(entry.state, "waiting")
        title = (
            _output_name(Path(entry.output)) if take is None else self._take_title(project, take)
        )
        picture = None if take is None else self._picture(take)
        if item.preview is not None and state == "running":
            picture = self._files.pixmap(Path(item.preview)) or picture
        words, right = entry.message, ""
        if state == "running":
            words = item.text or say("is being rendered")
            right = (
                say("{time} left", time=_duration(item.seconds_left))
                if item.seconds_left
                else f"{entry.fraction * 100:.0f} %"
            )
        elif state == "waiting":
            words = words or say("waits")
        elif state == "paused":
            right = say("paused")
        elif state == "done":
            count = len(take.span) if take is not None else 0
            took = (
                _duration((entry.ended or 0) - (entry.begun or 0))
                if entry.ended and entry.begun
                else ""
            )
            words = " · ".join(
                part for part in (say("{n} frames", n=count) if count else "", took) if part
            )
            right = say("done")
        elif state == "failed":
            right = say("failed")
        return JobCard(
            id=str(entry.number), title=title, words=words, state=state,  # type: ignore[arg-type]
            right=right, progress=1.0 if state == "done" else entry.fraction, picture=picture,
            mine=take is not None,
        )  # fmt: skip

    def _take_title(self, project: Project, take: Take) -> str:
        name = next((c.name for c in project.characters if c.id == take.character), "")
        parts = [name, f"{take.name} {say(take.quality) if take.quality else ''}".strip()]
        return " · ".join(part for part in parts if part)

    def describe(self, take: Take) -> TakeBar:
        """Say what is written on a take in the timeline."""
        project = self._session.project
        item = None if take.entry is None else self._state.item(take.entry)
        state, words, progress = "waiting", say("waits"), 0.0
        if take.status == "rendering":
            progress = item.entry.fraction if item is not None else 0.0
            words = say("rendering {share} %", share=round(progress * 100))
            if item is not None and item.seconds_left:
                words += "  ·  " + say("{time} left", time=_duration(item.seconds_left))
            state = "running"
        elif take.status == "done":
            stale = takes.is_stale(project, take)
            state = "stale" if stale else "done"
            words = (
                say("pose changed since: render again") if stale else say(take.quality or "final")
            )
        elif take.status == "failed":
            state, words = "failed", take.message or say("failed")
        elif take.status == "paused":
            words = say("paused")
        return TakeBar(take.id, take.span.start, take.span.stop, take.name, words, state, progress)  # type: ignore[arg-type]

    # ---------------------------------------------------------------- what is chosen

    def _change(self, name: str, value: object) -> None:
        document = self._session.document
        project = document.project
        choice = replace(project.render, **{name: value})  # type: ignore[arg-type]
        document.do(say("Render settings"), replace(project, render=choice), merge=("render", name))

    def _choose_range(self, which: str) -> None:
        self._whole = which == "all"
        self._estimate_later.start()
        self.refresh()

    def span(self) -> FrameRange | None:
        """Return the frames that are rendered; None: there are none."""
        project = self._session.project
        if self._whole and project.length:
            return FrameRange(0, project.length)
        return project.span

    def choose_version(self, name: str, shift: bool) -> None:
        """Show a take as B, or with Shift as A."""
        if shift:
            self._showing.compare_takes(a="" if self._showing.take_a == name else name)
        else:
            self._showing.compare_takes(b="" if self._showing.take_b == name else name)

    def show_everywhere(self, name: str) -> None:
        """Let the timeline show a take in all of its frames, over newer ones."""

        def on_top(project: Project) -> Project:
            take = next((each for each in project.takes if each.id == name), None)
            if take is None or project.takes[-1] is take:
                return project
            others = tuple(each for each in project.takes if each is not take)
            return replace(project, takes=(*others, replace(take, hidden=False)))

        self._session.document.amend(on_top)

    def _compare_here(self, *, shift: bool) -> None:
        take = takes.take_at(self._session.project, self._showing.frame)
        if take is not None:
            self.choose_version(take.id, shift)

    def _show_here(self) -> None:
        name = self._showing.take_b
        if name:
            self.show_everywhere(name)

    # ---------------------------------------------------------------- estimate

    def _estimate(self) -> None:
        project, span = self._session.project, self.span()
        if self._showing.space != "render" or span is None or not project.characters:
            if span is None or not project.characters:
                hint = say("Needs a motion and a character.")
                self.page.estimate.show_lines(EstimateLines(title=say("Estimate"), warning=hint))
            return
        key = (project.render, span, project.characters, project.size, project.rate)
        if key == self._estimated:
            return
        self._estimated = key
        track = blank_track(span, project.size, project.rate)
        if not track.is_file():
            self._estimated = None
            self._session.side.call(
                write_blank_track, track, span, project.size, project.rate,
                done=lambda _result: self._prepared.emit("blank", None),
            )  # fmt: skip
            return
        try:
            job = rendering.plan_job(project, span, track)
        except EngineError as error:
            self.page.estimate.show_lines(
                EstimateLines(title=say("Estimate"), warning=error.message)
            )
            return
        self.page.estimate.show_lines(EstimateLines(title=say("Estimate is made …")))
        self._session.engine.estimate(job, self._show_estimate)

    def _show_estimate(self, answer: Planned | Failed) -> None:
        if isinstance(answer, Failed):
            lines = EstimateLines(title=say("Estimate"), warning=answer.message)
        else:
            lines = estimate_lines(answer.outline)
        self.page.estimate.show_lines(lines)

    # ---------------------------------------------------------------- rendering

    def render(self, *, draft: bool) -> None:
        """Have the range rendered."""
        span = self.span()
        project = self._session.project
        if span is None:
            self._session.told.emit("warn", say("There is nothing on the timeline to render."))
            return
        track = self._session.poses.sequence_track(span)
        if track is None:
            self._session.told.emit("warn", say("The poses of this range are still being found."))
            return
        try:
            take = rendering.new_take(
                project, self._session.takes_folder(), span, created=time.time(), draft=draft
            )
        except EngineError as error:
            self._tell(error)
            return
        self._session.document.amend(lambda each: replace(each, takes=(*each.takes, take)))
        self._session.side.call(
            rendering.prepare_render, project, take, track,
            done=lambda result: self._prepared.emit(take.id, result),
        )  # fmt: skip
        words = (
            say("Draft of frames {span} is on its way", span=span)
            if draft
            else say("Frames {span} are in the queue", span=span)
        )
        self._session.told.emit("good", words)

    def _take_prepared(self, name: str, result: object) -> None:
        if name == "blank":
            self._estimate()
            return
        if isinstance(result, EngineError):
            self._set(name, status="failed", message=result.message)
            self._tell(result)
            return
        if isinstance(result, Prepared):
            self._session.queue.add(
                [result.job_file],
                added=lambda numbers: self._set(name, entry=numbers[0]),
                refused=lambda error: self._refused(name, error),
            )

    def _refused(self, name: str, error: EngineError) -> None:
        self._set(name, status="failed", message=error.message)
        self._tell(error)

    def render_again(self) -> None:
        """Have the range made again within the take that is shown there."""
        project, span = self._session.project, self.span()
        base = None if span is None else takes.take_at(project, span.start)
        if (
            span is None
            or base is None
            or not (base.span.start <= span.start and span.stop <= base.span.stop)
        ):
            self._session.told.emit("warn", say("Mark in and out within one finished take first."))
            return
        track = self._session.poses.sequence_track(span)
        if track is None:
            self._session.told.emit("warn", say("The poses of this range are still being found."))
            return
        same = [each.part for each in project.takes if each.folder == base.folder]
        take = replace(
            base, id=f"{base.id}-{max(same) + 1}", name=takes.next_name(project), span=span,
            poses=takes.poses_key(project, span), part=max(same) + 1, status="waiting",
            entry=None, message="", created=time.time(),
        )  # fmt: skip
        self._session.document.amend(lambda each: replace(each, takes=(*each.takes, take)))
        self._session.side.call(
            rendering.joined_job, base, take, track,
            done=lambda result: self._prepared.emit(take.id, result),
        )  # fmt: skip

    def _set(self, name: str, **changes: object) -> None:
        self._session.document.amend(lambda project: takes.with_take(project, name, **changes))

    def _queue_changed(self, state: QueueState) -> None:
        before, self._state = self._state, state
        project = self._session.project
        for take in project.takes:
            if take.entry is None or take.status in {"done", "cancelled"}:
                continue
            item = state.item(take.entry)
            if item is None:
                if before.item(take.entry) is not None:
                    self._set(take.id, status="cancelled", message="")
                continue
            status = _STATUS.get(item.entry.state, take.status)
            if status != take.status:
                message = item.entry.message if status == "failed" else ""
                self._set(take.id, status=status, message=message)
                if status == "done":
                    self._session.told.emit("good", say("{name} is rendered", name=take.name))
                elif status == "failed":
                    self._session.told.emit("bad", f"{take.name}: {item.entry.message}")
        if state.problem is not None and before.problem is None:
            self._tell(state.problem)
        self.queue_moved()
        self.refresh()

    queue_moved: Callable[[], None] = staticmethod(lambda: None)
    """Called when jobs have moved on: the timeline shows how far takes are."""

    def _tell(self, error: EngineError) -> None:
        hint = f"\n{error.hint}" if error.hint else ""
        self._session.told.emit("bad", f"{error.message}{hint}")

    # ---------------------------------------------------------------- the queue

    def _pause_queue(self, on: bool) -> None:
        queue = self._session.queue
        if on != self._state.paused:
            if on:
                queue.pause()
            else:
                queue.resume()

    def _asked(self, what: str, name: str) -> None:
        number, queue = int(name), self._session.queue
        match what:
            case "pause":
                queue.pause([number])
            case "resume":
                queue.resume([number])
            case "cancel" | "remove":
                queue.remove([number])
            case "retry":
                queue.retry([number])
            case "up":
                waiting = [i.entry.number for i in self._state.items if i.entry.state == "waiting"]
                queue.order([number, *(each for each in waiting if each != number)])
            case "folder":
                item = self._state.item(number)
                if item is not None:
                    QDesktopServices.openUrl(QUrl.fromLocalFile(item.entry.output))
            case "show":
                self._show_take(number)
            case "log":
                queue.log(number, self.show_log)

    show_log: Callable[[list[Line]], None] = staticmethod(lambda _lines: None)
    """Called with the lines of a job's log."""

    def _show_take(self, number: int) -> None:
        take = next((t for t in self._session.project.takes if t.entry == number), None)
        if take is not None:
            self._showing.compare_takes(b=take.id)
            if self._showing.frame not in take.span:
                self._showing.go_to(take.span.start)

    def remove_take(self, name: str, *, files: bool) -> None:
        """Take a version off the list, and its files off the disk if that is wanted."""
        take = next((t for t in self._session.project.takes if t.id == name), None)
        if take is None:
            return
        self._session.document.amend(lambda project: takes.remove_take(project, name))
        if files and take.part == 0:
            shutil.rmtree(take.folder, ignore_errors=True)


def estimate_lines(outline: dict[str, object]) -> EstimateLines:
    """Return an engine's estimate in the window's words."""
    lines: list[tuple[str, str]] = []
    warning = ""
    seconds, measured = _number(outline, "seconds"), outline.get("seconds_from")
    if seconds:
        about = "" if str(measured).startswith("from") else "  " + say("(a guess)")
        lines.append((say("Time"), f"{_duration(seconds)}{about}"))
    device = outline.get("device_gib")
    on_device = max(device.values()) if isinstance(device, dict) and device else 0.0
    memory = max(_number(outline, "host_gib"), float(on_device))
    lines.append((say("Memory"), f"{memory:.1f} GB"))
    disk, free = _number(outline, "disk_mib"), _number(outline, "free_disk_mib")
    frames = round(_number(outline, "frames"))
    count = say("{n} frames", n=frames)
    lines.append((say("Disk"), f"{_bytes(disk * 1048576)} · {count}"))
    windows = outline.get("windows")
    if isinstance(windows, list | tuple) and len(windows) > 1:
        lines.append((say("Windows"), f"{len(windows)} × {windows[0][1]}"))
    if disk > free > 0:
        warning = say("The disk has {free} left only.", free=_bytes(free * 1048576))
    return EstimateLines(
        title=say("Estimate, for this machine"), lines=tuple(lines), warning=warning
    )


def _output_name(output: Path) -> str:
    """Return what a job of another project is called: takes lie in folders of their own."""
    return output.parent.name if output.name == "render" else output.name


def _number(outline: dict[str, object], name: str) -> float:
    value = outline.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    whole = max(round(seconds), 0)
    if whole < 60:
        return say("{s} s", s=whole)
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}"


def _bytes(count: float) -> str:
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
