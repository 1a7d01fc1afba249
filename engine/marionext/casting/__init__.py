"""Who plays: a character's files, its picture and pose, and the doll that is made of them once."""

from marionext.casting.character_files import CharacterFiles, find_files, pose_beside, read_picture
from marionext.casting.dolls import doll_pose, open_doll
from marionext.casting.keeping import dolls_folder, read_kept, write_kept
from marionext.casting.layered import DOLL_FILE, is_layered, layered_files, write_layered

__all__ = [
    "DOLL_FILE",
    "CharacterFiles",
    "doll_pose",
    "dolls_folder",
    "find_files",
    "is_layered",
    "layered_files",
    "open_doll",
    "pose_beside",
    "read_kept",
    "read_picture",
    "write_kept",
    "write_layered",
]
