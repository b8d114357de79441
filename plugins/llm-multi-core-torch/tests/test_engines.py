"""OpenVINO computes what torch computes, converts once, and steps aside with a warning where it cannot."""

from __future__ import annotations

import gc
import importlib.util
import multiprocessing
import os
import pickle
import sys
import threading
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from llm_multi_core.embedder import EncoderConfig, FrameworkUnavailableError, InvalidOptionError
from llm_multi_core_torch import (
    ENGINE_OPTION,
    EngineWarning,
    Outputs,
    Precision,
    TorchEncoder,
    accelerate,
    converted,
    engines,
    resolve_engine,
)

EXACT = Precision("float32")
needs_openvino = pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")


class Small(torch.nn.Module):
    """Masked means, of numbers or of tokens."""

    def __init__(self, seed=3):
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = torch.nn.Embedding(50, 16)
        self.layers = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.GELU(), torch.nn.Linear(32, 16))

    def forward(self, input_ids, attention_mask, return_dict=True):
        tokens = self.layers(self.embedding(input_ids))
        mask = attention_mask[..., None].float()
        return {"tokens": tokens, "mean": (tokens * mask).sum(1) / mask.sum(1), "nothing": None}


def tokens(*lengths, seed=1):
    """Padded token ids with their mask."""
    longest = max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(1, 50, (len(lengths), longest), generator=torch.Generator().manual_seed(seed))
    return {"input_ids": ids * mask, "attention_mask": mask}


def fast(module, example, **settings):
    settings = {"engine": "openvino", "precision": EXACT, "label": "acme"} | settings
    return accelerate(module.eval(), example, **settings)


@pytest.fixture
def conversions(monkeypatch):
    """Notes each conversion."""
    from llm_multi_core_torch.openvino_engine import import_openvino

    openvino = import_openvino()
    noted = []
    convert = openvino.convert_model
    monkeypatch.setattr(openvino, "convert_model", lambda *args, **kwargs: noted.append(1) or convert(*args, **kwargs))
    return noted


def assert_same(ours, theirs):
    ours, theirs = ours.detach().double().reshape(len(ours), -1), theirs.detach().double().reshape(len(theirs), -1)
    assert torch.nn.functional.cosine_similarity(ours, theirs).min() >= 0.9999
    assert (ours - theirs).abs().max() <= 1e-4 * max(1, theirs.abs().max())


# What `engine=` means.


@pytest.mark.parametrize(
    ("requested", "device", "precision", "installed", "expected"),
    [
        ("torch", "cpu", "auto", True, "torch"),
        ("auto", "cpu", "auto", True, "openvino"),
        ("auto", "cpu", "bfloat16", True, "openvino"),
        ("auto", "cpu", "float32", True, "torch"),
        ("auto", "cpu", "auto", False, "torch"),
        ("auto", "cuda:0", "auto", True, "torch"),
        ("openvino", "cpu", "float32", True, "openvino"),
    ],
)
def test_resolving(requested, device, precision, installed, expected, monkeypatch):
    monkeypatch.setattr(engines, "missing_requirements", lambda requires: () if installed else ("openvino",))
    assert resolve_engine(requested, device, precision) == expected


def test_refusals_say_what_to_do(monkeypatch):
    with pytest.raises(InvalidOptionError, match="not one of 'auto', 'torch', 'openvino'"):
        resolve_engine("onnx", "cpu", "auto")
    with pytest.raises(InvalidOptionError, match="device='cpu'"):
        resolve_engine("openvino", "cuda:0", "auto")
    monkeypatch.setattr(engines, "missing_requirements", lambda requires: ("openvino (not installed)",))
    with pytest.raises(FrameworkUnavailableError, match=r'pip install "llm-multi-core-torch\[openvino\]"'):
        resolve_engine("openvino", "cpu", "auto")


def test_the_extra_names_what_is_asked_for():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["openvino"] == [engines.OPENVINO]
    assert ENGINE_OPTION.default == "auto"


# Same numbers.


def bert():
    from transformers import BertConfig, BertModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = BertConfig(vocab_size=50, max_position_embeddings=64, initializer_range=0.3, **sizes)
    return BertModel(config, add_pooling_layer=False), tokens(3, 9) | {"return_dict": True}


def vit():
    from transformers import ViTConfig, ViTModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    model = ViTModel(ViTConfig(image_size=32, patch_size=8, initializer_range=0.3, **sizes), add_pooling_layer=False)
    return model, {"pixel_values": torch.randn(2, 3, 32, 32)}


def wav2vec2():
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    front = {"conv_dim": (16, 16), "conv_stride": (5, 4), "conv_kernel": (10, 8), "feat_extract_norm": "layer"}
    places = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
    config = Wav2Vec2Config(initializer_range=0.3, do_stable_layer_norm=True, **sizes, **front, **places)
    return Wav2Vec2Model(config), samples(500, 800)


def samples(*lengths):
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return {"input_values": torch.randn(len(lengths), max(lengths)) * mask, "attention_mask": mask}


@needs_openvino
@pytest.mark.parametrize(
    ("build", "calls"),
    [
        (bert, [tokens(1), tokens(4), tokens(2, 31, 7, 31, 1, seed=5)]),
        (vit, [{"pixel_values": torch.randn(n, 3, 32, 32)} for n in (1, 5)]),
        (wav2vec2, [samples(700), samples(300, 2400, 900, 1200)]),
    ],
    ids=["text", "image", "audio"],
)
def test_openvino_equals_torch(build, calls, conversions):
    torch.manual_seed(0)
    module, example = build()
    module.eval()
    runner = fast(module, example)
    assert runner is not module
    assert conversions == [1]
    constants = {name: value for name, value in example.items() if not isinstance(value, torch.Tensor)}
    for call in calls:
        with torch.inference_mode():
            ours, theirs = runner(**call, **constants), module(**call)
        assert_same(ours.last_hidden_state, theirs.last_hidden_state)
        assert ours["last_hidden_state"] is ours[0]
    different = runner(**calls[-1], **constants)[0]
    first = different.reshape(len(different), -1)
    assert torch.nn.functional.cosine_similarity(first[0], first[1], dim=0) < 0.99


@needs_openvino
def test_a_decoder_whose_padding_is_hidden_altogether(conversions):
    from transformers import LlamaConfig, LlamaModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    module = LlamaModel(LlamaConfig(vocab_size=50, max_position_embeddings=64, initializer_range=0.3, **sizes)).eval()
    left = {name: value.flip(1) for name, value in tokens(3, 9).items()}
    runner = fast(module, left)
    assert runner is not module
    assert module.config.use_cache
    assert module.config._attn_implementation == "sdpa"
    call = {name: value.flip(1) for name, value in tokens(2, 12, 5, seed=7).items()}
    with torch.inference_mode():
        assert_same(runner(**call).last_hidden_state[:, -1], module(**call).last_hidden_state[:, -1])


@needs_openvino
def test_bfloat16_stays_close():
    module = Small().eval()
    runner = fast(module, tokens(3, 5), precision=Precision("bfloat16", autocast=True))
    assert module.layers[0].weight.dtype == torch.float32
    ours, theirs = runner(**tokens(4, 6, 2))["mean"], module(**tokens(4, 6, 2))["mean"]
    assert torch.nn.functional.cosine_similarity(ours, theirs).min() > 0.995
    assert ours.dtype == torch.float32


@needs_openvino
def test_structures_and_positions():
    class Nested(torch.nn.Module):
        def forward(self, x, y):
            return [x + y, ({"deep": x * 2}, None)]

    example = (torch.randn(2, 3, 4), torch.randn(2, 3, 4))
    first, (deep, nothing) = fast(Nested(), example)(torch.ones(5, 3, 4), torch.ones(5, 3, 4).double())
    assert isinstance(deep, Outputs)
    assert first.tolist() == torch.full((5, 3, 4), 2.0).tolist() == deep.deep.tolist()
    assert nothing is None
    assert (
        fast(Nested(), example, dynamic={0: (0, 1), 1: (0, 1)})(torch.ones(1, 7, 4), torch.ones(1, 7, 4))[0].shape[1]
        == 7
    )


@needs_openvino
@pytest.mark.parametrize(
    "call",
    [
        {},
        {"input_ids": torch.ones(1, 2).long()},
        tokens(3) | {"token_type_ids": torch.zeros(1, 3).long()},
        tokens(3) | {"return_dict": False},
        {"input_ids": torch.ones(1, 2, 2).long(), "attention_mask": torch.ones(1, 2).long()},
    ],
)
def test_other_calls_are_refused(call):
    runner = fast(Small(), tokens(3, 5))
    with pytest.raises(TypeError, match=r"converted for a call with input_ids, attention_mask|is of shape"):
        runner(**call)


# The cache.


@needs_openvino
def test_a_module_is_converted_once(conversions, cache):
    expected = fast(Small(), tokens(3, 5))(**tokens(4, 2))["mean"]
    gc.collect()
    again = fast(Small(), tokens(2, 7, seed=9))(**tokens(4, 2))["mean"]
    assert torch.equal(again, expected)
    assert len(conversions) == 1
    assert [path.name for path in (cache / "openvino").iterdir() if path.name.startswith(".")] == []


@needs_openvino
def test_what_differs_is_converted_by_itself(conversions):
    fast(Small(), tokens(3, 5))
    fast(Small(seed=4), tokens(3, 5))
    fast(Small(), tokens(3, 5), key="layer 3")
    fast(Small(), tokens(3, 5) | {"return_dict": False})
    other = Small()
    other.setting = 3
    fast(other, tokens(3, 5))
    assert len(conversions) == 5


@needs_openvino
@pytest.mark.parametrize("damage", ["model.xml", "model.bin", "entry.json", "emptied"])
def test_a_damaged_entry_is_made_anew(damage, conversions, cache):
    expected = fast(Small(), tokens(3, 5))(**tokens(4, 2))["mean"]
    (folder,) = (cache / "openvino").iterdir()
    for path in folder.iterdir():
        if damage == path.name:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        elif damage == "emptied":
            path.unlink()
    assert torch.equal(fast(Small(), tokens(3, 5))(**tokens(4, 2))["mean"], expected)
    fast(Small(), tokens(3, 5))
    assert len(conversions) == 2
    assert [path.name for path in (cache / "openvino").iterdir()] == [folder.name]


def keep(folder, structure, model):
    with converted.draft(folder) as draft:
        (draft / "model.xml").write_text(model)
        (draft / "model.bin").write_bytes(b"")
        converted.keep(draft, folder, structure)


@needs_openvino
def test_an_entry_that_openvino_cannot_read_is_made_anew(conversions, cache):
    fast(Small(), tokens(3, 5))
    (folder,) = (cache / "openvino").iterdir()
    structure = converted.recall(folder)
    converted.discard(folder)
    keep(folder, structure, "<net/>")
    fast(Small(), tokens(3, 5))(**tokens(4, 2))
    assert len(conversions) == 2


@needs_openvino
def test_a_cache_that_cannot_be_written_does_not_matter(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLM_MULTI_CORE_CACHE_DIR", str(tmp_path / "file"))
    runner = fast(Small(), tokens(3, 5))
    gc.collect()
    module = Small().eval()
    assert_same(runner(**tokens(4, 2))["mean"], module(**tokens(4, 2))["mean"])


@needs_openvino
def test_of_two_that_convert_at_once_the_first_stays(cache):
    fast(Small(), tokens(3, 5))
    (folder,) = (cache / "openvino").iterdir()
    before = (folder / "model.bin").stat().st_ino
    keep(folder, converted.recall(folder), "other")
    assert (folder / "model.bin").stat().st_ino == before
    assert len(list((cache / "openvino").iterdir())) == 1


# Falling back.


class Inconvertible(torch.nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x)


class SizeBound(torch.nn.Module):
    """Python decides by the size of the example, which a trace keeps."""

    def forward(self, x):
        return x * 2 if x.shape[0] == 2 else x * 3


@needs_openvino
@pytest.mark.parametrize(
    ("module", "reason"),
    [(Inconvertible(), "No conversion rule found for operations: aten::special_bessel_j0"), (SizeBound(), "other")],
)
def test_what_cannot_be_converted_runs_in_torch_with_a_warning(module, reason, cache):
    with pytest.warns(EngineWarning, match=rf"acme runs in torch, because .*{reason}"):
        runner = fast(module, torch.randn(2, 4))
    assert runner is module
    assert not list((cache / "openvino").glob("*")) if cache.exists() else True


@needs_openvino
@pytest.mark.skipif(os.name != "posix", reason="a shell script as interpreter")
@pytest.mark.parametrize(
    ("script", "reason"),
    [("kill -SEGV $$", r"crashes \(signal 11\)"), ("echo no room >&2; exit 3", "no room"), ("exit 4", "exit status 4")],
)
def test_a_converted_module_that_crashes_takes_nothing_along(script, reason, monkeypatch, tmp_path, cache):
    """What was converted wrongly may crash its process, which is therefore another one at first."""
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.warns(EngineWarning, match=reason):
        runner = fast(Small(), tokens(3, 5))
    assert type(runner) is Small
    assert list((cache / "openvino").iterdir()) == []


@needs_openvino
@pytest.mark.parametrize(("name", "value"), [("executable", None), ("executable", "/nowhere/python"), ("frozen", True)])
def test_without_an_interpreter_torch_runs(name, value, monkeypatch):
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.warns(EngineWarning, match="cannot be tried in a process of its own"):
        assert type(fast(Small(), tokens(3, 5))) is Small


def test_torch_is_the_module_itself():
    module = Small().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        runner = fast(module, tokens(2), engine="torch", precision=Precision("bfloat16", autocast=True))
    assert runner is module
    assert module.layers[0].weight.dtype == torch.bfloat16


# Threads and processes.


@needs_openvino
def test_threads_share_a_module():
    module = Small().eval()
    runner = fast(module, tokens(3, 5))
    calls = [tokens(n, 9, seed=n) for n in range(1, 9)]
    results = [None] * len(calls)

    def work(place):
        for _ in range(20):
            results[place] = runner(**calls[place])["mean"]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for call, ours in zip(calls, results, strict=True):
        assert_same(ours, module(**call)["mean"].detach())


def _in_a_child(connection):
    torch.set_num_threads(1)
    with warnings.catch_warnings(record=True) as noted:
        warnings.simplefilter("always")
        runner = fast(Small(), tokens(3, 5))
    connection.send((runner(**tokens(4, 2))["mean"].tolist(), [str(warning.message) for warning in noted]))


@needs_openvino
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_runs_in_torch():
    expected = fast(Small(), tokens(3, 5))(**tokens(4, 2))["mean"].tolist()
    ours, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_a_child, args=(theirs,))
    child.start()
    try:
        assert ours.poll(60)
        vectors, noted = ours.recv()
        assert np.allclose(vectors, expected, atol=1e-5)
        assert any("forked" in message for message in noted)
    finally:
        child.join(10)
        child.kill()


@needs_openvino
def test_importing_openvino_reports_nothing():
    import subprocess

    program = (
        "import sys; from llm_multi_core_torch.openvino_engine import import_openvino as load; load(); "
        "assert not any(name.startswith('openvino_telemetry') for name in sys.modules); load().convert_model"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


# In an encoder.


class Encoder(TorchEncoder):
    describe = measure = split = prepare = None

    def load_model(self):
        self.runner = self.accelerate(Small().eval(), tokens(3, 5))

    def compute(self, batch):
        return self.runner(**batch)["mean"]

    def unload(self):
        self.runner = None


Encoder.__abstractmethods__ = frozenset()


def encoder(precision="float32", device=None, **options):
    return Encoder(EncoderConfig("acme", "acme-plugin", "tiny", device=device, precision=precision, options=options))


@needs_openvino
def test_an_encoder_names_its_engine_and_runs_on_it():
    ours, theirs = encoder(engine="openvino"), encoder(engine="torch")
    assert ours.device == "cpu"
    assert ours.identity()["engine"].startswith("openvino 20")
    assert theirs.identity()["engine"] == encoder().identity()["engine"] == "torch"
    for each in (ours, theirs):
        each.load()
    rows = ours.forward(tokens(4, 2))
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, theirs.forward(tokens(4, 2)), atol=1e-5)
    assert type(ours.runner) is not Small
    assert type(theirs.runner) is Small
    ours.close()
    assert pickle.loads(pickle.dumps(ours.config)) == ours.config


@needs_openvino
def test_large_models_stay_with_torch_unless_told(monkeypatch):
    monkeypatch.setattr(engines, "LARGEST_FOR_AUTO", 100)
    large, told = encoder("auto", engine="auto"), encoder("auto", engine="openvino")
    for each in (large, told):
        each.load()
    assert type(large.runner) is Small
    assert type(told.runner) is not Small
