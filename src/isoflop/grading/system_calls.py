"""The system calls that a program of a model may make, as a seccomp filter: all others are refused.

The list is what Python's standard library was seen to make (the MBPP solutions, and a program that uses
files, threads, timers, asyncio and sqlite), and the close kin of these. Not on it are new processes and
programs, signals to anybody, tracing, namespaces, mounts, kernel modules, sockets, other users, rights and
times of files, and new limits.
"""

import struct

# Name, number on x86_64, number on aarch64 ("-" where there is none).
_ALLOWED = """
read 0 63; write 1 64; readv 19 65; writev 20 66; pread64 17 67; pwrite64 18 68; open 2 -; openat 257 56
close 3 57; dup 32 23; dup2 33 -; dup3 292 24; lseek 8 62; stat 4 -; fstat 5 80; lstat 6 -; newfstatat 262 79
statx 332 291; access 21 -; faccessat 269 48; faccessat2 439 439; readlink 89 -; readlinkat 267 78
getdents64 217 61; getcwd 79 17; chdir 80 49; fchdir 81 50; mkdir 83 -; mkdirat 258 34; rmdir 84 -
unlink 87 -; unlinkat 263 35; rename 82 -; renameat 264 38; renameat2 316 276; symlink 88 -
symlinkat 266 36; ftruncate 77 46; fsync 74 82; fdatasync 75 83; statfs 137 43; fstatfs 138 44; umask 95 166
flock 73 32; sendfile 40 71; copy_file_range 326 285; fadvise64 221 223; pipe 22 -; pipe2 293 59
mmap 9 222; munmap 11 215; mprotect 10 226; mremap 25 216; madvise 28 233; brk 12 214
set_robust_list 273 99; rseq 334 293; set_tid_address 218 96; futex 202 98; exit 60 93; exit_group 231 94
gettid 186 178; getpid 39 172; getppid 110 173; sched_yield 24 124; sched_getaffinity 204 123
clock_gettime 228 113; clock_getres 229 114; gettimeofday 96 169; time 201 -; nanosleep 35 101
clock_nanosleep 230 115; times 100 153; getrusage 98 165; alarm 37 -; getitimer 36 102; setitimer 38 103
restart_syscall 219 128; rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139
rt_sigpending 127 136; rt_sigtimedwait 128 137; rt_sigsuspend 130 133; sigaltstack 131 132; pause 34 -
poll 7 -; ppoll 271 73; select 23 -; pselect6 270 72; epoll_create 213 -; epoll_create1 291 20
epoll_ctl 233 21; epoll_wait 232 -; epoll_pwait 281 22; eventfd2 290 19; recvfrom 45 207
getsockname 51 204; getsockopt 55 209; shutdown 48 210; getuid 102 174; geteuid 107 175; getgid 104 176
getegid 108 177; getresuid 118 148; getresgid 120 150; getgroups 115 158; getpgrp 111 -; getpgid 121 155
getsid 124 156; uname 63 160; sysinfo 99 179; getrlimit 97 163; getrandom 318 278
"""
# Allowed with some arguments only.
_CHECKED = "clone 56 220; ioctl 16 29; fcntl 72 25; prlimit64 302 261; sendto 44 206; socketpair 53 199"
_MACHINES = ("x86_64", "aarch64")
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*, of struct seccomp_data

_THREAD = 0x10000
_OF_THREADS = 0x7D0F00  # the flags of glibc's and musl's threads, and nothing that makes a namespace
# TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX: nothing that types into a terminal.
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# F_DUPFD to F_SETLKW, F_DUPFD_CLOEXEC: not F_SETOWN and F_SETSIG, by which the kernel sends signals.
_FCNTLS = (0, 1, 2, 3, 4, 5, 6, 7, 1030)
_AF_UNIX = 1
_X32_CALLS = 0x40000000  # another numbering of the same calls on x86_64

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
_NOT_PERMITTED, _NOT_THERE = 1, 38  # errno values
_ALLOW, _FAIL_WITH, _KILL = 0x7FFF0000, 0x00050000, 0x80000000

Instruction = tuple[int, int, int, int]


def numbers(machine: str) -> dict[str, int]:
    """The numbers of the allowed calls on a machine, by name; those that arguments decide on among them."""
    place = 1 + _MACHINES.index(machine)
    rows = [row.split() for row in f"{_ALLOWED.strip()};{_CHECKED}".replace("\n", ";").split(";")]
    return {row[0]: int(row[place]) for row in rows if row[place] != "-"}


def seccomp_filter(machine: str) -> bytes | None:
    """The filter (classic BPF, struct sock_filter after another) of a machine; None where it has none.

    What is not allowed fails with ENOSYS: a C library tries new calls, and takes "not there" as a reason to
    use old ones (instead of clone3, clone, whose flags can be read). Calls of another architecture end the
    process, and those of the x32 ABI are refused.
    """
    if machine not in _MACHINES:
        return None
    found = numbers(machine)
    instructions: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_GIVE, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32_CALLS),
        (_GIVE, 0, 0, _FAIL_WITH | _NOT_PERMITTED),
    ]
    for name, check in _checks().items():
        # An argument has been loaded when a check ends, so every check gives a verdict.
        instructions += [(_EQUAL, 0, len(check), found.pop(name)), *check]
    for number in found.values():
        instructions += [(_EQUAL, 0, 1, number), (_GIVE, 0, 0, _ALLOW)]
    instructions.append((_GIVE, 0, 0, _FAIL_WITH | _NOT_THERE))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _checks() -> dict[str, list[Instruction]]:
    """What decides on a call by its arguments, by name."""
    return {
        "clone": [
            *_low(0),
            (_ANY_BIT, 2, 0, ~_OF_THREADS & 0xFFFFFFFF),
            (_ANY_BIT, 0, 1, _THREAD),
            (_GIVE, 0, 0, _ALLOW),
            (_GIVE, 0, 0, _FAIL_WITH | _NOT_PERMITTED),
        ],
        "ioctl": _one_of(1, _IOCTLS),
        "fcntl": _one_of(1, _FCNTLS),
        "prlimit64": _nothing(2),  # no new limit
        "sendto": _nothing(4),  # no address
        "socketpair": _one_of(0, (_AF_UNIX,)),
    }


def _low(argument: int) -> list[Instruction]:
    """Loads the lower half of an argument (little-endian, as both machines are)."""
    return [(_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument)]


def _one_of(argument: int, values: tuple[int, ...]) -> list[Instruction]:
    """Allows a call whose argument, an unsigned int, is one of these."""
    allowed = [part for value in values for part in ((_EQUAL, 0, 1, value), (_GIVE, 0, 0, _ALLOW))]
    return [*_low(argument), *allowed, (_GIVE, 0, 0, _FAIL_WITH | _NOT_PERMITTED)]


def _nothing(argument: int) -> list[Instruction]:
    """Allows a call whose argument, a pointer, is null."""
    return [
        *_low(argument),
        (_EQUAL, 0, 3, 0),
        (_LOAD, 0, 0, _ARGUMENTS_AT + 8 * argument + 4),
        (_EQUAL, 0, 1, 0),
        (_GIVE, 0, 0, _ALLOW),
        (_GIVE, 0, 0, _FAIL_WITH | _NOT_PERMITTED),
    ]
