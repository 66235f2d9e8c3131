"""What a soak says about memory: by how much each process grows, and the plot. The soak itself is in bench/load.py.

    python -m bench.soak build/load/soak-instant.jsonl [--warm-up 6] [--picture docs/pictures/load-soak.svg]

reports once more what a soak has sampled, be it that it was cut short.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GENERATOR = "load generator"  # it keeps every message, and so do the doubles in it: it grows on purpose
POINTS = 200  # of the plot


def minutes(samples: Sequence[dict[str, Any]]) -> list[float]:
    """Return when each sample was taken."""
    return [(sample["at"] - samples[0]["at"]) / 60 for sample in samples]


def slopes(samples: Sequence[dict[str, Any]], warm_up: float) -> dict[str, float]:
    """Return by how many MB an hour each process grows: least squares, from so many minutes on."""
    hours = [minute / 60 for minute in minutes(samples) if minute >= warm_up]
    steady = samples[-len(hours) :]
    return {
        name: statistics.linear_regression(hours, [sample["memory"][name] for sample in steady]).slope
        for name in samples[0]["memory"]
    }


def report_memory(samples: Sequence[dict[str, Any]], warm_up: float) -> None:
    """Print how memory went."""
    begin = next(one for one, minute in zip(samples, minutes(samples), strict=True) if minute >= warm_up)["memory"]
    print(f"{minutes(samples)[-1]:.1f} minutes, the slope from minute {warm_up:g} on.\n")
    print(f"| process | MB at minute {warm_up:g} | MB at the end | most MB | MB an hour |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, slope in slopes(samples, warm_up).items():
        most = max(sample["memory"][name] for sample in samples)
        print(f"| {name} | {begin[name]:.1f} | {samples[-1]['memory'][name]:.1f} | {most:.1f} | {slope:+.1f} |")


def draw_memory(path: Path, samples: Sequence[dict[str, Any]], warm_up: float, what: str) -> None:
    """Draw memory over time."""
    from bench.plots import Lines, draw

    thin = samples[:: max(1, len(samples) // POINTS)]
    names = [name for name in samples[0]["memory"] if name != GENERATOR]
    memory = {name: (minutes(thin), [one["memory"][name] for one in thin]) for name in names}
    lines = Lines("MB", "minutes", memory, dots=False, marks={warm_up: "slope from here on"})
    draw(path, f"Resident memory under constant load ({what})", lines)


def main() -> None:
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("samples", type=Path)
    args.add_argument("--warm-up", type=float, default=6, help="minutes that the slope leaves out")
    args.add_argument("--picture", type=Path, help="draw the plot there, too")
    args.add_argument("--what", default="instant models", help="what the plot says it is of")
    options = args.parse_args()
    samples = [json.loads(line) for line in options.samples.read_text("utf-8").splitlines() if line.endswith("}")]
    report_memory(samples, options.warm_up)
    if options.picture:
        draw_memory(options.picture, samples, options.warm_up, options.what)


if __name__ == "__main__":
    main()
