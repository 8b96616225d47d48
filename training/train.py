"""Train the guide: dialogues without end in, checkpoint out. `make_guide` is the command.

The run is deterministic by seed: dialogue number n is always the same, batches are made from
dialogues in order, and a checkpoint remembers how many were used.
"""

import math
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import accumulate, islice
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from tqdm import tqdm
from transformers import AttentionInterface, LlamaForCausalLM, PreTrainedTokenizerFast

from training.model import new_model
from training.text.dialogues import FIXED_ANSWERS, MIXES, Message, dialogues
from training.tokenizer import ASSISTANT, CONTEXT, END

IGNORED = -100  # label of tokens that the guide does not write
POOL = 2048  # dialogues sorted by length together, so that batches need little padding


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does; kept in its checkpoint, so that a resumed run is the same run."""

    steps: int = 5300  # of the first cycle of the learning rate; some 80 minutes of one CPU core
    more: tuple[int, ...] = (5000, 2500)  # of each further cycle
    tokens: int = 3072  # per step, padding included
    warmup: int = 150  # steps
    decay: float = 0.6  # the last part of the run, in which the learning rate falls to 0
    lr: float = 3e-3  # of the matrices in the blocks (Muon); also of everything else (AdamW)
    weight_decay: float = 0.02
    cut: float = 0.8  # share of dialogues in which fixed answers are cut to their beginning
    seed: int = 7

    def cycle(self, step: int) -> int:
        """The number of the cycle that a step belongs to; the last one's behind the end."""
        ends = accumulate((self.steps, *self.more[:-1])) if self.more else ()
        return sum(step >= end for end in ends)


@dataclass(frozen=True, slots=True)
class Batch:
    """Dialogues side by side, padded on the right; labels only where the guide speaks."""

    token_ids: Tensor
    labels: Tensor


def encode(
    tokenizer: PreTrainedTokenizerFast, messages: list[Message], cut: random.Random | None = None
) -> tuple[list[int], list[int]]:
    """Token ids and labels of a dialogue, cut at the context; the same ids as the template's.

    With `cut`, of most fixed answers only the first tokens are taken, so many as it draws. What an
    answer is about shows in its first words; the rest is soon known by heart. Leaving it out lets
    twice as many questions fit into the same time.
    """
    end = tokenizer.convert_tokens_to_ids(END)
    pieces = [
        m["content"].strip() if m["role"] == "assistant" else " " + m["content"].strip()
        for m in messages
    ]
    encoded = tokenizer.backend_tokenizer.encode_batch(pieces, add_special_tokens=False)
    token_ids: list[int] = []
    labels: list[int] = []
    for message, encoding in zip(messages, encoded, strict=True):
        role = tokenizer.convert_tokens_to_ids(f"<|{message['role']}|>")
        spoken = [*encoding.ids, end]
        if cut and message["content"] in FIXED_ANSWERS and cut.random() < 0.9:
            spoken = spoken[: cut.randint(5, 12)]
        token_ids += [role, *spoken]
        is_guide = role == tokenizer.convert_tokens_to_ids(ASSISTANT)
        labels += [IGNORED, *(spoken if is_guide else [IGNORED] * len(spoken))]
    return token_ids[:CONTEXT], labels[:CONTEXT]


def batches(
    tokenizer: PreTrainedTokenizerFast, plan: Plan, pools_done: int, steps_done: int = 0
) -> Iterator[tuple[int, Batch]]:
    """Batches of about `plan.tokens` tokens, one per step, each with the number of its pool.

    Where a cycle ends, the pool at hand is drawn anew in the next one's mix: a run that was stopped
    there and goes on does the same.
    """
    pool, step = pools_done, steps_done
    while True:
        cycle = plan.cycle(step)
        for group in _groups(_encoded(tokenizer, plan, pool, cycle), plan, pool):
            if plan.cycle(step) != cycle:
                break
            yield pool, _padded(group, tokenizer.pad_token_id)
            step += 1
        else:
            pool += 1


def _encoded(
    tokenizer: PreTrainedTokenizerFast, plan: Plan, pool: int, cycle: int
) -> list[tuple[list[int], list[int]]]:
    """The dialogues of a pool, as `encode` gives them."""
    rng = random.Random(f"{plan.seed}/cut/{pool}")
    stream = dialogues(plan.seed, pool * POOL, MIXES[min(cycle, len(MIXES) - 1)])
    return [
        encode(tokenizer, messages, rng if rng.random() < plan.cut else None)
        for messages in islice(stream, POOL)
    ]


def _groups(
    encoded: list[tuple[list[int], list[int]]], plan: Plan, pool: int
) -> list[list[tuple[list[int], list[int]]]]:
    """Dialogues of like length together, the groups in random order."""
    groups: list[list[tuple[list[int], list[int]]]] = [[]]
    for item in sorted(encoded, key=lambda item: len(item[0])):
        if groups[-1] and len(item[0]) * (len(groups[-1]) + 1) > plan.tokens:
            groups.append([])
        groups[-1].append(item)
    order = torch.randperm(
        len(groups), generator=torch.Generator().manual_seed(plan.seed * 1_000_003 + pool)
    )
    return [groups[index] for index in order.tolist()]


def _padded(group: list[tuple[list[int], list[int]]], pad: int) -> Batch:
    width = max(len(ids) for ids, _ in group)
    return Batch(
        torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in group]),
        torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in group]),
    )


SHORT_ROW = 110  # tokens; up to here plain matrix products are the faster attention on a CPU


def cpu_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    **_: object,
) -> tuple[Tensor, None]:
    """Causal attention for training on a CPU, where torch's fused one is slow in bf16.

    Rows are padded on the right only, so a mask is not needed. Shapes: query [rows, heads, tokens,
    width], key and value with fewer heads; the result is [rows, tokens, heads, width].
    """
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    length = query.shape[2]
    if length <= SHORT_ROW:
        later = torch.full((length, length), float("-inf"), dtype=query.dtype).triu(1)
        scores = (query * scaling) @ key.transpose(-1, -2) + later
        mixed = torch.softmax(scores, -1, dtype=torch.float32).to(value.dtype) @ value
    else:
        with torch.autocast("cpu", enabled=False):
            mixed = scaled_dot_product_attention(
                query.float(), key.float(), value.float(), is_causal=True, scale=scaling
            )
    return mixed.transpose(1, 2).contiguous(), None


def batch_loss(model: LlamaForCausalLM, batch: Batch) -> Tensor:
    """Mean loss over the guide's tokens; the head runs only where it is needed."""
    hidden = model.model(batch.token_ids, use_cache=False).last_hidden_state
    labels = batch.labels[:, 1:]
    wanted = labels != IGNORED
    logits = model.lm_head(hidden[:, :-1][wanted])
    return cross_entropy(logits.float(), labels[wanted])


def learning_rate(plan: Plan, step: int) -> float:
    """The factor on the learning rate: a ramp up, a plateau, a straight line down to 0.

    Further cycles rise to one half only and fall from there on.
    """
    if step < plan.steps:
        falling = max(1, int(plan.steps * plan.decay))
        return min(1.0, (step + 1) / plan.warmup, (plan.steps - step) / falling)
    step -= plan.steps
    for length in plan.more:
        if step < length:
            return 0.5 * min(1.0, (step + 1) / plan.warmup, (length - step) / length)
        step -= length
    return 0.0


def optimizers(model: LlamaForCausalLM, plan: Plan) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(
            matrices,
            lr=plan.lr,
            weight_decay=plan.weight_decay,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(rest, lr=plan.lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _same_so_far(old: Plan, new: Plan, steps: int) -> bool:
    """Whether `new` would have done the same up to here.

    A run may be made longer or shorter, and its learning rate fall later, until it falls.
    """
    changed = replace(old, steps=new.steps, more=new.more, decay=new.decay)
    return changed == new and all(
        learning_rate(old, step) == learning_rate(new, step) for step in range(steps)
    )


class Run:
    """A training run with its state in a folder."""

    def __init__(self, folder: Path, tokenizer: PreTrainedTokenizerFast, plan: Plan, device: str):
        self.folder, self.tokenizer, self.plan, self.device = folder, tokenizer, plan, device
        self.model = new_model(tokenizer, plan.seed)
        self.model.to(device)
        if device == "cpu":
            AttentionInterface.register("guide_cpu", cpu_attention)
            self.model.set_attn_implementation("guide_cpu")
        self.optimizers = optimizers(self.model, plan)
        self.before: dict[str, Tensor] = {}  # weights at the end of the cycle before this one
        self.step = 0
        self.pool = 0  # pools of dialogues used up
        self.losses: list[float] = []
        self.seconds = 0.0
        self.tokens = 0
        if self.checkpoint.exists():
            self._load()

    @property
    def steps(self) -> int:
        """All steps of the plan."""
        return self.plan.steps + sum(self.plan.more)

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def _load(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        if not _same_so_far(Plan(**state["plan"]), self.plan, state["step"]):
            raise SystemExit(f"{self.checkpoint} belongs to another plan: {state['plan']}")
        self.model.load_state_dict(state["model"])
        self.before = state["before"]
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.pool, self.losses = state["step"], state["pool"], state["losses"]
        self.seconds, self.tokens = state["seconds"], state["tokens"]

    def weights(self) -> dict[str, Tensor]:
        """What is shipped: the mean of the weights at the ends of the last two cycles.

        Each end forgets some of what the other knows; the mean, as in stochastic weight averaging
        (https://arxiv.org/abs/1803.05407), knows most of both.
        """
        weights = {name: weight.cpu() for name, weight in self.model.state_dict().items()}
        return (
            {n: torch.lerp(self.before[n], w, 0.5) for n, w in weights.items()}
            if self.before
            else weights
        )

    def save(self) -> None:
        """Write the checkpoint; a stop in the middle leaves the old one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = self.checkpoint.with_suffix(".tmp")
        state = {
            "plan": asdict(self.plan),
            "model": self.model.state_dict(),
            "before": self.before,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "pool": self.pool,
            "losses": self.losses,
            "seconds": self.seconds,
            "tokens": self.tokens,
        }
        torch.save(state, temporary)
        temporary.replace(self.checkpoint)

    def train(self, save_every: int = 40) -> None:
        """Go on to the last step; saves between pools, so that a resumed run sees each once."""
        bar = tqdm(total=self.steps, initial=self.step, unit="step", mininterval=5)
        last_saved = self.step
        started = time.monotonic()
        for pool, batch in batches(self.tokenizer, self.plan, self.pool, self.step):
            if pool != self.pool:
                self.pool = pool
                if self.step - last_saved >= save_every:
                    self.seconds += time.monotonic() - started
                    started, last_saved = time.monotonic(), self.step
                    self.save()
            if self.step >= self.steps:
                break
            self._take_step(batch)
            bar.update()
            if self.step % 25 == 0:
                recent = self.losses[-100:]
                bar.set_postfix(loss=f"{sum(recent) / len(recent):.4f}")
        bar.close()
        self.seconds += time.monotonic() - started
        self.save()

    def _take_step(self, batch: Batch) -> None:
        if self.step and self.plan.cycle(self.step) != self.plan.cycle(self.step - 1):
            self.before = {n: w.cpu().clone() for n, w in self.model.state_dict().items()}
        factor = learning_rate(self.plan, self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.plan.lr * factor
        batch = Batch(batch.token_ids.to(self.device), batch.labels.to(self.device))
        with torch.autocast(self.device, torch.bfloat16):
            loss = batch_loss(self.model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        value = loss.item()
        if not math.isfinite(value):
            raise SystemExit(f"the loss is {value} at step {self.step}; lower the learning rate")
        self.losses.append(value)
        self.tokens += batch.token_ids.numel()
        self.step += 1


def plot_losses(losses: list[float], path: Path) -> None:
    """The loss over the steps, smoothed, on a logarithmic scale, as an SVG picture."""
    width, height, margin = 640, 300, 44
    group = max(1, len(losses) // 240)
    smooth = [sum(losses[i : i + group]) / group for i in range(0, len(losses) - group + 1, group)]
    low, high = math.floor(math.log10(min(smooth))), math.ceil(math.log10(max(smooth)))

    def place(index: float, decade: float) -> str:
        x = margin + (width - margin - 10) * index / max(1, len(smooth) - 1)
        y = 20 + (height - 60) * (high - decade) / max(1, high - low)
        return f"{x:.1f},{y:.1f}"

    line = " ".join(place(i, math.log10(loss)) for i, loss in enumerate(smooth))
    parts = [f'<polyline points="{line}" fill="none" stroke="#0a7" stroke-width="1.5"/>']
    for decade in range(low, high + 1):
        x, y = place(0, decade).split(",")
        parts += [
            f'<path d="M{x},{y} H{width - 10}" stroke="#999" stroke-width="0.4"/>',
            f'<text x="6" y="{y}" dy="4">{10.0**decade:g}</text>',
        ]
    label = f"loss on the guide's words, steps 0 to {len(losses)}"
    parts.append(f'<text x="{width / 2}" y="{height - 12}" text-anchor="middle">{label}</text>')
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="12" fill="#666">{"".join(parts)}</svg>\n',
        "utf-8",
    )


def export(weights: Mapping[str, Tensor], tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write what is shipped: weights in bf16, tokenizer, configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    shipped = new_model(tokenizer, 0)
    shipped.load_state_dict(dict(weights))
    shipped.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
