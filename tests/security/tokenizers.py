"""Tokenizers of the families that people configure, with the special tokens and templates of each, made on the spot."""

from dataclasses import dataclass
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from core import settings
from tests import kinds
from tests.workers.engine import tiny

LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n'"
    " + m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
# No system message, and roles that alternate.
GEMMA = (
    "{{ bos_token }}{% for m in messages %}"
    "{% if m['role'] == 'system' or (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim"
    " + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
# Its markers have the fullwidth bar.
DEEPSEEK = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '<｜User｜>' + m['content'] }}"
    "{% elif m['role'] == 'assistant' %}{{ '<｜Assistant｜>' + m['content'] + eos_token }}"
    "{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<｜Assistant｜>' }}{% endif %}"
)
# Who speaks is said in plain words.
VICUNA = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'USER: ' + m['content'] + '\n' }}"
    "{% elif m['role'] == 'assistant' %}{{ 'ASSISTANT: ' + m['content'] + eos_token + '\n' }}"
    "{% else %}{{ m['content'] + '\n\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A tokenizer, and the texts that mean something to its model."""

    tokenizer: PreTrainedTokenizerBase
    markers: tuple[str, ...]


def families(folder: Path) -> dict[str, Family]:
    """Return one of each family; ``folder`` is for the files of those that are read from files."""
    for name in ("qwen", "mistral"):
        (folder / name).mkdir()
    qwen = AutoTokenizer.from_pretrained(kinds.qwen(folder / "qwen"))
    mistral = AutoTokenizer.from_pretrained(kinds.mistral(folder / "mistral"))
    starter = AutoTokenizer.from_pretrained(settings.resolve_model("models/starter-chat"))
    return {
        "starter": Family(starter, ("<|begin|>", "<|end|>", "<|user|>", "<|assistant|>", "<|tone|>")),
        "qwen": Family(qwen, ("<|im_start|>", "<|im_end|>", "<|endoftext|>", "<think>", "</think>")),
        "mistral": Family(mistral, ("<s>", "</s>", "[INST]", "[/INST]")),
        "llama 3": _family(["<|start_header_id|>", "<|end_header_id|>"], "<|begin_of_text|>", "<|eot_id|>", LLAMA3),
        "gemma": _family(["<start_of_turn>", "<eos>"], "<bos>", "<end_of_turn>", GEMMA),
        "deepseek": _family(
            ["<｜User｜>", "<｜Assistant｜>"], "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", DEEPSEEK
        ),
        "vicuna": _family([], "<s>", "</s>", VICUNA, words=("USER:", "ASSISTANT:")),
        "folded": Family(_folding(), ("<|im_start|>", "<|im_end|>")),
    }


def _family(special: list[str], bos: str, eos: str, template: str, words: tuple[str, ...] = ()) -> Family:
    tokens = [*special, bos, eos]
    return Family(tiny.tokenizer(tokens, eos, eos, bos, template), (*tokens, *words))


def _folding() -> PreTrainedTokenizerFast:
    """Return a tokenizer that looks for its special tokens in a folded text (NFKC, small letters)."""
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        tiny.TEXTS, trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    )
    bpe.add_tokens([AddedToken(text, normalized=True) for text in ("<|im_start|>", "<|im_end|>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=AddedToken("<|im_end|>", normalized=True), chat_template=tiny.CHATML
    )
