"""Train a control network and the chosen part of the UNet, step by step.

`train` is the way through: clips are encoded, networks loaded, steps taken, and at the end a
bundle is written. One process works without being launched; ``accelerate launch`` makes several of
it, which share the windows of each step and agree on everything else.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import accelerate
import diffusers
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from accelerate.utils import gather_object

from marionext import bundles
from marionext.backends.svd.loading import NetworkFiles
from marionext.bundles import ModelBundle
from marionext.codec import encode
from marionext.diffusion.memory import choose_device, is_out_of_memory, reproducible
from marionext.errors import DeviceError, JobCancelled, ModelError, SettingsError
from marionext.files import write_json
from marionext.frames import FrameRate
from marionext.output import FolderLock
from marionext.paths import refuse_overlap
from marionext.training.checkpoints import Curve, load_checkpoint, save_checkpoint
from marionext.training.finetune.batches import Batch, Drawing
from marionext.training.finetune.curve import draw_curve
from marionext.training.finetune.dataset import FIGURES, Dataset, prepare
from marionext.training.finetune.encoding import Encoders
from marionext.training.finetune.learner import Learner, Taken
from marionext.training.finetune.measuring import denoise_window, levels_of, measure, write_preview
from marionext.training.finetune.reports import TrainingReporter
from marionext.training.finetune.result import (
    base_identity,
    rendered_with,
    write_result,
)
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.prefetching import prefetched

__all__ = ["CHECKPOINT", "RESULT", "TrainingRun", "train"]

CHECKPOINT = "checkpoint.pt"
CURVE = "curve.csv"
RESULT = "bundle"
"""Folder of the finished bundle in that of the training."""

COLUMNS = ("seconds", "loss", "validation", "wrong", "rate")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun:
    """What changes how a training runs, but not the weights of a step."""

    data: str
    """A folder of videos, or ``figures``."""
    folder: Path
    """Where everything is kept."""
    steps: int
    """In all, those of earlier runs included."""
    resume: bool = False
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    evaluate_every: int = 100
    """Steps between measurements, each with a checkpoint."""
    preview_every: int = 500
    """Steps between preview videos; 0: none."""
    anneal: int = 0
    """Number of last steps over which the rates fall to a fiftieth."""
    validation: int = 4
    """Windows that are measured."""
    figures: int = 200
    """Clips to draw where ``data`` is ``figures``."""
    gradient_checkpointing: bool = False
    """Compute activations again on the way back instead of keeping them."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            SettingsError: a number is out of its range.
        """
        for name, least in (
            ("steps", 1), ("evaluate_every", 1), ("preview_every", 0), ("anneal", 0),
            ("validation", 1), ("figures", 1),
        ):  # fmt: skip
            if getattr(self, name) < least:
                raise SettingsError(f"{name}: expected at least {least}, got {getattr(self, name)}")


def train(
    bundle: ModelBundle, settings: FinetuneSettings, run: TrainingRun, report: TrainingReporter
) -> Path:
    """Train, and write the result as a bundle.

    Args:
        bundle: the model to begin with.
        settings: what decides the weights.
        run: how to go about it.
        report: told how it goes.

    Returns:
        The folder of the new bundle.

    Raises:
        EngineError: any of its kinds. An earlier checkpoint is whole; ``resume`` continues from it.
    """
    reads = {"the model": bundles.layers(bundle.folder)}
    if run.data != FIGURES:
        reads["the training data"] = (Path(run.data),)
    refuse_overlap(reads, folders=[run.folder])
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
        training = _Training(bundle, settings, run, report, accelerator)
        try:
            return training.run()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise DeviceError(
                f"the device's memory does not suffice to train at {settings.width}x"
                f"{settings.height} with windows of {settings.window}",
                hint="Try --gradient-checkpointing, --precision bfloat16, --batch 1 (with "
                "--accumulate), a smaller --size or --window, or fewer layers.",
            ) from error


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


class _Training:
    """One training in one process."""

    def __init__(
        self,
        bundle: ModelBundle,
        settings: FinetuneSettings,
        run: TrainingRun,
        report: TrainingReporter,
        accelerator: Any,
    ) -> None:
        self._bundle, self._settings, self._run = bundle, settings, run
        self._report, self._accelerator = report, accelerator
        self._device: torch.device = accelerator.device
        self._files = NetworkFiles(bundle.folder, torch.float32)
        self._config = {**encode(settings), "base": base_identity(bundle)}
        self._checkpoint = run.folder / CHECKPOINT
        self._began = time.monotonic()
        self._step = self._saved = 0

    def run(self) -> Path:
        """Do all of it."""
        self._check_folder()
        # Before anything long: a checkpoint of another training is refused at once.
        state = self._earlier()
        dataset = self._prepare()
        self._load(state, dataset)
        losses: list[float] = []
        for number, batches in prefetched(self._draw, self._step, self._run.steps):
            fall = (self._run.steps - number) / self._run.anneal if self._run.anneal else 1.0
            stop = self._report.cancelled()
            taken = self._learner.take_step(number, batches, fall, stop=stop)
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
        factor = self._size_factor()
        for name, length in zip(("width", "height"), self._settings.size, strict=True):
            if length % factor:
                near = max(factor, round(length / factor) * factor)
                raise SettingsError(
                    f"{name}: expected a multiple of {factor} for this model, got {length}",
                    hint=f"The nearest is {near}.",
                )

    def _size_factor(self) -> int:
        """Return the pixels along one side of the UNet's coarsest cell."""
        levels = [
            len(self._files.configuration(name)["block_out_channels"]) for name in ("vae", "unet")
        ]
        return int(2 ** (sum(levels) - 2))

    def _earlier(self) -> Mapping[str, Any] | None:
        if not (self._run.resume and self._checkpoint.exists()):
            return None
        return load_checkpoint(self._checkpoint, self._config)

    def _prepare(self) -> Dataset:
        """Encode the clips: the first process does, the others find them done."""

        def encoders() -> Encoders:
            return Encoders(self._files.vae(), self._files.image_encoder(), self._device)

        identity = {
            name: digest
            for name, digest in bundles.fingerprint(self._bundle).items()
            if name.startswith(("vae", "image_encoder"))
        }
        with self._accelerator.main_process_first():
            dataset = prepare(
                self._run.data,
                self._settings,
                self._run.folder,
                encoders,
                str(sorted(identity.items())),
                self._report,
                figures=self._run.figures,
            )
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return dataset

    def _load(self, state: Mapping[str, Any] | None, dataset: Dataset) -> None:
        """Load the networks, and go on where an earlier run was."""
        settings = self._settings
        self._drawing = Drawing(dataset.learned, settings)
        self._held_out = Drawing(dataset.held_out, settings).fixed(self._run.validation)
        self._rate = FrameRate(dataset.held_out[0].rate.fraction / settings.stride)
        self._learner = Learner(
            self._files,
            settings,
            self._accelerator,
            gradient_checkpointing=self._run.gradient_checkpointing,
        )
        self._learner.learned.check_space(self._run.folder)
        seconds = 0.0
        if state is not None:
            self._learner.load(state)
            self._step = self._saved = int(state["step"])
            seconds = float(state["seconds"])
            self._report.log(f"going on after step {self._step}")
            if state["data"] != dataset.digest:
                self._report.log("the clips are others than before", warning=True)
        self._data = dataset.digest
        self._began = time.monotonic() - seconds
        windows = sum(len(clip.starts) for clip in dataset.learned)
        self._report.log(
            f"{len(dataset.learned)} clips with {windows:,} windows to learn from; "
            f"{self._learner.introduction}"
        )
        if self._accelerator.is_main_process:
            self._curve = Curve(self._run.folder / CURVE, COLUMNS, self._step)
            write_json(self._run.folder / "settings.json", self._config)

    def _draw(self, step: int) -> list[Batch]:
        """Draw this process's part of a step."""
        settings, processes = self._settings, self._accelerator.num_processes
        first = step * settings.accumulate * processes
        return [
            self._drawing.batch(
                (first + part * processes + self._accelerator.process_index) * settings.batch,
                settings.batch,
            )
            for part in range(settings.accumulate)
        ]

    def _diverged(self, batches: list[Batch], taken: Taken) -> ModelError:
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
            hint="Look at these clips; else lower --rate and --main-rate, and go on with --resume.",
        )

    def _evaluate(self, losses: list[float], *, last: bool) -> None:
        """Measure, draw, preview and keep: the first process does, the others wait."""
        if self._accelerator.is_main_process:
            network = self._learner.network.eval()
            with self._learner.learned.averaged():
                held_out = self._held_out.to(self._device)
                numbers = measure(
                    network, held_out, levels_of(self._settings), self._learner.predict
                )
                every = self._run.preview_every
                if every and (self._step % every == 0 or last):
                    self._preview(held_out)
            numbers |= {
                "seconds": time.monotonic() - self._began,
                "loss": sum(losses) / max(1, len(losses)),
                "rate": self._learner.rate,
            }
            self._curve.append(self._step, numbers)
            draw_curve(self._run.folder / CURVE, self._run.folder / "curve.png")
            self._report.measured(self._step, numbers)
            state = {
                "config": self._config,
                "data": self._data,
                "step": self._step,
                "seconds": time.monotonic() - self._began,
                **self._learner.state(),
            }
            save_checkpoint(self._checkpoint, state)
        self._saved = self._step
        self._accelerator.wait_for_everyone()

    def _preview(self, held_out: Batch) -> None:
        """Write a video of one window."""
        usual = rendered_with(self._bundle)
        window = held_out.window(0)
        made = denoise_window(
            self._learner.predict,
            window,
            self._files.scheduler(),
            usual.steps,
            usual.guidance_max,
            self._learner.network.scale,
        )
        vae = self._files.vae().requires_grad_(False).eval().to(self._device)
        path = self._run.folder / "previews" / f"{self._step:06}.mp4"
        write_preview(vae, window, made, self._rate, usual.decode_chunk, path)
        self._report.preview(str(path), self._step)

    def _write(self) -> Path:
        """Write the bundle."""
        target = self._run.folder / RESULT
        if self._accelerator.is_main_process:
            self._report.progress("write", 0, 1)
            with self._learner.learned.averaged():
                write_result(
                    target,
                    self._bundle,
                    self._settings,
                    self._learner.network.control,
                    self._learner.increments(),
                    self._record(),
                )
            self._report.progress("write", 1, 1)
            self._report.trained(str(target), self._step, time.monotonic() - self._began)
        self._accelerator.wait_for_everyone()
        return target

    def _record(self) -> dict[str, object]:
        return {
            "settings": encode(self._settings),
            "base": {"model": self._bundle.name, "files": base_identity(self._bundle)},
            "steps": self._step,
            "seconds": round(time.monotonic() - self._began, 1),
            "trained_parameters": self._learner.learned.count,
            "processes": self._accelerator.num_processes,
            "device": self._device.type,
            "versions": {
                "torch": str(torch.__version__),
                "diffusers": str(diffusers.__version__),
                "accelerate": str(accelerate.__version__),
            },
        }
