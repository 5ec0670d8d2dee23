"""Errors meant for the person who must act."""


class InputError(ValueError):
    """Input from outside cannot be used.

    The message is one line: what came, what was expected, what to do. Command lines print it and
    exit with 2; services answer with it.
    """
