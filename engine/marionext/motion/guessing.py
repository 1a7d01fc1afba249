"""Guess the bones of a rig that no preset knows: by words and hierarchy, else by its shape at rest.

Words alone are ambiguous ("shoulder" is the collar bone in one rig and the upper arm in the next,
"leg" the whole leg or the shin), so each limb is settled as a chain. Rigs whose bones are called
``Bone.017`` are read from their shape: the head is the topmost end, feet are the lowest, hands
the outermost, and in each limb the two longest bones are the ones that matter.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from marionext.motion.roles import ESSENTIAL, FINGERS, SIDES, finger_roles

__all__ = ["guess_bones"]

_SIDE_WORDS = {
    "left": "left", "l": "left", "lft": "left", "lt": "left", "左": "left", "izq": "left",
    "right": "right", "r": "right", "rgt": "right", "rt": "right", "右": "right", "der": "right",
}  # fmt: skip
_HELPERS = frozenset([
    "ik", "fk", "pole", "target", "twist", "roll", "ctrl", "control", "ctl", "helper", "tweak",
    "mch", "org", "switch", "socket", "weapon", "prop", "skirt", "hair", "dress", "breast",
    "boob", "cloth", "tail", "wing", "ear", "lid", "brow", "lash", "lip", "tongue", "teeth",
    "cheek", "dummy", "shadow", "effector", "aim", "goal", "handle", "corrective", "bend",
    "rigidbody", "physics", "cape", "sleeve", "bag", "hat", "mesh", "sword", "gun", "glasses",
    "tie", "ribbon", "accessory",
])  # fmt: skip
_ENDS = frozenset(["end", "tip", "nub", "top", "site", "leaf"])
_WORDS: dict[str, str] = {}
for _kind, _spellings in {
    "hips": "hips hip pelvis hüfte cadera bassin",
    "spine": "spine abdomen waist lumbar belly stomach torso body back",
    "chest": "chest ribcage thorax ribs breastbone",
    "neck": "neck cervical",
    "head": "head skull cranium",
    "jaw": "jaw mandible",
    "eye": "eye eyeball",
    "collar": "clavicle collar collarbone clav scapula",
    "shoulder": "shoulder",
    "upperarm": "bicep biceps humerus shldr upperarm uparm",
    "arm": "arm",
    "forearm": "forearm elbow lowerarm loarm ulna radius",
    "hand": "hand wrist",
    "palm": "palm metacarpal inhand carpal",
    "thigh": "thigh femur upperleg upleg",
    "leg": "leg",
    "shin": "shin calf knee lowerleg loleg tibia",
    "foot": "foot ankle",
    "toe": "toe toes ball toebase",
    "thumb": "thumb",
    "index": "index pointer",
    "middle": "middle mid",
    "ring": "ring",
    "pinky": "pinky little pinkie",
    "finger": "finger fingers",
    "upper": "upper up",
    "lower": "lower low lo fore",
}.items():
    _WORDS |= dict.fromkeys(_spellings.split(), _kind)
_NUMBERED = {"fore": "index", "third": "ring"}
"""Words that mean a finger where a number and nothing else goes with them."""
_FILLERS = ("left", "right", "bone", "joint", "jnt", "bind", "root")
_VOCABULARY = sorted({*_WORDS, *_HELPERS, *_ENDS, *_FILLERS}, key=len, reverse=True)
_PIECES = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|[^\W\d_a-zA-Z]+|\d+")


def _split(piece: str) -> list[str]:
    """Cut run-together words (``leftupperarm``, ``lthigh``) by the vocabulary, if all fits."""
    if piece in _WORDS or piece in _SIDE_WORDS or piece in _HELPERS or len(piece) < 4:
        return [piece]
    words: list[str] = []
    rest = piece
    if rest[0] in "lr" and any(rest[1:].startswith(word) for word in _WORDS if len(word) > 2):
        words, rest = [rest[0]], rest[1:]
    while rest:
        word = next((word for word in _VOCABULARY if len(word) > 1 and rest.startswith(word)), None)
        if word is None:
            return [piece]
        words.append(word)
        rest = rest[len(word) :]
    return words


def _tokens(name: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", name)
    pieces = (piece.casefold() for piece in _PIECES.findall(plain))
    return [word for piece in pieces for word in _split(piece)]


class _Bone:
    """What the words of one bone's name say."""

    __slots__ = ("depth", "digits", "end", "helper", "kinds", "name", "number", "side", "start")

    def __init__(self, name: str, number: int, depth: int, common: frozenset[str]) -> None:
        tokens = [token for token in _tokens(name) if token not in common]
        self.name = name
        self.number = number
        self.depth = depth
        self.side = next((_SIDE_WORDS[token] for token in tokens if token in _SIDE_WORDS), "")
        self.helper = not _HELPERS.isdisjoint(tokens)
        self.end = not _ENDS.isdisjoint(tokens)
        self.digits = [int(token) for token in tokens if token.isdecimal() and len(token) < 10]
        kinds = [_WORDS[token] for token in tokens if token in _WORDS]
        for part, whole in (("arm", "{}arm"), ("leg", "{}leg")):
            for level in ("upper", "lower"):
                if part in kinds and level in kinds:
                    kinds = [_WORDS[whole.format(level)]]
        self.start = "start" in tokens
        # MikuMikuDance in English has fore1 to fore3 and third1 to third3.
        spare = next((_NUMBERED[token] for token in tokens if token in _NUMBERED), None)
        if spare and self.digits and kinds in ([], ["lower"]):
            kinds = [spare]
        self.kinds = kinds


def _depths(parents: NDArray[np.int64]) -> list[int]:
    depths: list[int] = []
    for parent in parents:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    return depths


def _read(names: Sequence[str], parents: NDArray[np.int64]) -> list[_Bone]:
    counts: dict[str, int] = {}
    for name in names:
        for token in set(_tokens(name)):
            counts[token] = counts.get(token, 0) + 1
    # A word on nearly every bone ("body_LeftArm") is the rig's name and says nothing.
    common = frozenset(word for word, count in counts.items() if count > 0.7 * len(names) + 1)
    depths = _depths(parents)
    bones = [_Bone(name, i, depths[i], common) for i, name in enumerate(names)]
    for bone in bones:
        parent = parents[bone.number]
        if not bone.side and parent >= 0 and bone.kinds:
            bone.side = bones[parent].side
    return bones


def _first(bones: Sequence[_Bone], *kinds: str) -> _Bone | None:
    """Return the bone nearest to the root that is of the first kind found at all."""
    for kind in kinds:
        found = [bone for bone in bones if kind in bone.kinds]
        if found:
            return min(found, key=lambda bone: (bone.depth, bone.number))
    return None


def _settle_arm(bones: Sequence[_Bone]) -> dict[str, _Bone | None]:
    shoulder, arm = _first(bones, "shoulder"), _first(bones, "arm")
    upper, lower = _first(bones, "upperarm"), _first(bones, "forearm")
    arms = sorted((b for b in bones if "arm" in b.kinds), key=lambda bone: bone.depth)
    if upper is None and arms and (lower is not None or len(arms) > 1 or shoulder is not None):
        upper = arms[0]
    if lower is None and arms and arms[-1] is not upper:
        lower = arms[-1] if upper is None or len(arms) < 3 else arms[1]
    if upper is None:
        upper = shoulder if lower is not None or shoulder is not None else arm
    collar = _first(bones, "collar") or (shoulder if shoulder is not upper else None)
    hand = _first(bones, "hand") or next(
        (b for b in bones if "palm" in b.kinds and "middle" in b.kinds), None
    )
    if hand is None:
        palms = sorted((b for b in bones if "palm" in b.kinds), key=lambda bone: bone.name)
        hand = palms[len(palms) // 2] if palms else None
    return {"clavicle": collar, "upper_arm": upper, "forearm": lower, "hand": hand}


def _settle_leg(bones: Sequence[_Bone]) -> dict[str, _Bone | None]:
    thigh, shin = _first(bones, "thigh"), _first(bones, "shin")
    legs = sorted((bone for bone in bones if "leg" in bone.kinds), key=lambda bone: bone.depth)
    sided_hip = _first(bones, "hips")
    if thigh is None and shin is not None:
        thigh = legs[0] if legs and legs[0] is not shin else sided_hip
    if thigh is None and len(legs) > 1:
        thigh = legs[0]
    if shin is None:
        rest = [bone for bone in legs if bone is not thigh]
        shin = rest[0] if rest else None
    if thigh is None:
        thigh = sided_hip
    return {
        "thigh": thigh,
        "shin": shin,
        "foot": _first(bones, "foot"),
        "toe": _first(bones, "toe"),
    }


def _name_numbered_fingers(bones: Sequence[_Bone]) -> None:
    """Give fingers that only have numbers (``finger3-1.L``) their names, counted from the thumb."""
    nameless = [b for b in bones if "finger" in b.kinds and not set(FINGERS) & set(b.kinds)]
    numbers = sorted({bone.digits[0] for bone in nameless if bone.digits})
    fingers = {5: FINGERS, 4: FINGERS[1:]}.get(len(numbers), ())
    for number, finger in zip(numbers, fingers, strict=bool(fingers)):
        for bone in nameless:
            if bone.digits[:1] == [number]:
                bone.kinds.append(finger)


def _settle_fingers(bones: Sequence[_Bone], side: str) -> dict[str, str]:
    found: dict[str, str] = {}
    _name_numbered_fingers(bones)
    for finger in FINGERS:
        chain = [b for b in bones if finger in b.kinds and not {"palm", "hand"} & set(b.kinds)]
        if not chain:
            chain = [bone for bone in bones if finger in bone.kinds and "palm" not in bone.kinds]
        chain.sort(key=lambda bone: (bone.depth, bone.number))
        ends = [bone for bone in chain if bone.end]
        joints = [bone for bone in chain if not bone.end]
        if len(joints) > 3 and (joints[0].start or joints[0].digits[-1:] == [0]):
            joints = joints[1:]  # the bone within the palm: ARKit's Start, MHR's and Quest's 0
        if len(joints) > 3 and not ends:
            joints, ends = joints[:3], joints[3:]
        roles = finger_roles(side, finger)
        found |= {role: bone.name for role, bone in zip(roles[:3], joints, strict=False)}
        if ends and joints:
            found[roles[3]] = ends[0].name
    return found


def _by_words(bones: Sequence[_Bone]) -> dict[str, str]:
    useful = [bone for bone in bones if not bone.helper]
    centre = [bone for bone in useful if not bone.side and not bone.end]
    spines = sorted((bone for bone in centre if "spine" in bone.kinds), key=lambda b: b.depth)
    chest = _first(centre, "chest") or (spines[-1] if len(spines) > 1 else None)
    roles: dict[str, _Bone | None] = {
        "hips": _first(centre, "hips"),
        "spine": spines[0] if spines and spines[0] is not chest else None,
        "chest": chest,
        "neck": _first(centre, "neck"),
        "head": _first(centre, "head"),
        "head_end": _first([b for b in useful if not b.side and b.end], "head"),
        "jaw": _first(centre, "jaw"),
    }
    names: dict[str, str] = {}
    for side in SIDES:
        own = [bone for bone in useful if bone.side == side and not bone.end]
        roles[f"{side}_eye"] = _first(own, "eye")
        digits = {*FINGERS, "finger"}
        limbs = [b for b in own if not digits & set(b.kinds) or "palm" in b.kinds]
        for part, bone in (_settle_arm(limbs) | _settle_leg(limbs)).items():
            roles[f"{side}_{part}"] = bone
        with_ends = [bone for bone in useful if bone.side == side]
        names |= _settle_fingers(with_ends, side)
    return {role: bone.name for role, bone in roles.items() if bone is not None} | names


def _chain(parents: NDArray[np.int64], bone: int) -> list[int]:
    """Return the bones from the root down to ``bone``."""
    chain = [bone]
    while parents[chain[-1]] >= 0:
        chain.append(int(parents[chain[-1]]))
    return chain[::-1]


def _two_longest(chain: Sequence[int], heads: NDArray[np.float64]) -> int | None:
    """Return the place in a chain where its two longest neighbouring bones start."""
    if len(chain) < 3:
        return None
    lengths = np.linalg.norm(np.diff(heads[list(chain)], axis=0), axis=1)
    pairs = np.minimum(lengths[:-1], lengths[1:])
    place = int(np.argmax(pairs))
    return place if pairs[place] > 0 else None


def _by_shape(
    names: Sequence[str],
    parents: NDArray[np.int64],
    heads: NDArray[np.float64],
    tails: NDArray[np.float64],
) -> dict[str, str]:
    """Read a body from its shape at rest: upright, z up, symmetrical about its own middle."""
    is_leaf = np.ones(len(names), dtype=bool)
    is_leaf[parents[parents >= 0]] = False
    leaves = np.flatnonzero(is_leaf)
    height = float(np.ptp(np.concatenate([heads, tails])[:, 2]))
    if height <= 0 or len(leaves) < 5:
        return {}
    middle = float(np.median(heads[:, 0]))
    across = heads[leaves, 0] - middle
    near = np.abs(across) < 0.05 * height
    tops = leaves[near]
    if not len(tops):
        return {}
    top = int(tops[np.argmax(heads[tops, 2])])
    found: dict[str, int] = {}
    limbs: dict[str, list[int]] = {}
    low, high = heads[:, 2].min(), heads[top, 2]
    for sign, label in ((1.0, "+"), (-1.0, "-")):
        own = leaves[sign * across > 0.02 * height]
        feet = own[heads[own, 2] < low + 0.2 * (high - low)]
        arms = np.setdiff1d(own, feet)
        if not len(feet) or not len(arms):
            return {}
        limbs[f"leg{label}"] = _chain(parents, int(feet[np.argmin(heads[feet, 2])]))
        reach = np.linalg.norm(heads[arms] - heads[top], axis=1) * (heads[arms, 2] < high)
        limbs[f"arm{label}"] = _chain(parents, int(arms[np.argmax(reach)]))
    shared_leg = set(limbs["leg+"]) & set(limbs["leg-"])
    shared_arm = set(limbs["arm+"]) & set(limbs["arm-"])
    pairs: dict[str, tuple[list[int], int]] = {}
    for limb, chain in limbs.items():
        own = [bone for bone in chain if bone not in shared_leg | shared_arm]
        place = _two_longest(own, heads)
        if place is None:
            return {}
        pairs[limb] = own, place
    # A character faces the way its feet point; without toes to tell, it faces -y as in Blender.
    toes = 0.0
    for label in "+-":
        own, place = pairs[f"leg{label}"]
        ankle = own[min(place + 2, len(own) - 1)]
        toes += tails[own[-1], 1] - heads[ankle, 1]
    facing_back = toes > 0.03 * height
    for label in "+-":
        side = "left" if (label == "+") != facing_back else "right"
        for limb, parts in (
            ("arm", ("clavicle", "upper_arm", "forearm", "hand")),
            ("leg", ("", "thigh", "shin", "foot")),
        ):
            own, place = pairs[limb + label]
            for number, part in enumerate(parts, place - 1):
                if part and 0 <= number < len(own):
                    found[f"{side}_{part}"] = own[number]
    trunk = [bone for bone in _chain(parents, top) if bone in shared_leg | shared_arm]
    if shared_leg:
        found["hips"] = max(shared_leg, key=lambda bone: len(_chain(parents, bone)))
    if shared_arm:
        found["chest"] = max(shared_arm, key=lambda bone: len(_chain(parents, bone)))
    above = [bone for bone in _chain(parents, top) if bone not in trunk]
    if above:
        # Hair and helmets stand above: the head is the one that starts at about 7/8 of the height.
        level = low + 0.86 * (high + (tails[top, 2] - heads[top, 2]) - low)
        head = min(above, key=lambda bone: abs(heads[bone, 2] - level))
        found["head"] = head
        before = above[: above.index(head)]
        if before:
            found["neck"] = before[-1]
    return {role: names[bone] for role, bone in found.items()}


def _common_root(names: Sequence[str], parents: NDArray[np.int64], *bones: str) -> str | None:
    """Return the nearest bone that several bones hang from."""
    chains = [_chain(parents, names.index(bone))[:-1] for bone in bones]
    shared = [bone for bone in chains[0] if all(bone in chain for chain in chains)]
    return names[shared[-1]] if shared else None


def _hangs_right(
    role: str, bone: str, have: Mapping[str, str], names: Sequence[str], parents: NDArray[np.int64]
) -> bool:
    """Tell whether a fingertip hangs from its own finger; control bones have fingers' names too."""
    if not role.endswith("_tip"):
        return True
    last = have.get(role.removesuffix("tip") + "3") or have.get(role.removesuffix("tip") + "2")
    if last is None:
        return True
    return names.index(last) in _chain(parents, names.index(bone))[:-1]


def guess_bones(
    names: Sequence[str],
    parents: NDArray[np.int64],
    rest_heads: NDArray[np.float64] | None = None,
    rest_tails: NDArray[np.float64] | None = None,
    *,
    known: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Guess the bones of the roles that are not known yet.

    Args:
        names: (bones,), parents before children.
        parents: (bones,), index or -1.
        rest_heads: (bones, 3) at rest, z up; None: words only.
        rest_tails: (bones, 3) at rest.
        known: roles already settled; their bones are not used again.

    Returns:
        Role to bone name; possibly nothing.
    """
    known = known or {}
    guesses = _by_words(_read(names, parents))
    have = {**guesses, **known}
    if not all(role in have for role in ESSENTIAL) and rest_heads is not None:
        tails = rest_heads if rest_tails is None else rest_tails
        guesses = _by_shape(names, parents, rest_heads, tails) | guesses
    have = {**guesses, **known}
    if "hips" not in have and {"left_thigh", "right_thigh"} <= set(have):
        root = _common_root(names, parents, have["left_thigh"], have["right_thigh"])
        if root is not None:
            guesses = {**guesses, "hips": root}
            guesses = {r: b for r, b in guesses.items() if r == "hips" or b != root}
    taken = set(known.values())
    result: dict[str, str] = {}
    for role, bone in guesses.items():
        if (
            role not in known
            and bone not in taken
            and _hangs_right(role, bone, have, names, parents)
        ):
            result[role] = bone
            taken.add(bone)
    return result
