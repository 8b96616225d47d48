"""DHT records: upstream's typing rules (PROTOCOL 1.2), strictly, entry by entry."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farmesh.core import NodeInfo, NodeState, Span
from farmesh.hivemind import pack, unpack
from farmesh.network.records import MAX_BLOCKS, Entry, decode_record, encode_record, merge_records

PEER = "QmPeer"


def info(**fields: Any) -> NodeInfo:
    defaults: dict[str, Any] = {
        "peer_id": PEER,
        "span": Span(2, 6),
        "state": NodeState.ONLINE,
        "throughput": 10.0,
    }
    return NodeInfo(**{**defaults, **fields})


FULL = info(
    public_name="a node",
    version="2.3.0",
    network_rps=5.0,
    forward_rps=6.0,
    inference_rps=7.0,
    adapters=("lora",),
    torch_dtype="float32",
    quant_type="none",
    using_relay=False,
    cache_tokens_left=1000,
    next_pings={"QmOther": 0.01},
    extensions=frozenset({"epoch", "resume"}),
)


@pytest.mark.parametrize("original", [FULL, info(), info(state=NodeState.OFFLINE)])
def test_a_record_survives_msgpack_and_comes_back(original: NodeInfo) -> None:
    """Prevents a value that the DHT cannot carry, and a key that is read back differently."""
    value = encode_record(original)
    carried = unpack(pack(value))
    assert decode_record(PEER, 3, carried) == original


def test_numbers_are_plain_and_of_the_right_type() -> None:
    """Prevents numpy scalars (msgpack raises) and an int throughput (upstream drops the record)."""
    import numpy as np

    original = info(
        throughput=np.float32(3), inference_rps=np.float64(4), cache_tokens_left=np.int64(5)
    )
    state, throughput, extra = encode_record(original)
    assert (type(state), type(throughput)) == (int, float)
    assert type(extra["inference_rps"]) is float
    assert type(extra["cache_tokens_left"]) is int
    pack((state, throughput, extra))


def decode(value: Any, block: int = 3) -> NodeInfo | None:
    return decode_record(PEER, block, value)


@pytest.mark.parametrize(
    "value",
    [
        (2, 1.5),
        (2, 1.5, {}),
        [2, 1.5, {}],
        (2, 1.5, {}, "more", 7),
        (2, 0.0, {"unknown": object}),
        (0, 1.0, {"adapters": ["a"]}),
        (1, 1.0, {"next_pings": {"Qm": math.inf}}),
        (2, 1.0, {"version": None, "next_pings": None, "start_block": None}),
    ],
)
def test_records_that_reference_readers_accept(value: Any) -> None:
    """Prevents blindness to nodes of other versions."""
    read = decode(value)
    assert read is not None
    assert read.span == Span(3, 4)  # none named: the block that lists the peer


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "text",
        {},
        (),
        (2,),
        (2, 1.5, None),
        (2, 1.5, []),
        (2, 1, {}),
        (2, math.inf, {}),
        (2, math.nan, {}),
        (2, -1.0, {}),
        (2, "1.0", {}),
        (3, 1.0, {}),
        (-1, 1.0, {}),
        (True, 1.0, {}),
        (2.0, 1.0, {}),
        ("2", 1.0, {}),
        ([], 1.0, {}),
        (2, 1.0, {"start_block": 0.0, "end_block": 4}),
        (2, 1.0, {"start_block": -1, "end_block": 4}),
        (2, 1.0, {"start_block": 0, "end_block": MAX_BLOCKS + 1}),
        (2, 1.0, {"start_block": 4, "end_block": 8}),
        (2, 1.0, {"start_block": 0, "end_block": 3}),
        (2, 1.0, {"start_block": 5, "end_block": 1}),
        (2, 1.0, {"start_block": "0", "end_block": 4}),
        (2, 1.0, {"inference_rps": math.inf}),
        (2, 1.0, {"inference_rps": -1.0}),
        (2, 1.0, {"forward_rps": "fast"}),
        (2, 1.0, {"network_rps": math.nan}),
        (2, 1.0, {"public_name": 5}),
        (2, 1.0, {"adapters": [5]}),
        (2, 1.0, {"adapters": "lora"}),
        (2, 1.0, {"using_relay": "no"}),
        (2, 1.0, {"cache_tokens_left": 1.0}),
        (2, 1.0, {"cache_tokens_left": -1}),
        (2, 1.0, {"next_pings": {"Qm": 1}}),
        (2, 1.0, {"next_pings": {"Qm": -0.1}}),
        (2, 1.0, {"next_pings": {"Qm": math.nan}}),
        (2, 1.0, {"next_pings": [("Qm", 0.1)]}),
        (2, 1.0, {"next_pings": {5: 0.1}}),
    ],
)
def test_records_that_reference_readers_drop(value: Any) -> None:
    """Prevents this client from using nodes that the rest of the swarm takes for broken."""
    assert decode(value) is None


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
keys = st.sampled_from([*encode_record(FULL)[2], "other"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.one_of(
        json_like,
        st.tuples(json_like, json_like, json_like),
        st.tuples(st.just(2), st.just(1.0), st.dictionaries(keys, json_like, max_size=5)),
    )
)
def test_any_value_is_a_node_or_dropped(value: Any) -> None:
    """Prevents one hostile record from blinding everybody who looks at the block."""
    read = decode(value)
    assert read is None or 3 in read.span


def test_a_name_is_bounded_and_printable() -> None:
    """Prevents control characters and megabytes of name in pages and logs."""
    read = decode((2, 1.0, {"public_name": "evil\x1b[31m\n" + "x" * 10_000}))
    assert read is not None
    assert read.public_name is not None
    assert read.public_name.isprintable()
    assert len(read.public_name) <= 128


def records(*entries: tuple[int, str, Any], expires: float = 0.0) -> dict[int, dict[str, Entry]]:
    table: dict[int, dict[str, Entry]] = {}
    for block, peer, value in entries:
        table.setdefault(block, {})[peer] = Entry(value, expires)
    return table


def value(start: int, end: int, state: int = 2) -> Any:
    return (state, 1.0, {"start_block": start, "end_block": end})


def test_a_record_counts_for_its_whole_span() -> None:
    """Prevents gaps where some of a node's keys were not found."""
    (read,) = merge_records(records((3, "a", value(2, 6))), 8)
    assert read.span == Span(2, 6)


def test_a_broken_record_is_dropped_without_its_neighbours() -> None:
    """Prevents one hostile entry from hiding the others of its block."""
    table = records((0, "a", value(0, 2)), (0, "b", (2, 1, {})), (0, "c", value(0, 1)))
    assert [node.peer_id for node in merge_records(table, 2)] == ["a", "c"]


def test_peers_without_a_span_get_the_blocks_that_list_them() -> None:
    """Prevents nodes of Petals before 2.2 from counting as one block each."""
    table = records(*((block, "old", (2, 1.0)) for block in (1, 2, 3)))
    (read,) = merge_records(table, 8)
    assert read.span == Span(1, 4)


def test_online_wins_over_offline_leftovers_of_the_same_peer() -> None:
    """Prevents a node that moved from being hidden by the goodbye to its old blocks."""
    table = records(
        *((block, "a", value(0, 2, state=0)) for block in (0, 1)),
        *((block, "a", value(2, 4)) for block in (2, 3)),
    )
    (read,) = merge_records(table, 4)
    assert (read.span, read.state) == (Span(2, 4), NodeState.ONLINE)


@pytest.mark.parametrize(("old", "new"), [((0, 2), (2, 4)), ((2, 4), (0, 2)), ((0, 2), (2, 3))])
def test_the_newest_record_of_a_peer_counts(old: tuple[int, int], new: tuple[int, int]) -> None:
    """Prevents routes to blocks that a node served before it crashed and came back elsewhere."""
    before = records(*((block, "a", value(*old)) for block in range(*old)), expires=60.0)
    after = records(*((block, "a", value(*new, state=1)) for block in range(*new)), expires=65.0)
    (read,) = merge_records({**before, **after}, 4)
    assert (read.span, read.state) == (Span(*new), NodeState.JOINING)


def test_lists_and_texts_of_a_record_are_bounded() -> None:
    """Prevents a record whose thousands of entries are kept, compared and shown by everybody."""
    pings = {f"Qm{index}": 0.1 for index in range(1000)}
    read = decode((2, 1.0, {"next_pings": pings, "adapters": ["ok", "x" * 1000, "a\nb"] * 99}))
    assert read is not None
    assert len(read.next_pings) <= 64
    assert set(read.adapters) == {"ok"}
    assert len(read.adapters) <= 64


def test_nodes_beyond_the_model_are_left_out() -> None:
    """Prevents a node of a longer model under the same prefix from breaking routes."""
    assert merge_records(records((5, "a", value(4, 9))), 4) == ()


def test_a_node_is_read_once_however_many_blocks_it_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Prevents looks at a large swarm that hold the app's loop for seconds."""
    read: list[int] = []

    def counting(peer_id: str, block: int, value: Any) -> NodeInfo | None:
        read.append(block)
        return decode_record(peer_id, block, value)

    monkeypatch.setattr("farmesh.network.records.decode_record", counting)
    joining, online = Entry(value(2, 6, state=1), 0.0), Entry(value(2, 6, state=2), 0.0)
    (node,) = merge_records({2: {"a": joining}, **{b: {"a": online} for b in (3, 4, 5)}}, 8)
    assert (node.span, node.state) == (Span(2, 6), NodeState.ONLINE)
    assert read == [2, 3], "a higher state is news, the same one again is not"
