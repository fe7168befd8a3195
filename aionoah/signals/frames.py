"""The signal frames of each architecture."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from aionoah.signals.delivery import Delivery
from aionoah.signals.frame import BadFrame, FaultDetails, Interrupted, Returning, SignalEntry, SignalReturn

if TYPE_CHECKING:
    from aionoah.abi.architecture import Architecture

__all__ = (
    "BadFrame",
    "FaultDetails",
    "Interrupted",
    "Returning",
    "SignalEntry",
    "SignalFrames",
    "SignalReturn",
    "frames_for",
)


class SignalFrames(NamedTuple):
    """How an architecture enters and leaves handlers; both raise BadFrame."""

    enter_handler: Callable[[Interrupted, Delivery], SignalEntry]
    leave_handler: Callable[[Returning, Callable[[int, int], bytes]], SignalReturn]
    resets_fpu: bool  # a handler starts with a fresh FPU


def frames_for(architecture: "Architecture") -> SignalFrames:
    """The builders of an architecture; those of the other are not loaded."""
    if architecture.name == "x86_64":
        from aionoah.signals import frame_x86_64  # noqa: PLC0415

        return SignalFrames(frame_x86_64.enter_handler, frame_x86_64.leave_handler, resets_fpu=True)
    from aionoah.signals import frame_aarch64  # noqa: PLC0415

    return SignalFrames(frame_aarch64.enter_handler, frame_aarch64.leave_handler, resets_fpu=False)
