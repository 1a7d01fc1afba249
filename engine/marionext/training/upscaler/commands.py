"""Train and export the upscaler.

How it is made, start to end::

    python -m marionext.training upscaler --out work --steps 3000 --anneal 700
    python -m marionext.training upscaler-export --out work --bundle FOLDER

Training can be stopped at any moment, even killed, and continues with ``--resume``. The folder
holds the checkpoint (``upscaler.pt``) and a curve (``upscaler.csv``).
(``--device cuda --processes 16 --batch 64`` on a GPU with sixteen cores beside it.)
"""

import argparse
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from marionext.training.checkpoints import read_curve
from marionext.training.command_line import add_usual, run_command
from marionext.training.loop import Schedule
from marionext.training.upscaler.export import export_pipeline
from marionext.training.upscaler.training import (
    CURVE,
    UpscalerSettings,
    load_networks,
    train_upscaler,
)

__all__ = ["COMMANDS", "main"]

COMMANDS = ("upscaler", "upscaler-export")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m marionext.training", description="Train the network that enlarges pictures."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    usual = UpscalerSettings()
    train = commands.add_parser("upscaler", help="train transformer and control network")
    train.add_argument("--steps", type=int, default=3000)
    train.add_argument("--anneal", type=int, default=700, help="last steps with a falling rate")
    train.add_argument("--batch", type=int, default=usual.batch, help="pieces in a step")
    add_usual(train, rate=usual.rate, seed=usual.seed)
    export = commands.add_parser("upscaler-export", help="write a folder that diffusers opens")
    export.add_argument("--bundle", type=Path, required=True)
    export.add_argument("--note", action="append", default=[], help="for the training record")
    for command in (train, export):
        command.add_argument("--out", type=Path, required=True, help="folder of the training")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    return run_command(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    {"upscaler": _train, "upscaler-export": _export}[options.command](options)


def _train(options: argparse.Namespace) -> None:
    settings = UpscalerSettings(
        batch=options.batch,
        rate=options.rate,
        seed=options.seed,
        bfloat16=not options.float32,
    )
    schedule = Schedule(
        options.steps, options.anneal, options.evaluate_every, options.device, options.processes
    )
    train_upscaler(settings, options.out, schedule, resume=options.resume)


def _export(options: argparse.Namespace) -> None:
    networks, state = load_networks(options.out)
    record = {
        "what": "Trained on figures and dead leaves this project draws; no other data.",
        "notes": list(options.note),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "steps": int(state["step"]),
        "seconds": float(state["seconds"]),
        "curve": read_curve(options.out / CURVE),
        "parameters": {
            name: sum(value.numel() for value in part.parameters())
            for name, part in networks.named_children()
        },
    }
    export_pipeline(options.bundle, networks, record)
