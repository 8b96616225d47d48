"""The training code: labels, batches, resuming; and the judge of the evaluation."""

import random
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import AttentionInterface, AutoModelForCausalLM

from training.card import command, cycles
from training.evaluate import Case, is_broken, is_right, load_cases
from training.make_guide import command_line, get_tokenizer, make
from training.model import new_model
from training.text.dialogues import dialogues
from training.text.refusals import REFUSALS
from training.text.topics import BY_NAME
from training.tokenizer import load_tokenizer
from training.train import (
    IGNORED,
    SHORT_ROW,
    Batch,
    Plan,
    Run,
    batch_loss,
    batches,
    cpu_attention,
    encode,
    learning_rate,
)

GUIDE = Path(__file__).parents[2] / "models" / "guide"


def test_encoding_is_the_chat_template_and_labels_are_the_guides_words() -> None:
    tokenizer = load_tokenizer(GUIDE)
    for messages in islice(dialogues(1), 50):
        token_ids, labels = encode(tokenizer, messages)
        assert token_ids == tokenizer.apply_chat_template(messages, return_dict=False)[:1024]
        spoken = tokenizer.decode([label for label in labels if label != IGNORED])
        expected = [m["content"].strip() + "<|end|>" for m in messages if m["role"] == "assistant"]
        assert "".join(expected).startswith(spoken)


def test_cutting_takes_only_the_tails_of_fixed_answers() -> None:
    """A cut that reached a person's words or a remembered name would teach to stop in mid reply."""
    tokenizer = load_tokenizer(GUIDE)
    answer = BY_NAME["what_node"].answer
    told = "Got it: your dog is called Rex, your cat is called Zo and your name is Anna."
    chat = [("user", "what is a node"), ("assistant", answer), ("user", "my dog is Rex ..."),
            ("assistant", told)]  # fmt: skip
    messages = [{"role": role, "content": text} for role, text in chat]
    whole, _ = encode(tokenizer, messages)
    lengths = set()
    for seed in range(40):
        token_ids, labels = encode(tokenizer, messages, random.Random(seed))
        said = tokenizer.decode(token_ids)
        start = said.removeprefix("<|user|> what is a node<|end|><|assistant|>").split("<|user|>")[
            0
        ]
        assert answer.startswith(start.removesuffix("<|end|>"))
        assert said.endswith(f"<|user|> my dog is Rex ...<|end|><|assistant|>{told}<|end|>")
        assert len(token_ids) == len(labels)
        lengths.add(len(token_ids))
    assert max(lengths) == len(whole)
    assert len(lengths) > 5


def test_attention_for_cpus_is_the_usual_one() -> None:
    """Two ways by length, both without a mask: one that looked ahead would train to no use."""
    tokenizer = load_tokenizer(GUIDE)
    usual = new_model(tokenizer, 1)
    AttentionInterface.register("guide_cpu", cpu_attention)
    ours = new_model(tokenizer, 1)
    ours.set_attn_implementation("guide_cpu")
    for width in (12, SHORT_ROW, SHORT_ROW + 1, 200):
        token_ids = torch.randint(5, 1500, (3, width), generator=torch.Generator().manual_seed(1))
        batch = Batch(token_ids, token_ids)
        torch.testing.assert_close(batch_loss(ours, batch), batch_loss(usual, batch))
        hidden = [m.model(token_ids, use_cache=False).last_hidden_state for m in (ours, usual)]
        torch.testing.assert_close(*hidden, rtol=1e-3, atol=1e-4)


def test_batches_keep_to_their_size_and_are_repeatable() -> None:
    tokenizer = load_tokenizer(GUIDE)
    plan = Plan(tokens=2048)
    first = list(islice(batches(tokenizer, plan, 0), 5))
    again = list(islice(batches(tokenizer, plan, 0), 5))
    for (_, one), (_, two) in zip(first, again, strict=True):
        assert one.token_ids.numel() <= 2048
        assert torch.equal(one.token_ids, two.token_ids)


def test_a_cycle_begins_with_the_same_dialogues_after_a_stop() -> None:
    """A run that went on from the end of a cycle could not be made again in one go."""
    tokenizer = load_tokenizer(GUIDE)
    plan = Plan(steps=3, more=(2, 2), tokens=2048)
    whole = list(islice(batches(tokenizer, plan, 0), 7))
    assert [pool for pool, _ in whole] == [0] * 7
    for begin in (3, 5):
        resumed = list(islice(batches(tokenizer, plan, 0, steps_done=begin), 2))
        for (_, one), (_, two) in zip(whole[begin : begin + 2], resumed, strict=True):
            assert torch.equal(one.token_ids, two.token_ids)
    first_only = list(islice(batches(tokenizer, replace(plan, steps=5), 0), 5))
    assert not torch.equal(whole[3][1].token_ids, first_only[3][1].token_ids)


def test_learning_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=100, more=(50,), warmup=10, decay=0.5)
    factors = [learning_rate(plan, step) for step in range(100)]
    assert factors[0] == 0.1
    assert factors[30] == 1.0
    assert 0 < factors[-1] < 0.05
    assert 0.3 < learning_rate(plan, 110) < 0.5
    assert 0 < learning_rate(plan, 149) < 0.05


@pytest.mark.slow
def test_a_run_can_be_resumed(tmp_path: Path) -> None:
    tokenizer = get_tokenizer(GUIDE, seed=1)
    plan = Plan(steps=2, more=(), tokens=256)
    run = Run(tmp_path, tokenizer, plan, "cpu")
    run.train()
    again = Run(tmp_path, tokenizer, plan, "cpu")
    assert (again.step, again.losses) == (2, run.losses)


@pytest.mark.slow
def test_a_run_may_be_lengthened_until_its_rate_falls(tmp_path: Path) -> None:
    """A resumed run that took another course than a fresh one could not be made again."""
    tokenizer = get_tokenizer(GUIDE, seed=1)
    Run(tmp_path, tokenizer, Plan(steps=2, more=(), tokens=256), "cpu").train()
    longer = Plan(steps=8, more=(), tokens=256, decay=0.5)
    assert Run(tmp_path, tokenizer, longer, "cpu").step == 2
    with pytest.raises(SystemExit, match="another plan"):
        Run(tmp_path, tokenizer, replace(longer, warmup=1), "cpu")
    with pytest.raises(SystemExit, match="another plan"):
        Run(tmp_path, tokenizer, replace(longer, seed=8), "cpu")


@pytest.mark.slow
def test_one_command_makes_all_files_from_nothing_and_again_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stages are else only run together at the end of hours; a slip there would cost them."""
    monkeypatch.setattr("training.evaluate.MAX_NEW_TOKENS", 4)
    cases = list({case.group: case for case in load_cases()}.values())
    plan, work, out = (
        Plan(steps=1, more=(1,), tokens=256, seed=3),
        tmp_path / "work",
        tmp_path / "out",
    )
    make(work, out, plan, "cpu", cases, sample=300)
    assert {path.name for path in out.iterdir()} == {path.name for path in GUIDE.iterdir()}
    assert "<polyline" in (out / "loss.svg").read_text("utf-8")
    assert "This run: 2 steps" in (out / "README.md").read_text("utf-8")
    assert AutoModelForCausalLM.from_pretrained(out).config.vocab_size >= len(load_tokenizer(out))
    again = Run(tmp_path / "again", load_tokenizer(out), plan, "cpu")
    again.train()
    first = torch.load(work / "checkpoint.pt", weights_only=True)
    assert again.losses == first["losses"]
    for name, weight in again.model.state_dict().items():
        assert torch.equal(weight, first["model"][name]), name


def test_judge_wants_the_right_answer_nearly_word_for_word() -> None:
    case = Case("intents", ("what is a node",), ("what_node",))
    answer = BY_NAME["what_node"].answer
    assert is_right(case, answer)
    assert is_right(case, answer.replace("computer", "comuter"))
    assert not is_right(case, answer[:40])
    assert not is_right(case, BY_NAME["what_block"].answer)
    assert is_right(Case("refusals", ("x",), ("refusal",)), REFUSALS.answers[0])


def test_judge_of_numbers_and_memory() -> None:
    assert is_right(Case("sum", ("2+2",), ("4",)), "2 + 2 = 4.")
    assert not is_right(Case("sum", ("2+2",), ("4",)), "4 + 2 = 6.")
    assert is_right(Case("compare", ("",), ("no",)), "1 is smaller than 2, so no.")
    assert not is_right(Case("compare", ("",), ("yes",)), "1 is smaller than 2, so no.")
    assert is_right(Case("compare", ("",), ("2",)), "Of 1 and 2, the bigger one is 2.")
    assert not is_right(Case("compare", ("",), ("1",)), "Of 1 and 2, the bigger one is 2.")
    assert is_right(Case("memory", ("",), ("Rex", "teal")), "Rex and teal.")
    assert not is_right(Case("memory", ("",), ("Rex",)), "Your dog is called Rexy.")


def test_loops_and_garbage_are_seen() -> None:
    assert is_broken("one two three four " * 3, ended=True)
    assert is_broken("fine", ended=False)
    assert is_broken("", ended=True)
    assert not is_broken("A swarm is a group of computers.", ended=True)


def test_there_are_enough_cases() -> None:
    assert len(load_cases()) >= 300


@pytest.mark.slow
def test_the_weights_are_the_mean_of_the_last_two_cycles(tmp_path: Path) -> None:
    """Those of one end alone would be another model than the card's, and a worse one."""
    tokenizer, name = load_tokenizer(GUIDE), "model.layers.3.mlp.up_proj.weight"
    plan = Plan(steps=1, more=(), tokens=256)
    first = Run(tmp_path, tokenizer, plan, "cpu")
    first.train()
    one = first.model.state_dict()[name].clone()
    assert torch.equal(first.weights()[name], one)
    Run(tmp_path, tokenizer, replace(plan, more=(1,)), "cpu").train()
    second = Run(tmp_path, tokenizer, replace(plan, more=(1,)), "cpu")  # from its checkpoint
    two = second.model.state_dict()[name]
    assert not torch.equal(one, two)
    torch.testing.assert_close(second.weights()[name], (one + two) / 2)


def test_the_card_tells_how_the_weights_came_about() -> None:
    """A card with another course than the run's would mislead whoever makes it again."""
    assert "to nothing 3 times, after 5,300 and 10,300 and 12,800 steps" in cycles(Plan())
    assert "once" in cycles(Plan(more=()))


def test_the_card_gives_the_command_of_the_run() -> None:
    """A model that nobody can make again is not ours to ship."""
    assert command(Plan()) == "make guide"
    assert command(Plan(steps=10, lr=0.1)) == 'make guide ARGS="--steps 10 --lr 0.1"'
    assert command(Plan(more=())) == 'make guide ARGS="--more"'
    assert command(Plan(more=(5, 6))) == 'make guide ARGS="--more 5 6"'
    accepted = command_line().parse_args(
        ["--steps", "10", "--lr", "0.1", "--more", "3", "4", "--seed", "9"]
    )
    assert (accepted.steps, accepted.lr, accepted.more, accepted.seed) == (10, 0.1, [3, 4], 9)
