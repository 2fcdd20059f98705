"""What operators see of the gate: metrics, traces and logs, all made from one `Record` at a request's end.

None of them ever holds a text, a personal value or a secret.
"""
