"""What the filter says, read the way the kernel reads it."""

import errno
import fcntl
import struct

import pytest

from sandbox import seccomp

ALLOW = seccomp.ALLOW
X86, ARM = seccomp.MACHINES["x86_64"], seccomp.MACHINES["aarch64"]


def refused(number: int) -> int:
    return seccomp.ERRNO | number


def judge(program: bytes, arch: int, number: int, first: int = 0, second: int = 0) -> int:
    """Run a classic BPF program over one system call; what it returns."""
    data = struct.pack("=iIQ6Q", number, arch, 0, first, second, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, yes, no, value = steps[at]
        at += 1
        if code == seccomp.LOAD:
            (accumulator,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.RETURN:
            return int(value)
        elif code == seccomp.JUMP_EQUAL:
            at += yes if accumulator == value else no
        else:
            assert code == seccomp.JUMP_GREATER_EQUAL
            at += yes if accumulator >= value else no


@pytest.mark.parametrize("name", sorted(seccomp.REFUSED))
def test_a_refused_call_is_refused_on_both_machines(name: str) -> None:
    x86, arm = seccomp.REFUSED[name]
    assert judge(seccomp.program("x86_64"), X86.audit_arch, x86) == refused(errno.EPERM)
    assert judge(seccomp.program("aarch64"), ARM.audit_arch, arm) == refused(errno.EPERM)


@pytest.mark.parametrize("machine", sorted(seccomp.MACHINES))
def test_nobody_has_himself_sent_another_signal_when_a_file_is_touched(machine: str) -> None:
    program, known = seccomp.program(machine), seccomp.MACHINES[machine]
    assert judge(program, known.audit_arch, known.fcntl, 3, fcntl.F_SETSIG) == refused(errno.EPERM)
    assert judge(program, known.audit_arch, known.fcntl, 3, fcntl.F_SETFL) == ALLOW


@pytest.mark.parametrize(
    ("machine", "ordinary"), [("x86_64", (0, 1, 56, 57, 59, 101)), ("aarch64", (63, 64, 220, 221))]
)
def test_reading_writing_forking_and_tracing_go_through(machine: str, ordinary: tuple[int, ...]) -> None:
    program, arch = seccomp.program(machine), seccomp.MACHINES[machine].audit_arch
    assert {judge(program, arch, number) for number in ordinary} == {ALLOW}


@pytest.mark.parametrize("machine", sorted(seccomp.MACHINES))
@pytest.mark.parametrize(("family", "allowed"), [(1, 1), (2, 1), (10, 1), (16, 1), (17, 0), (40, 0), (38, 0), (0, 0)])
def test_only_four_families_of_sockets_are_there(machine: str, family: int, allowed: int) -> None:
    known = seccomp.MACHINES[machine]
    said = judge(seccomp.program(machine), known.audit_arch, known.socket, family)
    assert said == (ALLOW if allowed else refused(errno.EAFNOSUPPORT))


@pytest.mark.parametrize(
    ("arch", "number"), [(0x40000003, 3), (ARM.audit_arch, 63), (X86.audit_arch, 0x40000000 | 425)]
)
def test_calls_under_other_numbers_do_not_exist(arch: int, number: int) -> None:
    assert judge(seccomp.program("x86_64"), arch, number) == refused(errno.ENOSYS)


def test_both_names_of_a_machine_mean_the_same() -> None:
    assert seccomp.program("arm64") == seccomp.program("aarch64") != seccomp.program("AMD64")


def test_a_machine_without_a_table_is_refused() -> None:
    with pytest.raises(seccomp.UnknownMachine, match="riscv64"):
        seccomp.program("riscv64")
