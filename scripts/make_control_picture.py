"""Draw the picture of docs/images.md: what controls are made of a rig and of a character.

python scripts/make_control_picture.py [--out docs/images/controls.png]
"""

import argparse
import json
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np

from marionext.casting import open_doll
from marionext.codec import decode
from marionext.doll import DollDrawer
from marionext.jobs import CameraSettings, MotionSource, PictureControl
from marionext.output import contact_sheet, write_png
from marionext.presets import folder
from marionext.reporting import silent
from marionext.runs.control_pictures import ControlSource

SIZE = (256, 384)
FRAME = 40
BONES = {
    # Name: parent, place beside it in metres, half widths of its box, turn about z in degrees.
    "Hips": ("", (0, 0.95, 0), (0.16, 0.10, 0.10), 0),
    "Spine": ("Hips", (0, 0.12, 0), (0.15, 0.12, 0.09), 4),
    "Chest": ("Spine", (0, 0.22, 0), (0.18, 0.14, 0.11), 4),
    "Neck": ("Chest", (0, 0.22, 0), (0.05, 0.06, 0.05), 0),
    "Head": ("Neck", (0, 0.10, 0), (0.10, 0.13, 0.11), -6),
    "LeftUpperArm": ("Chest", (0.20, 0.16, 0), (0.05, 0.14, 0.05), 155),
    "LeftLowerArm": ("LeftUpperArm", (0, 0.27, 0), (0.04, 0.13, 0.04), -60),
    "LeftHand": ("LeftLowerArm", (0, 0.25, 0), (0.04, 0.07, 0.02), 0),
    "RightUpperArm": ("Chest", (-0.20, 0.16, 0), (0.05, 0.14, 0.05), 100),
    "RightLowerArm": ("RightUpperArm", (0, 0.27, 0), (0.04, 0.13, 0.04), -110),
    "RightHand": ("RightLowerArm", (0, 0.25, 0), (0.04, 0.07, 0.02), 0),
    "LeftUpperLeg": ("Hips", (0.10, -0.05, 0), (0.07, 0.22, 0.08), 205),
    "LeftLowerLeg": ("LeftUpperLeg", (0, 0.42, 0), (0.055, 0.21, 0.06), -20),
    "LeftFoot": ("LeftLowerLeg", (0, 0.42, 0), (0.05, 0.05, 0.12), 0),
    "RightUpperLeg": ("Hips", (-0.10, -0.05, 0), (0.07, 0.22, 0.08), 165),
    "RightLowerLeg": ("RightUpperLeg", (0, 0.42, 0), (0.055, 0.21, 0.06), 15),
    "RightFoot": ("RightLowerLeg", (0, 0.42, 0), (0.05, 0.05, 0.12), 0),
}
"""A figure of rounded boxes, one a bone, in VRM's names."""


def ellipsoid(half: tuple[float, float, float], middle: float) -> tuple[np.ndarray, np.ndarray]:
    """Return points and triangles of a rounded box along a bone."""
    across, along = np.meshgrid(np.linspace(0, 2 * np.pi, 25)[:-1], np.linspace(0, np.pi, 13))
    power = 0.6  # rounder than a box, fuller than a ball

    def rounded(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.sign(values) * np.abs(values) ** power)

    points = np.stack(
        [
            rounded(np.sin(along) * np.cos(across)) * half[0],
            rounded(np.cos(along)) * half[1] + middle,
            rounded(np.sin(along) * np.sin(across)) * half[2],
        ],
        axis=-1,
    )
    rows, columns = along.shape
    place = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(place, -1, axis=1)
    a, b, c, d = place[:-1], right[:-1], place[1:], right[1:]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([b, d, c], -1)], axis=1)
    return points.reshape(-1, 3), faces.reshape(-1, 3)


def write_figure(path: Path) -> None:
    """Write the figure as a VRM 1.0 file: nodes, a mesh at each, the names of its bones."""
    data = b""
    names = list(BONES)
    file: dict[str, list[dict[str, object]]] = {
        "nodes": [], "meshes": [], "accessors": [], "bufferViews": [],
    }  # fmt: skip

    def accessor(values: np.ndarray, component: int, kind: str) -> int:
        nonlocal data
        raw = values.tobytes()
        view: dict[str, object] = {"buffer": 0, "byteOffset": len(data), "byteLength": len(raw)}
        data += raw + bytes(-len(raw) % 4)
        file["bufferViews"].append(view)
        file["accessors"].append(
            {
                "bufferView": len(file["bufferViews"]) - 1,
                "componentType": component,
                "count": len(values),
                "type": kind,
            }
        )
        return len(file["accessors"]) - 1

    for number, (name, (_, place, half, degrees)) in enumerate(BONES.items()):
        limb = any(part in name for part in ("Arm", "Leg", "Hand"))
        points, faces = ellipsoid(half, half[1] * 0.9 if limb else 0.0)
        turn = np.radians(degrees) / 2
        children = [names.index(child) for child in names if BONES[child][0] == name]
        node: dict[str, object] = {
            "name": name,
            "translation": place,
            "rotation": [0, 0, np.sin(turn), np.cos(turn)],
            "mesh": number,
        }
        file["nodes"].append({**node, "children": children} if children else node)
        primitive = {
            "attributes": {"POSITION": accessor(points.astype("<f4"), 5126, "VEC3")},
            "indices": accessor(faces.reshape(-1).astype("<u4"), 5125, "SCALAR"),
        }
        file["meshes"].append({"primitives": [primitive]})
    bones = {name[0].lower() + name[1:]: {"node": names.index(name)} for name in names}
    whole = {
        "asset": {"version": "2.0"},
        **file,
        "buffers": [{"byteLength": len(data)}],
        "extensionsUsed": ["VRMC_vrm"],
        "extensions": {"VRMC_vrm": {"specVersion": "1.0", "humanoid": {"humanBones": bones}}},
    }
    text = json.dumps(whole).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(data), 0x004E4942) + data
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


def source(kind: str, path: Path, frame: int | None = None, **more: int) -> ControlSource:
    """Open a control."""
    view = MotionSource(path=str(path), camera=CameraSettings(yaw=25))
    control = decode(
        PictureControl,
        {"kind": kind, **more},
        base=PictureControl(kind="pose", source=view, frame=frame),
    )
    return ControlSource(control, silent())


def main() -> int:
    """Draw the controls and lay them out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images/controls.png"))
    options = parser.parse_args()
    hero, dance = folder("characters") / "hero.png", folder("motions") / "dance.bvh"
    pictures = []
    with tempfile.TemporaryDirectory() as work:
        figure = Path(work) / "figure.vrm"
        write_figure(figure)
        for kind in ("pose", "depth", "mask"):
            drawn = source(kind, figure).draw(SIZE, "openpose")
            bright = np.minimum(drawn.astype(int) * (3 if kind == "pose" else 1), 255)
            pictures.append((bright.astype(np.uint8), f"{kind}=figure.vrm"))
    pictures.append(
        (source("canny", hero, low=30, high=90).draw(SIZE, "openpose"), "canny=hero.png")
    )
    pose = source("pose", dance, FRAME)
    drawn = np.minimum(pose.draw(SIZE, "openpose").astype(int) * 3, 255).astype(np.uint8)
    pictures.append((drawn, f"pose=dance.bvh@{FRAME}"))
    track = pose.track(SIZE)
    doll = DollDrawer([open_doll(hero, print)], SIZE)
    draft = doll.draw(track.points[0], track.scores[0]).picture
    pictures.append((np.ascontiguousarray(draft), "--init doll=hero.png"))
    sheet = contact_sheet([each[0] for each in pictures], [each[1] for each in pictures])
    write_png(options.out, sheet)
    return 0


if __name__ == "__main__":
    sys.exit(main())
