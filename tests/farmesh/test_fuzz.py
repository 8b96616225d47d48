"""A short run of the fuzzer (`make fuzz` runs it for long), and what it found once."""

from __future__ import annotations

import pytest
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.proto import p2pd_pb2
from hivemind.utils import MSGPackSerializer, get_dht_time

from farmesh.errors import ProtocolError
from farmesh.network.bounds import BoundedRecords
from farmesh.network.frames import parse_message
from farmesh.wire import failures, packing
from scripts.fuzz import Finding, Target, feed, fuzz


def test_damaged_messages_are_taken_or_refused() -> None:
    """Prevents any exception but the typed ones, stalls and large memory from a peer's bytes."""
    every = fuzz(20_000, seed=1)
    assert all(len(target.outcomes) > 1 for target in every), "a decoder was hardly reached"


def test_the_fuzzer_tells_of_what_it_finds() -> None:
    """Prevents a fuzzer that takes every exception for a refusal."""
    broken = Target("broken", lambda data: data[99], [b""])
    with pytest.raises(Finding, match="IndexError"):
        feed(broken, b"abc")


def test_an_error_that_is_not_text_is_read() -> None:
    """Prevents a TypeError in the client when a node's error is not UTF-8: it comes as bytes."""
    message = parse_message(p2pd_pb2.RPCError, b"\x0a\x02\xff\xfe").message
    assert failures.parse_error(message) == ("unknown", "\ufffd\ufffd")


def test_unknown_types_are_refused_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    """Prevents a peer from filling the log with hivemind's warnings, one for each value."""
    with pytest.raises(ProtocolError):
        packing.unpack_map(b"\x81\xa1a\xd4\x05\x00")
    assert not caplog.records


def test_one_bad_entry_does_not_hide_a_block() -> None:
    """Prevents a stranger's record from ending every lookup of the block it was written to."""
    soon = get_dht_time() + 60
    found = DictionaryDHTValue()
    found.store("good", packing.pack((2, 1.0)), soon)
    found.store("broken", b"\xc1", soon)
    found.store("long", packing.pack("x" * 100_000), soon)
    found.store("immortal", packing.pack((2, 1.0)), soon + 10**9)
    found.store("nan", packing.pack((2, 1.0)), float("nan"))
    carried = MSGPackSerializer.loads(packing.pack(found))
    assert BoundedRecords().keep_valid(b"key", carried)
    assert [subkey for subkey, _ in carried.items()] == ["good"]
