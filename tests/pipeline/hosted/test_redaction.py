"""A key is in no error, however an SDK carries it: text, attributes, notes, chains, pickles, logs, representations."""

import io
import logging
import pickle
import re
import traceback
from urllib.parse import quote

import httpx
import pytest

from llm_multi_core.embedder import (
    AccessDeniedError,
    BatchError,
    EmbedderError,
    InvalidInputError,
    InvalidOutputError,
    ProviderError,
    Verdict,
)
from llm_multi_core.embedder.encoders import EncoderConfig
from llm_multi_core.embedder.pipeline.provider import providers
from llm_multi_core.embedder.pipeline.redaction import MASK, RedactedError, provider_error, redact
from llm_multi_core.embedder.testing.fakes import FakeHostedEncoder
from llm_multi_core.embedder.testing.hosted import Faults

CANARY = "sk-canary-8f31d6a0c4e2b597"


def everything_of(error):
    """All that an error shows to whoever looks: itself, its attributes, notes, and whatever it drags along."""
    shown, waiting, seen = [], [error], set()
    while waiting:
        part = waiting.pop()
        if id(part) in seen or part is None:
            continue
        seen.add(id(part))
        shown += [str(part), repr(part), repr(part.args), repr(vars(part)), *getattr(part, "__notes__", [])]
        shown += traceback.format_exception(part)
        waiting += [part.__cause__, part.__context__, *getattr(part, "exceptions", [])]
        if isinstance(part, BatchError):
            waiting += [failure.error for failure in part.result.failures]
    pickled = pickle.dumps(error)
    return [*shown, repr(pickled), pickled.decode("latin-1"), repr(pickle.loads(pickled))]


def assert_clean(error):
    for text in everything_of(error):
        assert CANARY not in text
        assert CANARY.removeprefix("sk-") not in text


class SdkError(Exception):
    """As SDKs write them: the request hangs on it, with its headers."""

    def __init__(self, text):
        super().__init__(text)
        self.request = httpx.Request("POST", "https://x.invalid", headers={"authorization": f"Bearer {CANARY}"})
        self.body = {"error": text}
        self.add_note(f"called with {CANARY}")

    def __repr__(self):
        return f"SdkError({self.args}, headers={dict(self.request.headers)})"


FATAL = Verdict("fatal", status=400)


def raising(text, verdict=FATAL):
    """An answer that is an SDK's error, raised from one with a key and while another was handled."""

    def answer(texts):
        try:
            try:
                raise ConnectionError(f"first {CANARY}")
            except ConnectionError as first:
                raise ValueError(f"then {CANARY}") from first
        except ValueError:
            raise SdkError(text)  # noqa: B904 - the context is what is looked for

    return answer, lambda encoder, error: verdict


TEXTS_OF_SDKS = [
    f"Incorrect API key provided: {CANARY}. You can find your API key at ...",
    f"GET https://x.invalid/v1?key={CANARY}&a=b",
    f"GET https://x.invalid/v1?key={quote(CANARY, safe='')}",
    f"{{'headers': {{'Authorization': 'Bearer {CANARY}'}}}}",
    f"Illegal header value b'Bearer {CANARY}\\n'",
    f"{CANARY}{CANARY} {CANARY[:3]}\n{CANARY}",
    "x" * 490 + CANARY,
]


@pytest.mark.parametrize("text", TEXTS_OF_SDKS)
@pytest.mark.parametrize("action", ["fatal", "denied", "split", "retry", "shorten"])
def test_no_error_of_a_call_shows_the_key(make_wire, scripted, monkeypatch, text, action):
    scripted.answer, classify = raising(text, Verdict(action, after=0.0, status=400))
    monkeypatch.setattr(scripted, "classify", classify)
    embedder = make_wire(encoder=scripted, api_key=CANARY)
    with pytest.raises(ProviderError) as caught:
        embedder.embed("word " * 12)
    assert_clean(caught.value)
    assert "SdkError" in str(caught.value)
    assert MASK in str(caught.value) or text.startswith("x")
    assert caught.value.__context__ is None
    assert type(caught.value.__cause__) is RedactedError


def test_nor_do_collected_failures_and_what_ends_a_call_after_others(make_wire, scripted, monkeypatch):
    fail, classify = raising(TEXTS_OF_SDKS[0], Verdict("split"))
    monkeypatch.setattr(scripted, "classify", classify)

    def answer(texts):
        if "poison" in texts:
            fail(texts)

    scripted.answer = answer
    embedder = make_wire(encoder=scripted, api_key=CANARY)
    texts = [*(f"text {number}" for number in range(40)), "poison"]
    result = embedder.run(texts, on_error="collect")
    assert len(result.failures) == 1
    assert_clean(result.failures[0].error)
    assert CANARY not in f"{result!r} {result.report!r} {result.report} {pickle.dumps(result)!r}"
    with pytest.raises(BatchError) as caught:
        embedder.embed_batch(texts)
    assert_clean(caught.value)


def test_the_cause_keeps_what_was_said_and_where(make_wire, scripted, monkeypatch):
    scripted.answer, classify = raising(TEXTS_OF_SDKS[0])
    monkeypatch.setattr(scripted, "classify", classify)
    with pytest.raises(ProviderError) as caught:
        make_wire(encoder=scripted, api_key=CANARY).embed("a")
    cause = caught.value.__cause__
    assert "test_redaction.SdkError: Incorrect API key provided: **********. You can" in str(cause)
    assert "request" in [frame.name for frame in traceback.extract_tb(cause.__traceback__)]


@pytest.mark.parametrize("kind", [InvalidInputError, InvalidOutputError, ProviderError])
def test_errors_of_the_librarys_own_that_a_plugin_raises(make_wire, scripted, no_pauses, kind):
    def answer(texts):
        try:
            raise SdkError(CANARY)
        except SdkError as error:
            told = kind(f"the server said: {error}")
            told.add_note(f"with {CANARY}")
            raise told from error

    scripted.answer = answer
    with pytest.raises(EmbedderError) as caught:
        make_wire(encoder=scripted, api_key=CANARY).embed("a")
    assert_clean(caught.value)
    assert "the server said: **********" in str(caught.value)


def test_an_encoder_that_fails_while_it_judges(make_wire, scripted, monkeypatch):
    def classify(encoder, error):
        raise KeyError(CANARY)

    scripted.answer, _ = raising(CANARY)
    monkeypatch.setattr(scripted, "classify", classify)
    with pytest.raises(ProviderError) as caught:
        make_wire(encoder=scripted, api_key=CANARY).embed("a")
    assert_clean(caught.value)


@pytest.mark.parametrize("error", [SystemExit(CANARY), KeyboardInterrupt(CANARY)])
def test_what_would_end_the_loop(make_wire, scripted, error):
    def answer(texts):
        raise error

    scripted.answer = answer
    with pytest.raises(ProviderError) as caught:
        make_wire(encoder=scripted, api_key=CANARY).embed("a")
    assert_clean(caught.value)


def test_a_callable_that_fails_with_the_key_in_its_words(make_wire, scripted):
    numbers = iter(range(100))

    def fetch():
        if next(numbers) < 1:
            return CANARY
        raise ConnectionError(f"{CANARY} could not be renewed")

    embedder = make_wire(encoder=scripted, api_key=fetch)
    with pytest.raises(EmbedderError, match="the callable given as api_key failed") as caught:
        embedder.embed("a")
    assert_clean(caught.value)


def test_a_key_that_cannot_be_one(make_wire, server):
    """httpx refuses it at once, and says so with the header in it."""
    with pytest.raises(ProviderError, match="LocalProtocolError") as caught:
        make_wire(server.base_url, api_key=f"{CANARY}\nand more").embed("a")
    assert_clean(caught.value)
    assert server.requests == []


def test_a_key_with_a_line_break_at_its_end(make_wire, server):
    make_wire(server.base_url, api_key=f"{CANARY}\n").embed("a")
    assert server.requests[0].headers["authorization"] == f"Bearer {CANARY}"


def test_a_server_that_repeats_the_key(make_wire, server):
    server.faults = Faults(denied_keys=frozenset({CANARY}))
    embedder = make_wire(server.base_url, api_key=CANARY)
    for _ in range(2):  # the second is told of the first
        with pytest.raises(AccessDeniedError, match=re.escape(f"Incorrect API key provided: {MASK}")) as caught:
            embedder.embed("a")
        assert_clean(caught.value)


def test_an_older_key_is_masked_as_well(make_wire, scripted, told):
    def answer(texts):
        raise told(Verdict("fatal"), f"{CANARY} was replaced")

    keys = [CANARY]
    embedder = make_wire(encoder=scripted, api_key=lambda: keys[0])
    embedder.embed("a")
    keys[0] = "sk-another-key"
    scripted.answer = answer
    with pytest.raises(ProviderError) as caught:
        embedder.embed("b")
    assert_clean(caught.value)


# Logs, representations, and what is written down.


def test_nothing_is_logged(make_wire, server, caplog):
    server.faults = Faults(script=("rate_limited", "server_error", "cut", "nan", ""), retry_after=0.01)
    with caplog.at_level(logging.DEBUG):
        embedder = make_wire(server.base_url, api_key=CANARY, batch_size=5)
        embedder.embed_batch([f"text {number}" for number in range(20)])
        server.faults = Faults(denied_keys=frozenset({CANARY}))
        with pytest.raises(AccessDeniedError):
            embedder.embed("a")
    assert any(record.name.startswith("httpx") for record in caplog.records)
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    shown = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    assert CANARY not in "".join([*shown, caplog.text])


def test_no_representation_shows_it(make_wire, scripted, tmp_path):
    store = tmp_path / "limits.sqlite"
    embedder = make_wire(encoder=scripted, api_key=CANARY, rate_store=str(store))
    embedder.embed("a")
    handle = embedder._resolve().handle
    config: EncoderConfig = handle.config
    provider = providers.of(handle)
    provider.deny(CANARY, AccessDeniedError("refused"))
    for thing in (
        embedder, handle, config, config.secret, provider, vars(provider), provider.pacer, providers._known, config.key
    ):  # fmt: skip
        assert CANARY not in f"{thing!r} {thing}"
    assert CANARY.encode() not in pickle.dumps(embedder)
    assert CANARY.encode() not in store.read_bytes()


def test_a_traceback_on_standard_error(make_wire, scripted, monkeypatch):
    scripted.answer, classify = raising(TEXTS_OF_SDKS[3])
    monkeypatch.setattr(scripted, "classify", classify)
    with pytest.raises(ProviderError) as caught:
        make_wire(encoder=scripted, api_key=CANARY).embed("a")
    stream = io.StringIO()
    traceback.print_exception(caught.value, file=stream)
    assert CANARY not in stream.getvalue()
    assert "SdkError" in stream.getvalue()


# The masking itself.


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345678",
        "basic dXNlcjpwYXNzd29yZA==",
        "https://x.invalid/?key=abcdefgh12345678",
        "https://x.invalid/?a=b&api_key=abcdefgh12345678&c=d",
        '{"api-key": "abcdefgh12345678"}',
        "x-api-key: abcdefgh12345678",
        "x-goog-api-key=abcdefgh12345678",
        "access_token=abcdefgh12345678",
    ],
)
def test_what_looks_like_a_key_is_masked_though_it_is_not_known(text):
    assert "abcdefgh" not in redact(text, [])
    assert "dXNlcjpwYXNz" not in redact(text, [])


@pytest.mark.parametrize(
    "text", ["invalid input: the text is too long", "the key 'model' is missing", "a basic thing", "tokens: 8192"]
)
def test_other_words_stay(text):
    assert redact(text, []) == text


@pytest.mark.parametrize("key", ["a b/c+d=e", 'quote"d', "back\\slash", "ümlaut-key", "sk-" + "x" * 300])
def test_keys_in_the_forms_in_which_messages_write_them(key):
    for text in (key, quote(key, safe=""), repr(key), repr({"authorization": key}), f" {key}\n"):
        shown = redact(text, [key])
        assert key not in shown
        assert quote(key, safe="") not in shown


def test_a_key_within_another_key():
    assert redact("sk-one-two and sk-one", ["sk-one", "sk-one-two"]) == f"{MASK} and {MASK}"


def test_an_empty_key_masks_nothing():
    assert redact("as it is", ["", "  "]) == "as it is"


def test_long_messages_are_cut_after_keys_were_masked():
    told = provider_error(ValueError("x" * 495 + CANARY), Verdict("fatal"), [CANARY])
    assert CANARY[:5] not in str(told)
    assert len(str(told)) < 530


def test_an_error_without_words_is_named():
    assert str(provider_error(TimeoutError(), Verdict("retry"), [], "given up")) == "TimeoutError; given up"


class Loud(FakeHostedEncoder):
    """Says nothing in its own words; its keys are those that it was asked for."""


def test_keys_are_known_once_they_were_used(make_wire):
    embedder = make_wire(encoder=Loud, api_key=CANARY)
    encoder = embedder.load()._resolve().handle.encoder()
    assert encoder.keys == {CANARY}
