"""What every plugin that runs torch models shares. Importing this does not import torch."""

from llm_multi_core_torch.describer import TorchDescriber
from llm_multi_core_torch.devices import available_devices, choose_device, device_type
from llm_multi_core_torch.encoder import TorchEncoder
from llm_multi_core_torch.engines import ENGINE_OPTION, EngineWarning, accelerate, resolve_engine
from llm_multi_core_torch.execution import (
    inference,
    is_out_of_memory,
    limit_threads,
    release_memory,
    run_model,
    to_numpy,
    usable_cores,
)
from llm_multi_core_torch.hashing import cache_folder, file_sha256
from llm_multi_core_torch.hub import find_model, loaded_files
from llm_multi_core_torch.identity import CONFIG_NOISE, json_sha256, model_identity, tokenizer_sha256, without
from llm_multi_core_torch.model_cards import MODEL_CARDS, ModelCard, model_card
from llm_multi_core_torch.model_files import ModelFiles, is_weight_file, within
from llm_multi_core_torch.module_list import (
    MODULES_FILE,
    NORMALIZE_IDENTITY,
    SETTINGS_FILE,
    ModuleEntry,
    own_code_identity,
    parts_identity,
    read_module_list,
    similarity_of,
    untrusted_code,
)
from llm_multi_core_torch.packaged import MODEL as PACKAGED_MODEL
from llm_multi_core_torch.packaged import package_folder, packaged_or_found
from llm_multi_core_torch.pooling_config import PoolingConfig, default_pooling, read_pooling
from llm_multi_core_torch.precision import Precision, cast_ahead, cpu_computes_bfloat16, resolve_precision
from llm_multi_core_torch.pretrained import loading_pretrained
from llm_multi_core_torch.prompts import Prompts, choose_prompts, named_prompts
from llm_multi_core_torch.signatures import Outputs
from llm_multi_core_torch.sounds import Samples, example_sounds, milliseconds_of, samples_of, seconds_of, split_sound
from llm_multi_core_torch.splitting import split_by_tokens, split_in_halves
from llm_multi_core_torch.text_limits import CPU_TEXT_LIMITS, GPU_TEXT_LIMITS, check_max_length
from llm_multi_core_torch.tokenization import FastTokenizer, TokenIds, Tokenized
from llm_multi_core_torch.transformer_files import (
    LENGTH_KEYS,
    TransformerFacts,
    padding_side,
    read_transformer,
    vocabulary_identity,
)
from llm_multi_core_torch.weights import loaded_weights, refuse_pickles

__all__ = [
    "CONFIG_NOISE",
    "CPU_TEXT_LIMITS",
    "ENGINE_OPTION",
    "GPU_TEXT_LIMITS",
    "LENGTH_KEYS",
    "MODEL_CARDS",
    "MODULES_FILE",
    "NORMALIZE_IDENTITY",
    "PACKAGED_MODEL",
    "SETTINGS_FILE",
    "EngineWarning",
    "FastTokenizer",
    "ModelCard",
    "ModelFiles",
    "ModuleEntry",
    "Outputs",
    "PoolingConfig",
    "Precision",
    "Prompts",
    "Samples",
    "TokenIds",
    "Tokenized",
    "TorchDescriber",
    "TorchEncoder",
    "TransformerFacts",
    "accelerate",
    "available_devices",
    "cache_folder",
    "cast_ahead",
    "check_max_length",
    "choose_device",
    "choose_prompts",
    "cpu_computes_bfloat16",
    "default_pooling",
    "device_type",
    "example_sounds",
    "file_sha256",
    "find_model",
    "inference",
    "is_out_of_memory",
    "is_weight_file",
    "json_sha256",
    "limit_threads",
    "loaded_files",
    "loaded_weights",
    "loading_pretrained",
    "milliseconds_of",
    "model_card",
    "model_identity",
    "named_prompts",
    "own_code_identity",
    "package_folder",
    "packaged_or_found",
    "padding_side",
    "parts_identity",
    "read_module_list",
    "read_pooling",
    "read_transformer",
    "refuse_pickles",
    "release_memory",
    "resolve_engine",
    "resolve_precision",
    "run_model",
    "samples_of",
    "seconds_of",
    "similarity_of",
    "split_by_tokens",
    "split_in_halves",
    "split_sound",
    "to_numpy",
    "tokenizer_sha256",
    "untrusted_code",
    "usable_cores",
    "vocabulary_identity",
    "within",
    "without",
]
