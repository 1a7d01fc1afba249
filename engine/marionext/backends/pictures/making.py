"""Pictures out of a pipeline: words, control maps and noise in, pixels out, one seed a picture."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marionext.backends.pictures.control_files import ControlFiles
from marionext.backends.pictures.families import FAMILIES, FamilyName
from marionext.backends.pictures.loading import (
    ControlNetwork,
    load_base,
    load_control,
    quiet_libraries,
)
from marionext.backends.pictures.loras import with_loras
from marionext.backends.pictures.previewing import CleanGuess, ColourMap
from marionext.backends.pictures.schedulers import make_scheduler
from marionext.diffusion.image_variants import Steer, changed, steering
from marionext.diffusion.memory import (
    choose_device,
    choose_dtype,
    is_out_of_memory,
    reproducible,
)
from marionext.errors import DeviceError, ModelError, SettingsError
from marionext.jobs import EngineSettings, LoraFile

__all__ = ["Control", "PictureMaker", "Wish", "open_maker"]

_FROM_DRAFT = {
    "sd15": "StableDiffusionImg2ImgPipeline",
    "sdxl": "StableDiffusionXLImg2ImgPipeline",
    "sd3": "StableDiffusion3Img2ImgPipeline",
}
_SEVERAL = 8
"""Pictures that are decoded at once at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A control picture and how it steers."""

    files: ControlFiles
    picture: NDArray[np.uint8]
    """(height, width, 3) RGB; or (pictures, height, width, 3), one for each picture."""
    strength: float
    start: float
    stop: float
    """Part of the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a picture is to be, its seed aside."""

    prompt: str
    negative: str
    size: tuple[int, int]
    """Width and height."""
    steps: int
    guidance: float
    words: int | None = None
    """As in `BaseDefaults`."""
    scheduler: str | None
    controls: tuple[Control, ...] = ()
    loras: tuple[LoraFile, ...] = ()
    draft: NDArray[np.uint8] | None = None
    """(height, width, 3) RGB of that size; or one for each picture, as of a control."""
    change: float = 1.0


def open_maker(
    base: Path,
    family: FamilyName,
    engine: EngineSettings,
    converted: Path,
    say: Callable[[str], None],
    *,
    config: Path | None = None,
    vae: Path | None = None,
) -> "PictureMaker":
    """Load a base.

    Args:
        base: folder or file.
        family: of it.
        engine: which device and number format to use.
        converted: folder for weights that had to be converted.
        say: takes what is worth a word, such as memory running short.
        config: folder that a file's configurations and tokenizers are taken from.
        vae: another autoencoder.

    Raises:
        ModelError: the files are not what they should be.
        DeviceError: the device is not there.
    """
    quiet_libraries()
    device = choose_device(engine.device)
    dtype = choose_dtype(device, engine.dtype)
    pipeline = load_base(base, family, dtype, config=config, vae=vae)
    return PictureMaker(pipeline, family, device, dtype, converted, say)


class PictureMaker:
    """A loaded base. Its weights are the same after each call as before."""

    def __init__(
        self,
        pipeline: Any,
        family: FamilyName,
        device: torch.device,
        dtype: torch.dtype,
        converted: Path,
        say: Callable[[str], None],
    ) -> None:
        self.pipeline = pipeline
        self.family = family
        self.device = device
        self.dtype = dtype
        self._converted = converted
        self.say = say
        self._scheduler_config = {
            "_class_name": type(pipeline.scheduler).__name__,
            **pipeline.scheduler.config,
        }
        self._offloaded = False
        self._brought = False
        self._said: set[str] = set()
        self._controls: dict[tuple[Path, ...], ControlNetwork] = {}

    @property
    def network(self) -> Any:
        """The network that denoises."""
        return getattr(self.pipeline, FAMILIES[self.family].network)

    @property
    def own_size(self) -> tuple[int, int]:
        """Width and height that the base was trained at: most at squares of many shapes' pixels."""
        sample = getattr(self.network.config, "sample_size", None)
        if isinstance(sample, int):
            return sample * self._factor, sample * self._factor
        if isinstance(sample, tuple | list) and len(sample) == 2:
            return int(sample[1]) * self._factor, int(sample[0]) * self._factor
        side = FAMILIES[self.family].side
        return side, side

    @property
    def side_step(self) -> int:
        """What width and height are multiples of."""
        return self._factor * int(getattr(self.network.config, "patch_size", None) or 1)

    @property
    def _most_side(self) -> int | None:
        """The longest side in pixels that a transformer has places for; None: any."""
        most = getattr(self.network.config, "pos_embed_max_size", None)
        return None if most is None else int(most) * self.side_step

    @property
    def _factor(self) -> int:
        return int(2 ** (len(self.pipeline.vae.config.block_out_channels) - 1))

    def cut_off(self, text: str) -> str:
        """Return the end of a prompt that the base's text encoders do not see; empty: none."""
        tokenizer = self.pipeline.tokenizer
        length = tokenizer.model_max_length
        tokens = tokenizer(text, add_special_tokens=True, truncation=False, verbose=False).input_ids
        if len(tokens) <= length:
            return ""
        return str(tokenizer.decode(tokens[length - 1 : -1])).strip()

    def check(self, wish: Wish) -> None:
        """Refuse what cannot be done before it takes time.

        Raises:
            SettingsError: no such scheduler, or it does not go with the base or so few steps; or
                the base has no place for so large a picture.
        """
        self._said.clear()
        most = self._most_side
        if most is not None and max(wish.size) > most:
            raise SettingsError(
                f"size: expected at most {most} pixels a side, as this base was made for, got "
                f"{wish.size[0]}x{wish.size[1]}",
                hint="Make it smaller, and larger with 'marionext upscale'.",
            )
        scheduler = make_scheduler(self._scheduler_config, wish.scheduler)
        try:
            scheduler.set_timesteps(wish.steps)
        except (IndexError, ValueError) as error:
            raise SettingsError(
                f"{type(scheduler).__name__} cannot do {wish.steps} steps: {error}",
                hint="Take more steps, or another scheduler.",
            ) from None

    @torch.no_grad()
    def make(
        self,
        wish: Wish,
        seeds: Sequence[int],
        *,
        on_step: Callable[[int, int], None],
        on_decode: Callable[[int, int], None],
        on_preview: Callable[[NDArray[np.uint8]], None] | None = None,
    ) -> Iterator[NDArray[np.uint8]]:
        """Make one picture a seed; all of them are denoised at once.

        Args:
            wish: what they are to be.
            seeds: of their noise.
            on_step: told steps done and in all; may raise to stop.
            on_decode: told pictures done and in all, likewise.
            on_preview: given a small RGB picture of the first one after each step, where the
                scheduler tells enough for it.

        Yields:
            (height, width, 3) RGB of 8 bits.

        Raises:
            ModelError: controls or LoRAs are not for this base, or the result is no picture.
            DeviceError: the device ran out of memory.
        """
        with reproducible():
            latents = self._surviving(lambda: self._denoise(wish, seeds, on_step, on_preview))
            for start in range(0, len(latents), _SEVERAL):
                part = latents[start : start + _SEVERAL]
                for place, picture in enumerate(self._surviving(partial(self._decode, part))):
                    yield picture
                    on_decode(start + place + 1, len(latents))

    def _denoise(
        self,
        wish: Wish,
        seeds: Sequence[int],
        on_step: Callable[[int, int], None],
        on_preview: Callable[[NDArray[np.uint8]], None] | None = None,
    ) -> Tensor:
        """Return clean latents, (pictures, channels, h, w)."""
        networks = [self._network_of(control.files) for control in wish.controls]
        self._bring()
        pipeline = self._pipeline_for(wish)
        count = len(seeds)
        # Noise is drawn on the processor: a seed means the same picture on every device.
        arguments: dict[str, Any] = {
            "prompt": [wish.prompt] * count,
            "negative_prompt": [wish.negative] * count,
            "num_inference_steps": wish.steps,
            "guidance_scale": wish.guidance,
            "generator": [torch.Generator().manual_seed(seed) for seed in seeds],
            "output_type": "latent",
        }
        if self.family == "sd3" and wish.words is not None:
            arguments["max_sequence_length"] = wish.words
        if wish.draft is None or self.family == "sd3":
            arguments |= {"width": wish.size[0], "height": wish.size[1]}
        if wish.draft is not None:
            draft = _batch(wish.draft).float() / 255
            repeats = count // len(draft)
            arguments |= {"image": draft.repeat(repeats, 1, 1, 1), "strength": wish.change}

        def told(_pipe: Any, step: int, _time: Any, values: dict[str, Any]) -> dict[str, Any]:
            on_step(step + 1, pipeline.num_timesteps)
            if on_preview is not None and guess is not None and guess.latents is not None:
                on_preview(self._colours.picture(guess.latents[0]))
            return values

        # Networks that take turns on the device are not called in between.
        guess = None
        if on_preview is not None and not self._offloaded:
            guess = CleanGuess(pipeline.scheduler)
        changes = [change for change in (each.change() for each in networks) if change is not None]
        with ExitStack() as stack:
            # Increments go first: a LoRA gives the weights other names.
            stack.enter_context(changed(self.network, changes))
            stack.enter_context(with_loras(pipeline, self.family, wish.loras, self._say_once))
            calls = _Calls(pipeline)
            steers = [
                self._steer(control, network, calls)
                for control, network in zip(wish.controls, networks, strict=True)
            ]
            stack.enter_context(calls.counted(self.network))
            stack.enter_context(steering(self.network, steers))
            result = pipeline(callback_on_step_end=told, **arguments)
        latents: Tensor = result.images
        return latents

    def _pipeline_for(self, wish: Wish) -> Any:
        """Return the pipeline that a wish needs, with a fresh scheduler."""
        self.pipeline.scheduler = make_scheduler(self._scheduler_config, wish.scheduler)
        if wish.draft is None:
            return self.pipeline
        kind = getattr(diffusers, _FROM_DRAFT[self.family])
        options = {"requires_safety_checker": False} if self.family == "sd15" else {}
        pipeline = kind(**self.pipeline.components, **options)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    def _steer(self, control: Control, network: ControlNetwork, calls: "_Calls") -> Steer:
        """Return what a control does at each step."""
        picture = _batch(control.picture).to(self.device, self.dtype) / 255
        module = network.network.to(self.device)

        def control_map(timestep: Tensor) -> Tensor | None:
            if not calls.within(control.start, control.stop) or control.strength == 0:
                return None
            mapped: Tensor = module(picture, timestep.to(self.device))
            return mapped

        scale = network.scale * control.strength
        return Steer(network.variant, control_map, scale)

    def _network_of(self, files: ControlFiles) -> ControlNetwork:
        """Return a control network, loaded once."""
        wanted = files.all
        if wanted not in self._controls:
            self._controls[wanted] = load_control(files, self.dtype, self._converted)
        return self._controls[wanted]

    @cached_property
    def _colours(self) -> ColourMap:
        return ColourMap(self._encoded, self._factor)

    def _encoded(self, picture: Tensor) -> Tensor:
        """Return the latents of a picture, (1, 3, height, width) from -1 to 1."""
        vae, config = self.pipeline.vae, self.pipeline.vae.config
        number = vae.dtype
        if number == torch.float16:
            vae.to(dtype=torch.float32)
        latents: Tensor = vae.encode(picture.to(self.device, vae.dtype)).latent_dist.mode()
        vae.to(dtype=number)
        shift = getattr(config, "shift_factor", None) or 0.0
        return (latents - float(shift)) * float(config.scaling_factor)

    def _decode(self, latents: Tensor) -> list[NDArray[np.uint8]]:
        """Turn latents into pictures.

        Raises:
            ModelError: they hold numbers that are none.
        """
        vae = self.pipeline.vae
        config = vae.config
        # SDXL's own autoencoder overflows in half precision, and says so.
        safe = self.dtype == torch.float16 and bool(getattr(config, "force_upcast", False))
        number = torch.float32 if safe else self.dtype
        if not self._offloaded:
            vae.to(self.device)
        if vae.dtype != number:
            vae.to(dtype=number)
        shift = getattr(config, "shift_factor", None) or 0.0
        mean, deviation = (getattr(config, name, None) for name in ("latents_mean", "latents_std"))
        values = latents.to(self.device, number)
        if mean is not None and deviation is not None:
            mean, deviation = (
                torch.tensor(each, device=self.device, dtype=number).view(1, -1, 1, 1)
                for each in (mean, deviation)
            )
            values = values * deviation / config.scaling_factor + mean
        else:
            values = values / config.scaling_factor + shift
        pictures = []
        for each in values.split(1):
            decoded = vae.decode(each, return_dict=False)[0].float()
            if not bool(torch.isfinite(decoded).all()):
                raise ModelError(
                    "the pictures came out empty: numbers grew beyond what "
                    f"{str(self.dtype).removeprefix('torch.')} can hold",
                    hint="Take less strength or guidance; or weights of the base, a LoRA or a "
                    "control are damaged."
                    if self.dtype == torch.float32
                    else "Take another number format (--dtype bfloat16, or float32), an "
                    "autoencoder that is made for half precision (--vae), or less strength.",
                )
            pixels = ((decoded / 2 + 0.5).clamp(0, 1) * 255).round().byte()
            pictures.append(np.ascontiguousarray(pixels[0].permute(1, 2, 0).cpu().numpy()))
        if safe:
            vae.to(dtype=self.dtype)
        return pictures

    def _say_once(self, text: str) -> None:
        """Say something once a job, however many pictures it is true of."""
        if text not in self._said:
            self._said.add(text)
            self.say(text)

    def _bring(self) -> None:
        """Have the networks where they work."""
        if not self._offloaded and not self._brought:
            self.pipeline.to(self.device)
            self._brought = True

    def _surviving(self, work: Callable[[], Any]) -> Any:
        """Do a piece of work; once more, part by part on the device, if memory runs out.

        Raises:
            DeviceError: memory runs out all the same.
        """
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            trouble = str(error).splitlines()[0]
        # Here the exception is gone, and the memory with it.
        if self._offloaded or self.device.type != "cuda":
            raise _too_large(self.device, trouble)
        self.say(f"{self.device} ran out of memory. Going on more slowly: one network at a time.")
        self.pipeline.to("cpu")
        self.pipeline.enable_model_cpu_offload(device=self.device)
        self.pipeline.vae.enable_tiling()
        self._offloaded = True
        torch.cuda.empty_cache()
        try:
            return work()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            trouble = str(error).splitlines()[0]
        raise _too_large(self.device, trouble)


def _batch(pictures: NDArray[np.uint8]) -> Tensor:
    """Return (pictures, 3, height, width) of one picture, (height, width, 3), or several."""
    several = pictures.copy().reshape(-1, *pictures.shape[-3:])
    return torch.from_numpy(several).permute(0, 3, 1, 2)


def _too_large(device: torch.device, trouble: str) -> DeviceError:
    return DeviceError(
        f"{device} ran out of memory: {trouble}",
        hint="Make the picture smaller (--size), fewer at once (--batch 1), or take the processor "
        "(--device cpu).",
    )


class _Calls:
    """Counts the network's evaluations, to know which part of the steps the next one is in."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline
        self._done = -1

    def counted(self, network: Any) -> ExitStack:
        """Count while the context is open. It has to be entered before the steering is."""

        def count(_network: Any, _inputs: Any) -> None:
            self._done += 1

        hooks = ExitStack()
        hooks.callback(network.register_forward_pre_hook(count).remove)
        return hooks

    def within(self, start: float, stop: float) -> bool:
        """Tell whether the evaluation in hand is between two parts of the steps."""
        total = max(1, int(self._pipeline.num_timesteps))
        return start <= self._done / total < stop


def versions() -> Mapping[str, str]:
    """Return the versions of the libraries that compute pictures."""
    return {"torch": str(torch.__version__), "diffusers": str(diffusers.__version__)}
