"""The encoder by itself: what it describes, counts, prepares, identifies, loads and frees."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from llm_multi_core.embedder import InvalidOptionError, ModelLoadError, Role, Task, UnsupportedDimensionsError
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_sentence_transformers import encoder as encoder_module
from llm_multi_core_sentence_transformers.encoder import SentenceTransformersEncoder
from llm_multi_core_sentence_transformers.texts import BagInputs, ModuleInputs, TokenInputs

SYMMETRIC, QUERY, DOCUMENT = Task(), Task(Role.QUERY), Task(Role.DOCUMENT)
ALL = (
    "mean",
    "cls",
    "last-token",
    "dense",
    "prompted",
    "router",
    "static",
    "bag-of-words",
    "plain-transformer",
    "left-cut",
    "clip",
)


@pytest.fixture
def encoder(config, model_folder):
    made = []

    def make(name, **options):
        model = model_folder(name) if name in ALL or name == "half" else name
        made.append(SentenceTransformersEncoder(config(model, **options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def items(*texts):
    return [text_item(text) for text in texts]


# Description.


@pytest.mark.parametrize("name", ALL)
def test_the_description_is_right_before_loading(name, encoder, reference, model_folder):
    description = encoder(name).describe()
    model = reference(str(model_folder(name)))
    limit = {"router": model[0].sub_modules["document"][0].max_seq_length} if name == "router" else {}
    expected = limit.get(name, model.max_seq_length if name != "bag-of-words" else None)
    assert description.space.dimension == description.native_dimension == model.get_embedding_dimension()
    assert description.limits.units_per_item == (None if expected == float("inf") else expected)
    assert description.limits.truncates
    assert description.instructions is (name != "clip")  # whose images have no prompt


def test_whether_an_empty_text_has_tokens_is_known_before_loading(encoder):
    accepting = {name: encoder(name).describe().limits.accepts_empty for name in ALL}
    assert [name for name, accepts in accepting.items() if not accepts] == ["last-token", "static"]


def test_roles_that_differ_are_declared(encoder):
    assert encoder("mean").describe().roles == set()
    assert encoder("last-token").describe().roles == {Role.QUERY}
    assert encoder("prompted").describe().roles == {Role.QUERY, Role.DOCUMENT}
    assert encoder("router").describe().roles == {Role.QUERY, Role.DOCUMENT}


def test_describing_a_folder_imports_no_torch(model_folder):
    program = f"""
import sys
from llm_multi_core.embedder import create_text_embedder
embedder = create_text_embedder("sentence-transformers", {str(model_folder("dense"))!r}, device="cpu")
assert embedder.dimension == 16 and embedder.encoder_id
loaded = {{"torch", "transformers", "sentence_transformers"}} & sys.modules.keys()
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_dimensions_that_the_model_lacks_are_refused(encoder):
    assert encoder("dense", dimensions=16).describe().space.dimension == 16
    with pytest.raises(UnsupportedDimensionsError, match="gives 16 dimensions and cannot give 8"):
        encoder("dense", dimensions=8).describe()


def test_matryoshka_dimensions_in_the_configuration_make_vectors_sliceable(encoder, model_folder, tmp_path):
    folder = shutil.copytree(model_folder("mean"), tmp_path / "copy")
    change_json(folder / "config.json", matryoshka_dimensions=[16])
    assert not encoder("mean").describe().sliceable
    assert encoder(folder).describe().sliceable


# Tokens.


@pytest.mark.parametrize(
    ("name", "kind"),
    [("mean", TokenInputs), ("last-token", TokenInputs), ("prompted", TokenInputs), ("left-cut", TokenInputs),
     ("clip", TokenInputs), ("static", BagInputs), ("router", ModuleInputs), ("bag-of-words", ModuleInputs)],
)  # fmt: skip
def test_the_fast_way_is_taken_where_it_can_be(name, kind, encoder):
    made = encoder(name)
    made.load()
    assert type(made._inputs) is kind


@pytest.mark.parametrize("name", ["mean", "last-token", "prompted", "clip", "router"])
def test_counts_are_the_tokenizers_own_without_truncation(name, encoder, reference, model_folder, texts):
    model = reference(str(model_folder(name)))
    tokenizer = model[0].sub_modules["document"][0].tokenizer if name == "router" else model.tokenizer
    prompt = model.prompts["document"]
    chosen = [text for text in texts if text][:80]
    expected = [len(tokenizer(prompt + text, verbose=False)["input_ids"]) for text in chosen]
    measure = encoder(name).measure(items(*chosen), DOCUMENT)
    assert list(measure.units) == expected
    assert measure.exact
    assert max(expected) > encoder(name).describe().limits.units_per_item


@pytest.mark.parametrize("name", ["mean", "last-token", "prompted", "static"])
def test_state_only_saves_work(name, encoder, texts):
    made, some = encoder(name), items(*[text for text in texts if text.strip()][:20])
    state = made.measure(some, QUERY).state
    with_state, without = made.prepare(some, QUERY, state), made.prepare(some, QUERY)
    assert with_state.features.keys() == without.features.keys()
    np.testing.assert_array_equal(made.forward(with_state), made.forward(without))


@pytest.mark.parametrize(
    ("name", "limit"), [("mean", 32), ("last-token", 60), ("prompted", 20), ("router", 40), ("static", 9)]
)
def test_pieces_fit_and_leave_nothing_out(name, limit, encoder):
    made = encoder(name)
    text = "The lighthouse keeper wrote the weather\tinto his log,\nevery evening! " * 6 + "semaphore" * 12
    pieces = made.split(text_item(text), limit, DOCUMENT)
    assert "".join(piece.text for piece in pieces) == text
    assert len(pieces) > 3
    counts = made.measure(pieces, DOCUMENT).units
    assert max(counts) <= limit
    assert sum(counts) / len(counts) > limit / 3


def test_measuring_and_preparing_in_several_threads(encoder, texts):
    made = encoder("prompted")
    made.load()
    some = items(*texts[:100])
    expected = made.forward(made.prepare(some, QUERY))

    def work(task):
        return made.prepare(some, task, made.measure(some, task).state)

    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(work, [QUERY, DOCUMENT, SYMMETRIC, QUERY] * 6))
    np.testing.assert_array_equal(made.forward(batches[0]), expected)
    np.testing.assert_array_equal(made.forward(batches[-1]), expected)


# Identity.


def change_json(path, **changes):
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}, indent=7))


def fingerprint(encoder, folder, **options):
    return encoder(folder, **options).describe().space.fingerprint


def test_a_copy_is_the_same_model(encoder, model_folder, tmp_path):
    folder = shutil.copytree(model_folder("dense"), tmp_path / "another name")
    change_json(folder / "config.json", _name_or_path="elsewhere", transformers_version="4.0", dtype="float16")
    change_json(folder / "config_sentence_transformers.json", prompts={"query": "q: "})
    change_json(folder / "tokenizer.json", truncation=None, padding=None)
    (folder / "README.md").write_text("# Another card")
    (folder / "pytorch_model.bin").write_bytes(b"the same weights in another format")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "model.onnx").write_bytes(b"an export")
    assert fingerprint(encoder, folder) == fingerprint(encoder, "dense")


def test_old_and_new_ways_to_write_the_pooling_agree(encoder, model_folder, tmp_path):
    folder = shutil.copytree(model_folder("mean"), tmp_path / "old")
    legacy = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(legacy))
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = f"sentence_transformers.models.{module['type'].rpartition('.')[2]}"
    (folder / "modules.json").write_text(json.dumps(modules))
    assert fingerprint(encoder, folder) == fingerprint(encoder, "mean")
    assert encoder(folder).describe() == encoder("mean").describe()


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "cls"}),
        ("config.json", {"hidden_act": "relu"}),
        ("2_Dense/config.json", {"activation_function": "torch.nn.modules.linear.Identity"}),
        ("config_sentence_transformers.json", {"truncate_dim": 12}),
    ],
)
def test_what_shapes_the_vectors_makes_another_model(file, change, encoder, model_folder, tmp_path):
    folder = shutil.copytree(model_folder("dense"), tmp_path / "copy")
    change_json(folder / file, **change)
    assert fingerprint(encoder, folder) != fingerprint(encoder, "dense")


def test_a_normalisation_matters_only_before_a_projection(encoder, model_folder, tmp_path):
    normalize = {"idx": 9, "name": "9", "path": "9_Normalize", "type": "sentence_transformers.models.Normalize"}
    folders = [shutil.copytree(model_folder("dense"), tmp_path / name) for name in ("before", "after")]
    for folder, place in zip(folders, (2, 3), strict=True):
        modules = json.loads((folder / "modules.json").read_text())
        modules.insert(place, normalize)
        (folder / "modules.json").write_text(json.dumps(modules))
    before, after = (fingerprint(encoder, folder) for folder in folders)
    assert after == fingerprint(encoder, "dense") != before


@pytest.mark.parametrize("file", ["model.safetensors", "2_Dense/model.safetensors"])
def test_other_weights_make_another_model(file, encoder, model_folder, tmp_path):
    folder = shutil.copytree(model_folder("dense"), tmp_path / "copy")
    weights = bytearray((folder / file).read_bytes())
    weights[-1] ^= 1
    (folder / file).write_bytes(weights)
    assert fingerprint(encoder, folder) != fingerprint(encoder, "dense")


def test_what_changes_a_vector_within_its_space_changes_the_identity_only(encoder):
    plain = encoder("prompted")
    for options in (
        {"prompts": {"query": "other: "}},
        {"max_length": 12},
        {"precision": "bfloat16"},
        {"tokenizer_kwargs": {"padding_side": "left"}},
        {"default_prompt_name": "query"},
    ):
        other = encoder("prompted", **options)
        assert other.identity() != plain.identity(), options
        assert other.describe().space.fingerprint == plain.describe().space.fingerprint
    assert encoder("prompted").identity() == plain.identity()


# Options.


def test_prompts_of_the_user_come_first(encoder, reference, model_folder):
    made = encoder("prompted", prompts={"query": "whale ", "document": ""})
    model = reference(str(model_folder("prompted")))
    ours = [made.forward(made.prepare(items("river"), task))[0] for task in (QUERY, DOCUMENT, SYMMETRIC)]
    theirs = [model.encode("river", prompt=prompt) for prompt in ("whale ", "", "orchard ")]
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert np.abs(ours[0] - ours[1]).max() > 1e-2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_length": 49}, "has positions for 48 tokens"),
        ({"max_length": 0}, "not a positive number"),
        ({"prompts": {"query": 3}}, r"prompts\['query'\] is a int"),
        ({"default_prompt_name": "answer"}, "no prompt named 'answer'"),
        ({"model_kwargs": {"torch_dtype": "float16"}}, "use precision="),
        ({"model_kwargs": {"device_map": "auto"}}, "use device="),
        ({"tokenizer_kwargs": {"model_max_length": 9}}, "use max_length="),
        ({"precision": "float16"}, "not for CPUs"),
        ({"device": "cuda:7"}, "this machine has"),
    ],
)
def test_wrong_options_are_explained(options, message, encoder):
    def use():
        made = encoder("mean", **options)
        made.describe()
        made.identity()

    with pytest.raises(InvalidOptionError, match=message):
        use()


def test_a_module_that_cannot_truncate_takes_no_limit(encoder):
    with pytest.raises(InvalidOptionError, match="not for modules of the kind BoW"):
        encoder("bag-of-words", max_length=5).load()


def test_an_access_token_among_the_keywords_is_refused_and_not_repeated(encoder):
    with pytest.raises(InvalidOptionError, match="HF_TOKEN") as caught:
        encoder("mean", model_kwargs={"token": "hf_secret"})
    assert "hf_secret" not in str(caught.value)


# Life.


def test_a_checkpoint_in_half_precision_is_no_reason_to_compute_in_it(encoder):
    made = encoder("half")
    made.load()
    assert {weight.dtype for weight in made._model.parameters()} == {torch.float32}


def test_for_bfloat16_only_linear_layers_leave_float32(encoder):
    made = encoder("half", precision="bfloat16")
    made.load()
    for module in made._model.modules():
        expected = torch.bfloat16 if isinstance(module, torch.nn.Linear) else torch.float32
        assert all(weight.dtype == expected for weight in module.parameters(recurse=False))
    assert made.forward(made.prepare(items("river"), SYMMETRIC)).dtype == np.float32


def test_loading_is_quiet_and_leaves_the_progress_bars_as_they_were(encoder, capfd):
    from transformers.utils import logging

    before = logging.is_progress_bar_enabled()
    encoder("mean").load()
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert logging.is_progress_bar_enabled() == before


def test_closing_frees_the_model(encoder):
    made = encoder("mean")
    made.load()
    weights = weakref.ref(next(made._model.parameters()))
    made.close()
    made.close()
    gc.collect()
    assert weights() is None


def test_a_text_without_tokens_is_refused_by_name(encoder):
    from llm_multi_core.embedder import InvalidInputError

    for name in ("last-token", "static"):
        made = encoder(name)
        with pytest.raises(InvalidInputError, match="has no tokens"):
            made.prepare(items("river", ""), SYMMETRIC)


def test_a_limit_that_the_files_tell_wrongly_is_refused_rather_than_cut_in_silence(encoder, monkeypatch):
    monkeypatch.setattr(encoder_module, "loaded_limit", lambda model: 16)
    with pytest.raises(ModelLoadError, match="takes 16 tokens where its files say 32; pass max_length=16"):
        encoder("mean").load()
    encoder("mean", max_length=16).load()
