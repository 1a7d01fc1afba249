"""One worker for each graphics card, on machines whose driver only seems to be there."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from marionext.errors import DeviceError
from marionext.queueing.gpus import CHOSEN, Gpu, claim_gpu, list_gpus

LISTED = """GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-0)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-1)
"""
DIVIDED = """GPU 0: NVIDIA A100 (UUID: GPU-aaaa-0)
  MIG 1g.10gb     Device  0: (UUID: MIG-cccc-2)
  MIG 1g.10gb     Device  1: (UUID: MIG-dddd-3)
GPU 1: NVIDIA A100 (UUID: GPU-bbbb-1)
"""


@pytest.fixture(autouse=True)
def unchosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(CHOSEN, "")
    monkeypatch.delenv(CHOSEN)


def told(text: str) -> tuple[Gpu, ...]:
    return list_gpus([sys.executable, "-c", f"print({text!r}, end='')"])


def test_cards_are_known_by_what_the_driver_calls_them_and_divided_ones_by_their_parts() -> None:
    assert [gpu.uuid for gpu in told(LISTED)] == ["GPU-aaaa-0", "GPU-bbbb-1"]
    assert told(LISTED)[1].name == "GPU 1, NVIDIA H100 80GB HBM3"
    assert [gpu.uuid for gpu in told(DIVIDED)] == ["MIG-cccc-2", "MIG-dddd-3", "GPU-bbbb-1"]
    assert told("NVIDIA-SMI has failed because it couldn't communicate\n") == ()
    assert list_gpus(["/nowhere/nvidia-smi"]) == ()


def test_each_card_is_had_once_and_again_when_it_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    def find() -> tuple[Gpu, ...]:
        return told(LISTED)

    held = []
    for uuid in ("GPU-aaaa-0", "GPU-bbbb-1"):
        monkeypatch.delenv(CHOSEN, raising=False)
        claimed = claim_gpu(find)
        assert claimed is not None
        assert claimed.gpu.uuid == os.environ[CHOSEN] == uuid
        held.append(claimed)
    monkeypatch.delenv(CHOSEN)
    with pytest.raises(DeviceError, match="all 2 GPUs have one already"):
        claim_gpu(find)
    held[0].release()
    again = claim_gpu(find)
    assert again is not None
    assert again.gpu.uuid == "GPU-aaaa-0"
    for each in (again, held[1]):
        each.release()


def test_nothing_is_claimed_where_the_user_has_chosen_or_there_is_no_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert claim_gpu(lambda: ()) is None
    monkeypatch.setenv(CHOSEN, "1")
    assert claim_gpu(lambda: told(LISTED)) is None
    assert os.environ[CHOSEN] == "1"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the driver is a shell script")
def test_workers_take_a_card_each_and_a_killed_one_leaves_its_own(
    commands: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "bin" / "nvidia-smi"
    driver.parent.mkdir()
    driver.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n", encoding="utf-8")
    driver.chmod(0o755)
    commands.environment["PATH"] = f"{driver.parent}{os.pathsep}{os.environ['PATH']}"
    commands.environment.pop(CHOSEN, None)
    first, second = (commands.start("work", stderr=subprocess.PIPE) for _ in range(2))
    try:
        cards = {worker.stderr.readline()[:23] for worker in (first, second)}
        assert cards == {"This worker has GPU 0, ", "This worker has GPU 1, "}
        refused = commands.run("work", "--drain")
        assert refused.returncode == 5
        assert "all 2 GPUs have one already" in refused.stderr
        assert commands.run("work", "--drain", "--device", "cpu").returncode == 0
        first.kill()
        first.wait()
        taken = commands.run("work", "--drain")
        assert taken.returncode == 0
        assert "This worker has GPU" in taken.stderr
    finally:
        for worker in (first, second):
            worker.send_signal(signal.SIGKILL)
            worker.communicate()
