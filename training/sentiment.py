r"""Read the mood of texts with the encoder, or measure it on labelled texts.

    python -m training.sentiment --predict FILE [--model NAME]
    python -m training.sentiment --evaluate FILE [--model NAME]

FILE has one JSON object a line with a field "text" (for --evaluate also "label": negative, neutral or positive, or 0,
1, 2 in this order), as it is or gzipped. --predict prints one line for each, {"label": ..., "scores": {...}};
--evaluate prints macro recall and calibration error. The model is the one of the settings, unless --model names a
folder or another classifier.
"""

import argparse
import gzip
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: other work may share the cores

from core.dialogue import Sentiment
from core.errors import InputError, RapportError
from core.sections import SentimentSettings
from core.settings import load
from training.metrics import expected_calibration_error, macro_recall
from workers.engine.encoder import Encoder
from workers.engine.sentiment import LABELS

_AT_ONCE = 512  # texts a call; the encoder sorts them by length and makes its batches
_PROGRESS_S = 5.0

Row = tuple[str, str]  # text, label


def rows(path: Path, labelled: bool = False) -> Iterator[Row]:
    """Yield (text, label) of each line; the label is empty unless ``labelled``.

    Raises:
        InputError: the file cannot be read, or a line is not as it should be; the text names the line.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                yield _row(line, f"{path} line {number}", labelled)
    except (OSError, EOFError) as error:
        raise InputError("file", f"{path} cannot be read: {error}") from None


def _row(line: bytes, where: str, labelled: bool) -> Row:
    try:
        row = json.loads(line)
    except ValueError as error:  # also of bytes that are no UTF-8
        raise InputError("line", f"{where} is not JSON: {error}. Each line must be one JSON object.") from None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise InputError("line", f'{where} has no text. It must be a JSON object with a string under "text".')
    label = row.get("label") if labelled else ""
    if str(label) in ("0", "1", "2"):  # as TweetEval numbers them
        label = LABELS[int(label)]
    if labelled and label not in LABELS:
        wanted = f"{', '.join(LABELS)}, or 0, 1, 2"
        raise InputError("line", f'{where}: "label" is {json.dumps(label)}. It must be one of {wanted}.')
    return text, label


def read_moods(encoder: Encoder, texts: Iterator[str]) -> Iterator[Sentiment]:
    """Yield the sentiment of each text, in order; says on standard error how far it is."""
    began = said = time.monotonic()
    done = 0
    while batch := list(islice(texts, _AT_ONCE)):
        yield from (reading.sentiment for reading in encoder.read(batch))
        done += len(batch)
        now = time.monotonic()
        if now - said > _PROGRESS_S:
            said = now
            print(f"{done:,} texts, {done / (now - began):,.0f} a second", file=sys.stderr)
    print(f"{done:,} texts in {time.monotonic() - began:.1f} s", file=sys.stderr)


def predict(encoder: Encoder, path: Path) -> None:
    """Print one line of JSON for each line of the file."""
    for mood in read_moods(encoder, (text for text, _ in rows(path))):
        scores = {label: round(score, 6) for label, score in mood.scores.items()}
        print(json.dumps({"label": mood.label, "scores": scores}))


def evaluate(encoder: Encoder, path: Path) -> dict[str, float]:
    """Return macro recall, the recall of each label and the calibration error on a file of labelled texts.

    Raises:
        InputError: see ``rows``; or the file is empty.
    """
    wanted = list(rows(path, labelled=True))
    if not wanted:
        raise InputError("file", f"{path} is empty. Give a file of labelled texts.")
    gold = [label for _, label in wanted]
    moods = list(read_moods(encoder, (text for text, _ in wanted)))
    scores = [{str(label): score for label, score in mood.scores.items()} for mood in moods]
    found = {
        "macro recall": macro_recall([mood.label for mood in moods], gold),
        "calibration error": expected_calibration_error(scores, gold),
    }
    for label in LABELS:
        of_label = [mood.label == label for mood, truth in zip(moods, gold, strict=True) if truth == label]
        if of_label:
            found[f"recall of {label}"] = sum(of_label) / len(of_label)
    return found


def main() -> None:
    """Predict or evaluate, as asked; ends with 1 and a line on standard error if that cannot be done."""
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = args.add_mutually_exclusive_group(required=True)
    what.add_argument("--predict", type=Path, metavar="FILE")
    what.add_argument("--evaluate", type=Path, metavar="FILE")
    args.add_argument("--model", help="a folder, or any sentiment classifier on the Hugging Face hub")
    options = args.parse_args()
    try:
        asked = {} if options.model is None else {"model": options.model}
        encoder = Encoder.load(SentimentSettings.model_validate(load().sentiment.model_dump() | asked))
        try:
            if options.predict:
                predict(encoder, options.predict)
            else:
                for name, figure in evaluate(encoder, options.evaluate).items():
                    print(f"{name:20}{figure:8.4f}")
        finally:
            encoder.close()
    except RapportError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it quietly
    main()
