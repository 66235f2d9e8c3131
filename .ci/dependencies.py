"""A review of what Rapport depends on directly: version, types and licence, from what is installed here.

`make audit` runs it after pip-audit. It fails where a dependency has no line in docs/decisions/001-dependencies.md, is
not pinned in a lock, or has a licence that would have Rapport put under the same one. It asks no server; on which day
a release came out is not in what pip installs.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REASONS = ROOT / "docs" / "decisions" / "001-dependencies.md"
LOCKS = ("requirements.lock", "requirements-test.lock")
# Only what ships is linked into Rapport; tools that merely look at it may have any licence.
SHIPPED = "run"
UNPINNED = ("fuzz", "audit", "training")  # extras that are in no lock
COPYLEFT = re.compile(r"\b(?:AGPL|GPL|GNU (?:Affero )?General Public)", re.IGNORECASE)
LESSER = re.compile(r"\bLGPL|Lesser General Public", re.IGNORECASE)


def main() -> int:
    """Print the table and what is wrong with it; return the exit code."""
    faults: list[str] = []
    pinned = set(_pinned())
    reasons = {_normal(name) for name in re.findall(r"[A-Za-z0-9_.-]+", "\n".join(_reasons()))}
    print(f"{'package':<22}{'for':<10}{'version':<20}{'types':<8}licence")
    for use, name in _direct():
        if _normal(name) not in reasons:
            faults.append(f"{name} has no line in {REASONS.relative_to(ROOT)}. Say there why it is needed.")
        if use not in UNPINNED and _normal(name) not in pinned:
            faults.append(f"{name} is in no lock. Run `make lock`.")
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            print(f"{name:<22}{use:<10}not installed here")
            continue
        licence = _licence(found)
        print(f"{name:<22}{use:<10}{found.version:<20}{_types(found):<8}{licence}")
        if use == SHIPPED and licence == "unknown":
            faults.append(f"{name} does not say under which licence it stands. Look it up before you keep it.")
        if use == SHIPPED and _binds(licence):
            faults.append(f"{name} stands under {licence}, which Rapport (MIT) cannot link. Replace it.")
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _direct() -> Iterator[tuple[str, str]]:
    """Yield what each direct dependency is for ("run" or the name of its extra), and its name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {SHIPPED: project["dependencies"], **project["optional-dependencies"]}
    for use, lines in groups.items():
        for line in lines:
            found = re.match(r"[A-Za-z0-9._-]+", line)
            assert found, line
            yield use, found[0]


def _pinned() -> Iterator[str]:
    for lock in LOCKS:
        lines = (ROOT / lock).read_text("utf-8").splitlines()
        yield from (_normal(line.partition("==")[0]) for line in lines if "==" in line)


def _reasons() -> Iterator[str]:
    """Yield the first column of the table of decisions."""
    for line in REASONS.read_text("utf-8").splitlines():
        if line.startswith("| "):
            yield line.split("|")[1]


def _licence(found: metadata.Distribution) -> str:
    """Return what the metadata say: the expression, else the classifiers, else the first line of the text."""
    told = found.metadata
    if told.get("License-Expression"):
        return str(told["License-Expression"])
    named = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier") or () if one.startswith("License ::")]
    named = [one for one in named if one != "OSI Approved"]
    text = (told.get("License") or "").strip()
    return ", ".join(named) or (text.splitlines()[0][:60] if text else "unknown")


def _binds(licence: str) -> bool:
    """Say whether the licence wants whatever links it under the same one; LGPL does not, and of "A OR B" we choose."""
    choices = re.split(r"\bOR\b", licence)
    return all(COPYLEFT.search(LESSER.sub("", choice)) for choice in choices)


def _types(found: metadata.Distribution) -> str:
    if found.metadata["Name"].startswith("types-"):
        return "stubs"
    return "own" if any(file.name == "py.typed" for file in found.files or ()) else "none"


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
