"""What a store keeps of an embedder's settings: plain data, without keys and without what only a user grants."""

from __future__ import annotations

import json

import pytest

from llm_multi_core.embedder import (
    Bridge,
    IncompatibleSpacesError,
    InvalidOptionError,
    create_multimodal_embedder,
    create_text_embedder,
)
from llm_multi_core.embedder.stores import PinnedEmbedder, refuse_grants, shared, shared_embedder, stored_settings
from llm_multi_core.embedder.testing.joint import random_alignment


def captions(media):
    return ["words"] * len(media)


def alignment(fake_framework, seed=0):
    with create_text_embedder(fake_framework, "a") as one, create_text_embedder(fake_framework, "b") as other:
        return random_alignment(one.space, other.space, seed)


def test_what_is_kept_leads_back(fake_framework, tmp_path):
    path = tmp_path / "map.safetensors"
    alignment(fake_framework).save(path)
    plain, arguments = stored_settings(
        {
            "text_framework": fake_framework,
            "image_framework": None,
            "text": {"roles": True, "dimension": 5},
            "image": {},
            "alignment": path,
            "truncation": "mean",
        }
    )
    assert json.loads(json.dumps(plain)) == plain
    assert plain.keys() == {"text_framework", "text", "alignment", "truncation"}
    assert list(plain["text"]) == ["dimension", "roles"]
    assert plain["alignment"][0]["path"] == str(path)
    again, same = stored_settings(plain)
    assert again == plain
    assert same["alignment"] == arguments["alignment"] == [alignment(fake_framework)]
    with create_multimodal_embedder(**same) as embedder:
        assert embedder.dimension == 5


def test_neither_keys_nor_grants_are_kept():
    granted = {"framework": "clip", "trust_remote_code": True, "allow_urls": True, "text": {"trust_remote_code": True}}
    plain, arguments = stored_settings(granted)
    assert plain == {"framework": "clip"}
    assert arguments["trust_remote_code"] is True
    assert arguments["text"] == {"trust_remote_code": True}
    for name in ("api_key", "cache"):
        with pytest.raises(InvalidOptionError, match="not kept in a store"):
            stored_settings({"framework": "clip", name: "k"})
    with pytest.raises(InvalidOptionError, match="pass api_key="):
        stored_settings({"text": {"api_key": "k"}})


@pytest.mark.parametrize(
    "kept",
    [
        {"trust_remote_code": True},
        {"allow_urls": True},
        {"image": {"trust_remote_code": True}},
        {"api_key": "k"},
        {"text": {"api_key": "k"}},
    ],
    ids=str,
)
def test_what_a_store_may_not_say_is_refused(kept):
    with pytest.raises(InvalidOptionError, match="a store keeps"):
        refuse_grants({"framework": "clip", **kept})
    refuse_grants({"framework": "clip", "trust_remote_code": False, "text": {"dimension": 5}, "image": None})


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(InvalidOptionError, match="JSON"):
        stored_settings({"framework": "clip", "device": object()})


def test_what_is_in_no_file_has_to_be_passed_again(fake_framework):
    plain, _ = stored_settings({"alignment": alignment(fake_framework)})
    assert plain["alignment"][0]["path"] is None
    with pytest.raises(InvalidOptionError, match="save it and pass its path"):
        stored_settings(plain)
    bridge = Bridge.of_function(captions, "image")
    for value in (captions, bridge):
        plain, arguments = stored_settings({"bridge": {"image": value}})
        assert arguments["bridge"] == {"image": value}
        assert "captions" in plain["bridge"]["image"]["function"]
        with pytest.raises(InvalidOptionError, match="pass it again as bridge="):
            stored_settings(plain)
    assert stored_settings({"bridge": {"image": "caption"}})[0] == {"bridge": {"image": "caption"}}


def test_a_file_that_holds_another_map_is_refused(fake_framework, tmp_path):
    path = tmp_path / "map.safetensors"
    alignment(fake_framework).save(path)
    plain, _ = stored_settings({"alignment": [path]})
    alignment(fake_framework, seed=1).save(path)
    with pytest.raises(IncompatibleSpacesError, match="no longer holds"):
        stored_settings(plain)


async def test_a_pinned_embedder_is_given_out_only_in_its_space(fake_framework):
    with create_text_embedder(fake_framework) as embedder:
        pinned = PinnedEmbedder(embedder, embedder.space.fingerprint, "treatment")
        assert pinned.checked() is await pinned.achecked() is embedder
        assert pinned.cache_scope() == f"{embedder.encoder_id}\0{embedder.space.fingerprint}\0treatment"
        other = PinnedEmbedder(embedder, "0" * 32, "")
        for _ in range(2):
            with pytest.raises(IncompatibleSpacesError, match="0" * 32):
                other.checked()
            with pytest.raises(IncompatibleSpacesError, match="0" * 32):
                await other.achecked()
        assert PinnedEmbedder(embedder, None, "").checked() is embedder


def test_the_same_settings_share_an_embedder(fake_framework, monkeypatch):
    monkeypatch.setattr(shared, "_held", type(shared._held)())
    kept = {"text_framework": fake_framework, "text": {"dimension": 5, "roles": True}}
    one = shared_embedder(kept)
    assert shared_embedder({"text": {"roles": True, "dimension": 5}, "text_framework": fake_framework}) is one
    others = [shared_embedder(kept, "0" * 32), shared_embedder(kept, allow_urls=True)]
    assert len({id(each) for each in (one, *others)}) == 3
    with pytest.raises(IncompatibleSpacesError):
        others[0].checked()
    for dimension in range(6, 12):
        shared_embedder({"text_framework": fake_framework, "text": {"dimension": dimension}})
    assert len(shared._held) == 4
    assert one.checked().dimension == 5, "one that is no longer held works for whom it was given to"
    assert shared_embedder(kept) is not one
