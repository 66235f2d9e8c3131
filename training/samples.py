"""Print sample dialogues of the models that the settings name, unedited: a fixed person, and what the bot answers.

    python -m training.samples > docs/samples.md

What the person says stands in training/data/scripts.jsonl, whatever the bot answers; the last dialogues begin with
every thirteenth message of messages.jsonl, which nothing was trained on.
"""

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers.utils import logging as transformers_logging

from core.responder import Answer
from core.settings import load, resolve_model
from training import ablation, corpus
from training.replies import SEED, Bot, converse

_EVERY = 13  # of all three sentiments, which take turns in the file


@dataclass(frozen=True)
class Script:
    """What a person says, turn by turn, under the name of a group of scripts."""

    group: str
    says: list[str]


def scripts() -> list[Script]:
    """Return all sixty scripts, group by group."""
    rows = [json.loads(row) for row in (corpus.OWN / "scripts.jsonl").read_text("utf-8").splitlines()]
    unseen = [one.text for one in ablation.written_messages()[::_EVERY]]
    return [
        *(Script(row["group"], row["says"]) for row in rows),
        *(Script("Messages that nothing was trained on", [text]) for text in unseen),
    ]


def page(bot: Bot, told: Sequence[Script]) -> Iterator[str]:
    """Yield the lines of the page with these scripts' dialogues."""
    generation = bot.settings.generation
    yield "# Sample dialogues"
    yield ""
    yield f"All {len(told)} dialogues that `python -m training.samples` made, unedited and unchosen: what the person"
    yield "says was fixed beforehand, and each dialogue was made once. The bot's side came through the same encoder,"
    yield 'tones, checks and chat engine that answer people. In brackets stands the tone that was chosen; "safety" is'
    yield 'the fixed message of the settings. Everyday messages such as "hello" also stand in the training data.'
    yield ""
    for model in (generation.model, bot.settings.sentiment.model):
        yield f"- `{model}`{_fingerprint(model)}"
    yield f"- temperature {generation.temperature} where the tone sets none, top-p {generation.top_p}"
    yield f"- repetition penalty {generation.repetition_penalty}, seed {SEED}"
    answers = converse(bot, [script.says for script in told], SEED, _progress)
    group = ""
    for number, (script, replies) in enumerate(zip(told, answers, strict=True), 1):
        if script.group != group:
            group = script.group
            yield from ("", f"## {group}")
        yield from ("", f"### {number}", "")
        yield _dialogue(script, replies)


def _dialogue(script: Script, replies: Sequence[Answer]) -> str:
    parts = []
    for text, answer in zip(script.says, replies, strict=True):
        how = answer.reply.tone or answer.reply.finish_reason
        parts += [_quoted(text), f"> **Rapport** ({how}): {_quoted(answer.reply.text)[2:]}"]
    return "\n>\n".join(parts)


def _quoted(text: str) -> str:
    return "> " + text.replace("\n", "\n> ")


def _fingerprint(model: str) -> str:
    """Return the beginning of the SHA-256 of a folder's weights; nothing for a name on the hub."""
    files = sorted(Path(resolve_model(model)).glob("*.safetensors"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return f", weights {digest[:12]}" if files else ""


def _progress(now: int, of: int) -> None:
    print(f"turn {now} of {of}", file=sys.stderr, flush=True)


def main() -> None:
    """Print the page."""
    transformers_logging.disable_progress_bar()
    with Bot(load()) as bot:
        for line in page(bot, scripts()):
            print(line)


if __name__ == "__main__":
    main()
