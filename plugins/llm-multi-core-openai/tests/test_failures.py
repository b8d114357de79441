"""What goes wrong at a provider: what is made up for, and what the error says otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from llm_multi_core.embedder import (
    AccessDeniedError,
    EncodingError,
    InvalidOutputError,
    MemoryCache,
    MissingCredentialsError,
    ProviderError,
)
from llm_multi_core.embedder.testing.hosted import Faults, HostedServer, WireError
from llm_multi_core.embedder.testing.hosted.openai import OpenAIWire, ServedModel

TEXTS = [f"text {number}" for number in range(3000)]


def test_what_passes_by_itself_is_made_up_for(make, server, expected):
    # 47 requests at least, in chunks of about 64 texts.
    server.faults = Faults(
        seed=7, rate_limited=0.1, server_error=0.05, unavailable=0.05, cut=0.03, cut_within=0.03, truncated=0.03,
        shuffled=0.2, retry_after=0.01,
    )  # fmt: skip
    result = make(dimensions=16).run(TEXTS)
    np.testing.assert_allclose(result.vectors, expected(TEXTS, dimension=16), atol=1e-6)
    failed = sum(count for name, count in server.outcomes.items() if name not in {"ok", "shuffled"})
    assert failed >= 3
    assert result.report.retries == failed
    assert server.violations == []


def test_poisonous_texts_are_found_and_named(make, server, expected):
    server.faults = Faults(poison=frozenset({TEXTS[17], TEXTS[1234]}))
    result = make(dimensions=16).run(TEXTS, on_error="collect")
    assert [failure.index for failure in result.failures] == [17, 1234]
    for failure in result.failures:
        assert isinstance(failure.error, ProviderError)
        assert failure.error.status == 400
        assert failure.error.request_id.startswith("req_")
        assert f"input {failure.index} " in str(failure.error)
    kept = np.delete(np.arange(len(TEXTS)), [17, 1234])
    right = expected([TEXTS[place] for place in kept], dimension=16)
    np.testing.assert_allclose(result.vectors[kept], right, atol=1e-6)


@pytest.mark.parametrize(
    ("distortion", "message"),
    [("short", "vectors"), ("nan", "NaN|finite"), ("wrong_dimension", r"15|dimension")],
)
def test_replies_that_do_not_fit_are_never_taken(make, server, distortion, message):
    server.faults = Faults(**{distortion: 1.0})
    with pytest.raises(EncodingError, match=message):
        make(dimensions=16).embed_batch(["a", "b", "c"])


def test_a_reply_that_does_not_fit_is_asked_for_again(make, server, expected):
    server.faults = Faults(script=("short",))
    np.testing.assert_allclose(make().embed_batch(["a", "b"]), expected(["a", "b"]), atol=1e-6)


def test_a_missing_key_is_named_before_any_work(open_embedder):
    with pytest.raises(MissingCredentialsError, match="OPENAI_API_KEY"):
        open_embedder("openai")


def test_a_server_of_ones_own_needs_no_key(make, server):
    assert make(api_key=None).embed("a").shape == (1536,)
    assert server.requests[0].headers["authorization"] == "Bearer none"


def test_a_refused_key(make, server):
    server.faults = Faults(denied_keys=frozenset({"sk-wrong-0123456789"}))
    embedder = make(api_key="sk-wrong-0123456789")
    with pytest.raises(AccessDeniedError, match="Incorrect API key") as caught:
        embedder.embed("a")
    assert caught.value.status == 401
    assert "sk-wrong" not in str(caught.value)
    asked = len(server.requests)
    with pytest.raises(AccessDeniedError):
        embedder.embed("b")
    assert len(server.requests) == asked  # it is not asked again with this key


def test_an_unknown_model_ends_the_call_at_once(make, server):
    with pytest.raises(ProviderError, match="`text-embedding-9` does not exist") as caught:
        make("text-embedding-9", dimensions=8, limits={"concurrency": 2}).embed_batch(TEXTS)
    assert caught.value.status == 404
    assert len(server.requests) <= 2


class Refusing(OpenAIWire):
    """Refuses everything with one error."""

    def __init__(self, status, message, code):
        super().__init__()
        self.error = WireError(status, message, code)

    def read_embeddings(self, body, name):
        raise self.error


@pytest.mark.parametrize(
    ("status", "message", "code"),
    [
        (429, "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota"),
        (429, "Your organization has no prepaid credits left.", "credit_balance_exhausted"),
        (403, "Project does not have access to model `text-embedding-3-small`", "model_not_found"),
        (400, "Model `bge` does not support matryoshka representation", ""),
        (422, "dimensions is not supported by this model", ""),
        (400, "Unsupported value: encoding_format", "unsupported_value"),
    ],
)
def test_what_no_other_request_would_change_ends_the_call(open_embedder, status, message, code):
    with HostedServer(Refusing(status, message, code)) as server:
        embedder = open_embedder("openai", base_url=server.base_url, api_key="k", limits={"concurrency": 2})
        with pytest.raises(ProviderError, match=message[:20]):
            embedder.embed_batch(TEXTS)
        assert len(server.requests) <= 2


TOO_LONG = {
    "OpenAI": "This model's maximum context length is 512 tokens, however you requested 600 tokens",
    "OpenAI, newer": "Invalid 'input[0]': maximum input length is 512 tokens.",
    "vLLM": "The model's maximum context length is 512 tokens. However, you requested 600 tokens in the input",
    "text-embeddings-inference": "Input validation error: `inputs` must have less than 512 tokens. Given: 600",
    "Ollama": "the input length exceeds the context length",
    "llama.cpp": "input is too large to process. increase the physical batch size",
}


class Short(OpenAIWire):
    """A server that takes 50 words and says in its own words that there are more."""

    def __init__(self, status, message):
        super().__init__({"small": ServedModel(8)})
        self.status, self.message = status, message

    def content(self, entry):
        found = super().content(entry)
        if found.units > 50:
            raise WireError(self.status, self.message)
        return found


@pytest.mark.parametrize("server_name", TOO_LONG)
@pytest.mark.parametrize("status", [400, 413])
def test_what_is_too_long_by_the_servers_own_words_is_cut(open_embedder, expected, server_name, status):
    with HostedServer(Short(status, TOO_LONG[server_name])) as server:
        embedder = open_embedder(
            "openai", model="small", dimensions=8, base_url=server.base_url, api_key="k", truncation="truncate"
        )
        result = embedder.run(["short", "word " * 120, "other"])
    assert [cut.index for cut in result.report.truncations] == [1]
    np.testing.assert_allclose(result.vectors[[0, 2]], expected(["short", "other"], "small", 8), atol=1e-6)


def test_with_a_cache_nothing_is_paid_twice(make, server):
    cache = MemoryCache()
    server.faults = Faults(script=("", "", "", "", "", ""), poison=frozenset({TEXTS[2999]}))
    with pytest.raises(Exception, match="2999"):
        make(dimensions=16, cache=cache).embed_batch(TEXTS)
    first = {content.key for call in server.calls for content in call.contents}
    answered = len(server.calls)
    server.faults = Faults()
    make(dimensions=16, cache=cache).embed_batch(TEXTS)
    second = [content.key for call in server.calls[answered:] for content in call.contents]
    assert first
    assert not first & set(second)
    assert first | set(second) == set(TEXTS)


def test_a_reply_that_is_no_list_of_embeddings(open_embedder):
    class Strange(OpenAIWire):
        def write(self, call, vectors, order):
            return self._reply({"error": "no such thing"})

    with HostedServer(Strange()) as server:
        embedder = open_embedder("openai", base_url=server.base_url, api_key="k")
        with pytest.raises(InvalidOutputError, match="holds no embeddings"):
            embedder.embed("a")
