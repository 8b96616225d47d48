"""The shape of the guide: a small Llama, deep enough for its blocks to be shared out in spans."""

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from training.sampling import DEFAULTS
from training.tokenizer import CONTEXT, VOCAB_SIZE


def new_model(tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """An untrained guide; the same seed gives the same weights."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=8,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = generation_defaults(tokenizer)
    return model


def generation_defaults(tokenizer: PreTrainedTokenizerFast) -> GenerationConfig:
    """The sampling settings that evaluate best (see models/guide/README.md)."""
    return GenerationConfig(
        do_sample=True,
        temperature=DEFAULTS.temperature,
        top_p=DEFAULTS.top_p,
        max_new_tokens=160,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
