"""``marionext train``: a video model from videos of one's own, or a LoRA from pictures."""

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from marionext import presets
from marionext.cli import console
from marionext.cli.interrupts import Interrupts
from marionext.cli.options import parse_size
from marionext.codec import decode, encode
from marionext.errors import EngineError, ModelError, SettingsError
from marionext.paths import user_path
from marionext.protocol import Failed, write_line

if TYPE_CHECKING:
    from marionext.training.reports import Report, TrainingReporter

__all__ = ["add_commands"]

DEFAULT_BUNDLE = "puppet"

_Flag = tuple[str, str, type | tuple[str, ...], str]
"""Flag, field of the settings, type or choices, help."""

_SHARED: tuple[_Flag, ...] = (
    (
        "--precision",
        "precision",
        ("float32", "bfloat16", "float16"),
        "bfloat16: mixed precision; float16: of pictures, on CUDA",
    ),
    ("--rank", "rank", int, "rank of the adapters (pictures: 16; --main lora: 8)"),
    ("--batch", "batch", int, "windows or pictures at a time on each device"),
    ("--accumulate", "accumulate", int, "batches whose gradients make one step"),
    ("--rate", "rate", float, "learning rate of the control network, or of the LoRA"),
    ("--warm-up", "warm_up", int, "steps over which the rates rise"),
    ("--average", "average", float, "moving average of the weights; 0: none"),
    ("--seed", "seed", int, "seed of everything random"),
    ("--unconditional", "unconditional", float, "share that is shown without any condition"),
)
_VIDEOS: tuple[_Flag, ...] = (
    (
        "--control",
        "control",
        ("bundle", "fresh"),
        "continue the bundle's network, or start from scratch",
    ),
    ("--injection", "injection", ("cross", "zero"), "cross normalisation, or a zero convolution"),
    (
        "--main",
        "main",
        ("none", "evenly", "patterns", "everything", "lora"),
        "which part of the UNet is trained, too (evenly)",
    ),
    ("--window", "window", int, "frames denoised together, the reference's slot included"),
    ("--stride", "stride", int, "use every N-th frame of a video"),
    ("--layers", "layers", int, "for --main evenly: how many layers"),
    ("--main-rate", "main_rate", float, "learning rate of the UNet"),
    ("--sigma-mean", "sigma_mean", float, "mean of ln sigma, the noise levels trained at"),
    ("--sigma-deviation", "sigma_deviation", float, "deviation of ln sigma"),
    ("--body-weight", "body_weight", float, "weight of the loss around the body"),
    ("--hand-weight", "hand_weight", float, "weight of the loss at the hands"),
    ("--face-weight", "face_weight", float, "weight of the loss at the face"),
)
_PICTURES: tuple[_Flag, ...] = (
    (
        "--targets",
        "targets",
        ("attention", "transformers", "layers"),
        "which layers are adapted (attention)",
    ),
    ("--alpha", "alpha", float, "the adapters count alpha / rank times (once)"),
    ("--caption", "caption", str, "of pictures that have none of their own"),
    ("--trigger", "trigger", str, "words in front of every caption, to call the LoRA by"),
    ("--flip", "flip", bool, "show half of the pictures mirrored"),
    ("--no-buckets", "buckets", bool, "cut all pictures to one size, whatever their shape"),
    ("--text-encoder", "text_encoder", bool, "adapt CLIP's text encoders, too"),
    ("--text-rate", "text_rate", float, "learning rate of the text encoders"),
    ("--level-power", "level_power", float, "below 1: high noise levels more often (1)"),
    ("--snr-gamma", "snr_gamma", float, "most that a noise level counts by its signal; 5 is usual"),
    ("--noise-offset", "noise_offset", float, "of a noise all over a picture"),
)
_RUN_NUMBERS = (
    ("--steps", 1000, "steps in all, those of earlier runs included (1000)"),
    ("--eval-every", 100, "steps between measurements, each with a checkpoint (100)"),
    ("--preview-every", 500, "steps between previews; 0: none (500)"),
    ("--anneal", 0, "number of last steps over which the rates fall (0)"),
    ("--validation", 4, "windows or pictures to validate on (4)"),
)
_CLIPS = 200


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's command."""
    parser = commands.add_parser(
        "train",
        help="train a model of videos on videos, or a LoRA on pictures",
        description="With --bundle, train a control network and part of the UNet on a folder of "
        "videos (poses are detected if there are none beside them) or on drawn figures: OUT/bundle "
        "is the result, render with --model OUT/bundle. With --base, train a LoRA for a picture "
        "model on a folder of pictures, each with a caption beside it (hero.png, hero.txt): "
        "OUT/lora is the result, for image --lora. See docs/training.md.",
    )
    model = parser.add_mutually_exclusive_group()
    model.add_argument("--bundle", help="model of videos to begin with (puppet)")
    model.add_argument(
        "--base", action="append", metavar="sd15|sdxl|sd3|FOLDER|FILE",
        help="model of pictures to make a LoRA for",
    )  # fmt: skip
    parser.add_argument(
        "--data", required=True, help="folder of videos or pictures, or 'figures': drawn videos"
    )
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
    what.add_argument("--size", type=parse_size, help="WIDTHxHEIGHT (default: the model's own)")
    what.add_argument(
        "--pattern",
        action="append",
        dest="patterns",
        metavar="REGEX",
        help="regular expression searched in names, of parameters for --main patterns, of layers "
        "for LoRAs; repeatable",
    )
    _add_flags(what, _SHARED)
    videos = parser.add_argument_group("videos (--bundle)")
    videos.add_argument(
        "--clips", type=int, metavar="N", help=f"clips to draw for --data figures ({_CLIPS})"
    )
    _add_flags(videos, _VIDEOS)
    pictures = parser.add_argument_group("pictures (--base)")
    pictures.add_argument("--config", help="folder with tokenizers and configurations, for a file")
    pictures.add_argument(
        "--sample", action="append", dest="samples", metavar="PROMPT",
        help="what previews show (captions of held-out pictures); repeatable",
    )  # fmt: skip
    _add_flags(pictures, _PICTURES)
    parser.set_defaults(run=_train)


def _add_flags(group: "argparse._ArgumentGroup", flags: tuple[_Flag, ...]) -> None:
    for flag, name, kind, text in flags:
        if kind is bool:
            wanted = not flag.startswith("--no-")
            group.add_argument(
                flag, dest=name, action="store_const", const=wanted, default=None, help=text
            )
        elif isinstance(kind, tuple):
            group.add_argument(flag, dest=name, choices=kind, help=text)
        else:
            metavar = "WORDS" if kind is str else "N"
            group.add_argument(flag, dest=name, type=kind, metavar=metavar, help=text)


def _given(options: argparse.Namespace, flags: tuple[_Flag, ...]) -> dict[str, Any]:
    """Return the settings that were chosen."""
    names = ("patterns", *(name for _, name, *_ in flags))
    return {name: getattr(options, name) for name in names if getattr(options, name) is not None}


def _refuse(options: argparse.Namespace, flags: tuple[_Flag, ...], what: str, hint: str) -> None:
    """Refuse what is for training something else.

    Raises:
        SettingsError: it was given.
    """
    for flag, name, *_ in flags:
        if getattr(options, name) is not None:
            raise SettingsError(f"{flag} is for training on {what}", hint=hint)


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
    from marionext.training.reports import TrainingReporter  # noqa: PLC0415

    stopped: list[bool] = []
    report = TrainingReporter(_printer(as_json=options.json), lambda: bool(stopped))
    course = {
        "folder": user_path(options.out),
        "steps": options.steps,
        "resume": options.resume,
        "device": options.device,
        "evaluate_every": options.eval_every,
        "preview_every": options.preview_every,
        "anneal": options.anneal,
        "validation": options.validation,
        "gradient_checkpointing": options.gradient_checkpointing,
    }
    train = _train_videos if options.base is None else _train_pictures
    with Interrupts(lambda: stopped.append(True)):
        train(options, course, report)


def _train_videos(
    options: argparse.Namespace, course: dict[str, Any], report: "TrainingReporter"
) -> None:
    from marionext import bundles  # noqa: PLC0415
    from marionext.training.finetune.dataset import FIGURES  # noqa: PLC0415
    from marionext.training.finetune.defaults import finetune_settings  # noqa: PLC0415
    from marionext.training.finetune.trainer import TrainingRun, train  # noqa: PLC0415

    of_pictures = (*_PICTURES, ("--config", "config", str, ""), ("--sample", "samples", str, ""))
    _refuse(options, of_pictures, "pictures", "Leave it out, or name a picture model with --base.")
    given = _given(options, (*_SHARED, *_VIDEOS))
    if options.size is not None:
        given["width"], given["height"] = options.size
    if "patterns" in given and "main" not in given:
        given["main"] = "patterns"
    name = options.bundle or DEFAULT_BUNDLE
    if name in presets.names("models") and bundles.read_card(name).kind == "picture":
        raise ModelError(
            f"--bundle: expected a model that renders motions, {name!r} makes pictures",
            hint=f"Train a LoRA for it with --base {name}.",
        )
    bundle = bundles.require(name)
    run = TrainingRun(
        data=options.data if options.data == FIGURES else str(user_path(options.data)),
        figures=_CLIPS if options.clips is None else options.clips,
        **course,
    )
    train(bundle, finetune_settings(bundle, given), run, report)


def _train_pictures(
    options: argparse.Namespace, course: dict[str, Any], report: "TrainingReporter"
) -> None:
    from marionext.backends.pictures.bases import find_base  # noqa: PLC0415
    from marionext.training.lora.settings import LoraSettings  # noqa: PLC0415
    from marionext.training.lora.trainer import LoraRun, train_lora  # noqa: PLC0415

    bases: list[str] = options.base
    if len(bases) > 1:
        raise SettingsError(
            f"--base: expected one, got {len(bases)}: {', '.join(bases)}",
            hint="Train once for each.",
        )
    _refuse(
        options,
        (*_VIDEOS, ("--clips", "clips", int, "")),
        "videos",
        "Leave it out, or name a model of videos with --bundle.",
    )
    given = _given(options, (*_SHARED, *_PICTURES))
    if options.size is not None:
        given["size"] = options.size
    settings = decode(LoraSettings, given, base=LoraSettings())
    run = LoraRun(data=user_path(options.data), samples=tuple(options.samples or ()), **course)
    train_lora(find_base(bases[0], config=options.config), settings, run, report)


def _printer(*, as_json: bool) -> "Any":
    """Return what shows a training's reports."""
    from marionext.training.reports import Measured, Trained  # noqa: PLC0415

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
