"""Whether a server is well: a command in its instance is asked, over and over (docker-run(1), --health-cmd)."""

from aionoah.instances.spec import HealthCheck


class Health:
    """What the answers mean. Times are seconds since the program's start."""

    def __init__(self, check: HealthCheck) -> None:
        self._check = check
        self._failures = 0
        self.status = "starting"

    def answered(self, at: float, *, is_well: bool) -> bool:
        """Whether the status is another one now."""
        before = self.status
        if is_well:
            self._failures = 0
            self.status = "healthy"
        elif self.status != "starting" or at >= self._check.start_period:
            self._failures += 1
            if self._failures >= self._check.retries:
                self.status = "unhealthy"
        return self.status != before
