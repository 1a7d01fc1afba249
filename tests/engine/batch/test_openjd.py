"""Templates of Open Job Description, checked and run by its own command."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marionext.batch import Needs, list_shots, needs_of_picture, template, to_yaml
from marionext.cli import main
from marionext.jobs import EngineSettings, PictureJob, UpscaleJob

pytest.importorskip("openjd.cli", reason="needs openjd-cli")
yaml = pytest.importorskip("yaml", reason="comes with openjd-cli")

OPENJD = (sys.executable, "-m", "openjd")


def openjd(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*OPENJD, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def tasks_of(made: dict[str, Any]) -> list[list[str]]:
    """The names of the shots of each step of a template."""
    spaces = [step["parameterSpace"]["taskParameterDefinitions"] for step in made["steps"]]
    return [definitions[0]["range"] for definitions in spaces]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The command as a farm's machine has it."""
    path = tmp_path / "marionext"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m marionext "$@"\n')
    path.chmod(0o755)
    return path


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a script of sh")
def test_the_farm_renders_every_job_of_a_table_as_a_task_of_its_own(
    tmp_path: Path,
    track_file: Path,
    character_file: Path,
    program: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tmp_path / "night.csv"
    table.write_text(
        "shot,motion,character,out,frames,settings.width,settings.height\n"
        'one "ü",wave.npz,hero.png,r/{shot},101-102,64,96\n'
        "two: 2,wave.npz,hero.png,r/{shot},103,64,96\n",
        encoding="utf-8",
    )
    command = ["farm", "openjd", str(table), "--command", str(program), "--name", "night"]
    assert main(command) == 0
    path = tmp_path / "template.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    checked = openjd("check", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    done = openjd("run", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "r" / 'one "ü"' / "frames" / "000102.png").is_file()
    assert (tmp_path / "r" / "two: 2" / "frames" / "000103.png").is_file()
    assert "openjd_progress: 100.0" in done.stdout
    assert "openjd_status: r/two: 2: " in done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a script of sh")
def test_a_task_that_fails_fails_on_the_farm(
    tmp_path: Path, write_job, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = write_job("a")
    assert main(["farm", "openjd", str(job), "--command", str(program)]) == 0
    path = tmp_path / "template.yaml"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    (tmp_path / "out").write_text("a file where a folder should be")
    done = openjd("run", path)
    assert done.returncode != 0
    assert "openjd_fail: " in done.stdout


def test_machines_are_asked_for_what_a_render_was_planned_to_take(
    write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [str(write_job("a")), str(write_job("b")), str(write_job("c", model="puppet"))]
    assert main(["farm", "openjd", *jobs, "--device", "cuda"]) == 0
    made = yaml.safe_load(capsys.readouterr().out)
    amounts = [
        {amount["name"]: amount["min"] for amount in step["hostRequirements"]["amounts"]}
        for step in made["steps"]
    ]
    assert [sorted(amount) for amount in amounts] == [
        ["amount.worker.memory"],
        ["amount.worker.gpu", "amount.worker.gpu.memory", "amount.worker.memory"],
    ]
    assert tasks_of(made) == [["out/a", "out/b"], ["out/c"]]


def test_a_job_that_cannot_be_rendered_makes_no_template(
    write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["farm", "openjd", str(write_job("a", character="gone.png"))]) == 3
    assert capsys.readouterr().out == ""


def test_thousands_of_jobs_are_split_as_templates_want_it(tmp_path: Path, write_job) -> None:
    from dataclasses import replace

    from openjd.model import decode_job_template

    (shot,) = list_shots([write_job("a")]).shots
    shots = [(replace(shot, name=f"shot {n}"), Needs(memory_mib=1024)) for n in range(3000)]
    made = template(shots, [tmp_path])
    assert [len(names) for names in tasks_of(made)] == [1024, 1024, 952]
    decode_job_template(template=yaml.safe_load(to_yaml(made)))


LETTERS = st.characters(
    exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff\ufffe\uffff"
)
VALUES = st.recursive(
    st.text(LETTERS) | st.integers(-1000, 1000),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.from_regex(r"key[a-z]{0,3}", fullmatch=True), VALUES, max_size=4))
def test_what_is_written_as_yaml_is_read_back_as_it_was(value: dict[str, object]) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


def test_pictures_ask_for_machines_that_hold_their_base(tmp_path: Path) -> None:
    (tmp_path / "base" / "unet").mkdir(parents=True)
    for name, gib in (("a.fp16.safetensors", 2), ("a.safetensors", 4)):
        with (tmp_path / "base" / "unet" / name).open("wb") as file:
            file.truncate(gib << 30)  # without taking the room
    job = PictureJob(prompt="p", output="out", base=str(tmp_path / "base"))
    on_card = needs_of_picture(job, EngineSettings(device="cuda"))
    assert (on_card.memory_mib, on_card.gpu_mib) == (4 * 1024, 3 * 1024)
    assert needs_of_picture(job, EngineSettings(device="cpu")) == Needs(memory_mib=8 * 1024)
    absent = PictureJob(prompt="p", output="out", base="nowhere")
    assert needs_of_picture(absent, EngineSettings(device="cuda")).gpu_mib == 11 * 1024


def test_making_pictures_larger_needs_as_much_as_its_network() -> None:
    card = EngineSettings(device="cuda")
    job = UpscaleJob(source="frames", output="large", method="lanczos")
    assert needs_of_picture(job, card) == Needs(memory_mib=2048)
    for method in ("realesrgan", "mine.param"):
        assert needs_of_picture(replace(job, method=method), card).gpu_mib == 1024
    assert needs_of_picture(replace(job, method="sd3"), card).gpu_mib > 8 * 1024
