#!/usr/bin/env python3
"""Make a working Marionext out of a fresh checkout, with nothing but Python's standard library.

``python3 bootstrap.py demo`` makes a virtual environment in ``.venv``, installs Marionext with the
exact versions of ``constraints.txt`` and renders the bundled dance; ``desktop`` opens the editor;
``test`` installs what the tests need as well and runs all checks. Run again, it finds what is there
and goes on; stopped at any moment, the next run completes what was left half done.

The module must at least parse on Python 3.6, so that an old Python can say which one is needed.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
LOCK = VENV / "bootstrap.lock"
LOG = VENV / "bootstrap.log"
STAMP = VENV / "bootstrap.json"
UNFINISHED = VENV / "bootstrap.unfinished"
MADE_HERE = VENV / "bootstrap.made"
STEP = VENV / "bootstrap.step"
OURS = {LOCK, LOG, STAMP, UNFINISHED, MADE_HERE, STEP}
SPACE_NEEDED = 4 << 30

BLENDERS = ROOT / ".blenders"
BLENDER_MODULES = {
    "4.2": ("bpy==4.2.23 numpy==1.24.3", (3, 11)),
    "4.5": ("bpy==4.5.15", (3, 11)),
    "5.2": ("bpy==5.2.3", (3, 13)),
}
"""What the add-on is tested in, and the one Python that each is built for. The numpy of 4.2 is the
one that Blender 4.2 brings: its module alone would take any."""

EXTRAS = {"desktop": ("desktop",), "test": ("lint", "test")}
DESKTOP_PACKAGES = dict.fromkeys(
    (
        "libdbus-1-3",
        "libegl1",
        "libfontconfig1",
        "libgl1",
        "libglib2.0-0",
        "libxcb-cursor0",
        "libxcb-icccm4",
        "libxcb-keysyms1",
        "libxcb-shape0",
        "libxkbcommon-x11-0",
        "libxkbcommon0",
    ),
    "the desktop editor's window",
)
DEBIAN_PACKAGES = {
    **DESKTOP_PACKAGES,
    "libegl1": "MediaPipe",
    "libgles2": "MediaPipe",
    "libgl1": "OpenCV",
    "libglib2.0-0": "OpenCV",
    **dict.fromkeys(
        ("libice6", "libsm6", "libx11-6", "libxfixes3", "libxi6", "libxkbcommon0", "libxrender1"),
        "Blender as a module",
    ),
    **dict.fromkeys(
        ("blender", "fonts-noto-cjk", "imagemagick", "python3-numpy", "xauth", "xdotool", "xvfb"),
        "windows under test",
    ),
}
LIBRARY_OF_PACKAGE = {
    "libegl1": "libEGL.so.1",
    "libgles2": "libGLESv2.so.2",
    "libgl1": "libGL.so.1",
    "libglib2.0-0": "libglib-2.0.so.0",
    "libdbus-1-3": "libdbus-1.so.3",
    "libfontconfig1": "libfontconfig.so.1",
    "libxcb-cursor0": "libxcb-cursor.so.0",
    "libxcb-icccm4": "libxcb-icccm.so.4",
    "libxcb-keysyms1": "libxcb-keysyms.so.1",
    "libxcb-shape0": "libxcb-shape.so.0",
    "libxkbcommon-x11-0": "libxkbcommon-x11.so.0",
    "libxkbcommon0": "libxkbcommon.so.0",
}

held: "list[IO[str]]" = []
"""The lock, while it is held."""

FIND_BROKEN = """
import importlib.metadata as metadata
sizes = {}  # Several packages may hold the same file, as the flavours of OpenCV do.
for distribution in metadata.distributions():
    name = distribution.metadata["Name"]
    if distribution.files is None or not name:
        print(name or "a package without a name", "has no list of its files")
    for file in distribution.files or ():
        if file.suffix != ".pyc":
            sizes.setdefault(file.locate(), {})[file.size] = name
for path, owners in sizes.items():
    if not path.exists() or not {None, path.stat().st_size} & set(owners):
        print(next(iter(owners.values())), "lacks", path.name)
"""


# ---------------------------------------------------------------------------------- right python
# Up to the check below, nothing may need a newer Python than 3.6, in syntax or in annotations.


def say(text: str = "") -> None:
    """Print one line for the user."""
    print(text, flush=True)


def find_newer_python() -> "list[str] | None":
    """Return the command of another Python on this machine that is new enough, or None."""
    for minor in range(OLDEST[1], OLDEST[1] + 4):
        found = shutil.which(f"python3.{minor}")
        if found:
            return [found]
        if os.name == "nt" and shutil.which("py"):
            command = ["py", f"-3.{minor}"]
            if subprocess.call([*command, "-c", ""], stderr=subprocess.DEVNULL) == 0:
                return command
    return None


def go_on_with_newer_python() -> None:
    """Start again with a Python that is new enough, or say which one is needed; do not return."""
    this = sys.version.split()[0]
    newer = find_newer_python()
    if newer is None:
        sys.exit(
            f"Marionext needs Python {OLDEST[0]}.{OLDEST[1]} or newer; "
            f"this is {this} ({sys.executable}).\n"
            "Install a newer one and run this file with it."
        )
    say(f"This is Python {this}; going on with {' '.join(newer)}")
    sys.exit(subprocess.call([*newer, *sys.argv]))


if __name__ == "__main__" and sys.version_info < OLDEST:
    go_on_with_newer_python()


# -------------------------------------------------------------------------------------- commands


class BootstrapError(Exception):
    """Something the user has to know or to do."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options, rest = parse_arguments(arguments)
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    try:
        python = ready_environment(options)
        if options.command == "test":
            return run_tests(python, rest)
        tell_blender(python)
        if options.command == "desktop":
            return call([str(program("marionext-desktop")), *rest])
        if options.command in ("demo", "doctor"):
            return call([str(python), "-m", "marionext", options.command, *rest])
    except BootstrapError as error:
        say("\n" + str(error))
        return 1
    except KeyboardInterrupt:
        say("\nStopped. Run the same command again and it goes on from here.")
        return 130
    say(f"Ready: {program('marionext')}")
    return 0


def stop(number: int, _frame: object) -> None:
    """End as on Ctrl-C, what runs for us included, with the status that a shell gives it."""
    say("\nStopped. Run the same command again and it goes on from here.")
    raise SystemExit(128 + number)


def parse_arguments(arguments: list[str] | None) -> tuple[argparse.Namespace, list[str]]:
    """Split our own options from the arguments of the command that is run afterwards."""
    parser = argparse.ArgumentParser(
        description="Set up Marionext in .venv, then use it.",
        allow_abbrev=False,
        epilog="What else is given goes to the demo, the editor, to pytest or to the doctor.",
    )
    parser.add_argument("command", choices=("demo", "desktop", "test", "install", "doctor"))
    parser.add_argument(
        "--torch-index",
        metavar="URL",
        help="package index to take torch from: PyTorch's own CPU index saves gigabytes on a "
        "Linux machine without an NVIDIA GPU (default: wherever pip looks)",
    )
    options, rest = parser.parse_known_args(arguments)
    return options, [word for index, word in enumerate(rest) if word != "--" or index > 0]


# ---------------------------------------------------------------------------------------- python


def ready_environment(options: argparse.Namespace) -> Path:
    """Bring ``.venv`` to what the command needs, and return its Python."""
    wanted = EXTRAS.get(options.command, ())
    VENV.mkdir(exist_ok=True)
    with locked(LOCK) as lock:
        held.append(lock)
        python = ready_virtual_environment()
        installed = ready_packages(python, wanted, options.torch_index)
        if options.command == "desktop":
            install_debian_packages(DESKTOP_PACKAGES, "The window may not open without them.")
        if options.command == "test":
            install_debian_packages(
                DEBIAN_PACKAGES, "The tests that need them will be skipped, and say so."
            )
            install_blenders()
        if installed or options.command == "test":
            fetch_capture_models(python)
    return python


def ready_virtual_environment() -> Path:
    """Return the Python of ``.venv``; make it, or make it again when it does not work."""
    python = program("python")
    if UNFINISHED.exists() and python.exists():
        say("The last installation was interrupted; looking at what it left.")
        broken = find_broken(python)
        if broken:
            say(f"  {broken.splitlines()[0]}: starting afresh")
            clear_environment()
        UNFINISHED.unlink()
    if works(python):
        return python
    say(f"Making a virtual environment in {VENV} with Python {sys.version.split()[0]}")
    clear_environment()
    require_ensurepip()
    import venv  # noqa: PLC0415 - Debian may lack it

    MADE_HERE.touch()
    LOG.write_text("", encoding="utf-8")
    venv.EnvBuilder(symlinks=os.name != "nt").create(str(VENV))
    step("setting up pip", [str(python), "-m", "ensurepip", "--upgrade", "--default-pip"])
    return python


def program(name: str) -> Path:
    """Return the path of a program inside ``.venv``."""
    folder, suffix = ("Scripts", ".exe") if os.name == "nt" else ("bin", "")
    return VENV / folder / (name + suffix)


def works(python: Path) -> bool:
    """Tell whether a Python of ``.venv`` runs, is new enough and has pip."""
    check = f"import pip, sys; sys.exit(sys.version_info < {OLDEST})"
    try:
        return ask([str(python), "-c", check]).returncode == 0
    except OSError:
        return False


def find_broken(python: Path) -> str:
    """Return a line about each package that an interruption left incomplete."""
    found = ask([str(python), "-c", FIND_BROKEN])
    return found.stdout if found.returncode == 0 else "its Python does not run"


def clear_environment() -> None:
    """Empty ``.venv`` of all but our own files.

    Raises:
        BootstrapError: somebody else made it, so it is not ours to empty.
    """
    if (VENV / "pyvenv.cfg").exists() and not MADE_HERE.exists():
        raise BootstrapError(
            f"{VENV} holds a virtual environment that this program did not make, and it does not "
            f"work. Move it away, then run this again."
        )
    STAMP.unlink(missing_ok=True)
    for path in VENV.iterdir():
        if path in OURS:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(str(path))
        else:
            path.unlink()


def require_ensurepip() -> None:
    """Make sure that ``venv`` can give the new environment its pip; Debian splits it off."""
    try:
        import ensurepip  # noqa: F401, PLC0415
    except ImportError:
        package = "python{}.{}-venv".format(*sys.version_info[:2])
        if not may_use_apt():
            raise BootstrapError(
                "This Python has no ensurepip, so it cannot make a virtual environment.\n"
                f"On Debian and Ubuntu: sudo apt-get install {package}"
            ) from None
        say(f"This Python lacks ensurepip; installing {package} with apt")
        run_apt(["update"])
        if run_apt(["install", "-y", "--no-install-recommends", package]) != 0:
            raise BootstrapError(f"apt could not install {package}; see {LOG}") from None


# -------------------------------------------------------------------------------------- packages


def ready_packages(python: Path, wanted: tuple[str, ...], torch_index: str | None) -> bool:
    """Install Marionext with the extras wanted, unless the stamp says that it is all there.

    Returns:
        Whether something was installed.
    """
    stamp = read_stamp()
    extras = set(wanted)
    if stamp.get("key") == requirements_key():
        if extras <= set(stamp["extras"]):
            return False
        extras |= set(stamp["extras"])
    free = shutil.disk_usage(str(VENV)).free
    if free < SPACE_NEEDED and "key" not in stamp:
        say(f"Only {free / 1e9:.1f} GB are free here; about 4 GB are needed.")
    UNFINISHED.touch()
    STAMP.unlink(missing_ok=True)
    pip = [str(python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    constraints = ["-c", str(ROOT / "constraints.txt")]
    if torch_index:
        torch = ["--index-url", torch_index, "torch"]
        step("installing torch from " + torch_index, [*pip, *constraints, *torch])
    else:
        warn_of_cuda(python)
    what = str(ROOT) + ("[{}]".format(",".join(sorted(extras))) if extras else "")
    step("installing Marionext and what it needs", [*pip, *constraints, "-e", what])
    check_imports(python)
    write_stamp({"key": requirements_key(), "extras": sorted(extras)})
    UNFINISHED.unlink()
    return True


def requirements_key() -> str:
    """Return a hash of all that decides what has to be installed."""
    import tomllib  # noqa: PLC0415 - not in the Pythons that only read the message above

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [
        (VENV / "pyvenv.cfg").read_text(encoding="utf-8"),
        json.dumps([project["build-system"], project["project"]], sort_keys=True),
        json.dumps(project["tool"]["hatch"], sort_keys=True),
        (ROOT / "constraints.txt").read_text(encoding="utf-8"),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def read_stamp() -> dict[str, Any]:
    """Return what the last complete installation wrote, or nothing."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and isinstance(stamp.get("extras"), list) else {}


def write_stamp(stamp: dict[str, Any]) -> None:
    """Write the stamp, whole or not at all."""
    part = STAMP.with_suffix(".part")
    part.write_text(json.dumps(stamp), encoding="utf-8")
    part.replace(STAMP)


def warn_of_cuda(python: Path) -> None:
    """Say beforehand that the usual torch for Linux is large, where nothing speaks against it."""
    if not sys.platform.startswith("linux") or Path("/proc/driver/nvidia").exists():
        return
    has_torch = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    if ask([str(python), "-c", has_torch]).returncode == 0:
        return
    asked = ask([str(python), "-m", "pip", "config", "list"]).stdout
    if any(word in asked for word in ("index-url", "find-links", "no-index")):
        return  # The user told pip where to look: their packages, their sizes.
    say("No NVIDIA driver here. pip's usual torch for Linux brings CUDA, some 3 GB; to avoid that,")
    say("stop with Ctrl-C and give --torch-index the address of PyTorch's CPU package index.")


def check_imports(python: Path) -> None:
    """Import what needs libraries of the system, and name the package of one that is missing."""
    say("Trying the installation ...")
    tried = ask([str(python), "-c", "import cv2, torch, marionext"])
    if tried.returncode == 0:
        return
    missing = [name for name, file in LIBRARY_OF_PACKAGE.items() if file in tried.stderr]
    message = "What was installed does not start:\n" + tried.stderr.strip()[-600:]
    if missing:
        message += "\nOn Debian and Ubuntu: sudo apt-get install " + " ".join(missing)
    raise BootstrapError(message)


def fetch_capture_models(python: Path) -> None:
    """Fetch the models that find people in videos; without them all else still works."""
    module = "marionext.capture.models"
    try:
        step("fetching the capture models (once)", [str(python), "-m", module], lines=3)
    except BootstrapError as error:
        say(str(error))
        say(f"Poses from videos will not work until `python -m {module}` succeeds.")


# --------------------------------------------------------------------------------------- blender

POINTER = """
import json, sys
from marionext import presets
home = presets.home()
home.mkdir(parents=True, exist_ok=True)
part = home / "engine.json.part"
part.write_text(json.dumps({"python": sys.executable}), encoding="utf-8")
part.replace(home / "engine.json")
"""


def tell_blender(python: Path) -> None:
    """Note where the engine is, so that Blender's add-on finds it by itself."""
    if ask([str(python), "-c", POINTER]).returncode != 0:
        say("Blender's add-on will not find this engine by itself; its preferences can name")
        say(f"  {python}")


def install_blenders() -> None:
    """Install Blender as a module for the tests of the add-on, each in an environment of its own.

    A Blender that this computer cannot have is named: its tests are skipped and say so.
    """
    if not (ROOT / "tests" / "addon").is_dir():
        return
    for series, (requirements, version) in BLENDER_MODULES.items():
        folder = BLENDERS / f"bpy-{series}"
        stamp = folder / "installed"
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == requirements:
            continue
        maker = find_python(version)
        if maker is None:
            say(
                "No Python {}.{} here: the tests in Blender {} are skipped.".format(
                    *version, series
                )
            )
            continue
        try:
            install_blender(maker, folder, requirements)
            stamp.write_text(requirements, encoding="utf-8")
        except BootstrapError as error:
            say(str(error))
            say(f"The tests in Blender {series} are skipped.")


def install_blender(maker: Path, folder: Path, requirements: str) -> None:
    """Make an environment with one Blender.

    Raises:
        BootstrapError: it cannot be fetched, or does not start.
    """
    folder.parent.mkdir(exist_ok=True)
    # A module of half a gigabyte that was left half unpacked is not worth mending.
    step(f"making {folder.name}", [str(maker), "-m", "venv", "--clear", str(folder)], lines=3)
    inside = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pip = [str(inside), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    step(f"installing {requirements}", [*pip, *requirements.split()], lines=3)
    # Leaving at once: Blender as a module may hang when Python tears it down.
    tried = ask([str(inside), "-c", "import bpy, os; os._exit(0)"])
    if tried.returncode != 0:
        raise BootstrapError(f"{requirements} does not start:\n{tried.stderr.strip()[-300:]}")


def find_python(version: "tuple[int, int]") -> Path | None:
    """Return a Python of exactly that version that can make environments, or None."""
    name = "python{}.{}".format(*version)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [sys.executable, shutil.which(name)]
    candidates += [str(path) for path in sorted(pyenv.glob(f"{name[6:]}*/bin/python"))]
    check = f"import ensurepip, sys; sys.exit(sys.version_info[:2] != {version})"
    for candidate in candidates:
        if candidate and ask([candidate, "-c", check]).returncode == 0:
            return Path(candidate)
    return None


# ------------------------------------------------------------------------------- debian packages


def install_debian_packages(wanted: "dict[str, str]", without: str) -> None:
    """Install what a bare Debian lacks where we may, or name it.

    Args:
        wanted: packages, and what each is for.
        without: what it means to do without them.
    """
    if not sys.platform.startswith("linux") or shutil.which("dpkg-query") is None:
        return
    missing = [name for name in wanted if not has_debian_package(name)]
    if not missing:
        return
    if not may_use_apt():
        reasons = sorted({wanted[name] for name in missing})
        say("Missing for {}: sudo apt-get install {}".format(", ".join(reasons), " ".join(missing)))
        say(without)
        return
    say("Installing with apt: " + " ".join(missing))
    install = ["install", "-y", "--no-install-recommends"]
    run_apt(["update"])
    if run_apt([*install, *missing]) != 0:
        failed = [name for name in missing if run_apt([*install, name]) != 0]
        if failed:
            say("apt could not install {}; see {}".format(" ".join(failed), LOG))


def has_debian_package(name: str) -> bool:
    """Tell whether a package, or the library it is needed for, is there."""
    asked = ask(["dpkg-query", "-W", "-f", "${Status}", name])
    if asked.returncode == 0 and asked.stdout.endswith(" installed"):
        return True
    library = LIBRARY_OF_PACKAGE.get(name)
    if library is None:
        return False
    import ctypes  # noqa: PLC0415

    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def may_use_apt() -> bool:
    """Tell whether packages of the system may be installed: root, with apt."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def run_apt(arguments: list[str]) -> int:
    """Run apt-get without questions, and return its exit status."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments]
    return live("apt-get " + arguments[0], command, environment)


# ------------------------------------------------------------------------------------- processes


def step(title: str, command: list[str], lines: int = 25) -> None:
    """Run one step of the installation with a live line.

    Raises:
        BootstrapError: it failed; with the end of its output.
    """
    status = live(title, command)
    if status == 0:
        return
    end = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
    raise BootstrapError(
        "{} failed (status {}). The end of {}:\n  {}{}".format(
            title[0].upper() + title[1:], status, LOG, "\n  ".join(end), advice("\n".join(end))
        )
    )


def advice(output: str) -> str:
    """Return what to do about the failures that happen most."""
    known = {
        "No space left": "The disk is full: free some gigabytes and run this again.",
        "No matching distribution": "pip's package source lacks this version for Python {}.{} on "
        "this system, or cannot be reached.".format(*sys.version_info[:2]),
        "Temporary failure in name resolution": "The network cannot be reached.",
        "Connection refused": "The package source cannot be reached.",
        "Read timed out": "The network is too slow or broke off: run this again.",
        "Permission denied": "Something here belongs to another user.",
    }
    found = [text for sign, text in known.items() if sign in output]
    return "\n" + found[0] if found else ""


def live(title: str, command: list[str], environment: dict[str, str] | None = None) -> int:
    """Run a command into the log, with one line on the terminal that tells how far it is.

    Returns:
        The command's exit status.
    """
    started, newest, tty = time.monotonic(), [""], sys.stdout.isatty()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        encoding="utf-8",
        errors="replace",
        cwd=str(ROOT),
        # A group of its own, to be ended with all that it starts. And it holds the lock along with
        # us: if we are killed, the next run knows that somebody is still at work here.
        start_new_session=True,
        pass_fds=() if os.name == "nt" else [lock.fileno() for lock in held],
    )
    STEP.write_text(json.dumps({"bootstrap": os.getpid(), "step": process.pid}), encoding="utf-8")

    def record() -> None:
        with LOG.open("a", encoding="utf-8") as log:
            log.write("\n== {} ==\n".format(" ".join(command)))
            for line in process.stdout or ():
                log.write(line)
                log.flush()
                if line.strip() and "uninstall" not in line.lower():  # pip is long past it
                    newest[0] = line.strip()

    reader = threading.Thread(target=record, daemon=True)
    reader.start()
    if not tty:
        say(f"{title} ...")
    told = 30.0
    try:
        while reader.is_alive():
            reader.join(0.25)
            elapsed = time.monotonic() - started
            if tty:
                show(f"{title} {clock(elapsed)} | {newest[0]}")
            elif elapsed > told:
                say(f"  {clock(elapsed)} | {newest[0][:100]}")
                told += 30.0
        status = process.wait()
    except BaseException:
        end_group(process.pid)
        process.wait()
        raise
    finally:
        if tty:
            show("")
    elapsed = time.monotonic() - started
    say("{}: {}, {}".format(title, "done" if status == 0 else "FAILED", clock(elapsed)))
    return status


def show(text: str) -> None:
    """Redraw the live line."""
    width = shutil.get_terminal_size().columns - 1
    sys.stdout.write("\r" + text[:width].ljust(width) + ("" if text else "\r"))
    sys.stdout.flush()


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def ask(command: list[str]) -> "subprocess.CompletedProcess[str]":
    """Run a short command and return its status and output."""
    return subprocess.run(command, check=False, capture_output=True, text=True, errors="replace")


def call(command: list[str], cwd: Path | None = None) -> int:
    """Run a command in the foreground and return its exit status; Ctrl-C is its own affair."""
    process = subprocess.Popen(command, cwd=cwd)
    while True:
        try:
            status = process.wait()
        except KeyboardInterrupt:
            continue  # The terminal sent it to the child too, which ends in its own way.
        except SystemExit:
            process.terminate()
            raise
        return status if status >= 0 else 128 - status


@contextlib.contextmanager
def locked(path: Path) -> Iterator[IO[str]]:
    """Hold a lock that the system lets go of when we and our step have ended, however we do."""
    with path.open("a+") as file:
        waiting = False
        while not try_lock(file):
            if not waiting:
                say(f"Another bootstrap is at work in {VENV}; waiting for it.")
                waiting = True
            end_orphan()
            time.sleep(0.5)
        yield file


def end_orphan() -> None:
    """End the step of a bootstrap that was killed: nobody would go on where it stops."""
    try:
        told = json.loads(STEP.read_text(encoding="utf-8"))
        bootstrap, step = int(told["bootstrap"]), int(told["step"])
    except (OSError, ValueError, TypeError, KeyError):
        return
    # The lock is held, so one of the two is alive, and its number is no other program's.
    if os.name != "nt" and step > 1 and not is_alive(bootstrap) and is_alive(step):
        say("It was killed and its last step is still at work: ending that.")
        end_group(step)


def is_alive(process: int) -> bool:
    """Tell whether there is a process of that number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # it is somebody else's
    return True


def end_group(leader: int) -> None:
    """End a process that was started here, and what it started: kindly, then by force."""
    if os.name == "nt":
        subprocess.call(["taskkill", "/F", "/T", "/PID", str(leader)], stdout=subprocess.DEVNULL)
        return
    for number, seconds in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 2.0)):
        with contextlib.suppress(OSError):
            os.killpg(leader, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                os.waitpid(leader, os.WNOHANG)  # a child that has ended counts until it is asked
            try:
                os.killpg(leader, 0)
            except OSError:
                return
            time.sleep(0.05)


def try_lock(file: IO[str]) -> bool:
    """Take the lock if it is free."""
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# ----------------------------------------------------------------------------------------- tests


def run_tests(python: Path, arguments: list[str]) -> int:
    """Run the checks, then all tests, and return the exit status of both."""
    say("\nChecks: lint, types, import contracts")
    checks = call([str(python), str(ROOT / "scripts" / "check.py")], ROOT)
    say("\nTests")
    # A file's tests stay together: they share what takes long to make. Files keep their order, or
    # those with the fewest tests, which are the longest, would come last.
    spread = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"]
    command = [str(python), "-m", "pytest", "--rootdir", str(ROOT), "-ra", *spread, *arguments]
    tests = call(command, ROOT)
    if checks != 0:
        say(f"\nThe checks before the tests failed (status {checks}).")
    return tests or checks


if __name__ == "__main__":
    sys.exit(main())
