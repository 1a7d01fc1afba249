"""`Figure`: the 134 keypoints hung on the bones of one rig, once for any number of frames.

A keypoint hangs rigidly on one bone, at an offset that is given at rest. What a bone's own axes
are never matters: only how far it has turned since rest. What the body's left, up and front are
at rest comes from its shoulders and hips. Some files have no rest pose worth the name (BVH with
all bones along x, glTF without a skin, whose nodes stand in some frame); for those the axes of each
bone are found from how the body stands on average, and the head's from its eyes and its end.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.motion import face
from marionext.motion.animation import JointAnimation
from marionext.motion.face_bones import carriers
from marionext.motion.hands import hand_attachments
from marionext.motion.rigs import RigMapping
from marionext.motion.roles import SIDES
from marionext.pose.skeleton import BODY_NAMES, FACE, FEET, LEFT_HAND, POINT_COUNT, RIGHT_HAND

__all__ = ["Figure"]

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
_Hang = Callable[..., None]
"""Hang a keypoint on a bone, at an offset from its head at rest."""

_UP: Floats = np.array([0.0, 0.0, 1.0])
_NECK = BODY_NAMES.index("neck")
_HEAD_OF_STATURE = 0.130
"""Chin to crown over stature (Drillis and Contini's body segments)."""
_LIMBS_OF_STATURE = 0.778
"""Leg (hip joint to ankle) and trunk (hip joints to shoulders) together over stature."""
_ALIKE, _LEVEL = 0.015, 0.996
"""How far left and right may differ in a pose at rest, in statures; and how well one of the head's
own axes has to go from left to right (5 degrees)."""
_JAW_BOUND = (*range(5, 12), *range(55, 60), 65, 66, 67)
"""Face points that follow a jaw bone: the chin and the lower lip."""
_HANDS = {"left": LEFT_HAND, "right": RIGHT_HAND}


def _unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12))


def _frames_of(left: Floats, up: Floats) -> Floats:
    """Return axes (..., 3, 3) with columns left, up, front; ``up`` is kept, ``left`` squared."""
    up = _unit(up)
    left = _unit(left - np.sum(left * up, axis=-1, keepdims=True) * up)
    return np.stack([left, up, np.cross(left, up)], axis=-1)


def _mean_rotation(rotations: Floats) -> Floats:
    """Return the rotation nearest to the mean of several (frames, 3, 3)."""
    first, _, last = np.linalg.svd(rotations.mean(axis=0))
    flip = np.diag([1.0, 1.0, float(np.sign(np.linalg.det(first @ last)))])
    return np.asarray(first @ flip @ last)


class _Trunk:
    """Where shoulders and hips are, in any number of poses."""

    __slots__ = ("hips", "knees", "left", "middle", "shoulders", "up")

    def __init__(self, bones: Mapping[str, int], heads: Floats) -> None:
        def pair(part: str) -> Floats | None:
            if f"left_{part}" not in bones or f"right_{part}" not in bones:
                return None
            return np.stack([heads[:, bones[f"{side}_{part}"]] for side in SIDES])

        shoulders = pair("upper_arm")
        if shoulders is None:
            raise MotionError("without both upper arms no body can be drawn")
        self.shoulders, self.hips, self.knees = shoulders, pair("thigh"), pair("shin")
        self.middle = shoulders.mean(axis=0)
        self.left = shoulders[0] - shoulders[1]
        self.up = np.broadcast_to(_UP, self.left.shape)
        if self.hips is not None:
            self.up = self.middle - self.hips.mean(axis=0)
        elif "head" in bones:
            self.up = heads[:, bones["head"]] - self.middle

    def plausible(self) -> bool:
        """Tell whether the first pose is one a person could stand in, upright and untwisted."""
        up, left = _unit(self.up[0]), _unit(self.left[0])
        if up[2] < 0.7 or abs(float(left @ up)) > 0.35:
            return False
        if self.hips is None:
            return True
        if float(left @ _unit(self.hips[0, 0] - self.hips[1, 0])) < 0.8:
            return False
        if self.knees is None:
            return True
        return all(float(_unit(self.knees[s, 0] - self.hips[s, 0]) @ up) < -0.5 for s in (0, 1))


def _upright(up: Floats) -> Floats:
    """Take the world's up where the body leans a little: a neutral head is level."""
    return np.where(_unit(up)[..., 2:] > 0.5, _UP, up)


@dataclass(frozen=True, slots=True, eq=False)
class _Axes:
    """The body's left, up and front, as each bone carries them at rest."""

    common: Floats
    """(3, 3)"""
    trusted: bool
    """Whether the rest pose is a pose; else each bone has axes of its own."""
    animation: JointAnimation
    bodies: Floats
    """(frames, 3, 3): the body's axes in each frame."""

    def of(self, bone: int) -> Floats:
        """Return (3, 3) for one bone."""
        if self.trusted:
            return self.common
        return _mean_rotation(_turns(self.animation, [bone])[:, 0].swapaxes(1, 2) @ self.bodies)


def _turns(animation: JointAnimation, bones: list[int] | Indices) -> Floats:
    """Return (frames, bones, 3, 3): how far some bones have turned since rest."""
    rest = animation.rest_rotations[bones].swapaxes(-1, -2)
    return np.asarray(animation.rotations[:, bones] @ rest)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figure:
    """Where the keypoints of one rig hang."""

    mapping: RigMapping
    """Of a rig that is scaled by a negative number: that of its mirror image."""
    anchors: Indices
    """(134,): the bone of each keypoint; -1 if the rig has none for it."""
    offsets: Floats
    """(134, 3): from the bone's head, at rest, in metres."""
    stature: float
    """Estimated height of the person, in metres."""
    head_height: float
    """From chin to crown, in metres; 0 without a head bone."""
    head_bone: int
    head_origin: Floats
    """(3,): the head's middle (between the ears, at the height of the eyes) from its bone, at
    rest."""
    head_axes: Floats
    """(3, 3): the head's left, up and front at rest, as columns."""
    palms: Floats
    """(2, 3): out of the back of the left and the right hand, at rest."""
    chest: int
    """The bone that tells which way the body faces."""
    chest_axes: Floats
    """(3, 3): the body's left, up and front at rest, as columns."""
    face_bones: Indices
    """(68,): the bone of a face rig that each face point follows beside the head; -1: none."""
    face_shares: Floats
    """(68,): how far along that bone, from its head to its tail."""
    face_rests: Floats
    """(68, 3): that place at rest, from the head bone."""
    morphs: tuple[int, ...]
    """Which of the file's shapes move the face."""
    morph_moves: Floats
    """(shapes, 68, 3): by how much, at rest, in metres."""

    @classmethod
    def prepare(cls, animation: JointAnimation, mapping: RigMapping) -> Self:
        """Hang the keypoints on a rig.

        Args:
            animation: the rig at rest and in motion; one frame is enough for most.
            mapping: which bone plays which role.

        Raises:
            MotionError: a bone of the mapping is not in the skeleton, or it has no size.
        """
        if animation.is_mirrored:
            mapping = mapping.mirrored()
        bones = {role: animation.index(name) for role, name in mapping.bones.items()}
        stature = _stature(animation, bones)
        if stature <= 0:
            raise MotionError(
                "the skeleton has no size: its shoulders, hips and knees are in one place",
                hint="Check that the right bones are mapped, and that the rig has a rest pose.",
            )
        axes = _find_axes(animation, bones, stature)
        anchors = np.full(POINT_COUNT, -1, dtype=np.int64)
        offsets = np.zeros((POINT_COUNT, 3))
        heads, tails = animation.rest_heads, animation.rest_tails

        def hang(point: int, bone: int, offset: Floats | None = None) -> None:
            anchors[point] = bone
            offsets[point] = 0.0 if offset is None else offset

        _hang_body(hang, bones, heads, tails)
        palms = np.zeros((2, 3))
        for side, part in _HANDS.items():
            body = axes.of(bones.get(f"{side}_hand", bones.get(f"{side}_forearm", 0)))
            hand = hand_attachments(side, bones, heads, tails, body)
            if hand is not None:
                anchors[part], offsets[part], frame = hand
                palms[SIDES.index(side)] = frame.axes[:, 2]
        _hang_feet(hang, bones, heads, axes, stature)
        head = bones.get("head", -1)
        height, origin, head_axes = 0.0, np.zeros(3), np.eye(3)
        followed, shares = np.full(68, -1), np.zeros(68)
        if head >= 0:
            height, origin, head_axes = _measure_head(animation, bones, axes, stature)
            places = heads[head] + origin + height * face.FACE_POINTS @ head_axes.T
            followed, shares = carriers(animation.names, heads, tails, places, height)
            _hang_head(hang, bones, heads, followed, head_axes, origin, height)
        shapes, moves = face.morph_moves(animation.morphs)
        chest = bones.get("chest", bones.get("spine", bones.get("hips", max(head, 0))))
        return cls(
            mapping=mapping,
            anchors=anchors,
            offsets=offsets,
            stature=stature,
            head_height=height,
            head_bone=head,
            head_origin=origin,
            head_axes=head_axes,
            palms=palms,
            chest=chest,
            chest_axes=axes.of(chest),
            face_bones=followed,
            face_shares=shares,
            face_rests=_along(heads, tails, followed, shares) - heads[max(head, 0)],
            morphs=shapes,
            morph_moves=height * moves @ head_axes.T,
        )

    def place(self, animation: JointAnimation) -> Floats:
        """Return where the keypoints are: (frames, 134, 3) in metres, NaN where there is none.

        Args:
            animation: any number of frames of the rig the figure was prepared for.
        """
        used, which = np.unique(self.anchors[self.anchors >= 0], return_inverse=True)
        turns = _turns(animation, used)
        have = np.flatnonzero(self.anchors >= 0)
        places = np.full((len(animation), POINT_COUNT, 3), np.nan)
        # Bone by bone: one product of matrices for all the points that hang on it.
        for number, bone in enumerate(used):
            points = have[which == number]
            carried = self.offsets[points] @ turns[:, number].swapaxes(1, 2)
            places[:, points] = animation.heads[:, bone, None] + carried
        if self.morphs and self.head_bone >= 0:
            weights = animation.morph_weights[:, self.morphs]
            moves = np.einsum("tm,mpx->tpx", weights, self.morph_moves)
            number = int(np.searchsorted(used, self.head_bone))
            places[:, FACE] += moves @ turns[:, number].swapaxes(1, 2)
        if (self.face_bones >= 0).any():
            self._follow_face(
                animation, turns[:, int(np.searchsorted(used, self.head_bone))], places
            )
        shoulders = [BODY_NAMES.index("left_shoulder"), BODY_NAMES.index("right_shoulder")]
        places[:, _NECK] = places[:, shoulders].mean(axis=1)
        return places

    def _follow_face(self, animation: JointAnimation, turns: Floats, places: Floats) -> None:
        """Move face points as the bones beside them move against the head, in place."""
        led = np.flatnonzero(self.face_bones >= 0)
        bones, shares = self.face_bones[led], self.face_shares[led]
        now = _along(animation.heads, animation.tails, bones, shares)
        with_head = animation.heads[:, [self.head_bone]] + self.face_rests[led] @ turns.swapaxes(
            1, 2
        )
        places[:, FACE.start + led] += now - with_head

    def head_frames(self, animation: JointAnimation) -> tuple[Floats, Floats]:
        """Return the head's middle (frames, 3) and its axes (frames, 3, 3) as columns."""
        turns = _turns(animation, [self.head_bone])[:, 0]
        return animation.heads[:, self.head_bone] + turns @ self.head_origin, turns @ self.head_axes

    def palm_frames(self, animation: JointAnimation) -> Floats:
        """Return which way the backs of the left and right hand face: (frames, 2, 3)."""
        bones = np.maximum(self.anchors[[LEFT_HAND.start, RIGHT_HAND.start]], 0)
        turns = _turns(animation, bones)
        return np.asarray((turns @ self.palms[..., None])[..., 0])

    def facing(self, animation: JointAnimation) -> Floats:
        """Return which way the body faces in each frame, level: (frames, 3) of length 1."""
        front = _turns(animation, [self.chest])[:, 0] @ self.chest_axes[:, 2]
        front[:, 2] = 0
        lying = np.linalg.norm(front, axis=1) < 1e-6
        front[lying] = [0.0, -1.0, 0.0]
        return _unit(front)


def _along(heads: Floats, tails: Floats, bones: Indices, shares: Floats) -> Floats:
    """Return places along bones: (..., points, 3) for heads and tails (..., bones, 3)."""
    return np.asarray(
        heads[..., bones, :] + shares[:, None] * (tails - heads)[..., bones, :], dtype=np.float64
    )


def _find_axes(animation: JointAnimation, bones: Mapping[str, int], stature: float) -> _Axes:
    rest = _Trunk(bones, animation.rest_heads[None])
    now = _Trunk(bones, animation.heads)
    bodies = _frames_of(now.left, _upright(now.up))
    common = _frames_of(rest.left, _upright(rest.up))[0]
    trusted = rest.plausible()
    if trusted and animation.rest_is_posed:
        trusted = _looks_like_rest(animation, bones, common, stature)
    return _Axes(common=common, trusted=trusted, animation=animation, bodies=bodies)


def _stature(animation: JointAnimation, bones: Mapping[str, int]) -> float:
    """Estimate the person's height from legs and trunk, whose lengths hold in any pose."""
    step = max(1, len(animation) // 50)
    heads, tails = animation.heads[::step], animation.tails[::step]

    def distance(first: Floats, second: Floats) -> float:
        return float(np.median(np.linalg.norm(second - first, axis=-1)))

    trunk = _Trunk(bones, heads)
    legs = []
    for side in SIDES:
        thigh, shin, foot = (bones.get(f"{side}_{part}") for part in ("thigh", "shin", "foot"))
        if thigh is not None and shin is not None:
            ankle = tails[:, shin] if foot is None else heads[:, foot]
            legs.append(distance(heads[:, thigh], heads[:, shin]) + distance(heads[:, shin], ankle))
    torso = 0.0 if trunk.hips is None else distance(trunk.hips.mean(axis=0), trunk.middle)
    if legs and torso:
        return (float(np.mean(legs)) + torso) / _LIMBS_OF_STATURE
    # A bust: shoulder joints are about 0.2 of the stature apart.
    return distance(trunk.shoulders[0], trunk.shoulders[1]) / 0.2


def _hang_body(hang: _Hang, bones: Mapping[str, int], heads: Floats, tails: Floats) -> None:
    for side in SIDES:
        for joint, role, before in (
            ("shoulder", "upper_arm", None),
            ("elbow", "forearm", "upper_arm"),
            ("wrist", "hand", "forearm"),
            ("hip", "thigh", None),
            ("knee", "shin", "thigh"),
            ("ankle", "foot", "shin"),
        ):
            point = BODY_NAMES.index(f"{side}_{joint}")
            bone = bones.get(f"{side}_{role}")
            parent = bones.get(f"{side}_{before}") if before else None
            if bone is not None:
                hang(point, bone)
            elif parent is not None:
                hang(point, parent, tails[parent] - heads[parent])


def _hang_feet(
    hang: _Hang, bones: Mapping[str, int], heads: Floats, axes: _Axes, stature: float
) -> None:
    """Hang big toe, small toe and heel on foot and toe, by the proportions of a foot."""
    for side in SIDES:
        foot = bones.get(f"{side}_foot")
        if foot is None:
            continue
        toe, end = bones.get(f"{side}_toe"), bones.get(f"{side}_toe_end")
        out, up, front = axes.of(foot).T
        out = out if side == "left" else -out
        carrier = foot
        tip = stature * (0.115 * front - 0.03 * up)
        for bone, further in ((toe, 0.035), (end, 0.0)):
            if bone is None:
                continue
            to = heads[bone] - heads[foot]
            ahead = to - (to @ up) * up
            # Feet may point anywhere at rest; ends that stick straight up or down say nothing.
            if np.linalg.norm(ahead) > 0.03 * stature:
                front = _unit(ahead)
                out = _unit(out - (out @ front) * front)
                tip = to + further * stature * front
                carrier = toe if toe is not None else bone
        back = heads[foot] - heads[carrier]
        first = FEET.start + (0 if side == "left" else 3)
        hang(first + 2, foot, -0.035 * stature * (front + up))
        if not axes.trusted and carrier != foot:
            # Foot and toe do not share a rest pose: what lies beyond the toe is the toe's own.
            out, _, front = axes.of(carrier).T
            out = out if side == "left" else -out
            tip = heads[carrier] - heads[foot] + (0.035 if carrier == toe else 0) * stature * front
        hang(first, carrier, back + tip - 0.012 * stature * out)
        hang(first + 1, carrier, back + tip - stature * (0.02 * front - 0.025 * out))


def _measure_head(
    animation: JointAnimation, bones: Mapping[str, int], axes: _Axes, stature: float
) -> tuple[float, Floats, Floats]:
    """Return the head's height, its middle from its bone at rest, and its axes at rest."""
    usual = _HEAD_OF_STATURE * stature
    heads = animation.rest_heads
    head = bones["head"]
    if head == bones.get("neck"):
        # Without a bone of its own the head stands on the neck's end and turns with the neck.
        own = axes.of(head)
        return usual, animation.rest_tails[head] - heads[head] - usual * own @ face.PIVOT, own
    own = axes.of(head) if axes.trusted else _turned_by_face(animation, bones, axes.of(head))
    height = usual
    top = _top_of_head(animation, bones, own, usual)
    if top is not None:
        if not axes.trusted and float(_unit(top) @ own[:, 1]) > 0.85:
            own = _frames_of(own[:, 0], top)
        height = _agreed(usual, [float(np.linalg.norm(top)) / face.PIVOT_TO_TOP])
    origin = -height * own @ face.PIVOT
    eyes = [bones.get(f"{side}_eye") for side in SIDES]
    if eyes[0] is not None and eyes[1] is not None:
        middle = (heads[eyes[0]] + heads[eyes[1]]) / 2 - heads[head]
        right, up, front = (float(part) for part in own.T @ middle)
        reach = float(np.linalg.norm(middle))
        apart = float(np.linalg.norm(heads[eyes[0]] - heads[eyes[1]]))
        if front > 0.2 * reach and up > -0.2 * reach and abs(right) < 0.2 * reach and apart > 0:
            # Eyes tell more than a crown, which may be that of a hat.
            height = _agreed(usual, [reach / face.PIVOT_TO_EYES, apart / face.EYES_APART])
            origin = middle - height * face.EYEBALL[2] * own[:, 2]
    return height, origin, own


def _turned_by_face(animation: JointAnimation, bones: Mapping[str, int], own: Floats) -> Floats:
    """Return the head's axes in a pose that is no pose of rest, by its eyes and its end.

    Args:
        animation: the rig.
        bones: role to bone.
        own: (3, 3), the axes as the whole motion has them, in which the head looks ahead on the
            whole.
    """
    heads = animation.rest_heads
    head, end = bones["head"], bones.get("head_end")
    top = None if end is None else heads[end] - heads[head]
    eyes = [bones.get(f"{side}_eye") for side in SIDES]
    if eyes[0] is not None and eyes[1] is not None:
        apart = heads[eyes[0]] - heads[eyes[1]]
        ahead = (heads[eyes[0]] + heads[eyes[1]]) / 2 - heads[head]
        if top is None and np.linalg.norm(ahead) > 0:
            # Where the eyes are on a head tells how far up is from the way to them.
            left = _unit(apart)
            along = _unit(ahead - (ahead @ left) * left)
            _, up, front = face.EYEBALL - face.PIVOT
            top = up * along - front * np.cross(left, along)
        if top is not None and _are_square(apart, top):
            return _frames_of(apart, top)
    if top is not None and _are_square(own[:, 0], top):
        return _frames_of(own[:, 0], top)
    return own


def _are_square(one: Floats, other: Floats) -> bool:
    """Tell whether two directions are roughly at right angles, and both are directions."""
    lengths = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return lengths > 0 and abs(float(one @ other)) < 0.5 * lengths


def _looks_like_rest(
    animation: JointAnimation, bones: Mapping[str, int], common: Floats, stature: float
) -> bool:
    """Tell whether a frame that stands in for a pose at rest is one: left and right are alike.

    Hardly any frame of a motion is symmetric to a hundredth, head and all.
    """
    heads = (animation.rest_heads - animation.rest_heads[bones["left_upper_arm"]]) @ common
    middle = (heads[bones["left_upper_arm"], 0] + heads[bones["right_upper_arm"], 0]) / 2
    for role, bone in bones.items():
        side, _, part = role.partition("_")
        other = bones.get(f"right_{part}") if side == "left" else None
        mirror = heads[bone] if other is None else heads[other]
        if side == "right" or (side == "left" and other is None):
            continue
        off = heads[bone] * [-1, 1, 1] + [2 * middle, 0, 0] - mirror
        if float(np.linalg.norm(off)) > _ALIKE * stature:
            return False
    if "head" not in bones:
        return True
    across = animation.rest_rotations[bones["head"]].T @ common[:, 0]
    return float(np.abs(across).max()) > _LEVEL


def _agreed(usual: float, measured: list[float]) -> float:
    """Return a head's height from what its stature makes usual and what its bones measure.

    Where both are close the truth lies between them (heads measured on their meshes do); a
    cartoon's big head is believed.
    """
    measured_mean = float(np.exp(np.mean(np.log(measured))))
    far = abs(float(np.log(measured_mean / usual)))
    trust = float(np.interp(far, [np.log(1.3), np.log(2.0)], [1.0, 0.15]))
    values, weights = [usual, *measured], [trust * 2 / len(measured), *(1.0 for _ in measured)]
    return float(np.exp(np.average(np.log(values), weights=weights)))


def _top_of_head(
    animation: JointAnimation, bones: Mapping[str, int], own: Floats, height: float
) -> Floats | None:
    """Return the crown from the head bone at rest, if a bone tells."""
    head = bones["head"]
    heads, tails = animation.rest_heads, animation.rest_tails
    end = bones.get("head_end")
    top = heads[end] - heads[head] if end is not None else tails[head] - heads[head]
    reach = float(np.linalg.norm(top))
    if end is None:
        parent = int(animation.parents[head])
        neck = float(np.linalg.norm(heads[head] - heads[parent])) if parent >= 0 else 0.0
        # Readers guess a leaf's tail as half its parent, and lead other tails to hair and eyes.
        if abs(reach - 0.5 * neck) < 1e-3 * neck or (animation.parents == head).any():
            return None
    if not 0.55 * height < reach < 4 * height or float(top @ own[:, 1]) < 0.75 * reach:
        return None
    return np.asarray(top)


def _hang_head(
    hang: _Hang,
    bones: Mapping[str, int],
    heads: Floats,
    followed: Indices,
    axes: Floats,
    origin: Floats,
    height: float,
) -> None:
    head = bones["head"]

    def from_head(places: Floats) -> Floats:
        return np.asarray(origin + height * places @ axes.T)

    named = (
        ("nose", face.NOSE), ("right_eye", face.EYES[0]), ("left_eye", face.EYES[1]),
        ("right_ear", face.EARS[0]), ("left_ear", face.EARS[1]),
    )  # fmt: skip
    for name, place in named:
        hang(BODY_NAMES.index(name), head, from_head(place))
    jaw = bones.get("jaw")
    for number, place in enumerate(from_head(face.FACE_POINTS)):
        if jaw is not None and number in _JAW_BOUND and followed[number] < 0:
            hang(FACE.start + number, jaw, place + heads[head] - heads[jaw])
        else:
            hang(FACE.start + number, head, place)
