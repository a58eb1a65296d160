"""Asks an OpenAI-compatible server, many requests at once, and again where that may help.

The requests run in a thread of their own, so that they go on while the caller works on what has come.
"""

import asyncio
import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from queue import SimpleQueue
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx2

from isoflop.config.models import Server
from isoflop.errors import UserError, printable

T = TypeVar("T")
Read = Callable[[Any], T]
"""Makes something of an answer's JSON. Raises ServerError to ask again, UserError if that cannot help."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
# Between two lines on standard error that say that the server is in trouble.
_NOTE_SECONDS = 10.0
_TOO_MANY = 429
_REFUSED = {401, 403}
_BAD = 400
MOST_BYTES = 2**24
"""Of an answer for which nobody has said how long it may be."""


class ServerError(Exception):
    """What may pass: worth another attempt, after `wait` seconds where the server has said so."""

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.wait = wait


class ServerClient(Generic[T]):
    """The requests to one server, at most `concurrency` of them in flight at once."""

    def __init__(self, server: Server, concurrency: int) -> None:
        self._server = server
        self._url = server.url.rstrip("/")
        self._key = os.environ.get(server.key_variable, "")
        if any(not "!" <= character <= "~" for character in self._key):
            raise self._failure(
                "the environment variable that server.key_variable names holds something else than a key: "
                "blanks, line ends or other characters that no key has"
            )
        # Answers come as they are: a packed one may be a thousand times larger than what is sent.
        headers = {"Accept-Encoding": "identity"}
        self._http = httpx2.AsyncClient(
            headers=headers | ({"Authorization": f"Bearer {self._key}"} if self._key else {}),
            timeout=httpx2.Timeout(server.timeout, connect=min(server.timeout, 10.0), pool=None),
            # Servers close connections that have been idle for 5 seconds.
            limits=httpx2.Limits(max_connections=concurrency, keepalive_expiry=2.0),
        )
        self._room = asyncio.Semaphore(concurrency)
        self._answers: SimpleQueue[tuple[int, Future[T]]] = SimpleQueue()
        self._asked: set[Future[T]] = set()
        self._noted = float("-inf")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def get(self, path: str) -> Any:
        """What is at `path`. Raises UserError if that cannot be fetched."""
        return self._wait(self._exchange("GET", path, None, lambda answer: answer))

    def post(self, path: str, body: dict[str, Any], read: Read[Any], most_bytes: int = MOST_BYTES) -> Any:
        """What `read` makes of one answer. Raises UserError if there is none."""
        return self._wait(self._exchange("POST", path, body, read, most_bytes))

    def ask(
        self, number: int, path: str, body: dict[str, Any], read: Read[T], most_bytes: int = MOST_BYTES
    ) -> None:
        """Make a request, whose answer of at most `most_bytes` is what `answers` gives under `number`."""
        exchange = self._exchange("POST", path, body, read, most_bytes)
        future = asyncio.run_coroutine_threadsafe(exchange, self._loop)
        self._asked.add(future)
        answers = self._answers
        future.add_done_callback(self._asked.discard)
        future.add_done_callback(lambda answer: answers.put((number, answer)))

    def answers(self) -> list[tuple[int, T]]:
        """What has come; waits for one answer at least. Raises UserError where a request has failed."""
        came = [self._answers.get()]
        while not self._answers.empty():
            came.append(self._answers.get())
        return [(number, answer.result()) for number, answer in came]

    def drop(self) -> None:
        """Give up all that was asked."""
        # Answers in flight go to the queue that was there when they were asked for.
        self._answers = SimpleQueue()
        for future in list(self._asked):
            future.cancel()

    def close(self) -> None:
        """End the thread and the connections."""
        self.drop()
        self._wait(self._http.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _exchange(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None,
        read: Read[T],
        most_bytes: int = MOST_BYTES,
    ) -> T:
        async with self._room:
            for attempt in itertools.count():
                try:
                    async with asyncio.timeout(self._server.timeout):
                        response, content = await self._fetched(method, path, body, most_bytes)
                    return read(self._content(response, content))
                except (TimeoutError, httpx2.TimeoutException):
                    trouble = ServerError(f"no answer in {self._server.timeout:g} seconds")
                except (httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
                    raise self._failure(self.told(error)) from error
                except httpx2.TransportError as error:
                    trouble = ServerError(
                        self.told(error) or f"the connection broke off ({type(error).__name__})"
                    )
                except (httpx2.DecodingError, httpx2.InvalidURL) as error:
                    raise self._failure(self.told(error)) from error
                except ServerError as error:
                    trouble = error
                if attempt == self._server.retries:
                    raise self._failure(
                        f"{trouble} (asked {attempt + 1} times); see that it runs and run again: "
                        "only what is unfinished is repeated"
                    )
                wait = _pause(attempt) if trouble.wait is None else min(trouble.wait, self._server.timeout)
                self._note(f"{trouble}; asked again in {wait:.0f} s")
                await asyncio.sleep(wait)
        raise AssertionError("an exchange ends with an answer or an error")

    async def _fetched(
        self, method: str, path: str, body: dict[str, Any] | None, most_bytes: int
    ) -> tuple[httpx2.Response, bytes]:
        """An answer and what it holds. Raises UserError for one that is packed, or has no end."""
        content = bytearray()
        async with self._http.stream(method, f"{self._url}{path}", json=body) as response:
            packing = response.headers.get("content-encoding", "identity")
            if packing != "identity":
                raise self._failure(
                    f"{method} {path}: the answer is packed ({self.quoted(packing, 40)}), unasked"
                )
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > most_bytes:
                    raise self._failure(f"{method} {path}: the answer is longer than {most_bytes:,} bytes")
        return response, bytes(content)

    def _content(self, response: httpx2.Response, content: bytes) -> Any:
        """The JSON of an answer. Raises ServerError if asking again may help, UserError if not."""
        status = f"{response.status_code} {self.told(response.reason_phrase)}".strip()
        where = f"{response.request.method} {response.request.url.path}: {status}"
        if response.status_code == _TOO_MANY or response.is_server_error:
            raise ServerError(
                f"{where}{self._said(content)}", _retry_after(response.headers.get("retry-after"))
            )
        if response.status_code in _REFUSED:
            raise self._failure(f"{where}; give its key in the variable that server.key_variable names")
        if not response.is_success:
            hint = "" if response.status_code == _BAD else "; see server.url and server.name"
            raise self._failure(f"{where}{self._said(content)}{hint}")
        found = _json(content)
        if found is None:
            raise self._failure(f"{where}, but the answer is no JSON: {self.quoted(content, 60)}")
        return found

    def _said(self, content: bytes) -> str:
        """What an answer that is an error says of it."""
        found = _json(content)
        inner = found.get("error", found) if isinstance(found, dict) else found
        message = inner.get("message") if isinstance(inner, dict) else inner
        return f" ({self.told(message, 300)})" if message else ""

    def quoted(self, answer: Any, length: int) -> str:
        """The beginning of something that a server has sent, in quotes and without the key."""
        text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
        return repr(self.told(text, length))

    def told(self, answer: Any, length: int = 100) -> str:
        """The beginning of what a server says, on one line and without the key, should it send that back."""
        try:
            text = str(answer)
        except (RecursionError, ValueError):  # nested without end, or a number of thousands of digits
            return "..."
        for form in {
            self._key,
            repr(self._key)[1:-1],
            json.dumps(self._key)[1:-1],
            quote(self._key, safe=""),
        }:
            text = text.replace(form, "[key]") if form else text
        return printable(" ".join(text.split()))[:length]

    def _failure(self, what: str) -> UserError:
        return UserError(f"server {self._url}: {what}")

    def _note(self, what: str) -> None:
        """Say on standard error that there is trouble, but not for each of many requests."""
        if time.monotonic() - self._noted >= _NOTE_SECONDS:
            self._noted = time.monotonic()
            print(printable(f"server {self._url}: {what}"), file=sys.stderr, flush=True)


def _pause(attempt: int) -> float:
    """Seconds before the next attempt: twice as many each time, with jitter, so that not all come at once."""
    return min(FIRST_PAUSE * 2.0**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)


def _retry_after(value: str | None) -> float | None:
    """The seconds of a Retry-After header: a number, or the time until a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (date.astimezone(UTC) - datetime.now(UTC)).total_seconds())


def _json(content: bytes) -> Any:
    """What JSON there is in an answer; None where there is none that can be read."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):  # also what is no text, and what is nested too deeply
        return None
