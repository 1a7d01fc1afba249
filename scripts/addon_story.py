"""Tell the add-on's whole story in a real Blender window, and keep pictures of it.

    python scripts/addon_story.py [--blender blender] [--out DIR] [--pictures docs/images]

A virtual screen (Xvfb) is opened, the add-on is built and installed into a Blender with empty user
folders, and what an animator does is done there by clicks and operators: choose a rig, mend a bone,
render, watch, cancel, lose the engine, retry, look at the result, change the language, take the
add-on away. `addon_story_inside.py` is what happens in Blender; it fails at the first thing that is
not as it should be. Needs Xvfb, xdotool and ImageMagick, and an installed engine: this Python's.
"""

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from marionext.files import write_json

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
SCREEN = (1600, 2000)
"""Width and height; the window is lower, but for the pictures of all panels."""
HEIGHT = 1000
TOOLS = ("Xvfb", "xdotool", "import", "convert")


class StoryError(Exception):
    """The story did not go as it should."""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--blender", default="blender", help="program (default: on the PATH)")
    parser.add_argument("--out", type=Path, help="working folder, kept (default: a temporary one)")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures of the docs")
    parser.add_argument(
        "--last-frame", type=int, default=148, help="of the shot, which starts at 101"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="marionext-story-") as temporary:
        folder = (options.out or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            told = tell(options.blender, folder, last_frame=options.last_frame)
        except StoryError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        for name, value in told["figures"].items():
            print(f"{name}: {value}")
        if options.pictures:
            keep_pictures(folder / "pictures", options.pictures)
    return 0


def missing_tools(blender: str = "blender") -> list[str]:
    """Return the programs that are needed and not there."""
    return [tool for tool in (*TOOLS, blender) if shutil.which(tool) is None]


def tell(
    blender: str,
    folder: Path,
    *,
    last_frame: int = 148,
    seconds: int = 1800,
    width: int = SCREEN[0],
) -> dict[str, Any]:
    """Tell the story and return what was measured.

    Args:
        blender: the program.
        folder: for everything: user folders, renders, pictures.
        last_frame: of the shot; the shot starts at 101.
        seconds: that the story may last.
        width: of the window; a narrow one is drawn sooner, and rendered for in a small size. A wide
            one makes pictures to show.

    Raises:
        StoryError: something is missing, or was not as it should be.
    """
    missing = missing_tools(blender)
    if missing:
        raise StoryError(f"not on the PATH: {', '.join(missing)}")
    for name in ("home", "pictures", "user/scripts/addons"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    # The engine is found as a user's is: by the note that the bootstrap leaves.
    pointer = folder / "home" / "engine.json"
    write_json(pointer, {"python": sys.executable})
    # Beside the .blend file, with the pose that is known of it.
    for name in ("hero.png", "hero.pose.npz"):
        shutil.copyfile(ROOT / "presets" / "characters" / name, folder / name)
    request = {
        "zip": str(_build(folder / "dist")),
        "folder": str(folder),
        "last_frame": last_frame,
        "screen": (width, SCREEN[1]),
        "quick": width < SCREEN[0],
    }
    write_json(folder / "request.json", request)
    environment = _environment(folder, blender)
    with virtual_screen() as display:
        environment["DISPLAY"] = display
        shot = folder / "dance.blend"
        if not shot.is_file():
            scene = [blender, "--background", "--factory-startup", "--python"]
            _run(
                [*scene, str(SCRIPTS / "addon_scene.py"), "--", str(shot)], environment, folder, 240
            )
        # Blender counts from the bottom of the screen: this is its upper half.
        place = ["0", str(SCREEN[1] - HEIGHT), str(width), str(HEIGHT)]
        window = [blender, "--factory-startup", "--enable-autoexec", "--window-geometry", *place]
        window += [str(shot), "--python"]
        inside = [str(SCRIPTS / "addon_story_inside.py"), "--", str(folder / "request.json")]
        _run([*window, *inside], environment, folder, seconds)
    try:
        told: dict[str, Any] = json.loads((folder / "answer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise StoryError(f"Blender gave no answer; see {folder / 'blender.log'}") from None
    if told["error"]:
        raise StoryError(f"{told['error']}\n(pictures and logs: {folder})")
    return told


def _environment(folder: Path, blender: str) -> dict[str, str]:
    user = folder / "user"
    program = shutil.which(blender)
    # A distribution's Blender takes the first Python on the PATH for its own.
    first = [str(Path(program).parent)] if program else []
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([*first, os.environ.get("PATH", "")]),
        "BLENDER_USER_RESOURCES": str(user),
        "BLENDER_USER_CONFIG": str(user / "config"),
        "BLENDER_USER_SCRIPTS": str(user / "scripts"),
        "MARIONEXT_HOME": str(folder / "home"),
    }
    environment.pop("PYTHONPATH", None)
    return environment


def _build(folder: Path) -> Path:
    spec = importlib.util.spec_from_file_location("build_addon", SCRIPTS / "build_addon.py")
    if spec is None or spec.loader is None:
        raise StoryError("scripts/build_addon.py is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Path(module.build(folder))


def _run(command: list[str], environment: dict[str, str], folder: Path, seconds: int) -> None:
    with (folder / "blender.log").open("ab") as log:
        try:
            subprocess.run(
                command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise StoryError(f"not done within {seconds} s; see {folder / 'blender.log'}") from None


@contextmanager
def virtual_screen() -> Iterator[str]:
    """Open a screen in memory and yield its name."""
    reading, writing = os.pipe()
    size = f"{SCREEN[0]}x{SCREEN[1]}x24"
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", size, "-nolisten", "tcp"],
        pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise StoryError("Xvfb does not start")
        yield f":{number}"
    finally:
        server.terminate()
        server.wait()


def keep_pictures(source: Path, target: Path) -> None:
    """Copy the pictures, made small: an interface needs few colours."""
    target.mkdir(parents=True, exist_ok=True)
    for picture in sorted(source.glob("blender-*.png")):
        small = [
            "-strip",
            "-dither",
            "None",
            "-colors",
            "192",
            "-define",
            "png:compression-level=9",
        ]
        subprocess.run(
            ["convert", str(picture), *small, f"PNG8:{target / picture.name}"], check=True
        )


if __name__ == "__main__":
    sys.exit(main())
