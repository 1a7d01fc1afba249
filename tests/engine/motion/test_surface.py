"""Surfaces of rigs: bent as their joints are, and seen through a camera."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.motion.test_gltf import Builder, about, walk

from marionext.errors import MotionError
from marionext.motion import Camera, Surface, rasterise, read_gltf, read_surface


def looking_down(height: float = 2.0, *, scale: float | None = None) -> Camera:
    """Return a camera above the origin that looks along -z; up in its picture is +y."""
    pose = np.eye(4)
    pose[2, 3] = height
    return Camera.still(pose, focal=1.0, scale=scale)


def plane(points: list[tuple[float, float, float]], *faces: tuple[int, int, int]) -> Surface:
    return Surface(np.array(points, float), np.array(faces, np.int64))


def test_a_slanted_triangle_lies_where_its_plane_is() -> None:
    # z = 0.5 x: what lies to the right is nearer to the camera.
    surface = plane([(-0.8, -0.8, -0.4), (0.8, -0.8, 0.4), (0.0, 0.8, 0.0)], (0, 1, 2))
    raster = rasterise(surface, looking_down(), 0, (64, 64))
    rows, columns = np.nonzero(raster.mask)
    across = (columns + 0.5 - 32) / 64
    # The line of sight (across, ., -1) t from (0, 0, 2) meets the plane where 2 - t = 0.5 across t.
    expected = 2 / (1 + 0.5 * across)
    assert raster.distance[rows, columns] == pytest.approx(expected, abs=1e-9)
    assert len(rows) > 500
    assert raster.mask[2, 2] == 0
    depth = raster.depth
    assert depth.max() == 1
    assert depth[rows, columns].min() > 0
    assert depth[0, 0] == 0


def test_the_nearest_wins_and_both_sides_are_seen() -> None:
    low = [(-1.0, -1.0, 0.0), (1.0, -1.0, 0.0), (0.0, 1.0, 0.0)]
    high = [(x / 2, y / 2, 0.5) for x, y, _ in low]
    for order in ((0, 1, 2), (2, 1, 0)):
        surface = plane([*low, *high], order, (order[0] + 3, order[1] + 3, order[2] + 3))
        raster = rasterise(surface, looking_down(scale=2.5), 0, (50, 50))
        assert raster.distance[25, 25] == pytest.approx(1.5)
        assert raster.distance[38, 25] == pytest.approx(2.0)


@given(seed=st.integers(0, 2**32 - 1), cuts=st.integers(1, 9), side=st.sampled_from([9, 33, 100]))
@settings(max_examples=25, deadline=None)
def test_triangles_that_share_edges_leave_no_seams(seed: int, cuts: int, side: int) -> None:
    random = np.random.default_rng(seed)
    places = np.linspace(-1, 1, cuts + 1)
    points = np.stack([*np.meshgrid(places, places), np.zeros((cuts + 1, cuts + 1))], -1)
    points[1:-1, 1:-1, :2] += random.uniform(-0.3, 0.3, (cuts - 1, cuts - 1, 2)) / cuts
    corner = np.arange((cuts + 1) ** 2).reshape(cuts + 1, -1)
    a, b, c, d = (
        each.ravel()
        for each in (corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1], corner[1:, 1:])
    )
    faces = np.concatenate([np.stack([a, b, d], -1), np.stack([a, d, c], -1)])
    raster = rasterise(Surface(points.reshape(-1, 3), faces), looking_down(), 0, (side, side))
    assert raster.mask.all()
    assert raster.distance == pytest.approx(2.0)


def test_what_is_behind_the_camera_or_beside_the_picture_is_not_seen() -> None:
    behind = plane([(-1, -1, 3), (1, -1, 3), (0, 1, 3)], (0, 1, 2))
    beside = plane([(8, 8, 0), (9, 8, 0), (8, 9, 0)], (0, 1, 2))
    for surface in (behind, beside):
        with pytest.raises(MotionError, match="nothing of the rig's surface is in the picture"):
            rasterise(surface, looking_down(), 0, (40, 30))


def arm(builder: Builder, *, scale: float = 1.0) -> None:
    """Add an arm of three joints along x whose skin is a strip, bent at the second joint."""
    top = builder.node("top", scale=[scale] * 3)
    joints, parent = [], top
    for number, name in enumerate(("shoulder", "elbow", "hand")):
        move = [0.0, 1.5, 0.0] if number == 0 else [0.5, 0.0, 0.0]
        parent = builder.node(name, parent, translation=move)
        joints.append(parent)
    builder.clip(
        "bend", (joints[1], "rotation", [0.0, 1.0], [[0, 0, 0, 1], about((0, 0, 1), 90)], "LINEAR")
    )
    inverse = []
    for number in range(3):
        matrix = np.eye(4)
        matrix[:3, 3] = [-0.5 * number, -1.5, 0]
        inverse.append(matrix.T.ravel())
    points = [(x, 1.5 + y, 0.0) for x in (0.0, 0.5, 1.0) for y in (-0.1, 0.1)]
    held = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]]
    weights = [[1, 0, 0, 0]] * 2 + [[0.5, 0.5, 0, 0]] * 2 + [[1, 0, 0, 0]] * 2
    faces = [0, 2, 1, 1, 2, 3, 2, 4, 3, 3, 4, 5]
    builder.json["meshes"] = [
        {
            "primitives": [
                {
                    "attributes": {
                        "POSITION": builder.accessor(points),
                        "JOINTS_0": builder.accessor(held, "B"),
                        "WEIGHTS_0": builder.accessor(weights),
                    },
                    "indices": builder.accessor(faces, "H"),
                    "targets": [{"POSITION": builder.accessor([(0.0, 0.0, 0.2)] * 6)}],
                }
            ],
            "weights": [0.0],
        }
    ]
    builder.json["skins"] = [{"joints": joints, "inverseBindMatrices": builder.accessor(inverse)}]
    mesh = builder.node("strip", top, mesh=0, skin=0)
    builder.clip("bulge", (mesh, "weights", [0.0, 1.0], [0.0, 1.0], "LINEAR"))


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_a_skin_goes_with_its_joints_whatever_the_files_unit(tmp_path: Path, scale: float) -> None:
    builder = Builder()
    arm(builder, scale=scale)
    path = builder.glb(tmp_path / "arm.glb")
    animation = read_gltf(path, clip="bend")[0]
    elbow = animation.index("elbow")
    for index in (0, len(animation) - 1):
        surface = read_surface(path, animation, index, clip="bend")
        heads = animation.heads[index]
        middles = (surface.points[::2] + surface.points[1::2]) / 2
        # The ends of the strip lie on the shoulder and the hand, whatever turned and scaled them.
        assert middles[0] == pytest.approx(heads[animation.index("shoulder")], abs=1e-6)
        assert middles[2] == pytest.approx(heads[animation.index("hand")], abs=1e-6)
        assert middles[1] == pytest.approx(heads[elbow], abs=1e-6)
    assert len(surface.faces) == 4


def test_shapes_are_blended_in(tmp_path: Path) -> None:
    builder = Builder()
    arm(builder)
    path = builder.glb(tmp_path / "arm.glb")
    animation = read_gltf(path, clip="bulge")[0]
    ends = (0, len(animation) - 1)
    first, last = (read_surface(path, animation, i, clip="bulge").points for i in ends)
    # 0.2 along the file's z, which is Blender's -y.
    assert last - first == pytest.approx(np.tile([0.0, -0.2, 0.0], (6, 1)), abs=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("no mesh", "no mesh of triangles"),
        ("lines", "no mesh of triangles"),
        ("draco", "compressed with Draco"),
        ("points", "a triangle has points that are not there"),
        ("joints", "held by a joint that is not there"),
    ],
)
def test_meshes_that_cannot_be_read_are_named(tmp_path: Path, change: str, words: str) -> None:
    builder = Builder()
    arm(builder)
    primitive = builder.json["meshes"][0]["primitives"][0]
    if change == "no mesh":
        del builder.json["nodes"][-1]["mesh"]
    elif change == "lines":
        primitive["mode"] = 1
    elif change == "draco":
        primitive["extensions"] = {"KHR_draco_mesh_compression": {}}
    elif change == "points":
        primitive["indices"] = builder.accessor([0, 1, 99], "H")
    else:
        primitive["attributes"]["JOINTS_0"] = builder.accessor([[9, 0, 0, 0]] * 6, "B")
    path = builder.glb(tmp_path / "arm.glb")
    animation = read_gltf(path, clip="bend")[0]
    with pytest.raises(MotionError, match=words):
        read_surface(path, animation, 0, clip="bend")


def test_a_triangle_larger_than_the_picture_covers_it() -> None:
    wide = plane([(-90.0, -90.0, 0.0), (90.0, -90.0, 0.0), (0.0, 90.0, 0.0)], (0, 1, 2))
    raster = rasterise(wide, looking_down(), 0, (300, 200))
    assert raster.mask.all()
    assert raster.distance == pytest.approx(2.0)
    small = plane([(-0.3, -0.3, 0.0), (0.3, -0.3, 0.0), (0.0, 0.3, 0.0)], (0, 1, 2))
    one, many = (rasterise(small, looking_down(), 0, (side, side)) for side in (96, 640))
    assert one.mask.mean() == pytest.approx(many.mask.mean(), rel=0.1)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_damage_raises_anything_but_a_motion_error(tmp_path: Path, data: st.DataObject) -> None:
    builder = Builder()
    arm(builder)
    whole = builder.glb(tmp_path / "whole.glb")
    animation = read_gltf(whole, clip="bend")[0]
    places = [place for place in walk(builder.json) if place[0] in {"meshes", "skins", "accessors"}]
    where = data.draw(st.sampled_from(places))
    junk = st.one_of(
        st.none(), st.integers(-3, 1000), st.floats(), st.text(max_size=3), st.just([])
    )
    target: Any = builder.json
    for step in where[:-1]:
        target = target[step]
    target[where[-1]] = data.draw(junk)
    damaged = builder.glb(tmp_path / "damaged.glb")
    with contextlib.suppress(MotionError), np.errstate(over="ignore", invalid="ignore"):
        rasterise(read_surface(damaged, animation, 0, clip="bend"), looking_down(9), 0, (32, 32))


def test_a_file_without_surfaces_says_what_would_have_one(tmp_path: Path) -> None:
    builder = Builder()
    arm(builder)
    animation = read_gltf(builder.glb(tmp_path / "arm.glb"))[0]
    with pytest.raises(MotionError, match=r"dance.bvh has no surface: expected a glTF"):
        read_surface(Path("dance.bvh"), animation, 0)
