"""The engine of running servers against one on loopback: what it asks for, what it makes of failures."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from loopback_server import Fault, LoopbackServer, RefusedError, drop, hang, status
from problem_tables import write_problems
from transformers import AutoTokenizer

from isoflop.config.models import Policy, Server
from isoflop.data.word_problems import generate_problems
from isoflop.engines import http_client as server_client
from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.engines.server_policy import ServerPolicy
from isoflop.engines.steps import ended_steps
from isoflop.errors import UserError
from isoflop.files import read_json
from isoflop.rehearsal.tiny_models import save_tiny
from isoflop.specs import SampleSpec
from isoflop.stages import sample
from isoflop.stages.shared.models import open_policy
from isoflop.stages.shared.runtime import Runtime

PROMPTS = [problem.prompt + "\n" for problem in generate_problems("test", 12, seed=3)]
REQUESTS = [GenerationRequest(prompt, seed, 30) for prompt in PROMPTS for seed in (1, 2)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_tiny(tmp_path_factory.mktemp("models") / "llama")


@pytest.fixture
def server(model: str) -> Iterator[LoopbackServer]:
    with LoopbackServer(model) as running:
        yield running


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "FIRST_PAUSE", 0.01)


def settings(url: str, **more: Any) -> Server:
    return Server.model_validate({"url": url, "name": "served", "retries": 2, "timeout": 20.0} | more)


def connect(server: LoopbackServer, batch_size: int = 64, **more: Any) -> ServerPolicy:
    return ServerPolicy(
        Policy(model=server.folder, engine="server"), settings(server.url, **more), batch_size
    )


def expected(server: LoopbackServer, request: GenerationRequest) -> dict[str, Any]:
    """What the server writes on a request's prompt, asked directly."""
    tokenizer = AutoTokenizer.from_pretrained(server.folder)
    answer = server.complete(
        {
            "prompt": tokenizer(request.prompt)["input_ids"],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed,
            "stop_token_ids": [tokenizer.eos_token_id],
        }
    )
    return answer["choices"][0]


def test_completions_are_what_the_server_wrote_token_by_token(server: LoopbackServer) -> None:
    policy = connect(server)
    completions = policy.generate(REQUESTS)
    policy.close()
    finishes = set()
    for request, completion in zip(REQUESTS, completions, strict=True):
        choice = expected(server, request)
        ended = choice["finish_reason"] == "stop"
        finishes.add(completion.finish)
        assert completion.finish == choice["finish_reason"]
        assert completion.tokens == tuple(choice["token_ids"][: -1 if ended else None])
        assert len(completion.pieces) == len(choice["token_ids"])
        assert (completion.pieces[-1] == "") == ended
        assert completion.text == choice["text"]
        assert completion.logprob == pytest.approx(sum(choice["logprobs"]["token_logprobs"]))
        assert completion.prompt_tokens == len(choice["prompt_token_ids"])
    assert finishes == {"stop", "length"}


def test_a_request_leaves_nothing_to_the_servers_defaults(server: LoopbackServer) -> None:
    policy = connect(server)
    policy.generate(
        [
            GenerationRequest(PROMPTS[0], 5, 30, temperature=0.7, top_p=0.9),
            GenerationRequest(PROMPTS[1], 5, 31, temperature=0.0, top_p=0.9, separator="\n"),
        ]
    )
    policy.close()
    sampled, greedy = sorted(server.asked[:2], key=lambda body: body["max_tokens"])
    tokenizer = AutoTokenizer.from_pretrained(server.folder)
    common = {
        "model": "served",
        "logprobs": 0,
        "return_token_ids": True,
        "stop_token_ids": [tokenizer.eos_token_id],
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "include_stop_str_in_output": True,
        "no_stop_trim": True,
    }
    own = {"prompt": tokenizer(PROMPTS[0])["input_ids"], "max_tokens": 30, "temperature": 0.7, "top_p": 0.9}
    assert sampled == common | own | {"seed": 5}
    own = {"prompt": tokenizer(PROMPTS[1])["input_ids"], "max_tokens": 31, "temperature": 0.0, "top_p": 1.0}
    assert greedy == common | own | {"stop": ["\n"]}


def test_filters_are_tried_once_and_sent(server: LoopbackServer) -> None:
    policy = connect(server)
    server.bodies.clear()
    requests = [
        GenerationRequest(PROMPTS[0], 5, 30, top_k=20, min_p=0.05),
        GenerationRequest(PROMPTS[1], 5, 31, temperature=0.0, top_k=20, min_p=0.05),
        GenerationRequest(PROMPTS[2], 5, 32),
    ]
    policy.generate(requests)
    sent = {body["max_tokens"]: (body["top_k"], body["min_p"], body["top_p"]) for body in server.asked}
    assert sent == {30: (20, 0.05, 1.0), 31: (-1, 0.0, 1.0), 32: (-1, 0.0, 1.0)}
    tried = [(body["top_k"], body["min_p"]) for body in server.bodies if body["max_tokens"] == 8]
    assert tried == [(-1, 0.0), (1, 0.0), (-1, 1.0)]
    policy.generate(requests)
    assert sum(body["max_tokens"] == 8 for body in server.bodies) == 3
    policy.close()


@pytest.mark.parametrize("name", ["top_k", "min_p"])
def test_a_server_that_takes_no_notice_of_a_filter_is_refused(server: LoopbackServer, name: str) -> None:
    policy = connect(server)

    def ignore(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if body[name] not in (1, 1.0):
            return answer
        choice = server.complete(body | {name: -1})["choices"][0]
        # Such tokens are less probable than the most probable ones.
        choice["logprobs"]["token_logprobs"] = [-9.0] * len(choice["token_ids"])
        return answer | {"choices": [choice]}

    server.edit = ignore
    with pytest.raises(UserError, match=f"takes no notice of {name}; leave it out of the generator"):
        policy.generate([GenerationRequest(PROMPTS[0], 5, 30, top_k=20)])
    assert not server.asked
    # Without one it is as good as any.
    assert policy.generate(REQUESTS[:2])
    policy.close()


def test_a_server_that_refuses_a_filter_is_refused_by_its_name(server: LoopbackServer) -> None:
    policy = connect(server)

    def refuse(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if body["min_p"]:
            raise RefusedError("min_p is not supported")
        return answer

    server.edit = refuse
    with pytest.raises(UserError, match=r"400 .*\(min_p is not supported\); it refuses min_p, which"):
        policy.generate([GenerationRequest(PROMPTS[0], 5, 30, min_p=0.1)])
    policy.close()


@pytest.mark.parametrize("steps", [1, 3])
def test_steps_end_at_separators_whatever_is_in_flight(server: LoopbackServer, steps: int) -> None:
    requests = [
        GenerationRequest(prompt, seed, 60, separator="\n", steps=steps)
        for prompt in PROMPTS
        for seed in (1, 2)
    ]
    answers: list[list[Completion]] = []
    for concurrency in (1, 64):
        policy = connect(server, concurrency=concurrency)
        answers.append(policy.generate(requests))
        policy.close()
    assert answers[0] == answers[1]
    ended = [one for one in answers[0] if one.finish == "step"]
    assert len(ended) > 5
    for one in ended:
        assert ended_steps(one.text, "\n") == steps
        assert one.text.endswith("\n")
    assert all(ended_steps(one.text, "\n") < steps for one in answers[0] if one.finish != "step")


def test_what_is_written_after_the_last_step_in_one_go_is_dropped(server: LoopbackServer) -> None:
    """As by servers that guess several tokens ahead."""
    request = GenerationRequest(PROMPTS[0], 1, 60, separator="\n")
    policy = connect(server)
    [plain] = policy.generate([request])
    assert plain.finish == "step"

    def ahead(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        choice = answer["choices"][0]
        if "stop" in body:
            choice["token_ids"] += [7, 8]
            choice["logprobs"]["token_logprobs"] += [-9.0, -9.0]
        return answer

    server.edit = ahead
    assert policy.generate([request]) == [plain]
    policy.close()


def test_concurrency_and_batch_size_bound_what_is_in_flight(server: LoopbackServer) -> None:
    for concurrency, batch_size in ((3, 64), (64, 2)):
        server.most_at_once = 0
        policy = connect(server, batch_size, concurrency=concurrency)
        policy.generate(REQUESTS)
        policy.close()
        assert 1 <= server.most_at_once <= min(concurrency, batch_size)


def test_more_requests_join_those_in_flight(server: LoopbackServer) -> None:
    policy = connect(server)
    asked = list(REQUESTS[2:10])
    told: list[int] = []

    def more(finished: Any, in_flight: int) -> list[GenerationRequest]:
        told.extend(number for number, _ in finished)
        return [asked.pop(0)] if asked else []

    seen: list[tuple[int, int]] = []
    completions = policy.generate(REQUESTS[:2], lambda *counts: seen.append(counts), more)
    assert completions == policy.generate(REQUESTS[:10])
    policy.close()
    assert sorted(told) == list(range(10))
    assert sum(count for count, _ in seen) == 10
    assert sum(tokens for _, tokens in seen) == sum(len(one.pieces) for one in completions)


@pytest.mark.parametrize(
    "faults",
    [
        [status(500)],
        [status(503), drop],
        [status(429, headers={"Retry-After": "0"})] * 3,
        [status(429)],
        [drop, drop, drop],
        [status(200, {"choices": [{"finish_reason": "abort", "token_ids": [], "text": ""}]})],
    ],
    ids=["500", "503 and gone", "429 and when", "429", "gone", "broken off"],
)
def test_a_request_is_made_again_after_what_may_pass(server: LoopbackServer, faults: list[Fault]) -> None:
    policy = connect(server, retries=len(faults))
    plain = policy.generate(REQUESTS)
    before = len(server.bodies)
    server.faults = list(faults)
    assert policy.generate(REQUESTS) == plain
    assert len(server.bodies) - before == len(REQUESTS) + len(faults)
    policy.close()


def test_a_request_is_made_again_after_silence(server: LoopbackServer) -> None:
    policy = connect(server, timeout=2.0)
    plain = policy.generate(REQUESTS[:1])
    before = len(server.bodies)
    server.faults = [hang(4.0)]
    begun = time.perf_counter()
    assert policy.generate(REQUESTS[:1]) == plain
    assert time.perf_counter() - begun >= 2
    assert len(server.bodies) - before == 2
    policy.close()


def test_a_server_that_says_when_is_asked_then(server: LoopbackServer) -> None:
    policy = connect(server)
    server.faults = [status(429, headers={"Retry-After": "1"})]
    begun = time.perf_counter()
    policy.generate(REQUESTS[:1])
    assert time.perf_counter() - begun >= 1
    policy.close()


def test_retry_after_is_seconds_or_a_date() -> None:
    assert server_client._retry_after("7") == 7
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert server_client._retry_after(date) == pytest.approx(30, abs=2)
    assert server_client._retry_after("soon") is None
    assert server_client._retry_after(None) is None


def test_pauses_double_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_client, "FIRST_PAUSE", 1.0)
    for attempt, longest in enumerate((1, 2, 4, 8, 16, 32, 60, 60)):
        drawn = [server_client._pause(attempt) for _ in range(200)]
        assert longest / 2 <= min(drawn) < max(drawn) <= longest


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (status(400), r"POST /v1/completions: 400 Bad Request \(so it is\)"),
        (status(404, {"detail": "x"}), "404 Not Found; see server.url"),
        (status(403), "403 Forbidden; give its key in the variable that server.key_variable names"),
        (status(200, b"<html>"), "the answer is no JSON: '<html>'"),
        (status(200, ["x"]), "something else than one completion"),
        (status(200, {"choices": []}), "something else than one completion"),
        (status(200, {"choices": [{"finish_reason": "stop", "text": "x"}]}), "returns no token ids"),
        (status(200, {"choices": [{"finish_reason": "stop", "token_ids": ["x"]}]}), "returns no token ids"),
        (status(200, {"choices": [{"finish_reason": "stop", "token_ids": [5]}]}), "no log-probability for"),
        (
            status(
                200,
                {
                    "choices": [
                        {
                            "finish_reason": "length",
                            "token_ids": [5],
                            "logprobs": {"token_logprobs": [-1.0]},
                        }
                    ]
                },
            ),
            "cut a completion after 1 tokens of 30",
        ),
        (
            status(
                200,
                {"choices": [{"finish_reason": "stop", "token_ids": [], "logprobs": {"token_logprobs": []}}]},
            ),
            "ended without writing anything",
        ),
    ],
)
def test_what_cannot_pass_is_said_at_once(server: LoopbackServer, fault: Fault, says: str) -> None:
    policy = connect(server)
    server.faults = [fault]
    before = len(server.bodies)
    with pytest.raises(UserError, match=says):
        policy.generate(REQUESTS[:1])
    assert len(server.bodies) == before + 1
    # What was given up does not turn up among later answers.
    assert policy.generate(REQUESTS[1:2])[0].text == expected(server, REQUESTS[1])["text"]
    policy.close()


def test_a_server_that_is_not_there_is_said_after_the_last_attempt(
    model: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UserError, match=rf"127.0.0.1:{port}/v1: .*\(asked 3 times\); see that it runs"):
        ServerPolicy(Policy(model=model, engine="server"), settings(f"http://127.0.0.1:{port}/v1"))
    assert capfd.readouterr().err.count("asked again in") == 1, "one line, not one per attempt"


def _edit(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> dict[str, Any]:
    def edit(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        change(body, answer["choices"][0])
        return answer

    return {"edit": edit}


def _scale(body: dict[str, Any], choice: dict[str, Any]) -> None:
    if body["temperature"]:
        choice["logprobs"]["token_logprobs"] = [-0.01] * len(choice["token_ids"])


@pytest.mark.parametrize(
    ("server_is", "policy_is", "says"),
    [
        ({"name": "other"}, {}, r"does not serve 'served' \(it serves: other\); set server.name"),
        ({"name": "servd"}, {}, "did you mean 'servd'"),
        ({"length": None}, {}, "does not say how long a sequence"),
        (_edit(lambda body, choice: choice.pop("token_ids")), {}, "returns no token ids"),
        (_edit(lambda body, choice: choice.pop("logprobs")), {}, "returns no log-probability for each of"),
        (_edit(lambda body, choice: choice.update(text="Bonjour")), {}, "it has another model"),
        (_edit(_scale), {}, "depend on the temperature"),
        ({"edit": lambda body, answer: answer | {"usage": {"prompt_tokens": 3}}}, {}, "reads 3 tokens where"),
        (
            {"key": "secret"},
            {},
            "401 Unauthorized; give its key in the variable that server.key_variable names",
        ),
    ],
)
def test_a_server_that_is_no_use_is_refused_at_the_start(
    model: str, server_is: dict[str, Any], policy_is: dict[str, Any], says: str
) -> None:
    with LoopbackServer(model, **server_is) as server, pytest.raises(UserError, match=says):
        connect(server, **policy_is)


def test_an_address_without_its_end_is_said(server: LoopbackServer) -> None:
    with pytest.raises(UserError, match=r"404 Not Found.*see server\.url"):
        ServerPolicy(Policy(model=server.folder, engine="server"), settings(server.url.removesuffix("/v1")))


def test_the_key_comes_from_the_environment(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with LoopbackServer(model, key="secret") as server:
        monkeypatch.setenv("OWN_KEY", "secret")
        policy = connect(server, key_variable="OWN_KEY")
        assert len(policy.generate(REQUESTS[:2])) == 2
        policy.close()


def test_the_shorter_of_two_limits_holds(model: str) -> None:
    with LoopbackServer(model, length=None) as server:
        entry = Policy(model=model, engine="server", max_length=100)
        policy = ServerPolicy(entry, settings(server.url))
        with pytest.raises(UserError, match="max_tokens 99 exceed the model's 100 positions"):
            policy.generate([GenerationRequest(PROMPTS[0], 1, 99)])
        policy.close()


def test_seeds_without_effect_are_noted(model: str, capfd: pytest.CaptureFixture[str]) -> None:
    with LoopbackServer(model) as server:
        connect(server).close()
        assert capfd.readouterr().err == ""
        plain, count = server.complete, iter(range(1000))
        server.complete = lambda body: plain(body | {"seed": next(count)})  # type: ignore[method-assign]
        connect(server).close()
        assert "draws otherwise when asked again with the same seed" in capfd.readouterr().err


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    return write_problems(tmp_path / "problems.parquet", "dev", 12, seed=9)


def test_a_run_whose_server_died_resumes_to_the_same_bytes(
    model: str, problems: Path, tmp_path: Path
) -> None:
    spec = SampleSpec.model_validate_json(
        json.dumps(
            {
                "policy": {"model": model, "engine": "server"},
                "generator": {"kind": "sampling", "samples": 4, "max_tokens": 20},
                "seed": 5,
                "version": 1,
            }
        )
    ).model_dump_json()

    def run(server: LoopbackServer, name: str) -> bytes:
        models = {model: {"server": settings(server.url).model_dump()}}
        runtime = json.dumps({"chunk_problems": 2, "models": models})
        out = tmp_path / name / "c.parquet"
        sample.main(["--runtime", runtime, spec, str(problems), str(out), str(out.with_name("l.json"))])
        return out.read_bytes()

    with LoopbackServer(model) as server:
        whole = run(server, "whole")
        assert len(server.asked) == 48
    with (
        LoopbackServer(model, dies_after=25) as server,
        pytest.raises(UserError, match=r"asked 3 times.*only what is unfinished is repeated"),
    ):
        run(server, "killed")
    assert not (tmp_path / "killed" / "c.parquet").exists()
    done = list((tmp_path / "killed").glob(".*.chunks/*.parquet"))
    assert len(done) == 2
    with LoopbackServer(model, port=server.port) as server:
        assert run(server, "killed") == whole
        assert len(server.asked) == 48 - 8 * len(done)


def test_a_policy_without_an_address_is_refused(model: str) -> None:
    with pytest.raises(UserError, match="--runtime has no address of its server"):
        open_policy(Policy(model=model, engine="server"), Runtime())
    wrong = json.dumps({"models": {model: {"server": {"ulr": "http://x/v1"}}}})
    with pytest.raises(UserError, match=r"--runtime: models\..*ulr: unknown key; did you mean 'url'\?"):
        read_json(Runtime, wrong, "--runtime")
