"""Personal data: e-mail, phone, card, IBAN, US social security number, internet address.

Found by pattern and check digits alone (no model, no network), hidden behind placeholders on the way in and
put back on the way out. Names, places and other things that need a language model to find are not looked
for here.
"""
