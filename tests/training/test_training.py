"""The training code: labels, batches, resuming; and the judge of the evaluation."""

from itertools import islice
from pathlib import Path

import torch

from training.evaluate import Case, is_broken, is_right, load_cases
from training.make_guide import get_tokenizer
from training.text.dialogues import BY_NAME, dialogues
from training.text.refusals import ANSWERS
from training.tokenizer import load_tokenizer
from training.train import IGNORED, Plan, Run, batches, encode, learning_rate

GUIDE = Path(__file__).parents[2] / "models" / "guide"


def test_encoding_is_the_chat_template_and_labels_are_the_guides_words() -> None:
    tokenizer = load_tokenizer(GUIDE)
    for messages in islice(dialogues(1), 50):
        token_ids, labels = encode(tokenizer, messages)
        assert token_ids == tokenizer.apply_chat_template(messages, return_dict=False)[:1024]
        spoken = tokenizer.decode([label for label in labels if label != IGNORED])
        expected = [m["content"].strip() + "<|end|>" for m in messages if m["role"] == "assistant"]
        assert "".join(expected).startswith(spoken)


def test_batches_keep_to_their_size_and_are_repeatable() -> None:
    tokenizer = load_tokenizer(GUIDE)
    plan = Plan(tokens=2048)
    first = list(islice(batches(tokenizer, plan, 0), 5))
    again = list(islice(batches(tokenizer, plan, 0), 5))
    for (_, one), (_, two) in zip(first, again, strict=True):
        assert one.token_ids.numel() <= 2048
        assert torch.equal(one.token_ids, two.token_ids)


def test_learning_rate_rises_stays_and_falls() -> None:
    plan = Plan(steps=100, more=50, warmup=10, decay=0.5)
    factors = [learning_rate(plan, step) for step in range(100)]
    assert factors[0] == 0.1
    assert factors[30] == 1.0
    assert 0 < factors[-1] < 0.05
    assert 0.3 < learning_rate(plan, 110) < 0.5
    assert 0 < learning_rate(plan, 149) < 0.05


def test_a_run_can_be_resumed(tmp_path: Path) -> None:
    tokenizer = get_tokenizer(GUIDE, seed=1)
    plan = Plan(steps=2, more=0, tokens=256)
    run = Run(tmp_path, tokenizer, plan, "cpu")
    run.train()
    again = Run(tmp_path, tokenizer, plan, "cpu")
    assert (again.step, again.losses) == (2, run.losses)


def test_judge_wants_the_right_answer_nearly_word_for_word() -> None:
    case = Case("intents", ("what is a node",), ("what_node",))
    answer = BY_NAME["what_node"].answer
    assert is_right(case, answer)
    assert is_right(case, answer.replace("computer", "comuter"))
    assert not is_right(case, answer[:40])
    assert not is_right(case, BY_NAME["what_block"].answer)
    assert is_right(Case("refusals", ("x",), ("refusal",)), ANSWERS[0])


def test_judge_of_numbers_and_memory() -> None:
    assert is_right(Case("sum", ("2+2",), ("4",)), "2 + 2 = 4.")
    assert not is_right(Case("sum", ("2+2",), ("4",)), "4 + 2 = 6.")
    assert is_right(Case("compare", ("",), ("no",)), "No, 1 is smaller than 2.")
    assert is_right(Case("memory", ("",), ("Rex", "teal")), "Rex and teal.")
    assert not is_right(Case("memory", ("",), ("Rex",)), "Your dog is called Rexy.")


def test_loops_and_garbage_are_seen() -> None:
    assert is_broken("one two three four " * 3, ended=True)
    assert is_broken("fine", ended=False)
    assert is_broken("", ended=True)
    assert not is_broken("A swarm is a group of computers.", ended=True)


def test_there_are_enough_cases() -> None:
    assert len(load_cases()) >= 300
