"""Where the desktop keeps what is its own: settings, caches, autosaves.

Never beside the user's media; and what is in a cache can be made again.
"""

import hashlib
import json
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from marionext import presets
from marionext.codec import encode
from marionext_desktop.model.project import Source, Stamp

__all__ = [
    "autosave_folder",
    "cache_folder",
    "home",
    "keep_small",
    "stamp_of",
    "takes_folder",
    "track_name",
]

_EDGE = 1 << 20


def home() -> Path:
    """Return the desktop's own folder; it need not exist yet."""
    return presets.home() / "desktop"


def cache_folder(what: str) -> Path:
    """Return the folder of a cache: ``tracks``, ``proxies``, ``thumbnails`` ..."""
    return home() / "cache" / what


def autosave_folder() -> Path:
    """Return where unsaved work is kept."""
    return home() / "autosave"


def takes_folder(project_file: Path | None) -> Path:
    """Return where the renders of a project go: beside it, or here while it has no file."""
    if project_file is None:
        return home() / "takes"
    return project_file.with_name(f"{project_file.stem} takes")


def keep_small(folder: Path, limit: int, keep: Collection[Path]) -> None:
    """Remove the files of a cache that were used longest ago, where all are too large together.

    Args:
        folder: of the cache, files of ours alone.
        limit: bytes.
        keep: files that are in use.
    """
    with suppress(OSError):
        found = [(path, path.stat()) for path in folder.iterdir() if path.is_file()]
        total = sum(each.st_size for _, each in found)
        for path, each in sorted(found, key=lambda item: item[1].st_mtime):
            if total <= limit:
                return
            if path not in keep:
                path.unlink(missing_ok=True)
                total -= each.st_size


def track_name(source: Source) -> str:
    """Return the name of the file that a source's poses are kept in.

    Equal media read in equal ways have the same, wherever they lie.
    """
    digest = source.stamp.digest if source.stamp is not None else source.path
    whole = json.dumps([digest, encode(source.reading), source.size if source.size[0] else None])
    return hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:32] + ".npz"


def stamp_of(path: Path) -> Stamp:
    """Look at a media file, or a folder of them.

    Two megabytes of it are read: enough to tell media apart, and quick for hours of video.

    Raises:
        OSError: it is not there, or cannot be read.
    """
    digest = hashlib.sha256()
    found = path.stat()
    if path.is_dir():
        size = modified = 0
        for item in sorted(path.iterdir()):
            if item.is_file():
                each = item.stat()
                size, modified = size + each.st_size, max(modified, each.st_mtime_ns)
                digest.update(f"{item.name}\0{each.st_size}\0".encode(errors="surrogatepass"))
        return Stamp(size=size, modified=modified, digest=digest.hexdigest())
    digest.update(f"{found.st_size}\0".encode())
    with path.open("rb") as file:
        digest.update(file.read(_EDGE))
        if found.st_size > 2 * _EDGE:
            file.seek(-_EDGE, os.SEEK_END)
        digest.update(file.read(_EDGE))
    return Stamp(size=found.st_size, modified=found.st_mtime_ns, digest=digest.hexdigest())
