"""Run the add-on's window tests in a newer Blender than this computer has.

``sudo python scripts/newer_blender.py FOLDER [--suite sid] [-- pytest's arguments]`` makes a small
Debian of another release in FOLDER (once, about two gigabytes), installs its Blender there, and
runs those tests of ``tests/addon`` that use the ``blender`` on the PATH: which is then that one.
Nothing outside FOLDER is changed; what is mounted into it is unmounted at the end. Needs root,
debootstrap and xvfb-run. Continuous integration does not run it; do so before a release.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    *("blender", "imagemagick", "python3-numpy", "xauth", "xdotool"),
    *("libegl1", "libgl1", "libgl1-mesa-dri"),
    # Debian's Blender 5 cannot start its extension system without these, and does not ask for them.
    *("python3-cattr", "python3-requests"),
)
TESTS = "window or classic or farm"

WRAPPER = """#!/bin/sh
exec chroot {folder} /usr/bin/blender "$@"
"""


def main() -> int:
    """Run the command line and return the exit status of the tests."""
    parser = argparse.ArgumentParser(description="Test the add-on in a newer Debian's Blender.")
    parser.add_argument("folder", type=Path, help="where that Debian is, or is to be made")
    parser.add_argument("--suite", default="sid", help="release of Debian (default: sid)")
    parser.add_argument("rest", nargs="*", help="arguments for pytest")
    options = parser.parse_args()
    folder = options.folder.absolute()
    missing = [name for name in ("debootstrap", "xvfb-run", "chroot") if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"needs root, and: {', '.join(missing) or 'nothing else'}", file=sys.stderr)
        return 2
    if not (folder / "usr" / "bin").is_dir():
        run("debootstrap", "--variant=minbase", options.suite, str(folder))
    with mounted(folder):
        install(folder)
        return test(folder, options.rest)


def run(*command: str) -> None:
    """Run a command, and end everything if it fails."""
    print("+", *command, flush=True)
    subprocess.run(command, check=True)


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[None]:
    """Show the other Debian this one's devices, temporary files, sources and Pythons.

    At the same paths as here, so that a test need not know where its Blender is.
    """
    places = ["/proc", "/dev", tempfile.gettempdir(), str(ROOT), sys.prefix, sys.base_prefix]
    done: list[str] = []
    try:
        for place in dict.fromkeys(places):
            target = folder / place.lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            if not os.path.ismount(target):
                run("mount", "--bind", place, str(target))
                done.append(str(target))
        yield
    finally:
        for target_name in reversed(done):
            subprocess.run(["umount", "--lazy", target_name], check=False)


def install(folder: Path) -> None:
    """Install Blender there, unless it is."""
    if (folder / "usr" / "bin" / "blender").exists():
        return
    shutil.copy("/etc/resolv.conf", folder / "etc" / "resolv.conf")
    apt = ("chroot", str(folder), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q")
    # The clock of a machine that is kept for tests may be behind.
    run(*apt, "-o", "Acquire::Check-Valid-Until=false", "update")
    run(*apt, "install", "-y", "--no-install-recommends", *PACKAGES)


def test(folder: Path, arguments: list[str]) -> int:
    """Run the tests with a ``blender`` on the PATH that is the other Debian's."""
    with tempfile.TemporaryDirectory(prefix="newer-blender-") as programs:
        wrapper = Path(programs) / "blender"
        wrapper.write_text(WRAPPER.format(folder=folder), encoding="utf-8")
        wrapper.chmod(0o755)
        environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        version = subprocess.run(
            [wrapper, "--version"], check=True, capture_output=True, text=True, env=environment
        )
        print(version.stdout.splitlines()[0], flush=True)
        pytest = [sys.executable, "-m", "pytest", "-ra", str(ROOT / "tests" / "addon")]
        chosen = arguments or ["-k", TESTS]
        return subprocess.run([*pytest, *chosen], cwd=ROOT, check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
