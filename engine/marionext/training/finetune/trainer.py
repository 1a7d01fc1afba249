"""Train a control network, and what was chosen of the UNet, step by step.

`train` is the way through: clips are encoded, networks loaded, steps taken, and at the end a
bundle is written. One process works without being launched; ``accelerate launch`` makes several of
it, which share the samples of each step and agree on everything else.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import accelerate
import diffusers
import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from torch import Tensor, nn

from marionext import bundles
from marionext.bundles import ModelBundle
from marionext.codec import encode
from marionext.diffusion.loading import NetworkFiles
from marionext.diffusion.memory import choose_device, is_out_of_memory, reproducible
from marionext.errors import DeviceError, JobCancelled, ModelError, SettingsError
from marionext.frames import FrameRate
from marionext.jobs import default_settings
from marionext.output import FolderLock, write_json
from marionext.training.checkpoints import Curve
from marionext.training.clips import prefetched
from marionext.training.finetune.batches import Batch, Drawing
from marionext.training.finetune.curve import draw_curve
from marionext.training.finetune.dataset import Dataset, prepare
from marionext.training.finetune.encoding import Encoders
from marionext.training.finetune.measuring import levels_of, measure, sample, write_sample
from marionext.training.finetune.reports import TrainingReporter
from marionext.training.finetune.result import base_identity, model_name, write_result
from marionext.training.finetune.selection import choose_parameters, increments, originals
from marionext.training.finetune.settings import FinetuneSettings
from marionext.training.finetune.state import Learned, read_state, write_state
from marionext.training.finetune.steering import SteeredUNet, fresh_control, sample_losses
from marionext.training.initial import listen_only
from marionext.training.networks import speed_up

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
    sample_every: int = 500
    """Steps between sample videos; 0: none."""
    anneal: int = 0
    """Over so many of the last steps the rates fall to a fiftieth."""
    validation: int = 4
    """Windows that are measured."""
    figures: int = 200
    """Clips to draw where ``data`` is ``figures``."""
    gradient_checkpointing: bool = False
    """Compute activations again on the way back instead of keeping them."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            SettingsError: a number is out of its range.
        """
        for name, least in (
            ("steps", 1), ("evaluate_every", 1), ("sample_every", 0), ("anneal", 0),
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
        EngineError: one of its kinds. A checkpoint of before is whole, and ``resume`` goes on.
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
        self._stopping = False

    def run(self) -> Path:
        """Do all of it."""
        self._check_folder()
        # Before anything long: a checkpoint of another training is refused at once.
        state = self._earlier()
        dataset = self._prepare()
        self._load(state, dataset)
        losses: list[float] = []
        for number, batches in prefetched(self._draw, self._step, self._run.steps):
            losses.append(self._take_step(number, batches))
            self._report.progress("train", self._step, self._run.steps, f"loss {losses[-1]:.4g}")
            last = self._step == self._run.steps
            if self._step % self._run.evaluate_every == 0 or last or self._stopping:
                self._evaluate(losses, last=last)
                losses.clear()
            if self._stopping:
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
        return read_state(self._checkpoint, self._config)

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
        """Load the networks and everything that goes with them."""
        settings = self._settings
        self._drawing = Drawing(dataset.learned, settings)
        self._held_out = Drawing(dataset.held_out, settings).fixed(self._run.validation)
        self._rate = FrameRate(dataset.held_out[0].rate.fraction / settings.stride)
        unet = self._files.unet()
        speed_up(unet)
        chosen = choose_parameters(unet, settings)
        self._chosen, self._before = chosen, originals(chosen)
        control = self._control()
        taught = {name: value for name, value in control.named_parameters() if value.requires_grad}
        if self._run.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
        scale = float(self._files.configuration("vae").get("scaling_factor", 0.18215))
        self._network = SteeredUNet(unet, control, scale).to(self._device)
        self._wrapped: Any = self._accelerator.prepare_model(self._network)
        self._learned = Learned(
            {
                **{f"control.{name}": value for name, value in taught.items()},
                **{f"unet.{name}": value for name, value in chosen.items()},
            },
            settings.average,
        )
        self._learned.check_space(self._run.folder)
        groups = [
            {
                "params": list(taught.values()),
                "peak": settings.rate,
                "weight_decay": settings.decay,
            },
            # Decay would pull the UNet away from the base, not towards it.
            {"params": list(chosen.values()), "peak": settings.main_rate, "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(
            [group for group in groups if group["params"]], settings.rate, betas=(0.9, 0.99)
        )
        seconds = 0.0
        if state is not None:
            self._learned.load(state)
            self._optimiser.load_state_dict(state["optimiser"])
            self._step = self._saved = int(state["step"])
            seconds = float(state["seconds"])
            self._report.log(f"going on after step {self._step}")
            if state["data"] != dataset.digest:
                self._report.log("the clips are others than before", warning=True)
        self._data = dataset.digest
        self._began = time.monotonic() - seconds
        self._report.log(self._introduction(dataset, taught, chosen))
        if self._accelerator.is_main_process:
            self._curve = Curve(self._run.folder / CURVE, COLUMNS, self._step)
            write_json(self._run.folder / "settings.json", self._config)

    def _control(self) -> Any:
        """Return the control network: the bundle's, or a new one of its shape."""
        settings = self._settings
        config = self._files.control_configuration()
        zero = settings.injection == "zero"
        if settings.control == "fresh":
            return fresh_control(replace(config, zero_convolution=zero), settings.seed)
        if config.zero_convolution != zero:
            has = "a zero convolution" if config.zero_convolution else "cross normalisation"
            raise SettingsError(
                f"injection: the bundle's control network works with {has}",
                hint="Leave --injection as it is, or begin with --control fresh.",
            )
        control = self._files.controlnext()
        biases = [
            value
            for name, value in control.named_parameters()
            if name.endswith("bias") and not name.startswith("time_embedding")
        ]
        if not zero and not any(value.any() for value in biases):
            listen_only(control)
        return control

    def _introduction(
        self,
        dataset: Dataset,
        taught: Mapping[str, nn.Parameter],
        chosen: Mapping[str, nn.Parameter],
    ) -> str:
        windows = sum(len(clip.starts) for clip in dataset.learned)
        of_control = sum(value.numel() for value in taught.values())
        of_main = sum(value.numel() for value in chosen.values())
        whole = sum(value.numel() for value in self._network.unet.parameters())
        return (
            f"{len(dataset.learned)} clips with {windows:,} windows to learn from; trained are "
            f"{of_control:,} parameters of the control network and {of_main:,} of the UNet's "
            f"{whole:,}"
        )

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

    def _predict(self, network: Any, batch: Batch) -> Tensor:
        """Return the clean latents that the network makes of a batch's noisy ones."""
        level = batch.sigmas.view(-1, 1, 1, 1, 1)
        mixed = self._settings.precision == "bfloat16"
        with torch.autocast(self._device.type, torch.bfloat16) if mixed else nullcontext():
            clean: Tensor = network(
                batch.latents * self._network.scale + level * batch.noise,
                batch.sigmas,
                batch.references * batch.kept.view(-1, 1, 1, 1),
                batch.embeddings * batch.kept.view(-1, 1),
                batch.maps,
                batch.kept,
            )
        return clean

    def _take_step(self, number: int, batches: list[Batch]) -> float:
        """Take one step of the optimiser and return its loss.

        Raises:
            ModelError: loss or gradient are no longer numbers; nothing has been changed.
        """
        self._network.train()
        self._set_rates(number)
        self._optimiser.zero_grad()
        total = torch.zeros((), device=self._device)
        for index, drawn in enumerate(batches):
            batch = drawn.to(self._device)
            last = index == len(batches) - 1
            with nullcontext() if last else self._accelerator.no_sync(self._wrapped):
                predicted = self._predict(self._wrapped, batch)
                loss = sample_losses(predicted, batch, self._network.scale).mean() / len(batches)
                self._accelerator.backward(loss)
            total += loss.detach()
        norm = nn.utils.clip_grad_norm_(
            list(self._learned.parameters.values()), self._settings.clip
        )
        told = torch.stack([total, norm.to(total), total.new_tensor(self._report.cancelled())])
        told = self._accelerator.gather(told[None]).cpu()
        if not torch.isfinite(told[:, :2]).all():
            raise self._diverged(number, batches, told)
        self._optimiser.step()
        self._step = number + 1
        self._learned.follow(self._step)
        self._stopping = bool(told[:, 2].any())
        return float(told[:, 0].mean())

    def _diverged(self, number: int, batches: list[Batch], told: Tensor) -> ModelError:
        what = "loss" if not torch.isfinite(told[:, 0]).all() else "gradient"
        value = told[:, 0 if what == "loss" else 1].sum().item()
        names = "; ".join(name for batch in batches for name in batch.names)
        kept = (
            f"the checkpoint of step {self._saved} is kept"
            if self._saved
            else "there is no checkpoint yet"
        )
        return ModelError(
            f"the {what} of step {number + 1} is {value}, in the batch of {names}; {kept}",
            hint="Look at these clips; else lower --rate and --main-rate, and go on with --resume.",
        )

    def _set_rates(self, number: int) -> None:
        rising = min(1.0, (number + 1) / max(1, self._settings.warm_up))
        left = (self._run.steps - number) / self._run.anneal if self._run.anneal else 1.0
        for group in self._optimiser.param_groups:
            group["lr"] = group["peak"] * rising * max(0.02, min(1.0, left))

    def _evaluate(self, losses: list[float], *, last: bool) -> None:
        """Measure, draw, sample and keep: the first process does, the others wait."""
        if self._accelerator.is_main_process:
            self._network.eval()
            with self._learned.averaged():
                predict = partial(self._predict, self._network)
                held_out = self._held_out.to(self._device)
                numbers = measure(self._network, held_out, levels_of(self._settings), predict)
                every = self._run.sample_every
                if every and (self._step % every == 0 or last):
                    self._sample(held_out)
            numbers |= {
                "seconds": time.monotonic() - self._began,
                "loss": sum(losses) / max(1, len(losses)),
                "rate": float(self._optimiser.param_groups[0]["lr"]),
            }
            self._curve.append(self._step, numbers)
            draw_curve(self._run.folder / CURVE, self._run.folder / "curve.png")
            self._report.measured(self._step, numbers)
            state = {
                "config": self._config,
                "data": self._data,
                "step": self._step,
                "seconds": time.monotonic() - self._began,
                "optimiser": self._optimiser.state_dict(),
                **self._learned.state(),
            }
            write_state(self._checkpoint, state)
        self._saved = self._step
        self._accelerator.wait_for_everyone()

    def _sample(self, held_out: Batch) -> None:
        """Write a video of one window."""
        usual = default_settings(model_name(self._bundle))
        window = held_out.window(0)
        made = sample(
            partial(self._predict, self._network),
            window,
            self._files.scheduler(),
            usual.steps,
            usual.guidance_max,
            self._network.scale,
        )
        vae = self._files.vae().requires_grad_(False).eval().to(self._device)
        path = self._run.folder / "samples" / f"{self._step:06}.mp4"
        write_sample(vae, window, made, self._rate, usual.decode_chunk, path)
        self._report.preview(str(path), self._step)

    def _write(self) -> Path:
        """Write the bundle."""
        target = self._run.folder / RESULT
        if self._accelerator.is_main_process:
            self._report.progress("write", 0, 1)
            with self._learned.averaged():
                write_result(
                    target,
                    self._bundle,
                    self._settings,
                    self._network.control,
                    increments(self._network.unet, self._chosen, self._before),
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
            "trained_parameters": self._learned.count,
            "processes": self._accelerator.num_processes,
            "device": self._device.type,
            "versions": {
                "torch": str(torch.__version__),
                "diffusers": str(diffusers.__version__),
                "accelerate": str(accelerate.__version__),
            },
        }
