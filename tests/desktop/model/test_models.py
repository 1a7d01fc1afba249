import os
import sys
import textwrap
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from marionext_desktop.model.models import Models


def test_the_models_of_this_user_are_listed(qtbot: QtBot) -> None:
    models = Models()
    with qtbot.waitSignal(models.changed, timeout=30_000):
        models.refresh()
    doll, svd, detector = (models.model(name) for name in ("doll", "svd", "mediapipe"))
    assert doll is not None
    assert (doll.stage, doll.built_in, doll.usable) == ("ready", True, True)
    assert svd is not None
    assert (svd.stage, svd.usable) == ("absent", False)
    assert svd.licence
    assert svd.gated
    assert detector is not None
    assert detector.kind == "detector"
    with qtbot.waitSignal(models.changed):
        models.check("doll")
    qtbot.waitUntil(lambda: _stage(models, "doll") == "ready", timeout=30_000)
    models.close()


def _stage(models: Models, name: str) -> str:
    model = models.model(name)
    return "" if model is None else model.stage


STAND_IN = """
import json, sys, time
row = {"name": "m", "title": "M", "description": "", "kind": "video", "state": "not here",
       "folder": "/m", "licence": "MIT", "built_in": False, "gated": None, "download_bytes": 100}
if sys.argv[1:3] == ["models", "list"]:
    print(json.dumps([row]))
elif sys.argv[1:3] == ["models", "pull"]:
    for done in range(0, 101, 10):
        print(json.dumps({"file": "f", "done": done, "total": 100, "bytes_per_second": 7}))
        sys.stdout.flush()
        time.sleep(%s)
    if "%s":
        print("error: the licence is not accepted\\n       Accept it at the models page",
              file=sys.stderr)
        sys.exit(4)
"""


@pytest.mark.skipif(os.name == "nt", reason="interrupts")
@pytest.mark.parametrize(("pause", "fails"), [("0.05", ""), ("0.01", "yes")])
def test_a_fetch_tells_how_far_it_is_and_why_it_fails(
    tmp_path: Path, qtbot: QtBot, pause: str, fails: str
) -> None:
    # Stands in for a fetch, which would go online.
    program = tmp_path / "marionext.py"
    program.write_text(textwrap.dedent(STAND_IN % (pause, fails)))
    models = Models(command=[sys.executable, str(program)])
    with qtbot.waitSignal(models.changed, timeout=10_000):
        models.refresh()
    seen: list[float] = []
    errors: list[str] = []
    models.changed.connect(lambda: seen.append(models.models[0].fraction))
    models.failed.connect(lambda _name, error: errors.append(str(error)))
    models.fetch("m")
    assert _stage(models, "m") == "fetching"
    qtbot.waitUntil(lambda: models._listing is None and not models._fetches, timeout=10_000)
    if fails:
        assert "licence is not accepted" in errors[0]
        assert "the models page" in models.models[0].message
    else:
        assert errors == []
        assert seen == sorted(seen)
        assert any(0 < fraction < 1 for fraction in seen)
    models.close()


def test_a_fetch_that_is_stopped_is_no_failure(tmp_path: Path, qtbot: QtBot) -> None:
    program = tmp_path / "marionext.py"
    program.write_text(textwrap.dedent(STAND_IN % ("0.5", "")))
    models = Models(command=[sys.executable, str(program)])
    with qtbot.waitSignal(models.changed, timeout=10_000):
        models.refresh()
    errors: list[str] = []
    models.failed.connect(lambda _name, error: errors.append(str(error)))
    models.fetch("m")
    qtbot.wait(400)
    models.stop("m")
    qtbot.waitUntil(lambda: not models._fetches, timeout=10_000)
    assert errors == []
    models.close()
