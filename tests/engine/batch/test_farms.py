"""What the documentation says about render farms, done as far as it can be without them."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from marionext.cli import main

ROOT = Path(__file__).resolve().parents[3]
FARM = """
    const tasks = [];
    const author = {
        Task: (name, kind) => ({ name, kind, commands: [],
                                 addCommand(command) { this.commands.push(command); } }),
        Command: (name, parameters) => ({ name, parameters }),
    };
    const job = { settings: JSON.parse(process.argv[1]), addTask: (task) => tasks.push(task) };
    compileJob(job);
    console.log(JSON.stringify({ type: JOB_TYPE, tasks }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_a_flamenco_job_renders_every_part(
    tmp_path: Path, write_job, capsys: pytest.CaptureFixture[str]
) -> None:
    write_job("a", frames="101")
    write_job("b", frames="102")
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    for name in "ab":
        text = (tmp_path / f"{name}.json").read_text()
        (jobs / f"{name}.json").write_text(text)
    settings = {"jobs": str(jobs), "parts": 2, "retry": 1, "program": "marionext"}
    script = (ROOT / "docs" / "farms" / "marionext.js").read_text(encoding="utf-8")
    done = subprocess.run(
        ["node", "-e", script + FARM, json.dumps(settings)],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout)
    assert {setting["key"] for setting in told["type"]["settings"]} == set(settings)
    for task in told["tasks"]:
        (command,) = task["commands"]
        assert (task["kind"], command["name"]) == ("misc", "exec")
        assert command["parameters"]["exe"] == "marionext"
        assert main(command["parameters"]["args"]) == 0
    for name, number in (("a", 101), ("b", 102)):
        assert (jobs / "out" / name / "frames" / f"{number:06}.png").is_file()
    capsys.readouterr()


def test_every_command_line_in_the_documentation_is_one_that_is_understood(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from marionext.cli import build_parser

    text = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in re.sub(r"\\\n\s*", "", block).splitlines()]
    filled = [re.sub(r"\$\w+|<\w+>", "1", line) for line in lines]
    commands = [
        found[1]
        for line in filled
        if (
            found := re.search(
                r"""(?:marionext |")((?:batch|blend|verify|farm|render) [^>&;'"#]+)""", line
            )
        )
    ]
    assert len(commands) == 14
    for command in commands:
        build_parser().parse_args(shlex.split(command))
