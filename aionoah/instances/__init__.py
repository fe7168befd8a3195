"""Named instances that live longer than the command that starts them: one process of the host for each.

A directory says what an instance is (`spec.py`), how it is (`state.py`), what it has said (`logs.py`), and holds its
changes to the root. Whoever runs it holds the directory's lock (`place.py`), so that one name is one process, and
answers on a UNIX socket (`protocol.py`).
"""


class InstanceError(Exception):
    """What is wrong with an instance, as a sentence for the user."""
