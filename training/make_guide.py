"""From nothing to the shipped files: tokenizer, training, export, evaluation, model card.

    python -m training.make_guide
    python -m training.make_guide --steps 100 --more --work training/runs/t --out training/runs/o

Stopped in the middle, it goes on where it was.
"""

import argparse
import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from training.card import write_card
from training.evaluate import Case, Speaker, load_cases, run_cases, summary
from training.sampling import EVALUATED
from training.text.dialogues import dialogues
from training.tokenizer import load_tokenizer, train_tokenizer
from training.train import Plan, Run, export, plot_losses

TOKENIZER_DIALOGUES = 20_000  # the tokenizer's own sample; apart from the training stream


def get_tokenizer(
    folder: Path, seed: int, sample: int = TOKENIZER_DIALOGUES
) -> PreTrainedTokenizerFast:
    """The run's tokenizer; trained when it has none yet."""
    if not (folder / "tokenizer.json").exists():
        texts = [
            message["content"] if message["role"] == "assistant" else " " + message["content"]
            for messages in islice(dialogues(-seed), sample)
            for message in messages
        ]
        train_tokenizer(texts).save_pretrained(folder)
    return load_tokenizer(folder)


def make(
    work: Path,
    out: Path,
    plan: Plan,
    device: str,
    cases: Sequence[Case] | None = None,
    sample: int = TOKENIZER_DIALOGUES,
) -> None:
    """Run all the stages; with other `cases`, the card is about those."""
    tokenizer = get_tokenizer(work / "tokenizer", plan.seed, sample)
    run = Run(work, tokenizer, plan, device)
    run.train()
    export(run.weights(), tokenizer, out)
    plot_losses(run.losses, work / "loss.svg")
    shutil.copy(work / "loss.svg", out / "loss.svg")
    speaker = Speaker.load(out)
    cases = load_cases() if cases is None else cases
    tables = {how: summary(run_cases(speaker, cases, how)) for how in EVALUATED}
    write_card(out, run, tables)
    print(f"written: {out}")


def command_line() -> argparse.ArgumentParser:
    """The flags; without any, a whole guide from nothing."""
    usual = Plan()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("training/runs/guide"))
    parser.add_argument("--out", type=Path, default=Path("models/guide"))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--more",
        type=int,
        nargs="*",
        default=usual.more,
        metavar="STEPS",
        help=f"of each further cycle {usual.more}",
    )
    for name, kind, text in (
        ("steps", int, "of the first cycle"),
        ("decay", float, "share of the first cycle in which the learning rate falls"),
        ("lr", float, "highest learning rate"),
        ("seed", int, "of the weights and the dialogues"),
    ):
        usually = getattr(usual, name)
        parser.add_argument(f"--{name}", type=kind, default=usually, help=f"{text} ({usually})")
    return parser


def main() -> None:
    """Command line."""
    args = command_line().parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    plan = Plan(
        steps=args.steps,
        more=tuple(args.more),
        decay=args.decay,
        lr=args.lr,
        seed=args.seed,
    )
    make(args.work, args.out, plan, device)


if __name__ == "__main__":
    main()
