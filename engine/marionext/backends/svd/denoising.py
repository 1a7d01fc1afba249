"""Denoise a clip of any length, window by window, guided by its pose maps.

One step runs the UNet on every window, without and with its conditions, and moves the latents of
all frames to the next noise level by the windows' weighted average. What the reference
implementation does besides has been left out where it changes nothing: the unconditional half has
no control, a frame's control map is computed once a step, the halves run one after the other.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from marionext.backends.svd.budget import plan, unguided
from marionext.backends.svd.conditioning import Condition, encode_character
from marionext.backends.svd.control_maps import ControlMaps, PoseMaps
from marionext.backends.svd.loading import Models
from marionext.backends.svd.state import DenoiseState, draw_noise
from marionext.diffusion.injection import injected
from marionext.diffusion.memory import reproducible
from marionext.diffusion.schedule import (
    Schedule,
    denoised,
    euler_step,
    make_schedule,
    network_input,
)
from marionext.diffusion.windows import Window
from marionext.errors import JobCancelled, SettingsError
from marionext.settings import SvdSettings

__all__ = ["DenoiseProgress", "Held", "denoise"]

STEP_BLOCK = 64
"""Frames moved to the next noise level at a time, so that a long clip needs no third buffer."""


@dataclass(frozen=True, slots=True)
class DenoiseProgress:
    """How far denoising is."""

    step: int
    """Steps done."""
    steps: int
    window: int
    """Windows done of the present step."""
    windows: int

    @property
    def fraction(self) -> float:
        """Part of the work done, 0 to 1."""
        return (self.step + self.window / self.windows) / self.steps


@dataclass(frozen=True, slots=True)
class Held:
    """Places of a clip that stay as they are while the others are denoised between them.

    At each noise level they stand there as the network expects them: their clean latents with noise
    of that level. So what is denoised joins them (as in inpainting: Lugmayr et al. 2022, "RePaint",
    arXiv:2201.09865).
    """

    latents: Tensor
    """(frames + 1, channels, h, w): the clean latents of all places; those of places that are not
    held mean nothing."""
    places: tuple[int, ...]
    """Which are held, 0 being the reference slot."""

    def free(self, frames: int) -> list[int]:
        """Return the places of a clip that are denoised."""
        held = set(self.places)
        return [place for place in range(frames + 1) if place not in held]

    def middle(self, frames: int) -> int:
        """Return a place amid those that are denoised."""
        free = self.free(frames)
        return free[len(free) // 2]

    def concern(self, window: Window) -> bool:
        """Tell whether a window has a place that is denoised."""
        return not set(window.frames) <= set(self.places)

    def put_noisy(self, latents: Tensor, noise: Tensor, sigma: float) -> None:
        """Write the places that are held into ``latents`` at a noise level, in place."""
        places = list(self.places)
        latents[places] = self.latents[places].float() + sigma * noise[places]

    def put_clean(self, latents: Tensor) -> None:
        """Write the places that are held into ``latents`` as they are, in place."""
        places = list(self.places)
        latents[places] = self.latents[places].float()


REFERENCE_TIME_IDS = (6, 128, 0.02)


def _nothing(_value: object) -> None:
    pass


def _never() -> bool:
    return False


@torch.no_grad()
def denoise(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    frames: int | Sequence[int],
    settings: SvdSettings,
    *,
    held: Held | None = None,
    state: DenoiseState | None = None,
    on_progress: Callable[[DenoiseProgress], None] = _nothing,
    on_step: Callable[[DenoiseState], None] = _nothing,
    on_preview: Callable[[NDArray[np.uint8]], None] | None = None,
    cancelled: Callable[[], bool] = _never,
    image_noise: Tensor | None = None,
) -> Tensor:
    """Turn noise into the latents of a clip.

    Args:
        models: the loaded networks.
        picture: (h, w, 3) RGB, the character, cropped to ``settings.size``.
        pose_maps: draws the pose map of frame 0 (the character's own pose) to ``frames``; called
            once for each frame and step.
        frames: numbers of the clip's frames, at least one, or how many there are, counted from 1.
        settings: of the render.
        held: places whose latents are known and stay as they are; None: all are denoised.
        state: where an earlier run of the same render stopped; None: the beginning.
        on_progress: told after each window.
        on_step: given the state after each step, to be saved; its latents hold until it returns.
        on_preview: given a small RGB picture of the middle frame after each step.
        cancelled: asked before each evaluation of a network.
        image_noise: (1, 3, height, width) in place of the seed's, to repeat a recorded run.

    Returns:
        (frames + 1, channels, h, w), float32 on the host; the first is the reference slot's. Of
        places that are held, what was given.

    Raises:
        JobCancelled: ``cancelled`` said so; the last state given to ``on_step`` is good.
        SettingsError: the settings do not go together, or the state is another render's.
        DeviceError: the device ran out of memory on the last rung of the ladder.
    """
    numbers = range(1, frames + 1) if isinstance(frames, int) else frames
    frames = len(numbers)
    plan(settings, frames)  # what does not go together is refused before anything is computed
    schedule = make_schedule(models.scheduler, settings.steps, settings.schedule)
    if settings.parity and models.placement.dtype != torch.float32:
        raise SettingsError(
            f"parity: expected networks in float32, got {models.placement.dtype}",
            hint="Load the bundle with dtype float32.",
        )
    width, height = settings.size
    factor = models.latent_factor
    shape = (models.latent_channels, height // factor, width // factor)
    by_number = settings.noise == "frame" and not settings.parity
    drawn_noise, noise = draw_noise(
        settings.seed, numbers if by_number else frames, shape, settings.size
    )
    # All of them as a slice: that makes views, and a long clip needs no more copies.
    free = slice(None) if held is None else held.free(frames)
    if state is None:
        first = noise.mul_(schedule.initial) if held is None else noise[free] * schedule.initial
        state = DenoiseState(0, first)
        latents = first
    elif state.latents.shape != noise[free].shape or state.step > schedule.steps:
        raise SettingsError(
            f"expected the state of a run of {schedule.steps} steps on {tuple(noise[free].shape)}, "
            f"got step {state.step} on {tuple(state.latents.shape)}",
            hint="The saved state belongs to another render: start over.",
        )
    else:
        latents = state.latents.clone()
    if held is not None:
        latents = torch.empty_like(noise)
        held.put_clean(latents)
        latents[free] = state.latents
    if state.step == schedule.steps:
        return latents
    models.settle(settings, frames)
    denoiser = _Denoiser(models, settings, schedule, pose_maps, cancelled)
    with reproducible(exact=settings.parity):
        condition = denoiser.condition(picture, drawn_noise if image_noise is None else image_noise)
        with models.placement.at_work(models.unet, models.controlnext):
            for step in range(state.step, schedule.steps):
                prediction = torch.zeros_like(latents)
                windows = plan(settings, frames, step)
                if held is not None:
                    windows = [window for window in windows if held.concern(window)]
                    held.put_noisy(latents, noise, schedule.sigmas[step])
                maps = denoiser.control_maps(step)
                for index, window in enumerate(windows):
                    places = list(window.frames)
                    part = denoiser.predict(latents[places], condition, window, maps, step)
                    prediction[places] += torch.tensor(window.weights).view(-1, 1, 1, 1) * part
                    on_progress(DenoiseProgress(step, schedule.steps, index + 1, len(windows)))
                if on_preview is not None:
                    middle = (frames + 1) // 2 if held is None else held.middle(frames)
                    sigma = schedule.sigmas[step]
                    clean = denoised(latents[middle], prediction[middle], sigma)
                    on_preview(_preview(clean, models, condition))
                _advance(latents, prediction, schedule, step)
                on_step(DenoiseState(step + 1, latents[free]))
    if held is not None:
        held.put_clean(latents)
    return latents


def _advance(latents: Tensor, prediction: Tensor, schedule: Schedule, step: int) -> None:
    """Move all latents to the next noise level, in place."""
    levels = schedule.sigmas[step], schedule.sigmas[step + 1]
    for start in range(0, len(latents), STEP_BLOCK):
        block = slice(start, start + STEP_BLOCK)
        latents[block] = euler_step(latents[block], prediction[block], *levels)


def _preview(clean: Tensor, models: Models, condition: Condition) -> NDArray[np.uint8]:
    """Return a frame's latents (channels, h, w) as a picture of their own size."""
    pixels = clean.permute(1, 2, 0) / models.vae.config.scaling_factor
    colours = pixels @ condition.preview[:-1] + condition.preview[-1]
    return np.asarray((colours.clamp(0, 1) * 255).round().byte().numpy())


class _Denoiser:
    """What all windows of one run share."""

    def __init__(
        self,
        models: Models,
        settings: SvdSettings,
        schedule: Schedule,
        pose_maps: PoseMaps,
        cancelled: Callable[[], bool],
    ) -> None:
        self._models = models
        self._settings = settings
        self._schedule = schedule
        self._pose_maps = pose_maps
        self._cancelled = cancelled

    def condition(self, picture: NDArray[np.uint8], image_noise: Tensor) -> Condition:
        """Encode the character."""
        self._check()
        settings = self._settings
        # The released code tells the UNet its own three numbers whatever was asked for.
        told = (
            REFERENCE_TIME_IDS
            if settings.parity
            else (settings.fps_id, settings.motion_bucket, settings.noise_augmentation)
        )
        return self._models.surviving(
            lambda: encode_character(
                self._models,
                picture,
                settings.size,
                image_noise,
                noise_augmentation=settings.noise_augmentation,
                time_ids=told,
            ),
            settings,
        )

    def control_maps(self, step: int) -> ControlMaps | None:
        """Return the control maps of a step, or None where control has no strength."""
        if self._settings.control_strength == 0:
            return None
        return ControlMaps(
            self._models,
            self._pose_maps,
            self._settings.size,
            self._schedule.timesteps[step],
            self._check,
        )

    def predict(
        self,
        noisy: Tensor,
        condition: Condition,
        window: Window,
        maps: ControlMaps | None,
        step: int,
    ) -> Tensor:
        """Predict v for one window, again on a lower rung as often as memory runs out.

        Args:
            noisy: (places, channels, h, w), the window's latents.
            condition: the character.
            window: what stands where.
            maps: of the step.
            step: its index.

        Returns:
            Of the shape of ``noisy``, float32 on the host.
        """
        return self._models.surviving(
            lambda: self._guided(noisy, condition, window, maps, step), self._settings
        )

    def _guided(
        self,
        noisy: Tensor,
        condition: Condition,
        window: Window,
        maps: ControlMaps | None,
        step: int,
    ) -> Tensor:
        settings, sigma = self._settings, self._schedule.sigmas[step]
        scaled = network_input(noisy, sigma)
        control = None if maps is None else maps.of(window.control)
        conditional = self._evaluate(scaled, condition, control, step)
        if unguided(settings) or sigma < settings.skip_uncond_below:
            return conditional
        unconditional = self._evaluate(scaled, condition.emptied(), None, step)
        guidance = torch.linspace(settings.guidance_min, settings.guidance_max, len(noisy))
        return unconditional + guidance.view(-1, 1, 1, 1) * (conditional - unconditional)

    def _evaluate(
        self, scaled: Tensor, condition: Condition, control: Tensor | None, step: int
    ) -> Tensor:
        """Run the UNet on one half of a guided pair."""
        self._check()
        models = self._models
        device, dtype = models.placement.device, models.placement.dtype
        image = condition.image_latents.expand(len(scaled), -1, -1, -1)
        strength = torch.full((len(scaled),), self._settings.control_strength)
        steered = (
            nullcontext()
            if control is None
            else injected(
                models.unet.down_blocks[0],
                control,
                strength.to(device, dtype),
                normalised=not models.controlnext.config.zero_convolution,
            )
        )
        with steered:
            (prediction,) = models.unet(
                torch.cat([scaled, image], dim=1)[None].to(device, dtype),
                torch.tensor(self._schedule.timesteps[step], device=device),
                encoder_hidden_states=condition.embedding.to(device, dtype),
                added_time_ids=condition.time_ids.to(device),
                return_dict=False,
            )
        output: Tensor = prediction[0].float().cpu()
        return output

    def _check(self) -> None:
        if self._cancelled():
            raise JobCancelled("cancelled while denoising")
