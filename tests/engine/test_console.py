"""What the command line shows, on a real pseudo-terminal and without one."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from marionext.cli import console, main

DANCE = Path(__file__).parents[2] / "presets" / "motions" / "dance.bvh"
HEAVY = {
    "accelerate", "av", "cv2", "diffusers", "flatbuffers", "huggingface_hub", "imageio_ffmpeg",
    "matplotlib", "mediapipe", "numpy", "peft", "PIL", "rich", "safetensors", "torch",
    "transformers",
}  # fmt: skip
CONTROL = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]")

needs_terminals = pytest.mark.skipif(sys.platform == "win32", reason="needs pseudo-terminals")


class Terminal:
    """Runs a program on a terminal of its own and keeps what it wrote."""

    def __init__(self, code: str, columns: int = 100, **environment: str) -> None:
        import fcntl
        import pty
        import struct
        import termios

        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        plain = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdin=theirs, stdout=theirs, stderr=theirs,
            env={**plain, "TERM": "xterm-256color", **environment},
        )  # fmt: skip
        os.close(theirs)
        self.written = b""
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                more = os.read(self._ours, 1 << 12)
            except OSError:  # Linux's word for the end
                more = b""
            with self._grown:
                self.written += more
                self._grown.notify_all()
            if not more:
                return

    def wait_for(self, text: bytes) -> None:
        with self._grown:
            if not self._grown.wait_for(lambda: text in self.written, 60):
                self.process.kill()
                self.end()
                pytest.fail(f"{text!r} is not in {self.text!r}")

    def end(self) -> int:
        status = self.process.wait(60)
        self._reader.join(60)
        os.close(self._ours)
        return status

    @property
    def text(self) -> str:
        return self.written.decode("utf-8", "replace")

    @property
    def screen(self) -> list[str]:
        """The lines that are left, without blanks at their ends."""
        lines, row, column = [""], 0, 0
        for match in CONTROL.finditer(self.text):
            what = match[0]
            if what == "\r":
                column = 0
            elif what == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif match[2] == "A":
                row -= int(match[1] or 1)
            elif match[2] == "K":
                assert match[1] == "2"
                lines[row] = ""
            elif match[2]:
                assert match[2] in "mhl", what
            else:
                line = lines[row].ljust(column)
                lines[row] = line[:column] + what + line[column + 1 :]
                column += 1
        return [line.rstrip() for line in "\n".join(lines).rstrip().splitlines()]


TABLE = """
    import time
    from marionext.cli import console
    rows = [(f"shot {n}", "waiting", "", None) for n in range(100)]
    for at in range(50):
        rows[at] = (f"shot {at}", "done", "", 1.0)
    rows[50] = ("shot \\u65e5\\x1b[2J", "working", "denoising 2/4", 0.5)
    console.show_table(rows, "50 done", stage="50")
    console.say("warning: one")
    time.sleep(0.2)
    rows[50] = ("shot 50", "failed", "no memory", None)
    rows[51] = ("shot 51", "working", "reading", None)
    console.show_table(rows, "51 done", stage="51")
    time.sleep(0.2)
    console.close()
    print("end")
"""


@needs_terminals
def test_a_batch_is_a_table_that_fits_the_terminal_and_leaves_nothing_behind() -> None:
    terminal = Terminal(TABLE)
    terminal.wait_for(b"end")
    assert terminal.end() == 0
    assert terminal.screen == ["warning: one", "end"]
    assert "50%" in terminal.text
    assert "no memory" in terminal.text
    assert "shot 99" not in terminal.text
    assert "\x1b[2J" not in terminal.text


def test_a_batch_without_a_terminal_is_a_line_now_and_then() -> None:
    code = textwrap.dedent(TABLE)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "end\n"
    assert done.stderr.splitlines()[1:] == ["warning: one", "shot 51: reading  (51 done)"]


SHOW = """
    import logging, time, warnings
    from marionext.cli import console
    logging.basicConfig(format="%(message)s", handlers=[console.LogLines()])
    console.show_progress("denoising 1/4", 0.25, 41)
    console.say("warning: one")
    console.show_progress("denoising 2/4 \\u65e5\\x1b[2J\\nx", 0.5, 30)
    logging.warning("two")
    console.show_progress("denoising 3/4 " + "x" * 200, 0.75, 3700)
    warnings.warn("three")
    time.sleep(0.2)
    console.show_progress("denoising 4/4", 1.0, 0)
    console.show_result("out/dance.mp4")
    console.show_progress("writing", None, None)
    console.close()
"""
LEFT = ["warning: one", "two", "<string>:10: UserWarning: three", "out/dance.mp4"]


@needs_terminals
def test_a_terminal_has_one_live_line_under_all_else() -> None:
    terminal = Terminal(SHOW)
    assert terminal.end() == 0
    assert terminal.screen == LEFT
    assert " 25%" in terminal.text
    assert "denoising 1/4" in terminal.text
    assert "41 s left" in terminal.text
    assert "1:01 h left" in terminal.text
    assert "━" in terminal.text
    assert "\x1b[2J" not in terminal.text
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")


@needs_terminals
@pytest.mark.parametrize("columns", [32, 49, 60, 300])
def test_the_live_line_fits_any_width(columns: int) -> None:
    terminal = Terminal(SHOW, columns)
    assert terminal.end() == 0
    assert terminal.screen == LEFT


@needs_terminals
def test_no_color_is_respected() -> None:
    terminal = Terminal(SHOW, NO_COLOR="1")
    assert terminal.end() == 0
    assert terminal.screen == LEFT
    assert not re.search(r"\x1b\[[\d;]*m", terminal.text)


@needs_terminals
@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_console_that_lacks_letters_gets_others(encoding: str) -> None:
    terminal = Terminal(SHOW, PYTHONIOENCODING=encoding)
    assert terminal.end() == 0
    assert terminal.screen == LEFT
    assert "━" not in terminal.text
    assert "\\u" not in terminal.text
    assert "2/4 ?" in terminal.text


@needs_terminals
def test_a_dumb_terminal_gets_plain_lines() -> None:
    terminal = Terminal(SHOW, TERM="dumb")
    assert terminal.end() == 0
    assert "\x1b" not in terminal.text.replace("\x1b[2J", "")
    assert terminal.screen[0] == " 25%  denoising 1/4, 41 s left"


@needs_terminals
def test_ctrl_c_leaves_a_clean_terminal(tmp_path: Path) -> None:
    terminal = Terminal(f"""
        import sys
        from marionext.cli import main
        sys.exit(main(["posemap", {str(DANCE)!r}, "-o", {str(tmp_path / "maps")!r}]))
    """)
    terminal.wait_for(b"pose maps")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert terminal.screen[-2].startswith("Stopping after")
    assert terminal.screen[-1].startswith("error: ")
    assert not any("%" in line for line in terminal.screen)
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l")


def test_what_a_signal_says_within_a_drawing_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Line:
        def __init__(self, _words: object) -> None:
            pass

        def show(self, *_: Any) -> None:
            console.say("Stopping")
            sys.stderr.write("drawn,")

        def close(self) -> None:
            sys.stderr.write("gone,")

    monkeypatch.setattr("marionext.cli.live.LiveLine", Line)
    monkeypatch.setattr(console, "_is_terminal", lambda: True)
    console.show_progress("denoising")
    assert capsys.readouterr().err == "drawn,gone,Stopping\n"


def test_without_a_terminal_plain_lines_come_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for step in range(50):
        console.show_progress(f"denoising {step}/50", step / 50, 50.0 - step, stage="denoise")
    console.show_progress("decoding 1/8", 0.9, stage="decode")
    console.close()
    assert capsys.readouterr().err.splitlines() == [
        "  0%  denoising 0/50, 50 s left",
        " 90%  decoding 1/8",
    ]


def test_a_result_that_stdout_cannot_spell_is_printed_all_the_same() -> None:
    code = """
        from marionext.cli import console
        console.show_result("\\u65e5.mp4")
        console.show_json({"name": "\\u65e5\\U0001f600"})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=True,
    )  # fmt: skip
    first, _, rest = done.stdout.decode("cp1252").partition("\n")
    assert first.strip() == "?.mp4"
    assert json.loads(rest) == {"name": "日😀"}


def test_posemap_tells_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["posemap", str(DANCE), "-o", str(tmp_path), "--frames", "1-3"]) == 0
    said = capsys.readouterr()
    assert "%  " in said.err
    assert "pose maps" in said.err
    assert said.out.split() == [str(tmp_path)]


def test_batch_prints_what_each_job_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {"kind": "track", "motion": {"path": str(DANCE)}, "frames": "1", "output": "dance.npz"}
    (tmp_path / "job.json").write_text(json.dumps(job))
    assert main(["batch", str(tmp_path / "job.json")]) == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(tmp_path / "dance.npz")]
    assert "1 frame in" in said.err


def test_help_imports_nothing_heavy() -> None:
    code = """
        import sys
        from marionext.cli import main
        try:
            main(["--help"])
        except SystemExit:
            print("\\n" + " ".join({name.partition(".")[0] for name in sys.modules}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.splitlines()[-1].split()) == set()
