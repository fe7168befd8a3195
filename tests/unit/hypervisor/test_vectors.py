"""Exception numbers, checked against the manuals' names for them."""

import pytest

from aionoah.hypervisor.protocols import ExceptionKind
from aionoah.hypervisor.vectors import ARM_CLASSES, X86_VECTORS


@pytest.mark.parametrize(
    ("vector", "kind"),
    [
        (0, ExceptionKind.DIVIDE),  # #DE
        (1, ExceptionKind.SINGLE_STEP),  # #DB
        (3, ExceptionKind.BREAKPOINT),  # #BP
        (4, ExceptionKind.OVERFLOW),  # #OF
        (6, ExceptionKind.ILLEGAL_INSTRUCTION),  # #UD
        (11, ExceptionKind.STACK),  # #NP
        (12, ExceptionKind.STACK),  # #SS
        (13, ExceptionKind.PROTECTION),  # #GP
        (16, ExceptionKind.FLOATING_POINT),  # #MF
        (17, ExceptionKind.ALIGNMENT),  # #AC
        (19, ExceptionKind.FLOATING_POINT),  # #XM
    ],
)
def test_x86_vectors(vector: int, kind: ExceptionKind) -> None:
    assert X86_VECTORS[vector] is kind


def test_page_faults_are_no_exceptions_here() -> None:
    assert 14 not in X86_VECTORS
    assert not {0x20, 0x21, 0x25} & set(ARM_CLASSES)  # instruction aborts, data aborts of the kernel


def test_arm_classes() -> None:
    assert ARM_CLASSES[0] is ExceptionKind.ILLEGAL_INSTRUCTION
    assert ARM_CLASSES[0x3C] is ExceptionKind.BREAKPOINT
    assert ARM_CLASSES[0x15 + 0x0F] is ExceptionKind.ALIGNMENT
    assert 0x15 not in ARM_CLASSES  # SVC is a system call
