"""Fetch a model's files from the hub.

The only module that goes online, and only when it is asked to. Every file is written under a
temporary name, taken up again where a broken download left it, compared with the hash that the hub
states, and put in its place only when all of them are there: what bears a bundle's name is whole.

`huggingface_hub` knows the addresses, the login and the retries. Its own ``hf_hub_download`` throws
a partial file away when the process ends (huggingface_hub 2.4), which hurts at six gigabytes, so
the files are streamed through its ``http_get`` into files of our own.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from huggingface_hub import constants, get_hf_file_metadata, get_token, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import (  # type: ignore[attr-defined]
    build_hf_headers,
    disable_progress_bars,
)

from marionext.bundles import FileRecord, ModelBundle, ModelFile, install_hint
from marionext.errors import EngineError, ModelError, OutputError
from marionext.files import sha256_of, sync_folder
from marionext.intake import (
    Cancelled,
    Meter,
    OnProgress,
    explained,
    fetchable,
    incoming_folder,
    put_in_place,
    wanted_files,
)

__all__ = ["pull"]

SPARE_BYTES = 256 << 20
"""Disk that a download leaves free."""

_TRANSPORT_ERROR: type[Exception] = HfHubHTTPError.__mro__[1]
"""Base error of the HTTP library of the hub's client, which differs between its versions."""

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_BLOB = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class _Remote:
    """A file as the hub describes it."""

    name: str
    """Path in the bundle's folder."""
    url: str
    etag: str
    size: int
    source: str
    pinned: str | None


def pull(
    name: str,
    *,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled | None = None,
    endpoint: str | None = None,
) -> ModelBundle:
    """Fetch what is missing of a known model; goes online.

    Args:
        name: of the model.
        on_progress: told some times a second.
        cancelled: asked as often; what has come is kept for the next time.
        endpoint: address of the hub; None: ``HF_ENDPOINT``, else the public one.

    Raises:
        ModelError: unknown model; licence not accepted; hub not reached; a file is not there or
            does not hash to what the hub states.
        OutputError: no room, or the folder cannot be written.
        JobCancelled: as asked.
    """
    bundle = fetchable(name)
    if not bundle.card.repositories:
        raise ModelError(f"{name!r} is not fetched by Marionext", hint=install_hint(bundle))
    wanted = wanted_files(bundle)
    if not wanted:
        return bundle
    with incoming_folder(bundle) as incoming:
        remotes = [_look_up(bundle, file, endpoint) for file in wanted]
        _require_room(bundle, incoming, remotes)
        meter = Meter(sum(remote.size for remote in remotes), on_progress, cancelled)
        records = {}
        for remote in remotes:
            records[remote.name] = _fetch(bundle, remote, incoming / remote.name, meter)
        put_in_place(bundle, incoming, records)
    return bundle


def _look_up(bundle: ModelBundle, file: ModelFile, endpoint: str | None) -> _Remote:
    """Ask the hub for size and hash; of a file's names, the first that the hub has counts."""
    names = (file.path,) if file.source else file.names
    for name in names:
        remote_name = file.source or name
        url = hf_hub_url(file.repository or "", remote_name, endpoint=endpoint)
        with _translated(bundle, file):
            try:
                found = get_hf_file_metadata(url, token=get_token(), endpoint=endpoint)
            except RemoteEntryNotFoundError:
                continue
        if found.etag is None or found.size is None:
            raise ModelError(f"{file.repository}: no size or hash is stated for {remote_name}")
        commit = found.commit_hash or "main"
        pinned = hf_hub_url(file.repository or "", remote_name, revision=commit, endpoint=endpoint)
        source = f"{file.repository}@{commit}:{remote_name}"
        return _Remote(name, pinned, found.etag, found.size, source, file.sha256)
    raise ModelError(
        f"{file.repository} has no file called {' or '.join(names)}",
        hint="It may have moved. Fetch it by hand and use "
        f"'marionext models pull {bundle.name} --from FOLDER'.",
    )


def _fetch(bundle: ModelBundle, remote: _Remote, target: Path, meter: Meter) -> FileRecord:
    """Bring one file to the incoming folder, going on where an earlier run stopped."""
    part = target.with_name(f"{target.name}.{remote.etag[:12]}.part")
    if not target.is_file() or target.stat().st_size != remote.size:
        disable_progress_bars()
        if part.is_file() and part.stat().st_size > remote.size:
            part.unlink()
        file = ModelFile(path=remote.name, repository=remote.source.partition("@")[0])
        with explained(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            with _translated(bundle, file), _MeteredFile(part, remote.name, meter) as stream:
                http_get(
                    remote.url,
                    stream,  # type: ignore[arg-type]
                    resume_size=stream.resumed,
                    headers=build_hf_headers(token=get_token()),
                    expected_size=remote.size,
                    displayed_filename=remote.name,
                )
            part.replace(target)
            sync_folder(target.parent)
    digest = sha256_of(target, meter.reader(remote.name))
    for expected, got in (
        (remote.pinned, digest),
        (remote.etag, _hash_like(target, remote.etag, digest)),
    ):
        if expected is not None and got is not None and got != expected:
            target.unlink()
            raise ModelError(
                f"{remote.name} does not hash to what is stated for {remote.source}: "
                f"expected {expected}, got {got}; the file has been thrown away",
                hint="The transfer was damaged or a proxy changed it: try again.",
            )
    meter.file_done(remote.name, remote.size)
    return FileRecord(size=remote.size, sha256=digest, source=remote.source)


def _hash_like(path: Path, etag: str, sha256: str) -> str | None:
    """Return the hash of the kind that an etag is: SHA-256 of large files, git's of small ones."""
    if _SHA256.fullmatch(etag):
        return sha256
    if _GIT_BLOB.fullmatch(etag):
        content = path.read_bytes()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return None


@contextlib.contextmanager
def _translated(bundle: ModelBundle, file: ModelFile) -> Iterator[None]:
    """Turn what the hub's client raises into what the user can do about it."""
    try:
        yield
    except (EngineError, RemoteEntryNotFoundError):
        raise
    except OfflineModeIsEnabled:
        raise ModelError(
            "HF_HUB_OFFLINE is set: nothing may be fetched",
            hint=f"Unset it, or use 'marionext models pull {bundle.name} --from FOLDER'.",
        ) from None
    except (GatedRepoError, RepositoryNotFoundError) as error:
        raise _refused(bundle, file, error.response.status_code) from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status in {401, 403}:
            raise _refused(bundle, file, status) from None
        raise ModelError(
            f"the hub answered {status} for {file.path} of {file.repository}",
            hint="Try again later; what has come is kept.",
        ) from None
    except _TRANSPORT_ERROR as error:
        raise ModelError(
            f"the hub could not be reached, or stopped sending {file.path}: "
            f"{str(error) or type(error).__name__}",
            hint="Check the network and run the same command again: it goes on where it stopped. "
            f"Without a network: 'marionext models pull {bundle.name} --from FOLDER'.",
        ) from None
    except OSError as error:
        if error.errno is not None:
            raise
        raise ModelError(
            f"{file.path} did not come whole: {error}",
            hint="Run the same command again: it goes on where it stopped.",
        ) from None


def _refused(bundle: ModelBundle, file: ModelFile, status: int) -> ModelError:
    page = f"{constants.ENDPOINT}/{file.repository}"
    if status == 404 and bundle.card.gated != file.repository:
        return ModelError(
            f"there is no repository {file.repository} on the hub (404), or it is not public",
            hint=f"See {page} in a browser.",
        )
    who = "your account may not fetch" if get_token() else "you are not logged in to fetch"
    return ModelError(
        f"{who} {file.repository} (the hub answered {status})",
        hint=f"Its licence has to be accepted first. {bundle.licence}\n"
        f"1. Log in with a browser and accept the licence on {page}\n"
        "2. Make an access token with read rights in the account's settings there.\n"
        "3. Run 'hf auth login' with it (or set HF_TOKEN), then the same command again.",
    )


def _require_room(bundle: ModelBundle, incoming: Path, remotes: list[_Remote]) -> None:
    there = sum(path.stat().st_size for path in incoming.rglob("*") if path.is_file())
    fetched = max(sum(remote.size for remote in remotes) - there, 0)
    # Pickled weights are kept once more as safetensors when they are first loaded.
    converted = sum(remote.size for remote in remotes if remote.name.endswith(".bin"))
    needed = fetched + converted + SPARE_BYTES
    free = shutil.disk_usage(incoming).free
    if free < needed:
        raise OutputError(
            f"{bundle.name!r} needs {needed / 1e9:.1f} GB more in {incoming.parent}, "
            f"and {free / 1e9:.1f} GB are free",
            hint="Free some space, or choose a folder on another disk with MARIONEXT_HOME.",
        )


class _MeteredFile:
    """A partial file that tells a meter what is written; its place is where it was left."""

    def __init__(self, path: Path, name: str, meter: Meter) -> None:
        self._name = name
        self._meter = meter
        self._file: IO[bytes] = path.open("ab")
        self.resumed = self._file.tell()
        """Bytes that an earlier run left."""

    def __enter__(self) -> "_MeteredFile":
        return self

    def __exit__(self, *_: object) -> None:
        # What is renamed later has reached the disk by then, and what is kept is kept.
        with contextlib.closing(self._file):
            self._file.flush()
            os.fsync(self._file.fileno())

    def write(self, data: bytes) -> int:
        """Write, and report."""
        count = self._file.write(data)
        self._meter.moved(self._name, self._file.tell(), count)
        return count

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()

    def seek(self, offset: int) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset)

    def truncate(self) -> int:
        """Cut the file off here."""
        return self._file.truncate()
