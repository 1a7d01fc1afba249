"""A base for pictures on this machine: where it is, of which family, and how it is used best."""

from dataclasses import dataclass
from pathlib import Path

from marionext import bundles, presets
from marionext.backends.pictures.families import FAMILIES, FamilyName
from marionext.backends.pictures.recognise import base_family, missing_parts, predicts_velocity
from marionext.codec import decode
from marionext.errors import ModelError, SettingsError
from marionext.files import is_folder, read_toml, sha256_of
from marionext.job_files import is_weight_file
from marionext.paths import user_path

__all__ = ["Base", "BaseDefaults", "find_base"]

_PARTS = ("scheduler", "text_encoder*", "tokenizer*", "transformer", "unet", "vae")
"""Folders of a base that pictures depend on."""
_WEIGHTS = frozenset({".bin", ".safetensors"})
_READ = frozenset({".json", ".model", ".txt"}) | _WEIGHTS
_OWN_SETTINGS = "marionext.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseDefaults:
    """How a base is used best: the ``settings`` of its card, or of ``marionext.toml`` in it."""

    steps: int = 25
    guidance: float = 7.0
    words: int | None = None
    """Tokens that Stable Diffusion 3 is told where it has no T5: none say anything, but it attends
    to each of them. None: as many as diffusers takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Where a base is and what it is."""

    path: Path
    """Folder of diffusers' layout, or a file."""
    family: FamilyName
    config: Path | None
    """Folder that a file's configurations and tokenizers are taken from."""
    vae: Path | None
    name: str | None = None
    """Of a bundle of ours."""

    @property
    def title(self) -> str:
        """What it is called in a few words: its name, or that of its folder or file."""
        return self.name or self.path.name

    @property
    def defaults(self) -> BaseDefaults:
        """How the base is used where the job says nothing.

        Raises:
            SettingsError: what the base says of itself is wrong.
        """
        own = self.own_table("settings")
        if own is not None:
            given, where = own
        elif self.name is not None:
            given, where = bundles.read_card(self.name).settings, f"the card of {self.name}"
        else:
            return BaseDefaults()
        return decode(BaseDefaults, given, path=where)

    def own_table(self, name: str) -> tuple[object, str] | None:
        """Return a table of the base's ``marionext.toml``, empty where it has none, and its place.

        None: there is no such file.

        Raises:
            SettingsError: it cannot be read.
        """
        path = self.path / _OWN_SETTINGS
        if not self.path.is_dir() or not path.is_file():
            return None
        try:
            return read_toml(path).get(name, {}), f"{path}: {name}"
        except (OSError, ValueError) as error:
            raise SettingsError(f"{path}: cannot be read: {error}") from None

    @property
    def files(self) -> dict[str, Path]:
        """Every file that pictures depend on, by its name."""
        found = _files_of(self.path, "base")
        if self.config is not None:
            found |= {
                name: path
                for name, path in _files_of(self.config, "config").items()
                if path.suffix not in _WEIGHTS or path.parent.name in self.borrowed
            }
        if self.vae is not None:
            found |= _files_of(self.vae, "vae")
        return found

    @property
    def borrowed(self) -> tuple[str, ...]:
        """The parts that a base in one file lacks, which are taken from ``config``."""
        if self.config is None or not self.path.is_file():
            return ()
        lacking = missing_parts(self.path, self.family)
        return tuple(part for part in lacking if part != "vae" or self.vae is None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth a word about how the base is put together."""
        if not self.path.is_file():
            return ()
        said = [
            f"{self.path.name} has no {part}: that of {self.config} is taken"
            for part in self.borrowed
        ]
        if predicts_velocity(self.path):
            said.append(f"{self.path.name} says that it predicts velocity (v_pred): taken as such")
        return tuple(said)

    def hashes(self) -> dict[str, str]:
        """Return the sha256 of these files, those recorded as the base was fetched where known."""
        known = _recorded(self.path)
        return {name: known.get(path) or sha256_of(path) for name, path in self.files.items()}


def _files_of(path: Path, name: str) -> dict[str, Path]:
    if path.is_file():
        return {name: path}
    if (path / "config.json").is_file():
        return {f"{name}/{each.name}": each for each in _read_of(path)}
    return {
        f"{name}/{each.relative_to(path).as_posix()}": each
        for part in _PARTS
        for folder in path.glob(part)
        for each in _read_of(folder)
    }


def _read_of(folder: Path) -> list[Path]:
    """Return the files of a part that count: pickles only where nothing else holds its weights."""
    found = sorted(each for each in folder.iterdir() if each.suffix in _READ)
    safe = any(each.suffix == ".safetensors" for each in found)
    return [each for each in found if not (safe and each.suffix == ".bin")]


def find_base(
    base: str,
    *,
    config: str | None = None,
    vae: str | None = None,
    kinds: tuple[str, ...] = ("picture",),
) -> Base:
    """Find a base and tell its family.

    Args:
        base: name of a bundle, a folder of diffusers' layout, or a checkpoint in one file.
        config: folder that a file's configurations and tokenizers are taken from; None: where the
            family's own bundle has them.
        vae: folder or file of another autoencoder.
        kinds: of cards whose models will do.

    Raises:
        ModelError: it is not there, or makes no pictures.
        SettingsError: ``config`` was given for a folder.
    """
    configured = None if config is None else user_path(config)
    autoencoder = None if vae is None else user_path(vae)
    for what, given in (("config", configured), ("vae", autoencoder)):
        if given is not None and not given.exists():
            raise ModelError(f"{what}: there is no {given}")
    if autoencoder is not None and (autoencoder / "vae" / "config.json").is_file():
        autoencoder /= "vae"  # a whole base is named, its autoencoder is meant
    if is_weight_file(base):
        path = user_path(base)
        if not path.is_file():
            raise ModelError(f"no such base: {path}")
        family = base_family(path)
        if configured is not None and base_family(configured) != family:
            raise SettingsError(
                f"config: expected a folder of {FAMILIES[family].title}, which {path.name} is of, "
                f"{configured} is of {FAMILIES[base_family(configured)].title}"
            )
        configured = configured or _configured(family)
        return Base(path=path, family=family, config=configured, vae=autoencoder)
    path = _base_folder(base, kinds)
    name = base if base in presets.names("models") else None
    if configured is not None:
        raise SettingsError(
            f"config: the base {path} is a folder and has its own",
            hint="Leave --config out; it is for a base in one file.",
        )
    return Base(path=path, family=base_family(path), config=None, vae=autoencoder, name=name)


def _base_folder(name: str, kinds: tuple[str, ...]) -> Path:
    """Return the folder of a base by its name or path."""
    names = presets.names("models")
    known = [each for each in names if bundles.read_card(each).kind in kinds]
    hint = f"There are: {', '.join(known)}; or give a folder, or a file."
    if name in known:
        return bundles.require(name).folder
    if name in names:
        raise ModelError(
            f"base {name!r}: expected a model that makes pictures, this one "
            f"{bundles.read_card(name).does}",
            hint=hint,
        )
    folder = user_path(name)
    if not is_folder(folder):
        raise ModelError(
            f"no base is called {name!r}, and there is no folder or file of that name", hint=hint
        )
    return folder


def _configured(family: FamilyName) -> Path | None:
    """Return the family's bundle, where enough of it is there to tell tokenizers and shapes."""
    folder = bundles.find(family).folder
    return folder if (folder / "model_index.json").is_file() else None


def _recorded(folder: Path) -> dict[Path, str]:
    """Return the hashes that were recorded as a base was fetched, of files of their size still."""
    if not folder.is_dir():
        return {}
    entries = {folder / name: entry for name, entry in bundles.read_record(folder).items()}
    return {
        path: entry.sha256
        for path, entry in entries.items()
        if path.is_file() and path.stat().st_size == entry.size
    }
