"""Everything that is done to hivemind: its faults mended, and the doors to it.

The patches are for hivemind 1.1.12. ``tests/farmesh/test_hivemind.py`` shows for each that the
fault is there without it: when upstream mends one, that test fails and the patch can go.

Nothing else in the engine patches hivemind or opens its daemon, its DHT or its msgpack. Whoever
comes through the doors here has the patches, whatever was imported first.
"""

from __future__ import annotations

import asyncio
import functools
import math
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any
from uuid import UUID

from hivemind.dht import DHTNode
from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.storage import DHTLocalStorage, DictionaryDHTValue
from hivemind.p2p import P2P
from hivemind.p2p.p2p_daemon_bindings.control import ControlClient
from hivemind.utils import MSGPackSerializer
from hivemind.utils.timed_storage import TimedStorage

from farmesh.errors import ProtocolError

MAX_ENTRIES = 4096  # read of one dictionary of the DHT
_MAX_NESTED = 16
_KNOWN_TYPES = frozenset({0x40, 0x50, 0x51})  # tuple, dictionary, descriptor of a tensor
# What others may leave in this peer's part of the DHT; nodes of a large swarm need a tenth of it.
_STORED_KEYS = 100_000
_CACHED_RECORDS = 10_000


# --- The doors --------------------------------------------------------------------------------


def pack(value: Any) -> bytes:
    """msgpack with hivemind's extension types; only plain Python values can be packed."""
    packed: bytes = MSGPackSerializer.dumps(value)
    return packed


def unpack(data: bytes) -> Any:
    """
    Raises:
        ProtocolError: not msgpack, nested too deeply, or of types that hivemind does not have.
    """
    harden()
    try:
        return MSGPackSerializer.loads(data)
    except Exception as error:  # msgpack and the readers of extension types raise many
        raise ProtocolError("a value is not msgpack as it should be") from error


async def open_daemon(**options: Any) -> P2P:
    """Start a p2p daemon; ``options`` are hivemind's.

    Raises: P2PDaemonError.
    """
    harden()
    return await P2P.create(nat_port_map=False, check_if_identity_free=False, **options)


async def open_dht(p2p: P2P, **options: Any) -> DHTNode:
    """Join the DHT through a daemon from :func:`open_daemon`; ``options`` are hivemind's.

    Raises:
        RuntimeError: no initial peer answers.
        ValidationError: one does, and does not let this peer in.
    """
    harden()
    return await DHTNode.create(p2p=p2p, cache_size=_CACHED_RECORDS, **options)


async def daemon_ended(p2p: P2P) -> None:
    """Wait for the end of a daemon's process, of which hivemind tells nobody."""
    await p2p._child.wait()


@functools.cache
def harden() -> None:
    """Apply all patches to hivemind in this process; a second call does nothing."""
    for patch in PATCHES:
        patch()


# --- The patches ------------------------------------------------------------------------------

_nesting = threading.local()
_decode_ext_type = MSGPackSerializer._decode_ext_types


def bound_extension_types() -> None:
    """A tuple inside a tuple is decoded by hivemind calling itself from C, each time with tens of
    kilobytes of stack: some hundred levels, which fit into a kilobyte of metadata or of a DHT
    record, end the process. And a value of an unknown type writes a warning to the log, as often as
    a peer likes. So the hook counts levels, and refuses what it does not know."""
    MSGPackSerializer._decode_ext_types = _decode_bounded


def _decode_bounded(code: int, data: bytes) -> Any:
    if code not in _KNOWN_TYPES:
        raise ProtocolError("a value of an unknown type")
    depth = getattr(_nesting, "depth", 0)
    if depth >= _MAX_NESTED:
        raise ProtocolError("values are nested too deeply")
    _nesting.depth = depth + 1
    try:
        return _decode_ext_type(code, data)
    finally:
        _nesting.depth = depth


_init_control = ControlClient.__init__


def outlive_cancelled_calls() -> None:
    """When a unary call is cancelled in the turn of the loop in which its answer arrives, hivemind
    sets the result of a cancelled future; that error ends the task that reads all answers and all
    requests of the daemon, and every later unary call waits for ever. So a call that is done does
    not count as pending: its answer is dropped as one to an unknown call is."""
    ControlClient.__init__ = _init_control_patiently


class _PendingCalls(dict[UUID, "asyncio.Future[bytes]"]):
    """Holds those calls that can still be answered."""

    def __contains__(self, call: object) -> bool:
        return super().__contains__(call) and not self[call].done()  # type: ignore[index]


def _init_control_patiently(self: ControlClient, *arguments: Any, **options: Any) -> None:
    _init_control(self, *arguments, **options)
    self._pending_calls = _PendingCalls()


def drop_bad_entries() -> None:
    """One entry that is not valid makes hivemind refuse the whole dictionary that another peer
    sends, here all records of a block: a stranger's record would hide everybody's. So only that
    entry is dropped."""
    DHTProtocol._validate_dictionary = _keep_valid_entries


def _keep_valid_entries(protocol: DHTProtocol, key: bytes, found: DictionaryDHTValue) -> bool:
    """Leave only valid entries, at most ``MAX_ENTRIES``; there may be none."""
    valid = [
        (subkey, *entry)
        for subkey, entry in islice(found.data.items(), MAX_ENTRIES)
        if isinstance(subkey, str) and protocol._validate_record(key, pack(subkey), *entry)
    ]
    found.clear()
    found.maxsize, found.latest_expiration_time = math.inf, -math.inf  # the sender chose them
    with found.freeze():
        for subkey, value, expires in valid:
            found.store(subkey, value, expires)
    return True


def bound_stored_keys() -> None:
    """hivemind bounds its cache of records, but not what other peers store here."""
    DHTLocalStorage.__init__ = functools.partialmethod(TimedStorage.__init__, maxsize=_STORED_KEYS)


PATCHES: tuple[Callable[[], None], ...] = (
    bound_extension_types,
    outlive_cancelled_calls,
    drop_bad_entries,
    bound_stored_keys,
)
