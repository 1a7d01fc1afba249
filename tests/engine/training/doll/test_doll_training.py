from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from marionext.backends.doll.refiner import Refiner
from marionext.bundles import read_record
from marionext.errors import ModelError
from marionext.training.checkpoints import load_checkpoint
from marionext.training.doll import training as training_module
from marionext.training.doll.commands import main
from marionext.training.doll.pairs import ClipDrawer, DrawnClip, Stock, draw_pairs, plain_pairs
from marionext.training.doll.textures import textured
from marionext.training.doll.training import (
    RefinerSettings,
    Schedule,
    export_refiner,
    refined,
    train_refiner,
)
from marionext.training.figures.clips import HELD_OUT, make_clip

TINY = RefinerSettings(
    batch=2,
    stock=2,
    kept=3,
    renewed=0.5,
    frames=2,
    size=(64, 96),
    large=2,
    piece=(48, 64),
    widths=(8, 16, 16, 16),
    depths=((0, 1), (1, 1), (1, 1), (1, 0)),
    bfloat16=False,
)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_module, "VALIDATION_CLIPS", 4)


def trained(
    folder: Path, steps: int, *, critic: int = 0, resume: bool = False
) -> dict[str, object]:
    schedule = Schedule(steps, 0, critic, evaluate_every=2)
    path = train_refiner(TINY, folder, schedule, resume=resume)
    return load_checkpoint(path, torch.load(path, weights_only=True)["config"])


class CutOffError(Exception):
    """Stands for a training that is killed."""


def test_a_resumed_training_takes_the_same_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    through = trained(tmp_path / "through", 2, critic=4)
    draw, drawn = training_module._draw, []

    def killed(*given: object) -> None:
        drawn.append(given)
        if len(drawn) == 2:
            raise CutOffError
        draw(*given)

    with monkeypatch.context() as patched:
        patched.setattr(training_module, "_draw", killed)
        with pytest.raises(CutOffError):
            trained(tmp_path / "stopped", 2, critic=4)
    resumed = trained(tmp_path / "stopped", 2, critic=4, resume=True)
    for kind in ("network", "average"):
        for name, value in through[kind].items():
            assert torch.equal(value, resumed[kind][name]), name
    rows = (tmp_path / "stopped" / "refiner.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["step", "2", "4", "6"]


def test_what_a_critic_joins_is_kept_as_it_was(tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain", 2)
    with_critic = trained(tmp_path / "critic", 2, critic=1)
    before = torch.load(tmp_path / "critic" / "refiner-before-critic.pt", weights_only=True)
    changed = False
    for name, value in plain["average"].items():
        assert torch.equal(value, before["average"][name]), name
        changed |= not torch.equal(value, with_critic["average"][name])
    assert changed


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, 2)
    before = (tmp_path / "refiner.pt").read_bytes()
    monkeypatch.setattr(training_module._Training, "step", lambda *_: float("nan"))
    with pytest.raises(ModelError, match="step 2 is nan"):
        trained(tmp_path, 4, resume=True)
    assert (tmp_path / "refiner.pt").read_bytes() == before


def test_a_steps_pairs_do_not_depend_on_the_steps_before() -> None:
    clips = [TINY.clips()(number) for number in range(3)]
    through, fresh = stock_of(clips), stock_of(clips)
    for step in range(4):
        pairs = through.pairs(step)
    again = fresh.pairs(3)
    assert torch.equal(pairs.view.pixels, again.view.pixels)
    assert torch.equal(pairs.view.parts, again.view.parts)
    assert torch.equal(pairs.truth, again.truth)


def stock_of(clips: list[DrawnClip], batch: int = 3) -> Stock:
    stock = Stock(0, batch, len(clips), TINY.piece, torch.device("cpu"))
    for clip in clips:
        stock.add(clip)
    return stock


def test_pairs_are_pieces_around_the_figure() -> None:
    large = stock_of([ClipDrawer(0, 2, (64, 96), 1)(0)]).pairs(0)
    assert large.view.pixels.shape == (3, 11, 64, 48)
    assert large.view.parts.shape == (3, 64, 48)
    assert large.truth.shape == (3, 3, 64, 48)
    # Cut out where the figure is.
    assert (large.view.coverage.amax(dim=(1, 2, 3)) > 0.5).all()


def test_an_untrained_network_leaves_the_warp_nearly_as_it_is() -> None:
    pairs = plain_pairs(HELD_OUT, 2, (64, 96))
    with torch.no_grad():
        made = refined(TINY.network().eval(), pairs.view, bfloat16=False)
    assert (made - pairs.view.picture).abs().mean() < 0.02


@pytest.mark.slow
def test_a_few_steps_come_closer_to_the_truth_than_the_warp(tmp_path: Path) -> None:
    schedule = Schedule(150, 50, evaluate_every=150, processes=2)
    path = train_refiner(TINY, tmp_path, schedule, resume=False)
    assert path.is_file()
    names, values = (tmp_path / "refiner.csv").read_text().split()
    row = dict(zip(names.split(","), map(float, values.split(",")), strict=True))
    assert row["refined"] > row["warp"]


def test_a_pattern_moves_with_the_body() -> None:
    drawn = make_clip(3, 1, (64, 96))
    scene = np.zeros((96, 64, 3), np.uint8)
    figure = scene.copy()
    figure[20:80, 20:44] = 120
    step = np.array([4, 6], np.float32)
    clip = replace(
        drawn,
        frames=np.stack([figure, np.roll(figure, (6, 4), axis=(0, 1))]),
        points=np.stack([drawn.points[0], drawn.points[0] + step]),
    )
    one, two = textured(clip, scene, np.random.default_rng(0)).astype(int)
    assert one[20:80, 20:44].std() > 5
    assert not one[:20].any()
    assert np.abs(np.roll(one, (6, 4), axis=(0, 1)) - two).max() <= 1


def test_pairs_made_worse_are_still_pictures() -> None:
    for seed in range(6):
        pixels = draw_pairs(seed, 1, (64, 96)).view.pixels
        assert pixels.isfinite().all()
        assert 0 <= float(pixels.min()) <= float(pixels.max()) <= 1


def test_what_is_exported_is_what_renders_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = RefinerSettings(
        batch=1, stock=1, renewed=0.0, frames=1, size=(64, 96), piece=(64, 96), bfloat16=False
    )
    train_refiner(settings, tmp_path, Schedule(1, 0), resume=False)
    weights = tmp_path / "made" / "refiner.safetensors"
    assert main(["doll-export", "--out", str(tmp_path), "--weights", str(weights)]) == 0
    refiner = Refiner.load(weights, (64, 96))
    average = torch.load(tmp_path / "refiner.pt", weights_only=True)["average"]
    loaded = refiner.network.state_dict()
    assert all(torch.equal(value, average[name].half().float()) for name, value in loaded.items())
    assert [*read_record(weights.parent)] == ["refiner.safetensors"]


def test_nothing_is_exported_of_a_folder_without_a_training(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="missing"):
        export_refiner(tmp_path, tmp_path / "refiner.safetensors")
    assert not (tmp_path / "refiner.safetensors").exists()
