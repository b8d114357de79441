"""What NIM refuses and how it fails: what is tried again, what is not, and what is said of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import openai
import pytest

from llm_multi_core.embedder import (
    AccessDeniedError,
    InvalidOutputError,
    MissingCredentialsError,
    ProviderError,
    TruncationWarning,
    create_text_embedder,
)
from llm_multi_core.embedder.testing.hosted import Content, EmbeddingCall, Faults, HostedServer, WireError
from llm_multi_core.embedder.testing.hosted.nvidia import NvidiaWire
from llm_multi_core_nvidia.failures import read_refusal, verdict_of

KEY = "nvapi-0123456789abcdef"
E5 = "nvidia/nv-embedqa-e5-v5"


class RefusingWire(NvidiaWire):
    """Refuses everything, in one way."""

    def __init__(self, status, code=""):
        super().__init__()
        self.error = WireError(status, "refused for a reason", code)

    def read(self, request):
        raise self.error


def test_faults_and_poisonous_texts(server, make):
    texts = [f"text number {number}" for number in range(2000)]
    poison = {texts[17], texts[1999]}
    server.faults = Faults(
        seed=2, rate_limited=0.05, server_error=0.02, cut=0.01, retry_after=0.01, poison=frozenset(poison)
    )
    result = make().run(texts, on_error="collect")
    call = EmbeddingCall([], E5, 1024, "passage")
    wanted = np.stack([server.wire.vector(Content(text, 1, 1), call) for text in texts])
    assert [failure.index for failure in result.failures] == [17, 1999]
    assert all("an input cannot be processed" in str(failure.error) for failure in result.failures)
    assert np.allclose(result.vectors[result.ok], wanted[result.ok], atol=1e-6)


def test_a_refused_key_ends_the_call(server, make):
    server.faults = Faults(denied_keys=frozenset({KEY}))
    with pytest.raises(AccessDeniedError, match="NVIDIA answered 401: ") as caught:
        make().embed_batch(["a", "b"])
    assert (caught.value.status, caught.value.request_id) == (401, "nvcf-401")
    assert len(server.requests) == 1


def test_without_a_key_nothing_is_made():
    with pytest.raises(MissingCredentialsError, match=r"NVIDIA_API_KEY, or base_url= of a server that needs none"):
        create_text_embedder("nemo")


@pytest.mark.parametrize(("status", "code"), [(402, ""), (404, ""), (422, "dimensions"), (422, "input_type")])
def test_what_no_other_request_would_cure_ends_the_call(status, code):
    with HostedServer(RefusingWire(status, code)) as server:
        with (
            create_text_embedder("nemo", base_url=server.base_url, api_key=KEY) as embedder,
            pytest.raises(ProviderError, match="refused for a reason") as caught,
        ):
            embedder.embed_batch([f"text {number}" for number in range(100)])
        assert caught.value.status == status
        assert len(server.requests) <= 2


def test_an_unknown_model_is_named(make):
    with pytest.raises(ProviderError, match="'acme/embed' not found for account"):
        make("acme/embed", dimensions=8).embed("a")


def test_what_is_longer_than_estimated_is_shortened(server, make):
    """Short words have more tokens than their bytes let expect; NIM says so, and the text is cut."""
    with pytest.warns(TruncationWarning, match="1 of 3 inputs were cut"):
        vectors = make().embed_batch(["a " * 600, "fine", "b " * 100])
    assert np.isfinite(vectors).all()
    cut = [content.key for call in server.calls for content in call.contents if content.key.startswith("a ")]
    assert len(cut) == 1
    assert 200 < len(cut[0].split()) <= 512


def test_texts_for_nvclip_are_cut_before_they_are_sent(server, make):
    """It has no field against truncation, so that what it would do is not known."""
    with pytest.warns(TruncationWarning):
        make("nvidia/nvclip").embed("word " * 100)
    assert len(server.calls[0].contents[0].key.split()) < 77
    assert server.violations == []


@pytest.mark.parametrize("fault", ["short", "wrong_dimension", "nan"])
def test_replies_that_do_not_fit_are_never_taken(server, make, fault):
    server.faults = Faults(**{fault: 1.0})
    result = make().run(["a", "b"], on_error="collect")
    assert {type(failure.error) for failure in result.failures} == {InvalidOutputError}
    assert result.ok.tolist() == [False, fault == "nan"]  # of the reply with a NaN the second vector is sound


@pytest.mark.parametrize("fault", ["rate_limited", "server_error", "unavailable", "truncated", "cut"])
def test_what_passes_by_itself_is_tried_again(server, make, fault):
    server.faults = Faults(script=(fault,), retry_after=0.01)
    assert make().embed("text").shape == (1024,)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "body", "action", "said"),
    [
        (400, {"error": "Input length 704 exceeds maximum allowed token size 512"}, "shorten", "Input length 704"),
        (400, {"object": "error", "message": "Input length 9 exceeds maximum allowed token size 8"}, "shorten", "9"),
        (400, {"message": "This model does not support 'dimensions'"}, "fatal", "does not support"),
        (400, {"error": "'input_type' parameter is required for asymmetric models"}, "fatal", "is required"),
        (422, {"detail": [{"loc": ["body", "modality"], "msg": "not permitted"}]}, "fatal", "body -> modality: not"),
        (422, {"detail": [{"loc": ["body", "input", 3], "msg": "bad", "input": "secret"}]}, "split", "input -> 3: bad"),
        (422, {"detail": []}, "split", '{"detail": []}'),
        (400, {"error": "something else"}, "split", "something else"),
        (400, None, "split", "null"),
        (400, "<html>", "split", "<html>"),
        (402, {"title": "Payment Required", "detail": "Cloud credits expired"}, "fatal", "Cloud credits expired"),
        (403, {"title": "Forbidden"}, "denied", "Forbidden"),
        (500, {"error": "Input length 704 exceeds maximum allowed token size 512"}, "retry", "Input length"),
    ],
)
def test_refusals_are_read_and_understood(status, body, action, said):
    request = SimpleNamespace(headers={"authorization": KEY})
    response = SimpleNamespace(status_code=status, headers={"nvcf-reqid": "r1"}, request=request)
    as_the_sdk_keeps_it = body.get("error", body) if isinstance(body, dict) else body
    error = read_refusal(openai.APIStatusError(f"Error code: {status}", response=response, body=as_the_sdk_keeps_it))
    assert str(error).startswith(f"NVIDIA answered {status}: ")
    assert said in str(error)
    assert "secret" not in str(error)
    verdict = verdict_of(error)
    assert (verdict.action, verdict.status, verdict.request_id) == (action, status, "r1")
    assert KEY not in repr(vars(error))
