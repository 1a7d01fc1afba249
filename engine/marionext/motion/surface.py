"""The surface of a rig: its meshes as they are bent in one frame, and what a camera sees of them.

Depth and outline of a character follow from the file itself; no network has to guess them. Only
triangles count: no texture, no light. Standard skinning: each point goes where the joints that hold
it go, weighed (glTF 2.0, section 3.7.3).
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from marionext.errors import MotionError
from marionext.files import reading
from marionext.motion.animation import JointAnimation
from marionext.motion.camera import Camera
from marionext.motion.gltf import Moment, moment_of

__all__ = ["Raster", "Surface", "rasterise", "read_surface"]

Floats = NDArray[np.float64]

_TRIANGLES = 4
"""glTF's number for primitives of triangles."""
_SUFFIXES = frozenset({".glb", ".gltf", ".vrm"})
_NEAREST = 0.01
"""Metres in front of the camera within which nothing is seen."""
_SAMPLES = 1 << 21
"""Points that are looked at at once: some hundred megabytes."""
_SMALL = 64
"""Pixels of triangles that are drawn many at once."""
_MOST_FACES = 5_000_000
_FARTHEST = 1e9
"""Nothing in a sound file is as far as this; numbers beyond it overflow."""


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Triangles in the world."""

    points: Floats
    """(points, 3) in metres, Blender's axes, as the joints of the same animation."""
    faces: NDArray[np.int64]
    """(faces, 3): numbers of points."""


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """What a camera sees of a surface."""

    distance: Floats
    """(height, width): metres along the view, infinite where nothing is."""

    @property
    def mask(self) -> NDArray[np.float32]:
        """(height, width): 1 where the figure is."""
        return np.isfinite(self.distance).astype(np.float32)

    @property
    def depth(self) -> NDArray[np.float32]:
        """(height, width): nearness as depth networks give it, 1 for the nearest, 0 for nothing.

        It falls with one over the distance; the ground is taken to be as far behind the figure as
        the figure is deep, so that the figure's own back is still told from it.
        """
        seen = np.isfinite(self.distance)
        if not seen.any():
            return np.zeros(self.distance.shape, np.float32)
        near, far = self.distance[seen].min(), self.distance[seen].max()
        ground = far + max(far - near, 0.1 * near)
        with np.errstate(divide="ignore"):
            values = (1 / self.distance - 1 / ground) / (1 / near - 1 / ground)
        return np.where(seen, values, 0).astype(np.float32)


def read_surface(
    path: Path,
    animation: JointAnimation,
    index: int,
    *,
    clip: str | int | None = None,
) -> Surface:
    """Read the meshes of a glTF or VRM file as they are in a frame of an animation of it.

    Args:
        path: the file.
        animation: read from it.
        index: of the frame, from 0.
        clip: as the animation was read.

    Raises:
        MotionError: the file has no meshes that can be read.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise MotionError(
            f"{path.name} has no surface: expected a glTF, GLB or VRM file with a mesh",
            hint="Give its depth or outline as a picture, or export the character as GLB.",
        )
    with reading(path, MotionError, "a glTF file with a mesh"):
        return _read(moment_of(path, index, clip=clip, rate=animation.rate), animation, index)


def _read(moment: Moment, animation: JointAnimation, index: int) -> Surface:
    name = moment.file.path.name
    parts = list(_parts(moment))
    if not parts:
        raise MotionError(
            f"{name} has no mesh of triangles", hint="Export the character with its mesh."
        )
    starts = np.cumsum([0, *(len(points) for points, _ in parts)])
    points = np.concatenate([points for points, _ in parts])
    faces = np.concatenate(
        [faces + start for (_, faces), start in zip(parts, starts, strict=False)]
    )
    if len(faces) > _MOST_FACES:
        raise MotionError(
            f"{name}: expected at most {_MOST_FACES:,} triangles, found {len(faces):,}"
        )
    if not (np.abs(points) < _FARTHEST).all():  # NaN neither
        raise MotionError(f"{name}: its mesh is not finite")
    matrix, move = _to_animation(moment, animation, index)
    return Surface(points @ matrix.T + move, faces)


def _parts(moment: Moment) -> Iterator[tuple[Floats, NDArray[np.int64]]]:
    """Yield points in the world and triangles of each primitive."""
    file = moment.file
    meshes, skins = file.list_of("meshes"), file.list_of("skins")
    for node, entry in enumerate(file.list_of("nodes")):
        if "mesh" not in entry:
            continue
        mesh = meshes[entry["mesh"]]
        weights = moment.weights.get(node)
        if weights is None:
            weights = np.array(entry.get("weights") or mesh.get("weights") or [], float)
        for primitive in mesh.get("primitives", []):
            if primitive.get("mode", _TRIANGLES) != _TRIANGLES:
                continue
            if "KHR_draco_mesh_compression" in primitive.get("extensions", {}):
                raise MotionError(
                    f"{file.path.name}: its mesh is compressed with Draco",
                    hint="Export it without mesh compression.",
                )
            attributes = primitive["attributes"]
            points = _shaped(moment, primitive, weights)
            if "skin" in entry and "JOINTS_0" in attributes:
                placed = _skinned(moment, skins[entry["skin"]], attributes, points)
            else:
                placed = _moved(moment.world[node], points)
            if "indices" in primitive:
                faces = file.numbers(primitive["indices"])[:, 0].astype(np.int64)
            else:
                faces = np.arange(len(points))
            faces = faces[: len(faces) // 3 * 3].reshape(-1, 3)
            if len(faces) and not 0 <= faces.min() <= faces.max() < len(points):
                raise MotionError(f"{file.path.name}: a triangle has points that are not there")
            yield placed, faces


def _shaped(moment: Moment, primitive: dict[str, Any], weights: Floats) -> Floats:
    """Return a primitive's points with its shapes blended in."""
    file = moment.file
    points = file.numbers(primitive["attributes"]["POSITION"]).copy()
    for weight, target in zip(weights, primitive.get("targets", []), strict=False):
        if weight and "POSITION" in target:
            points += weight * file.numbers(target["POSITION"])
    return points


def _skinned(
    moment: Moment, skin: dict[str, Any], attributes: dict[str, int], points: Floats
) -> Floats:
    """Return points where the joints that hold them go."""
    file = moment.file
    joints = [int(joint) for joint in skin["joints"]]
    matrices = moment.world[joints]
    if "inverseBindMatrices" in skin:
        inverse = file.numbers(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        matrices = matrices @ inverse[: len(joints)]
    result, total = np.zeros_like(points), np.zeros((len(points), 1))
    for number in range(4):
        if f"JOINTS_{number}" not in attributes or f"WEIGHTS_{number}" not in attributes:
            break
        held = file.numbers(attributes[f"JOINTS_{number}"]).astype(np.int64)
        weights = file.numbers(attributes[f"WEIGHTS_{number}"])
        if held.max(initial=0) >= len(joints):
            raise MotionError(f"{file.path.name}: a point is held by a joint that is not there")
        for column in range(held.shape[1]):
            weight = weights[:, column : column + 1]
            chosen = matrices[held[:, column]]
            moved = np.einsum("nij,nj->ni", chosen[:, :3, :3], points) + chosen[:, :3, 3]
            result += weight * moved
            total += weight
    return result / np.where(total > 0, total, 1)


def _moved(matrix: Floats, points: Floats) -> Floats:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def _to_animation(moment: Moment, animation: JointAnimation, index: int) -> tuple[Floats, Floats]:
    """Return what brings the file's axes and unit to the animation's: (3, 3) and (3,).

    Animations are turned and scaled as they are read; the joints, which are both here and there,
    tell how: their axes the turn, their distances the scale.

    Raises:
        MotionError: too few joints are found again.
    """
    known = Counter(moment.names)
    pairs = [
        (moment.names.index(name), place)
        for place, name in enumerate(animation.names)
        if known[name] == 1
    ]
    nodes, places = [node for node, _ in pairs], [place for _, place in pairs]
    here, there = moment.world[nodes, :3, 3], animation.heads[index, places]
    spread = np.linalg.norm(here - here.mean(axis=0)) if pairs else 0.0
    if spread == 0:
        raise MotionError(
            f"{moment.file.path.name}: its joints have no names of their own, by which mesh and "
            "skeleton are brought together"
        )
    turns = animation.rotations[index, places] @ moment.axes[nodes].swapaxes(1, 2)
    left, _, right = np.linalg.svd(turns.sum(axis=0))
    scale = np.linalg.norm(there - there.mean(axis=0)) / spread
    matrix = scale * left @ right
    return matrix, there.mean(axis=0) - matrix @ here.mean(axis=0)


def rasterise(surface: Surface, camera: Camera, index: int, size: tuple[int, int]) -> Raster:
    """Look at a surface.

    Args:
        surface: triangles; both of their sides are seen.
        camera: one frame long, or as long as the motion.
        index: of the frame.
        size: width and height in pixels.

    Raises:
        MotionError: nothing of it is in the picture.
    """
    pixels, distance = _at(camera, index).project(surface.points[None], size)
    corners, depths = pixels[0][surface.faces], distance[0][surface.faces]
    flat = bool(camera.parallel[index if len(camera) > 1 else 0])
    seen = (depths > _NEAREST).all(axis=1)
    low, high = corners.min(axis=1), corners.max(axis=1)
    seen &= (high > 0).all(axis=1) & (low < np.array(size)).all(axis=1)
    buffer = np.full(size[0] * size[1], np.inf)
    corners, depths = corners[seen], depths[seen]
    # One over the distance is straight across a triangle in perspective, the distance itself is
    # where lines of sight are parallel.
    values = depths if flat else 1 / depths
    first = np.clip(np.floor(low[seen] - 0.5).astype(np.int64), 0, np.array(size) - 1)
    last = np.clip(np.ceil(high[seen] - 0.5).astype(np.int64), 0, np.array(size) - 1)
    spans = (last - first + 1).max(axis=1)
    # Small ones many at once, in squares that they fit into; large ones by themselves.
    side = 1
    while side <= _SMALL:
        of_side = np.flatnonzero((spans <= side) & (spans > side // 2))
        step = _SAMPLES // side**2
        for start in range(0, len(of_side), step):
            part = of_side[start : start + step]
            square = (side, side)
            _draw(buffer, size, corners[part], values[part], first[part], square, flat=flat)
        side *= 2
    for number in np.flatnonzero(spans > _SMALL):
        one = slice(number, number + 1)
        width, height = (last[number] - first[number] + 1).tolist()
        band = max(1, _SAMPLES // width)
        for top in range(0, height, band):
            corner = first[one] + np.array([0, top])
            part_of = (width, min(band, height - top))
            _draw(buffer, size, corners[one], values[one], corner, part_of, flat=flat)
    if not np.isfinite(buffer).any():
        raise MotionError(
            "nothing of the rig's surface is in the picture",
            hint="Choose a camera that sees it: --camera frame.",
        )
    return Raster(buffer.reshape(size[1], size[0]))


def _at(camera: Camera, index: int) -> Camera:
    """Return the camera of one frame."""
    if len(camera) == 1:
        return camera
    one = slice(index, index + 1)
    return replace(
        camera,
        views=camera.views[one],
        focal=camera.focal[one],
        scale=None if camera.scale is None else camera.scale[one],
        shift=None if camera.shift is None else camera.shift[one],
    )


def _draw(
    buffer: Floats,
    size: tuple[int, int],
    corners: Floats,
    values: Floats,
    first: NDArray[np.int64],
    box: tuple[int, int],
    *,
    flat: bool,
) -> None:
    """Draw what of triangles lies in boxes of one size, nearest wins.

    Args:
        buffer: (height * width,) distances, changed.
        size: width and height.
        corners: (triangles, 3, 2) in pixels.
        values: (triangles, 3), what is straight across them.
        first: (triangles, 2), the upper left pixel of each one's box.
        box: width and height of the boxes.
        flat: whether the values are distances, or one over them.
    """
    offsets = np.stack(np.meshgrid(*map(np.arange, box)), axis=-1).reshape(-1, 2)
    places = first[:, None] + offsets
    centres = places + 0.5
    a, b, c = (corners[:, None, corner] for corner in range(3))
    area = _cross(b - a, c - a)
    safe = np.where(np.abs(area) < 1e-12, 1.0, area)
    beta, gamma = _cross(centres - a, c - a) / safe, _cross(b - a, centres - a) / safe
    alpha = 1 - beta - gamma
    # Points on an edge that two triangles share are drawn by both: no seams.
    inside = (np.minimum(np.minimum(alpha, beta), gamma) >= -1e-9) & (np.abs(area) >= 1e-12)
    inside &= (places < np.array(size)).all(axis=-1)
    value = alpha * values[:, 0:1] + beta * values[:, 1:2] + gamma * values[:, 2:3]
    distance = value[inside] if flat else 1 / value[inside]
    where = places[inside]
    np.minimum.at(buffer, where[:, 1] * size[0] + where[:, 0], distance)


def _cross(one: Floats, other: Floats) -> Floats:
    return np.asarray(one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0])
