"""What waits in the place of a stage that starts warm (`isoflop.stages.shared.warm`), with few imports.

A file of its own, since bash names the whole command of what was killed.
"""

import json
import os
import signal
import socket
import sys


def main(address: str, arguments: list[str]) -> None:
    """Have the server run this stage and end as it ends; where none answers, become it."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
            request = {"arguments": arguments[1:], "folder": os.getcwd(), "environment": dict(os.environ)}
            socket.send_fds(connection, [b"?"], [0, 1, 2])
            connection.sendall(json.dumps(request).encode())
            connection.shutdown(socket.SHUT_WR)
            warm = connection.recv(1) == b"+"
        except OSError:
            warm = False
        if not warm:
            os.execvp("python", ["python", *arguments])
        # An interrupt reaches the stage too, whose end this awaits.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = int(connection.recv(16) or b"1")
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
