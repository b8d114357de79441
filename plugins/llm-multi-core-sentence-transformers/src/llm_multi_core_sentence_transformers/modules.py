"""What the files of a single module say: its dimension, its limit, its part in the model's identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_multi_core.embedder import Modality
from llm_multi_core_sentence_transformers.media import read_media, served
from llm_multi_core_torch import (
    CONFIG_NOISE,
    LENGTH_KEYS,
    MODULES_FILE,
    SETTINGS_FILE,
    ModelFiles,
    json_sha256,
    loaded_files,
    loaded_weights,
    read_pooling,
    read_transformer,
    tokenizer_sha256,
    vocabulary_identity,
    within,
    without,
)

_MODEL_LEVEL_FILES = frozenset({MODULES_FILE, SETTINGS_FILE})
_SUB_CONFIGS = ("text_config", "vision_config", "audio_config")


@dataclass(frozen=True, slots=True)
class ModuleFacts:
    """What the files of one module say.

    Attributes:
        identity: JSON data on what it computes; `None` if that does not matter for comparing vectors.
        dimension: components of its output; `None` if it leaves them as they are, or nobody knows.
        max_tokens: the longest text of an input module; `None` for no limit.
        position_limit: what that could be raised to.
        preprocessing: JSON data on how an input module tokenises, beyond its vocabulary.
        padded: whether an input module pads texts to the longest of a batch.
        adds_tokens: whether its tokenizer adds special tokens, so that even an empty text has some.
        complete: whether nothing of this is left open.
        matryoshka: whether smaller dimensions are listed.
        foreign_code: code outside of torch and sentence-transformers that it wants to run.
        modalities: what an input module takes.
        messages: whether it puts every input into a message, beside its prompt.
    """

    identity: Any
    dimension: int | None = None
    max_tokens: int | None = None
    position_limit: int | None = None
    preprocessing: Any = None
    padded: bool = True
    adds_tokens: bool = True
    complete: bool = True
    matryoshka: bool = False
    foreign_code: str | None = None
    modalities: frozenset[Modality] = frozenset({Modality.TEXT})
    messages: bool = False


def transformer(files: ModelFiles, folder: str, *, bare: bool = False) -> ModuleFacts:
    """A transformers model with its tokenizer.

    A `bare` one was not saved by sentence-transformers, which then looks at the loaded model to find
    out what of a model of several modalities gives the embedding.
    """
    facts = read_transformer(files, folder, _weights(files, folder))
    config, declared = facts.config, facts.settings.get("modality_config")
    # A processor of images or sound beside no declaration: only the loaded model knows what it takes.
    undeclared = bare and (any(key in config for key in _SUB_CONFIGS) or bool(read_media(files, folder).preprocessing))
    projects = facts.settings.get("module_output_name") == "sentence_embedding"
    width = config.get("projection_dim") if projects else facts.hidden_size
    return ModuleFacts(
        identity=facts.identity,
        dimension=None if width is None else int(width),
        max_tokens=facts.max_tokens,
        position_limit=facts.position_limit,
        preprocessing=facts.preprocessing,
        adds_tokens=facts.adds_tokens,
        complete=not undeclared,
        matryoshka=facts.matryoshka,
        modalities=served(declared) if isinstance(declared, Mapping) else frozenset({Modality.TEXT}),
        messages=isinstance(declared, Mapping) and "message" in declared,
    )


def static_embedding(files: ModelFiles, folder: str) -> ModuleFacts:
    """One vector per token, averaged. Its tokenizer truncates only if its file says so."""
    truncation = files.read_object(within(folder, "tokenizer.json")).get("truncation") or {}
    dimension = _static_dimension(files, folder)
    return ModuleFacts(
        identity={
            "kind": "StaticEmbedding",
            "weights": _weights(files, folder),
            "vocabulary": vocabulary_identity(files, folder),
        },
        dimension=dimension,
        max_tokens=truncation.get("max_length"),
        position_limit=None,
        preprocessing={},
        padded=False,
        adds_tokens=False,
        complete=dimension is not None,
    )


def pooling_module(files: ModelFiles, folder: str) -> ModuleFacts:
    """The pooling."""
    pooling = read_pooling(files, folder)
    dimension = None if pooling.width is None else len(pooling.modes) * pooling.width
    return ModuleFacts(identity=pooling.identity, dimension=dimension)


def weighted_module(files: ModelFiles, folder: str, kind: str) -> ModuleFacts:
    """A projection or normalisation with weights of its own."""
    config = files.read_object(within(folder, "config.json"))
    output = config.get("module_output_name") or config.get("module_input_name") or "sentence_embedding"
    activation = str(config.get("activation_function", "torch.nn.Tanh"))
    width = config.get("out_features") if output == "sentence_embedding" else None
    return ModuleFacts(
        identity={"kind": kind, "config": config, "weights": _weights(files, folder)},
        dimension=None if width is None else int(width),
        foreign_code=None if activation.startswith("torch.") else activation,
    )


def other_module(files: ModelFiles, folder: str, kind: str) -> ModuleFacts:
    """Any other module: all its files count, and only the loaded model knows its dimension."""
    identity: dict[str, Any] = {"kind": kind}
    for name in loaded_files(files.names(folder)):
        if name in _MODEL_LEVEL_FILES:
            continue
        label = name.removeprefix(f"{folder}/")
        if name.endswith("tokenizer.json"):
            identity[label] = tokenizer_sha256(files.read_object(name))
        elif name.endswith(".json"):
            identity[label] = json_sha256(without(files.read_json(name), CONFIG_NOISE | LENGTH_KEYS))
        else:
            identity[label] = files.sha256(name)
    return ModuleFacts(identity=identity, complete=False)


def _weights(files: ModelFiles, folder: str) -> dict[str, str]:
    """The hashes of the weights; of an adapter together with what it adapts."""
    adapter = files.read_object(within(folder, "adapter_config.json"))
    if adapter:
        for name in ("adapter_model.safetensors", "adapter_model.bin"):
            if within(folder, name) in files:
                base = f"{adapter.get('base_model_name_or_path')}@{adapter.get('revision') or 'main'}"
                return {name: files.sha256(within(folder, name)), "base": base, "adapter": json_sha256(adapter)}
    return loaded_weights(files, folder, allow_pickle=True)  # pickles were refused when the model was found


def _static_dimension(files: ModelFiles, folder: str) -> int | None:
    """The width of the table of embeddings, from the header of its file."""
    path = files.folder / within(folder, "model.safetensors")
    if not path.is_file():
        return None
    with path.open("rb") as file:
        # The format: the header's length in 8 bytes, little-endian, then the header as JSON.
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    for name in ("embedding.weight", "embeddings"):
        if name in header:
            return int(header[name]["shape"][-1])
    return None
