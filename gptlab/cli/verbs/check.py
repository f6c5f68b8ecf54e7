"""The verb `check`: everything that can go wrong with what is registered is tried."""

from gptlab.errors import UserError
from gptlab.streams import show

HELP = """\
Try what is registered: gradients against central differences on both engines, that the engines agree, that
optimizers are pure, repeatable and converge, that names and fields are described. Exit status 1 on a failure.

  python -m gptlab check                 everything
  python -m gptlab check halfmul muon    these ops, components or plugins\
"""


def run(arguments: list[str]) -> int:
    """Check the names given, or all there are; 1 if a check fails."""
    from gptlab.plugins.loading import load_plugins

    for argument in arguments:
        if argument.startswith("-") or "=" in argument:
            raise UserError(
                f"check takes names of ops, components or plugins: got '{argument}'. "
                "Type python -m gptlab check halfmul, or python -m gptlab check for all."
            )
    registry = load_plugins().registry
    from gptlab.checks.report import check_names, table

    checks = check_names(registry, arguments)
    show(table(checks))
    failed = [c for c in checks if not c.passed]
    show(f"{len(checks) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0
