"""Runs one program against its tests, inside a sandbox; `isoflop.grading.sandbox` sends this file's text
there.

It stands alone: the standard library only, in a bare Python. A request comes on standard input (JSON: nonce,
program, tests, cpu_seconds, memory_bytes), the reply goes to standard output: the nonce, then a JSON list of
[whether a test passed, what the program gave]. What the program itself prints goes nowhere, and a process
that ends before the reply has passed nothing.

The program shares this process, so it could forge the reply by searching the interpreter for the nonce: the
sandbox protects the machine from programs, not the verdict from one that is written to attack this file.
"""

import ast
import ctypes
import hashlib
import json
import os
import platform
import re
import resource
import struct
import sys
import types
from collections.abc import Callable, Iterator

BEYOND_LIMITS = "beyond the limits"
NO_LIMIT_ON_PROCESSES = "no limit on processes"
# The program's name for itself: one guarded by __name__ == "__main__" does not start its own main part.
_MODULE = "solution"
# What nested assertions call, and how many of them count.
_JUDGE = "__isoflop_judge__"
_MAX_RECORDED = 10_000
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

# Linux system calls by number, as audited (AUDIT_ARCH) and for clone, clone3 and those that are refused:
# new programs, signals to others, tracing, sockets, namespaces, and raising the limits again.
_SYSTEM_CALLS = {
    "x86_64": (
        0xC000003E, 56, 435,
        (41, 57, 58, 59, 62, 101, 129, 160, 200, 234, 272, 297, 302, 308, 310, 311, 322, 424, 425, 438),
    ),
    "aarch64": (
        0xC00000B7, 220, 435,
        (97, 117, 129, 130, 131, 138, 164, 198, 221, 240, 261, 268, 270, 271, 281, 424, 425, 438),
    ),
}  # fmt: skip
_CLONE_THREAD = 0x10000
_X32_CALLS = 0x40000000  # another numbering of the same calls on x86_64
_NOT_PERMITTED, _NOT_THERE = 1, 38  # errno values
_ALLOW, _FAIL_WITH, _KILL = 0x7FFF0000, 0x00050000, 0x80000000


def _filter() -> bytes:
    """A seccomp program (classic BPF): no processes but threads, and none of the refused calls."""
    architecture, clone, clone3, refused = _SYSTEM_CALLS[platform.machine()]
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    instructions = [
        (load, 0, 0, 4),
        (equal, 1, 0, architecture),
        (give, 0, 0, _KILL),
        (load, 0, 0, 0),
        (at_least, 0, 1, _X32_CALLS),
        (give, 0, 0, _FAIL_WITH | _NOT_PERMITTED),
        # glibc tries clone3 first and takes "not there" as a reason to use clone, whose flags can be read.
        (equal, 0, 1, clone3),
        (give, 0, 0, _FAIL_WITH | _NOT_THERE),
        (equal, 0, 3, clone),
        (load, 0, 0, 16),
        (any_bit, 1, 0, _CLONE_THREAD),
        (give, 0, 0, _FAIL_WITH | _NOT_PERMITTED),
        (load, 0, 0, 0),
    ]
    for number in refused:
        instructions += [(equal, 0, 1, number), (give, 0, 0, _FAIL_WITH | _NOT_PERMITTED)]
    instructions.append((give, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _forbid_processes() -> bool:
    """Whether from here on this process starts no other, by seccomp or by its user's limit."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if sys.platform == "linux" and platform.machine() in _SYSTEM_CALLS:
        code = _filter()
        buffer = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
        if prctl(no_new_privileges, 1, 0, 0, 0) == 0 and prctl(set_seccomp, mode_filter, program, 0, 0) == 0:
            return True
    return os.getuid() != 0  # the limit does not bind the superuser


def _limit(cpu_seconds: int, memory_bytes: int) -> bool:
    # Soft and hard limit alike: the end is a kill, which no handler holds up.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, 2**24))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    if sys.platform == "linux":  # elsewhere the limit cannot be set below what is mapped
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    return _forbid_processes()


def _described(value: object) -> str:
    """A digest of what a value looks like; places in memory are left out."""
    look = f"{type(value).__name__}:{_ADDRESS.sub('', repr(value))}"
    return hashlib.sha256(look.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _judged(test: ast.expr, space: dict[str, object]) -> tuple[bool, str]:
    """Whether an asserted expression holds; and what its sides gave, if it is a comparison with ==."""

    def value(node: ast.expr) -> object:
        return eval(compile(ast.Expression(node), "<test>", "eval"), space)

    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        left, right = value(test.left), value(test.comparators[0])
        looks = f"{_described(left)} {_described(right)}"
        return bool(left == right), looks
    holds = bool(value(test))
    return holds, str(holds)


class _Recorded(ast.NodeTransformer):
    """Nested assertions as calls that note what they gave."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """`assert a == b` as a call with both sides unevaluated; what awaits or names things stays."""
        kept = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
        if any(isinstance(part, kept) for part in ast.walk(node)):
            return node
        test, sides = node.test, [node.test]
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
            sides = [test.left, test.comparators[0]]
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        calls: list[ast.expr] = [ast.Lambda(args=nothing, body=side) for side in sides]
        return ast.Expr(ast.Call(func=ast.Name(_JUDGE, ast.Load()), args=calls, keywords=[]))


def _record(recorded: list[tuple[bool, str]], *sides: Callable[[], object]) -> None:
    if len(recorded) >= _MAX_RECORDED:
        raise AssertionError
    try:
        values = [side() for side in sides]
        holds = bool(values[0] == values[1]) if len(values) > 1 else bool(values[0])
        recorded.append((holds, " ".join(map(_described, values)) if len(values) > 1 else str(holds)))
    except Exception as error:
        recorded.append(_failed(error))


def _failed(error: BaseException) -> tuple[bool, str]:
    return False, BEYOND_LIMITS if isinstance(error, MemoryError) else f"error {type(error).__name__}"


def outcomes(program: str, tests: str) -> Iterator[tuple[bool, str]]:
    """The outcome of every assertion; a program or a statement between tests counts where it fails."""
    module = types.ModuleType(_MODULE)
    sys.modules[_MODULE] = module
    space = module.__dict__
    try:
        exec(compile(program, "<program>", "exec"), space)
    except BaseException as error:
        yield _failed(error)
        return
    recorded: list[tuple[bool, str]] = []
    space[_JUDGE] = lambda *sides: _record(recorded, *sides)
    for statement in ast.parse(tests).body:
        try:
            if isinstance(statement, ast.Assert):
                yield _judged(statement.test, space)
            else:
                # Assertions in loops and functions report to the list, wherever they are called from.
                changed = ast.fix_missing_locations(_Recorded().visit(statement))
                exec(compile(ast.Module([changed], []), "<test>", "exec"), space)
        except BaseException as error:
            yield from recorded
            recorded.clear()
            yield _failed(error)
        yield from recorded
        recorded.clear()


def main() -> None:
    """Serve one request."""
    request = json.loads(sys.stdin.buffer.read())
    reply = os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    if not _limit(request["cpu_seconds"], request["memory_bytes"]):
        reply.write(NO_LIMIT_ON_PROCESSES)
    else:
        if "random" in request["program"] + request["tests"]:
            import random  # noqa: PLC0415 - takes as long as all else

            random.seed(0)
        found = list(outcomes(request["program"], request["tests"]))
        reply.write(request["nonce"] + json.dumps(found))
    reply.flush()
    os._exit(0)  # whatever threads or exit handlers the program has left


if __name__ == "__main__":
    main()
