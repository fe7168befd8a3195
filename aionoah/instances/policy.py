"""Whether a program that has ended is started again, and when (docker-run(1), --restart)."""

import re
from typing import Final, NamedTuple

from aionoah.instances import InstanceError

KINDS: Final = ("no", "on-failure", "always", "unless-stopped")
_TIMES: Final = re.compile(r"[0-9]{1,9}")
_FIRST_DELAY: Final = 0.1  # seconds
_LONGEST_DELAY: Final = 60.0
_STABLE: Final = 10.0  # seconds that it has run for its start to count as a success


class Policy(NamedTuple):
    kind: str = "no"
    most: int | None = None  # restarts after failures

    @classmethod
    def parse(cls, text: str) -> "Policy":
        """InstanceError."""
        kind, colon, most = text.partition(":")
        if kind not in KINDS or (colon and (kind != "on-failure" or not _TIMES.fullmatch(most))):
            raise InstanceError(f"{text!r} is no restart policy: {', '.join(KINDS)}, or on-failure:TIMES")
        return cls(kind, int(most) if colon else None)

    def __str__(self) -> str:
        return self.kind if self.most is None else f"{self.kind}:{self.most}"


class Restarts:
    """The restarts of one instance. The waits double, from a tenth of a second to a minute, until one succeeds."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.count = 0
        self._delay = 0.0

    def delay_after(self, status: int, ran_for: float) -> float | None:
        """Seconds until the next start of a program that ended so; None if that was all."""
        if not self._is_wanted(status):
            return None
        self._delay = _FIRST_DELAY if ran_for >= _STABLE or not self._delay else self._delay * 2
        self._delay = min(self._delay, _LONGEST_DELAY)
        self.count += 1
        return self._delay

    def _is_wanted(self, status: int) -> bool:
        if self._policy.kind == "on-failure":
            return status != 0 and (self._policy.most is None or self.count < self._policy.most)
        return self._policy.kind != "no"
