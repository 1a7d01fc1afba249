"""The networks of the MediaPipe detector: fetched once at set-up, checked, never at run time.

MediaPipe's Python package holds no networks. They are taken from two published packages with
pinned hashes, through the user's own package tools (so mirrors and proxies work), and assembled
into the files that the detector loads (`marionext.capture.task_files`):

* the *wheel file* of mediapipe 0.10.21, fetched with pip as a file and never installed: pose
  detection, the middle body network, hands, face;
* the npm package @mediapipe/pose: the light and the heavy body network. Without npm the middle
  body network does both jobs, somewhat less exactly.

Google's official .task files are accepted from a folder as well. ``python -m
marionext.capture.models`` does it all; everything is Apache-2.0.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from marionext import presets
from marionext.capture.packages import (
    POSE_PACKAGE,
    POSE_SHA256,
    WHEEL_PACKAGE,
    WHEEL_SHA256,
    Packages,
    Report,
    can_fetch_pose,
    fetch_packages,
    read_networks,
    sha256,
)
from marionext.errors import EngineError, ModelError
from marionext.files import read_bytes, write_bytes

__all__ = ["DetectorModels", "ensure_models", "locate_models", "main", "models_folder"]

_LITE, _FULL, _HEAVY = (f"pose_landmarker_{size}.task" for size in ("lite", "full", "heavy"))
_HAND, _FACE = "hand_landmarker.task", "face_landmarker.task"
_OFFICIAL = {
    _LITE: "59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a",
    _FULL: "4eaa5eb7a98365221087693fcc286334cf0858e2eb6e15b506aa4a7ecdcec4ad",
    _HEAVY: "64437af838a65d18e5ba7a0d39b465540069bc8aae8308de3e318aad31fcbc7b",
    _HAND: "fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
    _FACE: "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
}
_SUMS = "SHA256SUMS"
_LICENCE = "LICENSE-mediapipe.txt"
_PULL = "Fetch them once with: marionext models pull mediapipe"


@dataclass(frozen=True, slots=True)
class DetectorModels:
    """The task files that the detector loads."""

    finder: Path
    """Finds people in the whole picture: the lightest body network there is."""
    body: Path
    """Places the joints of one person: the most exact body network there is."""
    hand: Path
    face: Path


def models_folder() -> Path:
    """Return where the task files are kept: ``models/mediapipe`` in this user's folder."""
    return presets.home() / "models" / "mediapipe"


def locate_models(folder: Path | None = None) -> DetectorModels:
    """Find the task files and check their hashes; nothing is fetched.

    Raises:
        ModelError: one is missing, or is not what was stored.
    """
    folder = folder or models_folder()
    sums = _read_sums(folder)
    bodies = [name for name in (_HEAVY, _FULL, _LITE) if (folder / name).is_file()]
    missing = [name for name in (_HAND, _FACE) if not (folder / name).is_file()]
    if not bodies:
        missing.append(_HEAVY)
    if missing:
        raise ModelError(
            f"the networks of the MediaPipe detector are not in {folder}: missing "
            + ", ".join(missing),
            hint=_PULL,
        )
    chosen = DetectorModels(
        finder=folder / bodies[-1],
        body=folder / bodies[0],
        hand=folder / _HAND,
        face=folder / _FACE,
    )
    for path in {chosen.finder, chosen.body, chosen.hand, chosen.face}:
        found = sha256(path)
        if found not in {sums.get(path.name), _OFFICIAL[path.name]}:
            raise ModelError(
                f"{path} is damaged or not the file that was stored (sha256 {found[:16]}...)",
                hint=f"Delete it. {_PULL}",
            )
    return chosen


def ensure_models(
    folder: Path | None = None, *, source: Path | None = None, report: Report | None = None
) -> DetectorModels:
    """Make sure that the task files are there; fetch and assemble what is missing.

    The only function of the capture room that goes on line, and only without ``source``.

    Args:
        folder: where to keep the files; default: `models_folder`.
        source: a folder to take files from instead: official .task files, or the wheel and the
            npm archive named in the module's text.
        report: called with a line of text at every step.

    Raises:
        ModelError: something cannot be fetched, has another hash than it should, or cannot be
            stored.
    """
    folder = folder or models_folder()
    say = report or (lambda _: None)
    if source is None:
        try:
            found = locate_models(folder)
        except ModelError:
            pass
        else:
            if found.body.name == _HEAVY or not can_fetch_pose():
                say(f"the networks of the MediaPipe detector are complete in {folder}")
                return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="marionext-") as work:
            packages = _given(source, folder, say) if source else fetch_packages(Path(work), say)
            _assemble(packages, folder, say)
    except OSError as error:
        raise ModelError(
            f"the networks cannot be stored in {folder}: {error.strerror or error}",
            hint="Make room or set MARIONEXT_HOME to a folder that can be written.",
        ) from error
    return locate_models(folder)


def main(arguments: list[str] | None = None) -> int:
    """Run as ``python -m marionext.capture.models``; returns the exit status."""
    parser = argparse.ArgumentParser(description="Fetch the networks of the MediaPipe detector.")
    parser.add_argument("--from", dest="source", type=Path, help="folder that holds the files")
    parser.add_argument("--to", dest="folder", type=Path, help="folder to keep them in")
    options = parser.parse_args(arguments)
    try:
        ensure_models(
            options.folder,
            source=options.source,
            report=_say,
        )
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _given(source: Path, folder: Path, say: Report) -> Packages:
    """Store the official task files of a folder, and look for the packages in it."""
    if not source.is_dir():
        raise ModelError(f"expected a folder with MediaPipe's files, there is no {source}")
    wheel = pose = None
    stored = {}
    for path in sorted(source.iterdir()):
        if path.suffix not in {".task", ".whl", ".tgz"} or not path.is_file():
            continue
        found = sha256(path)
        if path.name in _OFFICIAL and found in {
            _OFFICIAL[path.name],
            _read_sums(source).get(path.name),
        }:
            write_bytes(folder / path.name, path.read_bytes())
            stored[path.name] = found
            say(f"took {path.name}")
        elif found == WHEEL_SHA256:
            wheel = path
        elif found == POSE_SHA256:
            pose = path
        else:
            say(f"left {path.name} alone: sha256 {found[:16]}... is not known")
    if not (stored or wheel or pose):
        raise ModelError(
            f"none of the known MediaPipe files is in {source}",
            hint=f"Expected are {', '.join(_OFFICIAL)} as Google publishes them, or the "
            f"wheel of {WHEEL_PACKAGE} and the archive of {POSE_PACKAGE}.",
        )
    if stored:
        _write_sums(folder, stored)
    return Packages(wheel, pose)


def _assemble(packages: Packages, folder: Path, say: Report) -> None:
    """Make the task files that the packages have the networks for."""
    # Building needs MediaPipe's schemas, which only this step does.
    from marionext.capture.task_files import (  # noqa: PLC0415
        bundle,
        merge_face_outputs,
        with_scaling,
    )

    if packages.wheel is None:
        if packages.pose is not None:
            say("the body networks need the wheel as well: left alone")
        return
    parts, licence = read_networks(packages)
    finder = with_scaling(parts["pose_detection"], 127.5, 127.5)
    files = {}
    for size in ("lite", "full", "heavy"):
        network = parts.get(f"pose_landmark_{size}")
        if network is not None:
            files[f"pose_landmarker_{size}.task"] = {
                "pose_detector.tflite": finder,
                "pose_landmarks_detector.tflite": with_scaling(network, 0.0, 255.0),
            }
    files[_HAND] = {
        "hand_detector.tflite": with_scaling(parts["palm_detection_full"], 0.0, 255.0),
        "hand_landmarks_detector.tflite": with_scaling(parts["hand_landmark_full"], 0.0, 255.0),
    }
    files[_FACE] = {
        "face_detector.tflite": with_scaling(parts["face_detection_short_range"], 127.5, 127.5),
        "face_landmarks_detector.tflite": merge_face_outputs(parts["face_landmark_with_attention"]),
    }
    sums = {}
    for name, networks in files.items():
        content = bundle(networks)
        write_bytes(folder / name, content)
        sums[name] = hashlib.sha256(content).hexdigest()
        say(f"assembled {name} ({len(content) / 1e6:.1f} MB)")
    write_bytes(folder / _LICENCE, licence)
    _write_sums(folder, sums)


def _read_sums(folder: Path) -> dict[str, str]:
    """Read the hashes of the files that were stored in a folder."""
    path = folder / _SUMS
    if not path.is_file():
        return {}
    try:
        text = read_bytes(path).decode("ascii", "replace")
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read: {error.strerror or error}", hint=f"Delete it. {_PULL}"
        ) from None
    # A line that is damaged vouches for no file: that one is told of, and fetched again.
    lines = (line.split() for line in text.splitlines())
    return {fields[1]: fields[0] for fields in lines if len(fields) == 2 and text.isascii()}


def _write_sums(folder: Path, sums: Mapping[str, str]) -> None:
    """Add to the hashes of a folder, in the form that ``sha256sum -c`` reads."""
    merged = {**_read_sums(folder), **sums}
    text = "".join(f"{digest}  {name}\n" for name, digest in sorted(merged.items()))
    write_bytes(folder / _SUMS, text.encode("ascii"))


if __name__ == "__main__":
    raise SystemExit(main())
