"""Train and export the refiner of the doll.

How weights for ``presets/doll`` are made, start to end::

    python -m marionext.training doll --out work --steps 12000 --anneal 4000
    python -m marionext.training doll-export --out work --weights presets/doll/refiner.safetensors

(``--device cuda --processes 16 --batch 48 --piece 128x192 --frames 16 --stock 150 --kept 100000
--renewed 0.2`` on a GPU with sixteen cores beside it: drawing is what takes longest.) Training can
be stopped at any moment, even killed, and continues with ``--resume``. The folder holds the
checkpoint (``refiner.pt``), a curve (``refiner.csv``: PSNR of held-out clips, of warp and result)
and pictures of results (``refiner.png``).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from marionext.training.command_line import run_command
from marionext.training.doll.training import (
    RefinerSettings,
    Schedule,
    export_refiner,
    train_refiner,
)

__all__ = ["COMMANDS", "main"]

COMMANDS = ("doll", "doll-export")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m marionext.training", description="Train the refiner of the doll."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    usual = RefinerSettings()
    train = commands.add_parser("doll", help="train the network that mends the doll's warp")
    train.add_argument("--steps", type=int, default=12000)
    train.add_argument("--anneal", type=int, default=4000, help="last steps with a falling rate")
    train.add_argument(
        "--critic", type=int, default=0, metavar="STEPS", help="steps that follow beside a critic"
    )
    train.add_argument("--batch", type=int, default=usual.batch, help="frames in a step")
    train.add_argument("--piece", default="96x144", help="width and height of what is learnt from")
    train.add_argument("--frames", type=int, default=usual.frames, help="frames of a clip")
    train.add_argument("--stock", type=int, default=usual.stock, help="clips at the first step")
    train.add_argument("--kept", type=int, default=usual.kept, help="clips at hand at most")
    train.add_argument(
        "--renewed", type=float, default=usual.renewed, help="clips drawn anew in a step"
    )
    train.add_argument("--device", default="cpu")
    train.add_argument("--processes", type=int, default=1, help="processes that draw clips")
    train.add_argument("--rate", type=float, default=usual.rate)
    train.add_argument("--seed", type=int, default=usual.seed)
    train.add_argument(
        "--float32", action="store_true", help="no mixed precision: for processors without AVX-512"
    )
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    train.add_argument("--evaluate-every", type=int, default=200, metavar="STEPS")
    export = commands.add_parser("doll-export", help="write the weights that renders use")
    export.add_argument("--weights", type=Path, required=True)
    export.add_argument(
        "--before-critic", action="store_true", help="as they were when the critic joined"
    )
    for command in (train, export):
        command.add_argument("--out", type=Path, required=True, help="folder of the training")
    return parser


def _size(words: str) -> tuple[int, int]:
    width, height = (int(side) for side in words.split("x"))
    return width, height


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    return run_command(_parser(), _run, arguments)


def _run(options: argparse.Namespace) -> None:
    if options.command == "doll-export":
        export_refiner(options.out, options.weights, before_critic=options.before_critic)
    else:
        train_refiner(
            RefinerSettings(
                batch=options.batch,
                piece=_size(options.piece),
                frames=options.frames,
                stock=options.stock,
                kept=options.kept,
                renewed=options.renewed,
                rate=options.rate,
                seed=options.seed,
                bfloat16=not options.float32,
            ),
            options.out,
            Schedule(
                options.steps,
                options.anneal,
                options.critic,
                options.evaluate_every,
                options.device,
                options.processes,
            ),
            resume=options.resume,
        )
