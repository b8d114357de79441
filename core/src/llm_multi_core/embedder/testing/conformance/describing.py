"""Standard tests of what an encoder says of itself: description, identity, configuration."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from llm_multi_core.embedder.encoders import Description
from llm_multi_core.embedder.items import Role
from llm_multi_core.embedder.pipeline.pool import EncoderHandle
from llm_multi_core.embedder.testing.conformance.case import API_KEY
from llm_multi_core.embedder.testing.conformance.fixtures import EncoderTests
from llm_multi_core.embedder.testing.conformance.subject import BareEncoder, Subject
from llm_multi_core.embedder.testing.conformance.watch import watch_io

SCORES = {"dense": {"cosine", "dot"}, "multi": {"maxsim"}, "sparse": {"dot", "cosine"}}


class DescribingTests(EncoderTests):
    """What an encoder says of itself."""

    def test_construction_does_no_io(self, subject: Subject) -> None:
        """The constructor opens no file and no connection."""
        BareEncoder(subject)  # imports what is still to be imported
        with watch_io() as seen:
            BareEncoder(subject)
        assert not seen, f"the constructor reached for: {', '.join(seen)}"

    def test_describes_itself_before_it_is_loaded(self, subject: Subject) -> None:
        """`describe` needs no `load`, says the same each time, and is well-formed."""
        encoder = BareEncoder(subject).encoder
        description = encoder.describe()
        assert isinstance(description, Description)
        assert encoder.describe() == description, "describe gave two answers"
        assert BareEncoder(subject).encoder.describe() == description, "describe differs between two instances"
        assert encoder.identity() == BareEncoder(subject).encoder.identity(), "identity differs between two instances"
        space, limits = description.space, description.limits
        assert space.dimension > 0
        assert description.native_dimension > 0
        assert space.score in SCORES[space.output], f"{space.output} rows are not compared by {space.score}"
        assert subject.case.modality in space.modalities, f"the space takes {set(space.modalities)}"
        assert description.roles <= set(Role)
        assert not (description.sliceable and space.output == "sparse"), "sparse rows cannot be cut"
        for name in ("items_per_batch", "units_per_item", "units_per_batch", "bytes_per_batch", "concurrency"):
            bound = getattr(limits, name)
            assert bound is None or bound >= 1, f"limits.{name} is {bound}"

    def test_description_holds(self, subject: Subject) -> None:
        """Loading does not change the description, and the rows are as described."""
        before = subject.description
        rows = subject.bare.encode(subject.items)
        assert subject.bare.encoder.describe() == before, "describe changed with load"
        assert before.native_dimension == before.space.dimension, "no dimensions were asked for, yet it is not native"
        rows.check(len(rows), before.space.dimension, before.space.output)

    def test_embedder_agrees_with_description(self, subject: Subject) -> None:
        """The embedder's dimension and space are the encoder's."""
        assert subject.embedder.dimension == subject.description.space.dimension
        assert subject.embedder.space == subject.description.space

    def test_encoder_id_is_stable(self, subject: Subject) -> None:
        """Two instances have one identity, on any device and with any key."""
        expected = _encoder_id(subject)
        assert _encoder_id(subject) == expected, "two instances differ"
        other: dict[str, Any] = {"device": "cpu"}
        if subject.offer.spec.hosted:
            other = {"api_key": "another-key"} if subject.offer.spec.credentials is not None else {}
        assert _encoder_id(subject, **other) == expected, f"the identity depends on {', '.join(other)}"

    def test_encoder_id_tells_settings_apart(self, subject: Subject) -> None:
        """Each variation of the case changes the identity, and the fingerprint if it is said to."""
        if not subject.case.variations:
            pytest.skip("the case names no variations of its settings")
        spaces = {option.name for option in subject.offer.spec.options if option.affects_space}
        for variation in subject.case.variations:
            assert _encoder_id(subject, **variation) != _encoder_id(subject), f"{variation} leaves the encoder id"
            if spaces & set(variation):
                space = BareEncoder(subject, **variation).encoder.describe().space
                assert space.fingerprint != subject.description.space.fingerprint, f"{variation} leaves the fingerprint"

    def test_keys_stay_secret(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        """No repr, description, identity or pickle shows the key."""
        spec = subject.offer.spec
        if spec.credentials is None:
            pytest.skip("the framework takes no key")
        for variable in spec.credentials.variables:
            monkeypatch.setenv(variable, subject.case.api_key or API_KEY)
        key = subject.case.api_key or API_KEY
        bare = BareEncoder(subject)
        shown = {
            "the configuration": repr(bare.config),
            "the encoder": f"{bare.encoder!r} {bare.encoder}",
            "the description": repr(bare.encoder.describe()),
            "the identity": repr(dict(bare.encoder.identity())),
            "the settings": repr(subject.settings()),
            "the embedder": f"{subject.embedder!r} {subject.embedder}",
        }
        for name, text in shown.items():
            assert key not in text, f"{name} shows the key"
        assert key.encode() not in pickle.dumps(subject.embedder), "the pickled embedder holds the key"


def _encoder_id(subject: Subject, **changes: Any) -> str:
    settings = subject.settings(**changes)
    return EncoderHandle(settings.offer, settings.encoder_config(changes.get("dimensions"))).encoder_id()
