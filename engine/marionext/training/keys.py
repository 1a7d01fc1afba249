"""Names of files that keep what was made of something, and of nothing else."""

import hashlib
import json

__all__ = ["key_of"]


def key_of(*parts: object) -> str:
    """Return a file name for what was made of these parts."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]
