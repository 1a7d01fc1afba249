import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from marionext.backends.svd import (
    DenoiseProgress,
    DenoiseState,
    Models,
    denoise,
    read_state,
    write_state,
)
from marionext.diffusion.ladder import RUNGS
from marionext.errors import DeviceError, JobCancelled, SettingsError
from marionext.settings import SvdSettings

PoseMaps = Callable[[int], NDArray[np.uint8]]


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("parity", [False, True])
def test_every_clip_gives_its_frames_and_the_slot(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    settings: SvdSettings,
    frames: int,
    parity: bool,
) -> None:
    latents = denoise(models, picture, pose_maps, frames, replace(settings, parity=parity))
    assert latents.shape == (frames + 1, 4, 16, 16)
    assert bool(latents.isfinite().all())


def test_a_run_that_was_stopped_ends_in_the_same_bytes(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    settings: SvdSettings,
    tmp_path: Path,
) -> None:
    settings = replace(settings, steps=3)
    whole = denoise(models, picture, pose_maps, 6, settings)
    path = tmp_path / "state"
    for stop in (1, 2):

        def cancelled(stop: int = stop) -> bool:
            return path.is_file() and read_state(path).step >= stop

        state = read_state(path) if path.is_file() else None
        with pytest.raises(JobCancelled):
            denoise(
                models,
                picture,
                pose_maps,
                6,
                settings,
                state=state,
                on_step=lambda reached: write_state(reached, path),
                cancelled=cancelled,
            )
        assert read_state(path).step == stop
    resumed = denoise(models, picture, pose_maps, 6, settings, state=read_state(path))
    assert resumed.numpy().tobytes() == whole.numpy().tobytes()


def test_cancelling_stops_within_one_evaluation(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    evaluations = 0

    def count(*_arguments: object) -> None:
        nonlocal evaluations
        evaluations += 1

    models.unet.register_forward_hook(count)
    with pytest.raises(JobCancelled):
        denoise(models, picture, pose_maps, 9, settings, cancelled=lambda: evaluations == 3)
    assert evaluations == 3


def test_progress_counts_every_window_of_every_step(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    told: list[DenoiseProgress] = []
    denoise(models, picture, pose_maps, 7, settings, on_progress=told.append)
    # Windows shift: one more in every other step.
    windows = [next(item.windows for item in told if item.step == step) for step in range(2)]
    assert windows[1] == windows[0] + 1
    assert [(item.step, item.window) for item in told] == [
        (step, window + 1) for step in range(2) for window in range(windows[step])
    ]
    assert told[-1].fraction == 1


def test_a_preview_comes_with_each_step(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    shown: list[NDArray[np.uint8]] = []
    denoise(models, picture, pose_maps, 3, settings, on_preview=shown.append)
    assert [(preview.shape, preview.dtype) for preview in shown] == [((16, 16, 3), np.uint8)] * 2


def test_each_pose_map_is_drawn_once_a_step(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    drawn: list[int] = []

    def draw(frame: int) -> NDArray[np.uint8]:
        drawn.append(frame)
        return pose_maps(frame)

    denoise(models, picture, draw, 10, settings)
    assert sorted(drawn) == sorted([*range(11), *range(11)])


def counted_evaluations(models: Models) -> list[int]:
    seen: list[int] = []
    models.unet.register_forward_hook(lambda *_: seen.append(1))
    return seen


@pytest.mark.parametrize(
    ("changes", "evaluations"),
    [
        ({}, 4),
        ({"guidance_min": 1.0, "guidance_max": 1.0}, 2),
        ({"guidance_min": 0.5, "guidance_max": 0.9}, 2),
        ({"guidance_min": 1.0, "guidance_max": 3.0}, 4),
        ({"skip_uncond_below": 1.0}, 3),
    ],
)
def test_the_unconditional_half_runs_only_where_it_matters(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    settings: SvdSettings,
    changes: dict[str, Any],
    evaluations: int,
) -> None:
    seen = counted_evaluations(models)
    denoise(models, picture, pose_maps, 3, replace(settings, **changes))
    assert len(seen) == evaluations


def test_the_pose_maps_steer_and_strength_zero_ignores_them(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    def other(frame: int) -> NDArray[np.uint8]:
        return 255 - pose_maps(frame)

    steered = denoise(models, picture, pose_maps, 3, settings)
    assert not torch.equal(steered, denoise(models, picture, other, 3, settings))
    deaf = replace(settings, control_strength=0.0)
    assert torch.equal(
        denoise(models, picture, pose_maps, 3, deaf), denoise(models, picture, other, 3, deaf)
    )


def test_another_seed_is_another_clip(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    first = denoise(models, picture, pose_maps, 2, settings)
    assert torch.equal(first, denoise(models, picture, pose_maps, 2, settings))
    assert not torch.equal(first, denoise(models, picture, pose_maps, 2, replace(settings, seed=6)))


def test_a_state_of_another_render_is_refused(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    for state in (
        DenoiseState(0, torch.zeros(3, 4, 16, 16)),
        DenoiseState(9, torch.zeros(5, 4, 16, 16)),
    ):
        with pytest.raises(SettingsError, match="state"):
            denoise(models, picture, pose_maps, 4, settings, state=state)


def test_running_out_of_memory_goes_on_a_rung_down_with_the_same_picture(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    settings: SvdSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = denoise(models, picture, pose_maps, 6, settings)
    said: list[str] = []
    monkeypatch.setattr(models.placement, "_say", said.append)
    failures = iter([False, True, False, False, True])
    forward = models.unet.forward

    def scarce(*arguments: Any, **named: Any) -> Any:
        if next(failures, False):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(*arguments, **named)

    monkeypatch.setattr(models.unet, "forward", scarce)
    found = denoise(models, picture, pose_maps, 6, settings)
    assert models.placement.rung.name == "chunked"
    assert len(said) == 2
    assert all("ran out of memory" in text for text in said)
    assert torch.allclose(found, wanted, atol=1e-3 * float(wanted.abs().max()))


def test_the_streaming_rung_gives_the_same_picture(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    settings: SvdSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Layer by layer, here from the processor to itself: CUDA is the place it is meant for."""
    wanted = denoise(models, picture, pose_maps, 2, settings)
    monkeypatch.setattr(models.placement, "_rung", len(RUNGS) - 1)
    found = denoise(models, picture, pose_maps, 2, settings)
    again = denoise(models, picture, pose_maps, 2, settings)
    assert models.placement.rung.streamed
    assert torch.equal(found, again)
    assert torch.allclose(found, wanted, atol=1e-3 * float(wanted.abs().max()))


def test_no_rung_left_is_an_error_with_advice(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    settings: SvdSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def scarce(*_arguments: Any, **_named: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(models.unet, "forward", scarce)
    with pytest.raises(DeviceError, match="ran out of memory") as caught:
        denoise(models, picture, pose_maps, 6, settings)
    assert caught.value.hint


def test_other_errors_are_not_taken_for_lack_of_memory(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    settings: SvdSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_arguments: Any, **_named: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(models.unet, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        denoise(models, picture, pose_maps, 2, settings)


def test_a_failing_gpu_is_told_as_such(
    models: Models,
    picture: NDArray[np.uint8],
    pose_maps: PoseMaps,
    settings: SvdSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_arguments: Any, **_named: Any) -> Any:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel")

    monkeypatch.setattr(models.unet, "forward", broken)
    with pytest.raises(DeviceError, match="illegal memory access"):
        denoise(models, picture, pose_maps, 2, settings)


def test_parity_wants_single_precision(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    models.placement.dtype = torch.float16
    with pytest.raises(SettingsError, match="float32"):
        denoise(models, picture, pose_maps, 2, replace(settings, parity=True))


def test_pose_maps_are_not_hoarded(
    models: Models, picture: NDArray[np.uint8], pose_maps: PoseMaps, settings: SvdSettings
) -> None:
    drawn: list[weakref.ref[NDArray[np.uint8]]] = []
    alive: list[int] = []

    def draw(frame: int) -> NDArray[np.uint8]:
        alive.append(sum(reference() is not None for reference in drawn))
        value = pose_maps(frame)
        drawn.append(weakref.ref(value))
        return value

    denoise(models, picture, draw, 12, replace(settings, steps=1))
    assert len(drawn) == 13
    assert max(alive) < settings.window
