"""The words of --help, and what there is for who types nothing more than the command."""

from textwrap import fill, wrap

from gptlab.command.verbs import VERBS

WIDTH = 100
WIDEST = 112


def help_of(verb: str) -> str:
    """The text for a verb; that of training lists the experiments and every name that can be selected."""
    if verb != "train":
        return VERBS[verb].help
    return "\n\n".join([training(), experiments(), names()])


def overview() -> str:
    """What there is, for who types nothing more than the command."""
    return "\n\n".join([training().partition("\n\n--cfg")[0], experiments(), "More: python -m gptlab --help"])


def training() -> str:
    """The text of training, which is also of the whole, with the names of all verbs in it."""
    others = [verb for verb in VERBS.values() if verb.name != "train"]
    of_keys = ", ".join(verb.name for verb in others if verb.config is not None)
    of_words = ", ".join(verb.name for verb in others if verb.config is None)
    words = (
        f"Verbs: train (may be left out), {of_keys}, which take Hydra overrides; {of_words}. Each has --help."
    )
    return VERBS["train"].help.replace("VERBS", fill(words, WIDEST))


def experiments() -> str:
    from gptlab.config.experiments import descriptions

    whose = "gptlab's own and those of this folder, which come first"
    return f"Experiments (files in experiments/, {whose}):\n" + table(descriptions())


def names() -> str:
    from gptlab.plugins.reading import UNREAD, read_plugins
    from gptlab.plugins.registry import GROUPS, LISTENER, VERB

    plugins = read_plugins()
    registry = plugins.registry
    rows = {f"{group}=": "  ".join(registry.names(kind)) for kind, group in GROUPS.items()}
    rows["listeners=[NAME]"] = "  ".join(registry.names(LISTENER))
    rows["ops.NAME="] = "  ".join(registry.names("op"))
    said = "Components (their fields are keys, e.g. optimizer.beta1=0.9):\n" + table(rows)
    if verbs := {name: registry.entry(VERB, name).description for name in registry.names(VERB)}:
        said += "\n\nVerbs that plugins bring:\n" + table(verbs)
    if unread := [plugin.source.name for plugin in plugins.found if plugin.failure == UNREAD]:
        said += f"\nand more, of which python -m gptlab plugins tells: {', '.join(unread)}"
    return said


def table(rows: dict[str, str]) -> str:
    """Two columns, the second one wrapped."""
    width = max((len(name) for name in rows), default=0) + 4
    lines = []
    for name, text in rows.items():
        wrapped = wrap(text, WIDTH - width, break_long_words=False) or [""]
        lines += [f"  {name:<{width - 2}}{wrapped[0]}", *(" " * width + line for line in wrapped[1:])]
    return "\n".join(line.rstrip() for line in lines)
