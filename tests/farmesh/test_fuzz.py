"""A short run of the fuzzer (`make fuzz` runs it for long), and what it found once."""

from __future__ import annotations

import pytest
from hivemind.proto import p2pd_pb2

from farmesh.errors import ProtocolError
from farmesh.network.frames import parse_message
from farmesh.wire import failures
from farmesh.wire.metadata import unpack_map
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
        unpack_map(b"\x81\xa1a\xd4\x05\x00")
    assert not caplog.records
