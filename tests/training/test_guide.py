"""The shipped model: small enough, whole, and able to say hello."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.modeling_utils import PreTrainedModel

GUIDE = Path(__file__).parents[2] / "models" / "guide"
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


def reply(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *turns: str) -> str:
    """The guide's likeliest reply to the last turn, its own replies in between."""
    chat = []
    text = ""
    for turn in turns:
        chat.append({"role": "user", "content": turn})
        inputs = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        output = model.generate(
            **inputs, do_sample=False, temperature=None, top_p=None, max_new_tokens=120
        )
        text = tokenizer.decode(output[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        chat.append({"role": "assistant", "content": text})
    return text


def test_says_hello(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    assert reply(model, tokenizer, "hello").startswith(("Hello", "Hi"))


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("what is a swarm?", "nodes"),
        ("what is a block", "layer"),
        ("how do i start the app?", "make run"),
        ("how do I stop it?", "Ctrl+C"),
        ("what does temperature do", "token"),
        ("how do i add a node", "python -m farmesh serve"),
        ("is my chat private?", "your machine"),
        ("where are the settings", "configs/default.toml"),
        ("how do i share a link", "--share"),
        ("who won the world cup", "larger model"),
    ],
)
def test_answers_about_the_app(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, question: str, said: str
) -> None:
    assert said in reply(model, tokenizer, question)


def test_remembers_a_name(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    assert "Anna" in reply(
        model, tokenizer, "my name is Anna", "what is a node?", "what's my name?"
    )
