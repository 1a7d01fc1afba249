"""``marionext train``: a control network, and part of the UNet, from videos of one's own."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from marionext.cli import console
from marionext.cli.interrupts import Interrupts
from marionext.cli.options import parse_size
from marionext.codec import encode
from marionext.errors import EngineError, SettingsError
from marionext.paths import user_path
from marionext.protocol import Failed, write_line

if TYPE_CHECKING:
    from marionext.training.finetune.reports import Report

__all__ = ["add_commands"]

_CHOICES: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    (
        "--control",
        "control",
        ("bundle", "fresh"),
        "continue the bundle's network, or start from scratch",
    ),
    ("--injection", "injection", ("cross", "zero"), "cross normalisation, or a zero convolution"),
    ("--precision", "precision", ("float32", "bfloat16"), "bfloat16: mixed precision"),
)
_NUMBERS: tuple[tuple[str, str, type, str], ...] = (
    ("--window", "window", int, "frames denoised together, the reference's slot included"),
    ("--stride", "stride", int, "use every N-th frame of a video"),
    ("--layers", "layers", int, "for --main evenly: how many layers"),
    ("--rank", "rank", int, "for --main lora: rank of the adapters"),
    ("--batch", "batch", int, "windows at a time on each device"),
    ("--accumulate", "accumulate", int, "batches whose gradients make one step"),
    ("--rate", "rate", float, "learning rate of the control network"),
    ("--main-rate", "main_rate", float, "learning rate of the UNet"),
    ("--warm-up", "warm_up", int, "steps over which the rates rise"),
    ("--average", "average", float, "moving average of the weights; 0: none"),
    ("--seed", "seed", int, "seed of everything random"),
    ("--sigma-mean", "sigma_mean", float, "mean of ln sigma, the noise levels trained at"),
    ("--sigma-deviation", "sigma_deviation", float, "deviation of ln sigma"),
    ("--unconditional", "unconditional", float, "share of windows without any condition"),
    ("--body-weight", "body_weight", float, "weight of the loss around the body"),
    ("--hand-weight", "hand_weight", float, "weight of the loss at the hands"),
    ("--face-weight", "face_weight", float, "weight of the loss at the face"),
)
_RUN_NUMBERS = (
    ("--steps", 1000, "steps in all, those of earlier runs included (1000)"),
    ("--eval-every", 100, "steps between measurements, each with a checkpoint (100)"),
    ("--preview-every", 500, "steps between preview videos; 0: none (500)"),
    ("--anneal", 0, "number of last steps over which the rates fall (0)"),
    ("--validation", 4, "windows to validate on (4)"),
    ("--clips", 200, "clips to draw for --data figures (200)"),
)


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's command."""
    parser = commands.add_parser(
        "train",
        help="train a control network and part of the UNet on videos",
        description="Train on a folder of videos (poses are detected if there are "
        "none beside them) or on drawn figures. OUT/bundle is the result: render with --model "
        "OUT/bundle. See docs/training.md.",
    )
    parser.add_argument("--bundle", default="puppet", help="model to begin with (puppet)")
    parser.add_argument("--data", required=True, help="folder of videos, or 'figures'")
    parser.add_argument("--out", required=True, help="folder of the training")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in OUT")
    for flag, default, text in _RUN_NUMBERS:
        parser.add_argument(flag, type=int, default=default, metavar="N", help=text)
    parser.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    parser.add_argument(
        "--gradient-checkpointing", action="store_true", help="less memory, more time"
    )
    parser.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    what = parser.add_argument_group("what is trained, and how")
    what.add_argument("--size", type=parse_size, help="WIDTHxHEIGHT (default: the bundle's)")
    what.add_argument(
        "--main",
        choices=("none", "evenly", "patterns", "everything", "lora"),
        help="which part of the UNet is trained, too (evenly)",
    )
    what.add_argument(
        "--pattern",
        action="append",
        dest="patterns",
        metavar="REGEX",
        help="for --main patterns and lora: regular expression searched in names; repeatable",
    )
    for flag, name, choices, text in _CHOICES:
        what.add_argument(flag, dest=name, choices=choices, help=text)
    for flag, name, kind, text in _NUMBERS:
        what.add_argument(flag, dest=name, type=kind, metavar="N", help=text)
    parser.set_defaults(run=_train)


def _given(options: argparse.Namespace) -> dict[str, Any]:
    names = ("main", "patterns", *(name for _, name, *_ in (*_CHOICES, *_NUMBERS)))
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if options.size is not None:
        given["width"], given["height"] = options.size
    if "patterns" in given and "main" not in given:
        given["main"] = "patterns"
    return given


def _train(options: argparse.Namespace) -> int:
    if not options.json:
        _run(options)
        return 0
    try:
        _run(options)
    except EngineError as error:
        sys.stdout.write(write_line(Failed.of("", error)))
        sys.stdout.flush()
        return error.exit_status
    return 0


def _run(options: argparse.Namespace) -> None:
    try:
        from marionext.training.finetune.trainer import TrainingRun, train  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"training needs the package {error.name}", hint="pip install 'marionext[train]'"
        ) from None
    from marionext import bundles  # noqa: PLC0415
    from marionext.training.finetune.dataset import FIGURES  # noqa: PLC0415
    from marionext.training.finetune.defaults import finetune_settings  # noqa: PLC0415
    from marionext.training.finetune.reports import TrainingReporter  # noqa: PLC0415

    data = options.data
    stopped: list[bool] = []
    report = TrainingReporter(_printer(as_json=options.json), lambda: bool(stopped))
    bundle = bundles.require(options.bundle)
    run = TrainingRun(
        data=data if data == FIGURES else str(user_path(data)),
        folder=user_path(options.out),
        steps=options.steps,
        resume=options.resume,
        device=options.device,
        evaluate_every=options.eval_every,
        preview_every=options.preview_every,
        anneal=options.anneal,
        validation=options.validation,
        figures=options.clips,
        gradient_checkpointing=options.gradient_checkpointing,
    )
    with Interrupts(lambda: stopped.append(True)):
        train(bundle, finetune_settings(bundle, _given(options)), run, report)


def _printer(*, as_json: bool) -> "Any":
    """Return what shows a training's reports."""
    from marionext.training.finetune.reports import Measured, Trained  # noqa: PLC0415

    printer = console.EventPrinter(as_json=as_json)

    def show(event: "Report") -> None:
        match event:
            case Measured() | Trained() if as_json:
                kind = type(event).__name__.lower()
                console.show_result(json.dumps({"type": kind, **encode(event)}))
            case Measured():
                values = "  ".join(f"{name} {value:.4g}" for name, value in event.values.items())
                console.say(f"step {event.step}: {values}")
            case Trained():
                console.say(f"{event.steps} steps in {event.seconds:.1f} s")
                console.show_result(event.directory)
            case _:
                printer.show(event)

    return show
