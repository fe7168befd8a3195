"""What a backend raises when the host does not let it work."""


class HypervisorError(Exception):
    """A sentence for the user: what does not work, and what to do about it."""
