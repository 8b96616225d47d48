"""The faults of the installed hivemind, each as a function that says whether it is there.

``python -m tests.farmesh.hivemind_faults NAME...`` looks for them in a hivemind that nobody mended,
and prints as JSON which are there; one of them ends that process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.routing import DHTID
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.p2p.p2p_daemon_bindings.control import ControlClient, DaemonConnector
from hivemind.proto import p2pd_pb2
from hivemind.utils import MSGPackSerializer, get_dht_time

from farmesh.network.bounds import BoundedRecords


async def dht_protocol() -> Any:
    """The part of a DHT node that needs no daemon."""
    return await DHTProtocol.create(
        None, DHTID.generate(), 20, 5, 3, 1.0, client_mode=True, record_validator=BoundedRecords()
    )


def nested_tuples(levels: int) -> bytes:
    data = b"\x90"
    for _ in range(levels):
        size = len(data).to_bytes(4, "big")
        data = b"\x91\xc9" + size + b"\x40" + data
    return data


async def tuples_end_the_process() -> bool:
    try:
        MSGPackSerializer.loads(nested_tuples(5_000))
    except Exception:  # noqa: BLE001 - whatever it says, the process lives
        return False
    return True


async def unknown_types_fill_the_log() -> bool:
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    log = logging.getLogger("hivemind.utils.serializer")
    log.addHandler(handler)
    try:
        MSGPackSerializer.loads(b"\xd4\x05\x00")
    except Exception:  # noqa: BLE001 - refused
        pass
    finally:
        log.removeHandler(handler)
    return bool(seen)


async def cancelled_calls_end_the_reader() -> bool:
    """The answer to a call is read in the very turn of the loop in which the call is cancelled."""
    control = ControlClient(DaemonConnector(), _initialized_with_create=True)
    daemon = asyncio.StreamReader()
    reading = asyncio.create_task(control._read_from_persistent_conn(daemon))
    call = asyncio.create_task(control.call_unary_handler(_Nobody(), "method", b""))
    asked = await control._pending_messages.get()
    answer = p2pd_pb2.PersistentConnectionResponse(
        callId=asked.callId, callUnaryResponse=p2pd_pb2.CallUnaryResponse(response=b"answer")
    ).SerializeToString()
    daemon.feed_data(_varint(len(answer)) + answer)
    call.cancel()
    await asyncio.wait([call])
    daemon.feed_eof()  # a reader that lives ends in order now
    await asyncio.wait([reading])
    return isinstance(reading.exception(), asyncio.InvalidStateError)


class _Nobody:
    @staticmethod
    def to_bytes() -> bytes:
        return b"peer"


def _varint(number: int) -> bytes:
    assert number < 128
    return bytes([number])


async def one_bad_entry_hides_the_others() -> bool:
    soon = get_dht_time() + 60
    found = DictionaryDHTValue()
    good = MSGPackSerializer.dumps((2, 1.0))
    found.store("good", good, soon)
    found.store("broken", b"\xc1", soon)
    found.store("long", MSGPackSerializer.dumps("x" * 100_000), soon)
    found.store("immortal", good, soon + 10**9)
    found.store("nan", good, float("nan"))
    carried = MSGPackSerializer.loads(MSGPackSerializer.dumps(found))
    kept = (await dht_protocol())._validate_dictionary(b"key", carried)
    return not kept or [subkey for subkey, _ in carried.items()] != ["good"]


async def strangers_store_without_end() -> bool:
    protocol = await dht_protocol()
    return bool(protocol.storage.maxsize == math.inf)


Fault = Callable[[], Awaitable[bool]]
# By the patch of farmesh.hivemind that mends them.
FAULTS: dict[str, tuple[Fault, ...]] = {
    "bound_extension_types": (tuples_end_the_process, unknown_types_fill_the_log),
    "outlive_cancelled_calls": (cancelled_calls_end_the_reader,),
    "drop_bad_entries": (one_bad_entry_hides_the_others,),
    "bound_stored_keys": (strangers_store_without_end,),
}
BY_NAME = {fault.__name__: fault for faults in FAULTS.values() for fault in faults}


if __name__ == "__main__":
    # BoundedRecords unpacks through a door that mends hivemind; here it is to stay as it is.
    import farmesh.hivemind

    farmesh.hivemind.harden = lambda: None  # type: ignore[assignment]
    print(json.dumps({name: asyncio.run(BY_NAME[name]()) for name in sys.argv[1:]}))
