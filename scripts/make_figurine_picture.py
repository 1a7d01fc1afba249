"""Draw the picture of docs/images.md that shows what the small picture model makes.

Above: pictures of `marionext image`, each from words and a pose of the bundled dance. Below: the
first of them as the character of a render, frames of it.

python scripts/make_figurine_picture.py [--out docs/images/figurine.png]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from marionext.cli import main as marionext
from marionext.frames import frame_name
from marionext.output import contact_sheet, write_png
from marionext.presets import folder

DANCE = folder("motions") / "dance.bvh"
SHOWN = (
    (10, "red dress, ponytail, green background"),
    (85, "blue open jacket, grey trousers, outdoors"),
    (40, "yellow hoodie, blue shorts, afro, dark skin"),
    (145, "striped shirt, red skirt, orange twin tails"),
    (60, "dark green coat, brown trousers, beanie"),
    (120, "pink top, purple trousers, bobbed hair"),
)
"""Frame of the dance and words of each picture."""
VIEW = ("--camera", "follow", "--yaw", "20", "--margin", "0.03")
RENDERED = (1, 40, 80, 120, 150, 180)


def main() -> int:
    """Make and show."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--base", default="figurine", help="picture model (figurine)")
    parser.add_argument("--seed", type=int, default=1, help="of every picture (1)")
    parser.add_argument("--out", type=Path, default=Path("docs/images/figurine.png"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        pictures = [_made(Path(work) / str(n), options, *each) for n, each in enumerate(SHOWN)]
        frames = _rendered(Path(work) / "render", pictures[0])
        labels = [words for _, words in SHOWN]
        labels += [f"frame {number} of a render" for number in RENDERED]
        shown = [np.asarray(Image.open(path).convert("RGB")) for path in (*pictures, *frames)]
        write_png(options.out, contact_sheet(shown, labels))
    return 0


def _made(out: Path, options: argparse.Namespace, frame: int, words: str) -> Path:
    """Make a picture."""
    _run(
        "image", "--base", options.base, "--prompt", f"a dancer, {words}", "--seed",
        str(options.seed), "--control", f"pose={DANCE}@{frame}", *VIEW, "--size", "256x384",
        "--out", str(out),
    )  # fmt: skip
    return next((out / "pictures").glob("*.png"))


def _rendered(out: Path, character: Path) -> list[Path]:
    """Render frames of the dance with a character."""
    frames = ",".join(map(str, RENDERED))
    _run(
        "render", "--motion", str(DANCE), "--character", str(character), *VIEW,
        "--size", "256x384", "--frames", frames, "--out", str(out),
    )  # fmt: skip
    return [out / "frames" / frame_name(number) for number in RENDERED]


def _run(*arguments: str) -> None:
    if status := marionext(arguments):
        sys.exit(status)


if __name__ == "__main__":
    sys.exit(main())
