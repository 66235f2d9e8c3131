"""Tiny models with random weights, made on the spot: the real classes, small enough to run in milliseconds."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BlenderbotConfig,
    BlenderbotForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from core.dialogue import Prompt, PromptMessage, Tone
from training.template import ASSISTANT, BEGIN, CHAT_TEMPLATE, CONTROL_TOKENS, END, PAD, TONE, USER

TEXTS = [
    "hello there, how are you today?",
    "my order is late and nobody answers",
    "thank you so much",
    "what is my name?",
]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Refuses a system message and turns that do not alternate, as Gemma's and Mistral's do; its markers are plain text.
STRICT = (
    "{{ '<s>' }}{% for m in messages %}"
    "{% if m.role == 'system' or (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no') }}{% endif %}"
    "{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + '</s>' }}{% endif %}"
    "{% endfor %}"
)
PLAIN = Tone(name="plain", guidance="Be plain.")


def prompt(*texts: str, tone: Tone = PLAIN, system: str | None = None) -> Prompt:
    """A prompt whose texts are said in turn, the user first."""
    head = [PromptMessage(role="system", content=system)] if system else []
    turns = [
        PromptMessage(role="assistant", content=text, tone="warm")
        if at % 2
        else PromptMessage(role="user", content=text)
        for at, text in enumerate(texts)
    ]
    return Prompt(messages=(*head, *turns), tone=tone)


def tokenizer(special: list[str], eos: str, pad: str, bos: str | None, template: str | None) -> PreTrainedTokenizerFast:
    """A byte-level BPE of about 320 entries, so any text can be written."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(TEXTS, trainer)
    rest = [token for token in special if token not in (eos, pad, bos)]
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        additional_special_tokens=rest,
        chat_template=template,
        clean_up_tokenization_spaces=False,
    )


def starter_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with the starter model's control tokens and template."""
    assert {PAD, BEGIN, END, USER, ASSISTANT, TONE} == set(CONTROL_TOKENS)
    return tokenizer(CONTROL_TOKENS, END, PAD, BEGIN, CHAT_TEMPLATE)


def chatml_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer like those of many instruction-tuned models."""
    return tokenizer(["<|im_start|>", "<|im_end|>"], "<|im_end|>", "<|im_end|>", None, CHATML)


def strict_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer whose role markers are ordinary text."""
    return tokenizer(["<s>", "</s>"], "</s>", "</s>", "<s>", STRICT)


def llama(
    tok: PreTrainedTokenizerFast, kind: type[LlamaForCausalLM] = LlamaForCausalLM, context: int = 512, seed: int = 0
) -> LlamaForCausalLM:
    """A Llama of two layers. Untrained, it hardly ever ends a reply by itself."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tok),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=context,
        initializer_range=0.3,
        bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
    )
    return kind(config).eval()


def save_llama(folder: Path, tok: PreTrainedTokenizerFast, context: int = 512) -> str:
    """Save a tiny Llama and return the folder as a setting."""
    llama(tok, context=context).save_pretrained(folder)
    tok.save_pretrained(folder)
    return str(folder)


def save_blenderbot(folder: Path) -> str:
    """Save a tiny Blenderbot with an encoder of 64 tokens, without a chat template."""
    tok = tokenizer(["<s>", "<pad>", "</s>"], "</s>", "<pad>", "<s>", None)
    torch.manual_seed(0)
    config = BlenderbotConfig(
        vocab_size=len(tok),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        init_std=0.3,
        bos_token_id=tok.bos_token_id,
        eos_token_id=tok.eos_token_id,
        pad_token_id=tok.pad_token_id,
        decoder_start_token_id=tok.bos_token_id,
        forced_eos_token_id=None,
    )
    BlenderbotForConditionalGeneration(config).save_pretrained(folder)
    tok.save_pretrained(folder)
    return str(folder)


def save_classifier(folder: Path, labels: list[str]) -> str:
    """Save a tiny BERT classifier with these labels."""
    tok = tokenizer(["<s>", "<pad>", "</s>"], "</s>", "<pad>", "<s>", None)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tok),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        initializer_range=0.3,
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tok.save_pretrained(folder)
    return str(folder)
