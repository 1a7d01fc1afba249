"""What the sidebar shows, without a window: every panel is drawn into a layout that takes notes."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit

OPENED = []
WATCHING = []


def watch(event, arguments):
    if WATCHING and event in {"open", "os.listdir", "os.scandir", "subprocess.Popen"}:
        OPENED.append(f"{event} {arguments[0]}")


class Notes:
    """A layout that writes down what it is told to show."""

    def __init__(self, shown):
        object.__setattr__(self, "shown", shown)

    def __setattr__(self, name, value):
        self.shown.append(("set", name, value))

    def __getattr__(self, name):
        if name in {"row", "column", "box", "split", "grid_flow"}:
            return lambda **_: Notes(self.shown)

        def note(*arguments, **options):
            told = [a for a in arguments if isinstance(a, str)]
            self.shown.append((name, *told, options.get("text")))
            return SimpleNamespace()

        return note


def context():
    """Return what a panel is drawn with; without windows Blender has no region."""
    return SimpleNamespace(
        scene=bpy.context.scene,
        window_manager=bpy.context.window_manager,
        # Without a window there is no scale either.
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)),
        active_object=bpy.context.view_layer.objects.active,
        region=SimpleNamespace(width=229),
    )


def draw():
    """Draw every panel; return what is shown and how long it took."""
    shown, here = [], context()
    start = time.perf_counter()
    for room in kit.module("ui.panels")._ROOMS:
        for cls in room.CLASSES:
            if not hasattr(cls, "poll") or cls.poll(here):
                panel = SimpleNamespace(layout=Notes(shown))
                for name in dir(cls):
                    if name.startswith("_draw"):
                        value = getattr(cls, name)
                        setattr(panel, name, value.__get__(panel))
                if hasattr(cls, "draw_header_preset"):
                    cls.draw_header_preset(panel, here)
                cls.draw(panel, here)
    return shown, time.perf_counter() - start


def texts(shown):
    return [entry[-1] for entry in shown if entry[-1] and isinstance(entry[-1], str)]


def interface():
    """Return the names and descriptions of everything that the add-on registers."""
    found = []
    types = [*kit.module("state.properties")._CLASSES, kit.module("ui.page").MarionextPreferences]
    types.append(kit.module("ui.lists").MARIONEXT_UL_mapping)
    operators = [getattr(bpy.ops.marionext, n).get_rna_type() for n in dir(bpy.ops.marionext)]
    for rna in [*(t.bl_rna for t in types), *operators]:
        found.append([rna.identifier, "", rna.name, rna.description])
        for prop in rna.properties:
            if prop.identifier in {"rna_type", "name"} or prop.identifier.startswith("bl_"):
                continue
            if prop.identifier not in own_properties(rna):
                continue
            found.append([rna.identifier, prop.identifier, prop.name, prop.description])
            if prop.type == "ENUM":
                found += [
                    [rna.identifier, f"{prop.identifier}={i.identifier}", i.name, i.description]
                    for i in prop.enum_items
                ]
    return found


def own_properties(rna):
    base = rna.base
    return set(rna.properties.keys()) - (set(base.properties.keys()) if base else set())


def story():
    sys.addaudithook(watch)
    kit.empty_file()
    kit.install()
    answer = {"words": kit.module("state.chinese").CHINESE, "interface": interface()}
    answer["empty"] = texts(draw()[0])
    scene, rig = kit.make_scene()
    settings = scene.marionext
    settings.people.clear()
    bpy.context.view_layer.objects.active = rig
    answer["offered"] = texts(draw()[0])
    answer["added"] = list(bpy.ops.marionext.person_add())
    person = settings.people[0]
    answer["found"] = [person.convention, person.body_points, person.hand_points]
    answer["ready"] = texts(draw()[0])
    answer["framing"] = framings(scene)
    answer["mapping"] = mend(person, rig)
    answer["people"] = several(settings, rig)
    answer["problem"] = no_body(settings)
    answer["work"] = work_while_drawing(settings)
    answer["jobs"] = jobs_shown()
    answer["status bar"] = status()
    answer["chinese"] = speak()
    return answer


def framings(scene):
    """Return what is said about sizes, cropped and letter-boxed."""
    shot, summary = sys.modules[f"{kit.package()}.ui.panels.shot"], kit.module("ui.summary")
    scene.render.resolution_x, scene.render.resolution_y = 1920, 1080
    told = {}
    for fit in ("CROP", "LETTERBOX"):
        scene.marionext.fit = fit
        found = summary.framing(scene)
        told[fit] = [found.size, found.shown, shot.framing_words(found)]
    scene.render.resolution_x, scene.render.resolution_y = 384, 576
    told["same"] = [summary.framing(scene).same_shape, shot.framing_words(summary.framing(scene))]
    scene.marionext.fit = "CROP"
    return told


def mend(person, rig):
    """Mend a mapping in all the ways the panel offers."""
    told = {}
    bones = rig.data.bones
    roles = list(person.mapping.keys())
    person.mapping_index = roles.index("left_hand")
    bones.active = bones["mixamorig:LeftForeArm"]
    bpy.ops.marionext.pick_bone(both_sides=True)
    for role in ("left_hand", "right_hand"):
        item = person.mapping[role]
        told[role] = [item.bone, item.source]
    bpy.ops.marionext.inspect_rig(keep=True)
    told["kept"] = person.mapping["left_hand"].bone
    told["in use"] = (
        kit.module("scene.rig").people_of(bpy.context.scene)[0].mapping.bones["left_hand"]
    )
    bpy.ops.marionext.clear_bone()
    told["cleared"] = [person.mapping["left_hand"].bone, person.hand_points]
    bpy.ops.marionext.save_preset(title="My Own Rig")
    told["preset"] = [person.preset, person.convention, person.problem]
    bpy.ops.marionext.choose_preset(preset="AUTOMATIC")
    told["detected"] = [person.preset, person.mapping["right_hand"].source]
    bpy.ops.marionext.choose_preset(preset="mixamo")
    told["chosen"] = [person.preset, person.mapping["left_hand"].bone]
    person.mapping_index = roles.index("head")
    bpy.ops.marionext.select_bone()
    told["selected"] = bones.active.name
    person.mapping["head"].bone = "mixamorig:Neck"
    told["by list"] = [person.mapping["head"].source, person.mapping["head"].bone]
    bpy.ops.marionext.inspect_rig(keep=False)
    return told


def several(settings, rig):
    """Add a second person and take it out again."""
    second = kit.make_rig("Second", x=1.0)
    bpy.context.view_layer.objects.active = second
    bpy.ops.marionext.person_add()
    told = [[person.armature.name for person in settings.people], settings.people_index]
    try:
        again = list(bpy.ops.marionext.person_add(armature="Second"))
    except RuntimeError as error:
        again = str(error)
    shown = texts(draw()[0])
    bpy.ops.marionext.person_remove()
    told += [again, len(settings.people), settings.people[0].armature == rig, shown]
    return told


def no_body(settings):
    """Choose an armature that is no person."""
    armature = bpy.data.armatures.new("Plant")
    plant = bpy.data.objects.new("Plant", armature)
    bpy.context.scene.collection.objects.link(plant)
    bpy.context.view_layer.objects.active = plant
    bpy.ops.object.mode_set(mode="EDIT")
    parent = None
    for number in range(4):
        bone = armature.edit_bones.new(f"Stalk{number}")
        bone.head, bone.tail = (0, 0, number), (0, 0, number + 1)
        bone.parent, parent = parent, bone
    bpy.ops.object.mode_set(mode="OBJECT")
    before = settings.people[0].armature
    settings.people[0].armature = plant
    person = settings.people[0]
    told = [person.problem, person.advice, texts(draw()[0])]
    person.mapping["left_upper_arm"].bone = "Stalk1"
    person.mapping["right_upper_arm"].bone = "Stalk2"
    told += [person.problem, person.convention]
    person.armature = before
    return told


def work_while_drawing(settings):
    """Draw again and again: no rig is looked at, no file opened, and it is quick."""
    rig = kit.module("scene.rig")
    original, calls = rig.inspect, []
    rig.inspect = lambda *armature, **_options: calls.append(armature)
    settings.show_advanced = True
    draw()
    WATCHING.append(True)
    seconds = []
    for number in range(30):
        settings.frame_step = 1 + number % 3
        seconds.append(draw()[1])
    WATCHING.clear()
    rig.inspect = original
    settings.frame_step = 1
    return {"inspected": len(calls), "opened": OPENED, "seconds": sorted(seconds)[15]}


def jobs_shown():
    """Draw jobs in each of their states."""
    session = bpy.context.window_manager.marionext
    told = {}
    for state in ("RECORDING", "QUEUED", "RUNNING", "FINISHED", "FAILED", "CANCELLED"):
        session.jobs.clear()
        job = session.jobs.add()
        job.job_id, job.name, job.state = "1", "Scene-001", state
        job.progress, job.seconds_left = 0.25, 83.4
        job.message, job.hint = "Told what happened", "Told what to do"
        shown = draw()[0]
        operators = [e[1] for e in shown if e[0] == "operator"]
        told[state] = [operators, texts(shown)]
        job.whole = True
        told[f"{state}, whole"] = [e[1] for e in draw()[0] if e[0] == "operator"]
    session.jobs.clear()
    session.engine_state, session.engine_message = "PROBLEM", "The engine is gone"
    told["engine"] = texts(draw()[0])
    preferences = kit.module("state.preferences").get()
    preferences.engine = "/nowhere/python"  # which forgets what was known of the engine
    kit.module("ui.panels")._look_for_engine()
    told["no engine"] = [session.engine_state, *texts(draw()[0])]
    preferences.engine = ""
    return told


def status():
    """Return whether the status bar has an entry, and what it shows while a render runs."""
    room = sys.modules[f"{kit.package()}.ui.panels.status"]
    header = bpy.types.STATUSBAR_HT_header
    there = room.draw_status in header._dyn_ui_initialize()
    shown = []
    room.draw_status(SimpleNamespace(layout=Notes(shown)), context())
    idle = len(shown)
    session = bpy.context.window_manager.marionext
    job = session.jobs.add()
    job.job_id, job.state, job.progress = "1", "RUNNING", 0.5
    room.draw_status(SimpleNamespace(layout=Notes(shown)), context())
    session.jobs.clear()
    bpy.ops.preferences.addon_disable(module=kit.package())
    gone = not any("marionext" in f.__module__ for f in header._dyn_ui_initialize())
    bpy.ops.preferences.addon_enable(module=kit.package())
    return {"there": there, "idle": idle, "operators": [e[1] for e in shown if e[0] == "operator"],
            "gone": gone}  # fmt: skip


def speak():
    """Return the interface's words in Chinese, where this Blender knows the language."""
    view = bpy.context.preferences.view
    for language in ("zh_HANS", "zh_CN"):
        try:
            view.language = language
        except TypeError:
            continue
        view.use_translate_interface = True
        translations = kit.module("state.translations")
        words = [translations.say("Camera and Frames"), translations.say("Use {name}", name="X")]
        words.append(kit.module("state.words").role_words("left_index_2"))
        words.append(bpy.app.translations.pgettext_iface("Look", "Marionext"))
        messages = kit.module("state.messages")
        words.append(messages.translated("denoising 7/18, step 3 of 6"))
        words.append(messages.translated("12 frames in 1:09 min"))
        words.append(messages.translated("something else"))
        view.language = "en_US"
        return words
    return None


kit.run(story)
