"""The kit passes on encoders that keep every promise, of each kind."""

import pytest

from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance
from llm_multi_core.embedder.testing.fakes import (
    FakeHostedEncoder,
    FakeMultiVectorEncoder,
    FakeSparseEncoder,
    FakeTextEncoder,
    fake_offer,
)


class TestLocal(EncoderConformance):
    @pytest.fixture
    def case(self):
        return EncoderCase(fake_offer(FakeTextEncoder), variations=[{"dimension": 9}, {"dimensions": 5}])


class TestLocalWithRoles(EncoderConformance):
    @pytest.fixture
    def case(self):
        return EncoderCase(fake_offer(FakeTextEncoder), options={"roles": True})


class TestHosted(EncoderConformance):
    @pytest.fixture
    def case(self):
        return EncoderCase(fake_offer(FakeHostedEncoder))


class TestMultiVector(EncoderConformance):
    @pytest.fixture
    def case(self):
        return EncoderCase(fake_offer(FakeMultiVectorEncoder))


class TestSparse(EncoderConformance):
    @pytest.fixture
    def case(self):
        return EncoderCase(fake_offer(FakeSparseEncoder))
