"""The one exception that means "the user can mend this"."""


class InputError(ValueError):
  """Wrong input: the message is one line that names the file or key and the mend.

  `jnerf.main` prints the message without a traceback and exits with code 2;
  library callers can catch it like any `ValueError`.
  """
