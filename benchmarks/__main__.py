"""How fast gptlab is, beside what it is measured against.

python -m benchmarks                            every setting; writes docs/performance.md
python -m benchmarks --only 'names*' --rounds 5  some of them; only prints
python -m benchmarks start                      from the key press to the prompt
python -m benchmarks scale                      at nanoGPT's sizes, beside torch
python -m benchmarks growth                     as work grows
python -m benchmarks causes                     where the time goes
python -m benchmarks gpu                        on an accelerator, in four minutes; only prints
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks import commands, machine, report, speed
from benchmarks.settings import SETTINGS

Rows = list[dict[str, Any]]
COMMANDS: dict[str, Callable[[speed.Effort], list[speed.Row]]] = {
    "commands": commands.measure_light,
    "tiny": commands.measure_tiny,
}
NAMES = [*(setting.name for setting in SETTINGS), *COMMANDS]


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """Exits with status 2 for what cannot be measured."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"settings: {', '.join(NAMES)}",
    )
    parser.add_argument("what", nargs="?", default="speed", choices=report.KINDS)
    parser.add_argument("--only", metavar="PATTERN", help="settings whose name matches, e.g. 'names*'")
    parser.add_argument("--rounds", type=int, metavar="N", help="how often each is timed (default: 21)")
    parser.add_argument("--quick", action="store_true", help="few rounds of few steps: a rough look")
    parser.add_argument("--threads", choices=("one", "all", "both"), help="cores (default: both)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the numbers go")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error(f"--rounds must be at least 1: got {options.rounds}. Try --rounds 21.")
    options.names = [name for name in NAMES if options.only is None or fnmatch(name, options.only)]
    if not options.names:
        parser.error(f"--only must match a setting: got {options.only}. There are {', '.join(NAMES)}.")
    if options.what != "speed" and options.only is not None:
        parser.error(f"--only selects settings, of which {options.what} has none. Leave it out.")
    return options


def effort_of(options: argparse.Namespace) -> speed.Effort:
    if options.quick:
        return speed.Effort(rounds=options.rounds or 2, seconds=0.02)
    return speed.Effort(rounds=options.rounds or speed.Effort.rounds)


def run_speed(options: argparse.Namespace, keep: Callable[[dict[str, Any]], None]) -> bool:
    """Measure and print setting by setting; whether all implementations that ran agree."""
    effort = effort_of(options)
    chosen = ("one", "all") if options.threads in (None, "both") else (options.threads,)
    rows: Rows = []
    about: dict[str, Any] = {"machine": machine.describe(), "rounds": effort.rounds}

    def done(new: list[speed.Row]) -> None:
        rows.extend(row.as_json() for row in new)
        for row in new:
            print("  ".join(report.speed_cells(row.as_json())), flush=True)
        keep({**about, "rows": rows})

    for setting in SETTINGS:
        if setting.name in options.names:
            for threads in chosen:
                if threads in setting.threads:
                    done(speed.measure(setting, threads, effort))
    for name, measure in COMMANDS.items():
        if name in options.names:
            done(measure(effort))
    print(f"\n{machine.sentence(about['machine'])}\n\n{report.speed_table(rows)}\n")
    return not any("differ" in row["note"] or "failed" in row["note"] for row in rows)


def main(arguments: list[str] | None = None) -> int:
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["gpu"]:  # of one process, and nothing of it is kept beside the others
        from benchmarks import gpu

        return gpu.main(words[1:])
    options = parsed(words)
    # What was measured in part or in haste must not replace the page's numbers.
    whole = options.only is None and not options.quick and options.threads in (None, "both")
    path = options.json or (report.RESULTS / f"{options.what}.json" if whole else None)

    def keep(result: dict[str, Any]) -> None:
        if path is not None:
            report.write_json(path, result)

    if options.what == "speed":
        good = run_speed(options, keep)
    else:
        from benchmarks import causes, growth, scale, start

        kinds = {"start": start.run, "growth": growth.run, "scale": scale.run, "causes": causes.run}
        run = kinds[options.what]
        good = run(effort_of(options), options.threads, options.quick, keep)
    if whole and options.json is None:
        report.write_page()
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
