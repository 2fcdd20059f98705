"""How a start fails."""


class StartupError(Exception):
    """The gate cannot start; the message is one line for the operator."""
