"""The shipped model: small enough, whole, and able to say hello."""

import json
import tomllib
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.modeling_utils import PreTrainedModel

from training.evaluate import Case, Speaker, run_cases
from training.sampling import DEFAULTS, Sampling

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "models" / "guide"
MOST_BYTES = 10_000_000


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return AutoTokenizer.from_pretrained(GUIDE)


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(GUIDE).float().eval()


def test_folder_is_small_and_whole() -> None:
    files = {path.name: path.stat().st_size for path in GUIDE.iterdir()}
    assert sum(files.values()) < MOST_BYTES
    assert {"model.safetensors", "tokenizer.json", "chat_template.jinja", "README.md"} <= set(files)


def test_blocks_are_enough_for_spans_and_the_context_for_a_chat() -> None:
    config = json.loads((GUIDE / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["num_hidden_layers"] >= 6
    assert config["max_position_embeddings"] >= 1024


def test_catalogue_and_model_draw_replies_in_the_way_that_evaluates_best() -> None:
    """The page takes the catalogue's sampling, transformers the model's: neither may drift."""
    catalogue = tomllib.loads((ROOT / "configs/models.toml").read_text("utf-8"))["guide"]
    own = json.loads((GUIDE / "generation_config.json").read_text("utf-8"))
    best = (DEFAULTS.temperature, DEFAULTS.top_p)
    assert (own["temperature"], own["top_p"]) == best
    sampling = catalogue["sampling"]
    assert (sampling["temperature"], sampling.get("top_p", 1.0)) == best
    assert sampling["max_new_tokens"] == own["max_new_tokens"]


def test_chat_template_renders_all_roles(tokenizer: PreTrainedTokenizerFast) -> None:
    chat = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "  hi\n"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "bye"},
    ]
    text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert text == (
        "<|system|> Be kind.<|end|><|user|> hi<|end|>"
        "<|assistant|>Hello!<|end|><|user|> bye<|end|><|assistant|>"
    )


def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerFast) -> None:
    text = "Zürich 東京 🙂 \t 1234 \\ don't\n\n  x"
    assert tokenizer.decode(tokenizer.encode(text)) == text


QUESTIONS = {
    "hello": ("Hello", "Hi!"),
    "what is a swarm?": ("nodes",),
    "what is a block": ("layer",),
    "how do i start the app?": ("make run",),
    "how do I stop it?": ("Ctrl+C",),
    "what does temperature do": ("token",),
    "how do i add a node": ("python -m farmesh serve",),
    "is my chat private": ("your machine",),
    "where are the settings": ("configs/default.toml",),
    "how do i share a link": ("--share",),
    "who won the world cup": ("larger model", "only know this app", "only explain this app"),
}


@pytest.fixture(scope="module")
def replies(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> dict[str, str]:
    """The likeliest replies to all questions, made side by side."""
    speaker = Speaker(model, tokenizer)
    asked = [[{"role": "user", "content": question}] for question in QUESTIONS]
    answers = speaker.reply(asked, Sampling(temperature=0))
    assert all(ended for _, ended in answers)
    return dict(zip(QUESTIONS, (text for text, _ in answers), strict=True))


@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_a_greeting_and_questions_about_the_app(
    replies: dict[str, str], question: str
) -> None:
    assert any(part in replies[question] for part in QUESTIONS[question]), replies[question]


def test_remembers_a_name(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    case = Case("memory", ("my name is Anna", "what is a node?", "what's my name?"), ("Anna",))
    (result,) = run_cases(Speaker(model, tokenizer), [case], Sampling(temperature=0))
    assert result.right, result.reply
