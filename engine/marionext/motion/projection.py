"""Joints to keypoints: project a rig through a camera and say how well each point is seen.

A detector gives a score to every keypoint, and the video model was trained on maps drawn from
such scores. So a rig's keypoints get the scores that DWPose typically gives, lowered where the
body hides a point or turns it away, and 0 outside the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.motion import face
from marionext.motion.animation import JointAnimation
from marionext.motion.camera import Camera
from marionext.motion.figure import Figure
from marionext.motion.occlusion import fade, hidden
from marionext.motion.parts import kind_and_side, own_parts
from marionext.motion.rigs import RigMapping
from marionext.pose.skeleton import (
    BODY_NAMES,
    FACE,
    FEET,
    LEFT_HAND,
    POINT_COUNT,
    RIGHT_HAND,
)
from marionext.pose.track import PoseTrack

__all__ = ["TYPICAL_SCORES", "View", "facing", "project", "project_people", "view_people"]

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

_TYPICAL = {
    "nose": 0.81, "neck": 1.0, "shoulder": 0.66, "elbow": 0.93, "wrist": 0.68, "hip": 0.62,
    "knee": 0.52, "ankle": 0.50, "eye": 0.85, "ear": 0.90,
}  # fmt: skip
"""DWPose's usual score of each joint, estimated from the brightness of the pose maps that were
published with ControlNeXt-SVD v2. Feet, face and hands below are our own estimates."""
_TYPICAL_FOOT, _TYPICAL_FACE, _TYPICAL_HAND = 0.5, 0.85, 0.75

_GUESSABLE = {"shoulder": 0.55, "hip": 0.6, "neck": 0.9, "knee": 0.45, "elbow": 0.4, "ankle": 0.35}
"""What is left of a joint's score when it is hidden: detectors infer it from its neighbours."""
_HIDDEN_REST = 0.15

_BODY = {name: index for index, name in enumerate(BODY_NAMES)}


def _typical() -> Singles:
    scores = np.zeros(POINT_COUNT, dtype=np.float32)
    for name, index in _BODY.items():
        scores[index] = _TYPICAL[name.rpartition("_")[2]]
    scores[FEET], scores[FACE] = _TYPICAL_FOOT, _TYPICAL_FACE
    scores[LEFT_HAND] = scores[RIGHT_HAND] = _TYPICAL_HAND
    return scores


TYPICAL_SCORES = _typical()
"""(134,): what a detector gives each point when it sees it well."""

# The body's volumes: name, where each end is as a mixture of joints, radius in statures. The
# joints are OpenPose's, and of the head its low and high end, of each hand its middle.
_EXTRA = ("head_low", "head_high", "left_hand", "right_hand")
_JOINTS = (*BODY_NAMES, *_EXTRA)


def _volumes() -> list[tuple[str, dict[str, float], dict[str, float], float]]:
    found: list[tuple[str, dict[str, float], dict[str, float], float]] = [
        ("head", {"head_low": 1.0}, {"head_high": 1.0}, 0.043),
        ("neck", {"neck": 1.0}, {"head_low": 1.0}, 0.028),
    ]
    for side, other in (("left", "right"), ("right", "left")):
        shoulder, hip = f"{side}_shoulder", f"{side}_hip"
        top = {shoulder: 0.55, "neck": 0.30, hip: 0.15}
        bottom = {hip: 0.92, f"{other}_hip": 0.08}
        found += [
            (f"{side}_torso", top, bottom, 0.058),
            (f"{side}_upper_arm", {shoulder: 1.0}, {f"{side}_elbow": 1.0}, 0.026),
            (f"{side}_forearm", {f"{side}_elbow": 1.0}, {f"{side}_wrist": 1.0}, 0.021),
            (f"{side}_hand", {f"{side}_wrist": 1.0}, {f"{side}_hand": 1.0}, 0.026),
            (f"{side}_thigh", {hip: 1.0}, {f"{side}_knee": 1.0}, 0.043),
            (f"{side}_shin", {f"{side}_knee": 1.0}, {f"{side}_ankle": 1.0}, 0.029),
        ]
    return found


_VOLUMES = _volumes()
_RADII = np.array([radius for *_, radius in _VOLUMES], dtype=np.float32)
_MIXTURES = np.array(
    [
        [end.get(joint, 0.0) for joint in _JOINTS]
        for end in (*(start for _, start, _, _ in _VOLUMES), *(stop for _, _, stop, _ in _VOLUMES))
    ],
    dtype=np.float32,
)
"""(2 * volumes, joints): all starts, then all ends."""

_BROAD = ("shoulder", "hip", "neck")
"""Joints of broad parts: a hand or an arm in front takes little away."""
_THIN = ("upper_arm", "forearm", "hand")


def _hiding() -> Singles:
    """Return how much of each point each volume can hide: (134, volumes)."""
    table = np.zeros((POINT_COUNT, len(_VOLUMES)), dtype=np.float32)
    for point in range(POINT_COUNT):
        kind, _ = kind_and_side(point)
        own = own_parts(point)
        share = 1 - _GUESSABLE.get(kind, _HIDDEN_REST)
        for column, (volume, *_) in enumerate(_VOLUMES):
            if volume not in own:
                thin = kind in _BROAD and volume.endswith(_THIN)
                table[point, column] = share * (0.4 if thin else 1.0)
    return table


_HIDING = _hiding()
_LOSS = _HIDING.max(axis=1)
"""(134,): how much of a point's score goes when something opaque is in front of it."""
_HEAD_AND_TRUNK = tuple(
    index
    for name, index in _BODY.items()
    if name.rpartition("_")[2] in {"nose", "neck", "eye", "ear", "shoulder", "hip"}
)
"""Where a detector finds a person at all."""


def _sight(camera: Camera, points: Singles, origin: Floats) -> Singles:
    """Return unit vectors from the camera to each point: (frames, points, 3)."""
    rays = points - (camera.positions[:, None] - origin[:, None]).astype(np.float32)
    length = np.sqrt(np.einsum("tpx,tpx->tp", rays, rays))[..., None]
    rays /= np.maximum(length, np.float32(1e-6))
    if camera.parallel.any():
        along = -camera.views[:, None, 2, :3]
        rays = np.where(camera.parallel[:, None, None], along, rays)
    return np.asarray(rays, dtype=np.float32)


def _slide_jaw(places: Floats, axes: Floats, view: Floats, height: float) -> None:
    """Move the far side of a turned face's contour onto the cheek, in place.

    Args:
        places: (frames, 68, 3), the face points in metres.
        axes: (frames, 3, 3), the head's left, up and front as columns.
        view: (frames, 3), unit vectors from the head to the camera.
        height: of the head in metres.
    """
    seen = (view[:, None] @ axes)[:, 0]
    across = np.stack([seen[:, 2], np.zeros(len(seen)), -seen[:, 0]], axis=1)
    across *= (seen[:, 2] > 0)[:, None]
    reach = np.einsum("jkx,tx->tjk", face.JAW_PATHS, across)
    reach *= np.sign(face.FACE_POINTS[face.JAW_POINTS, 0])[None, :, None]
    # A soft choice of the outermost place, so that the contour glides as the head turns.
    weights = np.exp(80.0 * (reach - reach.max(axis=2, keepdims=True)))
    weights[across[:, 0] <= 0] = np.eye(1, weights.shape[2])
    weights /= weights.sum(axis=2, keepdims=True)
    moves = np.einsum("tjk,jkx->tjx", weights, face.JAW_PATHS) - face.JAW_PATHS[:, 0]
    places[:, face.JAW_POINTS] += height * moves @ axes.swapaxes(1, 2)


_EYE_NORMALS = np.array([[-0.35, 0.0, 0.94], [0.35, 0.0, 0.94]])
_EAR_NORMALS = np.array([[-1.0, 0.0, 0.05], [1.0, 0.0, 0.05]])
_HEAD_POINTS = [_BODY[n] for n in ("nose", "right_eye", "left_eye", "right_ear", "left_ear")]
_HEAD_NORMALS = np.concatenate(
    [[[0.0, 0.0, 1.0]], _EYE_NORMALS, _EAR_NORMALS, face.FACE_NORMALS]
).astype(np.float32)
_HEAD_INDICES = np.array([*_HEAD_POINTS, *range(FACE.start, FACE.stop)])


def _turned_away(axes: Floats, sight: Singles) -> Singles:
    """Return how well a head that hides itself lets its points be seen: (frames, 5 + 68).

    Args:
        axes: (frames, 3, 3), the head's left, up and front as columns.
        sight: (frames, 5 + 68, 3), from the camera to nose, eyes, ears and the face points.
    """
    normals = _HEAD_NORMALS @ axes.swapaxes(1, 2).astype(np.float32)
    facing_us = -np.einsum("tpx,tpx->tp", normals, sight)
    front = -np.einsum("tx,tx->t", axes[:, :, 2].astype(np.float32), sight[:, 0])[:, None]
    seen = np.empty_like(facing_us)
    seen[:, 0] = fade(facing_us[:, 0], -0.35, 0.0)
    seen[:, 1:3] = fade(facing_us[:, 1:3], -0.3, 0.1)
    # An ear shows up to a half profile of the other side; from behind both do, less surely.
    seen[:, 3:5] = fade(facing_us[:, 3:5], -0.8, -0.35) * (0.75 + 0.25 * fade(front, -0.6, 0.2))
    jaw = slice(5 + face.JAW_POINTS.start, 5 + face.JAW_POINTS.stop)
    seen[:, 5:] = fade(facing_us[:, 5:], -0.5, 0.0)
    seen[:, jaw] = 1.0
    seen[:, 5:] *= fade(front, -0.45, 0.15)
    return np.asarray(seen, dtype=np.float32)


def _nearer(depth: Floats, camera: Camera, places: Floats, size: tuple[int, int]) -> Floats:
    """Return how much nearer to the camera than the neck points are, in pixels: (frames, 134).

    A metre counts as many pixels as it takes up across the view at the neck.
    """
    neck = _BODY["neck"]
    aside = places[:, neck] + _STEP * camera.views[:, 0, :3]
    ends, _ = camera.project(np.stack([places[:, neck], aside], axis=1), size)
    scale = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1) / _STEP
    nearer = (depth[:, [neck]] - depth) * scale[:, None]
    return np.clip(np.where(depth > 0, nearer, 0.0), -1e5, 1e5)


_STEP = 0.1
"""Metres."""


class _Seen:
    """One person through the camera: places in metres, pixels and scores."""

    __slots__ = (
        "depths",
        "ends",
        "hiding",
        "open",
        "pixels",
        "places",
        "radii",
        "scores",
        "sight",
        "starts",
    )

    def __init__(
        self,
        animation: JointAnimation,
        figure: Figure,
        camera: Camera,
        size: tuple[int, int],
        origin: Floats,
    ) -> None:
        places = figure.place(animation)
        known = figure.anchors >= 0
        known[_BODY["neck"]] = True
        has_head = figure.head_bone >= 0
        if has_head:
            middle, axes = figure.head_frames(animation)
            view = camera.positions - middle
            view = view / np.maximum(np.linalg.norm(view, axis=1, keepdims=True), 1e-9)
            view = np.where(camera.parallel[:, None], camera.views[:, 2, :3], view)
            _slide_jaw(places[:, FACE], axes, view, figure.head_height)
        places[:, ~known] = places[:, [_BODY["neck"]]]
        pixels, depth = camera.project(places, size)
        inside = (pixels >= 0).all(axis=2) & (pixels[..., 0] < size[0]) & (pixels[..., 1] < size[1])
        self.open = np.ones((len(places), POINT_COUNT), dtype=np.float32)
        self.scores = TYPICAL_SCORES * (inside & (depth > 0) & known).astype(np.float32)
        self.pixels = np.where(
            (depth > 0)[..., None] & known[:, None], np.clip(pixels, -1e5, 1e5), 0.0
        )
        self.depths = _nearer(depth, camera, places, size)
        self.places = (places - origin[:, None]).astype(np.float32)
        self.sight = _sight(camera, self.places, origin)
        if has_head:
            self.scores[:, _HEAD_INDICES] *= _turned_away(axes, self.sight[:, _HEAD_INDICES])
        self._lower_edge_on_hands(figure.palm_frames(animation))
        self._find_volumes(figure, middle if has_head else None, axes if has_head else None, origin)

    def _lower_edge_on_hands(self, palms: Floats) -> None:
        for number, part in enumerate((LEFT_HAND, RIGHT_HAND)):
            sight = self.sight[:, part.start + 9]
            broad = np.abs(np.einsum("tx,tx->t", palms[:, number].astype(np.float32), sight))
            self.scores[:, part] *= (0.7 + 0.3 * fade(broad, 0.1, 0.5))[:, None]

    def _find_volumes(
        self, figure: Figure, middle: Floats | None, axes: Floats | None, origin: Floats
    ) -> None:
        known = np.ones(len(_JOINTS), dtype=bool)
        body = len(BODY_NAMES)
        known[:body] = figure.anchors[:body] >= 0
        known[_BODY["neck"]] = True
        joints = np.zeros((len(self.places), len(_JOINTS), 3), dtype=np.float32)
        joints[:, :body] = self.places[:, :body]
        known[body : body + 2] = middle is not None
        if middle is not None and axes is not None:
            for number, height in ((0, -0.2), (1, 0.22)):
                shift = height * figure.head_height * axes[:, :, 1]
                joints[:, body + number] = middle - origin + shift
        for number, part in enumerate((LEFT_HAND, RIGHT_HAND)):
            known[body + 2 + number] = figure.anchors[part.start] >= 0
            # The joints in the middle of the middle finger: where a fist and a flat hand both are.
            joints[:, body + 2 + number] = self.places[:, part.start + 10]
        ends = _MIXTURES @ joints
        lacking = (_MIXTURES[:, ~known] > 0).any(axis=1).reshape(2, -1).any(axis=0)
        self.starts, self.ends = ends[:, : len(_VOLUMES)], ends[:, len(_VOLUMES) :]
        self.radii = (_RADII * figure.stature).astype(np.float32)
        self.radii[0] = max(0.33 * figure.head_height, 1e-6)
        self.hiding = _HIDING * ~lacking

    def hide_behind(self, other: "_Seen", known: NDArray[np.bool_] | None = None) -> None:
        """Lower the scores of points that a body, one's own or another's, hides.

        Points whose visibility is ``known`` (frames, 134) are left as they are.
        """
        hiding = self.hiding
        if other is not self:
            present = other.hiding.any(axis=0)
            hiding = (_HIDING.max(axis=1, keepdims=True) * present).astype(np.float32)
        shadow = hidden(self.places, self.sight, other.starts, other.ends, other.radii, hiding)
        if known is not None:
            shadow = np.where(known, 0, shadow)
        self.scores *= 1 - shadow
        if other is not self:
            self.open *= 1 - shadow / _LOSS

    def cover(self, share: Floats) -> None:
        """Lower the scores of points that are in the open by a share (frames, 134) only."""
        self.scores *= 1 - _LOSS * (1 - share).astype(np.float32)
        self.open *= share.astype(np.float32)

    def lose_without_a_clue(self) -> None:
        """Take away what a detector would have to guess where it sees neither head nor trunk.

        Points that others hide keep a rest of their scores, inferred from their neighbours; of
        somebody behind a wall there is nothing to infer it from.
        """
        clue = fade(self.open[:, _HEAD_AND_TRUNK].max(axis=1, keepdims=True), 0.0, 0.2)
        bare = self.open / np.maximum(1 - _LOSS * (1 - self.open), 1e-6)
        self.scores *= clue + (1 - clue) * bare


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """One person as a camera sees them."""

    places: Floats
    """(frames, 134, 3) in metres of the world; where the rig has no bone for a point: the neck."""
    pixels: Singles
    """(frames, 134, 2), y down."""
    scores: Singles
    """(frames, 134), as a detector would give them."""
    depths: Singles
    """(frames, 134): how much nearer than the neck each point is, in pixels."""


def view_people(
    people: Sequence[tuple[JointAnimation, RigMapping | Figure]],
    camera: Camera,
    size: tuple[int, int],
    *,
    occlusion: bool = True,
    seen: Sequence[NDArray[np.floating] | None] = (),
) -> tuple[View, ...]:
    """See several rigs that move in one scene; they hide one another.

    Args:
        people: an animation and its mapping (or prepared figure) for each; all of one length.
        camera: one frame long, or as long as the animations.
        size: width and height of the picture in pixels.
        occlusion: whether bodies hide points; turned away and outside count in any case.
        seen: for each person how much of each point is in the open as something better than our
            bodies of capsules knows it (rays through meshes): (frames, 134), 0 to 1, NaN where
            it was not looked at; or None.

    Returns:
        One view for each rig, in that order. Points the rig has no bone for, points behind the
        camera and points outside the picture have score 0.

    Raises:
        MotionError: there is nobody, lengths or rates differ, or a bone is not in its skeleton.
    """
    if not people:
        raise MotionError("a projection needs at least one rig, got none")
    first = people[0][0]
    for animation, _ in people:
        if len(animation) != len(first) or animation.rate != first.rate:
            raise MotionError(
                f"people of one scene move for the same time: expected {len(first)} frames at "
                f"{first.rate}, got {len(animation)} at {animation.rate}",
                hint="Resample or trim the motions first.",
            )
    # Single precision is enough about a point nearby, wherever in the world the scene is.
    origin = first.heads.mean(axis=1)
    views = []
    for animation, rig in people:
        figure = rig if isinstance(rig, Figure) else Figure.prepare(animation, rig)
        views.append(_Seen(animation, figure, camera, size, origin))
    for number, person in enumerate(views):
        open_share = seen[number] if number < len(seen) else None
        known = None
        if open_share is not None:
            known = np.isfinite(open_share)
            person.cover(np.where(known, open_share, 1))
        for other in views if occlusion else ():
            person.hide_behind(other, known)
        person.lose_without_a_clue()
    return tuple(
        View(
            places=person.places + origin[:, None],
            pixels=person.pixels.astype(np.float32),
            scores=person.scores.astype(np.float32),
            depths=person.depths.astype(np.float32),
        )
        for person in views
    )


def project_people(
    people: Sequence[tuple[JointAnimation, RigMapping | Figure]],
    camera: Camera,
    size: tuple[int, int],
    *,
    occlusion: bool = True,
    seen: Sequence[NDArray[np.floating] | None] = (),
) -> PoseTrack:
    """Project several rigs that move in one scene; see `view_people`."""
    views = view_people(people, camera, size, occlusion=occlusion, seen=seen)
    first = people[0][0]
    return PoseTrack(
        points=np.stack([view.pixels for view in views], axis=1),
        scores=np.stack([view.scores for view in views], axis=1),
        depths=np.stack([view.depths for view in views], axis=1),
        size=size,
        rate=first.rate,
        first=first.first,
    )


def project(
    animation: JointAnimation,
    mapping: RigMapping | Figure,
    camera: Camera,
    size: tuple[int, int],
    *,
    occlusion: bool = True,
) -> PoseTrack:
    """Project a rig through a camera: one person, one pose for each frame.

    Args:
        animation: joints in metres, z up.
        mapping: which bone plays which role; or the prepared `Figure`, which a live preview
            keeps from frame to frame.
        camera: one frame long, or as long as the animation.
        size: width and height of the picture in pixels.
        occlusion: whether the body hides its own points.

    Returns:
        Points in pixels, y down, with scores as DWPose gives them: lower where a point is hidden
        or turned away, 0 where the rig has no bone, behind the camera and outside the picture.

    Raises:
        MotionError: camera and animation differ in length, or a bone is not in the skeleton.
    """
    return project_people([(animation, mapping)], camera, size, occlusion=occlusion)


def facing(animation: JointAnimation, mapping: RigMapping | Figure) -> Floats:
    """Return which way the body faces over the whole motion: (3,), level, of length 1.

    Raises:
        MotionError: a bone of the mapping is not in the skeleton.
    """
    figure = mapping if isinstance(mapping, Figure) else Figure.prepare(animation, mapping)
    mean = figure.facing(animation).mean(axis=0)
    length = float(np.linalg.norm(mean))
    # A dancer who turns evenly faces nowhere on the whole: take the first frame.
    return np.asarray(mean / length if length > 0.05 else figure.facing(animation)[0])
