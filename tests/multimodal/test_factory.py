"""`create_multimodal_embedder`: what goes with what, which keys go where, and which frameworks are found."""

from __future__ import annotations

import socket

import pytest

from llm_multi_core.embedder import (
    AmbiguousFrameworkError,
    Bridge,
    FrameworkUnavailableError,
    Host,
    InvalidOptionError,
    MissingCredentialsError,
    Modality,
    ModelLoadError,
    MultiModalEmbedder,
    PluginError,
    UnknownFrameworkError,
    create_multimodal_embedder,
)
from llm_multi_core.embedder.host import default_host

TEXT, IMAGE, AUDIO = Modality.TEXT, Modality.IMAGE, Modality.AUDIO


WORDS = {"text_framework": "words"}


def frameworks_of(embedder):
    return {str(modality): one.framework for modality, one in embedder.embedders.items()}


class TestFrameworks:
    def test_one_for_each_modality(self, make):
        assert frameworks_of(make("words", "pictures", "sounds")) == {
            "text": "words",
            "image": "pictures",
            "audio": "sounds",
        }
        assert frameworks_of(make(image_framework="pictures")) == {"image": "pictures"}

    def test_one_for_all_that_its_model_embeds(self, make):
        assert frameworks_of(make(framework="trio")) == dict.fromkeys(("text", "image", "audio"), "trio")
        assert frameworks_of(make(framework="trio", model="text-only")) == {"text": "trio"}
        assert frameworks_of(make(framework="words")) == {"text": "words"}
        assert frameworks_of(make(framework="Other_Pair")) == {"text": "other-pair", "audio": "other-pair"}
        assert frameworks_of(make(framework="digests/pair")) == {"text": "pair", "image": "pair"}

    def test_what_only_some_models_of_it_need_may_be_missing(self, make):
        """Its models of sound need what is not installed; others do not care, and one of sound says so."""
        assert frameworks_of(make(framework="split-pair")) == {"text": "split-pair", "image": "split-pair"}
        assert frameworks_of(make(framework="split-pair", model="text-only")) == {"text": "split-pair"}
        assert frameworks_of(make("words", joint_framework="split-pair")) == {"text": "words", "image": "split-pair"}
        with pytest.raises(FrameworkUnavailableError, match="needs no-such-thing>=1"):
            make(framework="split-pair", model="with sound")

    def test_the_defaults_where_none_is_named(self, make, monkeypatch):
        monkeypatch.setattr(
            "llm_multi_core.embedder.host.host.DEFAULT_FRAMEWORK", {TEXT: "words", IMAGE: "pictures", AUDIO: "sounds"}
        )
        everything = {"text": "words", "image": "pictures", "audio": "sounds"}
        assert frameworks_of(make()) == everything
        assert frameworks_of(make(bridge={"image": "caption"}, text={"model": "other"})) == everything
        assert frameworks_of(make(joint_framework="pair")) == {"text": "pair", "image": "pair"}

    def test_settings_of_one_modality(self, make):
        embedder = make("words", "pictures", text={"model": "large", "weights": 3}, image={"batch_size": 2})
        assert [one.model for one in embedder.embedders.values()] == ["large", "small"]
        assert embedder.embedders[TEXT]._settings.options["weights"] == 3
        assert embedder.embedders[IMAGE]._settings.batch_size == 2

    def test_settings_of_all(self, make):
        embedder = make("words", "pictures", device="cpu", precision="float32", truncation="error", batch_size=3)
        for one in embedder.embedders.values():
            settings = one._settings
            assert (settings.device, settings.precision, settings.truncation, settings.batch_size) == (
                "cpu",
                "float32",
                "error",
                3,
            )

    def test_hosted_ones_take_no_device(self, make):
        embedder = make("red", "pictures", api_key="a key of a test", device="cpu", precision="float32")
        assert embedder.embedders[TEXT]._settings.device is None
        assert embedder.embedders[IMAGE]._settings.device == "cpu"

    def test_a_host_of_ones_own(self, make):
        with pytest.raises(UnknownFrameworkError, match="no framework 'words' for text"):
            make("words", host=Host(list))
        assert frameworks_of(make("words", host=default_host())) == {"text": "words"}

    def test_urls_are_fetched_on_request_only(self, make):
        from llm_multi_core.embedder import Image

        url = Image("http://127.0.0.1:9/cat.png")
        with pytest.raises(ValueError, match="URLs are not fetched unless"):
            make("words", "pictures").embed(url)
        with pytest.raises(ValueError, match="which is not a public address"):
            make("words", "pictures", allow_urls=True).embed(url)


class TestWhatDoesNotGoTogether:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"framework": "trio", "text_framework": "words"}, "leave out text_framework= and text="),
            ({"framework": "trio", "image": {"weights": 1}}, "leave out image_framework= and image="),
            (
                WORDS | {"model": "large"},
                "model= goes with framework=; .* pass text=, image= or aud",
            ),
            (WORDS | {"dimensions": 3}, "dimensions= goes with framework="),
            (WORDS | {"weights": 3}, "weights= goes with framework="),
            (
                WORDS | {"image": {"weights": 1}},
                "image= goes with image_framework=, which was not named",
            ),
            (WORDS | {"joint_model": "large"}, "joint_model= goes with joint_framework="),
            ({"joint_framework": "auto", "joint_model": "large"}, "not with joint_framework='auto'"),
            (
                WORDS | {"joint_framework": "pictures"},
                "embeds no two modalities into one space: image",
            ),
            (
                {"image_framework": "pictures", "bridge": {"image": "caption"}},
                "need a framework for text: text_framework=",
            ),
            (WORDS | {"bridge": "caption"}, "bridge= takes a dict by modality"),
            (WORDS | {"bridge": {"text": "caption"}}, "bridge= has 'image' and 'audio', not 'text'"),
            (
                WORDS | {"bridge": {"image": 3}},
                "takes a framework's name, its settings, a Bridge or a",
            ),
            (
                WORDS | {"bridge": {"image": {"model": "a"}}},
                "names no framework for image: {'framework': 'caption'",
            ),
            (WORDS | {"bridge": {"image": "pictures"}}, "does not turn image into text for others"),
            (WORDS | {"bridge": {"image": {"framework": "caption", "tune": "a"}}}, "mean 'tone'"),
            (WORDS | {"alignment": "map.safetensors"}, "takes an Alignment or several, not str"),
            (WORDS | {"alignment": [3]}, "takes an Alignment or several, not int"),
            (WORDS | {"text": {"wieghts": 3}}, "did you mean 'weights'"),
            ({"framework": "trio", "wieghts": 3}, "did you mean 'weights'"),
            ({"framework": "caption"}, "turns image into text and embeds nothing by itself: pass bridge="),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, dict) else None,
    )
    def test_is_refused(self, settings, message):
        with pytest.raises(InvalidOptionError, match=message):
            create_multimodal_embedder(**settings)

    def test_a_bridge_of_another_modality(self):
        bridge = Bridge.of_function(list, Modality.AUDIO)
        with pytest.raises(InvalidOptionError, match="takes audio, not image"):
            create_multimodal_embedder("words", bridge={"image": bridge})

    def test_no_embedder_at_all(self):
        with pytest.raises(InvalidOptionError, match="needs at least one framework"):
            MultiModalEmbedder({})

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            ({"framework": "tiro"}, UnknownFrameworkError, "did you mean 'trio'"),
            ({"text_framework": "picturs"}, UnknownFrameworkError, "no framework 'picturs' for text"),
            ({"text_framework": "pictures"}, UnknownFrameworkError, "'pictures' embeds image, not text"),
            ({"joint_framework": "nothing"}, UnknownFrameworkError, "no framework 'nothing'"),
            ({"framework": "timm"}, FrameworkUnavailableError, r"install with: pip install .*\[timm\]|disabled"),
            ({"text_framework": "words", "bridge": {"image": "captoin"}}, UnknownFrameworkError, "mean 'caption'"),
            ({"framework": "pair", "model": "missing"}, ModelLoadError, "there is no model 'missing'"),
            ({"framework": "red"}, MissingCredentialsError, "RED_KEY"),
        ],
        ids=str,
    )
    def test_is_not_there(self, settings, error, message):
        with pytest.raises(error, match=message):
            create_multimodal_embedder(**settings)

    def test_two_distributions_offer_it(self, install_plugin, monkeypatch):
        monkeypatch.delenv("LLM_MULTI_CORE_PLUGINS")
        install_plugin("rival", entry_points={"rival": "digests_plugin"})
        with pytest.raises(AmbiguousFrameworkError, match="'digests/trio' or 'rival/trio'"):
            create_multimodal_embedder(framework="trio")
        embedder = create_multimodal_embedder(framework="rival/trio")
        assert embedder.embedders[TEXT]._settings.offer.distribution == "rival"

    def test_a_describer_that_is_broken(self, install_plugin, monkeypatch, picture):
        monkeypatch.delenv("LLM_MULTI_CORE_PLUGINS")
        source = """
        from llm_multi_core.embedder import FrameworkSpec, hookimpl

        @hookimpl
        def llm_multi_core_frameworks():
            for name, target in (("gone", "no_such_module:Teller"), ("odd", "digests:DigestEncoder")):
                named = {"bridge": {"image": name}, "default_model": {"image": "small"}}
                yield FrameworkSpec(name, ("image",), describer=target, **named)
        """
        install_plugin("broken", entry_points={"broken": "broken_plugin"}, modules={"broken_plugin": source})
        for name, message in (
            ("gone", "failed to give no_such_module:Teller"),
            ("odd", "of broken is not a Describer"),
        ):
            embedder = create_multimodal_embedder("words", bridge={"image": name})
            with pytest.raises(PluginError, match=message):
                embedder.embed(picture())


class TestKeys:
    """Which key goes to which provider. The double notes what it was given."""

    def keys(self, frameworks, embedder, *inputs):
        embedder.embed_batch(inputs)
        return dict(frameworks.KEYS)

    def test_one_key_for_the_only_provider(self, make, frameworks, sound):
        embedder = make("words", None, "blue", api_key="blue key")
        assert self.keys(frameworks, embedder, "a", sound()) == {"blue": "blue key"}

    def test_keys_by_name(self, make, frameworks, sound):
        embedder = make("red", None, "blue", api_key={"red": "red key", "digests/blue": "blue key"})
        assert self.keys(frameworks, embedder, "a", sound()) == {"red": "red key", "blue": "blue key"}

    def test_keys_from_the_environment(self, make, frameworks, sound, monkeypatch):
        monkeypatch.setenv("BLUE_KEY", "blue from the environment")
        embedder = make("red", None, "blue", api_key={"red": "red key"})
        assert self.keys(frameworks, embedder, "a", sound()) == {"red": "red key", "blue": "blue from the environment"}

    def test_a_key_of_one_modality(self, make, frameworks, sound):
        embedder = make("red", None, "blue", api_key="blue key", text={"api_key": "red key"})
        assert self.keys(frameworks, embedder, "a", sound()) == {"red": "red key", "blue": "blue key"}

    @pytest.mark.parametrize(
        ("named", "api_key", "message"),
        [
            (("red", None, "blue"), "secret-1234", r"one key, and 'red', 'blue' of these frameworks take one"),
            (("words",), "secret-1234", "one key, and none of them of these frameworks take one"),
            (
                ("red",),
                {"red": "secret-1234", "reed": "secret-5678"},
                "has a key for 'reed'; frameworks that take one: 'red'",
            ),
            (("words",), {"openai": "secret-1234"}, "has a key for 'openai'; frameworks that take one: none of them"),
        ],
        ids=str,
    )
    def test_a_key_never_goes_where_it_is_not_meant_to(self, named, api_key, message, monkeypatch):
        monkeypatch.setenv("RED_KEY", "r")
        monkeypatch.setenv("BLUE_KEY", "b")
        with pytest.raises(InvalidOptionError, match=message) as caught:
            create_multimodal_embedder(*named, api_key=api_key)
        assert "secret" not in str(caught.value)


class TestAutomatic:
    @pytest.fixture(autouse=True)
    def no_network(self, monkeypatch):
        def refuse(*arguments):
            raise AssertionError("a socket was opened")

        monkeypatch.setattr(socket, "socket", refuse)

    def test_the_one_that_serves_most(self, make):
        embedder = make("words", "pictures", "sounds", joint_framework="auto")
        assert embedder.space.label == "trio small"
        assert embedder.joint_modalities == (TEXT, IMAGE, AUDIO)

    def test_of_those_whose_model_is_here(self, make, frameworks, monkeypatch):
        offers = default_host().offers()
        monkeypatch.setattr(frameworks, "ABSENT", {"small"})
        with pytest.raises(FrameworkUnavailableError) as caught:
            make("words", joint_framework="auto")
        message = str(caught.value)
        assert message.startswith(
            "joint_framework='auto' found no joint model on this machine: other-pair (model 'small' is"
        )
        assert message.endswith("Name one, such as joint_framework='clip', and it is downloaded at first use")
        assert all(offer.spec.name in message for offer in offers if offer.spec.joint)

    def test_what_nobody_needs_does_not_count(self, make):
        """Text and images are wanted: both `pair` and `trio` serve them, and the first by name is taken."""
        assert make("words", "pictures", joint_framework="auto").space.label == "pair small"
        assert make("words", None, "sounds", joint_framework="auto").space.label == "other-pair small"

    def test_it_stays_what_it_was_when_it_was_made(self, make, frameworks, monkeypatch):
        import pickle

        embedder = make("words", "pictures", joint_framework="auto")
        data = pickle.dumps(embedder)
        assert "pair model 'small'" in embedder.ways()["image"]
        embedder.close()
        monkeypatch.setattr(frameworks, "ABSENT", {"small"})
        with pickle.loads(data) as copy:
            assert set(frameworks_of(copy).values()) == {"words", "pictures"}
            with pytest.raises(ModelLoadError, match="is not on this machine"):
                copy.space  # noqa: B018 - no other one is taken in its place

    def test_hosted_ones_are_never_chosen(self, make, monkeypatch):
        monkeypatch.setenv("RED_KEY", "a key of a test")
        embedder = make(joint_framework="auto")
        assert not any(one._settings.offer.spec.hosted for one in embedder.embedders.values())
