"""What this distribution offers. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, OptionSpec, hookimpl

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

SENTENCE_TRANSFORMERS = FrameworkSpec(
    name="sentence-transformers",
    modalities=(Modality.TEXT,),
    target="llm_multi_core_sentence_transformers.encoder:SentenceTransformersEncoder",
    requires=("llm-multi-core-torch>=0.1,<0.2", "sentence-transformers>=6,<7", "torch>=2.6,<3", "transformers>=5,<6"),
    default_model={Modality.TEXT: DEFAULT_MODEL},
    options=(
        OptionSpec("revision", str, summary="branch, tag or commit on the hub"),
        OptionSpec("trust_remote_code", bool, default=False, summary="run code that the model brings along"),
        OptionSpec("prompts", dict, summary="prompts by name, beside or instead of the model's own"),
        OptionSpec("default_prompt_name", str, summary="the prompt of the symmetric role"),
        OptionSpec("max_length", int, summary="most tokens of a text, prompt and special tokens included"),
        OptionSpec("cache_folder", str, summary="where downloads go"),
        OptionSpec("local_files_only", bool, default=False, summary="ask the hub nothing"),
        OptionSpec("model_kwargs", dict, summary="passed on to transformers' from_pretrained"),
        OptionSpec("tokenizer_kwargs", dict, summary="passed on to the tokenizer's from_pretrained"),
        OptionSpec(
            "config_kwargs", dict, affects_space=True, summary="changes to the model's transformers configuration"
        ),
    ),
    summary="any sentence-transformers model, from the hub or a folder",
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The frameworks of this distribution."""
    return [SENTENCE_TRANSFORMERS]
