"""``marionext blend``: a folder of Blender files, by one command."""

from pathlib import Path

import pytest

from marionext.cli import main

pytestmark = pytest.mark.blender


@pytest.mark.slow
def test_a_folder_of_blender_files_is_rendered_by_one_command(
    inside_window,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    shots = tmp_path / "shots"
    shots.mkdir()
    inside_window.run("blend_files")
    for name, value in inside_window.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    command = ["blend", str(shots), "--blender", inside_window.blender.command[0]]
    assert main(command) not in (0, 6)
    said = capfd.readouterr()
    assert "error: a empty.blend: " in said.err
    assert not list(shots.rglob("*.png"))
    assert main([*command, "--keep-going"]) == 6
    said = capfd.readouterr()
    assert "b good.blend: " in said.out
    assert len(list(shots.rglob("frames/*.png"))) == 4


def test_a_blender_that_is_not_there_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.blend"
    file.touch()
    assert main(["blend", str(file), "--blender", "no-such-blender"]) == 4
    assert "--blender" in capsys.readouterr().err
    assert main(["blend", str(tmp_path / "b.blend")]) == 2
