"""Guards: what reads and rewrites texts on their way in and out.

Usable on its own; it knows nothing of HTTP, of dialects, of the gateway, of engines or of money.
"""
