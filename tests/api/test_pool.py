"""Idle sessions for stateless requests. Each test names the bug it prevents."""

from __future__ import annotations

import asyncio
from array import array

from hypothesis import given
from hypothesis import strategies as st

from chat.live.pool import SessionPool, worth_taking
from farmesh.tokens import common_prefix
from tests.chat.fakes import FakeClient

IDS = st.lists(st.integers(0, 2), max_size=12)


async def use(pool: SessionPool, client: FakeClient, key: str, ids: list[int]) -> object:
    async with pool.lease(client, key, ids) as lease:
        lease.token_ids = array("q", ids)
        return lease.session


@given(IDS, IDS)
def test_common_prefix_is_what_a_loop_finds(first: list[int], second: list[int]) -> None:
    """Halving that is off by one would reuse a token that is not there: a wrong reply."""
    expected = 0
    while expected < min(len(first), len(second)) and first[expected] == second[expected]:
        expected += 1
    assert common_prefix(array("q", first), array("q", second)) == expected


def test_another_conversation_with_the_same_system_prompt_is_left_alone() -> None:
    """Two conversations took each other's session by turns, and each turn computed all anew."""
    system, long = [1] * 20, [2] * 200
    assert worth_taking(array("q", system + long), array("q", [*system, 3])) == 0
    assert worth_taking(array("q", system + long), array("q", system + long + [4])) == 220
    regenerated = array("q", system + long[:-30] + [5])
    assert worth_taking(array("q", system + long), regenerated) == 190


async def test_the_next_request_goes_on_where_the_last_one_ended() -> None:
    """Every request of a conversation computed all of it again."""
    pool, client = SessionPool(4, 60), FakeClient()
    first = await use(pool, client, "a", [1, 2, 3])
    assert await use(pool, client, "a", [1, 2, 3, 4, 5]) is first
    assert await use(pool, client, "a", [9, 9]) is not first
    assert len(client.sessions) == 2


async def test_the_longest_match_is_taken() -> None:
    """Of two conversations with one beginning, the wrong one was continued."""
    pool, client = SessionPool(4, 60), FakeClient()
    async with pool.lease(client, "a", [1]) as one, pool.lease(client, "a", [1]) as two:
        one.token_ids = array("q", [1, 2, 3, 4])
        two.token_ids = array("q", [1, 2, 3, 4, 5, 6])
    assert await use(pool, client, "a", [1, 2, 3, 4, 5, 6, 7]) is two.session


async def test_sessions_are_never_shared_between_keys() -> None:
    """How fast an answer begins would tell what somebody else has asked."""
    pool, client = SessionPool(4, 60), FakeClient()
    first = await use(pool, client, "a", [1, 2, 3])
    assert await use(pool, client, "b", [1, 2, 3]) is not first


async def test_sessions_are_never_shared_between_models() -> None:
    """Tokens of one model in the caches of another: the same numbers, other words."""
    pool, client, other = SessionPool(4, 60), FakeClient(), FakeClient()
    await use(pool, client, "a", [1, 2, 3])
    await use(pool, other, "a", [1, 2, 3])
    assert len(other.sessions) == 1


async def test_a_session_in_use_is_not_handed_out_again() -> None:
    """Two requests in one session: SessionBusy, or tokens of one in the other."""
    pool, client = SessionPool(4, 60), FakeClient()
    await use(pool, client, "a", [1, 2, 3])
    async with pool.lease(client, "a", [1, 2, 3]) as one, pool.lease(client, "a", [1, 2, 3]) as two:
        assert one.session is not two.session


async def test_too_many_and_too_old_are_closed() -> None:
    """Nodes kept caches for programs that had long ended."""
    now = [0.0]
    pool, client = SessionPool(2, 60, lambda: now[0]), FakeClient()
    for ids in ([1], [2], [3]):
        await use(pool, client, "a", ids)
    await asyncio.sleep(0)
    assert [session.closed for session in client.sessions] == [True, False, False]
    now[0] = 30
    await use(pool, client, "a", [3, 4])
    now[0] = 70
    await pool.sweep()
    assert [session.closed for session in client.sessions] == [True, True, False]
    await pool.close()
    assert all(session.closed for session in client.sessions)


async def test_after_closing_nothing_is_kept() -> None:
    """A request that ended after the app had closed left its session on the nodes."""
    pool, client = SessionPool(2, 60), FakeClient()
    async with pool.lease(client, "a", [1]) as lease:
        lease.token_ids.append(1)
        await pool.close()
    await asyncio.sleep(0)
    assert client.sessions[0].closed


async def test_a_failed_request_leaves_no_session_behind() -> None:
    """What the hops of a failed request hold is not known."""
    pool, client = SessionPool(2, 60), FakeClient()
    async with pool.lease(client, "a", [1]) as lease:
        lease.token_ids.append(1)
        lease.spoilt = True
    await asyncio.sleep(0)
    assert client.sessions[0].closed
    assert not len(pool)
