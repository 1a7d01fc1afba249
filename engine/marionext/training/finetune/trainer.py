"""Train a control network and the chosen part of the UNet of a video model.

`train` is the way through: clips are encoded, networks loaded, steps taken, and at the end a
bundle is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from marionext import bundles
from marionext.backends.svd.loading import NetworkFiles
from marionext.bundles import ModelBundle
from marionext.codec import encode
from marionext.errors import DeviceError, SettingsError
from marionext.frames import FrameRate
from marionext.paths import refuse_overlap
from marionext.training.course import CourseRun, Subject, run_course
from marionext.training.finetune.batches import Batch, Drawing
from marionext.training.finetune.dataset import FIGURES, prepare
from marionext.training.finetune.encoding import Encoders
from marionext.training.finetune.learner import Learner
from marionext.training.finetune.measuring import denoise_window, levels_of, measure, write_preview
from marionext.training.finetune.result import base_identity, rendered_with, write_result
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.reports import TrainingReporter

__all__ = ["RESULT", "TrainingRun", "train"]

RESULT = "bundle"
"""Folder of the finished bundle in that of the training."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRun(CourseRun):
    """What changes how a training on clips runs, but not the weights of a step."""

    data: str
    """A folder of videos, or ``figures``."""
    figures: int = 200
    """Clips to draw where ``data`` is ``figures``."""

    def __post_init__(self) -> None:
        """Refuse numbers out of range.

        Raises:
            SettingsError: a number is out of its range.
        """
        CourseRun.__post_init__(self)
        if self.figures < 1:
            raise SettingsError(f"figures: expected at least 1, got {self.figures}")


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
    return run_course(
        lambda accelerator, telling: _Training(bundle, settings, run, telling, accelerator),
        run,
        report,
        accumulate=settings.accumulate,
        settings=encode(settings),
    )


class _Training(Subject[Batch]):
    """A video model as the subject of a training, in one process."""

    columns = ("validation", "wrong")
    lines = (
        ("validation", "held-out clips, their own control"),
        ("wrong", "held-out clips, another control"),
    )
    unit = "weighted error of the clean latents"
    samples = "clips"

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
        self.config: Mapping[str, object] = {**encode(settings), "base": base_identity(bundle)}

    def refuse(self) -> None:
        """Refuse a size that the networks cannot do."""
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

    def prepare(self) -> str:
        """Encode the clips."""

        def encoders() -> Encoders:
            return Encoders(self._files.vae(), self._files.image_encoder(), self._device)

        identity = {
            name: digest
            for name, digest in bundles.fingerprint(self._bundle).items()
            if name.startswith(("vae", "image_encoder"))
        }
        self._dataset = prepare(
            self._run.data,
            self._settings,
            self._run.folder,
            encoders,
            str(sorted(identity.items())),
            self._report,
            figures=self._run.figures,
        )
        return self._dataset.digest

    def load(self) -> str:
        """Load the networks."""
        settings, dataset = self._settings, self._dataset
        self._drawing = Drawing(dataset.learned, settings)
        held_out = Drawing(dataset.held_out, settings).fixed(self._run.validation)
        self._held_out = held_out.to(self._device)
        self._rate = FrameRate(dataset.held_out[0].rate.fraction / settings.stride)
        self._learner = Learner(
            self._files,
            settings,
            self._accelerator,
            gradient_checkpointing=self._run.gradient_checkpointing,
        )
        self.descent = self._learner.descent
        windows = sum(len(clip.starts) for clip in dataset.learned)
        return (
            f"{len(dataset.learned)} clips with {windows:,} windows to learn from; "
            f"{self._learner.introduction}"
        )

    def draw(self, number: int) -> Batch:
        """Draw a batch of windows."""
        batch = self._settings.batch
        return self._drawing.batch(number * batch, batch)

    def loss(self, batch: Batch) -> Tensor:
        """Return a batch's loss."""
        return self._learner.loss(batch)

    def measure(self) -> dict[str, float]:
        """Measure windows of held-out clips under their own control and another's."""
        with self._learner.resting():
            return measure(
                self._learner.network,
                self._held_out,
                levels_of(self._settings),
                self._learner.predict,
            )

    def preview(self, step: int) -> Path:
        """Write a video of one window."""
        usual = rendered_with(self._bundle)
        window = self._held_out.window(0)
        path = self._run.folder / "previews" / f"{step:06}.mp4"
        with self._learner.resting():
            made = denoise_window(
                self._learner.predict,
                window,
                self._files.scheduler(),
                usual.steps,
                usual.guidance_max,
                self._learner.network.scale,
            )
        vae = self._files.vae().requires_grad_(False).eval().to(self._device)
        write_preview(vae, window, made, self._rate, usual.decode_chunk, path)
        return path

    def write(self, record: Mapping[str, object]) -> Path:
        """Write the bundle."""
        target = self._run.folder / RESULT
        base = {"model": self._bundle.name, "files": base_identity(self._bundle)}
        write_result(
            target,
            self._bundle,
            self._settings,
            self._learner.network.control,
            self._learner.increments(),
            {**record, "base": base},
        )
        return target

    def too_large(self) -> DeviceError:
        """Return what to say where memory does not suffice."""
        settings = self._settings
        return DeviceError(
            f"the device's memory does not suffice to train at {settings.width}x"
            f"{settings.height} with windows of {settings.window}",
            hint="Try --gradient-checkpointing, --precision bfloat16, --batch 1 (with "
            "--accumulate), a smaller --size or --window, or fewer layers.",
        )
