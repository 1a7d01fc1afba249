"""Examine this installation: what there is, what is wrong, and how to fix it.

Everything that could take the examination down with it - a broken torch, a missing system library,
an ffmpeg for another processor - is tried in a process of its own and only reported.
"""

import ctypes
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import marionext
from marionext import bundles, presets
from marionext.codec import encode
from marionext.errors import EngineError
from marionext.files import in_words

__all__ = ["Finding", "Report", "examine"]

GIB = 1 << 30
_PATIENCE = 120
"""Seconds that one trial may take."""
_ROOM_FOR_A_MODEL = 20_000_000_000
"""Bytes: the large model, and its weights once more while they are converted."""

_LIBRARIES = ("torch", "diffusers", "transformers", "cv2", "mediapipe", "av", "imageio_ffmpeg")
_OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python")
_DISTRIBUTIONS = {"cv2": "opencv-contrib-python", "imageio_ffmpeg": "imageio-ffmpeg"}
_LAST_QUIET_MEDIAPIPE = (0, 10, 33)
_DEBIAN_PACKAGES = {"libEGL.so.1": "libegl1", "libGLESv2.so.2": "libgles2", "libGL.so.1": "libgl1"}
_ENCODERS = {"libx264": "mp4", "libvpx-vp9": "WebM", "prores_ks": "ProRes", "gif": "GIF"}

_TRY_TORCH = """
import json, torch
devices = []
if torch.cuda.is_available():
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        devices.append(["cuda", torch.cuda.get_device_name(index), free, total])
if torch.backends.mps.is_available():
    devices.append(["mps", "Apple GPU", None, None])
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices,
                  "threads": torch.get_num_threads()}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    topic: Literal[
        "python", "packages", "device", "memory", "disk", "models", "capture", "ffmpeg", "doctor"
    ]
    level: Literal["ok", "note", "problem"]
    """``note``: something does not work, or not well, that not everybody needs."""
    text: str
    mend: str | None = None
    """What to do about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings, in the order of their topics."""

    findings: tuple[Finding, ...]

    @property
    def problems(self) -> tuple[Finding, ...]:
        """What keeps a render from working; nothing, when all is well."""
        return tuple(finding for finding in self.findings if finding.level == "problem")

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {"healthy": not self.problems, **encode(self)}

    @property
    def text(self) -> str:
        """The report as lines to read."""
        lines = []
        for finding in self.findings:
            mark = {"ok": "  ok    ", "note": "  note  ", "problem": "PROBLEM "}[finding.level]
            lines.append(f"{mark} {finding.topic:<9} {finding.text}")
            if finding.mend:
                lines += [f"{'':19}-> {line}" for line in finding.mend.splitlines()]
        count = len(self.problems)
        verdict = "Everything that a render needs is here."
        if count:
            verdict = f"{count} problem{'s' if count > 1 else ''} to fix."
        return "\n".join([*lines, "", verdict])


def examine(*, hashes: bool = False) -> Report:
    """Look at everything; takes some seconds, because the libraries are tried.

    Args:
        hashes: also read the models' files through and compare their hashes.
    """
    looks = (_python, _packages, _device, _memory, _disk, lambda: _models(hashes=hashes))
    findings = [finding for look in (*looks, _capture, _ffmpeg) for finding in _looked(look)]
    return Report(findings=tuple(findings))


def _looked(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Give the findings of one look; what keeps it from looking is a finding, too."""
    try:
        yield from look()
    except EngineError as error:
        yield Finding(topic="doctor", level="problem", text=error.message, mend=error.hint)
    except OSError as error:
        mend = "Check that it is there, and that you may read it."
        yield Finding(topic="doctor", level="problem", text=in_words(error), mend=mend)


def _python() -> Iterator[Finding]:
    where = (
        "in a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    )
    text = (
        f"Marionext {marionext.__version__} on Python {platform.python_version()} ({where}), "
        f"{platform.system()} {platform.release()} {platform.machine()}"
    )
    yield Finding(topic="python", level="ok", text=text)
    if sys.maxsize < 2**32:
        text = "this Python is a 32-bit program: torch does not exist for it"
        yield Finding(topic="python", level="problem", text=text, mend="Install a 64-bit Python.")


# ------------------------------------------------------------------------------------- packages


def _packages() -> Iterator[Finding]:
    for name in _LIBRARIES:
        if name != "torch":
            yield _library(name)
    yield from _opencv_flavours()
    mediapipe = _version("mediapipe")
    if mediapipe and _numbers(mediapipe) > _LAST_QUIET_MEDIAPIPE:
        yield Finding(
            topic="packages",
            level="problem",
            text=f"mediapipe {mediapipe} contacts a server of its makers when it starts",
            mend=f'{_pip()} install "mediapipe==0.10.33"',
        )
    onnx = _version("onnxruntime") and _version("rtmlib")
    text = "onnxruntime and rtmlib are here: DWPose can be used" if onnx else "DWPose is not here"
    mend = None if onnx else f'Only if you want that detector: {_pip()} install "marionext[dwpose]"'
    yield Finding(topic="packages", level="ok", text=text, mend=mend)


def _library(name: str) -> Finding:
    """Try to import a library in a process of its own."""
    version = _version(_DISTRIBUTIONS.get(name, name))
    status, output = _run([sys.executable, "-c", f"import {name}"])
    if status == 0:
        return Finding(topic="packages", level="ok", text=f"{name} {version or ''}".rstrip())
    reason = output.splitlines()[-1] if output else f"its process ended with status {status}"
    missing = [package for file, package in _DEBIAN_PACKAGES.items() if file in output]
    if missing:
        mend = f"On Debian and Ubuntu: sudo apt-get install {' '.join(missing)}"
    elif version is None:
        mend = f"{_pip()} install {_DISTRIBUTIONS.get(name, name)}"
    else:
        package = _DISTRIBUTIONS.get(name, name)
        mend = f'{_pip()} install --force-reinstall --no-deps "{package}=={version}"'
    text = f"{name} cannot be used: {reason}"
    if name == "mediapipe" and sys.platform == "linux" and platform.machine() == "aarch64":
        text = "there is no mediapipe for Linux on ARM: poses from videos need DWPose here"
        return Finding(topic="packages", level="note", text=text)
    return Finding(topic="packages", level="problem", text=text, mend=mend)


def _opencv_flavours() -> Iterator[Finding]:
    versions = {name: version for name in _OPENCV if (version := _version(name))}
    if len(set(versions.values())) > 1:
        found = ", ".join(f"{name} {version}" for name, version in versions.items())
        newest = max(versions.values(), key=_numbers)
        wanted = " ".join(f'"{name}=={newest}"' for name in versions)
        yield Finding(
            topic="packages",
            level="problem",
            text=f"packages of OpenCV overwrite each other's files: {found}",
            mend=f"{_pip()} install --force-reinstall --no-deps {wanted}",
        )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version, for comparing."""
    numbers = []
    for part in version.partition("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _pip() -> str:
    python = sys.executable or "python"
    return f'"{python}" -m pip' if " " in python else f"{python} -m pip"


# -------------------------------------------------------------------------------------- machine


def _device() -> Iterator[Finding]:
    status, output = _run([sys.executable, "-c", _TRY_TORCH])
    if status != 0:
        yield _library("torch")
        return
    torch = json.loads(output.splitlines()[-1])
    built = f"CUDA {torch['cuda']}" if torch["cuda"] else "without CUDA"
    yield Finding(topic="packages", level="ok", text=f"torch {torch['version']} ({built})")
    for kind, name, free, total in torch["devices"]:
        size = f", {free / GIB:.1f} of {total / GIB:.1f} GiB free" if total else ""
        yield Finding(topic="device", level="ok", text=f"{kind}: {name}{size}")
    if torch["devices"]:
        return
    processor = f"cpu: {os.cpu_count()} cores, torch uses {torch['threads']} threads"
    if _nvidia_driver() and not torch["cuda"]:
        text = f"{processor}; an NVIDIA driver is here, but this torch has no CUDA"
        mend = f"Install a torch with CUDA: {_pip()} install --force-reinstall torch"
        yield Finding(topic="device", level="problem", text=text, mend=mend)
    elif _nvidia_driver():
        text = f"{processor}; an NVIDIA driver is here, but torch finds no usable GPU"
        mend = "Update the driver (nvidia-smi tells its version) or close what holds the GPU."
        yield Finding(topic="device", level="problem", text=text, mend=mend)
    else:
        text = f"{processor}; no GPU: doll and puppet render, svd would take hours"
        yield Finding(topic="device", level="ok", text=text)


def _nvidia_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _memory() -> Iterator[Finding]:
    total, available = _memory_bytes()
    if total is None:
        yield Finding(topic="memory", level="note", text="how much memory there is is not known")
        return
    free = f", {available / GIB:.1f} GiB of it free" if available is not None else ""
    level: Literal["ok", "note"] = "ok" if total >= 6 * GIB else "note"
    mend = (
        None
        if level == "ok"
        else "The large model needs 16 GiB; doll and puppet are content with 4."
    )
    yield Finding(
        topic="memory",
        level=level,
        text=f"{total / GIB:.1f} GiB of memory{free}",
        mend=None if level == "ok" else mend,
    )


def _memory_bytes() -> tuple[int | None, int | None]:
    """Return the memory of the machine in all, and what is available."""
    if sys.platform == "win32":
        return _memory_of_windows()
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None, None
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return total, None
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    available = fields.get("MemAvailable", "").split()
    return total, int(available[0]) * 1024 if available else None


def _memory_of_windows() -> tuple[int | None, int | None]:
    class Status(ctypes.Structure):
        _fields_ = [
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "available", *"abcde")),
        ]

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - absent where mypy looks
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return status.total, status.available


def _disk() -> Iterator[Finding]:
    home = presets.home()
    place = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(place, os.W_OK) or not place.is_dir():
        text = f"{home} cannot be written: models and settings have no place"
        mend = "Set MARIONEXT_HOME to a folder that you may write to."
        yield Finding(topic="disk", level="problem", text=text, mend=mend)
        return
    free = shutil.disk_usage(place).free
    text = f"{free / 1e9:.1f} GB free for models in {home}"
    if free < _ROOM_FOR_A_MODEL:
        mend = "The svd model takes about 15 GB; MARIONEXT_HOME chooses another disk."
        yield Finding(topic="disk", level="note", text=text, mend=mend)
    else:
        yield Finding(topic="disk", level="ok", text=text)


# --------------------------------------------------------------------------------------- models


def _models(*, hashes: bool) -> Iterator[Finding]:
    listed = bundles.list_bundles()
    absent = [
        bundle.name
        for bundle in listed
        if bundle.card.kind != "video" and not bundle.folder.is_dir()
    ]
    if absent:
        # Nobody needs them all: one line for those who make no pictures.
        text = f"models for pictures that are not here: {', '.join(absent)}"
        mend = "To fetch one: marionext models pull NAME"
        yield Finding(topic="models", level="note", text=text, mend=mend)
    for bundle in listed:
        if bundle.name in absent:
            continue
        fatal = [p for p in bundles.check(bundle, hashes=hashes) if p.fatal]
        where = f"model {bundle.name} in {bundle.folder}"
        pull = f"marionext models pull {bundle.name}"
        if not fatal:
            checked = "complete and unchanged" if hashes else "complete"
            yield Finding(topic="models", level="ok", text=f"{where}: {checked}")
        elif bundle.card.built_in:
            text = f"{where}: {_summary(fatal)}"
            mend = "It is part of Marionext: install Marionext again."
            yield Finding(topic="models", level="problem", text=text, mend=mend)
        elif not bundle.folder.is_dir():
            text = f"model {bundle.name} is not here ({bundle.card.title})"
            yield Finding(topic="models", level="note", text=text, mend=f"To fetch it: {pull}")
        else:
            text = f"{where}: {_summary(fatal)}"
            known = bundle.name in presets.names("models")
            yield Finding(topic="models", level="note", text=text, mend=pull if known else None)


def _summary(problems: list[bundles.Problem]) -> str:
    return f"{problems[0]}" + (f" (and {len(problems) - 1} more)" if problems[1:] else "")


def _capture() -> Iterator[Finding]:
    try:
        from marionext.capture.models import locate_models  # noqa: PLC0415 - may lack a library

        found = locate_models()
    except EngineError as error:
        text = f"poses from videos: {error.message}"
        yield Finding(topic="capture", level="note", text=text, mend=error.hint)
    except (ImportError, OSError) as error:
        text = f"poses from videos: the capture room does not start: {error}"
        yield Finding(topic="capture", level="problem", text=text)
    else:
        text = f"the networks of the MediaPipe detector are in {found.body.parent}"
        yield Finding(topic="capture", level="ok", text=text)
    missing = [file for file in _DEBIAN_PACKAGES if not _loads(file)]
    if sys.platform.startswith("linux") and missing:
        packages = " ".join(_DEBIAN_PACKAGES[file] for file in missing)
        yield Finding(
            topic="capture",
            level="note",
            text=f"poses from videos need libraries of the system: {', '.join(missing)}",
            mend=f"On Debian and Ubuntu: sudo apt-get install {packages}",
        )


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _ffmpeg() -> Iterator[Finding]:
    status, program = _run(
        [sys.executable, "-c", "import imageio_ffmpeg as f; print(f.get_ffmpeg_exe())"]
    )
    mend = f"{_pip()} install --force-reinstall --no-deps imageio-ffmpeg"
    if status != 0:
        reason = program.splitlines()[-1] if program else f"status {status}"
        text = f"no ffmpeg: {reason}; frames can be rendered, videos cannot be made"
        yield Finding(topic="ffmpeg", level="problem", text=text, mend=mend)
        return
    program = program.splitlines()[-1]
    status, encoders = _run([program, "-hide_banner", "-encoders"])
    if status != 0:
        text = f"{program} does not run on this {sysconfig.get_platform()} (status {status})"
        yield Finding(topic="ffmpeg", level="problem", text=text, mend=mend)
        return
    version = _run([program, "-version"])[1].split(" Copyright")[0]
    lacking = [form for name, form in _ENCODERS.items() if f" {name} " not in encoders]
    level: Literal["ok", "note"] = "note" if lacking else "ok"
    without = f", without {', '.join(lacking)}" if lacking else ""
    text = f"{version}{without} ({program})"
    yield Finding(topic="ffmpeg", level=level, text=text, mend=mend if lacking else None)


def _run(command: list[str]) -> tuple[int, str]:
    """Run a trial and return its status and what it said."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return 124, f"it did not answer within {_PATIENCE} seconds"
    except OSError as error:
        return 127, str(error)
    return done.returncode, (done.stdout if done.returncode == 0 else done.stderr).strip()
