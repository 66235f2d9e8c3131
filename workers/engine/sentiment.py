"""What the encoder computes: the starter's sentiment head, classifiers from elsewhere, pooling and text preparation.

Only tensors and labels; threads, batching and the public interface are in encoder.py.
"""

import unicodedata
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForSequenceClassification, BertModel, PretrainedConfig, PreTrainedModel
from transformers.models.bert.modeling_bert import BertLayer

from core.dialogue import Label
from core.errors import ModelMissing
from workers.engine.loading import SAFELY

LABELS: tuple[Label, Label, Label] = ("negative", "neutral", "positive")
HEAD_FILE = "sentiment_head.safetensors"

# Where Unicode's name says the wrong thing to a reader of words: "face with tears of joy", "heavy black heart".
_SPOKEN = {
    **dict.fromkeys("😂🤣😆😹", "tears of laughter"),
    **dict.fromkeys("❤💕💖💗💞💓😍🥰😘😻", "love"),
    **dict.fromkeys("😊☺🙂😃😄😀😁😺", "happy smile"),
}


def spell_symbols(text: str) -> str:
    """Return the text with emoji and other symbols spelt out, most by their Unicode names: vocabularies lack them.

    Variation selectors and skin tones go: "👍🏽" reads " thumbs up sign ".
    """
    if text.isascii():
        return text
    return "".join(_spelt(char) for char in text)


def _spelt(char: str) -> str:
    if "\U0001f3fb" <= char <= "\U0001f3ff" or char in "\ufe0e\ufe0f\u200d":
        return ""
    if char in _SPOKEN:
        return f" {_SPOKEN[char]} "
    return f" {unicodedata.name(char, '').lower()} " if unicodedata.category(char) == "So" else char


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean of the unmasked positions: [rows, tokens, width], bool [rows, tokens] -> [rows, width]."""
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


def attention_bias(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return what BERT's layers add to their attention scores: bool [rows, tokens] -> [rows, 1, 1, tokens]."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(~mask, -1e4)[:, None, None, :]


class SentimentHead(nn.Module):
    """Reads sentiment from the hidden states of one layer of a body that is trained for something else.

    ``sentiment_layers`` BERT layers of its own, then the mean and the first position through a small MLP.
    ``temperature`` calibrates the probabilities (Guo et al. 2017, https://arxiv.org/abs/1706.04599).
    """

    def __init__(self, config: PretrainedConfig) -> None:
        super().__init__()
        width = config.hidden_size
        layers = (BertLayer(config) for _ in range(config.sentiment_layers))  # type: ignore[no-untyped-call]
        self.layers = nn.ModuleList(layers)
        self.mlp = nn.Sequential(
            nn.Dropout(0.2),
            nn.Linear(2 * width, width // 2),
            nn.GELU(),
            nn.Dropout(0.3),
            nn.Linear(width // 2, len(LABELS)),
        )
        self.temperature: torch.Tensor
        self.register_buffer("temperature", torch.ones(()))

    def features(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return what the MLP reads, [rows, 2 * width], from [rows, tokens, width] and bool [rows, tokens]."""
        bias = attention_bias(mask, hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        return torch.cat([mean_pool(hidden, mask), hidden[:, 0]], dim=1)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return logits [rows, 3] in the order of LABELS from [rows, tokens, width] and bool [rows, tokens]."""
        return cast(torch.Tensor, self.mlp(self.features(hidden, mask)) / self.temperature)


class StarterReader(nn.Module):
    """The shipped encoder: a sentence-embedding body, and the sentiment head on one of its layers."""

    def __init__(self, source: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.body = BertModel.from_pretrained(
            source, dtype=dtype, add_pooling_layer=False, attn_implementation="sdpa", use_safetensors=True
        )
        self.head = SentimentHead(self.body.config).to(dtype)
        self.head.load_state_dict(load_file(Path(source) / HEAD_FILE))
        self._tap: int = self.body.config.sentiment_tap

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (probabilities [rows, 3] in the order of LABELS, unit embeddings [rows, width]), both float32."""
        hidden = self.body.embeddings(input_ids=ids)
        bias = attention_bias(mask, hidden.dtype)
        for at, layer in enumerate(self.body.encoder.layer):
            if at == self._tap:
                logits = self.head(hidden, mask)
            hidden = layer(hidden, bias)
        return logits.float().softmax(-1), _unit(mean_pool(hidden.float(), mask))


class ClassifierReader(nn.Module):
    """Any sequence classifier whose labels say negative and positive."""

    def __init__(self, source: str, config: PretrainedConfig, dtype: torch.dtype, setting: str) -> None:
        super().__init__()
        self.model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(source, dtype=dtype, **SAFELY)
        self._to_labels: torch.Tensor
        self.register_buffer("_to_labels", label_matrix(_label_names(config), setting), persistent=False)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what ``StarterReader.forward`` does; the embedding is the mean of the last hidden states."""
        output = self.model(input_ids=ids, attention_mask=mask.long(), output_hidden_states=True)
        probabilities = output.logits.float().softmax(-1) @ self._to_labels
        return probabilities, _unit(mean_pool(output.hidden_states[-1].float(), mask))


def label_matrix(names: dict[int, str], setting: str) -> torch.Tensor:
    """Return [classes, 3]: which class counts as which of LABELS. Two classes leave neutral at 0.

    Names that say neg, neu or pos count as they say; LABEL_0, LABEL_1 (, LABEL_2) count in that order, as in
    the common three-way Twitter models.

    Raises:
        ModelMissing: the names cannot be mapped; ``setting`` is named in the text.
    """
    order = [names[index].lower() for index in sorted(names)]
    if order == [f"label_{at}" for at in range(len(order))] and len(order) in (2, 3):
        order = ["negative", "positive"] if len(order) == 2 else list(LABELS)
    matrix = torch.zeros(len(order), len(LABELS))
    for row, name in enumerate(order):
        for column, label in enumerate(LABELS):
            matrix[row, column] = float(label[:3] in name)
    if (matrix.sum(1) != 1).any() or matrix[:, 0].sum() == 0 or matrix[:, 2].sum() == 0:
        raise ModelMissing(
            f"Setting {setting}: its labels {', '.join(names[index] for index in sorted(names))} do not say which is "
            "negative, neutral and positive. Use a sentiment model, or set id2label in its config.json."
        )
    return matrix


def _label_names(config: PretrainedConfig) -> dict[int, str]:
    return {int(index): str(name) for index, name in (config.id2label or {}).items()}


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return nn.functional.normalize(vectors, dim=-1)
