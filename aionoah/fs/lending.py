"""Open files that guests read and write while nobody of us looks on.

Where calls are answered without exits, a file of the host is lent, with its position, to whoever answers them in C
(hypervisor/native/kvm_loans.c). It gets a call that it cannot make, or that is about something else, to Python as ever.
So a file is lent only as long as nobody has to be told of what is done to it, and whoever wants its position, closes a
descriptor of it, or changes what a write means, takes it back first. All under the kernel lock.
"""

from typing import Final

from aionoah.hypervisor.protocols import Lender

LENDERS: Final[list[Lender]] = []
"""The one that there is, if calls are answered without exits anywhere in this process."""


def forget() -> None:
    """Something has begun that somebody is to be told of: each read and write comes to us, until a file is lent again."""
    for lender in LENDERS:
        lender.forget()
