"""The verb `graph`: an expression's Values as a picture, or what the graph of a training step is made of."""

from __future__ import annotations

from gptlab.cli.output_file import output_file, write_output
from gptlab.cli.reading import with_line_ends, with_settings
from gptlab.command.composing import requested_of
from gptlab.command.line import CommandLine
from gptlab.config.schema import GraphConfig
from gptlab.errors import UserError, nearest
from gptlab.streams import show

EXPR = "expr="
PICTURE = "graph.svg"
MOST_VALUES = 400  # that a picture shows

HELP = """\
Draw the graph of Values of an expression, or describe that of one training step in numbers.

  python -m gptlab graph expr="relu(a*b + c)" a=2 b=-3 c=10
  python -m gptlab graph expr="d = a*b; tanh(d)*d + 1" a=0.5 b=-3 output=shared.svg
  python -m gptlab graph +experiment=book
  python -m gptlab graph +experiment=book param=layers.0.attention.query[3,5]

expr          + - * / **, ops by name, also those of plugins (python -m gptlab plugins lists them), and names.
              Give each name its number after the expression, or a part of the expression before, up to a ";".
              The picture has data and grad of each Value and the local gradient on each edge; ops.mul=halfmul
              swaps the op as in training
output        the picture, an SVG; if left out, graph.svg, which is replaced

Without expr it takes the first step of the training run that the other arguments describe: how many nodes of
each op in each part, how deep, how large, both fused and with a node for each addition and product.
param         one number of a weight, counted from 0: where it goes, its gradient, also by a difference
text          a document to use instead of the run's first ones: text="the cat eats"
initFrom      a run whose weights to use: initFrom=latest\
"""


def run(arguments: list[str]) -> int:
    """Draw `expr=...`, or count the nodes of the step that the config describes, and follow `param=`."""
    if any(argument.lstrip("+").startswith(EXPR) for argument in arguments):
        return expression(arguments)
    return with_settings("graph", arguments, model)


def expression(arguments: list[str]) -> int:
    """Everything that is typed is the expression's: its numbers, the ops that it is made with, the picture."""
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.lstrip("+").partition("=")
        key = key.strip()
        if argument.startswith("-") or not equals or not key:
            raise UserError(
                f"with expr= there are numbers for its names, ops.SLOT=NAME and output=: got '{argument}'. "
                'Type python -m gptlab graph expr="relu(a*b + c)" a=2 b=-3 c=10.'
            )
        if key in given:
            raise UserError(f"{key} can be given once: got {given[key]} and {value}.")
        given[key] = unquoted(value)
    from gptlab.autograd.ops import OpTable
    from gptlab.autograd.picture import LEGEND, is_small, picture
    from gptlab.drawing.table import console_here
    from gptlab.graph.expression import build, parse
    from gptlab.graph.report import print_expression
    from gptlab.plugins.loading import load_plugins

    read = parse(given.pop("expr"))
    output = output_file(given.pop("output", PICTURE), PICTURE, "an SVG", is_svg)
    registry = load_plugins().registry
    slots = {key.removeprefix("ops."): given.pop(key) for key in list(given) if key.startswith("ops.")}
    ops = OpTable(
        {slot: registry.get("op", name) for slot, name in slots.items() if slot != name},
        {name: registry.get("op", name) for name in registry.names("op")},
    )
    numbers = numbers_of(given, read.names)
    made = build(read, numbers, ops, registry.names("op"))
    if not is_small(made.result, MOST_VALUES):
        raise UserError(f"a picture shows at most {MOST_VALUES} values: this expression has more.")
    made.result.backward()
    write_output(output, f"{picture(made.result, made.names, LEGEND)}\n".encode())

    def at(name: str, shift: float) -> float:
        return build(read, {**numbers, name: numbers[name] + shift}, ops, registry.names("op")).result.data

    rows = {}
    for name, leaf in made.inputs.items():
        step = 1e-6 * max(1.0, abs(leaf.data))
        rows[name] = (leaf.data, leaf.grad, (at(name, step) - at(name, -step)) / (2 * step))
    print_expression(console_here(), rows, made.result.data)
    show(f"picture: {output}")
    return 0


def numbers_of(given: dict[str, str], names: list[str]) -> dict[str, float]:
    """Raises UserError for a name that the expression has not, and for what is no number."""
    numbers = {}
    for key, value in given.items():
        if key not in names:
            close = nearest(key, [*names, "output", "expr"])
            guess = f" Did you mean {' or '.join(close)}?" if close else ""
            listing = f"It has {', '.join(names)}." if names else "It has no names."
            raise UserError(
                f"the expression must have the names that get numbers: there is no {key}. {listing}{guess}"
            )
        try:
            numbers[key] = float(value)
        except ValueError:
            raise UserError(f"{key} must be a number: got '{value}'. Try {key}=2.") from None
    return numbers


def model(config: GraphConfig, line: CommandLine) -> int:
    if config.resume is not None:
        raise UserError(
            "graph shows the first step of a run: leave out resume=, or use initFrom= for its weights."
        )
    from gptlab.drawing.table import console_here
    from gptlab.graph.census import counted_step
    from gptlab.graph.number import checked, path_picture, traced_number
    from gptlab.graph.report import print_counts, print_trace
    from gptlab.graph.step import step_of

    text = None if config.text is None else with_line_ends(config.text)
    step = step_of(config, line.plugins.registry, requested_of(config, line.flags.overrides), text)
    place = checked(step, config.param)
    output = None if place is None else output_file(config.output, PICTURE, "an SVG", is_svg)
    console = console_here()
    layers = step.definition.sizes.nLayer
    texts = step.texts
    shown = f"'{texts[0]}'" + (f" and {len(texts) - 1} more" if len(texts) > 1 else "")
    positions = int(step.lengths.sum())
    console.print(
        f"The graph of one training step: {len(texts)} document{'s' if len(texts) > 1 else ''}, {positions} "
        f"positions: {shown}",
        style="bold",
    )
    console.print()
    if place is None or output is None:
        fused, unfused = counted_step(step)
        print_counts(console, fused, unfused, layers, sum(a.size for a in step.weights.values()))
        return 0
    trace = traced_number(step, *place)
    print_trace(
        console, trace, layers, [op.name for op in step.ops.swapped.values() if not op.exact_gradient]
    )
    if trace.uses:
        write_output(output, f"{path_picture(trace)}\n".encode())
        show(f"picture of that way: {output}")
    return 0


def unquoted(value: str) -> str:
    """Without the quotes that Hydra's grammar would have wanted."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def is_svg(start: bytes) -> bool:
    return b"<svg" in start
