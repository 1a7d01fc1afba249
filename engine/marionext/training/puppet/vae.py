"""Train the puppet's autoencoder on single drawn pictures.

The network is the temporal VAE of Stable Video Diffusion (AutoencoderKLTemporalDecoder) in small
widths. The puppet's is trained on pictures, not on clips, and its temporal layers are switched
off by their own learned mixing weight: what it decodes then does not depend on how a clip is cut
into chunks, and a step costs a quarter less. The first level is 64 wide because diffusers fixes
32 normalisation groups: with one channel a group, absolute colours would be normalised away.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLTemporalDecoder
from diffusers.models.resnet import ResnetBlock2D, SpatioTemporalResBlock
from torch import Tensor, nn

from marionext.errors import ModelError
from marionext.output import write_png
from marionext.training.checkpoints import Curve, load_checkpoint, save_checkpoint
from marionext.training.figures.clips import HELD_OUT, make_clip
from marionext.training.initial import PatchEncoder, begin_as_components, patch_components
from marionext.training.prefetching import drawn_ahead

__all__ = [
    "Components",
    "VaeSettings",
    "build_vae",
    "components_in",
    "keep_components",
    "load_vae",
    "train_vae",
]

logger = logging.getLogger(__name__)

CHECKPOINT = "vae.pt"
COMPONENTS = "components.pt"

ANALYSED = 128
"""Pictures that the components are taken from."""

Components = tuple[Tensor, Tensor]
"""(channels, 192) principal components of patches of pictures, and their deviations (channels,)."""

SPATIAL_ONLY = -30.0
"""Mixing weight before the sigmoid at which float32 gives the spatial path all of the output."""


@dataclass(frozen=True, slots=True)
class VaeSettings:
    """What decides the weights of a VAE training."""

    steps: int = 2000
    batch: int = 4
    crop: int = 96
    size: tuple[int, int] = (128, 192)
    large_size: tuple[int, int] = (256, 384)
    """Of every second picture."""
    rate: float = 3e-4
    seed: int = 0
    widths: tuple[int, ...] = (96, 64, 96, 128)
    channels: int = 16
    latent_noise: float = 0.05
    bfloat16: bool = False


def build_vae(settings: VaeSettings, components: Components) -> AutoencoderKLTemporalDecoder:
    """Make the untrained network, temporal layers switched off.

    Its scaling factor brings its latents to unit variance.
    """
    vae = AutoencoderKLTemporalDecoder(
        block_out_channels=settings.widths,
        layers_per_block=1,
        latent_channels=settings.channels,
        down_block_types=("DownEncoderBlock2D",) * len(settings.widths),
        force_upcast=False,
        scaling_factor=PatchEncoder(*components).scaling_factor,
    )
    begin_as_components(vae, *components)
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    silent = silent_block(vae)
    nn.init.zeros_(silent.conv2.weight)
    nn.init.zeros_(silent.conv2.bias)
    silent.requires_grad_(False)
    for module in vae.modules():
        if isinstance(module, SpatioTemporalResBlock):
            nn.init.constant_(module.time_mixer.mix_factor, SPATIAL_ONLY)
            module.temporal_res_block.requires_grad_(False)
            module.time_mixer.requires_grad_(False)
    through_time = vae.decoder.time_conv_out
    nn.init.dirac_(through_time.weight)
    nn.init.zeros_(through_time.bias)
    through_time.requires_grad_(False)
    return vae


def components_of_figures(settings: VaeSettings) -> Components:
    """Analyse drawn pictures of both sizes: the components that the encoder projects on."""
    half = ANALYSED // 2
    small, large = (
        torch.stack([_picture(seed, size) for seed in range(half)])
        for size in (settings.size, settings.large_size)
    )
    # Of the large pictures as many patches as of the small.
    height, width = small.shape[-2:]
    down, right = ((large.shape[axis] - small.shape[axis]) // 16 * 8 for axis in (-2, -1))
    middle = large[..., down : down + height, right : right + width]
    return patch_components(torch.cat([small, middle]), settings.channels)


def components_in(folder: Path, settings: VaeSettings) -> Components:
    """Return the components of a training; made of drawn figures once, and kept in the folder.

    Figures drawn differently later would give other components, and latents that no trained
    network knows.
    """
    path = folder / COMPONENTS
    if path.is_file():
        state = torch.load(path, map_location="cpu", weights_only=True)
        return state["components"], state["deviations"]
    components = components_of_figures(settings)
    keep_components(folder, components)
    return components


def keep_components(folder: Path, components: Components) -> None:
    """Write the components of a training into its folder."""
    projection, deviations = components
    save_checkpoint(folder / COMPONENTS, {"components": projection, "deviations": deviations})


def silent_block(vae: AutoencoderKLTemporalDecoder) -> ResnetBlock2D:
    """Return a full-size block that stays silent: a third of the work for little in a picture."""
    block: ResnetBlock2D = vae.decoder.up_blocks[-1].resnets[-1].spatial_res_block
    return block


def skip_unused_layers(vae: AutoencoderKLTemporalDecoder) -> None:
    """Leave out the layers that add nothing: temporal ones mixed in with weight 0, silent ones."""

    def spatial(module: SpatioTemporalResBlock) -> Callable[..., Tensor]:
        def forward(hidden_states: Tensor, *_unused: object, **_also: object) -> Tensor:
            result: Tensor = module.spatial_res_block(hidden_states, None)
            return result

        return forward

    for module in vae.modules():
        if isinstance(module, SpatioTemporalResBlock):
            module.forward = spatial(module)
    silent_block(vae).forward = lambda features, _code: features
    vae.decoder.time_conv_out = nn.Identity()


def decode_pictures(vae: AutoencoderKLTemporalDecoder, latents: Tensor) -> Tensor:
    """Decode single pictures: (n, 3, h, w), about -1 to 1."""
    result: Tensor = vae.decode(latents, num_frames=1).sample
    return result


def _picture(seed: int, size: tuple[int, int]) -> Tensor:
    """Draw a figure: (3, h, w) in [-1, 1]."""
    # The second frame: dancing, where the first often stands at ease.
    picture = torch.from_numpy(make_clip(seed, 1, size).frames[1])
    return picture.permute(2, 0, 1).float().div(127.5).sub(1)


class StepPictures:
    """Draws the pictures of each step: (batch, 3, crop, crop) in [-1, 1], cut out of figures."""

    def __init__(self, settings: VaeSettings) -> None:
        self._settings = settings

    def __call__(self, step: int) -> Tensor:
        """Draw them; most of the cuts lie where the figure is."""
        settings = self._settings
        cuts = []
        for index in range(settings.batch):
            seed = (settings.seed << 32) + step * settings.batch + index
            picture = _picture(seed, settings.large_size if index % 2 else settings.size)
            rng = np.random.default_rng([seed, 1])
            if rng.uniform() < 0.5:
                picture = picture.flip(-1)
            top, left = (
                int(rng.integers(0, side - settings.crop + 1)) for side in picture.shape[1:]
            )
            cuts.append(picture[:, top : top + settings.crop, left : left + settings.crop])
        return torch.stack(cuts)


def _edges(pictures: Tensor) -> tuple[Tensor, Tensor]:
    return pictures.diff(dim=-1), pictures.diff(dim=-2)


def _loss(result: Tensor, pictures: Tensor) -> Tensor:
    error = result - pictures
    edges = sum(
        (mine - theirs).abs().mean()
        for mine, theirs in zip(_edges(result), _edges(pictures), strict=True)
    )
    return error.abs().mean() + 4 * error.square().mean() + 0.5 * edges


def held_out_pictures(settings: VaeSettings, count: int = 12) -> Tensor:
    """Draw pictures of clips that are never trained on."""
    return torch.stack([_picture(HELD_OUT + seed, settings.size) for seed in range(count)])


def peak_signal_to_noise(result: Tensor, truth: Tensor) -> float:
    """Return the PSNR in dB of pictures in [-1, 1]."""
    return float(10 * torch.log10(4 / (result.clamp(-1, 1) - truth).square().mean()))


@torch.no_grad()
def _evaluate(
    vae: AutoencoderKLTemporalDecoder, encode: PatchEncoder, settings: VaeSettings, picture: Path
) -> dict[str, float]:
    pictures = held_out_pictures(settings)
    latents = encode(pictures)
    result = decode_pictures(vae, latents)
    rows = [torch.cat(list(part), dim=2) for part in (pictures, result.clamp(-1, 1))]
    grid = torch.cat(rows, dim=1).add(1).mul(127.5).byte().permute(1, 2, 0).numpy()
    write_png(picture, grid)
    return {
        "psnr": peak_signal_to_noise(result, pictures),
        "latent_mean": float(latents.mean()),
        "latent_std": float(latents.std()),
    }


def train_vae(
    settings: VaeSettings, folder: Path, *, resume: bool, evaluate_every: int = 100
) -> Path:
    """Train, and keep checkpoint, curve and pictures of results in a folder.

    Returns:
        The checkpoint's path.

    Raises:
        ModelError: the loss is no longer a number; the last good checkpoint is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / CHECKPOINT
    torch.manual_seed(settings.seed)
    components = components_in(folder, settings)
    vae = build_vae(settings, components)
    skip_unused_layers(vae)
    encode = PatchEncoder(*components)
    parameters = [value for value in vae.parameters() if value.requires_grad]
    optimiser = torch.optim.AdamW(parameters, settings.rate, betas=(0.9, 0.95), weight_decay=0)
    # More or fewer steps may be asked for when a training goes on.
    config = {name: value for name, value in asdict(settings).items() if name != "steps"}
    step, running = 0, 0.0
    if resume and checkpoint.exists():
        state = load_checkpoint(checkpoint, config)
        vae.load_state_dict(state["vae"], strict=False)
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        step, running = int(state["step"]), float(state["loss"])
    curve = Curve(folder / "vae.csv", ("loss", "psnr", "latent_mean", "latent_std"), step)
    if step == 0:
        logger.info("vae at the start: %s", _evaluate(vae, encode, settings, folder / "vae.png"))
    for number, pictures in drawn_ahead(StepPictures(settings), step, settings.steps):
        share = number / settings.steps
        for group in optimiser.param_groups:
            group["lr"] = (
                settings.rate * min(1.0, (number + 1) / 100) * min(1.0, 2.5 * (1 - share) + 0.02)
            )
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
            latents = encode(pictures)
            noise = settings.latent_noise * torch.randn_like(latents)
            result = decode_pictures(vae, latents + noise)
        loss = _loss(result.float(), pictures)
        if not torch.isfinite(loss):
            raise ModelError(
                f"the loss of step {number} is {loss.item()}; "
                f"the last good checkpoint is {checkpoint}"
            )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        step = number + 1
        running = loss.item() if step == 1 else 0.98 * running + 0.02 * loss.item()
        if step % evaluate_every == 0 or step == settings.steps:
            numbers = {"loss": running, **_evaluate(vae, encode, settings, folder / "vae.png")}
            curve.append(step, numbers)
            logger.info("vae step %d: %s", step, numbers)
            state = {
                "config": config,
                "step": step,
                "vae": vae.state_dict(),
                "optimiser": optimiser.state_dict(),
                "random": torch.get_rng_state(),
                "loss": running,
            }
            save_checkpoint(checkpoint, state)
    return checkpoint


def load_vae(folder: Path) -> AutoencoderKLTemporalDecoder:
    """Load the autoencoder that was trained in a folder.

    Raises:
        ModelError: there is no such checkpoint.
    """
    checkpoint = folder / CHECKPOINT
    if not checkpoint.is_file():
        raise ModelError(f"{checkpoint}: missing", hint="Train with the command vae first.")
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    settings = VaeSettings(**state["config"])
    vae = build_vae(settings, components_in(folder, settings))
    missing = vae.load_state_dict(state["vae"], strict=False).missing_keys
    if any(not name.startswith("decoder.time_conv_out") for name in missing):
        raise ModelError(f"{checkpoint}: lacks {', '.join(missing)}")
    return vae.requires_grad_(False).eval()
