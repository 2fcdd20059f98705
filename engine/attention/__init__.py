"""Attention over a paged cache: `cache` stores keys and values, `paged` computes."""
