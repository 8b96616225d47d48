"""From nothing to the shipped files: tokenizer, training, export, evaluation, model card.

    python -m training.make_guide
    python -m training.make_guide --steps 100 --more 0 --work training/runs/t --out training/runs/o

Stopped in the middle, it goes on where it was.
"""

import argparse
import shutil
from itertools import islice
from pathlib import Path

import torch
from transformers import PreTrainedTokenizerFast

from training.card import write_card
from training.evaluate import Speaker, load_cases, run_cases, summary
from training.sampling import EVALUATED
from training.text.dialogues import dialogues
from training.tokenizer import load_tokenizer, train_tokenizer
from training.train import Plan, Run, export, plot_losses

TOKENIZER_DIALOGUES = 20_000  # the tokenizer's own sample; apart from the training stream


def get_tokenizer(folder: Path, seed: int) -> PreTrainedTokenizerFast:
    """The run's tokenizer; trained when the run has none yet."""
    if not (folder / "tokenizer.json").exists():
        sample = islice(dialogues(-seed), TOKENIZER_DIALOGUES)
        texts = [
            message["content"] if message["role"] == "assistant" else " " + message["content"]
            for messages in sample
            for message in messages
        ]
        train_tokenizer(texts).save_pretrained(folder)
    return load_tokenizer(folder)


def make(work: Path, out: Path, plan: Plan, device: str) -> None:
    """Run all the stages."""
    tokenizer = get_tokenizer(work / "tokenizer", plan.seed)
    run = Run(work, tokenizer, plan, device)
    run.train()
    export(run.model, tokenizer, out)
    plot_losses(run.losses, work / "loss.svg")
    shutil.copy(work / "loss.svg", out / "loss.svg")
    speaker = Speaker.load(out)
    tables = {how: summary(run_cases(speaker, load_cases(), how)) for how in EVALUATED}
    write_card(out, run, tables)
    print(f"written: {out}")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("training/runs/guide"))
    parser.add_argument("--out", type=Path, default=Path("models/guide"))
    parser.add_argument("--steps", type=int, default=Plan().steps, help="of the first cycle")
    parser.add_argument("--more", type=int, default=Plan().more, help="steps of a second cycle")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    make(args.work, args.out, Plan(steps=args.steps, more=args.more), device)


if __name__ == "__main__":
    main()
