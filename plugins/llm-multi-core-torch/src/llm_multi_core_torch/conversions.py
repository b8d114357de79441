"""Where the hub keeps weights as safetensors that a model's main branch has in pickle form only. Data.

The hub's own bot opens a pull request with the same weights converted. Its commit can be loaded whether or
not anybody merges it. Each entry was seen, with its author, on `https://huggingface.co/<model>/tree/<revision>`
or `https://huggingface.co/<model>/discussions`, and the main branch without safetensors on `.../tree/main`.
"""

from __future__ import annotations

from collections.abc import Mapping

CONVERSIONS: Mapping[str, str] = {
    "facebook/data2vec-audio-base": "refs/pr/1",
    "facebook/data2vec-audio-base-960h": "2cc11eab760477e63cbd10ca0728d819530b42ff",
    "facebook/data2vec-audio-large-960h": "refs/pr/2",
    "facebook/hubert-base-ls960": "refs/pr/2",
    "facebook/hubert-large-ls960-ft": "refs/pr/1",
    "laion/clap-htsat-fused": "refs/pr/3",
    "laion/larger_clap_general": "16c8cc3159a3c8a31e8ff5ef1f66b0d9ab3667db",
    "laion/larger_clap_music_and_speech": "refs/pr/1",
    "microsoft/wavlm-base": "refs/pr/1",
    "microsoft/wavlm-base-plus": "refs/pr/1",
    # As in https://github.com/huggingface/candle/blob/main/candle-examples/examples/clip/main.rs.
    "openai/clip-vit-base-patch32": "refs/pr/15",
}
"""The revision to load where none was asked for, by the model's name."""
