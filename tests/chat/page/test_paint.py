"""What the page shows of a chat and of the swarm."""

from __future__ import annotations

import json
from html import unescape

import pytest

from chat.conversation import controls
from chat.conversation.tree import Entry, Message
from chat.errors import Notice
from chat.live.view import ChatView
from chat.models.health import Headline, Tone, headline
from chat.page import paint
from chat.page.block_map import block_map
from chat.page.markup import typed
from chat.words import explain
from farmesh.core import NodeInfo, NodeState, Span, SwarmSnapshot
from farmesh.errors import ContextOverflow, HopLost, InvalidSampling, MissingBlocks
from farmesh.events import TokenGenerated, WaitingForBlocks
from farmesh.params import SamplingParams
from tests.support.fakes import FakeClient, ready_backend

EVIL = "<img src=x onerror=alert(1)>\"'</script>"


def view(**changes: object) -> ChatView:
    facts: dict[str, object] = {
        "revision": 1,
        "entries": (),
        "live": None,
        "queued": (),
        "queued_ids": (),
        "sent": (),
        "can_redo": False,
        "notice": None,
        "status": "",
        "used": 0,
        "limit": 100,
        "dropped": 0,
        "route": None,
    }
    return ChatView(**{**facts, **changes})  # type: ignore[arg-type]


def test_everything_that_people_and_nodes_write_is_escaped() -> None:
    """health pages showed the names of strangers' nodes as markup."""
    node = NodeInfo("Qm" + EVIL, Span(0, 2), NodeState.ONLINE, 1.0, public_name=EVIL, version=EVIL)
    drawn = [
        block_map(SwarmSnapshot("x", 4, (node,)), join=EVIL),
        paint.notice(view(notice=Notice(EVIL))),
        paint.queued(view(queued=(EVIL,), queued_ids=(EVIL,))),
        paint.status(view(status=EVIL)),
    ]
    for html in drawn:
        assert "<img" not in html
        assert "</script" not in html
        assert "\n\n" not in html, "Markdown would end the HTML here"


def test_block_map_shows_gaps_and_redundancy() -> None:
    nodes = (
        NodeInfo("a", Span(0, 3), NodeState.ONLINE, 1.0),
        NodeInfo("b", Span(2, 3), NodeState.ONLINE, 1.0),
        NodeInfo("c", Span(3, 4), NodeState.JOINING, 1.0),
    )
    html = block_map(SwarmSnapshot("x", 4, nodes))
    assert [html.count(f'class="{kind}"') for kind in ("one", "many", "gap")] == [2, 1, 1]
    assert "4 blocks; nobody serves block 3" in html


def test_map_says_in_words_which_node_cannot_be_spared() -> None:
    """Redundancy was a darker green, which nobody can read."""

    def said(*spans: Span) -> str:
        nodes = tuple(
            NodeInfo(f"n{i}", span, NodeState.ONLINE, 1.0) for i, span in enumerate(spans)
        )
        return block_map(SwarmSnapshot("x", 4, nodes))

    assert "Every block is served once: no node can be spared." in said(Span(0, 4))
    assert "at least 2 times: any node can be spared" in said(Span(0, 4), Span(0, 4))
    assert "Only one node serves blocks 1 to 3." in said(Span(0, 4), Span(0, 1))
    assert "spared" not in said(Span(0, 3)), "there is a gap: that is what matters"


def test_gap_says_what_would_fill_it() -> None:
    """A page that only waits tells nobody what is missing."""
    node = NodeInfo("a", Span(0, 3), NodeState.ONLINE, 1.0, version="0.1.0")
    join = "python -m farmesh serve models/x --prefix x --peers /ip4/127.0.0.1/tcp/1/p2p/Qm"
    html = block_map(SwarmSnapshot("x", 8, (node,)), join=join)
    assert "Nobody serves blocks 3 to 7." in html
    assert f"{join} --blocks 3:8" in html
    assert "v0.1.0" in html
    whole = block_map(SwarmSnapshot("x", 3, (node,)), join=join)
    assert "fm-wanted" not in whole


def test_add_a_node_says_who_can_join() -> None:
    """The command was given without saying that no other machine reaches this swarm."""
    here = block_map(SwarmSnapshot("x", 8), join="serve --peers /ip4/127.0.0.1/tcp/1/p2p/Qm")
    open_ = block_map(SwarmSnapshot("x", 8), join="serve --peers /ip4/192.0.2.2/tcp/1/p2p/Qm")
    assert "on this machine only" in here
    assert "0.0.0.0" in here
    assert "on this machine only" not in open_
    assert "the model's files" in open_


def test_a_thousand_blocks_are_still_a_map() -> None:
    html = block_map(SwarmSnapshot("x", 1000, ()))
    assert html.count("<i ") <= 64
    assert "blocks 0 to 15" in html


def test_headline_names_what_is_wrong() -> None:
    now = [0.0]
    backend = ready_backend(FakeClient(), clock=lambda: now[0])
    assert headline(backend) == Headline("Looking for nodes", Tone.WAIT)
    now[0] = 60.0
    assert headline(backend) == Headline("Nobody serves Fake", Tone.BAD)
    # Our own node is known to be gone long before its record in the DHT expires.
    backend.warn("node-1 is being started again")
    assert headline(backend) == Headline("node-1 is being started again", Tone.WAIT)


def test_headline_believes_a_reply_more_than_old_records() -> None:
    """'Nobody serves blocks 4 to 7' stood beside a reply that had just been made."""
    now = [60.0]
    backend = ready_backend(FakeClient(), clock=lambda: now[0])
    now[0] = 120.0
    backend.heard(TokenGenerated(1, 0, 0))
    assert headline(backend) == Headline("Ready", Tone.GOOD)
    backend.heard(WaitingForBlocks(Span(0, 4), 59.0))
    assert headline(backend) == Headline("Nobody serves Fake", Tone.BAD)
    backend.heard(TokenGenerated(1, 0, 0))
    now[0] += 20.0
    assert headline(backend).tone is Tone.BAD


def test_preset_is_named_only_while_the_controls_have_its_values() -> None:
    """'Model's own' stood over values that a person had changed."""
    own = SamplingParams(temperature=0.3, max_new_tokens=160)
    values = controls.preset_values("Balanced", own, {})
    assert values is not None
    assert controls.has_values_of("Balanced", values, own, {})
    assert not controls.has_values_of(controls.OWN_PRESET, values, own, {})
    assert not controls.has_values_of("Balanced", values | {"top_k": 5}, own, {})
    assert controls.has_values_of("Mine", values, own, {"Mine": values})
    assert controls.has_values_of("Min", values, own, {}), "a name that is being typed"


def test_meter_warns_at_eighty_percent_and_tells_who_left() -> None:
    assert "near" not in paint.meter(view(used=79))
    assert "Only 20 tokens left" in paint.meter(view(used=80))
    assert "first 3 messages no longer fit" in paint.meter(view(used=80, dropped=3))


def test_reasoning_is_folded_and_its_place_is_known() -> None:
    text = "<think>why\n\tso</think>\n\nBecause."
    entries = (Entry(4, Message("user", "<think>x")), Entry(9, Message("assistant", text)))
    values = paint.messages(entries)
    assert paint.owners(entries) == [4, 9, 9]
    assert [v["content"][0]["text"] for v in values] == [typed("<think>x"), "why\n\tso", "Because."]
    assert values[1]["metadata"]["status"] == "done"
    assert next(iter(paint.parts_of("<think>half"))).open


def test_text_without_reasoning_is_not_touched() -> None:
    for text in ("", "\n\n\ttext \n", "  two"):
        assert "".join(part.text for part in paint.parts_of(text)) == text


def test_facts_name_every_message_with_versions() -> None:
    """Pagers stood at the last turn alone: nothing led back to what was edited before it."""
    entries = (
        Entry(1, Message("user", "q"), version=0, versions=2),
        Entry(2, Message("assistant", "<think>x</think>y")),
        Entry(5, Message("user", "r")),
        Entry(6, Message("assistant", "z", cut=True), version=1, versions=3),
    )
    drawn = unescape(paint.facts(view(entries=entries, sent=("a",), can_redo=True)))
    known = json.loads(drawn.partition('data-facts="')[2].partition('"></i>')[0])
    assert known == {
        "nodes": [1, 2, 2, 5, 6],
        "sent": ["a"],
        "redo": True,
        "versions": {"1": [1, 2], "6": [2, 3]},
        "cut": True,
    }


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("top_k", 2.5, "Top-k must be a whole number"),
        ("top_p", 0, "Top-p must be above 0 and at most 1, not 0"),
        ("temperature", float("nan"), "Temperature must be between 0 and 100"),
        ("max_new_tokens", None, "Longest reply needs a number"),
        ("seed", "-1", "Seed must be a whole number"),
        ("seed", "1e3", "Seed must be a whole number"),
        ("stop", "\n".join("abcdefghijklmnopq"), "stop takes at most"),
    ],
)
def test_absurd_values_are_named_not_changed(name: str, value: object, sentence: str) -> None:
    values: dict[str, object] = {n: getattr(SamplingParams(), n) for n in controls.NUMBERS}
    assert controls.read(values) == SamplingParams()
    with pytest.raises(InvalidSampling, match=sentence):
        controls.read({**values, name: value})


def test_stop_strings_may_hold_line_ends() -> None:
    assert controls.stop_strings("END\n\n\\n\\nUser:\n") == ("END", "\n\nUser:")


def test_every_preset_is_valid() -> None:
    own = SamplingParams(max_new_tokens=7, temperature=0.3)
    for name in (*controls.PRESETS, controls.OWN_PRESET):
        assert controls.preset(name, own).max_new_tokens == 7
    assert controls.preset("Neutral", own) == SamplingParams(max_new_tokens=7)


def test_errors_are_sentences_with_numbers() -> None:
    assert "2,000" in explain(ContextOverflow(3000, 2000)).text
    missing = explain(MissingBlocks(Span(3, 5)))
    assert "blocks 3 to 4" in missing.what
    assert missing.text == f"{missing.what} Your message is kept: {missing.advice}"
    assert "secret" not in explain(RuntimeError("secret")).text
    assert issubclass(HopLost, Exception)
