"""The gate: OpenAI's API in front, any model behind, and one pipeline between them."""
