"""LangChain's own suites."""

import pytest
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests, VectorStoreIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_llm_multi_core import MultiCoreEmbeddings


@pytest.fixture(autouse=True)
def _frameworks(fake_framework, keyed):
    """The fakes and the keyed one are installed for every test here."""


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self):
        return MultiCoreEmbeddings

    @property
    def embedding_model_params(self):
        return {"framework": "fake", "model": "fake-large"}

    @property
    def init_from_env_params(self):
        # The key itself stays in the environment, where it is read at each use.
        return (
            {"KEYED_API_KEY": "from-the-environment"},
            {"framework": "keyed", "model": "fake-large"},
            {"framework": "keyed", "model": "fake-large", "model_name": "fake-large", "api_key": None},
        )


class TestIntegrationLocal(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return MultiCoreEmbeddings

    @property
    def embedding_model_params(self):
        return {"framework": "fake", "roles": True}


class TestIntegrationHosted(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return MultiCoreEmbeddings

    @property
    def embedding_model_params(self):
        return {"framework": "keyed", "api_key": "a-key"}


class TestVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        return InMemoryVectorStore(MultiCoreEmbeddings(framework="fake"))
