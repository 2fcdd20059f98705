"""The shape of replies: JSON that follows a schema, or nothing is passed on.

The schema is the operator's or the one that the caller asked for. A reply that breaks it can be given to a model once
more to be put right. `format` is read as a remark, as the standard has it, and not enforced.
"""
