"""The fixtures of the encoder kit. Authors override `case` and nothing else."""

from __future__ import annotations

import pytest

from llm_multi_core.embedder.testing.conformance.case import EncoderCase
from llm_multi_core.embedder.testing.conformance.standard import StandardTests
from llm_multi_core.embedder.testing.conformance.subject import Subject, Way

_SUBJECT: pytest.StashKey[Subject] = pytest.StashKey()


class EncoderTests(StandardTests):
    """What the groups of standard tests for encoders share."""

    @pytest.fixture
    def case(self) -> EncoderCase:
        """The encoder to check; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'case'")

    @pytest.fixture
    def subject(self, case: EncoderCase, request: pytest.FixtureRequest) -> Subject:
        """The encoder under test: made from the case of the class's first test, for all its tests."""
        node = request.node.getparent(pytest.Class)
        subject: Subject | None = node.stash.get(_SUBJECT, None)
        if subject is None:
            subject = node.stash[_SUBJECT] = Subject(case)
            node.addfinalizer(subject.close)
        return subject

    @pytest.fixture(params=["bare", "embedder"])
    def way(self, request: pytest.FixtureRequest) -> Way:
        """Each test that takes this runs on the bare encoder and through the embedder."""
        way: Way = request.param
        return way
