"""The kit passes on encoders that use the rest of the contract: state, slicing, instructions, keys, media."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

import numpy as np
import pytest

from llm_multi_core.embedder import (
    BaseEmbedder,
    Credentials,
    Description,
    FrameworkSpec,
    HostedEncoder,
    InvalidInputError,
    Item,
    Limits,
    LocalEncoder,
    Measure,
    Modality,
    Part,
    Reply,
    Role,
    Space,
    Verdict,
)
from llm_multi_core.embedder.inputs.text import estimate_tokens, split_text, text_item
from llm_multi_core.embedder.testing.conformance import EncoderCase, EncoderConformance, Tolerance
from llm_multi_core.embedder.testing.fakes import FakeTextEncoder, fake_offer, fake_vector


class TokenEncoder(LocalEncoder):
    """Pads token ids to a rectangle and averages; follows prompts, can be cut, cuts long texts itself."""

    def describe(self):
        return Description(
            Space("test/tokens", 16, options=self.config.space_options),
            Limits(units_per_item=24, items_per_batch=4, units_per_batch=80, truncates=True, accepts_empty=False),
            native_dimension=16,
            sliceable=True,
            roles=frozenset({Role.QUERY}),
            instructions=True,
        )

    def load(self):
        self.special = ["<s>", "</s>"]

    def tokens(self, item, task):
        prompt = task.instruction or ("search :" if task.role is Role.QUERY else "")
        return [self.special[0], *prompt.split(), *item.text.split(), self.special[1]]

    def measure(self, items, task):
        state = [self.tokens(item, task) for item in items]
        return Measure([len(tokens) for tokens in state], state=state)

    def split(self, item, max_units, task):
        words, room = item.text.split(), max_units - len(self.tokens(text_item(""), task))
        return [text_item(" ".join(words[i : i + room])) for i in range(0, len(words), room)]

    def prepare(self, items, task, state=None):
        rows = [tokens[:24] for tokens in state or [self.tokens(item, task) for item in items]]
        longest = max(map(len, rows))
        padded = [row + [""] * (longest - len(row)) for row in rows]
        places = np.arange(1, longest + 1)[:, None]
        return [np.stack([fake_vector(token, 16) for token in row]) * np.sqrt(places) for row in padded], [
            len(row) for row in rows
        ]

    def forward(self, batch):
        return np.stack([vectors[:length].mean(axis=0) for vectors, length in zip(*batch, strict=True)])


class KeyedEncoder(HostedEncoder):
    """Needs a key for every request, takes few bytes and two items at a time, and counts by estimate."""

    def describe(self):
        limits = Limits(units_per_item=40, items_per_batch=2, bytes_per_batch=300, padded=False, concurrency=3)
        dimension = self.config.dimensions or 12
        return Description(Space("test/keyed", dimension), limits, 12)

    def measure(self, items, task):
        return Measure([estimate_tokens(item.text) for item in items], exact=False)

    def split(self, item, max_units, task):
        return [text_item(piece) for piece in split_text(item.text, 3 * max_units - 3)]

    async def request(self, items, task):
        KEYED.credentials.require(self.config.secret, "keyed")
        return Reply(np.stack([fake_vector(item.text, self.describe().space.dimension) for item in items]))

    def classify(self, error):
        return Verdict("fatal")


KEYED = FrameworkSpec(
    "keyed",
    (Modality.TEXT,),
    f"{__name__}:KeyedEncoder",
    default_model={Modality.TEXT: "keyed-1"},
    hosted=True,
    credentials=Credentials(("CONFORMANCE_KEYED_API_KEY",)),
)


def array_item(modality, array):
    digest = blake2b(array.tobytes() + repr((modality, array.shape)).encode(), digest_size=16).digest()
    return Item((Part(modality, array, digest),))


class ArrayEmbedder(BaseEmbedder[np.ndarray]):
    def _item(self, value):
        if not isinstance(value, np.ndarray):
            raise InvalidInputError(f"not an array but {type(value).__name__}")
        return array_item(self.modality, value)

    def _is_single(self, value):
        return isinstance(value, np.ndarray)


class PictureEmbedder(ArrayEmbedder):
    modality = Modality.IMAGE


class SoundEmbedder(ArrayEmbedder):
    modality = Modality.AUDIO


class PictureEncoder(FakeTextEncoder):
    """Takes pictures of one size a batch, and puts them into a space of text as well."""

    def describe(self):
        base = super().describe()
        return Description(
            replace(base.space, modalities=frozenset({Modality.TEXT, Modality.IMAGE})),
            Limits(unit="patch", items_per_batch=3, padded=False),
            base.native_dimension,
        )

    def batch_key(self, item):
        return item.parts[0].payload.shape

    def measure(self, items, task):
        return Measure([item.parts[0].payload.size for item in items])

    def forward(self, batch):
        pictures = np.stack([item.parts[0].payload for item in batch[0]])
        return np.stack([fake_vector(picture.tobytes().hex(), self.describe().space.dimension) for picture in pictures])


class SoundEncoder(PictureEncoder):
    """Takes sounds of up to 1,000 samples."""

    def describe(self):
        base = super().describe()
        space = replace(base.space, modalities=frozenset({Modality.AUDIO}))
        return replace(base, space=space, limits=Limits(unit="sample", units_per_item=1000))

    def batch_key(self, item):
        return len(item.parts[0].payload)

    def split(self, item, max_units, task):
        sound = item.parts[0].payload
        return [array_item(Modality.AUDIO, sound[i : i + max_units]) for i in range(0, len(sound), max_units)]


NOISE = np.random.default_rng(7)


class TestStatefulPaddedAndCutting(EncoderConformance):
    @pytest.fixture
    def case(self):
        offer = fake_offer(TokenEncoder)
        return EncoderCase(offer, variations=[{"dimension": 9}], tolerance=Tolerance(error=0.001), examples=50)


class TestHostedWithKey(EncoderConformance):
    @pytest.fixture
    def case(self):
        return EncoderCase(KEYED, dimensions=7)


class TestImages(EncoderConformance):
    @pytest.fixture
    def case(self):
        pictures = [NOISE.uniform(size=(2 + i % 3, 4)) for i in range(9)]
        return EncoderCase(
            fake_offer(PictureEncoder, modalities=(Modality.IMAGE,)), embedder=PictureEmbedder, samples=pictures
        )


class TestAudio(EncoderConformance):
    @pytest.fixture
    def case(self):
        sounds = [NOISE.normal(size=100 * i + 60) for i in range(8)]
        return EncoderCase(
            fake_offer(SoundEncoder, modalities=(Modality.AUDIO,)),
            embedder=SoundEmbedder,
            samples=sounds,
            long_sample=NOISE.normal(size=2700),
        )
