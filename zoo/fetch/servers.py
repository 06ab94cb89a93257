"""Which servers have answered, and which have not: so that a dead server is waited for only once."""

import time
from dataclasses import dataclass, field

ASK_AGAIN = 300.0
"""Seconds after which a server that did not answer is asked again."""


@dataclass(kw_only=True)
class Servers:
    """The servers that the requests of a session were sent to, by address."""

    answered: set[str] = field(default_factory=set)
    """Those that have answered, so that later a missing connection is not taken for a missing network."""
    given_up: dict[str, tuple[float, str]] = field(default_factory=dict)
    """Those that did not answer at all: when they were given up, by `time.monotonic`, and why."""

    def problem(self, address: str) -> str | None:
        """Return why no request is sent to a server now; None if it can be asked."""
        since, why = self.given_up.get(address, (0.0, ""))
        return why if why and time.monotonic() - since < ASK_AGAIN else None

    def give_up(self, address: str, why: str) -> str:
        """Send no more requests to a server for some minutes, and return why; an earlier reason stays."""
        if known := self.problem(address):
            return known
        self.given_up[address] = time.monotonic(), why
        return why
