"""What goes wrong: no engine, a dying one, another version, no disk; and the way on from there."""

import json
import os
import signal
import stat
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import bpy
import kit

WRONG_VERSION = """#!/bin/sh
echo '{"type": "hello", "protocol": 999, "version": "9.9.9", "pid": 1}'
cat > /dev/null
"""
SMALL_DISK = """#!/bin/sh
if [ "$1" = worker ]; then ulimit -f 12; fi
exec "$PYTHON" -m marionext "$@"
"""
NOT_AN_ENGINE = """#!/bin/sh
echo "this is something else" >&2
exit 7
"""


def program(name, text):
    path = kit.FOLDER / name
    path.write_text(text.replace("$PYTHON", REAL), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


REAL = json.loads((kit.FOLDER / "home" / "engine.json").read_text(encoding="utf-8"))["python"]


def told(render):
    return {
        "state": render.state,
        "message": render.message,
        "hint": render.hint,
        "code": render.code,
        "frames": len(list((Path(render.folder) / "frames").glob("*.png"))),
    }


def story():
    kit.empty_file()
    kit.install()
    folders, module = kit.module("work.folders"), kit.module("work.runner")
    runner = module.runner
    preferences = kit.module("state.preferences").get()
    scene, _rig = kit.make_scene()
    session = bpy.context.window_manager.marionext
    answer = {}

    def add(kind="RENDER"):
        folder = folders.new_folder(folders.output_root(scene), scene, kind)
        return runner.add(scene, kind, folder)

    def end(render):
        kit.pump_until(lambda: not render.is_open)
        return told(render)

    # Nothing is started yet, so nothing is waited for: what goes wrong at once.
    preferences.engine = "/nowhere/python"
    answer["missing"] = end(add())
    for name, text in (("version", WRONG_VERSION), ("stranger", NOT_AN_ENGINE)):
        preferences.engine = program(name, text)
        render = add()
        answer[name] = end(render)
    # A disk that fills up: nothing above six kilobytes can be written.
    if os.name == "posix":
        preferences.engine = program("small", SMALL_DISK)
        full = add()
        answer["full"] = end(full)
        preferences.engine = ""
        runner.retry(full)
        answer["full, retried"] = end(full)

    # Two jobs; the engine is killed while it renders the first one.
    preferences.engine = ""
    scene.marionext.steps = 12
    first, second = add(), add()
    kit.pump_until(lambda: first.progress > 0.3)
    answer["waiting"] = second.state
    os.kill(runner.engine.pid, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    kit.pump_until(lambda: not first.is_open)
    answer["killed"] = told(first)
    answer["mirrored"] = [[item.state, item.message] for item in session.jobs][-2:]
    kit.pump_until(lambda: second.progress > 0.3)
    bpy.ops.marionext.cancel(job_id=second.job_id)
    answer["cancelled"] = end(second)
    started = time.monotonic()
    bpy.ops.marionext.retry(job_id=first.job_id)
    answer["retried"] = end(first)
    answer["retried"]["seconds"] = time.monotonic() - started

    # A job that waits is cancelled without ever having begun.
    third, fourth = add(), add()
    runner.cancel(fourth)
    answer["never begun"] = told(fourth)
    runner.cancel(third)
    answer["given up"] = end(third)
    before = len(session.jobs)
    bpy.ops.marionext.clear_jobs()
    answer["cleared"] = [before, len(session.jobs)]
    answer["slowest"] = 1000 * runner.slowest
    answer["slowest of own"] = 1000 * runner.slowest_of_own
    answer["ticks"] = ticks(runner, add())
    answer["scenes"] = len(bpy.data.scenes)

    preferences.engine = program("other", NOT_AN_ENGINE)
    try:
        bpy.ops.marionext.test_engine(wait=True)
    except RuntimeError as error:
        answer["tested"] = [session.engine_state, str(error)]
    bpy.ops.preferences.addon_disable(module=kit.package())
    return answer


def ticks(runner, render):
    """Return the median and the worst time of a look at a busy engine, in milliseconds."""
    kit.pump_until(lambda: render.progress > 0.3)
    times, own = [], []
    while render.is_open and len(times) < 400:
        started, used = time.perf_counter(), time.thread_time()
        runner.pump()
        times.append(1000 * (time.perf_counter() - started))
        own.append(1000 * (time.thread_time() - used))
        time.sleep(0.005)
    runner.cancel(render)
    kit.pump_until(lambda: not render.is_open)
    times.sort()
    median = times[len(times) // 2]
    return {"median": median, "worst": times[-1], "own worst": max(own), "count": len(times)}


kit.run(story)
