"""The video model equals the reference's: modules, injection, schedule, and whole renders.

The weights of the golden cases are random and small, but the shapes and the code are those of the
real networks. Each case is compared with the largest number of its recorded tensor.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel
from safetensors import safe_open
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from marionext.backends.svd import DenoiseState, Models, denoise
from marionext.backends.svd.conditioning import encode_character
from marionext.backends.svd.decoding import decode, decode_chunk
from marionext.backends.svd.denoising import REFERENCE_TIME_IDS
from marionext.backends.svd.state import draw_noise
from marionext.diffusion import ControlNeXtConfig, ControlNeXtSVD
from marionext.diffusion.injection import injected, injection
from marionext.diffusion.lossless import make_lossless
from marionext.diffusion.memory import Placement
from marionext.diffusion.schedule import denoised, euler_step, make_schedule, network_input
from marionext.diffusion.windows import plan_reference_windows
from marionext.settings import SvdSettings

Rebuild = Callable[[Path], dict[str, Tensor]]


def tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118


def difference(found: Tensor, recorded: Tensor) -> float:
    """Return the largest difference in parts of the largest recorded number."""
    assert found.shape == recorded.shape
    return float((found.double() - recorded.double()).abs().max() / recorded.abs().max())


def configuration(case: Path) -> dict[str, Any]:
    return dict(json.loads(case.read_text()).get("config", {}))


def control_network(weights: dict[str, Tensor], *, stem_padding: int = 0) -> ControlNeXtSVD:
    """Build the control network that these weights belong to, from their shapes."""
    levels = sum(name.startswith("down_sample.") for name in weights) // 2
    network = ControlNeXtSVD(
        ControlNeXtConfig(
            stem_widths=tuple(len(weights[f"embedding.{layer}.weight"]) for layer in (0, 3, 6)),
            stem_padding=stem_padding,
            block_widths=tuple(len(weights[f"down_res.{i}.conv1.weight"]) for i in range(levels)),
            block_groups=(4, 8),
            time_width=len(weights["time_embedding.linear_1.weight"]),
            out_channels=len(weights["mid_convs.1.weight"]),
        )
    )
    network.load_state_dict(weights)
    return network.eval()


@torch.no_grad()
@pytest.mark.cases("a_svd_controlnext/*_c*.safetensors")
def test_the_control_network_equals_the_reference(case: Path, rebuilt_weights: Rebuild) -> None:
    recorded, metadata = tensors(case)
    model = case.stem.split("_")[0]
    trained = model == "trainpad"
    weights = rebuilt_weights(case.with_name(f"{'real' if trained else model}.keys.json"))
    network = control_network(weights, stem_padding=1 if trained else 0)
    for name, how in json.loads(metadata["timesteps"]).items():
        time = recorded[f"timestep.{name}"]
        given = time.float() if "float32" in how["kind"] else time
        output = network(recorded["control"], given)
        assert difference(output, recorded[f"output.{name}"]) <= 1e-5, name


@torch.no_grad()
@pytest.mark.cases("a_svd_controlnext/*.weights.safetensors")
def test_stored_weights_equal_the_recipe(case: Path, rebuilt_weights: Rebuild) -> None:
    stored, _ = tensors(case)
    rebuilt = rebuilt_weights(
        case.with_name(case.name.replace(".weights.safetensors", ".keys.json"))
    )
    assert stored.keys() == rebuilt.keys()
    assert all(torch.equal(stored[name], rebuilt[name]) for name in stored)


@pytest.mark.cases("g_manifests/svd_controlnext_v2.json")
def test_the_real_control_network_has_the_released_names_and_shapes(case: Path) -> None:
    with torch.device("meta"):
        network = ControlNeXtSVD()
    found = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert found == json.loads(case.read_text())["shapes"]


REAL = {
    "svd_unet": UNetSpatioTemporalConditionModel,
    "svd_vae_temporal_decoder": AutoencoderKLTemporalDecoder,
    "clip_vit_h_image_encoder": lambda **keys: CLIPVisionModelWithProjection(
        CLIPVisionConfig(**keys)
    ),
}


@pytest.mark.cases(*(f"g_manifests/{name}.json" for name in REAL))
def test_the_real_networks_have_the_published_names_and_shapes(case: Path) -> None:
    manifest = json.loads(case.read_text())
    with torch.device("meta"):
        network = REAL[case.stem](**manifest["config"])
    found = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert found == manifest["shapes"]
    assert sum(value.numel() for value in network.state_dict().values()) == manifest["parameters"]


def unet_from(path: Path, rebuilt_weights: Rebuild) -> Any:
    keys = configuration(path)
    unet = UNetSpatioTemporalConditionModel(**keys)
    unet.load_state_dict(rebuilt_weights(path))
    return unet.eval().requires_grad_(False)


@torch.no_grad()
@pytest.mark.cases("b_svd_unet/*.safetensors")
def test_the_steered_unet_equals_the_reference(case: Path, rebuilt_weights: Rebuild) -> None:
    """Both halves at once as recorded, and one at a time and rearranged as our denoising has it.

    Some random networks magnify rounding (a normalisation over a few numbers), so the measure is
    how far the reference itself is from a run in double precision.
    """
    recorded, _ = tensors(case)
    keys = case.with_suffix(".keys.json")
    unet, lossless = unet_from(keys, rebuilt_weights), unet_from(keys, rebuilt_weights)
    make_lossless(lossless, channels_last=True)
    exact = unet_from(keys, rebuilt_weights).to(torch.float64)
    doubled = {name: value.double() for name, value in recorded.items()}
    for name, strength in strengths(recorded).items():
        wide = None if strength is None else strength.double()
        truth = steered_output(exact, doubled, wide, slice(None))
        own_error = difference(recorded[f"out.{name}"], truth)
        assert own_error <= 1e-4, name
        both = steered_output(unet, recorded, strength, slice(None))
        one_by_one = [
            steered_output(lossless, recorded, strength, slice(half, half + 1))
            for half in range(len(recorded["sample"]))
        ]
        for output in (both, torch.cat(one_by_one)):
            assert difference(output, truth) <= max(1e-5, 10 * own_error), name
    assert not unet.down_blocks[0]._forward_hooks


def strengths(recorded: dict[str, Tensor]) -> dict[str, Tensor | None]:
    """Return the strengths of control that a case was recorded with."""
    return {
        "none": None,
        "cfg": recorded["scale_cfg"].flatten(),
        "float1": torch.ones(recorded["scale_cfg"].numel()),
        "graded": recorded["scale_graded"].flatten(),
    }


def steered_output(
    unet: Any, recorded: dict[str, Tensor], strength: Tensor | None, halves: slice
) -> Tensor:
    """Run the UNet on some halves of a recorded guided pair."""

    def run() -> Tensor:
        output: Tensor = unet(
            recorded["sample"][halves],
            recorded["timestep"],
            recorded["encoder_hidden_states"][halves],
            recorded["added_time_ids"][halves],
            return_dict=False,
        )[0]
        return output

    if strength is None:
        return run()
    frames = recorded["sample"].shape[1]
    control = recorded["control"].unflatten(0, (-1, frames))[halves].flatten(0, 1)
    strength = strength.unflatten(0, (-1, frames))[halves].flatten()
    with injected(unet.down_blocks[0], control, strength):
        return run()


@torch.no_grad()
@pytest.mark.cases("b_svd_unet/*.safetensors")
def test_the_injection_alone_equals_the_reference(case: Path) -> None:
    recorded, _ = tensors(case)
    block = nn.Identity()

    def inject(control: Tensor, strength: Tensor) -> Tensor:
        with injected(block, control, strength.flatten()):
            sample, skips = block((recorded["block0_out"], ("kept",)))
        assert skips == ("kept",)
        return sample

    ones = torch.ones(len(recorded["control"]))
    runs = {
        "cfg": (recorded["control"], recorded["scale_cfg"]),
        "graded": (recorded["control"], recorded["scale_graded"]),
    }
    if "control_up" in recorded:
        values = recorded["control_const_values"].view(-1, 1, 1, 1)
        runs["up"] = (recorded["control_up"], ones)
        runs["tiny"] = (recorded["control_tiny"], ones)
        runs["const"] = (values.expand(recorded["control"].shape), ones)
    for name, (control, strength) in runs.items():
        found = inject(control, strength)
        assert difference(found, recorded[f"block1_in.{name}"]) <= 1e-6, name
        assert injection(control, recorded["block0_out"]).shape == found.shape


@pytest.mark.cases("h_scheduler/*.safetensors")
def test_noise_levels_and_steps_equal_the_reference(case: Path) -> None:
    recorded, metadata = tensors(case)
    config = json.loads(metadata["config"])
    for name in recorded:
        if not name.endswith(".sigmas"):
            continue
        run = name.removesuffix(".sigmas")
        schedule = make_schedule(config, int(run.removeprefix("n")))
        assert torch.equal(torch.tensor(schedule.sigmas), recorded[name])
        # A logarithm: processors differ in its last bit.
        timesteps = torch.tensor(schedule.timesteps)
        assert difference(timesteps, recorded[f"{run}.timesteps"]) <= 3e-7
        assert schedule.initial == pytest.approx(float(recorded[f"{run}.init_noise_sigma"]), 1e-7)
    if "traj.x0" not in recorded:
        return
    schedule = make_schedule(config, int(metadata["trajectory_steps"]))
    sample = recorded["traj.x0"]
    for step in range(schedule.steps):
        sigma, following = schedule.sigmas[step : step + 2]
        assert torch.equal(network_input(sample, sigma), recorded["traj.scaled_inputs"][step])
        sample = euler_step(sample, recorded["traj.model_outputs"][step], sigma, following)
        assert torch.equal(sample, recorded["traj.x"][step])


SCHEDULER = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "interpolation_type": "linear",
    "prediction_type": "v_prediction",
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "trained_betas": None,
    "use_karras_sigmas": True,
}


def bundle(folder: Path, tag: str, rebuilt_weights: Rebuild) -> Models:
    """Build a golden case's networks."""
    vae = AutoencoderKLTemporalDecoder(**configuration(folder / f"{tag}.vae.keys.json"))
    vae.load_state_dict(rebuilt_weights(folder / f"{tag}.vae.keys.json"))
    keys = configuration(folder / f"{tag}.image_encoder.keys.json")
    encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**keys))
    encoder.load_state_dict(rebuilt_weights(folder / f"{tag}.image_encoder.keys.json"))
    return Models(
        unet=unet_from(folder / f"{tag}.unet.keys.json", rebuilt_weights),
        vae=vae,
        image_encoder=encoder,
        controlnext=control_network(rebuilt_weights(folder / f"{tag}.controlnext.keys.json")),
        scheduler=SCHEDULER,
        placement=Placement(torch.device("cpu"), torch.float32),
    )


@pytest.mark.cases("c_svd_pipeline/*.safetensors")
def test_whole_renders_equal_the_reference(case: Path, rebuilt_weights: Rebuild) -> None:
    recorded, metadata = tensors(case)
    given = json.loads(metadata["case"])
    frames = given["num_frames"] - 1  # the reference counts the reference slot
    settings = SvdSettings(
        width=given["width"],
        height=given["height"],
        steps=given["num_inference_steps"],
        guidance_min=given["min_guidance_scale"],
        guidance_max=given["max_guidance_scale"],
        window=given["frames_per_batch"],
        overlap=given["overlap"],
        noise_augmentation=given["noise_aug_strength"],
        decode_chunk=given["decode_chunk_size"],
        parity=True,
    )
    models = bundle(case.parent, given["model_tag"], rebuilt_weights)
    picture = recorded["image"].numpy()
    maps = recorded["control_frames"].numpy()
    windows = plan_reference_windows(frames, settings.window, settings.overlap)
    assert [window.frames[0] for window in windows] == given["window_starts"]

    condition = encode_character(
        models,
        picture,
        settings.size,
        recorded["image_noise"],
        noise_augmentation=settings.noise_augmentation,
        time_ids=REFERENCE_TIME_IDS,
    )
    assert difference(condition.image_latents, recorded["image_latents_cond"]) <= 1e-5
    assert difference(condition.embedding[0], recorded["trace.image_embeds"]) <= 1e-5
    assert torch.equal(condition.time_ids, recorded["trace.added_time_ids"][-1:])

    after: list[Tensor] = []
    start = recorded["initial_noise"][0] * float(recorded["init_noise_sigma"])
    latents = denoise(
        models,
        picture,
        lambda frame: maps[frame],
        frames,
        settings,
        state=DenoiseState(0, start),
        on_step=lambda state: after.append(state.latents.clone()),
        image_noise=recorded["image_noise"],
    )
    tolerance = 1e-3 if settings.steps > 10 else 2e-4
    assert difference(latents, recorded["final_latents"][0]) <= tolerance
    for step, each in enumerate(after):
        average = torch.zeros_like(latents)
        for index, window in enumerate(windows):
            weights = torch.tensor(window.weights).view(-1, 1, 1, 1)
            average[list(window.frames)] += weights * recorded["window_latents"][step, index]
        assert difference(each, average) <= tolerance, step

    shown = np.stack(list(decode(models, latents, settings)))
    expected = recorded["decoded_frames_uint8"].numpy()[1:]
    assert np.abs(shown.astype(int) - expected).max() <= 1
    if "decoded_frames" in recorded:
        floats = recorded["decoded_frames"][0].transpose(0, 1)
        chunk = settings.decode_chunk
        found = torch.cat(
            [
                decode_chunk(models, recorded["final_latents"][0, i : i + chunk])
                for i in range(0, frames + 1, chunk)
            ]
        )
        assert difference(found, floats) <= 1e-5


@pytest.mark.cases("c_svd_pipeline/*.safetensors")
def test_the_seed_draws_what_the_reference_draws(case: Path) -> None:
    recorded, metadata = tensors(case)
    given = json.loads(metadata["case"])
    if given["latents_given"]:
        pytest.skip("this case's latents were not drawn")
    image, latents = draw_noise(
        given["generator_seed"],
        given["num_frames"] - 1,
        tuple(recorded["initial_noise"].shape[2:]),
        (given["width"], given["height"]),
    )
    # Other processors draw with other instructions; a rounding apart is the same draw.
    assert difference(image, recorded["image_noise"]) <= 1e-5
    assert difference(latents, recorded["initial_noise"][0]) <= 1e-5


def test_a_prediction_of_nothing_leaves_the_sample_where_the_schedule_says() -> None:
    sample = torch.randn(2, 4, 8, 8)
    assert torch.allclose(denoised(sample, torch.zeros_like(sample), 0.5), sample / 1.25)
