"""Personal data: e-mail addresses, telephone and card numbers, bank accounts, national ids and much else.

Found by pattern and check digits alone (no model, no network), hidden behind placeholders on the way in and
put back on the way out. Names, places and organizations need a language model to be found: see `guards.ner`;
they are looked for where the configuration asks for it.
"""
