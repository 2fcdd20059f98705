"""Billing: usage, prices, exact cost, the ledger and what is read from it.

Usable on its own; it knows nothing of HTTP, of the gateway, of guards or of engines.
"""
