"""The filter of system calls, run as the kernel runs it: what is not listed is refused, on every machine."""

import struct

import pytest

from isoflop.grading.system_calls import numbers, seccomp_filter

ALLOW, KILL, NOT_PERMITTED, NOT_THERE = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7, "i386": 0x40000003, "arm": 0x40000028}
# What must not be there, by its number on x86_64 and aarch64.
REFUSED = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281),
    "clone3": (435, 435), "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "kcmp": (312, 272), "socket": (41, 198), "connect": (42, 203),
    "bind": (49, 200), "listen": (50, 201), "accept": (43, 202), "sendmsg": (46, 211),
    "sendmmsg": (307, 269), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "unshare": (272, 97), "setns": (308, 268), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "mount_setattr": (442, 442), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "reboot": (169, 142), "swapon": (167, 224), "swapoff": (168, 225), "bpf": (321, 280),
    "perf_event_open": (298, 241), "io_uring_setup": (425, 425), "userfaultfd": (323, 282),
    "memfd_create": (319, 279), "shmget": (29, 194), "msgget": (68, 186), "mq_open": (240, 180),
    "keyctl": (250, 219), "add_key": (248, 217), "open_by_handle_at": (304, 265), "setuid": (105, 146),
    "setgid": (106, 144), "setgroups": (116, 159), "capset": (126, 91), "prctl": (157, 167),
    "seccomp": (317, 277), "setrlimit": (160, 164), "setpriority": (141, 140), "chmod": (90, None),
    "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchownat": (260, 54),
    "utimensat": (280, 88), "truncate": (76, 45), "link": (86, None), "linkat": (265, 37),
    "mknod": (133, None), "mknodat": (259, 33), "setxattr": (188, 5), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "sethostname": (170, 161),
    "quotactl": (179, 60), "acct": (163, 89), "personality": (135, 92), "vhangup": (153, 58),
    "iopl": (172, None), "ioperm": (173, None), "modify_ldt": (154, None), "openat2": (437, 437),
}  # fmt: skip


def verdict(machine: str, number: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter of a machine says of a call."""
    found = ARCHITECTURE[machine] if architecture is None else architecture
    data = struct.pack("=IIQ6Q", number, found, 0, *(arguments + (0,) * 6)[:6])
    code = seccomp_filter(machine)
    assert code is not None
    instructions = list(struct.iter_unpack("=HBBI", code))
    at, held = 0, 0
    while True:
        operation, true, false, value = instructions[at]
        at += 1
        if operation == 0x06:
            return value
        if operation == 0x20:
            held = struct.unpack_from("=I", data, value)[0]
            continue
        holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[operation]
        at += true if holds else false


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_only_what_is_listed_is_allowed(machine: str) -> None:
    checked = {"clone", "ioctl", "fcntl", "prlimit64", "sendto", "socketpair"}
    known = numbers(machine)
    plain = {number for name, number in known.items() if name not in checked}
    assert len(known) == len(set(known.values()))
    for number in [*range(1000), 0x3FFFFFFF]:
        if number not in known.values():
            assert verdict(machine, number, *[2**64 - 1] * 6) == NOT_THERE, number
        elif number in plain:
            assert verdict(machine, number, *[2**64 - 1] * 6) == ALLOW, number
    for name, both in REFUSED.items():
        number = both[machine == "aarch64"]
        assert number is None or verdict(machine, number) == NOT_THERE, name


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("other", ["x86_64", "aarch64", "i386", "arm"])
def test_other_architectures_end_the_process(machine: str, other: str) -> None:
    found = verdict(machine, numbers(machine)["read"], architecture=ARCHITECTURE[other])
    assert found == (ALLOW if other == machine else KILL)


@pytest.mark.parametrize("number", [0, 39, 57, 512, 520, 547])
def test_the_x32_abi_is_refused(number: int) -> None:
    assert verdict("x86_64", 0x40000000 | number) == NOT_PERMITTED


@pytest.mark.parametrize(
    ("name", "arguments", "allowed"),
    [
        ("clone", (0x3D0F00,), True),  # glibc's threads
        ("clone", (0x7D0F00,), True),  # musl's
        ("clone", (17,), False),  # a fork
        ("clone", (0x3C0F00,), False),  # all but the flag of threads
        ("clone", (0x3D0F00 | 0x10000000,), False),  # and a user namespace
        ("clone", (0x3D0F00 | 0x20000,), False),  # and a mount namespace
        ("ioctl", (0, 0x5401), True),
        ("ioctl", (0, 0x5412), False),  # TIOCSTI
        ("ioctl", (0, 0x541C), False),  # TIOCLINUX
        ("fcntl", (0, 1030), True),
        ("fcntl", (0, 8, 1), False),  # F_SETOWN
        ("fcntl", (0, 10, 9), False),  # F_SETSIG
        ("fcntl", (0, 15), False),  # F_SETOWN_EX
        ("prlimit64", (0, 3, 0, 5), True),
        ("prlimit64", (0, 3, 5, 0), False),
        ("prlimit64", (0, 3, 2**32, 0), False),
        ("sendto", (3, 1, 1, 0, 0, 0), True),
        ("sendto", (3, 1, 1, 0, 2**40, 16), False),
        ("socketpair", (1,), True),
        ("socketpair", (2,), False),
    ],
)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_arguments_decide(machine: str, name: str, arguments: tuple[int, ...], allowed: bool) -> None:
    assert verdict(machine, numbers(machine)[name], *arguments) == (ALLOW if allowed else NOT_PERMITTED)


def test_other_machines_have_no_filter() -> None:
    assert seccomp_filter("riscv64") is None
