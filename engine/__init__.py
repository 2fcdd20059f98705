"""A local inference engine: GGUF models, paged KV cache, continuous batching.

Usable on its own; it knows nothing of HTTP, of the gateway, of guards or of money.
`engine.chat.LocalModel` is the way in: text goes in, text comes out.
"""
