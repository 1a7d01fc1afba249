"""What a render needs in memory, on disk and in work, told before anything is loaded.

Only arithmetic on the bundle's configuration files: no network and no torch. The constants were
counted and measured on Stable Video Diffusion at half precision; they scale with widths, pixels and
frames, and are meant to choose a rung and to warn, not to bill.
"""

from dataclasses import dataclass, replace

from marionext.backends.svd.shape import BundleShape
from marionext.diffusion.ladder import GIB, RUNGS, Rung
from marionext.diffusion.windows import Window, plan_reference_windows, plan_windows
from marionext.settings import SvdSettings

__all__ = ["Estimate", "estimate", "plan", "unguided", "what_would_fit"]

SVD_LATENTS = 24 * 72 * 128
SVD_PIXELS = 576 * 1024

UNET_BYTES = 3.56 * GIB / SVD_LATENTS / (320 * 2)
"""Activations of one guided half for each latent pixel of a window, first-level channel and byte of
the number format."""
UNET_BYTES_CHUNKED = 1.98 * GIB / SVD_LATENTS / (320 * 2)
CONTROL_BYTES = 3.38 * GIB / 24 / SVD_PIXELS / (128 * 2)
"""The same for the control network, for each pixel of a pose map and channel of its stem."""
VAE_BYTES = 1.13 * GIB / SVD_PIXELS / (128 * 2)
"""The same for the decoder, for each pixel of a frame."""

UNET_OPERATIONS = 76.75e12 / SVD_LATENTS / 1_524_623_082
"""Floating-point operations for each latent pixel of a window and parameter."""
CONTROL_OPERATIONS = 5.47e12 / 24 / SVD_PIXELS / 3_526_400
DECODE_OPERATIONS = 6.94e12 / SVD_PIXELS / 97_742_847

RESERVE = 0.6 * GIB
"""What driver and allocator keep for themselves."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a render will take, roughly."""

    windows: tuple[Window, ...]
    evaluations: int
    """How often the UNet runs."""
    device_bytes: dict[str, int]
    """Peak memory of the device on each rung."""
    host_bytes: int
    """Memory of the host for latents; the networks aside."""
    state_bytes: int
    """Disk that a resumable run keeps."""
    operations: float
    """Floating-point operations of denoising and decoding."""


def plan(settings: SvdSettings, frames: int, step: int = 0) -> list[Window]:
    """Return the windows that a clip of ``frames`` frames is denoised in at a step.

    Raises:
        SettingsError: window and overlap do not go together.
    """
    if settings.parity:
        return plan_reference_windows(frames, settings.window, settings.overlap)
    if settings.blend == "shifted":
        return plan_windows(frames, settings.window, settings.overlap, shifted=step % 2 == 1)
    return plan_windows(frames, settings.window, settings.overlap, settings.blend)


def estimate(
    shape: BundleShape, settings: SvdSettings, frames: int, *, number_bytes: int = 2
) -> Estimate:
    """Reckon what a render needs.

    Args:
        shape: of the bundle.
        settings: of the render.
        frames: of the clip.
        number_bytes: of the number format: 2 on a GPU, 4 on a CPU and in parity mode.

    Raises:
        SettingsError: window and overlap do not go together.
    """
    windows = plan(settings, frames)
    # Shifted windows are others in every second step.
    every_other = plan(settings, frames, 1)
    width, height = settings.size
    pixels = width * height
    latents = pixels // shape.latent_factor**2
    places = len(windows[0].frames)
    halves = 2 if settings.guidance_max >= 1 and not unguided(settings) else 1
    second = settings.steps // 2
    first = settings.steps - second
    evaluations = (len(windows) * first + len(every_other) * second) * halves
    seen = (_places(windows) * first + _places(every_other) * second) * halves
    unet_operations = UNET_OPERATIONS * latents * shape.unet_parameters
    control_operations = CONTROL_OPERATIONS * pixels * shape.control_parameters
    one_frame = shape.latent_channels * latents * 4
    return Estimate(
        windows=tuple(windows),
        evaluations=evaluations,
        device_bytes={
            rung.name: _device_bytes(rung, shape, settings, places, number_bytes) for rung in RUNGS
        },
        host_bytes=2 * (frames + 1) * one_frame,
        state_bytes=(frames + 1) * one_frame,
        operations=seen * unet_operations
        + settings.steps * (frames + 1) * control_operations
        + frames * DECODE_OPERATIONS * pixels * shape.vae_parameters,
    )


def _places(windows: list[Window]) -> int:
    """Return how many frames a step denoises, those that windows share counted in each."""
    return sum(len(window.frames) for window in windows)


def unguided(settings: SvdSettings) -> bool:
    """Tell whether guidance changes nothing, so that the unconditional half is dead work."""
    return settings.guidance_max < 1 or settings.guidance_min == settings.guidance_max == 1


def _device_bytes(
    rung: Rung, shape: BundleShape, settings: SvdSettings, places: int, number_bytes: int
) -> int:
    width, height = settings.size
    pixels = width * height
    latents = places * pixels / shape.latent_factor**2
    unet, vae, control = (
        count * number_bytes
        for count in (shape.unet_parameters, shape.vae_parameters, shape.control_parameters)
    )
    encoder = shape.encoder_parameters * number_bytes
    activations = (UNET_BYTES_CHUNKED if rung.chunked else UNET_BYTES) * shape.unet_width
    denoising = latents * activations * number_bytes + unet * (0.1 if rung.streamed else 1)
    steering = (
        min(rung.control_chunk, places) * pixels * CONTROL_BYTES * shape.control_width
    ) * number_bytes + unet * (0 if rung.streamed else 1)
    decoding = (
        min(settings.decode_chunk, places) * pixels * VAE_BYTES * shape.vae_width * number_bytes
    )
    # The picture is encoded at four bytes a number whatever the format.
    encoding = pixels * VAE_BYTES * shape.vae_width * 4
    at_work = max(
        denoising + control, steering + control, max(decoding, encoding) + vae, float(encoder)
    )
    if rung.resident:
        rest = max(denoising - unet, steering - unet, decoding, encoding)
        at_work = unet + vae + control + encoder + rest
    return int(at_work + RESERVE)


def what_would_fit(
    shape: BundleShape, settings: SvdSettings, available: int, *, number_bytes: int = 2
) -> str | None:
    """Return advice on settings that would fit into ``available`` bytes, or None.

    The smallest change comes first: shorter windows, then smaller pictures.
    """
    for part in (1, 0.75, 0.5, 0.25):
        width, height = (int(side * part) // 64 * 64 for side in settings.size)
        if min(width, height) < 64:
            continue
        for window in sorted({settings.window, 16, 12, 8, 6}, reverse=True):
            if window > settings.window:
                continue
            smaller = replace(
                settings,
                width=width,
                height=height,
                window=window,
                overlap=min(settings.overlap, window - 1),
                decode_chunk=1,
            )
            need = _device_bytes(RUNGS[-1], shape, smaller, window, number_bytes)
            if need <= available:
                return (
                    f"By estimate, {width}x{height} with a window of {window} and a decode chunk "
                    f"of 1 fits ({need / GIB:.1f} GiB)."
                )
    return None
