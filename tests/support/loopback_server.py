"""A server on loopback that answers as an OpenAI-compatible one does, and fails when it is told to.

What it writes follows from the prompt's tokens and the seed alone; no model is behind it.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from transformers import AutoTokenizer

Answer = dict[str, Any]
Fault = Callable[["_Handler"], None]


class RefusedError(Exception):
    """What `edit` raises to answer a request with status 400."""


@dataclass
class LoopbackServer:
    """Serves `name`, whose tokenizer is in `folder`. `faults` are taken one per request, in order.

    Of `top_k` and `min_p` it knows what leaves one token: the greedy one. `dies_after`: as many completions
    are answered, then it is gone. `edit` changes every answer; `cards` are what it says of its models.
    """

    folder: str
    name: str = "served"
    length: int | None = 512
    port: int = 0
    key: str | None = None
    dies_after: int | None = None
    edit: Callable[[Answer, Answer], Answer] = lambda body, answer: answer
    cards: Any = None
    faults: list[Fault] = field(default_factory=list)
    bodies: list[Answer] = field(default_factory=list)
    most_at_once: int = 0

    def __enter__(self) -> Self:
        self._tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self._lock, self._at_once, self._answered = threading.Lock(), 0, 0
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def asked(self) -> list[Answer]:
        """The bodies of requests that are no checks at the start."""
        return [body for body in self.bodies if body["max_tokens"] != 8]

    def complete(self, body: Answer) -> Answer:
        """What is written on a prompt of token ids, as vLLM puts it."""
        prompt, tokens, logprobs, finish = list(body["prompt"]), [], [], "length"
        one_left = body.get("top_k") == 1 or body.get("min_p") == 1.0
        seed = body["seed"] if body["temperature"] > 0.1 and not one_left else "greedy"
        while len(tokens) < body["max_tokens"] and finish == "length":
            text = f"{seed} {[*prompt, *tokens]}"
            number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
            token = 4 + number % (len(self._tokenizer) - 4)
            if number % 29 == 0:
                token = self._tokenizer.eos_token_id
            elif number % 7 == 0:
                token = self._tokenizer.convert_tokens_to_ids("\n")
            tokens.append(token)
            logprobs.append(-1 - token / 1000)
            written = self._tokenizer.decode(tokens, skip_special_tokens=True)
            stopped = token in body["stop_token_ids"] or any(stop in written for stop in body.get("stop", []))
            finish = "stop" if stopped else "length"
        choice = {
            "index": 0,
            "text": self._tokenizer.decode(tokens, skip_special_tokens=True),
            "logprobs": {"token_logprobs": logprobs, "tokens": [str(token) for token in tokens]},
            "finish_reason": finish,
            "token_ids": tokens,
            "prompt_token_ids": prompt,
        }
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(tokens)}
        return self.edit(body, {"object": "text_completion", "choices": [choice], "usage": usage})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    owner: LoopbackServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        card = {"id": self.owner.name} | (
            {} if self.owner.length is None else {"max_model_len": self.owner.length}
        )
        self._guarded(lambda: self.send(200, self.owner.cards or {"object": "list", "data": [card]}))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        owner = self.owner
        with owner._lock:
            owner._at_once += 1
            owner.most_at_once = max(owner.most_at_once, owner._at_once)
            owner.bodies.append(body)
            fault = owner.faults.pop(0) if owner.faults and body["max_tokens"] != 8 else None
        try:
            if owner.dies_after is not None and owner._answered >= owner.dies_after:
                self.drop()
            elif fault is not None:
                fault(self)
            else:
                self._guarded(lambda: self.send(200, owner.complete(body)))
                owner._answered += 1
        except RefusedError as error:
            self.send(400, {"error": {"message": str(error)}})
        finally:
            with owner._lock:
                owner._at_once -= 1

    def _guarded(self, answer: Callable[[], None]) -> None:
        if self.path not in {"/v1/models", "/v1/completions"}:
            self.send(404, {"detail": "Not Found"})
        elif self.owner.key is not None and self.headers.get("Authorization") != f"Bearer {self.owner.key}":
            self.send(401, {"error": "Unauthorized"})
        else:
            answer()

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        raw = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def status(code: int, content: Any = None, headers: dict[str, str] | None = None) -> Fault:
    """Answer with a status."""
    return lambda handler: handler.send(
        code, {"error": {"message": "so it is"}} if content is None else content, headers
    )


def hang(seconds: float) -> Fault:
    """Say nothing for a while, then close the connection."""

    def wait(handler: _Handler) -> None:
        time.sleep(seconds)
        handler.drop()

    return wait


def drop(handler: _Handler) -> None:
    """Close the connection without an answer."""
    handler.drop()
