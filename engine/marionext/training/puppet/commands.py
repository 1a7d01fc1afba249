"""Train and export the built-in ``puppet`` bundle.

How the weights in ``presets/puppet`` were made, start to end (``training.json`` beside them holds
the numbers of that run; the steps can be chosen freely)::

    python -m marionext.training vae    --out work --bfloat16
    python -m marionext.training control --out work
    python -m marionext.training video  --out work --steps 1500 --anneal 0
    python -m marionext.training video --out work --resume --large-every 2 --steps 2750 --anneal 350
    python -m marionext.training export --out work --bundle presets/puppet
    python -m marionext.training character --picture presets/characters/hero.png

Every command can be stopped at any moment, even killed, and continues with ``--resume``. The
folder then holds checkpoints (``*.pt``), curves (``*.csv``) and pictures of results (``*.png``).
``examples`` draws such a picture from a finished bundle's checkpoints.
"""

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLTemporalDecoder

from marionext.errors import ModelError
from marionext.files import write_bytes
from marionext.training.checkpoints import read_curve
from marionext.training.command_line import run_command
from marionext.training.figures.character import draw_character
from marionext.training.initial import PatchEncoder
from marionext.training.puppet.batches import ClipMaker
from marionext.training.puppet.control import train_control
from marionext.training.puppet.export import begin_with_bundle, export_bundle
from marionext.training.puppet.networks import PuppetNetworks
from marionext.training.puppet.vae import CHECKPOINT as VAE_CHECKPOINT
from marionext.training.puppet.vae import VaeSettings, components_in, load_vae, train_vae
from marionext.training.puppet.video import (
    VideoSettings,
    draw_examples,
    held_out_batch,
    train_video,
)

__all__ = ["main"]

VIDEO_CHECKPOINT = "video.pt"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m marionext.training", description="Train the built-in puppet model."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    vae = commands.add_parser("vae", help="train the autoencoder on single pictures")
    vae.add_argument("--steps", type=int, default=VaeSettings().steps)
    vae.add_argument("--batch", type=int, default=VaeSettings().batch)
    vae.add_argument(
        "--bfloat16", action="store_true", help="mixed precision; faster where the CPU has it"
    )
    control = commands.add_parser("control", help="teach the control network the body's parts")
    control.add_argument("--steps", type=int, default=700)
    video = commands.add_parser("video", help="train UNet, control network and image encoder")
    video.add_argument("--steps", type=int, default=3000)
    video.add_argument("--anneal", type=int, default=800, help="last steps with a falling rate")
    video.add_argument("--clips", type=int, default=VideoSettings().clips, help="windows in a step")
    video.add_argument(
        "--large-every", type=int, default=0, metavar="STEPS", help="now and then large pictures"
    )
    video.add_argument("--rate", type=float, default=VideoSettings().rate, help="at its peak")
    video.add_argument(
        "--parts-weight",
        type=float,
        default=VideoSettings().parts_weight,
        help="of the loss on the layout of the body's parts; 0 for networks that know it",
    )
    video.add_argument(
        "--warped", action="store_true", help="each frame's reference is the doll's warp"
    )
    video.add_argument(
        "--kept", type=int, default=VideoSettings().kept, help="steps' clips that are at hand"
    )
    video.add_argument(
        "--renewed",
        type=float,
        default=VideoSettings().renewed,
        help="steps' clips drawn in a step: fewer than 1 where drawing takes longest",
    )
    begin = commands.add_parser("begin", help="let video begin with a finished bundle")
    begin.add_argument("--bundle", type=Path, required=True)
    for command in (vae, control, video):
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    for command in (vae, video):
        command.add_argument("--evaluate-every", type=int, default=100, metavar="STEPS")
    export = commands.add_parser("export", help="write a bundle from the checkpoints")
    export.add_argument("--bundle", type=Path, required=True)
    export.add_argument("--note", action="append", default=[], help="for the training record")
    examples = commands.add_parser("examples", help="draw clips never trained on")
    examples.add_argument("--picture", type=Path, required=True)
    for command in (vae, control, video, begin, export, examples):
        command.add_argument("--out", type=Path, required=True, help="folder of the training")
    character = commands.add_parser("character", help="draw the demo's character")
    character.add_argument("--picture", type=Path, required=True)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    return run_command(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    if options.command == "character":
        draw_character(options.picture)
    elif options.command == "vae":
        autoencoder = VaeSettings(
            steps=options.steps, batch=options.batch, seed=options.seed, bfloat16=options.bfloat16
        )
        train_vae(
            autoencoder, options.out, resume=options.resume, evaluate_every=options.evaluate_every
        )
    elif options.command == "control":
        settings = VideoSettings(seed=options.seed)
        train_control(settings, options.out, steps=options.steps, resume=options.resume)
    elif options.command == "video":
        train_video(
            VideoSettings(
                clips=options.clips,
                seed=options.seed,
                rate=options.rate,
                parts_weight=options.parts_weight,
                warped=options.warped,
                kept=options.kept,
                renewed=options.renewed,
            ),
            options.out,
            steps=options.steps,
            anneal=options.anneal,
            resume=options.resume,
            large_every=options.large_every,
            evaluate_every=options.evaluate_every,
        )
    elif options.command == "begin":
        begin_with_bundle(options.bundle, options.out)
    elif options.command == "export":
        _export(options.out, options.bundle, options.note)
    else:
        vae = load_vae(options.out)
        networks, _ = _networks(options.out)
        video = VideoSettings()
        encode = PatchEncoder(*components_in(options.out, VaeSettings()))
        held_out = held_out_batch(ClipMaker(encode, video.size), video)
        draw_examples(networks, vae, held_out, options.picture)


def _networks(folder: Path) -> tuple[PuppetNetworks, dict[str, Any]]:
    """Load the averaged networks and what the checkpoint says of them."""
    path = folder / VIDEO_CHECKPOINT
    if not path.is_file():
        raise ModelError(f"{path}: missing", hint="Train with the command video first.")
    state = torch.load(path, map_location="cpu", weights_only=True)
    networks = PuppetNetworks(VideoSettings().sizes)
    networks.load_state_dict(state["average"])
    return networks.eval(), state


def _export(folder: Path, bundle: Path, notes: Sequence[str]) -> None:
    vae: AutoencoderKLTemporalDecoder = load_vae(folder)
    networks, state = _networks(folder)
    vae_state = torch.load(folder / VAE_CHECKPOINT, map_location="cpu", weights_only=True)
    record = {
        "notes": list(notes),
        "what": "Trained from scratch on figures this project draws; no other data.",
        "commands": [line.strip() for line in (__doc__ or "").splitlines() if "python -m" in line],
        "machine": f"{torch.get_num_threads()} CPU threads, {platform.machine()}, shared",
        "torch": torch.__version__,
        "vae": {
            "settings": vae_state["config"],
            "step": vae_state["step"],
            "curve": read_curve(folder / "vae.csv"),
        },
        "video": {
            "settings": state["config"],
            "step": state["step"],
            "seconds": state["seconds"],
            "curve": read_curve(folder / "video.csv"),
        },
        "parameters": {
            "vae": sum(value.numel() for value in vae.parameters()),
            "unet": sum(value.numel() for value in networks.unet.parameters()),
            "controlnext": sum(value.numel() for value in networks.controlnext.parameters()),
            "image_encoder": sum(value.numel() for value in networks.image_encoder.parameters()),
        },
    }
    export_bundle(bundle, vae, networks, record)
    for name in ("vae.csv", "video.csv"):
        write_bytes(bundle / name, (folder / name).read_bytes())
