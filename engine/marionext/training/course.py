"""The course of a training in its folder: prepare, load, step by step, measure, keep, write.

What is trained is a `Subject`; this is what all of them have in common. One process works without
being launched; ``accelerate launch`` makes several of it, which share the batches of each step and
agree on everything else.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

import accelerate
import diffusers
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import gather_object
from torch import Tensor

from marionext.diffusion.memory import choose_device, is_out_of_memory, reproducible
from marionext.errors import DeviceError, JobCancelled, ModelError, SettingsError
from marionext.files import write_json
from marionext.output import FolderLock
from marionext.training.checkpoints import Curve, load_checkpoint, save_checkpoint
from marionext.training.curve import draw_curve
from marionext.training.descent import Descent, Taken
from marionext.training.prefetching import prefetched
from marionext.training.reports import TrainingReporter

__all__ = ["CHECKPOINT", "CourseRun", "Named", "Subject", "run_course"]

CHECKPOINT = "checkpoint.pt"
CURVE = "curve.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class CourseRun:
    """What changes how a training runs, but not the weights of a step."""

    folder: Path
    """Where everything is kept."""
    steps: int
    """In all, those of earlier runs included."""
    resume: bool = False
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    evaluate_every: int = 100
    """Steps between measurements, each with a checkpoint."""
    preview_every: int = 500
    """Steps between previews; 0: none."""
    anneal: int = 0
    """Number of last steps over which the rates fall to a fiftieth."""
    validation: int = 4
    """How many of those held out are measured."""
    gradient_checkpointing: bool = False
    """Compute activations again on the way back instead of keeping them."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            SettingsError: a number is out of its range.
        """
        for name, least in (
            ("steps", 1), ("evaluate_every", 1), ("preview_every", 0), ("anneal", 0),
            ("validation", 1),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise SettingsError(f"{name}: expected at least {least}, got {getattr(self, name)}")


class Named(Protocol):
    """A batch that knows what it is made of."""

    @property
    def names(self) -> Sequence[str]:
        """What a user knows its parts by."""


Drawn = TypeVar("Drawn", bound=Named)


class Subject(ABC, Generic[Drawn]):
    """What is trained: its data, its networks, and what is made of them."""

    config: Mapping[str, object]
    """What decides the weights; a checkpoint resumes under the same only."""
    columns: tuple[str, ...]
    """Names of what `measure` returns."""
    lines: tuple[tuple[str, str], ...]
    """What of the curve is drawn: columns and what they are called."""
    unit: str
    """Of the loss."""
    samples: str
    """What its batches are made of, to the user: ``clips``."""
    descent: Descent[Drawn]
    """There once it is loaded."""

    def refuse(self) -> None:
        """Refuse what cannot be trained, before anything takes time."""

    @abstractmethod
    def prepare(self) -> str:
        """Encode the data, each process after the first; return what tells it from other data."""

    @abstractmethod
    def load(self) -> str:
        """Load what is trained; return a sentence on it."""

    @abstractmethod
    def draw(self, number: int) -> Drawn:
        """Draw a batch by its number."""

    @abstractmethod
    def loss(self, batch: Drawn) -> Tensor:
        """Return what is to become less."""

    @abstractmethod
    def measure(self) -> dict[str, float]:
        """Measure with what is held out."""

    @abstractmethod
    def preview(self, step: int) -> Path | None:
        """Show what it makes now."""

    @abstractmethod
    def write(self, record: Mapping[str, object]) -> Path:
        """Write the result; ``record`` says how it was made."""

    @abstractmethod
    def too_large(self) -> DeviceError:
        """Return what to say where memory does not suffice."""


def run_course(
    make: Callable[[Accelerator, TrainingReporter], Subject[Drawn]],
    run: CourseRun,
    report: TrainingReporter,
    *,
    accumulate: int,
    settings: Mapping[str, object],
) -> Path:
    """Train, and write the result.

    Args:
        make: makes what is trained.
        run: how to go about it.
        report: told how it goes.
        accumulate: batches of a process in a step.
        settings: of the training, for its record.

    Returns:
        The path of the result.

    Raises:
        EngineError: any of its kinds. An earlier checkpoint is whole; ``resume`` continues from it.
    """
    device = choose_device(run.device)
    patience = InitProcessGroupKwargs(timeout=timedelta(days=7))
    # Precision is ours to say: `accelerate launch` may bring another from its own configuration.
    accelerator = Accelerator(
        cpu=device.type == "cpu", mixed_precision="no", kwargs_handlers=[patience]
    )
    with ExitStack() as stack:
        if accelerator.is_main_process:
            stack.enter_context(FolderLock(run.folder))
        else:
            # The others say nothing: their numbers are the first one's.
            report = TrainingReporter(lambda _event: None, report.cancelled)
        stack.enter_context(reproducible())
        stack.enter_context(_repeatable_gradients(device))
        subject = make(accelerator, report)
        course = _Course(subject, run, report, accelerator, accumulate, settings)
        try:
            return course.run()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise subject.too_large() from error


@contextmanager
def _repeatable_gradients(device: torch.device) -> Iterator[None]:
    """Ask CUDA for kernels whose sums come in the same order every time, where it has them."""
    if device.type != "cuda":
        yield
        return
    # Read when the device is first used; without it matrix products are left as they are.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


class _Course(Generic[Drawn]):
    """One training in one process."""

    def __init__(
        self,
        subject: Subject[Drawn],
        run: CourseRun,
        report: TrainingReporter,
        accelerator: Any,
        accumulate: int,
        settings: Mapping[str, object],
    ) -> None:
        self._subject, self._run, self._report = subject, run, report
        self._accelerator, self._accumulate, self._settings = accelerator, accumulate, settings
        self._checkpoint = run.folder / CHECKPOINT
        self._began = time.monotonic()
        self._step = self._saved = 0

    def run(self) -> Path:
        """Do all of it."""
        self._check_folder()
        self._subject.refuse()
        # Before anything long: a checkpoint of another training is refused at once.
        state = self._earlier()
        with self._accelerator.main_process_first():
            self._data = self._subject.prepare()
        if self._accelerator.device.type == "cuda":
            torch.cuda.empty_cache()
        self._load(state)
        losses: list[float] = []
        for number, batches in prefetched(self._draw, self._step, self._run.steps):
            fall = (self._run.steps - number) / self._run.anneal if self._run.anneal else 1.0
            stop = self._report.cancelled()
            taken = self._subject.descent.take_step(
                number, batches, self._subject.loss, fall, stop=stop
            )
            if taken.trouble is not None:
                raise self._diverged(batches, taken)
            self._step = number + 1
            losses.append(taken.loss)
            self._report.progress("train", self._step, self._run.steps, f"loss {taken.loss:.4g}")
            last = self._step == self._run.steps
            if self._step % self._run.evaluate_every == 0 or last or taken.stopping:
                self._evaluate(losses, last=last)
                losses.clear()
            if taken.stopping:
                break
        target = self._write()
        if self._step < self._run.steps:
            raise JobCancelled(
                f"Stopped after step {self._step}; the model of that step is in {target}. "
                "Give the same command with --resume to go on."
            )
        return target

    def _check_folder(self) -> None:
        if self._checkpoint.exists() and not self._run.resume:
            raise SettingsError(
                f"{self._run.folder} holds a training already",
                hint="Go on with --resume, or choose another folder.",
            )

    def _earlier(self) -> Mapping[str, Any] | None:
        if not (self._run.resume and self._checkpoint.exists()):
            return None
        return load_checkpoint(self._checkpoint, self._subject.config)

    def _load(self, state: Mapping[str, Any] | None) -> None:
        """Load the networks, and go on where an earlier run was."""
        introduction = self._subject.load()
        self._subject.descent.learned.check_space(self._run.folder)
        seconds = 0.0
        if state is not None:
            self._subject.descent.load(state)
            self._step = self._saved = int(state["step"])
            seconds = float(state["seconds"])
            self._report.log(f"going on after step {self._step}")
            if state["data"] != self._data:
                self._report.log(
                    f"the {self._subject.samples} are others than before", warning=True
                )
        self._began = time.monotonic() - seconds
        self._report.log(introduction)
        if self._accelerator.is_main_process:
            columns = ("seconds", "loss", *self._subject.columns, "rate")
            self._curve = Curve(self._run.folder / CURVE, columns, self._step)
            write_json(self._run.folder / "settings.json", self._subject.config)

    def _draw(self, step: int) -> list[Drawn]:
        """Draw this process's part of a step."""
        processes = self._accelerator.num_processes
        first = step * self._accumulate * processes + self._accelerator.process_index
        return [self._subject.draw(first + part * processes) for part in range(self._accumulate)]

    def _diverged(self, batches: list[Drawn], taken: Taken) -> ModelError:
        value = taken.loss if taken.trouble == "loss" else taken.norm
        names = gather_object([name for batch in batches for name in batch.names])
        kept = (
            f"the checkpoint of step {self._saved} is kept"
            if self._saved
            else "there is no checkpoint yet"
        )
        return ModelError(
            f"the {taken.trouble} of step {self._step + 1} is {value}, in the batch of "
            f"{'; '.join(names)}; {kept}",
            hint=f"Look at these {self._subject.samples}; else lower the rate (--rate, "
            "--main-rate, --text-rate), and go on with --resume.",
        )

    def _evaluate(self, losses: list[float], *, last: bool) -> None:
        """Measure, draw, preview and keep: the first process does, the others wait."""
        if self._accelerator.is_main_process:
            subject, descent = self._subject, self._subject.descent
            with descent.learned.averaged():
                numbers = subject.measure()
                every = self._run.preview_every
                if every and (self._step % every == 0 or last):
                    shown = subject.preview(self._step)
                    if shown is not None:
                        self._report.preview(str(shown), self._step)
            numbers |= {
                "seconds": time.monotonic() - self._began,
                "loss": sum(losses) / max(1, len(losses)),
                "rate": descent.rate,
            }
            self._curve.append(self._step, numbers)
            draw_curve(
                self._run.folder / CURVE,
                self._run.folder / "curve.png",
                {"loss": "training loss", **dict(subject.lines)},
                subject.unit,
            )
            self._report.measured(self._step, numbers)
            state = {
                "config": dict(subject.config),
                "data": self._data,
                "step": self._step,
                "seconds": time.monotonic() - self._began,
                **descent.state(),
            }
            save_checkpoint(self._checkpoint, state)
        self._saved = self._step
        self._accelerator.wait_for_everyone()

    def _write(self) -> Path:
        """Write the result."""
        target = self._run.folder
        if self._accelerator.is_main_process:
            self._report.progress("write", 0, 1)
            with self._subject.descent.learned.averaged():
                target = self._subject.write(self._record())
            self._report.progress("write", 1, 1)
            self._report.trained(str(target), self._step, time.monotonic() - self._began)
        self._accelerator.wait_for_everyone()
        return target

    def _record(self) -> dict[str, object]:
        return {
            "settings": dict(self._settings),
            "steps": self._step,
            "seconds": round(time.monotonic() - self._began, 1),
            "trained_parameters": self._subject.descent.learned.count,
            "processes": self._accelerator.num_processes,
            "device": self._accelerator.device.type,
            "versions": {
                "torch": str(torch.__version__),
                "diffusers": str(diffusers.__version__),
                "accelerate": str(accelerate.__version__),
            },
        }
