"""OpenAI, Azure OpenAI and servers that speak OpenAI's API, as a plugin of llm-multi-core."""
