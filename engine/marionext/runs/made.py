"""Remember which single files a job has made, so that the job knows them again as its own.

A run may die between putting a file in its place and saying so. Whoever does the job again finds
the file; without a record it would have to be taken for the user's. So the hash is noted before the
file gets its name, under the hash of the job and of what it reads. Losing the notes is no harm.
"""

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from marionext import presets
from marionext.errors import OutputError
from marionext.files import hash_files, read_json, sha256_of, write_json
from marionext.jobs import Job, encode_job

__all__ = ["Made"]

_FOLDER = "made"
_MOST = 500
"""Notes that are kept, the newest."""


class Made:
    """What a job has made before, if that is known.

    Args:
        job: with absolute paths.
        files: that it reads.
    """

    def __init__(self, job: Job, files: Sequence[Path]) -> None:
        """Look the job up."""
        try:
            whole = {"job": encode_job(job), "inputs": hash_files(files)}
        except OSError:
            whole = {"job": encode_job(job), "inputs": ""}  # said where they are read
        text = json.dumps(whole, sort_keys=True)
        self._note = presets.home() / _FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()}.json"

    def holds(self, path: Path) -> bool:
        """Tell whether a file is, to the byte, what the job has made there."""
        try:
            noted = read_json(self._note)
            return isinstance(noted, dict) and noted.get(str(path)) == sha256_of(path)
        except (OSError, ValueError):
            return False

    def note(self, contents: Mapping[Path, bytes]) -> None:
        """Note what is going to be written; to be called before the first file gets its name."""
        with contextlib.suppress(OutputError, OSError):
            digests = {
                str(path): hashlib.sha256(text).hexdigest() for path, text in contents.items()
            }
            write_json(self._note, digests)
            notes = sorted(self._note.parent.glob("*.json"), key=lambda path: path.stat().st_mtime)
            for old in notes[:-_MOST]:
                old.unlink(missing_ok=True)
