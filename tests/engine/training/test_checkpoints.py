from pathlib import Path

import pytest
import torch

from marionext.errors import ModelError, OutputError
from marionext.training.checkpoints import Curve, load_checkpoint, save_checkpoint


def test_a_checkpoint_of_another_configuration_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", {"config": {"rate": 1.0, "seed": 0}})
    with pytest.raises(ModelError, match="different: rate"):
        load_checkpoint(tmp_path / "a.pt", {"rate": 2.0, "seed": 0})


def test_a_damaged_checkpoint_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"half of a file")
    with pytest.raises(ModelError, match="cannot read the checkpoint"):
        load_checkpoint(tmp_path / "a.pt", {})


def test_an_interrupted_save_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.pt"
    save_checkpoint(path, {"config": {}, "step": 1})

    def full_disk(_state: object, stream: object) -> None:
        stream.write(b"some")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OutputError, match="no space"):
        save_checkpoint(path, {"config": {}, "step": 2})
    assert load_checkpoint(path, {})["step"] == 1


def test_a_curve_forgets_what_lies_ahead_of_the_step(tmp_path: Path) -> None:
    curve = Curve(tmp_path / "c.csv", ("loss",), 0)
    for step in (1, 2, 3):
        curve.append(step, {"loss": step / 2})
    Curve(tmp_path / "c.csv", ("loss",), 2).append(3, {"loss": 9.0})
    assert (tmp_path / "c.csv").read_text().split() == ["step,loss", "1,0.5", "2,1", "3,9"]
