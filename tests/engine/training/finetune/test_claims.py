"""The benchmark of ControlNeXt's claims compares with a real ControlNet."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from marionext.backends.svd.loading import NetworkFiles

BENCHMARKS = Path(__file__).resolve().parents[4] / "benchmarks"


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope="module")
def copying() -> ModuleType:
    return module("copied_encoder")


@pytest.fixture(scope="module")
def claims(copying: ModuleType) -> ModuleType:
    return module("controlnext_claims")


@pytest.fixture
def inputs() -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(1, 2, 8, 8, 8, generator=generator),
        torch.tensor([0.3]),
        torch.randn(1, 1, 16, generator=generator),
        torch.tensor([[6.0, 128.0, 0.02]]),
    )


@torch.no_grad()
def test_a_copied_encoder_begins_as_nothing_and_then_steers(
    copying: ModuleType, tiny_folder: Path, inputs: tuple[torch.Tensor, ...]
) -> None:
    unet = NetworkFiles(tiny_folder, torch.float32).unet().eval()
    copied = copying.CopiedEncoder(unet)
    maps = torch.rand(1, 2, 3, 64, 64)

    def evaluate() -> Any:
        return unet(*inputs[:3], added_time_ids=inputs[3]).sample

    bare = evaluate()
    skips, middle = copied(*inputs, maps)
    with copying.with_residuals(unet, skips, middle):
        assert torch.equal(evaluate(), bare)
    for zero in (*copied.zeros, copied.zero_middle):
        torch.nn.init.ones_(zero.bias)
    skips, middle = copied(*inputs, maps)
    for index in range(len(skips)):
        alone = [skip if place == index else skip * 0 for place, skip in enumerate(skips)]
        with copying.with_residuals(unet, alone, middle * 0):
            assert not torch.equal(evaluate(), bare), index
    assert torch.equal(evaluate(), bare)


def test_controlnext_trains_less_than_a_tenth_of_a_copied_encoder(claims: ModuleType) -> None:
    from marionext import bundles

    counts = claims.measure_parameters(bundles.require("puppet"))
    assert counts["svd"]["unet"] == 1_524_623_082
    assert counts["svd"]["control_network"] == 3_526_400
    for row in counts.values():
        assert row["ratio"] < 0.1


def test_steps_to_a_level_are_read_between_two_rows(claims: ModuleType) -> None:
    def curve(*losses: float) -> list[dict[str, float]]:
        return [
            {"step": 10.0 * (number + 1), "validation": loss, "wrong": loss + 0.1}
            for number, loss in enumerate(losses)
        ]

    curves = {"cross": curve(0.9, 0.5, 0.3, 0.3), "zero": curve(0.9, 0.8, 0.6, 0.5)}
    compared = claims.compare(curves, 1.0)
    assert compared["ends"] == {"cross": 0.3, "zero": 0.5}
    half = compared["levels"][0]
    assert half["level"] == pytest.approx(0.75)
    assert half["steps"]["cross"] == pytest.approx(10 + 10 * 0.15 / 0.4)
    assert half["steps"]["zero"] == pytest.approx(22.5)
    assert half["times_fewer"] == pytest.approx(22.5 / 13.75)
