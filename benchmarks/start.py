"""Start: CPU seconds of `import replaylab` and of `replaylab --help`, against `import pandas`.

The claim: at most 0.35 s of CPU for `import replaylab`.
"""

from __future__ import annotations

from statistics import median

from benchmarks.measure import Ratio, arguments, cpu_seconds, print_ratio, print_table

COMMANDS = {
    "import replaylab": ["-c", "import replaylab"],
    "import replaylab, convert and open_store": ["-c", "from replaylab import convert, open_store"],
    "replaylab --help": ["-c", "from replaylab.cli.main import main; main()", "--help"],
    "import pandas": ["-c", "import pandas"],
    "import pyarrow": ["-c", "import pyarrow"],
    "python": ["-c", ""],
}


def main() -> None:
    """Start each in turn, and print."""
    options = arguments(__doc__)
    rounds = 1 if options.quick else max(options.rounds, 10)
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds + 1):
        for name, command in COMMANDS.items():
            taken = cpu_seconds(*command)
            if number:  # the first round reads the files from disk
                seconds[name].append(taken)
    rows = [(name, median(taken), min(taken), max(taken)) for name, taken in seconds.items()]
    print_table(f"CPU seconds, {rounds} starts", ["", "median", "least", "greatest"], rows)
    for name in ("import replaylab", "import replaylab, convert and open_store"):
        ratio = Ratio.of(seconds["import pandas"], seconds[name])
        print_ratio(f"start: {name}", ratio, "CPU of `import pandas` over it")


if __name__ == "__main__":
    main()
