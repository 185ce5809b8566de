"""Errors a user can mend, told in one message: the rule, the value, the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# What a command ends with when its user can mend what went wrong.
EXIT_USER_ERROR = 2


class UserError(Exception):
    """Something the user asked for cannot be done as asked.

    The message names the rule that was broken, the value that broke it and what to do
    about it. The command line prints it without a traceback and exits with status 2.
    """


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UserError:
    """Returns the error for a name that is not registered, with the near matches.

    Args:
      kind: What the name should have named, for example 'policy'.
      name: The name that was asked for.
      known: Every name that would have worked.
    """
    choices = sorted(known)
    near = difflib.get_close_matches(name, choices, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return UserError(f"unknown {kind} {name!r}: {hint}known: {', '.join(choices)}")
