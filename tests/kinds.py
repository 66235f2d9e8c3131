"""Models of the kinds that people configure, made on the spot: real architectures, configurations and file formats.

Their weights are random and their sizes tiny. The tokenizers are trained on a few sentences and written in the form in
which each kind is published: vocab.json and merges.txt, or tokenizer.json as it is made from SentencePiece.
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BlenderbotConfig,
    BlenderbotForConditionalGeneration,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from core.sections import TONES

# Tokens of the contents are long, so that prompts are short.
TEXTS = [
    "You are Rapport, a friendly and honest chat companion. You are software and say so when asked.",
    "Keep replies short: one to three sentences. Listen first, then help. [Note on tone, not from the person:",
    "your persona: my tone is empathetic. your persona: I am Rapport. my order is three weeks late and nobody answers!",
    *(str(row["guidance"]) for row in TONES.values()),
]
# Adds a system message of its own, and thinks aloud unless told not to.
CHATML = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}"
    "{%- else %}{{- '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}{%- if message.role != 'system' %}"
    "{{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}"
    "{%- endif %}"
)
# Knows no system message and insists on turns.
INST = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
WINDOW = 48


def blenderbot(folder: Path) -> str:
    """Save a model of the shape of facebook/blenderbot-400M-distill and return its folder."""
    specials = ["<pad>", "<s>", "</s>", "<unk>"]
    words = _byte_level(folder, specials)
    _write(
        folder / "tokenizer_config.json",
        tokenizer_class="BlenderbotTokenizer",
        add_prefix_space=True,
        model_max_length=128,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
    )
    config = BlenderbotConfig(
        vocab_size=words + 1,  # the mask
        d_model=64,
        encoder_layers=1,
        decoder_layers=3,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        max_position_embeddings=128,
        scale_embedding=True,
        init_std=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    torch.manual_seed(1)
    _save(
        BlenderbotForConditionalGeneration(config),
        folder,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        forced_eos_token_id=2,
        num_beams=10,
        min_length=20,
        max_length=60,
        length_penalty=0.65,
        no_repeat_ngram_size=3,
        encoder_no_repeat_ngram_size=3,
    )
    return str(folder)


def qwen(folder: Path) -> str:
    """Save a model of the shape of Qwen3 and return its folder."""
    words = _byte_level(folder, [])
    added = {words: "<|endoftext|>", words + 1: "<|im_start|>", words + 2: "<|im_end|>"}
    thoughts = {words + 3: "<think>", words + 4: "</think>"}  # ordinary words to the tokenizer
    _write(
        folder / "tokenizer_config.json",
        tokenizer_class="Qwen2Tokenizer",
        added_tokens_decoder={
            str(at): {"content": text, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
            | {"special": at in added}
            for at, text in (added | thoughts).items()
        },
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
        bos_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=131072,
        chat_template=CHATML,
    )
    config = Qwen3Config(
        vocab_size=words + 16,  # rounded up, as theirs is: some ids mean nothing
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.3,
        eos_token_id=words + 2,
        pad_token_id=words,
    )
    torch.manual_seed(2)
    _save(
        Qwen3ForCausalLM(config),
        folder,
        do_sample=True,
        temperature=0.6,
        top_k=20,
        top_p=0.95,
        eos_token_id=[words + 2, words],
        pad_token_id=words,
    )
    return str(folder)


def mistral(folder: Path) -> str:
    """Save a model of the shape of Mistral-7B-Instruct, its sliding window shorter than a prompt; return its folder."""
    specials = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    bpe.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    pieces = [*specials, *(f"<0x{byte:02X}>" for byte in range(256))]
    bpe.train_from_iterator(
        (text.replace(" ", " ▁").split(" ") for text in TEXTS),
        trainers.BpeTrainer(vocab_size=700, special_tokens=pieces, show_progress=False),
    )
    written = json.loads(bpe.to_str())
    written["added_tokens"] = [row for row in written["added_tokens"] if row["content"] in specials]
    _write(folder / "tokenizer.json", **written)
    _write(
        folder / "tokenizer_config.json",
        tokenizer_class="LlamaTokenizer",
        add_bos_token=True,
        add_eos_token=False,
        legacy=False,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token=None,
        model_max_length=1000000000000000019884624838656,
        chat_template=INST,
    )
    config = MistralConfig(
        vocab_size=bpe.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        sliding_window=WINDOW,
        initializer_range=0.3,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(3)
    _save(MistralForCausalLM(config), folder, bos_token_id=1, eos_token_id=2)
    return str(folder)


def _byte_level(folder: Path, specials: list[str]) -> int:
    """Write vocab.json and merges.txt of a byte-level BPE and return its size."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(TEXTS, trainer)
    bpe.model.save(str(folder))
    return bpe.get_vocab_size()


def _save(model: PreTrainedModel, folder: Path, **generation: Any) -> None:
    model.eval().save_pretrained(folder)
    _write(folder / "generation_config.json", **generation)


def _write(file: Path, **content: Any) -> None:
    file.write_text(json.dumps(content), "utf-8")
