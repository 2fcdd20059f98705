"""An operator's folder of NeMo Guardrails rails, run as a guard. Needs the extra `nemo`.

Only its input and output rails are run, each on one text at a time. `folder` reads it and refuses what cannot be given
here, `rails` runs it, `model` is how its questions reach the gate's models, `selftest` tries it. All of that is in a
process of the guard's own (`child`), to which the gate speaks through `process`.
"""
