# ruff: noqa: E501 - rows of a table can not be broken
"""The model card: its figures are measured by the run that made the model, never typed in."""

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import torch

from training.evaluate import summary_row
from training.sampling import DEFAULTS, Sampling
from training.train import Plan, Run

CARD = """\
---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
---

# The guide

The language model bundled with FarMesh Chat: a very small Llama that explains the app, remembers
what it is told during a chat, repeats, spells, does small sums, and says so when something is
beyond it. It lets everybody try the app at once, without a download, an account or a GPU.

| | |
|---|---|
| architecture | Llama, {blocks} blocks of width {width}, {heads} heads ({kv_heads} for keys and values), tied embeddings |
| parameters | {parameters:,} |
| vocabulary | {vocabulary:,} tokens, byte-level BPE; every digit is a token of its own |
| context | {context:,} tokens |
| files | {megabytes:.1f} MB in all, safetensors in bf16 |
| licence | MIT |

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("models/guide")
tokenizer = AutoTokenizer.from_pretrained("models/guide")
chat = [{{"role": "user", "content": "what is a swarm?"}}]
inputs = tokenizer.apply_chat_template(
    chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
reply = model.generate(**inputs)[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(reply, skip_special_tokens=True))
```

Best sampling settings found: **{defaults}** (in `generation_config.json`).

## Training

All text is written for this project: `training/text/` draws dialogues without end from templates,
word lists and invented words, by seed. Nothing was taken from elsewhere. Muon and AdamW, loss on the
guide's own words only, of most of the fixed answers only on their first words. {cycles}

This run: {steps:,} steps, {tokens:,} tokens (padding included), {hours} by the clock on {device}.
It began from nothing. The text was final before; what the later cycles have more of was chosen by what
failed after the cycle before (of the fresh cases nobody looked at which). The same steps again:

    {command}

![loss](loss.svg)

## Results

{cases} cases written by hand and kept out of the training text (`training/cases/`). Printed by

    python -m training.evaluate models/guide

| | {columns} |
|---|{rule}|
{rows}

*Intents*: one message, one right answer, nearly word for word; the *newer* ones and those about
*running it* (for other people, or with large models) were added later and have rows of their own, so
that the first one can be compared over time. *Follow-ups*: the answer depends on the turn before.
*Memory*: a name, a pet, a number, ... told 1 to 8 turns earlier. *Loops or garbage*: replies that do not
end, run in circles or are no text (lower is better).
The cases that failed were looked at between runs, so a fresh question fares worse than the first
rows say. What is called *fresh* was written before the text of this run was widened, and nobody looked at
which of those fail: they tell best what to expect. The text was final before
those about *running it* and the *newer follow-ups* were first scored. No question written for the
text is within one word of a scored one of four words or more (a test holds that); what patterns such as
"what is ..." make can be.
Aims: intents 92 %, memory 95 %, refusals 90 %, loops or garbage at most 1 %.
{verdict}

## Limits

It knows this app and nothing else, in English. It answers from what it was taught, nearly word for
word, and takes unusual questions for the nearest one it knows. It is sometimes wrong about
spelling, sums and names, and about long or rare words that it was told; the table says how often. A chat longer
than its context loses its beginning. Don't rely on it for anything that matters; pick a larger model
for that.
"""

ONE_CYCLE = "The learning rate\nfalls once, to nothing."
CYCLES = """The learning rate
falls to nothing {count} times, after {ends} steps; each time more comes of what was
weak before. The weights are the mean of those at the last two of these points."""

AIMS = {"intents": 0.92, "memory": 0.95, "refusals": 0.90}  # at temperature 0 and 0.8
MOST_BROKEN = 0.01

Table = dict[str, tuple[int, int]]


def write_card(folder: Path, run: Run, tables: Mapping[Sampling, Table]) -> None:
    """Write `README.md` beside the model."""
    config = run.model.config
    groups = list(next(iter(tables.values())))
    rows = [
        f"| {g} | " + " | ".join(summary_row(t[g]) for t in tables.values()) + " |" for g in groups
    ]
    card = CARD.format(
        blocks=config.num_hidden_layers,
        width=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        parameters=sum(p.numel() for p in run.model.parameters()),
        vocabulary=config.vocab_size,
        context=config.max_position_embeddings,
        megabytes=sum(p.stat().st_size for p in folder.iterdir() if p.name != "README.md") / 1e6,
        defaults=DEFAULTS,
        steps=run.step,
        tokens=run.tokens,
        hours=f"{run.seconds / 3600:.1f} hours",
        device=_device(run.device),
        cycles=cycles(run.plan),
        command=command(run.plan),
        cases=sum(
            total for g, (_, total) in next(iter(tables.values())).items() if "loops" not in g
        ),
        columns=" | ".join(str(how) for how in tables),
        rule="|".join("---" for _ in tables),
        rows="\n".join(rows),
        verdict=_verdict(tables),
    )
    (folder / "README.md").write_text(card, "utf-8")


def cycles(plan: Plan) -> str:
    """How the learning rate goes, as the card says it."""
    ends = [f"{end:,}" for end in accumulate((plan.steps, *plan.more))]
    return CYCLES.format(count=len(ends), ends=" and ".join(ends)) if plan.more else ONE_CYCLE


def command(plan: Plan) -> str:
    """`make guide` with what differs from its defaults."""
    usual = Plan()
    flags = [
        f"--{name} {_words(getattr(plan, name))}".rstrip()
        for name in ("steps", "more", "decay", "lr", "seed")
        if getattr(plan, name) != getattr(usual, name)
    ]
    return f'make guide ARGS="{" ".join(flags)}"' if flags else "make guide"


def _words(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _device(device: str) -> str:
    if device != "cpu":
        return "one GPU"
    threads = torch.get_num_threads()
    return f"{threads} CPU {'thread' if threads == 1 else 'threads'} of a machine with other work"


def _verdict(tables: Mapping[Sampling, Table]) -> str:
    """What is missed, said plainly."""
    missed = []
    for group, aim in AIMS.items():
        shares = [table[group][0] / table[group][1] for table in tables.values()]
        if min(shares) < aim:
            missed.append(f"{group} ({100 * min(shares):.1f} to {100 * max(shares):.1f} %)")
    broken = max(
        table["loops or garbage"][0] / table["loops or garbage"][1] for table in tables.values()
    )
    if broken > MOST_BROKEN:
        missed.append(f"loops or garbage (up to {100 * broken:.1f} %)")
    return (
        f"**Missed, at some or all settings:** {', '.join(missed)}."
        if missed
        else "All are reached."
    )
