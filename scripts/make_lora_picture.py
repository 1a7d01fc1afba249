"""Train a LoRA for the small picture model, and draw the picture of docs/images.md that shows it.

The other style is ink and wash: the project's figures on cream paper, thinly coloured, with
contours in ink. Pictures of figures in it, with the captions that the model was trained on, are
all that the LoRA learns from, without a control. Then words, a pose and the LoRA work together:

python scripts/make_lora_picture.py --base FOLDER --work DIR [--out docs/images/lora.png]

DIR gets the pictures (``pictures``) and the training (``ink``), whose ``lora`` is the result; what
is there already is not made again.
"""

import argparse
import re
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from marionext.backends.pictures.bases import find_base
from marionext.backends.pictures.control_files import find_control
from marionext.backends.pictures.making import Control, PictureMaker, Wish, open_maker
from marionext.cli import main as marionext
from marionext.files import write_text
from marionext.jobs import CameraSettings, EngineSettings, LoraFile, MotionSource, PictureControl
from marionext.output import write_png
from marionext.presets import folder
from marionext.reporting import silent
from marionext.runs.control_pictures import ControlSource
from marionext.training.figures.clips import draw_empty, figure_of, make_clip
from marionext.training.lora.result import WEIGHTS
from marionext.training.picture.captions import caption

Pixels = NDArray[np.uint8]

SIZE = (256, 384)
FIRST = 2_000_000
"""Clip that is drawn first; each has two pictures of one figure."""
PAPER, INK = np.array([246, 238, 220]), np.array([38, 32, 48])
WEIGHTS_SHOWN = (0.0, 0.5, 1.0)
SHOWN = (
    (10, 3, "a dancer, blue open jacket, red trousers, white shoes, brown bobbed hair"),
    (85, 5, "a figure, green dress, black boots, orange long hair"),
    (40, 8, "a person, yellow hoodie, dark blue trousers, black short hair"),
    (145, 11, "a character, red striped shirt, black trousers, white shoes, afro"),
)
"""Frame of the bundled dance, seed and words of each picture."""
GAP = 6
PLACE = re.compile(r"background|room|outdoors|stage")
"""In phrases that say what is behind a figure."""


def inked(picture: Pixels, empty: Pixels, rng: np.random.Generator) -> Pixels:
    """Redraw a figure in ink and wash on paper.

    Args:
        picture: (height, width, 3), a drawn figure before its scene.
        empty: the scene without it.
        rng: of the paper's grain.
    """
    apart = np.abs(picture.astype(int) - empty).max(axis=2) > 10
    kernel = np.ones((3, 3), np.uint8)
    figure = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_OPEN, kernel)
    wet = cv2.GaussianBlur(figure.astype(np.float32), (0, 0), 2.0)[..., None]
    smooth = cv2.bilateralFilter(picture, 7, 40, 5)
    thin = PAPER * (0.3 + 0.7 * smooth / 255.0)
    grain = cv2.GaussianBlur(rng.normal(size=figure.shape).astype(np.float32), (0, 0), 3)
    sheet = PAPER + (grain * 12)[..., None]
    washed = sheet + wet * (thin + (grain * 30)[..., None] - sheet)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)
    parts = [np.ascontiguousarray(lab[..., number]) for number in range(3)]
    edges = np.max([cv2.Canny(part, 30, 80) for part in parts], axis=0)
    inside = cv2.dilate(figure, kernel)
    contour = cv2.morphologyEx(figure, cv2.MORPH_GRADIENT, kernel) * 255
    lines = np.maximum(np.where(inside > 0, edges, 0), contour).astype(np.uint8)
    strokes = cv2.GaussianBlur(cv2.dilate(lines, np.ones((2, 2), np.uint8)), (0, 0), 0.7)
    drawn = (strokes / 255.0)[..., None]
    return np.asarray(np.clip(washed + drawn * (INK - washed), 0, 255).round(), np.uint8)


def draw_pictures(target: Path, clips: int) -> None:
    """Draw what is learned from: pictures, and a caption beside each."""
    for number in range(clips):
        seed = FIRST + number
        paths = [target / f"{number:03}-{side}.png" for side in "ab"]
        if all(path.with_suffix(".txt").is_file() for path in paths):
            continue
        rng = np.random.default_rng(seed)
        clip, look = make_clip(seed, 1, SIZE, moving_viewpoint=0), figure_of(seed).look
        empty = draw_empty(seed, SIZE)
        for path, frame in zip(paths, clip.frames, strict=True):
            write_png(path, inked(frame, empty, rng))
            # The paper is what is behind them, whatever was.
            words = [each for each in caption(look, rng).split(", ") if not PLACE.search(each)]
            write_text(path.with_suffix(".txt"), ", ".join(words) + "\n")


def train(base: Path, pictures: Path, out: Path, steps: int) -> Path:
    """Train the LoRA, or go on; return its file."""
    arguments = [
        "train", "--base", str(base), "--data", str(pictures), "--out", str(out),
        "--targets", "layers", "--rank", "8", "--batch", "4", "--rate", "1.5e-3",
        "--level-power", "0.8", "--steps", str(steps), "--anneal", str(steps // 2),
        "--warm-up", "10", "--eval-every", str(max(1, steps // 4)),
        "--preview-every", "0", "--device", "cpu", "--resume",
    ]  # fmt: skip
    if status := marionext(arguments):
        sys.exit(status)
    return out / "lora" / WEIGHTS


def make(maker: PictureMaker, base: Path, lora: Path) -> list[list[Pixels]]:
    """Return a column for each of `SHOWN`: the pose, then pictures by the LoRA's weight."""
    columns = []
    for frame, seed, prompt in SHOWN:
        camera = CameraSettings(source="follow", yaw=20, margin=0.03)
        source = MotionSource(path=str(folder("motions") / "dance.bvh"), camera=camera)
        control = PictureControl(kind="pose", source=source, frame=frame)
        files = find_control(control, maker.family, base)
        pose = ControlSource(control, silent()).draw(SIZE, files.settings.palette)
        shown = [np.minimum(pose.astype(int) * 3, 255).astype(np.uint8)]
        for weight in WEIGHTS_SHOWN:
            wish = Wish(
                prompt=prompt, negative="", size=SIZE, steps=20, guidance=3.0, scheduler=None,
                controls=(
                    Control(files=files, picture=pose, strength=files.settings.strength, start=0,
                            stop=1),
                ),
                loras=(LoraFile(path=str(lora), weight=weight),) if weight else (),
            )  # fmt: skip
            made = maker.make(wish, [seed], on_step=nothing, on_decode=nothing)
            shown.append(next(made))
        columns.append(shown)
    return columns


def nothing(_done: int, _total: int) -> None:
    """Tell nothing of the steps."""


def laid_out(columns: list[list[Pixels]]) -> Pixels:
    """Lay columns side by side, each under its words, each row behind what it shows."""
    names = ["the pose", "without the LoRA", *(f"LoRA at {n:g}" for n in WEIGHTS_SHOWN[1:])]
    left, top = 96, 58
    width, height = SIZE[0] + GAP, SIZE[1] + GAP
    size = (left + len(columns) * width, top + len(names) * height)
    page = Image.new("RGB", size, (245, 245, 245))
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(12)
    for row, name in enumerate(names):
        place = (8, top + row * height + SIZE[1] // 2)
        pen.text(place, name.replace(" the ", "\nthe "), (40,) * 3, font)
    for number, (column, (_, _, prompt)) in enumerate(zip(columns, SHOWN, strict=True)):
        words = prompt.split(", ")
        lines = [", ".join(words[n : n + 2]) for n in range(0, len(words), 2)]
        pen.text((left + number * width, 6), "\n".join(lines), (40,) * 3, font)
        for row, picture in enumerate(column):
            page.paste(Image.fromarray(picture), (left + number * width, top + row * height))
    return np.asarray(page, np.uint8)


def main() -> int:
    """Draw, train and show."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", type=Path, required=True, help="folder of the picture model")
    parser.add_argument("--work", type=Path, required=True, help="folder to work in")
    parser.add_argument("--clips", type=int, default=30, help="figures that are drawn (30)")
    parser.add_argument("--steps", type=int, default=160, help="of the training (160)")
    parser.add_argument("--out", type=Path, default=Path("docs/images/lora.png"))
    options = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = options.work / "pictures"
    draw_pictures(pictures, options.clips)
    lora = train(options.base, pictures, options.work / "ink", options.steps)
    base = find_base(str(options.base))
    engine = EngineSettings(device="cpu")
    maker = open_maker(base.path, base.family, engine, options.work, print)
    write_png(options.out, laid_out(make(maker, options.base, lora)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
