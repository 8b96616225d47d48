"""Upstream's public API: its quickstart and its chat backend, as their documentation has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TextStreamer

from farmesh import AutoDistributedModelForCausalLM
from farmesh.config import BootstrapConfig, NodeConfig
from farmesh.constants import PUBLIC_INITIAL_PEERS
from farmesh.core import Span
from farmesh.errors import ContextOverflow, SessionClosed
from farmesh.network.addresses import check_address
from farmesh.network.bootstrap import Bootstrap
from farmesh.node import FarNode
from farmesh.upstream.loop import LoopThread
from tests.models import Oracle

PROMPT = [5, 17, 99, 3, 250]


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Iterator[Any]:
    """A model over two libp2p nodes, joined as upstream's users join."""

    async def found() -> tuple[Any, ...]:
        bootstrap = await Bootstrap(BootstrapConfig()).__aenter__()
        nodes = [
            await FarNode(
                NodeConfig(
                    checkpoint=checkpoint,
                    span=span,
                    initial_peers=bootstrap.addresses,
                    dht_prefix="_distributed",
                    threads=1,
                )
            ).__aenter__()
            for span in (Span(0, 2), Span(2, 4))
        ]
        return bootstrap, *nodes

    async def leave() -> None:
        for peer in reversed(peers):
            await peer.__aexit__(None, None, None)

    loop = LoopThread()
    peers = loop.run(found())
    model = AutoDistributedModelForCausalLM.from_pretrained(
        checkpoint,
        initial_peers=list(peers[0].addresses),
        torch_dtype=torch.float32,
        dht_prefix="_distributed",
        max_retries=5,
    )
    yield model.to("cpu")
    model.close()
    loop.run(leave())
    loop.close()


def ids(tokens: list[int]) -> torch.Tensor:
    return torch.tensor([tokens])


def test_the_quickstart(model: Any, oracle: Oracle) -> None:
    """Bug prevented: generate returns the reply without its prompt, or not transformers' reply."""
    outputs = model.generate(ids(PROMPT), max_new_tokens=5)
    assert outputs.tolist() == [PROMPT + oracle.greedy(PROMPT, 5)]
    outputs = model.generate(ids(PROMPT), max_length=len(PROMPT) + 3)
    assert outputs.tolist() == [PROMPT + oracle.greedy(PROMPT, 3)]


def test_a_batch(model: Any, oracle: Oracle) -> None:
    """Bug prevented: rows of a batch mix."""
    prompts = [PROMPT, [9, 9, 9, 9, 9]]
    outputs = model.generate(torch.tensor(prompts), max_new_tokens=4)
    assert outputs.tolist() == [prompt + oracle.greedy(prompt, 4) for prompt in prompts]


def test_the_chat_backend(model: Any, oracle: Oracle) -> None:
    """Bug prevented: a session forgets its turns, repeats its history in the result, or cannot go
    on without inputs, one token at a time, as upstream's chat backend asks."""
    said = list(PROMPT)
    with model.inference_session(max_length=64) as session:
        outputs = model.generate(ids(PROMPT), max_new_tokens=1, session=session)
        said += outputs[0, len(PROMPT) :].tolist()
        for _ in range(4):
            outputs = model.generate(None, max_new_tokens=1, session=session)
            assert outputs.shape == (1, 1)
            said += outputs[0].tolist()
        assert said == PROMPT + oracle.greedy(PROMPT, 5)
        assert session.last_token_id.tolist() == [said[-1:]]
        assert session.output_ids.tolist() == [said]
        # The second turn: only its own ids come back.
        outputs = model.generate(ids([7, 8]), max_new_tokens=2, session=session)
        assert outputs.tolist() == [[7, 8, *oracle.greedy([*said, 7, 8], 2)]]
        assert session.position == len(said) + 3  # the newest token is cached by the next step


def test_position_can_be_set(model: Any, oracle: Oracle) -> None:
    """Bug prevented: a reply made again after a rewind still sees what was taken back."""
    with model.inference_session(max_length=64) as session:
        model.generate(ids(PROMPT), max_new_tokens=6, session=session)
        session.position = 3
        outputs = model.generate(ids([42]), max_new_tokens=4, session=session)
        assert outputs.tolist() == [[42, *oracle.greedy([*PROMPT[:3], 42], 4)]]
        with pytest.raises(ValueError, match="position"):
            session.position = 1000


def test_the_active_session_is_used(model: Any, oracle: Oracle) -> None:
    """Bug prevented: a scope or use_session has no effect, or lasts longer than it should."""
    with model.inference_session(max_length=32) as session:
        assert model.active_session is session
        model.generate(ids(PROMPT), max_new_tokens=2)
        assert len(session.output_ids[0]) == len(PROMPT) + 2
        with model.inference_session(max_length=32) as other:
            assert model.active_session is other
            with model.use_session(session):
                model.generate(max_new_tokens=1)
        assert len(session.output_ids[0]) == len(PROMPT) + 3
    assert model.active_session is None


def test_values_that_are_none_are_neutral(model: Any, oracle: Oracle) -> None:
    """Bug prevented: upstream's chat backend passes None for what its caller left out."""
    left_out = dict.fromkeys(("temperature", "top_k", "top_p", "repetition_penalty", "max_length"))
    outputs = model.generate(inputs=ids(PROMPT), do_sample=0, max_new_tokens=3, **left_out)
    assert outputs.tolist() == [PROMPT + oracle.greedy(PROMPT, 3)]
    drawn = model.generate(inputs=ids(PROMPT), do_sample=1, max_new_tokens=3, **left_out)
    assert drawn.shape == outputs.shape


def test_sampling(model: Any) -> None:
    """Bug prevented: temperature and its kin are taken without do_sample, or not at all."""
    greedy = model.generate(ids(PROMPT), max_new_tokens=8, temperature=50.0)
    assert greedy.tolist() == model.generate(ids(PROMPT), max_new_tokens=8).tolist()
    drawn = model.generate(
        ids(PROMPT),
        max_new_tokens=8,
        do_sample=True,
        temperature=50.0,
        top_p=0.99,
        top_k=500,
        repetition_penalty=1.1,
    )
    # 8 draws from a nearly flat distribution over 500 tokens.
    assert drawn.tolist() != greedy.tolist()


def test_a_streamer_sees_every_token(model: Any) -> None:
    """Bug prevented: transformers' streamers wait for the whole reply."""

    class Words(TextStreamer):
        def __init__(self) -> None:
            self.seen: list[int] = []
            self.ended = False

        def put(self, value: torch.Tensor) -> None:
            self.seen += value.reshape(-1).tolist()

        def end(self) -> None:
            self.ended = True

    words = Words()
    outputs = model.generate(ids(PROMPT), max_new_tokens=3, streamer=words)
    assert words.seen == outputs[0].tolist()
    assert words.ended


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"max_new_tokens": 1, "max_length": 20},
        {"max_length": 3},
        {"max_new_tokens": 1, "num_beams": 4},
        {"max_new_tokens": 1, "attention_mask": torch.tensor([[0, 1, 1, 1, 1]])},
        {"max_new_tokens": 1, "penalty_alpha": 0.6},
    ],
)
def test_what_cannot_be_done_is_said(model: Any, arguments: dict[str, Any]) -> None:
    """Bug prevented: an argument that changes the result is dropped without a word."""
    with pytest.raises(ValueError, match=r"."):
        model.generate(ids(PROMPT), **arguments)


def test_sessions_end(model: Any) -> None:
    """Bug prevented: a closed or full session fails deep inside, or hangs."""
    with (
        model.inference_session(max_length=8) as session,
        pytest.raises(ContextOverflow),
    ):
        model.generate(ids(PROMPT), max_new_tokens=100, session=session)
    with pytest.raises(SessionClosed):
        model.generate(ids(PROMPT), max_new_tokens=1, session=session)
    session.close()


def test_wrong_arguments_of_from_pretrained(checkpoint: Path) -> None:
    """Bug prevented: a mistyped option is ignored."""
    with pytest.raises(TypeError, match="intial_peers"):
        AutoDistributedModelForCausalLM.from_pretrained(checkpoint, intial_peers=[])


def test_public_peers_are_addresses() -> None:
    """Bug prevented: a typo in a constant that no test ever dials."""
    for address in PUBLIC_INITIAL_PEERS:
        check_address(address, needs_peer=True)
