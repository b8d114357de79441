"""A key is used, and found nowhere else."""

import copy
import functools
import json
import pickle
import traceback

import pytest
from langchain_core.load import dumpd, dumps
from langchain_core.vectorstores import InMemoryVectorStore
from pydantic import BaseModel, SecretStr, ValidationError

from langchain_llm_multi_core import MultiCoreEmbeddings
from llm_multi_core.embedder import EmbedderError

CANARY = "sk-canary-5f3a9c"

FORMS = {
    "string": lambda: CANARY,
    "SecretStr": lambda: SecretStr(CANARY),
    "callable": lambda: functools.partial(str, CANARY),  # shows the key in its own repr
}


class Config(BaseModel):
    embeddings: MultiCoreEmbeddings


@pytest.fixture(params=FORMS)
def embeddings(keyed, request):
    return MultiCoreEmbeddings(framework="keyed", api_key=FORMS[request.param]())


def written(embeddings):
    """Every form in which embeddings are written down, as bytes."""
    view = embeddings.as_document_role()
    holders = [
        embeddings,
        view,
        embeddings.embedder,
        Config(embeddings=embeddings),
        InMemoryVectorStore(embeddings),
        copy.copy(embeddings),
        copy.deepcopy(embeddings),
        copy.deepcopy(view),
        embeddings.model_copy(),
        embeddings.model_copy(deep=True),
        embeddings.model_copy(update={"normalize": False}),
        [embeddings, {"nested": (embeddings,)}],
    ]
    for holder in holders:
        for text in (repr(holder), str(holder), f"{holder}", str(dumpd(holder)), dumps(holder)):
            yield text.encode()
        if not isinstance(holder, InMemoryVectorStore):
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
                yield pickle.dumps(holder, protocol)
    for mode in ("python", "json"):
        yield repr(embeddings.model_dump(mode=mode)).encode()
        yield repr(embeddings.model_dump(mode=mode, include={"api_key", "cache", "model"})).encode()
    yield embeddings.model_dump_json().encode()
    yield json.dumps(Config(embeddings=embeddings).model_dump()).encode()
    yield repr(list(embeddings)).encode()
    yield repr(vars(embeddings)).encode()
    yield repr(embeddings.__getstate__()).encode()
    yield repr(embeddings.__reduce_ex__(5)).encode()
    yield repr(list(embeddings.__rich_repr__())).encode()
    yield repr(embeddings.api_key).encode()
    yield embeddings.cache_namespace("query").encode()
    yield json.dumps(embeddings.space.to_dict()).encode()


def test_a_key_is_used_and_never_written(embeddings, keyed):
    embeddings.embed_query("a")
    assert keyed.seen == [CANARY]
    forms = list(written(embeddings))
    assert len(forms) > 100
    for form in forms:
        assert CANARY.encode() not in form


def test_copies_in_the_process_keep_the_key(embeddings, keyed):
    for copied in (copy.copy(embeddings), copy.deepcopy(embeddings), embeddings.model_copy(update={"batch_size": 2})):
        copied.embed_query("a")
    assert keyed.seen == [CANARY] * 3


def test_a_key_among_model_kwargs_is_a_key(keyed):
    embeddings = MultiCoreEmbeddings(framework="keyed", model_kwargs={"api_key": CANARY})
    embeddings.embed_query("a")
    assert keyed.seen == [CANARY]
    assert embeddings.api_key.get_secret_value() == CANARY
    assert embeddings.options == {}
    for form in written(embeddings):
        assert CANARY.encode() not in form


MISTAKES = [
    {"framework": "keyde", "api_key": CANARY},
    {"framework": "keyed", "api_key": CANARY, "dimensoin": 4},
    {"framework": "keyed", "api_key": CANARY, "device": "cuda"},
    {"framework": "keyed", "api_key": CANARY, "model_kwargs": {"api_key": "another"}},
    {"framework": "keyed", "model_kwargs": {"api_key": CANARY, "token": CANARY}},
    {"framework": "keyed", "encode_kwargs": {"token": CANARY}},
    {"framework": "keyed", "options": {"api_key": CANARY}, "truncation": "shorten"},
    {"framework": "keyed", "token": CANARY},
    {"framework": "keyed", "api_key": CANARY.encode()},
    {"framework": "keyed", "api_key": [CANARY]},
    {"framework": "keyed", "api_key": "", "note": CANARY},
    {"framework": "fake", "api_key": CANARY},
]


@pytest.mark.parametrize("arguments", MISTAKES)
def test_errors_hold_no_key(keyed, fake_framework, arguments):
    def attempts():
        yield lambda: MultiCoreEmbeddings(**arguments)
        yield lambda: MultiCoreEmbeddings.model_validate(arguments)
        yield lambda: Config(embeddings=arguments)
        yield lambda: Config.model_validate({"embeddings": arguments})
        if not isinstance(arguments.get("api_key"), bytes):
            yield lambda: MultiCoreEmbeddings.model_validate_json(json.dumps(arguments))
            yield lambda: Config.model_validate_json(json.dumps({"embeddings": arguments}))

    for place, attempt in enumerate(attempts()):
        with pytest.raises((EmbedderError, ValidationError)) as caught:
            attempt()
        error = caught.value
        assert place > 0 or isinstance(error, EmbedderError)
        forms = [str(error), repr(error), repr(vars(error)), *traceback.format_exception_only(error)]
        if isinstance(error, ValidationError):
            details = error.errors()
            forms += [repr(details), error.json(), repr(pickle.dumps(details))]
            forms += [repr(detail["input"]["hidden_arguments"].take()) for detail in details]
        else:
            forms += [repr(pickle.dumps(error))]
        assert CANARY not in "\n".join(forms)


@pytest.mark.parametrize("name", ["api_key", "openai_api_key"])
def test_a_key_cannot_be_assigned_and_the_refusal_does_not_repeat_it(embeddings, name):
    with pytest.raises(AttributeError) as caught:
        setattr(embeddings, name, CANARY)
    assert CANARY not in str(caught.value)
    assert not isinstance(caught.value, ValidationError)
    with pytest.raises(EmbedderError) as refused:
        embeddings.model_copy(update={"api_key": CANARY.encode()})
    assert CANARY not in str(refused.value)
