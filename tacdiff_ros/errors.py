"""The exception class for input that a person has to correct."""


class InputError(ValueError):
    """Error raised when input from outside cannot be used.

    The message is one line: what came, what was expected, what to do. The command line prints it
    and exits with code 2; a ROS service returns it in its response.
    """
