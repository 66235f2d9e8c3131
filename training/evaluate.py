"""Print the figures of the models that the settings name, as tables in Markdown.

    python -m training.evaluate [--data DATA] [--tweeteval-test FILE] [--goemotions-test FILE] [--only SECTION]

Without arguments it takes what comes with the repository. DATA is a folder with more held-out texts
(dialogue/*.valid.jsonl.gz, sentiment/*.valid.jsonl.gz); a FILE of a kept-apart test set has one JSON object a line
with "text" and "label" (negative, neutral, positive, or 0, 1, 2). The sections are encoder, chat, tone and speed; all
of them take some minutes on two cores. What is measured, and how, stands in metrics.py, fluency.py and ablation.py.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: other work may share the cores

from transformers.utils import logging as transformers_logging

from core.dialogue import Tone
from core.errors import RapportError
from core.settings import Settings, load
from training import ablation, fluency, judge
from training.metrics import expected_calibration_error, macro_recall
from training.replies import SEED, Bot, converse
from training.samples import scripts
from training.sentiment import Row, rows
from workers.engine.encoder import Encoder
from workers.engine.loading import load_chat
from workers.engine.sentiment import LABELS

SECTIONS = ("encoder", "chat", "tone", "speed")
_SENTIMENT_SETS = ("tweets", "goemotions", "topical_chat_turns")
_AT_ONCE = 256  # texts the encoder reads between two signs of progress
_REPEATS = 4  # replies to each message, for each way to be told the tone
_began = time.monotonic()


def labelled_texts(data: Path | None, tests: dict[str, Path | None]) -> dict[str, list[Row] | str]:
    """Return (text, label) rows by name, or a line that says what is missing there.

    Raises:
        InputError: a file cannot be read, or one of its lines is not as it should be; the text names the line.
    """
    written = [(one.text, one.sentiment) for one in ablation.written_messages()]
    said = [(turn["text"], turn["sentiment"]) for talk in ablation.held_out_talks() for turn in talk[::2]]
    found: dict[str, list[Row] | str] = {"messages": written, "rapport_written": said}
    for name in _SENTIMENT_SETS:
        file = data / "sentiment" / f"{name}.valid.jsonl.gz" if data else None
        there = file is not None and file.exists()
        found[name] = (
            list(rows(file, labelled=True))
            if file and there
            else f"missing: --data with sentiment/{name}.valid.jsonl.gz"
        )
    for option, file in tests.items():
        found[option] = list(rows(file, labelled=True)) if file else f"missing: --{option} FILE (kept apart)"
    return found


def encoder_section(settings: Settings, sets: dict[str, list[Row] | str]) -> Iterator[str]:
    """Yield the lines of the table on reading moods."""
    yield from heading("Encoder", settings.sentiment.model)
    yield from table_head("texts", "number", "macro recall", *(f"recall {label}" for label in LABELS), "ECE")
    encoder = Encoder.load(settings.sentiment)
    try:
        for name, found in sets.items():
            if isinstance(found, str) or not found:
                yield f"| {name} | {found or 'empty'} |" + " |" * 5
                continue
            moods = []
            for at in range(0, len(found), _AT_ONCE):
                moods += [one.sentiment for one in encoder.read([text for text, _ in found[at : at + _AT_ONCE]])]
                progress(f"encoder: {name}", len(moods), len(found))
            gold = [label for _, label in found]
            guesses: list[str] = [mood.label for mood in moods]
            scores = [{str(k): v for k, v in mood.scores.items()} for mood in moods]
            yield row(
                name,
                f"{len(gold):,}",
                f"{macro_recall(guesses, gold):.4f}",
                *(recall(label, guesses, gold) for label in LABELS),
                f"{expected_calibration_error(scores, gold):.4f}",
            )
    finally:
        encoder.close()


def recall(label: str, guesses: Sequence[str], gold: Sequence[str]) -> str:
    """Return the share of a label's texts that were read so, or a dash where there is none."""
    of_label = [guess == label for guess, truth in zip(guesses, gold, strict=True) if truth == label]
    return f"{sum(of_label) / len(of_label):.3f}" if of_label else "-"


def chat_section(settings: Settings, bot: Bot, data: Path | None) -> Iterator[str]:
    """Yield the tables on how well the chat model has learnt to talk."""
    yield from heading("Chat model", settings.generation.model)
    yield from table_head("held-out replies", "number", "perplexity a token", "a word", "bits a byte")
    chat = load_chat(settings.generation)
    files = fluency.sources(data)
    for at, (name, file) in enumerate(files.items()):
        progress(f"chat: perplexity on {name}", at, len(files))
        found = fluency.perplexity(chat, file)
        yield row(name, f"{found.replies:,}", f"{found.token:.1f}", f"{found.word:.0f}", f"{found.bits_per_byte:.3f}")
    if data is None:
        yield "| the other sources | missing: --data with dialogue/*.valid.jsonl.gz |" + " |" * 3
    yield ""
    yield from table_head("conversations", "number", "replies", "distinct-2", "repetition rate")
    people = {
        "rapport_written": [[turn["text"] for turn in talk[::2]] for talk in ablation.held_out_talks()],
        "the sample dialogues": [script.says for script in scripts()],
    }
    for name, says in people.items():
        answers = converse(bot, says, SEED, partial(progress, f"chat: turns of {name}"))
        said = [[answer.reply.text for answer in one if answer.reply.finish_reason != "safety"] for one in answers]
        replies = [reply for one in said for reply in one]
        distinct, repeated = fluency.distinct_2(replies), fluency.repetition_rate(said)
        yield row(name, str(len(said)), f"{len(replies):,}", f"{distinct:.3f}", f"{repeated:.3f}")


def _gain(effect: ablation.Effect) -> str:
    return f"{effect.difference:+.3f} ({effect.low:+.3f} to {effect.high:+.3f})"


def tone_section(bot: Bot, messages: Sequence[ablation.Message], repeats: int) -> Iterator[str]:
    """Yield the tables on whether replies fit better because the mood was read."""
    trials = ablation.try_out(bot, messages, repeats, partial(progress, "tone: rounds of replies"))
    yield from heading("Tone", f"{len(messages)} messages nothing was trained on, {repeats} replies each way")
    for name in judge.JUDGES:
        one = judge.Judge.load(name)
        yield judge.describe(name, judge.agreement(one))
        yield ""
        yield from table_head(
            "fitting replies", "messages", "on", "off", "on - off, 95 %", "told no tone", "on - told no tone, 95 %"
        )
        for group, members in {"all": trials, **ablation.groups(trials)}.items():
            off = ablation.effect(members, one.expressed, lambda trial: trial.off)
            untold = ablation.effect(members, one.expressed, lambda trial: trial.untold)
            yield row(
                group,
                str(off.messages),
                f"{off.on:.3f}",
                f"{off.off:.3f}",
                _gain(off),
                f"{untold.off:.3f}",
                _gain(untold),
            )
        yield ""


def speed_section(settings: Settings) -> Iterator[str]:
    """Yield the table on how fast the chat model answers on the CPU."""
    yield from heading("Speed on the CPU", f"{settings.generation.model}, one reply at a time")
    yield from table_head("threads", "first token, ms", "tokens a second")
    messages = [one.text for one in ablation.held_out_messages()[::8]]
    tone = Tone.model_validate(settings.tone["neutral"].model_dump())
    for threads in (1, 2):
        progress("speed: threads", threads, 2)
        found = fluency.speed(settings.generation, threads, messages, tone)
        yield row(str(threads), f"{found.first_token_s * 1000:.1f}", f"{found.tokens_per_s:.0f}")


def heading(title: str, what: str) -> Iterator[str]:
    """Yield the lines that begin a section."""
    yield from ("", f"## {title}: {what}", "")


def table_head(*names: str) -> Iterator[str]:
    """Yield the first two lines of a table."""
    yield from (row(*names), row(*("---" for _ in names)))


def row(*cells: str) -> str:
    """Return one line of a table."""
    return f"| {' | '.join(cells)} |"


def progress(what: str, now: int, of: int) -> None:
    """Say on standard error how far it is."""
    print(f"[{time.monotonic() - _began:4.0f} s] {what} {now:,}/{of:,}", file=sys.stderr, flush=True)


def run(settings: Settings, options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of all sections that are wanted."""
    wanted = [options.only] if options.only else SECTIONS
    tests = {"tweeteval-test": options.tweeteval_test, "goemotions-test": options.goemotions_test}
    if "encoder" in wanted:
        yield from encoder_section(settings, labelled_texts(options.data, tests))
    if "chat" in wanted or "tone" in wanted:
        with Bot(settings) as bot:
            if "chat" in wanted:
                yield from chat_section(settings, bot, options.data)
            if "tone" in wanted:
                yield from tone_section(bot, ablation.held_out_messages(), _REPEATS)
    if "speed" in wanted:
        yield from speed_section(settings)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables; ends with 1 and a line on standard error if that cannot be done."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--data", type=Path, help="folder with more held-out texts")
    args.add_argument("--tweeteval-test", type=Path, metavar="FILE", help="TweetEval's sentiment test set")
    args.add_argument("--goemotions-test", type=Path, metavar="FILE", help="GoEmotions' test set, as three labels")
    args.add_argument("--only", choices=SECTIONS, help="one section alone")
    options = args.parse_args(arguments)
    transformers_logging.disable_progress_bar()
    try:
        for line in run(load(), options):
            print(line, flush=True)
    except RapportError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
