"""A key that was passed shows up nowhere."""

from __future__ import annotations

import base64
import copy
import pickle
import traceback

import pytest
from pydantic import SecretStr, ValidationError

from llama_index.embeddings.llm_multi_core import MultiCoreEmbedding
from llm_multi_core.embedder import MemoryCache

CANARY = "sk-canary-5f0c1e77"

KEYS = [CANARY, SecretStr(CANARY), lambda: CANARY]


def leaks(surface: str | bytes) -> bool:
    data = surface.encode() if isinstance(surface, str) else surface
    return any(form in data for form in (CANARY.encode(), base64.b64encode(CANARY.encode())))


@pytest.mark.parametrize("key", KEYS, ids=["str", "SecretStr", "callable"])
@pytest.mark.parametrize("used", [False, True])
def test_no_form_of_an_embedding_has_the_key(keyed_framework, key, used):
    embedding = MultiCoreEmbedding(keyed_framework, api_key=key, cache=MemoryCache(), num_workers=2)
    if used:
        embedding.get_text_embedding_batch(["a", "b"])
    deep = copy.deepcopy(embedding)
    surfaces = {
        "repr": repr(embedding),
        "str": str(embedding),
        "to_dict": str(embedding.to_dict()),
        "to_json": embedding.to_json(),
        "model_dump": str(embedding.model_dump()),
        "model_dump_json": embedding.model_dump_json(),
        "dict": str(embedding.dict()),
        "vars": str(vars(embedding)),
        "payload": str(embedding.to_payload()),
        "embedder": repr(embedding.embedder) + str(vars(embedding.embedder)),
        **{f"pickle {protocol}": pickle.dumps(embedding, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
        "deepcopy": repr(deep) + str(vars(deep)) + str(vars(deep.embedder)),
        "pickle of deepcopy": pickle.dumps(deep),
    }
    assert [name for name, surface in surfaces.items() if leaks(surface)] == []
    assert deep.embedder._settings.secret is None
    assert embedding.embedder._settings.secret.reveal() == CANARY


@pytest.mark.parametrize(
    "arguments",
    [
        {"framework": "no-such"},
        {"dimensoin": 5},
        {"options": {"dimension": "five"}},
        {"options": {"api_key": CANARY}},
        {"openai_api_key": CANARY},
        {"device": "cuda"},
        {"truncation": "maybe"},
        {"embed_batch_size": 0},
        {"embed_batch_size": "many"},
        {"num_workers": "many"},
        {"embeddings_cache": "no store"},
        {"fingerprint": 5},
        {"cache": "no cache"},
    ],
    ids=str,
)
def test_no_error_of_making_one_has_the_key(keyed_framework, arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - several kinds, all without the key
        MultiCoreEmbedding(**{"framework": keyed_framework, "api_key": CANARY, **arguments})
    error = caught.value
    details = str(error.errors()) if isinstance(error, ValidationError) else ""
    shown = "".join(traceback.format_exception_only(error)) + repr(error) + str(error.args) + details
    assert not leaks(shown)


def test_a_key_of_the_wrong_type_is_not_quoted(keyed_framework):
    with pytest.raises(ValueError, match="API key") as caught:
        MultiCoreEmbedding(keyed_framework, api_key=[CANARY])
    assert not leaks(repr(caught.value))


def test_pydantics_own_message_hides_its_input(keyed_framework):
    with pytest.raises(ValidationError) as caught:
        MultiCoreEmbedding.model_validate({"framework": keyed_framework, "api_key": CANARY, "truncation": "maybe"})
    assert not leaks(str(caught.value))


def test_it_cannot_be_set_as_an_attribute(keyed_framework):
    embedding = MultiCoreEmbedding(keyed_framework, api_key=CANARY)
    assert not hasattr(embedding, "api_key")
    with pytest.raises(ValueError, match="no field") as caught:
        embedding.api_key = CANARY
    assert not leaks(str(caught.value))
