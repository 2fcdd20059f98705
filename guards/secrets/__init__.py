"""Secrets: keys and tokens of known services, private keys, signed tokens, passwords.

Found by structure (prefix, length, check digits, what decodes), and where there is none by the name beside the value
and the value's own disorder. Nothing is asked of a network: whether a key still works is not known here.
"""
