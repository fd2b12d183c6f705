"""Fuzz one reader: `python -m tests.fuzz recordings 100000 [--seed 7] [--corpus FOLDER] [--own]`.

With atheris the inputs follow the branches that earlier ones took; without it (there are wheels for some versions of
Python alone), or with `--own`, they are the seeds with bytes changed by chance. A finding ends it with a status that is
not 0, and the input is left in the folder.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from typing import Final

try:
    import atheris
except ImportError:
    atheris = None

if atheris is not None:
    with atheris.instrument_imports(include=["replaylab.parsing", "replaylab.journals", "replaylab.feeds"]):
        from tests.fuzz.targets import TARGETS, seeds
else:
    from tests.fuzz.targets import TARGETS, seeds

LONGEST: Final = 2048  # bytes of an input
CORPUS: Final = Path(__file__).parent / "corpus"


def main() -> None:
    """Read the command line and fuzz."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz")
    options.add_argument("target", choices=TARGETS)
    options.add_argument("inputs", type=int)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--corpus", type=Path, required=True, help="folder of inputs; new ones are added")
    options.add_argument("--own", action="store_true", help="change bytes by chance, without atheris")
    chosen = options.parse_args()
    chosen.corpus.mkdir(parents=True, exist_ok=True)
    kept = CORPUS / f"{chosen.target}.txt"
    known = [bytes.fromhex(line) for line in kept.read_text().split()] if kept.exists() else []
    for number, one in enumerate([*seeds(chosen.target), *known]):
        (chosen.corpus / f"seed-{number:04}").write_bytes(one)
    if atheris is None or chosen.own:
        by_chance(chosen.target, chosen.inputs, chosen.seed, chosen.corpus)
        return
    flags = [f"-runs={chosen.inputs}", f"-seed={chosen.seed}", f"-max_len={LONGEST}", "-timeout=600", "-verbosity=0"]
    flags += [f"-artifact_prefix={chosen.corpus.parent}/", "-print_final_stats=1", "-reload=0"]
    flags += ["-rss_limit_mb=0", str(chosen.corpus)]  # what it reads is the peak of the process that started this one
    atheris.Setup([sys.argv[0], *flags], TARGETS[chosen.target].check, internal_libfuzzer=True)
    atheris.Fuzz()


def by_chance(target: str, inputs: int, seed: int, corpus: Path) -> None:
    """Try inputs that are made of those in the corpus."""
    chance = random.Random(seed)
    known = [path.read_bytes() for path in sorted(corpus.iterdir())]
    for done in range(inputs):
        data = bytearray(known[done] if done < len(known) else changed(chance, known))
        try:
            TARGETS[target].check(bytes(data))
        except BaseException:
            (corpus.parent / "finding").write_bytes(data)
            raise
    sys.stdout.write(f"{inputs} inputs\n")


def changed(chance: random.Random, known: list[bytes]) -> bytearray:
    """Return an input in which bytes were replaced, removed, repeated, or taken from another."""
    found = bytearray(chance.choice(known))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(5):
            case 0:
                found[at : at + 1] = bytes([chance.choice(b'0123456789"\\,.:{}[]-+eE \t\r\n\0\xff')])
            case 1:
                del found[at : at + chance.randint(1, 30)]
            case 2:
                other = chance.choice(known)
                begin = chance.randrange(len(other) + 1)
                found[at:at] = other[begin : begin + chance.randint(1, 60)]
            case 3:
                found[at:at] = found[at : at + chance.randint(1, 30)]
            case _:
                found[at : at + 1] = bytes([chance.randrange(256)])
    return found[:LONGEST]


if __name__ == "__main__":
    main()
