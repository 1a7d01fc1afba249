"""One run at a time in a folder: a lock that the operating system lifts when its holder dies."""

from pathlib import Path

from marionext.locking import FileLock

__all__ = ["LOCK_FILE", "FolderLock"]

LOCK_FILE = ".marionext.lock"


class FolderLock(FileLock):
    """Holds a folder for one run; a context manager."""

    def __init__(self, folder: Path) -> None:
        """Take the lock, making the folder if need be.

        Raises:
            OutputError: another run holds it, or the folder cannot be written to.
        """
        self.folder = folder
        super().__init__(
            folder / LOCK_FILE,
            str(folder),
            "Wait for it to finish, stop it, or choose another output folder.",
        )
