"""Which bone of a rig plays which role: presets, detection, and a report a person can check.

Rigs are told apart by the names of their bones. Names are compared without case, separators and
width of characters, and behind any prefix or suffix that the whole rig shares (``mixamorig1:``,
``Armature|``, ``Character1_``), so a preset lists plain names only. A VRM file's own map goes
before names. What no preset knows is guessed from words and from the hierarchy, and marked so.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from marionext import presets
from marionext.errors import MotionError, SettingsError
from marionext.files import read_toml, reading, write_text
from marionext.motion.animation import JointAnimation
from marionext.motion.guessing import guess_bones
from marionext.motion.roles import CORE, ESSENTIAL, FINGERS, ROLES, SIDED, SIDES, finger_roles

__all__ = [
    "RigMapping",
    "RigPreset",
    "likely_bones",
    "load_presets",
    "map_bones",
    "map_rig",
    "read_preset",
    "write_preset",
]

_ANCHORS = ("hips", "head", "left_upper_arm", "left_forearm", "left_shin", "left_hand")
_MOST_AFFIXES = 8
_ENOUGH = 8
"""Core roles a preset must find (of 14) to be taken as the rig's convention."""

_LIMBS = (
    (("upper_arm", "forearm", "hand"), ("clavicle",)),
    (("thigh", "shin", "foot"), ("toe", "toe_end")),
    *((tuple(f"{finger}_{joint}" for joint in "123"), (f"{finger}_tip",)) for finger in FINGERS),
)
"""For each limb the roles that are a chain of it, and those that go with them."""

_VRM_PARTS = {
    "eye": "Eye", "clavicle": "Shoulder", "upper_arm": "UpperArm", "forearm": "LowerArm",
    "hand": "Hand", "thigh": "UpperLeg", "shin": "LowerLeg", "foot": "Foot", "toe": "Toes",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class RigPreset:
    """The bone names of one convention."""

    name: str
    """As the user types it: the stem of its file."""
    title: str
    """As it is shown."""
    about: str = ""
    """Where such rigs come from, in a sentence."""
    prefix: str = ""
    """What its bones usually begin with; any other is tolerated."""
    marks: tuple[str, ...] = ()
    """Bones that only this convention has: they decide between look-alikes."""
    bones: Mapping[str, tuple[str, ...]]
    """For each role the names it may have, the best first."""
    file: Path | None = field(default=None, compare=False)
    """Where it was read from, if it is the user's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RigMapping:
    """Which bone plays which role in one rig."""

    preset: str
    """Name of the preset, ``humanoid`` (the file's own map) or ``guessed``."""
    title: str
    """The same for people to read."""
    bones: Mapping[str, str]
    """Role to bone name."""
    guessed: frozenset[str] = frozenset()
    """Roles whose bone was guessed from words or hierarchy: worth a look."""
    file: Path | None = None
    """The file of the user's own preset, if that named the bones."""

    def __post_init__(self) -> None:
        """Refuse roles that do not exist, and rigs of which no body can be drawn.

        Raises:
            SettingsError: a role is unknown.
            MotionError: an upper arm has no bone.
        """
        for role in self.bones:
            _check_role(role)
        lacking = [role for role in ESSENTIAL if role not in self.bones]
        if lacking:
            raise MotionError(
                f"the mapping has no bone for {' and '.join(lacking)}: without the shoulders no "
                "body can be drawn",
                hint="Name the bones by hand, or choose another preset.",
            )

    @property
    def mapped(self) -> tuple[str, ...]:
        """Roles whose bone a preset, the file itself or the user named."""
        return tuple(role for role in ROLES if role in self.bones and role not in self.guessed)

    @property
    def missing(self) -> tuple[str, ...]:
        """Roles without a bone. Most have a stand-in; see `coverage`."""
        return tuple(role for role in ROLES if role not in self.bones)

    @property
    def lacking(self) -> tuple[str, ...]:
        """Roles of the body without a bone: left out, or placed by their neighbours."""
        return tuple(role for role in CORE if role not in self.bones)

    @property
    def body_points(self) -> int:
        """How many of the 18 body points come from bones; the head carries five."""
        have = self.bones
        body = 3 + 5 * ("head" in have)
        for side in SIDES:
            # A joint is the head of one bone and the tail of the one before it.
            arm = [f"{side}_{part}" in have for part in ("upper_arm", "forearm", "hand")]
            leg = [f"{side}_{part}" in have for part in ("thigh", "shin", "foot")]
            body += leg[0]
            body += sum(here or after for limb in (arm, leg) for here, after in pairwise(limb))
        return body

    @property
    def hand_points(self) -> int:
        """How many of the 42 hand points come from bones; the others are a hand at rest."""
        return sum(
            1 + sum(self._finger_points(side, finger) for finger in FINGERS)
            for side in SIDES
            if f"{side}_hand" in self.bones
        )

    @property
    def coverage(self) -> str:
        """What of the keypoints comes from bones: ``body 18/18, hands 42/42, face from ...``."""
        hands = self.hand_points
        text = [f"body {self.body_points}/18", f"hands {hands}/42"]
        if hands < 42:
            text[-1] += " (the rest is a hand at rest)"
        return ", ".join([*text, self.face_source])

    @property
    def face_source(self) -> str:
        """Where the face comes from, for people to read."""
        have = self.bones
        if "head" not in have:
            return "no face (no head bone)"
        if have["head"] == have.get("neck"):
            return "face on the neck's end (no head bone)"
        extras = [
            name
            for name, found in (
                ("eyes", "left_eye" in have and "right_eye" in have),
                ("jaw", "jaw" in have),
            )
            if found
        ]
        return "face from the head bone" + (f" with {' and '.join(extras)}" if extras else "")

    def _finger_points(self, side: str, finger: str) -> int:
        """Count the points of a finger that come from its bones; two bones are enough for all."""
        first, second, third, _ = finger_roles(side, finger)
        return 4 * (second in self.bones and (first in self.bones or third in self.bones))

    def with_bones(self, changes: Mapping[str, str | None]) -> Self:
        """Return a copy in which the user has set some roles; None takes a role's bone away.

        Raises:
            SettingsError: a role is unknown.
            MotionError: an upper arm was taken away.
        """
        for role in changes:
            _check_role(role)
        bones = {role: bone for role, bone in self.bones.items() if role not in changes}
        bones |= {role: bone for role, bone in changes.items() if bone}
        return replace(self, bones=bones, guessed=self.guessed - set(changes))

    def mirrored(self) -> Self:
        """Return the mapping of the rig's mirror image, whose left arm is on its other side."""
        return replace(
            self,
            bones={_other_side(role): bone for role, bone in self.bones.items()},
            guessed=frozenset(map(_other_side, self.guessed)),
        )

    def as_preset(self, name: str, title: str | None = None) -> RigPreset:
        """Return these bones as a preset for rigs of the same make."""
        bones = {role: (self.bones[role],) for role in ROLES if role in self.bones}
        return RigPreset(name=name, title=title or name, bones=bones)


def _other_side(role: str) -> str:
    side, _, part = role.partition("_")
    other = {"left": "right", "right": "left"}.get(side)
    return f"{other}_{part}" if other else role


def _check_role(role: str) -> None:
    if role not in ROLES:
        raise SettingsError(
            f"no role of a bone is called {role!r}",
            hint=f"There are: {', '.join(ROLES[:7])}, left_upper_arm, left_forearm and so on.",
        )


def _sides(value: object, path: Path) -> dict[str, str]:
    if not isinstance(value, dict) or set(value) != set(SIDES):
        raise SettingsError(f"{path}: expected the sides 'left' and 'right', got {value!r}")
    return {str(side): str(text) for side, text in value.items()}


def _expand(data: Mapping[str, Any], path: Path) -> dict[str, tuple[str, ...]]:
    """Write out sides and fingers: ``finger_1 = "{side}Hand{finger}1"`` becomes ten roles."""
    sides = _sides(data.get("sides", {"left": "", "right": ""}), path)
    short = _sides(data.get("short_sides", sides), path)
    words = data.get("fingers", {})
    if not isinstance(words, dict) or not set(words) <= set(FINGERS):
        raise SettingsError(f"{path}: expected words for {', '.join(FINGERS)}, got {words!r}")
    bones: dict[str, tuple[str, ...]] = {}

    def add(role: str, names: tuple[str, ...], **parts: str) -> None:
        try:
            bones[role] = tuple(name.format(**parts) for name in names)
        except (KeyError, IndexError, ValueError):
            raise SettingsError(f"{path}: cannot fill in {names} of {role!r}") from None

    # Patterns for all fingers come first, so that one finger's own line replaces them.
    entries = sorted(data.get("bones", {}).items(), key=lambda item: item[0][:7] != "finger_")
    for key, value in entries:
        names = tuple(value) if isinstance(value, list) else (value,)
        if not names or not all(isinstance(name, str) for name in names):
            raise SettingsError(f"{path}: bones.{key} is a name or a list of names, got {value!r}")
        if key in ROLES:
            # Names a user saved are taken as they are: they may hold braces.
            bones[key] = names
            continue
        kind, _, joint = key.partition("_")
        for side in SIDES:
            parts = {"side": sides[side], "short": short[side]}
            if kind == "finger":
                for finger in FINGERS:
                    if f"{finger}_{joint}" not in SIDED:
                        raise SettingsError(f"{path}: no role is called {key!r}")
                    if finger in words:
                        role = f"{side}_{finger}_{joint}"
                        add(role, names, finger=str(words[finger]), **parts)
            elif key in SIDED:
                add(f"{side}_{key}", names, **parts)
            else:
                raise SettingsError(f"{path}: no role is called {key!r}")
    return bones


def read_preset(path: Path) -> RigPreset:
    """Read a rig preset.

    Raises:
        SettingsError: the file cannot be read, is no TOML, or names an unknown role or key.
    """
    try:
        data = read_toml(path)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path}: not a rig preset: {error}") from None
    with reading(path, SettingsError, "a rig preset"):
        return _preset(path, data)


def _preset(path: Path, data: dict[str, Any]) -> RigPreset:
    known = {"title", "about", "prefix", "marks", "sides", "short_sides", "fingers", "bones"}
    unknown = set(data) - known
    if unknown:
        raise SettingsError(f"{path}: unknown key {min(unknown)!r}")
    if not isinstance(data.get("bones"), dict) or not data["bones"]:
        raise SettingsError(f"{path}: a rig preset has a table 'bones'")
    return RigPreset(
        name=path.stem,
        title=str(data.get("title", path.stem)),
        about=str(data.get("about", "")),
        prefix=str(data.get("prefix", "")),
        marks=tuple(str(mark) for mark in data.get("marks", ())),
        bones=_expand(data, path),
        file=path,
    )


def write_preset(path: Path, preset: RigPreset) -> None:
    """Write a preset as TOML, whole or not at all.

    Raises:
        OutputError: the folder cannot be written to.
    """

    def text(value: object) -> str:
        # TOML's basic strings are JSON's but for DEL, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")

    lines = [f"title = {text(preset.title)}"]
    lines += [
        f"{key} = {text(value)}" for key in ("about", "prefix") if (value := getattr(preset, key))
    ]
    if preset.marks:
        lines.append(f"marks = {text(list(preset.marks))}")
    lines += ["", "[bones]"]
    for role, names in preset.bones.items():
        lines.append(f"{role} = {text(names[0] if len(names) == 1 else list(names))}")
    write_text(path, "\n".join(lines) + "\n")


@cache
def _builtin() -> tuple[RigPreset, ...]:
    return tuple(replace(preset, file=None) for preset in _read_folder(presets.folder("rigs")))


def _read_folder(folder: Path) -> tuple[RigPreset, ...]:
    return tuple(read_preset(path) for path in sorted(folder.glob("*.toml")))


def load_presets(*folders: Path) -> tuple[RigPreset, ...]:
    """Return the built-in presets, then the user's own: those of more folders.

    Without any, the user's folder is ``rigs`` in the folder of `marionext.presets.home`.

    Raises:
        SettingsError: a file is not a rig preset.
    """
    own = folders or (presets.home() / "rigs",)
    more = (preset for folder in own if folder.is_dir() for preset in _read_folder(folder))
    return (*_builtin(), *more)


def _plain(name: str) -> str:
    """Reduce a name to what conventions agree on: no case, separators or full-width forms."""
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())


@cache
def _plain_names(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_plain(name) for name in names))


def _by_plain(names: Sequence[str]) -> dict[str, str]:
    """Return the bones by plain name; of two alike the first, which is nearer to the root."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(_plain(name), name)
    return found


def _affixes(preset: RigPreset, bones: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the prefixes and suffixes that the rig may have put around the preset's names."""
    seen: Counter[tuple[str, str]] = Counter()
    for role in _ANCHORS:
        for word in _plain_names(preset.bones.get(role, ())):
            for bone in bones:
                before, found, after = bone.partition(word)
                if found:
                    seen[before, after] += 1
    likely = [pair for pair, _ in seen.most_common(_MOST_AFFIXES)]
    return [("", ""), *(pair for pair in likely if pair != ("", ""))]


def _match(preset: RigPreset, bones: Mapping[str, str], affix: tuple[str, str]) -> dict[str, str]:
    before, after = affix
    found: dict[str, str] = {}
    used: set[str] = set()
    for role, names in preset.bones.items():
        for word in _plain_names(names):
            bone = bones.get(f"{before}{word}{after}")
            if bone is None and before:
                bone = bones.get(f"{word}{after}")
            # A bone may play two roles only where the preset leaves no choice.
            if bone is not None and (bone not in used or len(names) == 1):
                found[role] = bone
                used.add(bone)
                break
    return found


def _core(bones: Mapping[str, str]) -> int:
    return sum(role in bones for role in CORE)


def _best_match(
    preset: RigPreset, names: Sequence[str], plain: Mapping[str, str]
) -> tuple[tuple[int, ...], dict[str, str]]:
    """Return how well a preset fits (compared like numbers, higher is better) and its bones."""
    marks = sum(_plain(mark) in plain for mark in preset.marks)
    exact = {preset.prefix + name for options in preset.bones.values() for name in options}
    exact |= {name for options in preset.bones.values() for name in options}
    raw = len(exact.intersection(names))
    best: tuple[tuple[int, ...], dict[str, str]] = ((), {})
    for affix in _affixes(preset, plain):
        found = _match(preset, plain, affix)
        usual = affix in {("", ""), (_plain(preset.prefix), "")}
        score = (_core(found), marks > 0, len(found) + marks, raw, usual, -len("".join(affix)))
        if score > best[0]:
            best = (score, found)
    return best


def _from_humanoid(humanoid: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Read a VRM's own map; VRM 0 and 1 differ in the thumb's names."""
    wanted = {role: role for role in ("hips", "spine", "chest", "neck", "head", "jaw")}
    wanted["chest"] = "upperChest" if "upperChest" in humanoid else "chest"
    for side in SIDES:
        wanted |= {f"{side}_{part}": side + name for part, name in _VRM_PARTS.items()}
        for finger in FINGERS:
            word = "Little" if finger == "pinky" else finger.capitalize()
            joints = ["Proximal", "Intermediate", "Distal"]
            if finger == "thumb" and f"{side}ThumbMetacarpal" in humanoid:
                joints = ["Metacarpal", "Proximal", "Distal"]
            for number, joint in enumerate(joints, 1):
                wanted[f"{side}_{finger}_{number}"] = f"{side}{word}{joint}"
    present = set(names)
    found = {role: humanoid[key] for role, key in wanted.items() if key in humanoid}
    return {role: bone for role, bone in found.items() if bone in present}


def _add_ends(
    bones: dict[str, str],
    names: Sequence[str],
    parents: NDArray[np.int64],
    rest_heads: NDArray[np.float64] | None,
) -> None:
    """Give tips of fingers and toes the bone after the last one, where a rig has it."""
    index = {name: number for number, name in enumerate(names)}
    used = set(bones.values())
    ends = [(roles[2], roles[3]) for s in SIDES for f in FINGERS for roles in [finger_roles(s, f)]]
    ends += [(f"{side}_toe", f"{side}_toe_end") for side in SIDES]
    for last, end in ends:
        if last not in bones or end in bones or bones[last] not in index:
            continue
        after = np.flatnonzero(parents == index[bones[last]])
        if len(after) != 1 or names[after[0]] in used:
            continue
        if rest_heads is None or _goes_on(index[bones[last]], int(after[0]), parents, rest_heads):
            bones[end] = names[after[0]]


def _goes_on(
    last: int, end: int, parents: NDArray[np.int64], rest_heads: NDArray[np.float64]
) -> bool:
    """Tell whether a bone's child lies ahead of it, as the end of a finger does."""
    step = rest_heads[end] - rest_heads[last]
    before = rest_heads[last] - rest_heads[parents[last]] if parents[last] >= 0 else step
    reach = float(np.linalg.norm(step))
    return reach > 0 and float(step @ before) >= 0


def map_bones(
    names: Sequence[str],
    parents: NDArray[np.int64],
    rest_heads: NDArray[np.float64] | None = None,
    rest_tails: NDArray[np.float64] | None = None,
    *,
    humanoid: Mapping[str, str] | None = None,
    preset: str | RigPreset | None = None,
    folders: Sequence[Path] = (),
) -> RigMapping:
    """Find the bone of every role.

    Args:
        names: bone names as they are in the rig.
        parents: (bones,), index of the parent or -1.
        rest_heads: (bones, 3) at rest; with them even nameless bones can be guessed.
        rest_tails: (bones, 3) at rest.
        humanoid: the file's own map, from VRM names to bones.
        preset: a preset or its name, the path of a ``.toml``, ``humanoid``, ``guessed``, or None
            to detect it.
        folders: folders with presets of the user's own; see `load_presets`.

    Raises:
        SettingsError: there is no such preset.
        MotionError: no body can be found in the rig; the message lists its bones.
    """
    known = load_presets(*folders)
    if isinstance(preset, str) and preset.endswith(".toml"):
        preset = read_preset(Path(preset))
    elif isinstance(preset, str) and preset not in {"humanoid", "guessed"}:
        preset = _chosen(preset, known)
    convention = _named(names, humanoid, preset, known)
    bones = convention.bones
    _add_ends(bones, names, parents, rest_heads)
    guesses = guess_bones(names, parents, rest_heads, rest_tails, known=bones)
    bones |= guesses
    guessed = set(guesses)
    if convention.detected:
        # By words only: a guess by shape takes twist bones for limbs.
        guessed |= _mend_limbs(bones, guess_bones(names, parents), names, parents)
    _add_ends(bones, names, parents, rest_heads)
    if "head" not in bones and "neck" in bones and names.index(bones["neck"]) not in parents:
        bones["head"] = bones["neck"]
        guessed.add("head")
    upright = "head" in bones or ("left_thigh" in bones and "right_thigh" in bones)
    if not upright or not all(role in bones for role in ESSENTIAL):
        raise _no_match(names, convention.nearest, bones)
    return RigMapping(
        preset=convention.name,
        title=convention.title,
        bones=bones,
        guessed=frozenset(guessed & set(bones)),
        file=convention.file,
    )


def likely_bones(names: Sequence[str], parents: NDArray[np.int64]) -> dict[str, str]:
    """Return the bones that names alone tell, few or many: role to name.

    What readers of files need to know which way a skeleton stands, before there is a rest pose.

    Raises:
        SettingsError: a preset of the user's own is broken.
    """
    convention = _named(names, None, None, load_presets())
    bones = convention.bones
    bones |= guess_bones(names, parents, known=bones)
    if convention.detected:
        _mend_limbs(bones, guess_bones(names, parents), names, parents)
    return bones


def _mend_limbs(
    bones: dict[str, str],
    alone: Mapping[str, str],
    names: Sequence[str],
    parents: NDArray[np.int64],
) -> set[str]:
    """Take limbs from a guess where a convention fits in part only, in place.

    Names mean other bones in other conventions ("leg_L" is a shin or a thigh, "LeftShoulder" a
    collar bone or an upper arm). A limb is a chain of parents and children; one that lacks a bone,
    or passes one over, is the guess's if that is closer.

    Returns:
        The roles that are guessed now.
    """
    index = {name: number for number, name in enumerate(names)}
    mended: set[str] = set()
    for chain, others in _LIMBS:
        if _looseness(bones, chain, index, parents) <= _looseness(alone, chain, index, parents):
            continue
        roles = {f"{side}_{part}" for side in SIDES for part in (*chain, *others)}
        taken = {alone[role] for role in roles if role in alone}
        for role in [role for role, bone in bones.items() if role in roles or bone in taken]:
            del bones[role]
        found = {role: alone[role] for role in roles if role in alone}
        bones |= found
        mended |= set(found)
    # What lost its bone to a limb may have another one.
    used = set(bones.values())
    for role, bone in alone.items() if mended else ():
        if role not in bones and bone not in used:
            bones[role] = bone
            used.add(bone)
            mended.add(role)
    return mended


def _looseness(
    bones: Mapping[str, str],
    chain: Sequence[str],
    index: Mapping[str, int],
    parents: NDArray[np.int64],
) -> float:
    """Count the bones that a limb passes over on both sides; infinite where it is no chain."""
    passed = 0
    for side in SIDES:
        limb = [index.get(bones.get(f"{side}_{part}", ""), -1) for part in chain]
        if -1 in limb:
            return float("inf")
        for above, below in pairwise(limb):
            bone = int(parents[below])
            while bone >= 0 and bone != above:
                bone = int(parents[bone])
                passed += 1
            if bone < 0:
                return float("inf")
    return passed


def _chosen(name: str, known: Sequence[RigPreset]) -> RigPreset:
    # A user's preset takes the place of a built-in one of the same name.
    found = next((preset for preset in reversed(known) if preset.name == name), None)
    if found is None:
        raise SettingsError(
            f"no rig preset is called {name!r}",
            hint=f"There are: {', '.join(preset.name for preset in known)}.",
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Convention:
    """What names a rig's bones."""

    name: str
    title: str
    bones: dict[str, str]
    nearest: str
    """Title of the preset that fits best."""
    detected: bool = False
    """A preset was chosen because it fits, and by nobody."""
    file: Path | None = None
    """The preset's, if it is not one of ours."""


def _by_preset(preset: RigPreset, bones: dict[str, str], *, detected: bool) -> _Convention:
    return _Convention(
        name=preset.name,
        title=preset.title,
        bones=bones,
        nearest=preset.title,
        detected=detected,
        file=preset.file,
    )


def _named(
    names: Sequence[str],
    humanoid: Mapping[str, str] | None,
    preset: str | RigPreset | None,
    known: Sequence[RigPreset],
) -> _Convention:
    """Return the convention of a rig's names."""
    plain = _by_plain(names)
    if isinstance(preset, RigPreset):
        return _by_preset(preset, _best_match(preset, names, plain)[1], detected=False)
    if preset == "humanoid" and not humanoid:
        raise SettingsError("the file has no humanoid map of its own: it is not a VRM")
    if humanoid and preset != "guessed":
        found = _from_humanoid(humanoid, names)
        if preset == "humanoid" or _core(found) >= _ENOUGH:
            return _Convention(
                name="humanoid", title="VRM humanoid", bones=found, nearest="VRM humanoid"
            )
    if preset != "guessed" and (own := _saved_for(names, known)) is not None:
        saved = {role: bones[0] for role, bones in own.bones.items()}
        return _by_preset(own, saved, detected=False)
    ranked = [(_best_match(candidate, names, plain), candidate) for candidate in known]
    (_, found), likely = max(ranked, key=lambda item: item[0][0])
    if preset != "guessed" and _core(found) >= _ENOUGH:
        return _by_preset(likely, found, detected=True)
    return _Convention(
        name="guessed", title="guessed from names and shape", bones={}, nearest=likely.title
    )


def _saved_for(names: Sequence[str], known: Sequence[RigPreset]) -> RigPreset | None:
    """Return the user's preset that was saved for rigs with these very bones, if there is one.

    A mapping mended by hand goes before what a convention says of the same names.
    """
    present = set(names)
    own = [preset for preset in known if preset not in _builtin()]
    fitting = [
        preset
        for preset in own
        if _core(dict.fromkeys(preset.bones, "")) >= _ENOUGH
        and all(bones[0] in present for bones in preset.bones.values())
    ]
    return max(fitting, key=lambda preset: len(preset.bones), default=None)


def _no_match(names: Sequence[str], nearest: str, bones: Mapping[str, str]) -> MotionError:
    shown = ", ".join(names[:60]) + (f" and {len(names) - 60} more" if len(names) > 60 else "")
    lacking = [role for role in CORE if role not in bones]
    return MotionError(
        f"no body was recognised in the rig: no bone for {', '.join(lacking)}. Its bones: {shown}",
        hint=f"The nearest preset is {nearest or 'unknown'}. Name the bones by hand, or give a "
        "preset of your own (a .toml file with roles and bone names).",
    )


def map_rig(
    animation: JointAnimation,
    preset: str | RigPreset | None = None,
    *,
    overrides: Mapping[str, str | None] | None = None,
    folders: Sequence[Path] = (),
) -> RigMapping:
    """Find the bone of every role in an animation's skeleton; see `map_bones`.

    Args:
        animation: the skeleton, and its VRM map if it has one.
        preset: a preset or its name, the path of a ``.toml``, or None to detect it.
        overrides: roles set by hand; None takes a role's bone away.
        folders: folders with presets of the user's own; see `load_presets`.

    Raises:
        SettingsError: a preset or role is unknown, or a bone in ``overrides`` does not exist.
        MotionError: no body can be found in the rig.
    """
    by_hand = {role: bone for role, bone in (overrides or {}).items() if bone}
    for role, bone in by_hand.items():
        _check_role(role)
        if bone not in animation.names:
            raise SettingsError(f"{role}: the skeleton has no bone {bone!r}")
    try:
        found = map_bones(
            animation.names,
            animation.parents,
            animation.rest_heads,
            animation.rest_tails,
            humanoid=animation.humanoid,
            preset=preset,
            folders=folders,
        )
    except MotionError:
        if not all(role in by_hand for role in ESSENTIAL):
            raise
        return RigMapping(preset="custom", title="set by hand", bones=by_hand)
    return found.with_bones(overrides) if overrides else found
