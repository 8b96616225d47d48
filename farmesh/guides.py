"""Grammars: which tokens may come next, so that a reply has the form that was asked for.

:class:`Guides` belongs to one model's vocabulary and compiles grammars; a :class:`Guide` walks
through one of them beside one reply. The work is llguidance's, which lets go of the GIL while it
computes; it is done in two threads, so that a heavy grammar in the making delays no reply.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
from llguidance import LLExecutor, LLMatcher, LLParserLimits, LLTokenizer
from llguidance.gbnf_to_lark import any_to_lark
from llguidance.numpy import fill_next_token_bitmask_par
from numpy.typing import NDArray

from farmesh.errors import GrammarTooComplex, InvalidGrammar
from farmesh.grammars import check_weight
from farmesh.params import Grammar, GrammarKind

T = TypeVar("T")
Banned = NDArray[np.bool_]  # ``[vocabulary]``; true: this token may not come next

KEPT = 32  # compiled grammars that are kept for the next request
COMPILE_SECONDS = 5.0  # a grammar that takes longer is refused
# The library's compiler calls itself once per level of a grammar. Only what is used of a stack
# takes memory; the usual 8 MiB end with about 700 references in a row, and the process with them.
STACK_BYTES = 256 * 2**20
# Between parts of JSON, at most. Weak models that may write more never go on, and every token of
# indentation costs as much as one that says something.
WHITE_SPACE = " "
_LIMITS: dict[str, Any] = {
    "initial_lexer_fuel": 200_000,
    "step_lexer_fuel": 50_000,
    "step_max_items": 3_000,
    "max_lexer_states": 50_000,
    "max_grammar_size": 100_000,
    "precompute_large_lexemes": False,
    "verbose_errors": False,
}
_stack_lock = threading.Lock()


class Guides:
    """One model's vocabulary, and the grammars that were compiled for it lately."""

    def __init__(self, tokenizer: Any, end_ids: Collection[int]) -> None:
        """
        Args:
            tokenizer: transformers', of the fast kind; it is read when the first grammar comes.
            end_ids: tokens that end a reply.
        """
        self._tokenizer = tokenizer
        self._end_ids = sorted(end_ids)
        self._compiled: OrderedDict[Grammar, LLMatcher] = OrderedDict()
        self._compiler = _DeepThread("farmesh-grammar")
        self._walker = _DeepThread("farmesh-guide")
        self._waiting: list[_Step] = []
        self._running: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Guides {len(self._compiled)} grammars compiled, {len(self._waiting)} waiting>"

    def close(self) -> None:
        """No reply may be in the making any more."""
        if self._running is not None:
            self._running.cancel()
        self._compiler.close()
        self._walker.close()

    async def start(self, grammar: Grammar) -> Guide:
        """A guide at the grammar's beginning.

        Raises:
            InvalidGrammar: replies cannot be held to it.
        """
        return Guide(self, (await self._matcher(grammar)).deep_copy())

    async def check(self, grammar: Grammar) -> None:
        """
        Raises:
            InvalidGrammar: replies cannot be held to it.
        """
        await self._matcher(grammar)

    async def _matcher(self, grammar: Grammar) -> LLMatcher:
        known = self._compiled.get(grammar)
        if known is None:
            check_weight(grammar)
            compiling = asyncio.wrap_future(self._compiler.submit(partial(self._compile, grammar)))
            compiling.add_done_callback(_seen)
            await asyncio.wait({compiling}, timeout=COMPILE_SECONDS)
            if not compiling.done():
                raise InvalidGrammar("This grammar takes too long to prepare.")
            known = self._compiled[grammar] = compiling.result()
            while len(self._compiled) > KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(grammar)
        return known

    def _compile(self, grammar: Grammar) -> LLMatcher:
        try:
            text = _library_text(grammar)
        except (ValueError, RecursionError) as error:
            raise InvalidGrammar(_reason(error)) from None
        matcher = LLMatcher(self.vocabulary, text, log_level=0, limits=LLParserLimits(**_LIMITS))
        if not matcher.is_error():
            matcher.compute_bitmask()  # tells whether anything fits the grammar at all
        if matcher.is_error():
            raise InvalidGrammar(_reason(matcher.get_error()))
        return matcher

    @cached_property
    def vocabulary(self) -> LLTokenizer:
        """Takes half a second for 50,000 tokens: not for the event loop.

        Raises:
            InvalidGrammar: tokens of this kind of tokenizer cannot be told apart by their bytes.
        """
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise InvalidGrammar("This model's tokenizer is of a kind that no grammar can hold.")
        described = json.loads(backend.to_str())
        described |= {"padding": None, "truncation": None}
        return LLTokenizer(json.dumps(described), eos_token=self._end_ids or None)

    # --- the steps of all replies, computed together ----------------------------------------------

    def step(self, matcher: LLMatcher, token_id: int | None) -> asyncio.Future[Outcome]:
        """Take a token, and find out what may follow; whatever waits is computed in one go."""
        step = _Step(matcher, token_id)
        self._waiting.append(step)
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="farmesh-guides")
        return step.outcome

    async def _run(self) -> None:
        try:
            while self._waiting:
                steps, self._waiting = self._waiting, []
                walking = self._walker.submit(partial(self._walk, steps))
                outcomes = await asyncio.wrap_future(walking)
                for step, outcome in zip(steps, outcomes, strict=True):
                    if not step.outcome.done():
                        step.outcome.set_result(outcome)
        finally:
            self._running = None

    def _walk(self, steps: list[_Step]) -> list[Outcome]:
        going: list[tuple[LLMatcher, int]] = []
        for index, step in enumerate(steps):
            if step.token_id is not None:
                step.matcher.consume_token(step.token_id)
            if not step.matcher.is_stopped():
                going.append((step.matcher, index))
        size = self.vocabulary.vocab_size
        words = np.zeros((len(steps), (size + 31) // 32), np.int32)
        if going:
            fill_next_token_bitmask_par(self._executor, going, words)
        bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little", count=size)
        return [_outcome(step.matcher, bits[i]) for i, step in enumerate(steps)]

    @cached_property
    def _executor(self) -> LLExecutor:
        return LLExecutor()


class _Step:
    """A token that a reply got, and what may follow it; ``None`` before the first."""

    def __init__(self, matcher: LLMatcher, token_id: int | None) -> None:
        self.matcher, self.token_id = matcher, token_id
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()


Outcome = Banned | GrammarTooComplex | None  # None: the grammar is at its end


def _outcome(matcher: LLMatcher, allowed: NDArray[np.uint8]) -> Outcome:
    if not matcher.is_error():
        return None if matcher.is_stopped() else allowed == 0
    return GrammarTooComplex(
        "The reply's grammar has become too complex at this place: " + _reason(matcher.get_error())
    )


class Guide:
    """One reply's way through a grammar; its user alternates :meth:`banned` and :meth:`take`."""

    def __init__(self, guides: Guides, matcher: LLMatcher) -> None:
        self._guides, self._matcher = guides, matcher
        self._next = guides.step(matcher, None)

    def __repr__(self) -> str:
        return f"<Guide {'KNOWS' if self._next.done() else 'COMPUTES'} what may come next>"

    async def banned(self) -> Banned | None:
        """The tokens that may not come next; None when the grammar is at its end.

        Raises:
            GrammarTooComplex: that cannot be found out.
        """
        outcome = await self._next
        if isinstance(outcome, GrammarTooComplex):
            raise outcome
        return outcome

    def take(self, token_id: int) -> None:
        """This token came; what may follow is computed from now on."""
        self._next = self._guides.step(self._matcher, token_id)


class _DeepThread:
    """One thread with a deep stack, begun with the first work for it."""

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)

    def submit(self, work: Callable[[], T]) -> Future[T]:
        with _stack_lock:  # the size is the whole process's, for threads that begin meanwhile
            before = threading.stack_size(STACK_BYTES)
            try:
                return self._pool.submit(work)
            finally:
                threading.stack_size(before)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _seen(compiling: asyncio.Future[LLMatcher]) -> None:
    """Nobody may be waiting any more for what went wrong."""
    if not compiling.cancelled():
        compiling.exception()


def _library_text(grammar: Grammar) -> str:
    """The grammar as llguidance takes it.

    Raises:
        ValueError, RecursionError: it cannot be read.
    """
    match grammar.kind:
        case GrammarKind.JSON:
            options: Any = {"whitespace_pattern": WHITE_SPACE}
            return LLMatcher.grammar_from_json_schema(grammar.text, overrides=options)
        case GrammarKind.REGEX:
            return LLMatcher.grammar_from_regex(grammar.text)
        case GrammarKind.CHOICE:
            choices = (json.dumps(text, ensure_ascii=False) for text in json.loads(grammar.text))
            return LLMatcher.grammar_from_lark("start: " + " | ".join(choices))
        case GrammarKind.GRAMMAR:
            return LLMatcher.grammar_from_lark(_lark(grammar.text))


def _lark(text: str) -> str:
    """
    Raises:
        ValueError: it is neither Lark nor GBNF.
    """
    try:
        return any_to_lark(text)
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001 - the converter raises bare ones for all it finds
        raise ValueError(f"it is no Lark with a start rule, and no GBNF either: {error}") from None


def _reason(error: object) -> str:
    """What the library says, on one line."""
    if isinstance(error, RecursionError):
        return "It has too many levels."
    if str(error).startswith("NoExtensionBias"):
        return "Nothing fits it."
    said = re.sub(r"\s+", " ", str(error).replace("<non-verbose/>", "")).strip()
    return f"{said[:300]}{'' if said.endswith('.') else '.'}"
