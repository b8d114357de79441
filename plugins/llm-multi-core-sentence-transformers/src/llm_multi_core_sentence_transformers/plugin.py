"""What this distribution offers. Imports the host and the standard library only."""

from __future__ import annotations

from llm_multi_core.embedder import FrameworkSpec, Modality, OptionSpec, hookimpl
from llm_multi_core_sentence_transformers.models import SENTENCE_TRANSFORMERS_MODELS, STELLA_MODELS

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"

SENTENCE_TRANSFORMERS = FrameworkSpec(
    name="sentence-transformers",
    modalities=(Modality.TEXT, Modality.IMAGE, Modality.AUDIO),
    target="llm_multi_core_sentence_transformers.encoder:SentenceTransformersEncoder",
    requires=("llm-multi-core-torch>=0.1,<0.2", "sentence-transformers>=6,<7", "torch>=2.6,<3", "transformers>=5,<6"),
    default_model={
        Modality.TEXT: DEFAULT_MODEL,
        Modality.IMAGE: "google/embeddinggemma-2",
        Modality.AUDIO: "google/embeddinggemma-2",
    },
    options=(
        OptionSpec("revision", str, summary="branch, tag or commit on the hub"),
        OptionSpec("trust_remote_code", bool, default=False, summary="run code that the model brings along"),
        OptionSpec(
            "allow_pickle", bool, default=False, summary="load weights in pickle form (.bin) where there are no others"
        ),
        OptionSpec("prompts", dict, summary="prompts by name, beside or instead of the model's own"),
        OptionSpec("default_prompt_name", str, summary="the prompt of the symmetric role"),
        OptionSpec("max_length", int, summary="most tokens of a text, prompt and special tokens included"),
        OptionSpec("cache_folder", str, summary="where downloads go"),
        OptionSpec(
            "engine", str, default="auto", choices=("auto", "torch", "openvino"), summary="what runs the model on a CPU"
        ),
        OptionSpec("local_files_only", bool, default=False, summary="ask the hub nothing"),
        OptionSpec("model_kwargs", dict, summary="passed on to transformers' from_pretrained"),
        OptionSpec("tokenizer_kwargs", dict, summary="passed on to the tokenizer's from_pretrained"),
        OptionSpec(
            "config_kwargs", dict, affects_space=True, summary="changes to the model's transformers configuration"
        ),
    ),
    summary="any sentence-transformers model, from the hub or a folder",
    models=SENTENCE_TRANSFORMERS_MODELS,
)

STELLA = FrameworkSpec(
    name="stella",
    modalities=(Modality.TEXT,),
    target="llm_multi_core_sentence_transformers.stella:StellaEncoder",
    requires=SENTENCE_TRANSFORMERS.requires,
    default_model={Modality.TEXT: "NovaSearch/stella_en_400M_v5"},
    options=(
        *(option for option in SENTENCE_TRANSFORMERS.options if option.name != "default_prompt_name"),
        OptionSpec(
            "query_prompt",
            str,
            default="s2p",
            choices=("s2p", "s2s"),
            summary="queries seek passages, or similar texts",
        ),
    ),
    summary="Stella models: dimensions= picks one of their projections, queries get their prompt",
    models=STELLA_MODELS,
)


@hookimpl
def llm_multi_core_frameworks() -> list[FrameworkSpec]:
    """The frameworks of this distribution."""
    return [SENTENCE_TRANSFORMERS, STELLA]
