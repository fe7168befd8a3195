"""Roots made of a distribution's packages, from one of its mirrors: `aionoah bootstrap`.

What the mirror says counts once its signature has been found good. The first stage unpacks packages as any user; the
second one, in which they configure themselves, runs in the tree as a guest.
"""


class BootstrapError(Exception):
    """A sentence for the user."""
