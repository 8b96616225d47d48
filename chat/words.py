"""The sentences that people read: what went wrong, and the way forward.

The engine raises types; here each gets its words. Nothing else of an error reaches the page: no
traceback, no path, no address.
"""

from __future__ import annotations

from chat.errors import ChatError, Forward, GatewayFailure, Kept, Notice
from farmesh.core import Span
from farmesh.errors import (
    ContextOverflow,
    InvalidSampling,
    MissingBlocks,
    RetriesExhausted,
    SessionError,
    SwarmBusy,
    SwarmError,
    SwarmUnreachable,
)
from farmesh.events import FinishReason, GenerationStats


def explain(error: BaseException) -> Notice:
    """What is said of an error, and the way forward."""
    match error:
        case ChatError():
            return Notice(str(error), Forward.EDIT)
        case InvalidSampling():
            return Notice(str(error), Forward.EDIT)
        case ContextOverflow():
            return Notice(too_long(error.wanted, error.limit), Forward.EDIT)
        case GatewayFailure():
            return error.notice
        case MissingBlocks():
            return Notice(
                f"Nobody in the swarm serves {blocks(error.missing)} of the model at present.",
                kept=Kept.MESSAGE,
                advice="try again when the block map has no gap.",
            )
        case SwarmUnreachable():
            return Notice(
                "The swarm does not answer.", kept=Kept.MESSAGE, advice="try again in a moment."
            )
        case SwarmBusy():
            return Notice(
                "All nodes are full at present.", kept=Kept.MESSAGE, advice="try again soon."
            )
        case RetriesExhausted():
            return Notice(
                "Nodes were lost again and again while this reply was made.",
                kept=Kept.REPLY,
                advice="try again, or continue the reply.",
            )
        case SwarmError() | SessionError():
            return Notice(
                "The swarm could not finish this reply.", kept=Kept.REPLY, advice="try again."
            )
        case _:
            return Notice("Something went wrong here, not with your message.", advice="Try again.")


def too_long(wanted: int, limit: int) -> str:
    return (
        f"This message does not fit: it would take {number(wanted)} tokens together with room for "
        f"a reply, and the model holds {number(limit)}. Shorten it; nothing was sent."
    )


def blocks(span: Span) -> str:
    if len(span) == 1:
        return f"block {span.start}"
    return f"blocks {span.start} to {span.end - 1}"


def number(value: int) -> str:
    return f"{value:,}"


def count(value: int, noun: str) -> str:
    """``1 token``, ``2 tokens``."""
    return f"{number(value)} {noun}{'' if value == 1 else 's'}"


def place_in_line(ahead: int) -> str:
    if ahead == 0:
        return "You are next; waiting for a reply before yours to end."
    people = "1 message is" if ahead == 1 else f"{number(ahead)} messages are"
    return f"{people} before yours."


def seconds(value: float) -> str:
    """Short times with two digits, long ones rounded."""
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 10 else f"{value:.0f} s"


def summary(stats: GenerationStats) -> str:
    """One line about a finished reply."""
    parts = [f"{seconds(stats.ttft)} to the first token"]
    if stats.tokens_per_second:
        parts.append(f"{stats.tokens_per_second:.1f} tokens/s")
    parts.append(count(stats.generated_tokens, "token"))
    if stats.reused_tokens:
        known = f"{number(stats.reused_tokens)} of {number(stats.prompt_tokens)}"
        parts.append(f"{known} remembered")
    parts.append(count(stats.hops, "hop"))
    if stats.reroutes:
        parts.append(f"rerouted {count(stats.reroutes, 'time')}")
    return " · ".join(parts)


def finish(reason: FinishReason) -> str:
    """What to say about the end of a reply; nothing when it ended by itself."""
    match reason:
        case FinishReason.END_OF_SEQUENCE:
            return ""
        case FinishReason.MAX_NEW_TOKENS:
            return "cut at its limit"
        case FinishReason.CONTEXT_FULL:
            return "cut: the context is full"
