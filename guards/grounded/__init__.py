"""Groundedness: whether a reply says what stands in the texts it was given, sentence by sentence.

A sentence is supported if most of its words, and all of its numbers and names, stand close together in the context.
That is a measure of wording and not of truth. It does not see that "not" is missing or that two names have changed
places; it does not know that a sum, a synonym or a translation says the same. A model as a judge sees more of that, at
the price of a question for each reply, and is sometimes wrong as well.
"""
