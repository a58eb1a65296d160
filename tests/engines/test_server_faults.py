"""Servers that answer with anything: a fault of the request in one line, without the key; no wrong row."""

import gzip
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback_server import Fault, LoopbackServer

from isoflop.config.models import Policy, Server
from isoflop.engines import http_client
from isoflop.engines.registry import GenerationRequest
from isoflop.engines.server_policy import ServerPolicy
from isoflop.errors import UserError
from isoflop.rehearsal.tiny_models import save_tiny

CASES = yaml.safe_load((Path(__file__).parents[1] / "cases/server_faults.yaml").read_text(encoding="utf-8"))
KEY = "sk-a/b+1234567890"
REQUEST = GenerationRequest("Ann has 3 apples.\n", 1, 30)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture(scope="module")
def server(model: str) -> Iterator[LoopbackServer]:
    with LoopbackServer(model, key=KEY) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(http_client, "FIRST_PAUSE", 0.01)
        patch.setenv("ISOFLOP_API_KEY", KEY)
        yield


@pytest.fixture(scope="module")
def other(model: str) -> Iterator[LoopbackServer]:
    """One that nobody is to ask."""
    with LoopbackServer(model) as running:
        yield running


@pytest.fixture(scope="module")
def policy(server: LoopbackServer) -> Iterator[ServerPolicy]:
    one = connect(server)
    yield one
    one.close()


def connect(server: LoopbackServer, timeout: float = 20.0) -> ServerPolicy:
    entry = Server(url=server.url, name="served", retries=2, timeout=timeout)
    return ServerPolicy(Policy(model=server.folder, engine="server"), entry)


def _filled(value: Any, words: dict[str, Any]) -> Any:
    """A value of a case with its words and repetitions filled in."""
    if isinstance(value, dict):
        if "repeat" in value:
            one, times = value["repeat"]
            return [one] * times
        return {key: _filled(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, words) for one in value]
    if isinstance(value, str):
        if value in words:
            return words[value]
        for word in ("{key}", "{other}"):
            value = value.replace(word, words[word])
    return value


def _fault(case: dict[str, Any], server: LoopbackServer, words: dict[str, Any]) -> Fault:
    case = _filled(case, words)
    headers = case.get("headers", {})

    def send(handler: Any) -> None:
        if "raw" in case or "raw_headers" in case:
            long = "HTTP/1.1 200 OK\r\nX: " + "x" * case.get("raw_headers", 0)
            handler.wfile.write(case.get("raw", long).encode())
            handler.drop()
        elif "endless" in case or "drip" in case:
            handler.send_response(200)
            handler.end_headers()
            piece = case.get("endless", " ").encode() * (1 if "drip" in case else 10000)
            until = time.monotonic() + 5
            while time.monotonic() < until:
                handler.wfile.write(piece)
                handler.wfile.flush()
                time.sleep(case.get("drip", 0))
            handler.drop()
        else:
            handler.send(case.get("status", 200), _body(case, server), headers)

    def fault(handler: Any) -> None:
        try:
            send(handler)
        except OSError:  # the other end has had enough
            handler.drop()

    return fault


def _body(case: dict[str, Any], server: LoopbackServer) -> Any:
    if "set" in case:
        answer = server.complete(server.bodies[-1])
        [choice] = answer["choices"]
        for key, value in case["set"].items():
            (choice["logprobs"] if key == "token_logprobs" else choice)[key] = value
        return answer
    if "hex" in case:
        return bytes.fromhex(case["hex"])
    if "nest" in case:
        times, piece = case["nest"]
        return piece.encode() * times
    if "gzip" in case:
        # Members one after another are one text.
        return gzip.compress(bytes(10**6)) * max(1, case["gzip"] // 10**6)
    return case["text"].encode() if "text" in case else json.dumps(case.get("json", {})).encode()


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_faulty_answer_is_a_fault_of_its_request(
    case: dict[str, Any],
    server: LoopbackServer,
    policy: ServerPolicy,
    other: LoopbackServer,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if "drip" in case:
        policy = connect(server, timeout=1.0)
    plain = policy.generate([REQUEST])
    words = {"{key}": KEY, "{other}": other.url, "END": min(policy.ends)}
    server.faults = [_fault(case, server, words)] * case.get("asked", 1)
    before = len(server.bodies)
    with pytest.raises(UserError) as caught:
        policy.generate([REQUEST])
    assert len(server.bodies) - before == case.get("asked", 1)
    server.faults = []
    # What was wrong once is not in the way of what is right.
    assert policy.generate([REQUEST]) == plain
    assert not other.bodies, "nothing is asked elsewhere"
    if "drip" in case:
        policy.close()
    message = str(caught.value)
    assert message.startswith(f"server {server.url}: ")
    assert case["says"] in message
    assert len(message) < 700
    said = message + capfd.readouterr().err
    assert KEY not in said
    assert "1234567890" not in said
    assert not set(said) & {"\x1b", "\x07", "\x00", "\r", "\u202e"}


def test_of_a_request_whose_trouble_passes_nothing_is_left(
    server: LoopbackServer, policy: ServerPolicy, capfd: pytest.CaptureFixture[str]
) -> None:
    plain = policy.generate([REQUEST])
    for case in CASES:
        if case.get("asked", 1) > 1 and "drip" not in case:
            words = {"{key}": KEY, "{other}": "", "END": 0}
            server.faults = [_fault(case, server, words)]
            assert policy.generate([REQUEST]) == plain, case["name"]
    assert KEY not in capfd.readouterr().err


CARDS: list[tuple[Any, str]] = [
    ({"data": {"id": "served"}}, "does not list its models"),
    (["served"], "does not list its models: \"\\['served'\\]\""),
    ({"data": ["served"]}, "does not list its models"),
    ({"data": [{"id": ["served"]}]}, "does not serve 'served' \\(it serves: nothing\\)"),
    ({"data": [{"id": KEY}]}, r"does not serve 'served' \(it serves: \[key\]\)"),
    ({"data": [{"id": "\x1b[2J"}]}, r"it serves: \\x1b\[2J"),
    ({"data": [{"id": f"m{number}"} for number in range(10**5)]}, "it serves: m0, m1, "),
    ({"data": [{"id": "served", "max_model_len": -5}]}, "does not say how long"),
    ({"data": [{"id": "served", "max_model_len": True}]}, "does not say how long"),
    ({"data": [{"id": "served", "max_model_len": "512"}]}, "does not say how long"),
    ({"data": [{"id": "served", "max_model_len": 3.5}]}, "does not say how long"),
]


@pytest.mark.parametrize(("cards", "says"), CARDS, ids=[says for _, says in CARDS])
def test_a_faulty_list_of_models_is_refused(model: str, cards: Any, says: str) -> None:
    with (
        LoopbackServer(model, key=KEY, cards=cards) as server,
        pytest.raises(UserError, match=says) as caught,
    ):
        connect(server)
    assert KEY not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    "change",
    [{"usage": [3]}, {"usage": {"prompt_tokens": KEY}}, {"usage": {"prompt_tokens": "x" * 10**5}}],
)
def test_a_faulty_first_answer_is_no_traceback(model: str, change: dict[str, Any]) -> None:
    with LoopbackServer(model, key=KEY, edit=lambda body, answer: answer | change) as server:
        if change == {"usage": [3]}:
            connect(server).close()
            return
        with pytest.raises(UserError, match="must not change prompts") as caught:
            connect(server)
    assert KEY not in str(caught.value)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("key", ["two words", "sk-1234\n", "sk-\u20ac", "sk-\x1b[31m"])
def test_what_cannot_be_a_key_is_not_sent_and_not_shown(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("ISOFLOP_API_KEY", key)
    with pytest.raises(UserError, match="holds something else than a key") as caught:
        connect(server)
    assert key.strip() not in str(caught.value)
    assert sys.exc_info() == (None, None, None)
