"""A language model judges texts by a policy in plain words.

It costs a model's answer for each text that is new, and finds what a model finds: what can be told by a pattern or a
list is told cheaper and better by one. Anything but an exact verdict is a failure of the guard.
"""
