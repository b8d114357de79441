"""`CaptionEncoder`: images by the words of a chat model that sees, in the space of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from llm_multi_core.embedder import Description, Intake, Item, Limits, Measure, Modality, Task
from llm_multi_core_openai.bridge import BridgeEncoder, Words
from llm_multi_core_openai.catalogue import (
    CAPTION_MODELS,
    IMAGE_FORMATS,
    IMAGE_LIMITS,
    MAX_IMAGE_BYTES,
    TOKENS_PER_IMAGE,
    price_of,
)
from llm_multi_core_openai.encoder import Embedded

CAPTION_PROMPT = (
    "Describe this image for a search index, in one paragraph of at most 100 words: what it shows, how many of each "
    "thing, what they do, the setting, colours and style, and word for word any text that can be read in it. "
    "Write the description only."
)


class CaptionEncoder(BridgeEncoder):
    """Images that are described by a chat model; the description is embedded."""

    modality: ClassVar[Modality] = Modality.IMAGE
    concurrency_option: ClassVar[str] = "caption_concurrency"
    identifying_options: ClassVar[tuple[str, ...]] = (
        "caption_model",
        "caption_prompt",
        "caption_detail",
        "caption_options",
    )

    def describe(self) -> Description:
        """The space of text, and the form in which images are sent."""
        return replace(super().describe(), intake=Intake(formats=IMAGE_FORMATS, max_bytes=MAX_IMAGE_BYTES))

    def limits(self) -> Limits:
        """How many images are embedded together, once they are described."""
        return IMAGE_LIMITS

    def measure(self, items: Sequence[Item], task: Task) -> Measure:
        """About how many tokens each image takes, with its description."""
        return Measure([TOKENS_PER_IMAGE[self.options["caption_detail"]]] * len(items), exact=False)

    def split(self, item: Item, max_units: int, task: Task) -> list[Item]:
        """The image itself: none is too long."""
        return [item]

    async def put_into_words(self, media: Any) -> Words:
        """The description of an image."""
        model = self.options["caption_model"]
        picture = {"url": media.data_url, "detail": self.options["caption_detail"]}
        known = CAPTION_MODELS.get(model)
        messages: list[Any] = [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": self.options["caption_prompt"] or CAPTION_PROMPT},
                    {"type": "image_url", "image_url": picture},
                ],
            }
        ]
        reply = await self.client().chat.completions.create(
            model=model,
            messages=messages,
            extra_body={**(known.body if known else {}), **(self.options["caption_options"] or {})},
        )
        choice = reply.choices[0] if reply.choices else None
        text = (choice.message.content if choice else None) or ""
        ended = (choice.message.refusal or choice.finish_reason) if choice else "no answer"
        usage, price = reply.usage, price_of(model, self.options["prices"])
        cost = None
        if usage is not None and price.input is not None and price.output is not None:
            cost = (usage.prompt_tokens * price.input + usage.completion_tokens * price.output) / 1e6
        reason = f"the image has no caption: {model} wrote nothing ({ended})"
        return Words(text, usage.total_tokens if usage else 0, cost, reason)

    def usage_units(self, embedded: Embedded, words: Sequence[Words]) -> int:
        """Tokens of both steps."""
        return embedded.vectors.tokens + sum(said.units for said in words)
