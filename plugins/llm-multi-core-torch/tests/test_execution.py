"""Devices, precisions, threads, memory, and the base class that brings them together."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from llm_multi_core.embedder import EncoderConfig, InvalidOptionError
from llm_multi_core_torch import (
    Precision,
    TorchEncoder,
    available_devices,
    cast_ahead,
    choose_device,
    cpu_computes_bfloat16,
    devices,
    execution,
    inference,
    is_out_of_memory,
    limit_threads,
    precision,
    resolve_precision,
    to_numpy,
    usable_cores,
)


def test_importing_this_imports_no_torch():
    program = (
        "import sys, llm_multi_core_torch; assert not {'torch', 'huggingface_hub', 'tokenizers'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# Devices.


def test_the_cpu_is_always_there():
    assert choose_device("cpu") == "cpu"
    assert available_devices()[-1] == "cpu"


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(0, False, "cpu"), (0, True, "mps"), (2, True, "cuda"), (1, False, "cuda")]
)
def test_the_best_device_is_chosen(cuda, mps, expected, monkeypatch):
    monkeypatch.setattr(devices, "_may_have_accelerator", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device() == expected


@pytest.mark.parametrize("name", ["cuda:9", "mps:3", "xpu", "cpu:1", "gpu", ""])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(InvalidOptionError, match=r"this machine has .*cpu"):
        choose_device(name)


# Precision.


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx2 avx512f avx512bw avx512vl", "float32"),
        ("fpu avx512f avx512_bf16", "bfloat16"),
        ("fpu amx_bf16 amx_tile", "bfloat16"),
        ("asimd bf16 i8mm", "bfloat16"),
        ("", "float32"),
    ],
)
def test_a_cpu_computes_in_bfloat16_only_with_instructions_for_it(flags, expected, monkeypatch):
    monkeypatch.setattr(precision.sys, "platform", "linux")
    monkeypatch.setattr(precision, "_linux_cpu_flags", lambda: frozenset(flags.split()))
    cpu_computes_bfloat16.cache_clear()
    try:
        resolved = resolve_precision("auto", "cpu")
        assert resolved.name == expected
        assert resolved.weights_dtype == torch.float32
    finally:
        cpu_computes_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("capability", "expected"), [((9, 0), "bfloat16"), ((8, 0), "bfloat16"), ((7, 5), "float16"), ((6, 1), "float32")]
)
def test_a_gpu_computes_in_what_it_is_fast_in(capability, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    resolved = resolve_precision("auto", "cuda:0")
    assert (resolved.name, resolved.weights_dtype) == (expected, getattr(torch, expected))


def test_apples_gpu_computes_in_float32_unless_told():
    assert resolve_precision("auto", "mps") == Precision("float32")
    assert resolve_precision("float16", "mps").weights_dtype == torch.float16


@pytest.mark.parametrize(
    ("name", "message"), [("float16", "not for CPUs"), ("int8", "is not one of 'auto', 'float32'")]
)
def test_other_precisions_are_refused(name, message):
    with pytest.raises(InvalidOptionError, match=message):
        resolve_precision(name, "cpu")


def test_inference_casts_operations_and_keeps_weights():
    layer, data = torch.nn.Linear(8, 4), torch.randn(3, 8)
    with inference("cpu", Precision("bfloat16", autocast=True)):
        output = layer(data)
        assert output.dtype == torch.bfloat16
        assert output.is_inference()
    assert layer.weight.dtype == torch.float32
    with inference("cpu", Precision("float32")):
        assert layer(data).dtype == torch.float32
    assert to_numpy(output).dtype == np.float32


BFLOAT16 = Precision("bfloat16", autocast=True)


class Small(torch.nn.Module):
    """An embedding that a layer shares, a normalisation, a fused layer, and layers of their own."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.embedding = torch.nn.Embedding(50, 16)
        self.tied = torch.nn.Linear(16, 50, bias=False)
        self.tied.weight = self.embedding.weight
        self.fused = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.convolution = torch.nn.Conv1d(16, 16, 3, padding=1)
        self.norm = torch.nn.LayerNorm(16)
        self.layers = torch.nn.Sequential(torch.nn.Linear(16, 64), torch.nn.GELU(), torch.nn.Linear(64, 16))

    def forward(self, ids):
        hidden = self.fused(self.embedding(ids))
        hidden = self.convolution(hidden.transpose(1, 2)).transpose(1, 2)
        return self.tied(self.norm(hidden + self.layers(hidden)))


def test_casting_ahead_gives_the_same_bits_as_autocast():
    model, ids = Small().eval(), torch.arange(40).reshape(2, 20)
    with inference("cpu", BFLOAT16):
        before = model(ids)
        cast_ahead(model, BFLOAT16)
        after = model(ids)
    assert torch.equal(before, after)
    assert before.abs().max() > 0
    halved = {name for name, weight in model.named_parameters() if weight.dtype == torch.bfloat16}
    assert halved == {
        f"{layer}.{part}" for layer in ("convolution", "layers.0", "layers.2") for part in ("weight", "bias")
    }


@pytest.mark.parametrize("other", [Precision("float32"), Precision("bfloat16")])
def test_without_autocast_nothing_is_cast_ahead(other):
    model = Small()
    cast_ahead(model, other)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


# Threads.


def test_torch_gets_no_more_threads_than_there_are_cores(monkeypatch):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    counted = []
    monkeypatch.setattr(torch, "set_num_threads", counted.append)
    monkeypatch.setattr(execution, "usable_cores", lambda: 4)
    for current in (2, 4, 64):
        monkeypatch.setattr(torch, "get_num_threads", lambda current=current: current)
        limit_threads()
    assert counted == [4]
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    limit_threads()
    assert counted == [4]


def test_cores_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    for quota, expected in ((None, 8), (2.5, 3), (0.5, 1), (64, 8)):
        monkeypatch.setattr(execution, "_cgroup_quota", lambda quota=quota: quota)
        assert usable_cores() == expected


def test_the_tightest_quota_above_the_process_counts(tmp_path):
    group = tmp_path / "cgroup" / "system" / "job"
    group.mkdir(parents=True)
    (tmp_path / "self").write_text("12:cpu:/old\n0::/system/job\n")
    assert execution._cgroup_quota(tmp_path / "cgroup", tmp_path / "self") is None
    (group / "cpu.max").write_text("max 100000\n")
    (group.parent / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "cgroup" / "cpu.max").write_text("400000 100000\n")
    assert execution._cgroup_quota(tmp_path / "cgroup", tmp_path / "self") == 1.5
    assert execution._cgroup_quota(tmp_path / "cgroup", tmp_path / "missing") is None


# The base class.


class Doubling(TorchEncoder):
    """Doubles numbers; fails as it is told."""

    error: Exception | None = None
    loads = 0

    def describe(self):
        raise NotImplementedError

    def measure(self, items, task):
        raise NotImplementedError

    def split(self, item, max_units, task):
        raise NotImplementedError

    def prepare(self, items, task, state=None):
        raise NotImplementedError

    def load_model(self):
        self.loads += 1
        self.weights = torch.full((1,), 2.0)

    def compute(self, batch):
        if self.error is not None:
            raise self.error
        assert torch.is_inference_mode_enabled()
        return batch * self.weights

    def unload(self):
        del self.weights


@pytest.fixture
def encoder():
    return Doubling(EncoderConfig("doubling", "test", "none", device="cpu", precision="bfloat16"))


def test_rows_are_float32_arrays(encoder):
    encoder.load()
    encoder.load()
    assert encoder.loads == 1
    rows = encoder.forward(torch.ones(2, 3, dtype=torch.bfloat16))
    np.testing.assert_array_equal(rows, np.full((2, 3), 2, np.float32))
    assert encoder.identity() == {"engine": "torch", "precision": "bfloat16"}


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("MPS backend out of memory (MPS allocated: 5.00 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
)


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: str(error)[:20])
def test_full_memory_asks_for_smaller_batches(encoder, error):
    assert is_out_of_memory(error)
    encoder.load()
    encoder.error = error
    with pytest.raises(MemoryError) as caught:
        encoder.forward(torch.ones(1, 1))
    assert "\n" not in str(caught.value)
    assert caught.value.__context__ is None  # whose frames would hold the tensors
    assert encoder.classify(caught.value).action == "shrink"


def test_other_errors_are_left_as_they_are(encoder):
    encoder.load()
    encoder.error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    with pytest.raises(RuntimeError, match="mat1"):
        encoder.forward(torch.ones(1, 1))
    assert encoder.classify(encoder.error).action == "split"


def test_closing_drops_the_weights_once(encoder):
    encoder.close()
    encoder.load()
    encoder.close()
    encoder.close()
    assert not hasattr(encoder, "weights")
    encoder.load()
    assert encoder.loads == 2
