"""The one exception whose message is meant for the person at the terminal."""


class UserError(Exception):
    """Bad input: the message names the key, file or row at fault and says what to do about it."""
