"""Runs one program against its tests, inside a sandbox; `isoflop.grading.sandbox` sends this file's text
there.

It stands alone: the standard library only, in a bare Python. A request comes on standard input (JSON: nonce,
program, tests, limits, seccomp, reach), the reply goes to standard output: the nonce, then a JSON list of
[whether a test passed, what the program gave]. What the program itself prints goes nowhere, and a process
that ends before the reply has passed nothing.

Tests are compiled before the program runs, and what it does to modules and built-in functions is not what
judges it. But it shares this process, so it could forge the reply by searching the interpreter for the nonce:
the sandbox protects the machine from programs, not the verdict from one that is written to attack this file.
"""

import ast
import builtins
import ctypes
import hashlib
import json
import os
import re
import resource
import struct
import sys
import types
from collections.abc import Callable, Iterator

BEYOND_LIMITS = "beyond the limits"
NO_LIMIT_ON_PROCESSES = "no limit on processes"
NO_LIMIT_ON_FILES = "no limit on files"
# The program's name for itself: one guarded by __name__ == "__main__" does not start its own main part.
_MODULE = "solution"
# What nested assertions call, and how many of them count.
_JUDGE = "__isoflop_judge__"
_MAX_RECORDED = 10_000
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

# Rights of Landlock (ACCESS_FS_*): what reading takes; what a place for files takes; what goes with one file.
_READ_FILE, _READ_FOLDER, _WRITE_FILE, _TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
_SCRATCH = _READ_FILE | _READ_FOLDER | _WRITE_FILE | _TRUNCATE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8
_SCRATCH |= 1 << 12 | 1 << 13
_OF_FILES = _READ_FILE | _WRITE_FILE | _TRUNCATE
_RIGHTS = {1: 13, 2: 14}  # how many rights early versions know; from the third on, files are not cut either
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers everywhere


def _confine(seccomp: str | None, reach: dict[str, list[str]] | None, libc: ctypes.CDLL) -> tuple[bool, bool]:
    """Give up rights for good; whether system calls are filtered, and whether only `reach` is in reach.

    `seccomp`: the filter in hexadecimal digits. `reach`: the paths that may be read, and those that may be
    written too; None where a sandbox sees to it.
    """
    no_new_privileges, set_seccomp, mode_filter = 38, 22, 2
    if sys.platform != "linux" or libc.prctl(no_new_privileges, 1, 0, 0, 0) != 0:
        return False, reach is None
    # The superuser without its capabilities owns files and can nothing else.
    libc.capset(struct.pack("=II", 0x20080522, 0), bytes(24))
    out_of_reach = reach is None or _landlock(reach, libc)
    if seccomp is None:
        return False, out_of_reach
    code = ctypes.create_string_buffer(bytes.fromhex(seccomp), len(seccomp) // 2)
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(code))
    return libc.prctl(set_seccomp, mode_filter, program, 0, 0) == 0, out_of_reach


def _landlock(reach: dict[str, list[str]], libc: ctypes.CDLL) -> bool:
    """Whether from here on the kernel keeps this process from all files outside `reach`."""
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    known = (1 << _RIGHTS.get(version, 15)) - 1
    handled = struct.pack("=Q", known)
    rules = libc.syscall(_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), 0)
    for paths, rights in ((reach["read"], _READ_FILE | _READ_FOLDER), (reach["write"], _SCRATCH)):
        for path in paths:
            try:
                place = os.open(path, os.O_PATH)
            except OSError:
                continue
            given = (rights if os.path.isdir(path) else rights & _OF_FILES) & known
            libc.syscall(_ADD_RULE, rules, 1, struct.pack("=Qi", given, place), 0)
            os.close(place)
    done: bool = libc.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return done and version > max(_RIGHTS)


def _limit(limits: dict[str, int], seccomp: str | None, reach: dict[str, list[str]] | None) -> str | None:
    """Set the limits (cpu_seconds, memory_bytes, scratch_bytes); what they lack and must not do without."""
    cpu, memory, scratch = limits["cpu_seconds"], limits["memory_bytes"], limits["scratch_bytes"]
    libc = ctypes.CDLL(None, use_errno=True)
    # Soft and hard limit alike: the end is a kill, which no handler holds up.
    resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (scratch, scratch))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    if sys.platform == "linux":  # elsewhere the limit cannot be set below what is mapped
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    filtered, out_of_reach = _confine(seccomp, reach, libc)
    superuser = os.getuid() == 0
    if not filtered:
        if superuser:  # whom the limit does not bind
            return NO_LIMIT_ON_PROCESSES
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    return NO_LIMIT_ON_FILES if superuser and not out_of_reach else None


# Bound before any program can put others in their places.
_sha256 = hashlib.sha256
_classes_of = type.__dict__["__mro__"].__get__
_defined_in = type.__dict__["__dict__"].__get__
_flags_of = type.__dict__["__flags__"].__get__
_LIBRARY = os.path.dirname(os.__file__)
_MADE_BY_A_PROGRAM = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_CONTAINERS = (list, tuple, set, frozenset)
_UNSAFE = re.compile(r"[^\w ]")


def _described(value: object) -> str:
    """A digest of what a value looks like; places in memory are left out."""
    look = f"{type(value).__name__}:{_ADDRESS.sub('', repr(value))}"
    return _sha256(look.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _equal(left: object, right: object) -> bool:
    """Whether two values are equal, and not because a program's own class of one of them says so."""
    return bool(left == right) and _compares_itself(left) == _compares_itself(right)


def _compares_itself(value: object) -> bool:
    """Whether a value, or one that it holds, is of a class whose `__eq__` is neither C nor the library's."""
    seen: set[int] = set()
    pending = [value]
    while pending:
        one = pending.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        classes = _classes_of(type(one))
        owner = next(cls for cls in classes if "__eq__" in _defined_in(cls))
        if _flags_of(owner) & _MADE_BY_A_PROGRAM:
            code = getattr(_defined_in(owner)["__eq__"], "__code__", None)
            if code is None or not code.co_filename.startswith(_LIBRARY):
                return True
        for container in _CONTAINERS:
            if container in classes:
                pending.extend(container.__iter__(one))  # type: ignore[arg-type]
        if dict in classes:
            pending.extend(dict.keys(one))  # type: ignore[arg-type]
            pending.extend(dict.values(one))  # type: ignore[arg-type]
    return False


def _sides(test: ast.expr) -> list[ast.expr]:
    """Both sides of a comparison with ==; another test alone."""
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        return [test.left, test.comparators[0]]
    return [test]


class _Recorded(ast.NodeTransformer):
    """Nested assertions as calls that note what they gave."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """`assert a == b` as a call with both sides unevaluated; what awaits or names things stays."""
        kept = (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)
        if any(isinstance(part, kept) for part in ast.walk(node)):
            return node
        nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
        calls: list[ast.expr] = [ast.Lambda(args=nothing, body=side) for side in _sides(node.test)]
        return ast.Expr(ast.Call(func=ast.Name(_JUDGE, ast.Load()), args=calls, keywords=[]))


def _record(recorded: list[tuple[bool, str]], *sides: Callable[[], object]) -> None:
    if len(recorded) >= _MAX_RECORDED:
        raise AssertionError
    try:
        recorded.append(_judged([side() for side in sides]))
    except Exception as error:
        recorded.append(_failed(error))


def _judged(values: list[object]) -> tuple[bool, str]:
    """Whether an assertion holds, by its value or the two sides of its ==; and what these look like."""
    if len(values) == 1:
        holds = bool(values[0])
        return holds, str(holds)
    looks = f"{_described(values[0])} {_described(values[1])}"
    return _equal(values[0], values[1]), looks


def _failed(error: BaseException) -> tuple[bool, str]:
    if isinstance(error, MemoryError):
        return False, BEYOND_LIMITS
    return False, _UNSAFE.sub("", f"error {type(error).__name__}")[:100]


def _compiled(statement: ast.stmt) -> list[types.CodeType] | Exception:
    """What an assertion evaluates, or the code of another statement, which is executed."""
    try:
        if isinstance(statement, ast.Assert):
            return [compile(ast.Expression(side), "<test>", "eval") for side in _sides(statement.test)]
        # Assertions in loops and functions report to the list, wherever they are called from.
        changed = ast.fix_missing_locations(_Recorded().visit(statement))
        return [compile(ast.Module([changed], []), "<test>", "exec")]
    except Exception as error:
        return error


def _space() -> dict[str, object]:
    """The names of a new module for a program, which has the built-in functions for itself."""
    own = types.ModuleType("builtins")
    own.__dict__.update(builtins.__dict__)
    module = types.ModuleType(_MODULE)
    sys.modules.update({"builtins": own, "__main__": module, _MODULE: module})
    module.__dict__["__builtins__"] = own.__dict__
    return module.__dict__


def outcomes(program: str, tests: str) -> Iterator[tuple[bool, str]]:
    """The outcome of every assertion; a program or a statement between tests counts where it fails."""
    statements = [(isinstance(one, ast.Assert), _compiled(one)) for one in ast.parse(tests).body]
    space = _space()
    try:
        exec(compile(program, "<program>", "exec"), space)
    except BaseException as error:
        yield _failed(error)
        return
    recorded: list[tuple[bool, str]] = []
    space[_JUDGE] = lambda *sides: _record(recorded, *sides)
    for judged, codes in statements:
        try:
            if isinstance(codes, Exception):
                raise codes
            if judged:
                yield _judged([eval(code, space) for code in codes])
            else:
                exec(codes[0], space)
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
    lacking = _limit(request["limits"], request["seccomp"], request["reach"])
    if lacking is not None:
        reply.write(lacking)
    else:
        if "random" in request["program"] + request["tests"]:
            import random  # noqa: PLC0415 - takes as long as all else

            random.seed(0)
        found = [
            f'[{"true" if passed else "false"}, "{look}"]'
            for passed, look in outcomes(request["program"], request["tests"])
        ]
        reply.write(f"{request['nonce']}[{', '.join(found)}]")
    reply.flush()
    os._exit(0)  # whatever threads or exit handlers the program has left


if __name__ == "__main__":
    main()
