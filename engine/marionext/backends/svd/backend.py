"""Stable Video Diffusion as a backend: figures beforehand, and frames out of latents."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from marionext import bundles
from marionext.backends.base import Backend, Figures, Renderer, Rung, Work
from marionext.backends.processor import computing_with, threads
from marionext.backends.svd.budget import estimate
from marionext.backends.svd.shape import read_shape
from marionext.bundles import ModelBundle
from marionext.diffusion.ladder import GIB, RUNGS
from marionext.errors import OutputError
from marionext.frames import format_frames
from marionext.jobs import EngineSettings
from marionext.output import write_png
from marionext.reporting import Reporter
from marionext.settings import SvdSettings
from marionext.staging import Staged

if TYPE_CHECKING:
    from torch import Tensor

    from marionext.backends.svd.denoising import DenoiseProgress, Held
    from marionext.backends.svd.loading import Models
    from marionext.backends.svd.state import DenoiseState, Latents

__all__ = ["SvdBackend", "SvdRenderer"]

_LATENTS = "latents.safetensors"


class SvdBackend(Backend[SvdSettings]):
    """Models of Stable Video Diffusion's classes, steered by ControlNeXt."""

    architecture = "svd"
    settings = SvdSettings

    def device(self, engine: EngineSettings) -> str:
        """Return the device that is asked for, or the best one there is."""
        if engine.device != "auto":
            return engine.device
        from marionext.diffusion.memory import choose_device  # noqa: PLC0415 - torch

        return str(choose_device().type)

    def outline(
        self, bundle: ModelBundle, settings: SvdSettings, numbers: tuple[int, ...], device: str
    ) -> Figures:
        """Reckon from the bundle's configuration files and the headers of its weights."""
        half = device != "cpu" and not settings.parity
        shape = read_shape(bundle.folder)
        figures = estimate(shape, settings, len(numbers), number_bytes=2 if half else 4)
        return Figures(
            windows=tuple(
                (_numbers_at(window.frames, numbers), len(window.frames))
                for window in figures.windows
            ),
            steps=settings.steps,
            evaluations=figures.evaluations,
            rungs=tuple(
                Rung(
                    name=rung.name,
                    summary=rung.summary,
                    device_gib=figures.device_bytes[rung.name] / GIB,
                )
                for rung in RUNGS
            ),
            host_gib=figures.host_bytes / GIB,
            # Single precision while it runs, half of that for what is kept.
            state_bytes=figures.state_bytes * 3 // 2,
            operations=figures.operations,
        )

    def computed(self, settings: SvdSettings, engine: EngineSettings) -> dict[str, str]:
        """Return device, number format, and on a processor its threads."""
        from marionext.diffusion.memory import choose_device, choose_dtype  # noqa: PLC0415 - torch

        device = choose_device(engine.device)
        dtype = choose_dtype(device, "float32" if settings.parity else engine.dtype)
        computed = {"device": device.type, "dtype": str(dtype).removeprefix("torch.")}
        if device.type == "cpu":
            computed["threads"] = str(threads())
        return computed

    def check_kept(self, kept: Path) -> None:
        """Refuse a render whose latents were not kept."""
        if not (kept / _LATENTS).is_file():
            raise OutputError(
                f"the latents of this render were not kept: {kept / _LATENTS} is not there",
                hint="Renders before version 0.2 kept none. Render the whole again, with "
                "--overwrite; parts of it can be made again then.",
            )

    def versions(self) -> dict[str, str]:
        """Return those of torch and diffusers, and which instructions of the processor are used."""
        import diffusers  # noqa: PLC0415
        import torch  # noqa: PLC0415

        return {
            "torch": str(torch.__version__),
            "diffusers": str(diffusers.__version__),
            "cpu": torch.backends.cpu.get_cpu_capability(),
        }

    def open(
        self,
        bundle: ModelBundle,
        settings: SvdSettings,
        engine: EngineSettings,
        say: Callable[[str], None],
    ) -> "SvdRenderer":
        """Load the networks of a bundle."""
        from marionext.backends.svd.loading import load_models  # noqa: PLC0415 - torch

        models = load_models(
            bundle.folder,
            device=engine.device,
            dtype="float32" if settings.parity else engine.dtype,
            converted=bundles.models_folder() / "converted" / bundle.folder.name,
            say=say,
        )
        return SvdRenderer(models)


def _numbers_at(places: tuple[int, ...], numbers: tuple[int, ...]) -> str:
    """Return the numbers of the frames at places of a clip; place 0 is the slot's."""
    return format_frames(tuple(sorted(numbers[place - 1] for place in places if place)))


class SvdRenderer(Renderer[SvdSettings]):
    """The loaded networks.

    ``work.state`` holds the latents after each step, ``work.kept`` the clean ones of the frames
    that were made: frames that are lost are decoded again, and a part of them can be denoised anew
    between the others.
    """

    def __init__(self, models: "Models") -> None:
        """Keep the networks."""
        self._models = models
        self.device = models.placement.device.type

    def render(
        self, staged: Staged, settings: SvdSettings, work: Work, report: Reporter
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Denoise what is not denoised yet, and decode the frames that are missing."""
        with computing_with(work.threads):
            yield from self._render(staged, settings, work, report)

    def _render(
        self, staged: Staged, settings: SvdSettings, work: Work, report: Reporter
    ) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        from marionext.backends.svd.decoding import decode  # noqa: PLC0415 - torch

        latents = self._latents(staged, settings, work, report)
        numbers, wanted = staged.numbers, set(work.missing)
        places = [index for index, number in enumerate(numbers) if number in wanted]
        pictures = decode(
            self._models, latents, settings, frames=places, cancelled=report.cancelled
        )
        for done, (index, picture) in enumerate(zip(places, pictures, strict=True), start=1):
            yield numbers[index], picture
            report.progress("decode", done, len(places))

    def _latents(
        self, staged: Staged, settings: SvdSettings, work: Work, report: Reporter
    ) -> "Tensor":
        """Return the clean latents of the whole clip, (frames + 1, channels, h, w)."""
        from marionext.backends.svd.state import write_latents  # noqa: PLC0415 - torch

        held = None if work.made is None else _held(staged.numbers, work)
        made = staged.numbers if work.made is None else work.made
        kept = work.kept / _LATENTS
        own = _kept_latents(kept, made, report, with_slot=held is None)
        if own is None:
            own = self._denoise(staged, settings, work, report, held, made)
            write_latents(own, kept)
        return _whole(staged.numbers, own, held)

    def _denoise(
        self,
        staged: Staged,
        settings: SvdSettings,
        work: Work,
        report: Reporter,
        held: "Held | None",
        made: tuple[int, ...],
    ) -> "Latents":
        """Denoise the frames that are made, from where an earlier run stopped."""
        from marionext.backends.svd.denoising import denoise  # noqa: PLC0415 - torch
        from marionext.backends.svd.state import Latents, write_state  # noqa: PLC0415

        unfinished = work.state / _LATENTS
        shown = made[len(made) // 2]

        def tell(progress: "DenoiseProgress") -> None:
            done = progress.step * progress.windows + progress.window
            detail = f"step {progress.step + 1} of {progress.steps}"
            report.progress("denoise", done, progress.steps * progress.windows, detail)

        def preview(picture: NDArray[np.uint8]) -> None:
            if work.preview is not None:
                write_png(work.preview, picture)
                report.preview(str(work.preview), shown)

        def save(reached: "DenoiseState") -> None:
            write_state(reached, unfinished)
            work.saved("denoise", reached.step, settings.steps)

        latents = denoise(
            self._models,
            staged.picture,
            staged.control,
            staged.numbers,
            settings,
            held=held,
            state=_unfinished_state(unfinished, report),
            on_progress=tell,
            on_step=save,
            on_preview=None if work.preview is None else preview,
            cancelled=report.cancelled,
        )
        # A run to the last bit, or one begun before latents were kept, must end as it began.
        exact = settings.parity or settings.noise == "run"
        rounded = latents if exact else latents.half()
        if held is None:
            return Latents(made, rounded[1:], rounded[0])
        wanted = set(made)
        places = [place for place, number in enumerate(staged.numbers, 1) if number in wanted]
        return Latents(made, rounded[places], None)


def _unfinished_state(path: Path, report: Reporter) -> "DenoiseState | None":
    """Return where an earlier run stopped, or None."""
    from marionext.backends.svd.state import read_state  # noqa: PLC0415 - torch

    if not path.is_file():
        return None
    try:
        state = read_state(path)
    except OutputError as error:
        report.log(f"{error.message}: denoising starts over", warning=True)
        return None
    report.log(f"going on after step {state.step}")
    return state


def _kept_latents(
    path: Path, made: tuple[int, ...], report: Reporter, *, with_slot: bool
) -> "Latents | None":
    """Return the clean latents of the frames that are made, or None where they are not there."""
    from marionext.backends.svd.state import read_latents  # noqa: PLC0415 - torch

    if not path.is_file():
        return None
    try:
        found = read_latents(path)
    except OutputError as error:
        report.log(f"{error.message}: denoising starts over", warning=True)
        return None
    return found if found.numbers == made and (found.slot is not None) == with_slot else None


def _held(numbers: tuple[int, ...], work: Work) -> "Held":
    """Put together the latents of the frames that are held, each of the take that shows it.

    Raises:
        OutputError: some were not kept.
    """
    import torch  # noqa: PLC0415

    from marionext.backends.svd.denoising import Held  # noqa: PLC0415 - torch
    from marionext.backends.svd.state import Latents, read_latents  # noqa: PLC0415

    takes: dict[Path, Latents] = {}
    for folder in {work.first, *work.held.values()}:
        takes[folder] = read_latents(folder / _LATENTS)
    slot = takes[work.first].slot
    if slot is None:
        raise OutputError(
            f"{work.first / _LATENTS} lacks the latents of the reference slot",
            hint="Render the whole again, with --overwrite.",
        )
    latents = torch.zeros((len(numbers) + 1, *slot.shape), dtype=slot.dtype)
    latents[0] = slot
    places = [0]
    for place, number in enumerate(numbers, start=1):
        if number in work.held:
            own = takes[work.held[number]]
            latents[place] = own.frames[own.numbers.index(number)]
            places.append(place)
    return Held(latents, tuple(places))


def _whole(numbers: tuple[int, ...], own: "Latents", held: "Held | None") -> "Tensor":
    """Return the latents of the clip: those that were made between those that are held."""
    import torch  # noqa: PLC0415

    if held is None:
        assert own.slot is not None
        return torch.cat([own.slot[None], own.frames]).float()
    whole = held.latents.float()
    made = dict(zip(own.numbers, own.frames, strict=True))
    for place, number in enumerate(numbers, start=1):
        if number in made:
            whole[place] = made[number]
    return whole
