"""``marionext image``: pictures from words, steered by a pose, edges, depth or a mask."""

import argparse
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from marionext import presets
from marionext.cli import console
from marionext.cli.jobs import run_jobs
from marionext.cli.options import (
    add_engine_options,
    add_plan_option,
    add_view_options,
    engine_settings,
    motion_source,
    parse_size,
    show_plan,
)
from marionext.codec import decode
from marionext.errors import SettingsError
from marionext.files import is_folder, write_json
from marionext.job_files import is_weight_file
from marionext.jobs import (
    LoraFile,
    MotionSource,
    PictureControl,
    PictureDraft,
    PictureJob,
    encode_job,
)
from marionext.paths import user_path
from marionext.settings import DEFAULT_PICTURE_MODEL

__all__ = ["add_commands", "parse_control", "parse_draft", "parse_lora"]

_KINDS = ("pose", "canny", "depth", "mask", "lowres", "other")
_NUMBERS = ("strength", "low", "high")
_WHOLE = ("low", "high")
_WORDS = ("changes", "estimator", "fit", "palette", "ready", "weights")
_KEYS = (*_NUMBERS, *_WORDS, "steps")

_DESCRIPTION = """\
Make pictures of what PROMPT says. Each --control steers them:

  pose=MOTION@FRAME    the pose of a rig, a video or a pose track in a frame
  pose=PICTURE         the pose of somebody in a picture, or a drawn pose map
  canny=PICTURE        edges (low=100,high=200 are the thresholds)
  depth=PICTURE        a depth map, or a picture with estimator=FOLDER; depth=RIG.glb@FRAME
  mask=PICTURE         a mask, somebody in a picture, or what is opaque; mask=RIG.glb@FRAME
  lowres=PICTURE       the same picture in fewer pixels

Details follow a comma: pose=dance.bvh@12,strength=0.8,steps=0:0.6,weights=FILE,fit=whole.
"""


def add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add this room's command."""
    image = commands.add_parser(
        "image",
        help="make a character's picture from words, in the right pose",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    image.add_argument("--prompt", required=True, help="what is to be seen")
    image.add_argument("--negative", default="", help="what is not")
    image.add_argument("-o", "--out", required=True, help="folder for the pictures")
    image.add_argument(
        "--control", dest="controls", action="append", default=[], metavar="KIND=SOURCE",
        help="what steers the pictures, see above; repeatable",
    )  # fmt: skip
    image.add_argument(
        "--base", action="append", metavar="sd15|sdxl|sd3|FOLDER|FILE",
        help="model that makes the pictures: a name, a folder of diffusers' layout, or a "
        f"checkpoint in one .safetensors file (default: {DEFAULT_PICTURE_MODEL})",
    )  # fmt: skip
    image.add_argument("--config", help="folder with tokenizers and configurations, for a file")
    image.add_argument("--vae", help="folder or file of another autoencoder")
    image.add_argument(
        "--lora", dest="loras", action="append", default=[], metavar="FILE[:WEIGHT]",
        help="low-rank changes of the base; repeatable",
    )  # fmt: skip
    image.add_argument(
        "--init", metavar="PICTURE[:CHANGE]",
        help="begin with a draft, of which so much may change (0.6); doll=CHARACTER[:CHANGE] "
        "begins with the character as a paper doll, in the pose of the first pose control",
    )  # fmt: skip
    image.add_argument("--size", type=parse_size, help="WIDTHxHEIGHT (default: the base's own)")
    image.add_argument("--steps", type=int, help="denoising steps (25)")
    image.add_argument("--guidance", type=float, help="how much the words count (7)")
    image.add_argument("--strength", type=float, help="of all controls that name none")
    image.add_argument(
        "--control-steps", metavar="FROM:TO", help="part of the steps that all controls steer (0:1)"
    )
    image.add_argument("--scheduler", help="name of one of diffusers' schedulers, as euler, unipc")
    image.add_argument("--seed", type=int, help="of the first picture (0); each one has the next")
    image.add_argument("--count", type=int, help="pictures (1); with a contact sheet")
    image.add_argument("--batch", type=int, help="pictures that are denoised at once (1)")
    add_plan_option(image)
    image.add_argument("--save-job", metavar="FILE", help="write the job to a file instead")
    image.add_argument("--overwrite", action="store_true", help="replace another job's pictures")
    image.add_argument("--json", action="store_true", help="events as JSON lines on stdout")
    add_view_options(image.add_argument_group("how motions are seen"))
    add_engine_options(image)
    image.set_defaults(run=_image)


def _image(options: argparse.Namespace) -> int:
    job = _job(options)
    if options.save_job is not None:
        write_json(user_path(options.save_job), encode_job(job))
        console.show_result(options.save_job)
        return 0
    if options.plan:
        return show_plan(job, options)
    return run_jobs([job], engine_settings(options), as_json=options.json, unit="picture")


def _job(options: argparse.Namespace) -> PictureJob:
    bases = options.base or [DEFAULT_PICTURE_MODEL]
    if len(bases) > 1:
        raise SettingsError(
            f"--base: expected one, got {len(bases)}: {', '.join(bases)}",
            hint="What changes a base is a --lora; another autoencoder is --vae.",
        )
    span = {} if options.control_steps is None else _steps(options.control_steps)
    usual: dict[str, Any] = {**span}
    if options.strength is not None:
        usual["strength"] = options.strength
    controls = tuple(
        parse_control(text, motion_source(options, "."), usual) for text in options.controls
    )
    names = ("steps", "guidance", "scheduler", "seed", "count", "batch")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    width, height = options.size or (None, None)
    return PictureJob(
        prompt=options.prompt,
        negative=options.negative,
        output=str(user_path(options.out)),
        base=_model(bases[0]),
        config=None if options.config is None else str(user_path(options.config)),
        vae=None if options.vae is None else str(user_path(options.vae)),
        controls=controls,
        loras=tuple(parse_lora(text) for text in options.loras),
        draft=None if options.init is None else parse_draft(options.init),
        width=width,
        height=height,
        **given,
    )


def _model(name: str) -> str:
    """Return a model's name as it is, and the path of a file or folder in full."""
    if name in presets.names("models"):
        return name
    path = user_path(name)
    return str(path) if is_weight_file(name) or is_folder(path) else name


def parse_control(
    text: str, view: MotionSource, usual: Mapping[str, Any] | None = None
) -> PictureControl:
    """Read ``pose=dance.bvh@12,strength=0.8,steps=0:0.6``.

    Args:
        text: from the command line.
        view: how a motion is seen; its path is not used.
        usual: fields that hold where the text says nothing.

    Raises:
        SettingsError: it is no control; says what was expected.
    """
    kind, equals, rest = text.partition("=")
    if not equals or kind not in _KINDS or not rest:
        raise SettingsError(
            f"--control: expected KIND=SOURCE with a kind among {', '.join(_KINDS)}, got {text!r}",
            hint="For example --control pose=dance.bvh@12, or --control canny=sketch.png.",
        )
    place, details = _details(rest)
    path, frame = _frame(place)
    source = replace(view, path=str(user_path(path)))
    if (palette := details.pop("palette", None)) is not None:
        source = decode(MotionSource, {"palette": palette}, base=source, path="--control")
    given: dict[str, Any] = {**(usual or {})}
    for key, value in details.items():
        if key == "steps":
            given |= _steps(value)
        elif key in _NUMBERS:
            given[key] = _number(key, value)
        elif key == "changes":
            if value not in {"yes", "no"}:
                raise SettingsError(f"--control: changes: expected yes or no, got {value!r}")
            given[key] = value == "yes"
        elif key == "weights":
            given[key] = _model(value)
        else:
            given[key] = str(user_path(value)) if key == "estimator" else value
    bare = PictureControl(kind="pose", source=source, frame=frame)
    return decode(PictureControl, {**given, "kind": kind}, base=bare, path="--control")


def _details(text: str) -> tuple[str, dict[str, str]]:
    """Split off what follows commas, as far as it is ``key=value`` with a key that is known."""
    parts = text.split(",")
    details: dict[str, str] = {}
    while len(parts) > 1:
        key, equals, value = parts[-1].partition("=")
        if not equals:
            break
        if key.strip() not in _KEYS:
            raise SettingsError(
                f"--control: unknown detail {key.strip()!r} in {text!r}",
                hint=f"There are: {', '.join(sorted(_KEYS))}.",
            )
        details[key.strip()] = value.strip()
        parts.pop()
    return ",".join(parts), details


def _frame(text: str) -> tuple[str, int | None]:
    path, at, number = text.rpartition("@")
    if at and number.removeprefix("-").isdecimal():
        return path, int(number)
    return text, None


def _number(key: str, text: str) -> float:
    try:
        return int(text) if key in _WHOLE else float(text)
    except ValueError:
        raise SettingsError(f"--control: {key}: expected a number, got {text!r}") from None


def _steps(text: str) -> dict[str, float]:
    found = re.fullmatch(r"([0-9.]*):([0-9.]*)", text.strip())
    try:
        if found is not None:
            return {"start": float(found[1] or 0), "stop": float(found[2] or 1)}
    except ValueError:
        pass  # dots alone
    raise SettingsError(f"expected a part of the steps such as 0:0.6, got {text!r}")


def parse_lora(text: str) -> LoraFile:
    """Read ``style.safetensors:0.8``."""
    path, weight = _weighted(text)
    return LoraFile(path=str(user_path(path)), weight=1.0 if weight is None else weight)


def parse_draft(text: str) -> PictureDraft:
    """Read ``draft.png:0.5``, or ``doll=hero.png:0.4``."""
    doll = text.startswith("doll=")
    path, change = _weighted(text.removeprefix("doll="))
    given = {} if change is None else {"change": change}
    return PictureDraft(path=str(user_path(path)), kind="doll" if doll else "picture", **given)


def _weighted(text: str) -> tuple[str, float | None]:
    """Split a number off that follows a colon; a drive's letter has one, too."""
    path, colon, number = text.rpartition(":")
    if colon and path:
        try:
            return path, float(number)
        except ValueError:
            pass
    return text, None
