"""The verb `check`: everything that can go wrong with what is registered is tried."""

from gptlab.errors import UserError
from gptlab.streams import show

HELP = """\
Check what is registered, one line per name as it is done. The exit status is 1 if a check fails.

  gradients    they match central differences on both engines, and the engines agree
  positions    each sees the same alone, in a row that documents share, and with the cache of generation; none
               sees later tokens
  training     twice gives the same bits
  optimizers   they are pure and repeatable, and converge
  listeners    if you name them: they hear a run to its end
  words        names and fields are described

  python -m gptlab check                 everything
  python -m gptlab check halfmul muon    these ops, components, listeners or plugins\
"""


def run(arguments: list[str]) -> int:
    """Check the names given, or all there are; 1 if a check fails."""
    from gptlab.plugins.loading import load_plugins

    for argument in arguments:
        if argument.startswith("-") or "=" in argument:
            raise UserError(
                f"check takes names of ops, components, listeners or plugins: got '{argument}'. "
                "Type python -m gptlab check halfmul, or python -m gptlab check for all."
            )
    plugins = load_plugins()
    from gptlab.checks.report import checks_of, lines_of, subjects

    chosen = subjects(plugins, arguments)
    width = max(len(subject.title) for subject in chosen)
    passed = failed = 0
    for subject in chosen:
        checks = checks_of(plugins, subject)
        for line in lines_of(f"{subject.title:<{width}}", checks):
            show(line)
        passed += sum(check.passed for check in checks)
        failed += sum(not check.passed for check in checks)
    show(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
