r"""Train and export the small model that makes pictures.

How it is made, start to end::

    python -m marionext.training picture --out work --steps 2400 --anneal 0 --compile
    python -m marionext.training picture --out work --resume --large-every 1 --steps 3000 \
        --anneal 600
    python -m marionext.training picture-export --out work --bundle FOLDER

It begins with the puppet's weights (``--puppet``). Training can be stopped at any moment, even
killed, and continues with ``--resume``. The folder holds the checkpoint (``picture.pt``) and a
curve (``picture.csv``); ``picture-examples`` draws what it makes of figures never trained on.
(``--device cuda --processes 16 --clips 64`` on a GPU with sixteen cores beside it.)
"""

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from marionext import presets
from marionext.backends.svd.loading import NetworkFiles
from marionext.training.checkpoints import read_curve
from marionext.training.command_line import add_usual, run_command
from marionext.training.figures.clips import HELD_OUT
from marionext.training.initial import PatchEncoder, read_components
from marionext.training.picture.autoencoder import picture_autoencoder
from marionext.training.picture.batches import PictureMaker
from marionext.training.picture.export import export_pipeline
from marionext.training.picture.training import (
    CURVE,
    PictureSchedule,
    PictureSettings,
    draw_examples,
    load_networks,
    train_picture,
)

__all__ = ["COMMANDS", "main"]

COMMANDS = ("picture", "picture-export", "picture-examples")

EXAMPLES = 6
"""Clips that examples are drawn of, two pictures of each."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m marionext.training", description="Train the model that makes pictures."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    usual = PictureSettings()
    train = commands.add_parser("picture", help="train UNet, control network and text encoder")
    train.add_argument("--steps", type=int, default=6000)
    train.add_argument("--anneal", type=int, default=1500, help="last steps with a falling rate")
    train.add_argument(
        "--clips", type=int, default=usual.clips, help="in a step: two pictures of each"
    )
    train.add_argument(
        "--large-every", type=int, default=0, metavar="STEPS", help="now and then large pictures"
    )
    add_usual(train, rate=usual.rate, seed=usual.seed)
    train.add_argument("--compile", action="store_true", help="a fifth quicker, after minutes")
    export = commands.add_parser("picture-export", help="write a folder that diffusers opens")
    export.add_argument("--bundle", type=Path, required=True)
    export.add_argument("--note", action="append", default=[], help="for the training record")
    examples = commands.add_parser("picture-examples", help="draw figures never trained on")
    examples.add_argument("--picture", type=Path, required=True)
    examples.add_argument("--size", default="256x384", help="width and height")
    examples.add_argument("--steps", type=int, default=20, help="of denoising")
    for command in (train, export, examples):
        command.add_argument("--out", type=Path, required=True, help="folder of the training")
        command.add_argument(
            "--puppet",
            type=Path,
            default=presets.folder("puppet"),
            help="bundle that it begins with, whose autoencoder it has",
        )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    return run_command(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    {"picture": _train, "picture-export": _export, "picture-examples": _draw}[options.command](
        options
    )


def _train(options: argparse.Namespace) -> None:
    settings = PictureSettings(
        clips=options.clips,
        rate=options.rate,
        seed=options.seed,
        bfloat16=not options.float32,
    )
    schedule = PictureSchedule(
        options.steps,
        options.anneal,
        options.evaluate_every,
        options.device,
        options.processes,
        large_every=options.large_every,
        compiled=options.compile,
    )
    train_picture(settings, options.out, options.puppet, schedule, resume=options.resume)


def _export(options: argparse.Namespace) -> None:
    networks, state = load_networks(options.out)
    vae = picture_autoencoder(NetworkFiles(options.puppet, torch.float32).vae())
    parts = {**dict(networks.named_children()), "vae": vae}
    record = {
        "what": "Trained on figures this project draws; no other data. Begins with the puppet.",
        "notes": list(options.note),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "steps": int(state["step"]),
        "seconds": float(state["seconds"]),
        "curve": read_curve(options.out / CURVE),
        "parameters": {
            name: sum(value.numel() for value in part.parameters()) for name, part in parts.items()
        },
    }
    export_pipeline(options.bundle, vae, networks, record)


def _draw(options: argparse.Namespace) -> None:
    networks, _ = load_networks(options.out)
    video_vae = NetworkFiles(options.puppet, torch.float32).vae()
    width, height = (int(side) for side in options.size.split("x"))
    maker = PictureMaker(PatchEncoder(*read_components(video_vae)), (width, height))
    seeds = [HELD_OUT + 500 + number for number in range(EXAMPLES)]
    draw_examples(
        networks,
        picture_autoencoder(video_vae),
        maker.pictures(seeds),
        maker.tokens([""]),
        options.picture,
        steps=options.steps,
    )
