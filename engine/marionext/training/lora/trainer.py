"""Train a LoRA for a picture model.

`train_lora` is the way through: pictures and captions are encoded, adapters laid over the base,
steps taken, and at the end the LoRA is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from marionext.backends.pictures.bases import Base
from marionext.backends.pictures.families import FAMILIES, rounded
from marionext.backends.pictures.loading import load_autoencoder, load_base, quiet_libraries
from marionext.backends.pictures.making import PictureMaker, Wish
from marionext.codec import encode
from marionext.errors import DeviceError, SettingsError
from marionext.output import contact_sheet, write_png
from marionext.paths import refuse_overlap
from marionext.training.course import CHECKPOINT, CourseRun, Subject, run_course
from marionext.training.descent import Descent, Group, mixed
from marionext.training.keys import key_of
from marionext.training.learned import Learned
from marionext.training.lora.adapters import without_adapters
from marionext.training.lora.batches import Batch, Drawing
from marionext.training.lora.dataset import Dataset, prepare
from marionext.training.lora.encoding import Words, encode_words
from marionext.training.lora.network import AdaptedNetwork
from marionext.training.lora.noising import make_noising
from marionext.training.lora.result import RECORD, WEIGHTS, kohya_name, write_lora
from marionext.training.lora.settings import LoraSettings
from marionext.training.reports import TrainingReporter

__all__ = ["RESULT", "LoraRun", "train_lora"]

RESULT = "lora"
"""Folder of the finished LoRA in that of the training."""

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Noise levels that are measured at, as shares of the way from picture to noise."""

SAMPLES = 4
"""Captions that are drawn where no others are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraRun(CourseRun):
    """What changes how a LoRA is trained, but not the weights of a step."""

    data: Path
    """A folder of pictures with captions."""
    samples: tuple[str, ...] = ()
    """Prompts of the previews; none: captions of what is held out."""


def train_lora(base: Base, settings: LoraSettings, run: LoraRun, report: TrainingReporter) -> Path:
    """Train, and write the LoRA.

    Args:
        base: the picture model.
        settings: what decides the weights.
        run: how to go about it.
        report: told how it goes.

    Returns:
        The folder of the LoRA.

    Raises:
        EngineError: any of its kinds. An earlier checkpoint is whole; ``resume`` continues from it.
    """
    refuse_overlap(
        {"the model": (base.path,), "the training data": (run.data,)}, folders=[run.folder]
    )
    quiet_libraries()
    return run_course(
        lambda accelerator, telling: _Training(base, settings, run, telling, accelerator),
        run,
        report,
        accumulate=settings.accumulate,
        settings=encode(settings),
    )


class _Training(Subject[Batch]):
    """A picture model as the subject of a training, in one process."""

    columns = ("validation", "base")
    lines = (
        ("validation", "held-out pictures"),
        ("base", "held-out pictures, without the LoRA"),
    )
    unit = "error of what is predicted"
    samples = "pictures"

    def __init__(
        self,
        base: Base,
        settings: LoraSettings,
        run: LoraRun,
        report: TrainingReporter,
        accelerator: Any,
    ) -> None:
        self._base, self._settings, self._run = base, settings, run
        self._report, self._accelerator = report, accelerator
        self._device: torch.device = accelerator.device
        self._dtype: torch.dtype = getattr(torch, settings.precision)
        self._hashes = {
            name: digest
            for name, digest in base.hashes().items()
            if not name.endswith(("model_index.json", ".txt"))
        }
        weights = {name: each for name, each in self._hashes.items() if _is_weights(name)}
        self.config = {"kind": "lora", **encode(settings), "base": weights}

    def refuse(self) -> None:
        """Refuse what this device cannot do, and a folder with somebody else's result."""
        if self._settings.precision == "float16" and self._device.type != "cuda":
            raise SettingsError(
                f"precision: float16 needs CUDA, this is {self._device.type}",
                hint="Take --precision bfloat16, or float32.",
            )
        result = self._run.folder / RESULT
        if not (self._run.folder / CHECKPOINT).exists():
            there = [
                name
                for name in (WEIGHTS, kohya_name(self._run.folder), RECORD)
                if (result / name).exists()
            ]
            if there:
                raise SettingsError(
                    f"{result} holds {there[0]} already, and no checkpoint of it",
                    hint="Choose another folder.",
                )

    @cached_property
    def _maker(self) -> PictureMaker:
        """The base, loaded when it is first needed."""
        base = self._base
        for note in base.notes:
            self._report.log(note)
        pipeline = load_base(base.path, base.family, self._dtype, config=base.config)
        if self._dtype != torch.float32:
            # Latents are what everything is learned from: they are worth full precision.
            pipeline.vae = load_autoencoder(
                base.path, base.family, torch.float32, config=base.config
            )
        return PictureMaker(
            pipeline, base.family, self._device, self._dtype, Path(), self._report.log
        )

    @cached_property
    def vae(self) -> Any:
        """The autoencoder, on its device."""
        return self._maker.pipeline.vae.to(self._device)

    @torch.no_grad()
    def words(self, caption: str) -> Words:
        """Return what the text encoders make of a caption."""
        for part in self._text_encoders:
            part.to(self._device)
        return encode_words(self._maker.pipeline, self._base.family, [caption], self._device)

    def cut_off(self, caption: str) -> str:
        """Return the end of a caption that the text encoders do not see."""
        return self._maker.cut_off(caption)

    @property
    def _text_encoders(self) -> list[nn.Module]:
        parts = self._maker.pipeline.components.items()
        return [
            part
            for name, part in parts
            if name.startswith("text_encoder") and isinstance(part, nn.Module)
        ]

    def prepare(self) -> str:
        """Encode pictures and captions."""
        maker, settings = self._maker, self._settings
        identity = {
            name: digest
            for name, digest in self._hashes.items()
            if not name.startswith(("base/unet", "base/transformer", "base/scheduler"))
        }
        self._dataset: Dataset = prepare(
            self._run.data,
            settings,
            self._run.folder,
            settings.size or maker.own_size,
            maker.side_step,
            lambda: self,
            key_of(sorted(identity.items())),
            self._report,
        )
        self._rest()
        return self._dataset.digest

    def _rest(self) -> None:
        """Leave the device to what is trained."""
        for part in (self._maker.pipeline.vae, *self._text_encoders):
            part.to("cpu")
        self.__dict__.pop("vae", None)

    def load(self) -> str:
        """Lay adapters over the networks."""
        settings, pipeline = self._settings, self._maker.pipeline
        config = {"_class_name": type(pipeline.scheduler).__name__, **pipeline.scheduler.config}
        self._noising = make_noising(config)
        drawing = Drawing(self._dataset, settings, self._noising)
        self._draw = drawing.batch
        self._held_out = [
            batch.to(self._device) for batch in drawing.held_out(self._run.validation, LEVELS)
        ]
        self._network = AdaptedNetwork(
            pipeline,
            self._base.family,
            settings,
            gradient_checkpointing=self._run.gradient_checkpointing,
        ).to(self._device)
        self._wrapped = self._accelerator.prepare_model(self._network)
        self._network.train()
        taught, text = self._network.taught, self._network.taught_text
        groups: list[Group] = [
            {"params": list(each.values()), "peak": rate, "weight_decay": settings.decay}
            for each, rate in ((taught, settings.rate), (text, settings.text_rate))
        ]
        self.descent = Descent(
            Learned({**taught, **text}, settings.average),
            groups,
            self._accelerator,
            self._wrapped,
            clip=settings.clip,
            warm_up=settings.warm_up,
            scaled=settings.precision == "float16",
        )
        self._without = self._measured(adapted=False)
        whole = sum(
            value.numel()
            for value in self._network.parts[FAMILIES[self._base.family].network].parameters()
        ) - _count(taught)
        of_text = f" and {_count(text):,} of the text encoders'" if text else ""
        return (
            f"{len(self._dataset.learned)} pictures in rounds of {drawing.round_length} batches; "
            f"trained are {_count(taught):,} parameters beside the network's {whole:,}{of_text}"
        )

    def draw(self, number: int) -> Batch:
        """Draw a batch of pictures."""
        return self._draw(number)

    def loss(self, batch: Batch) -> Tensor:
        """Return a batch's loss."""
        batch = batch.to(self._device)
        weights = self._noising.weights(batch.levels, self._settings.snr_gamma)
        loss: Tensor = (weights * self._errors(self._wrapped, batch)).mean()
        return loss

    def _errors(self, network: Any, batch: Batch) -> Tensor:
        """Return the error of each picture of a batch: (n,)."""
        noisy = self._noising.noisy(batch.clean, batch.noise, batch.levels)
        wanted = self._noising.wanted(batch.clean, batch.noise, batch.levels)
        with mixed(self._device, self._settings.precision):
            predicted = network(batch, noisy)
        errors: Tensor = (predicted - wanted).square().mean(dim=(1, 2, 3))
        return errors

    def measure(self) -> dict[str, float]:
        """Measure held-out pictures, with the LoRA and without."""
        return {"validation": self._measured(adapted=True), "base": self._without}

    @torch.no_grad()
    def _measured(self, *, adapted: bool) -> float:
        network = self._network.eval()
        try:
            with without_adapters(() if adapted else self._network.parts.values()):
                errors = [self._errors(network, batch).mean() for batch in self._held_out]
        finally:
            network.train()
        return float(torch.stack(errors).mean())

    def preview(self, step: int) -> Path:
        """Draw some prompts, without the LoRA and with it."""
        prompts = self._run.samples or tuple(
            dict.fromkeys(picture.words for picture in self._dataset.held_out)
        )
        shown, labels = [], []
        self._network.eval()
        try:
            for seed, prompt in enumerate(prompts[: len(self._run.samples) or SAMPLES]):
                with without_adapters(self._network.parts.values()):
                    shown.append(self._drawn(prompt, seed))
                shown.append(self._drawn(prompt, seed))
                labels += ["without the LoRA", f"step {step}"]
        finally:
            self._network.train()
            kept = self._network.parts.values()
            for part in (self._maker.pipeline.vae, *self._text_encoders):
                if part not in kept:
                    part.to("cpu")
        path = self._run.folder / "previews" / f"{step:06}.png"
        write_png(path, contact_sheet(shown, labels))
        return path

    def _drawn(self, prompt: str, seed: int) -> np.ndarray:
        usual, size = self._base.defaults, self._settings.size or self._maker.own_size
        size = rounded(size, self._maker.side_step)
        wish = Wish(
            prompt=prompt,
            negative="",
            size=size,
            steps=usual.steps,
            guidance=usual.guidance,
            scheduler=None,
        )
        made = self._maker.make(wish, [seed], on_step=_silent, on_decode=_silent)
        return next(made)

    def write(self, record: Mapping[str, object]) -> Path:
        """Write the LoRA."""
        target = self._run.folder / RESULT
        base = {
            "model": self._base.name or self._base.path.name,
            "family": self._base.family,
            "files": self.config["base"],
        }
        write_lora(
            target,
            self._base.family,
            dict(self._network.parts.items()),
            {**record, "base": base, "data": self._dataset.digest},
            name=kohya_name(self._run.folder),
            trigger=self._settings.trigger,
            rank=self._settings.rank,
        )
        return target

    def too_large(self) -> DeviceError:
        """Return what to say where memory does not suffice."""
        return DeviceError(
            f"the device's memory does not suffice to train with {self._settings.batch} pictures "
            "at a time",
            hint="Try --gradient-checkpointing, --precision bfloat16, --batch 1 (with "
            "--accumulate), a smaller --size, or no --text-encoder.",
        )


def _is_weights(name: str) -> bool:
    return name == "base" or name.endswith(".safetensors")


def _count(parameters: Mapping[str, nn.Parameter]) -> int:
    return sum(value.numel() for value in parameters.values())


def _silent(_done: int, _total: int) -> None:
    """Tell nothing: a training's progress is its steps."""
