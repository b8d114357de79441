"""No plugin of this workspace trusts anything unless it is told to."""

import pytest

from llm_multi_core.embedder import Host

OFFERS = [offer for offer in Host().offers() if offer.distribution.startswith("llm-multi-core-")]
TRUSTS = {"trust_remote_code", "allow_pickle", "allow_urls"}
RUN_PRETRAINED_MODELS = {
    "llm-multi-core-sentence-transformers",
    "llm-multi-core-transformers",
    "llm-multi-core-open-clip",
    "llm-multi-core-timm",
}


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.qualified_name)
def test_trust_is_an_option_that_is_off(offer):
    trusts = {option.name: option.default for option in offer.spec.options if option.name in TRUSTS}
    assert not any(trusts.values())
    if offer.distribution in RUN_PRETRAINED_MODELS:
        assert "allow_pickle" in trusts
