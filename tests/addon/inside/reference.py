"""The character's picture made from the scene; its pose, and that nothing else has changed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit
import numpy as np


def ball(name, place, colour):
    """Put a ball that shines in one colour somewhere."""
    mesh = bpy.data.meshes.new(name)
    thing = bpy.data.objects.new(name, mesh)
    import bmesh

    shape = bmesh.new()
    bmesh.ops.create_uvsphere(shape, u_segments=16, v_segments=8, radius=0.12)
    shape.to_mesh(mesh)
    shape.free()
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    nodes = material.node_tree.nodes
    nodes.clear()
    output = nodes.new("ShaderNodeOutputMaterial")
    light = nodes.new("ShaderNodeEmission")
    light.inputs[0].default_value = (*colour, 1.0)
    material.node_tree.links.new(light.outputs[0], output.inputs[0])
    mesh.materials.append(material)
    thing.location = place
    bpy.context.scene.collection.objects.link(thing)


def red_middle(path):
    """Return where the red ball is in a picture: x and y from its top left, in pixels."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    picture = pixels.reshape(height, width, 4)[::-1]
    red = (picture[..., 0] > 0.5) & (picture[..., 1] < 0.3)
    rows, columns = np.nonzero(red)
    return [width, height, float(columns.mean() + 0.5), float(rows.mean() + 0.5)]


def write_beside(scene, folder):
    """Have the compositor write every rendered frame into a folder of the user's own, too."""
    folder.mkdir()
    if bpy.app.version < (5, 0, 0):
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
        end = tree.nodes.new("CompositorNodeComposite")
        output = tree.nodes.new("CompositorNodeOutputFile")
        output.base_path = str(folder)
    else:
        tree = bpy.data.node_groups.new("Compositor", "CompositorNodeTree")
        scene.compositing_node_group = tree
        tree.interface.new_socket("Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        end = tree.nodes.new("NodeGroupOutput")
        output = tree.nodes.new("CompositorNodeOutputFile")
        output.directory = str(folder)
        output.file_output_items.new("RGBA", "beauty")
    layers = tree.nodes.new("CompositorNodeRLayers")
    layers.scene = scene
    for node in (end, output):
        tree.links.new(layers.outputs[0], node.inputs[0])
    return lambda: [sorted(path.name for path in folder.iterdir()), len(tree.nodes)]


def own_image_and_scene(scene, hero):
    """The artist's image and the scene's picture are two things; its size follows the render's."""
    settings = scene.marionext
    preparing, shots = kit.module("work.preparing"), kit.module("work.shots")
    jobs = []
    for name, preset in (("first", "MODEL"), ("wide", "LANDSCAPE"), ("image", "MODEL")):
        settings.size_preset = preset
        settings.character_source = "IMAGE" if name == "image" else "SCENE"
        folder = kit.FOLDER / f"job {name}"
        folder.mkdir()
        list(preparing.prepare(scene, shots.shot_of(scene), folder))
        picture = bpy.data.images.load(str(folder / "character.png"))
        same = (folder / "character.png").read_bytes() == Path(hero).read_bytes()
        jobs.append([*picture.size, same, settings.character == hero])
        bpy.data.images.remove(picture)
    return jobs


def draft_of_scene(scene):
    """A draft takes the picture that is there: what the scene's own engine renders may be slow."""
    settings = scene.marionext
    preparing, shots = kit.module("work.preparing"), kit.module("work.shots")
    settings.character_source, settings.size_preset = "SCENE", "MODEL"
    path = kit.FOLDER / "large.png"
    bpy.ops.marionext.render_character(filepath=str(path))
    folder = kit.FOLDER / "job draft"
    folder.mkdir()
    shot = shots.shot_of(scene, "DRAFT")
    list(preparing.prepare(scene, shot, folder))
    return [shot.size, (folder / "character.png").read_bytes() == path.read_bytes()]


def story():
    kit.empty_file()
    kit.install()
    scene, rig = kit.make_scene()
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 1
    scene.cycles.use_denoising = False
    scene.view_settings.view_transform = "Standard"
    scene.render.resolution_x, scene.render.resolution_y = 640, 360
    scene.frame_set(104)
    bpy.context.view_layer.update()
    bone = rig.pose.bones["mixamorig:LeftHand"]
    wrist = rig.matrix_world @ bone.head
    ball("wrist", wrist, (1.0, 0.0, 0.0))
    scene.world = bpy.data.worlds.new("World")
    scene.render.use_multiview = True
    written = write_beside(scene, kit.FOLDER / "composited")
    groups = len(bpy.data.node_groups)
    hero = scene.marionext.character
    before = [scene.render.resolution_x, scene.render.filepath, scene.frame_current]
    before += [len(bpy.data.scenes), len(bpy.data.images), scene.render.image_settings.file_format]
    answer = {}
    settings = scene.marionext
    for fit in ("CROP", "LETTERBOX"):
        settings.fit = fit
        path = kit.FOLDER / f"{fit}.png"
        bpy.ops.marionext.render_character(filepath=str(path))
        with np.load(path.with_suffix(".pose.npz")) as pose:
            point, score = pose["points"][0, 0, 7], pose["scores"][0, 0, 7]
            size = pose["size"].tolist()
        answer[fit] = {
            "picture": red_middle(path),
            "pose": [float(value) for value in point],
            "score": float(score),
            "size": size,
        }
    after = [scene.render.resolution_x, scene.render.filepath, scene.frame_current]
    after += [len(bpy.data.scenes), len(bpy.data.images), scene.render.image_settings.file_format]
    source = settings.character_source
    settings.fit = "CROP"
    pictures = own_image_and_scene(scene, hero)
    draft = draft_of_scene(scene)
    return {
        **answer,
        "written": written(),
        "groups": len(bpy.data.node_groups) - groups,
        "pictures": pictures,
        "draft": draft,
        "before": before,
        "after": after,
        "source": source,
        "frame": settings.scene_picture_frame,
    }


kit.run(story)
