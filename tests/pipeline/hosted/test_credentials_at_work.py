"""Keys while calls run: refused ones end calls, rotated ones go on, callables may fail."""

from itertools import count

import pytest

from llm_multi_core.embedder import AccessDeniedError, BatchError, MissingCredentialsError, Verdict
from llm_multi_core.embedder.pipeline import provider
from llm_multi_core.embedder.testing.hosted import Faults

TEXTS = [f"text {number}" for number in range(100)]
GOOD, BAD = "sk-canary-good", "sk-canary-bad"


@pytest.fixture
def choosy(server):
    """A server that refuses one of the keys."""
    server.faults = Faults(denied_keys=frozenset({BAD}))
    return server


def test_a_refused_key_ends_the_call_at_once(make_wire, choosy):
    with pytest.raises(AccessDeniedError, match="401") as caught:
        make_wire(choosy.base_url, api_key=BAD, batch_size=5, limits={"concurrency": 2}).run(TEXTS, on_error="collect")
    assert caught.value.status == 401
    assert isinstance(caught.value, PermissionError)
    assert BAD not in str(caught.value)
    assert len(choosy.requests) <= 2


def test_later_calls_with_it_fail_without_a_request(make_wire, choosy):
    with pytest.raises(AccessDeniedError):
        make_wire(choosy.base_url, api_key=BAD).embed("a")
    choosy.faults = Faults()
    for embedder in (make_wire(choosy.base_url, api_key=BAD), make_wire(choosy.base_url, api_key=BAD, normalize=False)):
        with pytest.raises(AccessDeniedError, match=r"not tried, since the key was refused a moment ago: .*401"):
            embedder.embed("b")
    assert len(choosy.requests) == 1
    make_wire(choosy.base_url, api_key=GOOD).embed("b")  # another key is another matter


def test_after_a_while_it_is_tried_once_more(make_wire, choosy, monkeypatch):
    embedder = make_wire(choosy.base_url, api_key=BAD)
    with pytest.raises(AccessDeniedError):
        embedder.embed("a")
    choosy.faults = Faults()
    now = provider.time.monotonic()
    monkeypatch.setattr(provider.time, "monotonic", lambda: now + provider.DENIED_SECONDS + 1)
    assert embedder.embed("a").shape == (16,)


def test_a_rotated_key_works_at_once(make_wire, choosy):
    current = [BAD]
    embedder = make_wire(choosy.base_url, api_key=lambda: current[0])
    with pytest.raises(AccessDeniedError):
        embedder.embed("a")
    current[0] = GOOD
    assert embedder.embed("a").shape == (16,)


def test_a_key_that_was_rotated_meanwhile_is_not_blamed(make_wire, scripted, told):
    """The key changes between the request and its refusal."""
    current = ["old"]

    def answer(texts):
        current[0] = "new"
        raise told(Verdict("denied", status=401))

    scripted.answer = answer
    embedder = make_wire(encoder=scripted, api_key=lambda: current[0])
    with pytest.raises(AccessDeniedError):
        embedder.embed("a")
    scripted.answer = None
    assert embedder.embed("a").shape == (8,)


def test_an_account_elsewhere_is_another_account(make_wire, scripted, told):
    def answer(texts):
        raise told(Verdict("denied", status=403))

    scripted.answer = answer
    with pytest.raises(AccessDeniedError):
        make_wire("http://one.invalid", scripted).embed("a")
    scripted.answer = None
    make_wire("http://two.invalid", scripted).embed("a")
    with pytest.raises(AccessDeniedError, match="not tried"):
        make_wire("http://one.invalid", scripted, timeout=5.0).embed("a")


def test_a_key_refused_in_the_middle_keeps_what_was_made(make_wire, choosy):
    numbers = count()
    embedder = make_wire(choosy.base_url, batch_size=10, limits={"concurrency": 1})
    # Each request asks for the key twice: the pipeline once and the client once.
    rotating = make_wire(
        choosy.base_url, batch_size=10, limits={"concurrency": 1}, api_key=lambda: GOOD if next(numbers) < 8 else BAD
    )
    with pytest.raises(BatchError, match="401") as caught:
        rotating.embed_batch(TEXTS)
    assert isinstance(caught.value.__cause__, AccessDeniedError)
    ok = caught.value.ok
    assert ok[: ok.sum()].all()
    assert 10 <= ok.sum() <= 40
    assert (caught.value.vectors[ok] == embedder.embed_batch(TEXTS)[: ok.sum()]).all()


def test_a_callable_that_fails_ends_the_call_and_keeps_what_was_made(make_wire, server):
    numbers = count()

    def fetch():
        if next(numbers) < 10:
            return GOOD
        raise ConnectionError(f"the vault is sealed, token {GOOD}")

    with pytest.raises(BatchError, match=r"the callable given as api_key failed \(ConnectionError\)") as caught:
        make_wire(server.base_url, batch_size=10, limits={"concurrency": 1}, api_key=fetch).embed_batch(TEXTS)
    cause = caught.value.__cause__
    assert isinstance(cause, MissingCredentialsError)
    assert cause.__context__ is None
    assert caught.value.ok.any()


@pytest.mark.parametrize("gives", ["", None, 7])
def test_a_callable_that_gives_no_key(make_wire, server, gives):
    current = [GOOD]
    embedder = make_wire(server.base_url, api_key=lambda: current[0])
    embedder.embed("a")
    current[0] = gives
    with pytest.raises(MissingCredentialsError):
        embedder.embed("b")
    assert len(server.requests) == 1


def test_a_variable_is_read_at_call_time(make_wire, choosy, monkeypatch):
    monkeypatch.setenv("WIRE_API_KEY", BAD)
    embedder = make_wire(choosy.base_url, api_key=None)
    with pytest.raises(AccessDeniedError):
        embedder.embed("a")
    monkeypatch.setenv("WIRE_API_KEY", GOOD)
    embedder.embed("a")
    monkeypatch.delenv("WIRE_API_KEY")
    with pytest.raises(MissingCredentialsError, match="WIRE_API_KEY"):
        embedder.embed("b")


def test_few_accounts_are_remembered(make_wire, scripted, monkeypatch):
    for number in range(5):
        make_wire(encoder=scripted, api_key=lambda number=number: f"key {number}").embed("a")
    assert len(provider.providers._known) == 5
    monkeypatch.setattr(provider, "MOST_PROVIDERS", 3)
    make_wire(encoder=scripted, api_key="one more").embed("a")
    assert len(provider.providers._known) == 3
