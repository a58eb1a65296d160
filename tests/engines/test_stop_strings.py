"""Stop strings: what is written is what would be without them, up to where the first is complete."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from byte_tokens import save_bytes
from hypothesis import given
from hypothesis import strategies as st
from loopback_server import LoopbackServer

from isoflop.config.models import Policy, Server
from isoflop.data.word_problems import generate_problems
from isoflop.engines.checkpoints import load_tokenizer
from isoflop.engines.hf_policy import TransformersPolicy
from isoflop.engines.prompts import Decoder
from isoflop.engines.registry import Completion, GenerationRequest
from isoflop.engines.server_policy import ServerPolicy
from isoflop.engines.steps import split_steps, stopped_at, tokens_per_step
from isoflop.rehearsal.tiny_models import save_tiny

SHIPPED = str(Path(__file__).parents[2] / "resources" / "models" / "policy-0.9M")
PROBLEMS = [problem.prompt + "\n" for problem in generate_problems("test", 12, seed=3)]
# Characters of several tokens, a string over two or three, two that begin at different places, a space.
STOPS = [("é",), ("a:", "—"), ("\nQ:",), ("Q: a", "b"), ("\n\n",), (": ",), ("\n", "\nQ"), ("never there",)]


@pytest.fixture(scope="module")
def bytes_policy(tmp_path_factory: pytest.TempPathFactory) -> tuple[TransformersPolicy, str]:
    folder = save_bytes(tmp_path_factory.mktemp("models") / "bytes")
    return TransformersPolicy(Policy(model=folder)), folder


def cut_by_hand(
    decoder: Decoder, whole: Completion, stop: Sequence[str], written: Sequence[int] = ()
) -> tuple[str, tuple[int, ...], str] | None:
    """Text, tokens and finish of `whole` as the first token that completes a stop string leaves it."""
    before = decoder.text(written)
    for count in range(1, len(whole.tokens) + 1):
        text = decoder.text([*written, *whole.tokens[:count]])
        found = [
            place
            for one in stop
            for place in range(len(text))
            if text.startswith(one, place) and place + len(one) > len(before)
        ]
        if found:
            own = text[len(before) :] if before else text
            kept = max(0, len(own) - (len(text) - min(found)))
            return own[:kept], whole.tokens[:count], "stop"
    return None


def check(stopped: Completion, whole: Completion, expected: tuple[str, tuple[int, ...], str] | None) -> bool:
    """Whether it was cut, and as expected."""
    if expected is None:
        assert replace(stopped, logprob=0.0) == replace(whole, logprob=0.0)
        return False
    assert (stopped.text, stopped.tokens, stopped.finish) == expected
    # Every token that was written counts, and what is left of their texts is the text.
    assert len(stopped.pieces) == len(stopped.tokens)
    assert "".join(stopped.pieces) == stopped.text
    return True


@pytest.mark.parametrize("stop", STOPS)
def test_a_sample_is_the_same_up_to_its_stop_string(
    bytes_policy: tuple[TransformersPolicy, str], stop: tuple[str, ...]
) -> None:
    policy, folder = bytes_policy
    decoder = Decoder(load_tokenizer(folder, None))
    plain = [GenerationRequest("Q:a\n", seed, 60) for seed in range(60)]
    asked = [replace(request, stop=stop) for request in plain]
    wholes, together = policy.generate(plain), policy.generate(asked)
    cut = [
        check(stopped, whole, cut_by_hand(decoder, whole, stop))
        for stopped, whole in zip(together, wholes, strict=True)
    ]
    assert sum(cut) > 3 or stop == ("never there",)
    for batch_size in (1, 7):
        alone = TransformersPolicy(Policy(model=folder), batch_size=batch_size).generate(asked)
        for one, other in zip(alone, together, strict=True):
            assert replace(one, logprob=0.0) == replace(other, logprob=0.0)
            assert one.logprob == pytest.approx(other.logprob, abs=1e-3)


def test_requests_of_one_batch_have_stop_strings_of_their_own(
    bytes_policy: tuple[TransformersPolicy, str],
) -> None:
    policy, _ = bytes_policy
    requests = [
        GenerationRequest("Q:a\n", seed, 30, stop=stop) for stop in [(), *STOPS] for seed in range(12)
    ]
    order = np.random.default_rng(0).permutation(len(requests))
    together, shuffled = policy.generate(requests), policy.generate([requests[place] for place in order])
    for position, place in enumerate(order):
        assert replace(shuffled[position], logprob=0.0) == replace(together[place], logprob=0.0)
    for request, completion in zip(requests, together, strict=True):
        assert stopped_at(completion.text, request.stop) is None


@pytest.mark.parametrize("stop", STOPS)
def test_a_stop_string_may_begin_in_what_was_written_before(
    bytes_policy: tuple[TransformersPolicy, str], stop: tuple[str, ...]
) -> None:
    policy, folder = bytes_policy
    decoder = Decoder(load_tokenizer(folder, None))
    # At a low temperature the greedy text, but of several seeds' beginnings.
    begun = policy.generate([GenerationRequest("Q:a\n", seed, 12) for seed in range(40)])
    plain = [GenerationRequest("Q:a\n", 0, 24, 0.0, written=one.tokens) for one in begun if one.tokens]
    wholes = policy.generate(plain)
    stopped = policy.generate([replace(request, stop=stop) for request in plain])
    for one, whole, request in zip(stopped, wholes, plain, strict=True):
        check(one, whole, cut_by_hand(decoder, whole, stop, request.written))
    # Strings that begin with the last character of what was written: nothing is left of the rest.
    texts = [decoder.text([*one.written, *whole.tokens]) for one, whole in zip(plain, wholes, strict=True)]
    begins = [len(decoder.text(request.written)) - 1 for request in plain]
    strings = [text[begin : begin + 3] for text, begin in zip(texts, begins, strict=True)]
    across = [
        (replace(request, stop=(string,)), whole)
        for request, whole, string in zip(plain, wholes, strings, strict=True)
        if len(string) == 3 and "\ufffd" not in string
    ]
    assert len(across) > 10
    rests = policy.generate([request for request, _ in across])
    for one, (request, whole) in zip(rests, across, strict=True):
        assert check(one, whole, cut_by_hand(decoder, whole, request.stop, request.written))
        assert (one.text, one.finish) == ("", "stop")


def test_in_a_search_it_ends_the_solution_and_not_the_step(
    bytes_policy: tuple[TransformersPolicy, str],
) -> None:
    policy, _ = bytes_policy
    requests = [
        GenerationRequest("Q:a\n", seed, 40, separator="\n", steps=steps, stop=("\nQ:", "é"))
        for seed in range(80)
        for steps in (1, 3)
    ]
    finishes = set()
    for one in policy.generate(requests):
        finishes.add(one.finish)
        assert stopped_at(one.text, ("\nQ:", "é")) is None
        steps = split_steps(one.text, "\n")
        assert sum(tokens_per_step(one.pieces, steps, "\n")) == len(one.pieces)
    assert finishes >= {"stop", "step"}


def test_steps_may_end_in_a_character_of_several_tokens(bytes_policy: tuple[TransformersPolicy, str]) -> None:
    policy, _ = bytes_policy
    requests = [GenerationRequest("Q:a\n", seed, 40, separator="é") for seed in range(300)]
    ended = [one for one in policy.generate(requests) if one.finish == "step"]
    assert len(ended) > 10
    for one in ended:
        assert one.text.endswith("é")
        assert "".join(one.pieces) == one.text
        assert tokens_per_step(one.pieces, [one.text], "é") == [len(one.tokens)]


@given(st.lists(st.integers(1, 16), max_size=24))
def test_pieces_are_the_text_and_a_character_is_its_first_tokens(
    bytes_policy: tuple[TransformersPolicy, str], ids: list[int]
) -> None:
    decoder = Decoder(load_tokenizer(bytes_policy[1], None))
    pieces = decoder.pieces(ids)
    assert "".join(pieces) == decoder.text(ids)
    for place, token in enumerate(ids):
        if decoder.text([token]).isascii():
            assert pieces[place] == decoder.text([token])


@given(st.text("ab\n", max_size=12), st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=3), st.data())
def test_the_first_stop_string_that_ends_in_what_is_new(
    text: str, stop: list[str], data: st.DataObject
) -> None:
    before = data.draw(st.integers(0, len(text)))
    places = [
        place
        for place in range(len(text))
        if any(text.startswith(one, place) and place + len(one) > before for one in stop)
    ]
    assert stopped_at(text, stop, before) == (min(places) if places else None)


def test_a_shipped_model_ends_before_its_answer_if_told_to() -> None:
    policy = TransformersPolicy(Policy(model=SHIPPED))
    plain = [GenerationRequest(prompt, seed, 200) for prompt in PROBLEMS for seed in range(4)]
    wholes = policy.generate(plain)
    stop = ("\nThe answer is",)
    stopped = policy.generate([replace(request, stop=stop) for request in plain])
    cut = 0
    for one, whole in zip(stopped, wholes, strict=True):
        assert one.text == whole.text.partition(stop[0])[0]
        assert (one.finish, len(one.pieces) <= len(whole.pieces)) == (
            "stop" if stop[0] in whole.text else whole.finish,
            True,
        )
        cut += stop[0] in whole.text
    assert cut > 40


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackServer]:
    with LoopbackServer(save_tiny(tmp_path_factory.mktemp("models") / "llama")) as running:
        yield running


def connect(server: LoopbackServer, concurrency: int = 16) -> ServerPolicy:
    given = {"url": server.url, "name": "served", "concurrency": concurrency}
    return ServerPolicy(Policy(model=server.folder, engine="server"), Server.model_validate(given))


def test_a_server_is_told_and_held_to_them(server: LoopbackServer) -> None:
    policy = connect(server)
    plain = [GenerationRequest(prompt, seed, 40) for prompt in PROBLEMS for seed in (1, 2)]
    wholes = policy.generate(plain)
    # From the middle of one text; of others where it happens to be.
    middles = [one.text[len(one.text) // 2 :][:4] or "zzz" for one in wholes]
    stops = [(middle, "yyy" if place % 2 else "\n") for place, middle in enumerate(middles)]
    asked = [replace(request, stop=stop) for request, stop in zip(plain, stops, strict=True)]
    server.bodies.clear()
    stopped = policy.generate(asked)
    assert {tuple(body["stop"]) for body in server.asked} == set(stops)
    decoder = Decoder(load_tokenizer(server.folder, None))
    for one, whole, stop in zip(stopped, wholes, stops, strict=True):
        expected = cut_by_hand(decoder, whole, stop)
        if expected is None:
            assert one == whole
        else:
            assert (one.text, one.tokens, one.finish) == expected
            assert len(one.pieces) == len(one.tokens)
    # A server that takes no notice of them writes on, which changes nothing.
    server.edit = lambda body, answer: server.complete(body | {"stop": []}) if body.get("stop") else answer
    assert policy.generate(asked) == stopped
    server.edit = lambda body, answer: answer
    policy.close()


def test_a_server_is_not_told_of_what_was_written_and_held_to_it_all_the_same(server: LoopbackServer) -> None:
    policy = connect(server)
    decoder = Decoder(load_tokenizer(server.folder, None))
    [whole] = policy.generate([GenerationRequest(PROBLEMS[0], 0, 40, 0.0)])
    text = whole.text
    for count in range(1, 12):
        written = whole.tokens[:count]
        begun = len(decoder.text(written))
        stop = (text[begun - 1 : begun + 2],)
        request = GenerationRequest(PROBLEMS[0], 0, 40 - count, 0.0, written=written)
        [rest], [one] = policy.generate([request]), policy.generate([replace(request, stop=stop)])
        expected = cut_by_hand(decoder, rest, stop, written)
        assert expected is not None
        assert (one.text, one.tokens, one.finish) == expected
        assert one.text == ""
    policy.close()


def test_steps_and_stop_strings_of_a_server_whatever_is_in_flight(server: LoopbackServer) -> None:
    stop = ("s", "4")
    requests = [
        GenerationRequest(prompt, seed, 60, separator="\n", steps=3, stop=stop)
        for prompt in PROBLEMS
        for seed in (1, 2)
    ]
    answers = []
    for concurrency in (1, 64):
        policy = connect(server, concurrency)
        answers.append(policy.generate(requests))
        policy.close()
    assert answers[0] == answers[1]
    assert all(stopped_at(one.text, stop) is None for one in answers[0])
    assert {one.finish for one in answers[0]} >= {"stop"}
