"""Score a guide on the held-out cases in `training/cases/`.

    python -m training.evaluate models/guide

The cases were written by hand, apart from the generator's templates, and the generator leaves out
every message that is scored here. A reply counts for an intent when, among all the answers the
guide was ever taught, the nearest one belongs to that intent and is nearly the same text.
"""

import argparse
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.modeling_utils import PreTrainedModel

from training.sampling import EVALUATED, GRID, Sampling
from training.text.dialogues import CASES
from training.text.refusals import REFUSALS
from training.text.topics import SMALL_TALK, TOPICS

NEAR = 0.85  # how alike a reply and a known answer must be, 0 to 1
MAX_NEW_TOKENS = 160
SIDE_BY_SIDE = 128  # dialogues played together


@dataclass(frozen=True, slots=True)
class Case:
    """One scored dialogue: what the person says, turn by turn, and what the last reply needs."""

    group: str  # intents, followups, refusals, memory, newer or fresh ones of these, or a skill
    turns: tuple[str, ...]
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A case with the last reply and the verdict."""

    case: Case
    reply: str
    right: bool
    broken: bool  # a loop or garbage, in any turn


def load_cases(folder: Path = CASES) -> list[Case]:
    """All held-out cases."""
    return [
        *(Case("intents", (m,), tuple(w.split("/"))) for w, m in _rows(folder / "intents.tsv")),
        *(
            Case("newer intents", (m,), tuple(w.split("/")))
            for w, m in _rows(folder / "intents_newer.tsv")
        ),
        *(
            Case("running it", (m,), tuple(w.split("/")))
            for w, m in _rows(folder / "intents_running.tsv")
        ),
        *(
            Case("followups", _turns(m), tuple(w.split("/")))
            for w, m in _rows(folder / "followups.tsv")
        ),
        *(
            Case("newer followups", _turns(m), tuple(w.split("/")))
            for w, m in _rows(folder / "followups_newer.tsv")
        ),
        *(Case("refusals", (m,), ("refusal",)) for (m,) in _rows(folder / "refusals.txt")),
        *(Case("memory", _turns(m), tuple(w.split(";"))) for m, w in _rows(folder / "memory.tsv")),
        *(Case(skill, (m,), (w,)) for skill, m, w in _rows(folder / "skills.tsv")),
        *(
            Case(f"fresh {group}", _turns(m), tuple(re.split("[/;]", w)))
            for group, m, w in _rows(folder / "fresh.tsv")
        ),
    ]  # fmt: skip


def _rows(path: Path) -> Iterator[list[str]]:
    for line in path.read_text("utf-8").splitlines():
        if line:
            yield line.split("\t")


def _turns(text: str) -> tuple[str, ...]:
    return tuple(text.split(" | "))


# --- judging ------------------------------------------------------------------------------------


def known_answers() -> list[tuple[str, str]]:
    """Every fixed answer with the intents it stands for."""
    known = [(t.name, t.answer) for t in TOPICS]
    known += [(f"more:{t.name}", t.more) for t in TOPICS]
    known += [(f"simpler:{t.name}", t.simple) for t in TOPICS if t.simple]
    known += [(f"why:{t.name}", t.why) for t in TOPICS if t.why]
    known += [(name, answer) for name, talk in SMALL_TALK.items() for answer in talk.answers]
    return known + [("refusal", answer) for answer in REFUSALS.answers]


KNOWN = known_answers()


def nearest(reply: str) -> tuple[str, float]:
    """The intent whose answer is most like the reply, and how alike they are."""
    exact = [intent for intent, answer in KNOWN if answer == reply]
    if exact:
        return exact[0], 1.0
    scored = [
        (SequenceMatcher(None, reply, answer, autojunk=False).ratio(), intent)
        for intent, answer in KNOWN
    ]
    score, intent = max(scored)
    return intent, score


def is_right(case: Case, reply: str) -> bool:
    """Whether the reply is what the case asks for."""
    match case.group:
        case group if group.split()[-1] in ("intents", "it", "followups", "refusals"):
            intent, score = nearest(reply)
            wanted = {w.removeprefix("repeat_last:") for w in case.wanted}
            return intent in wanted and score >= NEAR
        case "sum":
            return re.findall(r"\d+", reply)[-1:] == list(case.wanted)
        case "compare":
            said = re.search(r"one is (\d+)|\b(yes|no)\b", reply.lower())
            return said is not None and (said[1] or said[2]) == case.wanted[0]
        case _:
            return all(_contains(reply, wanted) for wanted in case.wanted)


def _contains(reply: str, wanted: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(wanted.lower())}(?!\w)", reply.lower()) is not None


def is_broken(reply: str, ended: bool) -> bool:
    """A reply without end, without text, with broken characters, or going round in circles."""
    if not ended or not reply.strip() or "\ufffd" in reply:
        return True
    words = re.findall(r"\w+", reply.lower())
    runs = Counter(tuple(words[i : i + 4]) for i in range(len(words) - 3))
    return any(count >= 3 for count in runs.values())


# --- generating ---------------------------------------------------------------------------------


class Speaker:
    """The model with its tokenizer; answers many dialogues at once."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast):
        self.model, self.tokenizer = model.float().eval(), tokenizer
        self.tokenizer.padding_side = "left"

    @classmethod
    def load(cls, folder: Path) -> "Speaker":
        """Read a checkpoint the way anybody would."""
        return cls(
            AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
        )

    @torch.inference_mode()
    def reply(
        self, dialogues: Sequence[list[dict[str, str]]], how: Sampling
    ) -> list[tuple[str, bool]]:
        """One reply for each dialogue, and whether it ended by itself."""
        inputs = self.tokenizer.apply_chat_template(
            list(dialogues), add_generation_prompt=True, return_tensors="pt", padding=True,
            return_dict=True,
        ).to(self.model.device)  # fmt: skip
        drawn: dict[str, object] = {
            "do_sample": False,
            "temperature": None,
            "top_p": None,
            "top_k": None,
        }
        if how.temperature > 0:
            drawn = {"do_sample": True, "temperature": how.temperature, "top_p": how.top_p,
                     "top_k": how.top_k, "min_p": how.min_p}  # fmt: skip
        output = self.model.generate(**inputs, **drawn, max_new_tokens=MAX_NEW_TOKENS)
        new = output[:, inputs["input_ids"].shape[1] :]
        ended = (new == self.tokenizer.eos_token_id).any(dim=1).tolist()
        return list(
            zip(self.tokenizer.batch_decode(new, skip_special_tokens=True), ended, strict=True)
        )


def run_cases(
    speaker: Speaker, cases: Iterable[Case], how: Sampling, seed: int = 0
) -> list[Result]:
    """Play all cases; the guide's own replies stand in the history of later turns."""
    torch.manual_seed(seed + zlib.crc32(repr(how).encode()))
    results: list[Result] = []
    waiting = sorted(cases, key=lambda case: len(case.turns))
    for at in tqdm(range(0, len(waiting), SIDE_BY_SIDE), unit="batch", leave=False):
        results += _play(speaker, waiting[at : at + SIDE_BY_SIDE], how)
    return results


def _play(speaker: Speaker, cases: Sequence[Case], how: Sampling) -> list[Result]:
    history: list[list[dict[str, str]]] = [[] for _ in cases]
    broken = [False] * len(cases)
    for turn in range(max(len(case.turns) for case in cases)):
        active = [i for i, case in enumerate(cases) if turn < len(case.turns)]
        for i in active:
            history[i].append({"role": "user", "content": cases[i].turns[turn]})
        replies = speaker.reply([history[i] for i in active], how)
        for i, (text, ended) in zip(active, replies, strict=True):
            history[i].append({"role": "assistant", "content": text})
            broken[i] |= is_broken(text, ended)
    return [
        Result(case, past[-1]["content"], is_right(case, past[-1]["content"]), bad)
        for case, past, bad in zip(cases, history, broken, strict=True)
    ]


# --- reporting ----------------------------------------------------------------------------------


def summary(results: Sequence[Result]) -> dict[str, tuple[int, int]]:
    """Right and all, per group; broken replies over everything."""
    groups = list(dict.fromkeys(result.case.group for result in results))
    table = {
        group: (
            sum(r.right for r in results if r.case.group == group),
            sum(r.case.group == group for r in results),
        )
        for group in groups
    }
    table["loops or garbage"] = (sum(r.broken for r in results), len(results))
    return table


def summary_row(counts: tuple[int, int]) -> str:
    """`181 of 200` as people read it."""
    count, total = counts
    return f"{100 * count / total:.1f} % ({count}/{total})"


def main() -> None:
    """Command line: print the table, and the failures when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", default=Path("models/guide"))
    parser.add_argument(
        "--temperature", type=float, help="only this one, instead of the settings of the card"
    )
    parser.add_argument("--top-p", type=float, default=1.0)
    parser.add_argument("--top-k", type=int, default=0)
    parser.add_argument("--min-p", type=float, default=0.0)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="cases of groups whose name has this"
    )
    parser.add_argument("--seed", type=int, default=0, help="other draws at temperatures above 0")
    parser.add_argument("--grid", action="store_true", help="compare many sampling settings")
    parser.add_argument("--failures", action="store_true", help="print every wrong reply")
    args = parser.parse_args()
    speaker = Speaker.load(args.model)
    cases = [case for case in load_cases() if args.only in case.group]
    if args.grid:
        compare(speaker, cases)
        return
    settings: tuple[Sampling, ...] = EVALUATED
    if args.temperature is not None:
        settings = (Sampling(args.temperature, args.top_p, args.top_k, args.min_p),)
    for how in settings:
        report(how, run_cases(speaker, cases, how, args.seed), failures=args.failures)


def compare(speaker: Speaker, cases: Sequence[Case]) -> None:
    """Print how many cases are right and how many broken at every setting of the grid."""
    for how in GRID:
        results = run_cases(speaker, cases, how)
        right, broken = sum(r.right for r in results), sum(r.broken for r in results)
        print(f"{how!s:26} right {right} of {len(cases)}, broken {broken}", flush=True)


def report(how: Sampling, results: Sequence[Result], *, failures: bool) -> None:
    """Print the table of one setting, and the wrong replies when asked."""
    print(f"\n{how}")
    for group, counts in summary(results).items():
        print(f"  {group:18} {summary_row(counts)}")
    for result in results:
        if failures and (result.broken or not result.right):
            mark = "BROKEN" if result.broken else "wrong"
            said = " | ".join(result.case.turns)
            wanted = "/".join(result.case.wanted)
            print(f"  {mark} {result.case.group} {wanted}: {said} -> {result.reply!r}")


if __name__ == "__main__":
    main()
