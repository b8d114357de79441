"""`KeyConformance`: all standard tests of what a hosted framework does with its key, against a double."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest

from llm_multi_core.embedder.api import create_text_embedder
from llm_multi_core.embedder.embedders import BaseEmbedder
from llm_multi_core.embedder.errors import EmbedderError, MissingCredentialsError
from llm_multi_core.embedder.modalities import TextEmbedder
from llm_multi_core.embedder.testing.conformance.standard import StandardTests
from llm_multi_core.embedder.testing.hosted import Faults, HostedServer, RequestRecord, Wire

CANARY = "canary-key-f3b1c2d4e5a6b7c8"
"""No key of anybody's; it is looked for in everything that a test produces."""

_FAULTS = {
    "denied": Faults(denied_keys=frozenset({CANARY})),
    "poison": Faults(poison=frozenset({"poison"})),
    "short": Faults(short=1.0),
    "truncated": Faults(truncated=1.0),
    "cut": Faults(cut=1.0),
    "server error": Faults(server_error=1.0),
}

Make = Callable[..., TextEmbedder]


class KeyConformance(StandardTests):
    """What every hosted framework for text promises about keys.

    Subclass it, name the framework and its variable, and give the double's wire:

    ```python
    class TestKeys(KeyConformance):
        framework, variable = "acme", "ACME_API_KEY"

        @pytest.fixture
        def wire(self):
            return AcmeWire()
    ```

    Attributes:
        framework: the framework's name.
        variable: the first environment variable of its credentials.
        header: the header in which the key is sent, in lower case.
        settings: further settings of the embedders that are tested.
    """

    framework: ClassVar[str]
    variable: ClassVar[str]
    header: ClassVar[str] = "authorization"
    settings: ClassVar[dict[str, Any]] = {}

    @pytest.fixture
    def wire(self) -> Wire:
        """The provider's wire format."""
        raise AssertionError(f"{type(self).__name__} must have a fixture 'wire'")

    @pytest.fixture
    def server(self, wire: Wire) -> Iterator[HostedServer]:
        """The double."""
        with HostedServer(wire) as running:
            yield running

    @pytest.fixture
    def make(self, server: HostedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
        """Makes embedders of the double, in an environment without a key; they are closed after the test."""
        monkeypatch.delenv(self.variable, raising=False)
        with ExitStack() as stack:

            def maker(**settings: Any) -> TextEmbedder:
                given = {"base_url": server.base_url, "deadline": 0.3, **self.settings, **settings}
                return stack.enter_context(create_text_embedder(self.framework, **given))

            yield maker

    @pytest.mark.parametrize("fault", _FAULTS)
    def test_no_error_shows_the_key(
        self, server: HostedServer, make: Make, fault: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Neither an error, nor what it was caused by, nor a log record, however the provider fails."""
        caplog.set_level(logging.DEBUG)
        server.faults = _FAULTS[fault]
        embedder = make(api_key=CANARY)
        with pytest.raises(EmbedderError) as caught:
            embedder.embed_batch(["text", "poison"])
        _assert_hidden([*_shown_by(caught.value), *_shown_of(embedder), caplog.text])
        assert self._sent(server.requests[0]) == CANARY, "the key was not sent in the header that is named"

    def test_a_failed_connection_does_not_show_the_key(self, make: Make, caplog: pytest.LogCaptureFixture) -> None:
        """Nor where nobody answers."""
        caplog.set_level(logging.DEBUG)
        embedder = make(base_url="http://127.0.0.1:9/", api_key=CANARY)
        with pytest.raises(EmbedderError) as caught:
            embedder.embed("text")
        _assert_hidden([*_shown_by(caught.value), caplog.text])

    def test_neither_reports_nor_logs_nor_pickles_show_the_key(
        self, make: Make, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a call that succeeds, with a key of the environment's or a passed one; and no log shows an input."""
        caplog.set_level(logging.DEBUG)
        monkeypatch.setenv(self.variable, CANARY)
        for embedder in (make(), make(api_key=CANARY)):
            result = embedder.run(["a confidential text"])
            _assert_hidden([repr(result), str(result.report), *_shown_of(embedder), caplog.text])
        assert "confidential" not in caplog.text

    def test_a_copy_reads_the_environment_again(
        self, server: HostedServer, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A pickle travels without the key that was passed."""
        copy = pickle.loads(pickle.dumps(make(api_key=CANARY)))  # noqa: S301 - of its own making
        monkeypatch.setenv(self.variable, "of-the-environment")
        with copy:
            copy.embed("text")
        assert self._sent(server.requests[0]) == "of-the-environment"

    def test_keys_may_rotate(self, server: HostedServer, make: Make) -> None:
        """A callable is asked at each request."""
        keys = iter([f"{CANARY}{number}" for number in range(40)])
        embedder = make(api_key=lambda: next(keys))
        for _ in range(3):
            embedder.embed("text")
        used = [self._sent(record) for record in server.requests]
        assert len(set(used)) == 3
        assert all(key.startswith(CANARY) for key in used)

    def test_the_environments_key_is_read_at_the_time_of_a_call(
        self, server: HostedServer, make: Make, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And not when the embedder is made."""
        monkeypatch.setenv(self.variable, "first")
        embedder = make()
        embedder.embed("text")
        monkeypatch.setenv(self.variable, "second")
        embedder.embed("text")
        assert [self._sent(record) for record in server.requests] == ["first", "second"]

    def test_a_missing_key_is_named_before_any_work(
        self, server: HostedServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By the variable that would hold it."""
        monkeypatch.delenv(self.variable, raising=False)
        with pytest.raises(MissingCredentialsError, match=self.variable):
            create_text_embedder(self.framework, **self.settings)
        assert not server.requests

    def _sent(self, record: RequestRecord) -> str:
        return record.headers.get(self.header, "").removeprefix("Bearer ")


def _shown_by(error: BaseException | None) -> Iterator[str]:
    """Everything that an error says, with what it was caused by."""
    if error is not None:
        yield "".join(traceback.format_exception(error))
    while error is not None:
        yield f"{error!r} {error} {vars(error)}"
        yield pickle.dumps(error).decode("latin-1")
        error = error.__cause__ or error.__context__


def _shown_of(embedder: BaseEmbedder[Any]) -> Iterator[str]:
    encoder = embedder._resolve().handle.encoder()
    yield from (repr(embedder), repr(embedder._settings), repr(encoder), repr(encoder.config), str(embedder.space))
    yield pickle.dumps(embedder).decode("latin-1")


def _assert_hidden(shown: list[str]) -> None:
    assert not [text for text in shown if CANARY in text], "the key is shown"
