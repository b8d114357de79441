"""What every plugin that runs torch models shares. Importing this does not import torch."""

from llm_multi_core_torch.devices import available_devices, choose_device, device_type
from llm_multi_core_torch.encoder import TorchEncoder
from llm_multi_core_torch.engines import ENGINE_OPTION, EngineWarning, accelerate, resolve_engine
from llm_multi_core_torch.execution import (
    inference,
    is_out_of_memory,
    limit_threads,
    release_memory,
    to_numpy,
    usable_cores,
)
from llm_multi_core_torch.hashing import cache_folder, file_sha256
from llm_multi_core_torch.hub import find_model, loaded_files
from llm_multi_core_torch.identity import CONFIG_NOISE, json_sha256, model_identity, tokenizer_sha256, without
from llm_multi_core_torch.model_files import ModelFiles, is_weight_file
from llm_multi_core_torch.precision import Precision, cast_ahead, cpu_computes_bfloat16, resolve_precision
from llm_multi_core_torch.signatures import Outputs
from llm_multi_core_torch.splitting import split_by_tokens, split_in_halves
from llm_multi_core_torch.tokenization import FastTokenizer, TokenIds, Tokenized

__all__ = [
    "CONFIG_NOISE",
    "ENGINE_OPTION",
    "EngineWarning",
    "FastTokenizer",
    "ModelFiles",
    "Outputs",
    "Precision",
    "TokenIds",
    "Tokenized",
    "TorchEncoder",
    "accelerate",
    "available_devices",
    "cache_folder",
    "cast_ahead",
    "choose_device",
    "cpu_computes_bfloat16",
    "device_type",
    "file_sha256",
    "find_model",
    "inference",
    "is_out_of_memory",
    "is_weight_file",
    "json_sha256",
    "limit_threads",
    "loaded_files",
    "model_identity",
    "release_memory",
    "resolve_engine",
    "resolve_precision",
    "split_by_tokens",
    "split_in_halves",
    "to_numpy",
    "tokenizer_sha256",
    "usable_cores",
    "without",
]
