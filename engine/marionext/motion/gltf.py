"""Read skeletons, their animation, cameras and face shapes from glTF 2.0, GLB, VRM and VRMA.

The rest pose comes from the skins' inverse bind matrices, because the nodes of many files stand
in some frame of an animation; VRM says that its nodes are at rest. Without a skin there is no rest
pose, and ``rest_is_posed`` says so. Channels target nodes, or point at them
(KHR_animation_pointer); what else is animated is named and left out. Clips of one file that move
different things (a body, a camera) belong together and are played together, as Blender does.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.files import reading
from marionext.frames import FrameRate
from marionext.limits import FRAME_NUMBER, FRAMES, NODE_DEPTH
from marionext.motion.animation import JointAnimation
from marionext.motion.bones import Y_UP_TO_Z_UP, find_tails, unique_names
from marionext.motion.camera import Camera
from marionext.motion.gltf_file import GltfFile, open_gltf
from marionext.motion.keyframes import Interpolation, evaluate_keys
from marionext.motion.orientation import TURNS, Body, Up, find_up, turned
from marionext.motion.rates import rate_of_keys
from marionext.motion.rigs import likely_bones
from marionext.motion.weights import check_joints, check_motion

__all__ = ["Moment", "gltf_clips", "moment_of", "read_gltf"]

Floats = NDArray[np.float64]

_PATHS = {"translation": 3, "rotation": 4, "scale": 3, "weights": 0}
_POINTER = re.compile(r"/nodes/(\d+)/(translation|rotation|scale|weights)")
_VRM0_THUMBS = {"ThumbProximal": "ThumbMetacarpal", "ThumbIntermediate": "ThumbProximal"}
_HALF_TURN: Floats = np.diag([-1.0, -1.0, 1.0])
_GIANT, _DWARF = 20.0, 0.1
_MOMENT = 0.1
"""Seconds; what lasts no longer is a pose."""
_ROUNDED = 0.05
"""Of a frame: so far a key may lie before the frame that it is meant for."""
_MOST_SKINS = 1_000
_MOST_TREES = 100
_VALIDATE = "Check it with the Khronos glTF validator, or export it again."
_VALUE = 32
"""Bytes of an animated number in a frame."""
_FARTHEST = 1e9
"""Nothing in a sound file is as far or as large as this; numbers beyond it overflow."""


@dataclass(frozen=True, slots=True)
class _Track:
    """One property of one node over time."""

    node: int
    path: str
    keys: Floats
    values: Floats
    interpolation: Interpolation

    def at(self, times: Floats) -> Floats:
        """Return the property at those times: (times, n)."""
        return evaluate_keys(
            self.keys, self.values, times, self.interpolation, rotations=self.path == "rotation"
        )


@dataclass(frozen=True, slots=True)
class _Scene:
    """The nodes, parents before children, with what they are when nothing is animated."""

    nodes: list[dict[str, Any]]
    parents: NDArray[np.int64]
    order: list[int]
    translations: Floats
    rotations: Floats
    scales: Floats
    matrices: dict[int, Floats]
    """Nodes that are given as a matrix, which cannot be animated."""


def gltf_clips(path: Path) -> tuple[str, ...]:
    """Return the names of the animations of a file; one without a name is "clip 3".

    Raises:
        MotionError: the file is not glTF, or cannot be read.
    """
    with reading(path, MotionError, "a glTF file", hint=_VALIDATE):
        return _clip_names(open_gltf(path))


def read_gltf(
    path: Path,
    *,
    clip: str | int | None = None,
    rate: FrameRate | None = None,
    source_rate: FrameRate | None = None,
    up: Up | None = None,
) -> tuple[JointAnimation, ...]:
    """Read a glTF file: one animation per skeleton, the most joints first.

    Args:
        path: .gltf, .glb, .vrm or .vrma.
        clip: name or number (from 0) of the animation, or None for the first.
        rate: frames per second to read at, or None for those of the clip.
        source_rate: frames per second of the clip, or None to tell them from its keys.
        up: the axis that is up, or None for glTF's own (y) unless the rig clearly has another.

    Returns:
        Frame i is at the time (first + i) / rate of the clip. A file without animation gives one
        frame, at rest.

    Raises:
        MotionError: the file cannot be read, has no such clip, or no node that could be a joint.
    """
    with reading(path, MotionError, "a glTF file", hint=_VALIDATE):
        file = open_gltf(path)
        return _read(file, clip, rate or source_rate, declared=source_rate, up=up)


@dataclass(frozen=True, slots=True)
class Moment:
    """Where all nodes of a file are in one frame."""

    file: GltfFile
    names: tuple[str, ...]
    """Of the nodes, as the file has them."""
    world: Floats
    """(nodes, 4, 4): node to world, in the file's own axes and unit."""
    axes: Floats
    """(nodes, 3, 3): the rotation in that, without scale."""
    weights: Mapping[int, Floats]
    """How far the shapes of a node's mesh are blended in, where that is animated: (shapes,)."""


def moment_of(
    path: Path,
    index: int,
    *,
    clip: str | int | None = None,
    rate: FrameRate | None = None,
    source_rate: FrameRate | None = None,
) -> Moment:
    """Return where nodes are in the frame of that index, from 0, of what `read_gltf` reads.

    Raises:
        MotionError: the file cannot be read, or has no such frame.
    """
    with reading(path, MotionError, "a glTF file", hint=_VALIDATE):
        file = open_gltf(path)
        scene = _scene(file)
        tracks, _ = _tracks(file, scene, _chosen_clips(file, clip)[0])
        rate = rate or source_rate or rate_of_keys([track.keys for track in tracks])[0]
        _, times = _times(file, tracks, rate)
        if not 0 <= index < len(times):
            raise MotionError(f"{path.name}: expected a frame of {len(times)}, got number {index}")
        time = times[index : index + 1]
        weights = {track.node: track.at(time)[0] for track in tracks if track.path == "weights"}
        names = tuple(_node_name(scene, node) for node in range(len(scene.nodes)))
        world = _world(scene, tracks, time)[0]
        return Moment(file, names, world, _placed(world, np.eye(3))[1], weights)


def _read(
    file: GltfFile,
    clip: str | int | None,
    rate: FrameRate | None,
    *,
    declared: FrameRate | None,
    up: Up | None,
) -> tuple[JointAnimation, ...]:
    scene = _scene(file)
    chosen, notes = _chosen_clips(file, clip)
    tracks, left_out = _tracks(file, scene, chosen)
    notes = (*notes, *left_out)
    humanoid, is_vrm0, at_rest = _humanoid(file)
    skeletons = _skeletons(file, scene, tracks, humanoid)
    if not skeletons:
        raise MotionError(
            f"{file.path.name} has no skeleton: no skin, and no node that could be a joint"
        )
    if declared is not None:
        notes = (*notes, f"{declared} frames per second, as declared")
    if rate is None:
        rate, concluded = rate_of_keys([track.keys for track in tracks])
        notes = (*notes, concluded) if tracks else notes
    first, times = _times(file, tracks, rate)
    widths = sum(int(np.prod(track.values.shape[-1:])) for track in tracks)
    check_motion(
        file.path, file.size, len(times), len(scene.nodes), more=len(times) * widths * _VALUE
    )
    if not tracks:
        notes = (*notes, "the file has no animation: one frame, at rest")
    world = _world(scene, tracks, times)
    resting = _world(scene, [], np.zeros(1))[0]
    turn = _HALF_TURN @ Y_UP_TO_Z_UP if is_vrm0 else Y_UP_TO_Z_UP
    camera, camera_notes = _camera(file, scene, world, turn)
    source = " + ".join(_clip_names(file)[index] for index in chosen)

    animations = []
    for bones in skeletons:
        parents = _nearest(scene, bones)
        names = unique_names([_node_name(scene, node) for node in bones])
        bind, bound = resting, set(bones)
        if not at_rest:
            bind, bound = _bind_pose(file, scene, bones, resting)
        rest_heads, rest_rotations = _placed(bind[bones], turn)
        heads, rotations = _placed(world[:, bones], turn)
        turns = rotations @ rest_rotations.swapaxes(-1, -2)
        ends = np.full((len(bones), 3), np.nan)
        tails, rest_tails = find_tails(heads, rest_heads, turns, parents, ends)
        morphs, weights = _morphs(file, scene, tracks, times, bones, alone=len(skeletons) == 1)
        index = dict(zip(bones, names, strict=True))
        own = {part: index[node] for part, node in humanoid.items() if node in index}
        animation = JointAnimation(
            names=names,
            parents=parents,
            heads=heads,
            tails=tails,
            rotations=rotations,
            rest_heads=rest_heads,
            rest_tails=rest_tails,
            rest_rotations=rest_rotations,
            rest_is_posed=2 * len(bound) < len(bones),
            rate=rate,
            first=first,
            humanoid=own or None,
            camera=camera,
            morphs=morphs,
            morph_weights=weights,
            source=source or _node_name(scene, bones[0]),
            notes=(*notes, *camera_notes),
        )
        animations.append(animation)
    files = tuple(file.files)
    return tuple(
        _human_sized(animation.with_(files=files)) for animation in _stood_up(animations, up)
    )


_CUSTOM: Mapping[Up, float] = {"y": 1.0, "z": 0.0, "x": 0.0, "-x": 0.0, "-y": 0.0, "-z": 0.0}
"""glTF says that y is up: only rigs that stand along another axis as they were bound, too, have
been exported without turning them."""


def _stood_up(animations: list[JointAnimation], up: Up | None) -> list[JointAnimation]:
    """Turn rigs whose up axis is not glTF's, or is said to be another."""
    back = TURNS["y"].T
    if up is None:
        bodies = []
        for animation in animations:
            if animation.rest_is_posed or animation.humanoid:
                return animations
            roles = likely_bones(animation.names, animation.parents)
            body = Body.of({role: animation.index(bone) for role, bone in roles.items()})
            bodies.append((body, animation.rest_heads @ back.T, animation.heads @ back.T))
        found = find_up(bodies, custom=_CUSTOM)
        up = found[0].up
        if up == "y" or any(each.rest != up for each in found):
            return animations
        note = f"{found[0].note}; glTF has y up: if that is so here, too, give --up y"
    else:
        note = f"{up} is up, as --up says"
    turn = TURNS[up] @ back
    return [
        turned(animation, turn).with_(notes=(*animation.notes, note)) for animation in animations
    ]


# --- Nodes ---


def _scene(file: GltfFile) -> _Scene:
    nodes = file.list_of("nodes")
    check_joints(file.path, len(nodes))
    if len(file.list_of("skins")) > _MOST_SKINS:
        raise MotionError(
            f"{file.path.name}: expected at most {_MOST_SKINS:,} skins, found "
            f"{len(file.list_of('skins')):,}"
        )
    parents = np.full(len(nodes), -1, dtype=np.int64)
    for index, node in enumerate(nodes):
        for child in node.get("children", []):
            if parents[child] >= 0:
                raise MotionError(f"{file.path.name}: node {child} has two parents")
            parents[child] = index
    order = [index for index in range(len(nodes)) if parents[index] < 0]
    for index in order:
        order.extend(nodes[index].get("children", []))
    if len(order) != len(nodes):
        raise MotionError(f"{file.path.name}: its nodes form a ring")
    depths = np.zeros(len(nodes), dtype=np.int64)
    for index in order:
        if parents[index] >= 0:
            depths[index] = depths[parents[index]] + 1
    if depths.max(initial=0) > NODE_DEPTH:
        raise MotionError(f"{file.path.name}: expected nodes at most {NODE_DEPTH} deep, found more")
    count = len(nodes)
    scene = _Scene(
        nodes=nodes,
        parents=parents,
        order=order,
        translations=np.array([node.get("translation", (0, 0, 0)) for node in nodes], float),
        rotations=np.array([node.get("rotation", (0, 0, 0, 1)) for node in nodes], float),
        scales=np.array([node.get("scale", (1, 1, 1)) for node in nodes], float),
        matrices={
            index: np.array(node["matrix"], float).reshape(4, 4).T
            for index, node in enumerate(nodes)
            if "matrix" in node
        },
    )
    shapes = [scene.translations.shape, scene.rotations.shape, scene.scales.shape]
    if count and shapes != [(count, 3), (count, 4), (count, 3)]:
        raise MotionError(f"{file.path.name}: a node's place, rotation or scale is malformed")
    matrices = scene.matrices.values()
    for values in (scene.translations, scene.rotations, scene.scales, *matrices):
        if not _are_sound(values):
            raise MotionError(f"{file.path.name}: a node's place, rotation or scale is not finite")
    return scene


def _are_sound(values: Floats) -> bool:
    return bool((np.abs(values) < _FARTHEST).all())  # False for NaN


def _node_name(scene: _Scene, node: int) -> str:
    return str(scene.nodes[node].get("name") or f"node {node}")


def _matrices(translations: Floats, rotations: Floats, scales: Floats) -> Floats:
    """Return (..., 4, 4) from places, quaternions x y z w, and scales."""
    x, y, z, w = np.moveaxis(
        rotations / np.maximum(np.linalg.norm(rotations, axis=-1, keepdims=True), 1e-12), -1, 0
    )
    result = np.zeros((*x.shape, 4, 4))
    result[..., 0, 0] = 1 - 2 * (y * y + z * z)
    result[..., 0, 1] = 2 * (x * y - z * w)
    result[..., 0, 2] = 2 * (x * z + y * w)
    result[..., 1, 0] = 2 * (x * y + z * w)
    result[..., 1, 1] = 1 - 2 * (x * x + z * z)
    result[..., 1, 2] = 2 * (y * z - x * w)
    result[..., 2, 0] = 2 * (x * z - y * w)
    result[..., 2, 1] = 2 * (y * z + x * w)
    result[..., 2, 2] = 1 - 2 * (x * x + y * y)
    result[..., :3, :3] *= scales[..., None, :]
    result[..., :3, 3] = translations
    result[..., 3, 3] = 1
    return result


def _world(scene: _Scene, tracks: Sequence[_Track], times: Floats) -> Floats:
    """Return the world matrix of each node at each time: (times, nodes, 4, 4)."""
    moved: dict[int, dict[str, Floats]] = {}
    for track in tracks:
        if track.path != "weights":
            moved.setdefault(track.node, {})[track.path] = track.at(times)
    still = _matrices(scene.translations, scene.rotations, scene.scales)
    world = np.empty((len(times), len(scene.nodes), 4, 4))
    for node in scene.order:
        local = scene.matrices.get(node, still[node])
        if node in moved:
            shape = (len(times), 1)
            local = _matrices(
                moved[node].get("translation", np.tile(scene.translations[node], shape)),
                moved[node].get("rotation", np.tile(scene.rotations[node], shape)),
                moved[node].get("scale", np.tile(scene.scales[node], shape)),
            )
        parent = scene.parents[node]
        world[:, node] = local if parent < 0 else world[:, parent] @ local
    return world


def _placed(matrices: Floats, turn: Floats) -> tuple[Floats, Floats]:
    """Return places and rotations (without scale) in Blender's axes."""
    x = _normalised(matrices[..., :3, 0])
    y = matrices[..., :3, 1]
    y = _normalised(y - (x * y).sum(axis=-1, keepdims=True) * x)
    rotations = np.stack([x, y, np.cross(x, y)], axis=-1)
    return matrices[..., :3, 3] @ turn.T, turn @ rotations


def _normalised(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12))


# --- Clips ---


def _clip_names(file: GltfFile) -> tuple[str, ...]:
    clips = file.list_of("animations")
    return tuple(str(clip.get("name") or f"clip {index}") for index, clip in enumerate(clips))


def _target(channel: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return the node that a channel moves and its property; None and what else it moves."""
    target = channel.get("target", {})
    path = str(target.get("path", ""))
    if path == "pointer":
        pointer = str(target.get("extensions", {}).get("KHR_animation_pointer", {}).get("pointer"))
        found = _POINTER.fullmatch(pointer)
        return (int(found[1]), found[2]) if found else (None, pointer)
    node = target.get("node")
    if node is None:
        return None, "channels without a node"
    return (int(node), path) if path in _PATHS else (None, f"{path!r} of node {node}")


def _targets(clip: Mapping[str, Any]) -> set[tuple[int | None, str]]:
    return {_target(channel) for channel in clip.get("channels", [])}


def _chosen_clips(file: GltfFile, clip: str | int | None) -> tuple[list[int], tuple[str, ...]]:
    """Return the indices of the clips to play together, and what was decided."""
    names = _clip_names(file)
    if clip is not None:
        if isinstance(clip, str) and clip in names:
            return [names.index(clip)], ()
        number = int(clip) if isinstance(clip, int) or clip.isdecimal() else -1
        if not 0 <= number < len(names):
            listed = ", ".join(repr(name) for name in names) or "no animation"
            raise MotionError(f"{file.path.name} has no clip {clip!r}", hint=f"It has {listed}.")
        return [number], ()
    if not names:
        return [], ()
    clips = file.list_of("animations")
    chosen: list[int] = []
    moved: set[tuple[int | None, str]] = set()
    # A pose that stands before the motions, as a first clip of one key, is not what is meant.
    for index in sorted(range(len(clips)), key=lambda index: not _lasts(file, clips[index])):
        targets = _targets(clips[index])
        if not targets & moved:
            chosen.append(index)
            moved |= targets
    if len(names) == 1:
        return chosen, ()
    taken = " with ".join(repr(names[index]) for index in chosen)
    return chosen, (
        f"{len(names)} clips ({', '.join(names)}): {taken} taken (--clip says another)",
    )


def _lasts(file: GltfFile, clip: Mapping[str, Any]) -> bool:
    """Tell a clip that moves from a pose, by the times that its accessors state."""
    accessors = file.list_of("accessors")
    spans = []
    for sampler in clip.get("samplers", []):
        number = sampler.get("input")
        if isinstance(number, int) and 0 <= number < len(accessors):
            accessor = accessors[number]
            low, high = (accessor.get(key) or [0] for key in ("min", "max"))
            spans.append(float(high[0]) - float(low[0]) if "max" in accessor else _MOMENT * 2)
    return not spans or max(spans) > _MOMENT


def _tracks(
    file: GltfFile, scene: _Scene, clips: Iterable[int]
) -> tuple[list[_Track], tuple[str, ...]]:
    """Return what moves in these clips, and what of it is left out: materials, lights, lenses."""
    tracks: list[_Track] = []
    others: list[str] = []
    weight = 0
    for index in clips:
        animation = file.list_of("animations")[index]
        for channel in animation["channels"]:
            node, path = _target(channel)
            if node is None:
                others.append(path)
                continue
            if not 0 <= node < len(scene.nodes):
                raise MotionError(f"{file.path.name}: a channel moves node {node}, which is absent")
            if node in scene.matrices and path != "weights":
                raise MotionError(f"{file.path.name}: node {node} has a matrix and is animated")
            sampler = animation["samplers"][channel["sampler"]]
            tracks.append(_track(file, node, path, sampler))
            # The same keys may be named by any number of channels.
            weight += _VALUE * (tracks[-1].keys.size + tracks[-1].values.size)
            file.check_room(weight, "the keys of its animation")
    if not others:
        return tracks, ()
    named = sorted(set(others))
    which = ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
    return tracks, (f"animated, but left out: {which}",)


def _track(file: GltfFile, node: int, path: str, sampler: Mapping[str, Any]) -> _Track:
    interpolation = sampler.get("interpolation", "LINEAR")
    if interpolation not in {"STEP", "LINEAR", "CUBICSPLINE"}:
        raise MotionError(f"{file.path.name}: interpolation {interpolation!r} is not glTF's")
    keys = file.numbers(sampler["input"])[:, 0]
    values = file.numbers(sampler["output"])
    what = f"{file.path.name}: the {path} of node {node}"
    if not len(keys):
        raise MotionError(f"{what} has no keys")
    if not (_are_sound(keys) and _are_sound(values)):
        raise MotionError(f"{what} is not finite (NaN or infinite)")
    if (np.diff(keys) < 0).any():
        raise MotionError(f"{what} has keys that go back in time")
    per_key = len(keys) * (3 if interpolation == "CUBICSPLINE" else 1)
    width = _PATHS[path] or values.size // per_key
    if values.size != per_key * width or not width:
        raise MotionError(
            f"{what} has {len(keys)} keys, which need {per_key * width} numbers, "
            f"found {values.size}"
        )
    shape = (len(keys), 3, width) if interpolation == "CUBICSPLINE" else (len(keys), width)
    return _Track(node, path, keys, values.reshape(shape), interpolation)


def _times(file: GltfFile, tracks: Sequence[_Track], rate: FrameRate) -> tuple[int, Floats]:
    """Return the first frame's number and the times of all frames, from first to last key."""
    if not tracks:
        return 0, np.zeros(1)
    start = min(float(track.keys[0]) for track in tracks)
    end = max(float(track.keys[-1]) for track in tracks)
    # Some exporters round times to milliseconds: a key belongs to the frame that it is next to.
    first = int(np.floor(start * float(rate) + _ROUNDED))
    last = int(np.floor(end * float(rate) + _ROUNDED))
    if last - first >= FRAMES or max(abs(first), abs(last)) > FRAME_NUMBER:
        raise MotionError(
            f"{file.path.name}: expected at most {FRAMES:,} frames, its keys are {end - start:g} s "
            f"apart: {last - first:,} frames at {rate} frames/s",
            hint="Read it at a lower rate, or take out the keys that are far from the others.",
        )
    return first, np.array([float(i / rate.fraction) for i in range(first, max(last, first) + 1)])


# --- Skeletons ---


def _humanoid(file: GltfFile) -> tuple[dict[str, int], bool, bool]:
    """Return VRM's map from body part to node, whether it is VRM 0, and whether nodes rest."""
    extensions = file.json.get("extensions", {})
    if "VRM" in extensions:
        bones = extensions["VRM"].get("humanoid", {}).get("humanBones", [])
        parts = {}
        for bone in bones:
            name = str(bone["bone"])
            for old, new in _VRM0_THUMBS.items():
                if name.endswith(old):
                    name = name.removesuffix(old) + new
                    break
            parts[name] = int(bone["node"])
        return parts, True, True
    for key in ("VRMC_vrm", "VRMC_vrm_animation"):
        if key in extensions:
            bones = extensions[key].get("humanoid", {}).get("humanBones", {})
            return {str(name): int(bone["node"]) for name, bone in bones.items()}, False, True
    return {}, False, False


def _skeletons(
    file: GltfFile, scene: _Scene, tracks: Sequence[_Track], humanoid: Mapping[str, int]
) -> list[list[int]]:
    """Return the nodes of each skeleton, parents first; the largest skeleton first."""
    groups = [set(skin["joints"]) for skin in file.list_of("skins") if skin.get("joints")]
    if humanoid:
        groups.append(set(humanoid.values()))
    if not groups:
        # A file without skins: whatever moves and can be a joint, else everything that can.
        joints = [node for node in scene.order if _is_joint(scene, node)]
        joints = joints or [node for node in scene.order if "camera" not in scene.nodes[node]]
        moved = {track.node for track in tracks if track.path != "weights"} & set(joints)
        trees: dict[int, set[int]] = {}
        for node in joints:
            trees.setdefault(_root(scene, node), set()).add(node)
        meant = {_root(scene, node) for node in moved or joints}
        # A scene of a thousand things has a thousand trees: the largest ones are people.
        groups = sorted((trees[tree] for tree in meant), key=lambda tree: (-len(tree), min(tree)))
        del groups[_MOST_TREES:]
    joined: list[set[int]] = []
    for group in groups:
        family = _family(scene, group)
        while True:
            related = [other for other in joined if _are_related(scene, other, family)]
            if not related:
                break
            family = _family(scene, family.union(*related))
            joined = [other for other in joined if other not in related]
        joined.append(family)
    joined.sort(key=lambda family: (-len(family), min(family)))
    return [[node for node in scene.order if node in family] for family in joined]


def _root(scene: _Scene, node: int) -> int:
    while scene.parents[node] >= 0:
        node = int(scene.parents[node])
    return node


def _is_joint(scene: _Scene, node: int) -> bool:
    """Tell whether a node can be a joint: no mesh, camera or light."""
    return not {"mesh", "camera", "extensions"} & scene.nodes[node].keys()


def _lineage(scene: _Scene, node: int) -> list[int]:
    """Return the node and its ancestors, up to the root."""
    line = [node]
    while scene.parents[line[-1]] >= 0:
        line.append(int(scene.parents[line[-1]]))
    return line


def _family(scene: _Scene, joints: set[int]) -> set[int]:
    """Return joints, what lies between them, and ends that hang from them without a mesh."""
    family = set(joints)
    for joint in joints:
        line = _lineage(scene, joint)
        above = [place for place, node in enumerate(line) if node in joints]
        family.update(line[: max(above) + 1])
    for node in scene.order:
        if scene.parents[node] in family and _is_joint(scene, node):
            family.add(node)
    return family


def _are_related(scene: _Scene, one: set[int], other: set[int]) -> bool:
    """Tell whether two sets of joints are parts of one skeleton: one hangs from the other."""
    if one & other:
        return True
    # What hangs from a node of the same set has its ancestors.
    return any(
        not a.isdisjoint(_lineage(scene, node))
        for a, b in ((one, other), (other, one))
        for node in b
        if int(scene.parents[node]) not in b
    )


def _nearest(scene: _Scene, bones: list[int]) -> NDArray[np.int64]:
    """Return each bone's parent among the bones."""
    place = {node: index for index, node in enumerate(bones)}
    above = (
        next((place[up] for up in _lineage(scene, node)[1:] if up in place), -1) for node in bones
    )
    return np.array(list(above), dtype=np.int64)


def _bind_pose(
    file: GltfFile, scene: _Scene, bones: list[int], resting: Floats
) -> tuple[Floats, set[int]]:
    """Return world matrices (nodes, 4, 4) as the meshes were bound; as nodes stand elsewhere.

    Returns:
        The matrices, and the nodes of which a skin tells.

    Inverse bind matrices are relative to a mesh whose own place a skin forgets. Of the places
    that exporters use, the one is taken that puts the joints nearest to where the nodes are.
    """
    bind = resting.copy()
    known: set[int] = set()
    members = set(bones)
    skins = sorted(file.list_of("skins"), key=lambda skin: -len(skin.get("joints", [])))
    for skin in skins:
        joints = [int(joint) for joint in skin.get("joints", [])]
        if "inverseBindMatrices" not in skin or not members & set(joints):
            continue
        flat = file.numbers(skin["inverseBindMatrices"])
        inverse = flat.reshape(-1, 4, 4).swapaxes(1, 2)[: len(joints)]
        sound = _are_sound(inverse) and (np.abs(np.linalg.det(inverse)) > 1e-18).all()
        if len(inverse) < len(joints) or not sound:
            continue
        bound = np.linalg.inv(inverse)
        top = joints[0]
        users = [i for i, node in enumerate(scene.nodes) if _uses(file, node, skin)]
        places = [np.eye(4), *(resting[user] for user in users)]
        places += [resting[up] for up in _lineage(scene, top)[1:]]
        fixed = min(places, key=lambda place: _misfit(place @ bound, resting[joints]))
        free = resting[top] @ inverse[0]
        stature = 1e-9 + np.ptp(resting[joints, :3, 3], axis=0).max()
        loss = _misfit(fixed @ bound, resting[joints]) / stature
        if loss > 0.3 and _misfit(free @ bound, resting[joints]) / stature < 0.5 * loss:
            fixed = free
        for joint, matrix in zip(joints, fixed @ bound, strict=True):
            if joint not in known:
                bind[joint] = matrix
        known.update(joints)
    for node in scene.order:
        if node in members and node not in known and scene.parents[node] in members:
            parent = scene.parents[node]
            bind[node] = bind[parent] @ np.linalg.pinv(resting[parent]) @ resting[node]
    return bind, known & members


def _uses(file: GltfFile, node: Mapping[str, Any], skin: Mapping[str, Any]) -> bool:
    return "skin" in node and file.list_of("skins")[node["skin"]] is skin


def _misfit(placed: Floats, resting: Floats) -> float:
    """Return the mean distance between joints as bound and joints as the nodes stand."""
    return float(np.linalg.norm(placed[:, :3, 3] - resting[:, :3, 3], axis=1).mean())


# --- Faces, cameras, sizes ---


def _morphs(
    file: GltfFile,
    scene: _Scene,
    tracks: Sequence[_Track],
    times: Floats,
    bones: list[int],
    *,
    alone: bool,
) -> tuple[tuple[str, ...], Floats]:
    """Return names and weights (times, morphs) of the shapes of this skeleton's meshes.

    Face, teeth and lashes often repeat a name: the one that moves most is taken.
    """
    found: dict[str, Floats] = {}
    members = set(bones)
    animated = {track.node: track for track in tracks if track.path == "weights"}
    meshes = file.list_of("meshes")
    skins = file.list_of("skins")
    for index, node in enumerate(scene.nodes):
        if "mesh" not in node:
            continue
        joints = set(skins[node["skin"]]["joints"]) if "skin" in node else set()
        if not alone and not members & (joints | set(_lineage(scene, index))):
            continue
        mesh = meshes[node["mesh"]]
        primitives = mesh.get("primitives") or [{}]
        count = len(primitives[0].get("targets", []))
        extras = [mesh.get("extras"), *(part.get("extras") for part in primitives)]
        listed = [
            extra["targetNames"]
            for extra in extras
            if isinstance(extra, dict) and "targetNames" in extra
        ]
        names = [str(name) for name in listed[0]] if listed else []
        label = mesh.get("name") or f"mesh {node['mesh']}"
        names += [f"{label} {number}" for number in range(len(names), count)]
        if index in animated:
            weights = animated[index].at(times)
        else:
            still = np.array(node.get("weights") or mesh.get("weights") or [0.0] * count, float)
            if not _are_sound(still):
                raise MotionError(f"{file.path.name}: the weights of {label!r} are not finite")
            weights = np.tile(still, (len(times), 1))
        for name, values in zip(names[:count], weights.T, strict=False):
            if name not in found or np.ptp(values) > np.ptp(found[name]):
                found[name] = values
    if "VRMC_vrm_animation" in file.json.get("extensions", {}):
        found |= _vrma_expressions(file, scene, tracks, times)
    return tuple(found), np.array(list(found.values())).T.reshape(len(times), len(found))


def _vrma_expressions(
    file: GltfFile, scene: _Scene, tracks: Sequence[_Track], times: Floats
) -> dict[str, Floats]:
    """Return VRM expressions, which a .vrma keeps as the x of a node's place."""
    expressions = file.json["extensions"]["VRMC_vrm_animation"].get("expressions", {})
    parts = {**expressions.get("preset", {}), **expressions.get("custom", {})}
    moved = {track.node: track for track in tracks if track.path == "translation"}
    return {
        str(name): moved[part["node"]].at(times)[:, 0]
        if part["node"] in moved
        else np.full(len(times), scene.translations[part["node"], 0])
        for name, part in parts.items()
    }


def _camera(
    file: GltfFile, scene: _Scene, world: Floats, turn: Floats
) -> tuple[Camera | None, tuple[str, ...]]:
    """Return the file's first camera, and a note if there are more."""
    nodes = [index for index, node in enumerate(scene.nodes) if "camera" in node]
    if not nodes:
        return None, ()
    lens = file.list_of("cameras")[scene.nodes[nodes[0]]["camera"]]
    places, rotations = _placed(world[:, nodes[0]], turn)
    views = np.zeros((len(world), 4, 4))
    views[:, :3, :3] = rotations.swapaxes(1, 2)
    views[:, :3, 3] = -(rotations.swapaxes(1, 2) @ places[..., None])[..., 0]
    views[:, 3, 3] = 1
    if np.ptp(views, axis=0).max() < 1e-9:
        views = views[:1]
    focal, scale = np.ones(len(views)), None
    if lens["type"] == "orthographic":
        scale = np.full(len(views), 2 * float(lens["orthographic"]["ymag"]))
    else:
        angle = float(lens["perspective"]["yfov"])
        if not 0 < angle < np.pi:
            raise MotionError(f"{file.path.name}: a camera's field of view is {angle:g} radians")
        focal /= 2 * np.tan(angle / 2)
    camera = Camera(views=views, focal=focal, scale=scale, fit="vertical")
    name = _node_name(scene, nodes[0])
    note = f"{len(nodes)} cameras: {name!r} taken" if len(nodes) > 1 else f"camera {name!r}"
    return camera, (note,)


def _human_sized(animation: JointAnimation) -> JointAnimation:
    """Return an animation in metres where a file was left in centimetres or the like."""
    height = animation.height
    if height == 0 or _DWARF <= height <= _GIANT:
        return animation
    scale = next(
        (unit for unit in (0.01, 0.001, 0.0254, 100.0, 1000.0) if 0.5 <= height * unit <= 3),
        1.7 / height,
    )
    camera = animation.camera
    if camera is not None:
        views = camera.views.copy()
        views[:, :3, 3] *= scale
        widths = None if camera.scale is None else camera.scale * scale
        camera = Camera(views=views, focal=camera.focal, scale=widths, fit=camera.fit)
    return animation.with_(
        heads=animation.heads * scale,
        tails=animation.tails * scale,
        rest_heads=animation.rest_heads * scale,
        rest_tails=animation.rest_tails * scale,
        camera=camera,
        notes=(*animation.notes, f"{height:.4g} m tall: scaled by {scale:.4g}"),
    )
