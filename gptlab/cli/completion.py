"""Tab completion: Hydra's own, which knows one config and no verbs, told which config is meant."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import fields
from io import StringIO

from gptlab.command.verbs import ROOTS, VERBS
from gptlab.config.experiments import GROUP as EXPERIMENT
from gptlab.config.experiments import SIZE
from gptlab.config.keys import PLACES, Schema
from gptlab.plugins.registry import VERB, Registry
from gptlab.streams import show

MODULE = re.compile(r"^\s*\S*python[0-9.]*\s+-m\s+gptlab\s+")
HELP = re.compile(r"\s*\S+\s+(?:(?P<verb>[a-z]+)\s+)?(?:--help|-h)\s+(?P<word>\S*)")
# Bash asks by the first word, and `python` is a word of many: what is no `-m gptlab` goes to whatever was asked before.
FOR_PYTHON = r"""
_gptlab_of_python() {
    if [ "${COMP_WORDS[1]}" = -m ] && [ "${COMP_WORDS[2]}" = gptlab ] && [ "$COMP_CWORD" -gt 2 ]; then
        local word="${COMP_WORDS[COMP_CWORD]}"
        COMPREPLY=($(compgen -W "$(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \
            "${COMP_WORDS[0]}" -m gptlab -sc query=bash)" -- "$word"))
    elif [ -n "${_gptlab_asked_before[$1]}" ]; then
        "${_gptlab_asked_before[$1]}" "$@"
    fi
}
declare -gA _gptlab_asked_before
for _gptlab_name in python python3; do
    _gptlab_function=$(complete -p "$_gptlab_name" 2>/dev/null | sed -n 's/.* -F \([^ ]*\) .*/\1/p')
    [ "$_gptlab_function" = _gptlab_of_python ] || _gptlab_asked_before[$_gptlab_name]=$_gptlab_function
    complete -o nospace -o bashdefault -o default -F _gptlab_of_python "$_gptlab_name"
done
unset _gptlab_name _gptlab_function"""
TAKE_A_WORD = ("export", "import", "compare")  # in front of the overrides


def complete(flags: Namespace, registry: Registry) -> int:
    """`-sc install=bash` and the like; what a shell asks with `-sc query=bash` is in COMP_LINE."""
    from gptlab.command import hydra_insides

    if not any(word.startswith("query=") for word in flags.overrides):
        hydra_insides.show("train", flags)
        if "install=bash" in flags.overrides:
            show(FOR_PYTHON)
        return 0
    line = MODULE.sub("gptlab ", os.environ.get("COMP_LINE", ""))
    asked = HELP.fullmatch(line)
    if asked:
        show("\n".join(of_help(asked["verb"] or "train", asked["word"], registry)))
        return 0
    verb, rest, choices = understood(line, registry)
    if verb not in VERBS:
        show("\n".join(choices))
        return 0
    root = VERBS[verb].root or verb
    if root in ROOTS:
        hydras = StringIO()
        os.environ["COMP_LINE"] = f"gptlab {rest}"
        # A line that is not finished may be wrong in any way, and an error would be printed into it.
        with suppress(Exception, SystemExit), redirect_stdout(hydras), redirect_stderr(StringIO()):
            hydra_insides.show(root, flags)
        os.environ["COMP_LINE"] = line
        choices += taken(hydras.getvalue().split(), verb, Schema(ROOTS[root], lambda: registry))
    if choices:
        show("\n".join(choices))
    return 0


def of_help(verb: str, begun: str, registry: Registry) -> list[str]:
    """What can stand behind --help: parts of the keys up to the next dot, and the keys of the part that is named."""
    root = VERBS[verb].root or verb if verb in VERBS else ""
    if root not in ROOTS:
        return []
    keys = dict.fromkeys(leaf.key for leaf in Schema(ROOTS[root], lambda: registry).leaves())
    ends = (key.find(".", len(begun)) for key in keys)
    found = (
        key[: end + 1] if end >= 0 else key
        for key, end in zip(keys, ends, strict=True)
        if key.startswith(begun)
    )
    return list(dict.fromkeys(found))


def taken(choices: list[str], verb: str, schema: Schema) -> Iterator[str]:
    """Of what Hydra offers, what the verb takes: Hydra knows all groups that there are, and no verbs."""
    for choice in choices:
        key = choice.lstrip("+").partition("=")[0].rstrip("./")
        group = key.replace("/", ".")
        if key in (EXPERIMENT, SIZE):
            if VERBS[verb].describes_a_run:
                yield f"+{choice.lstrip('+')}"
        elif key == "sweep" and not choice.endswith("."):
            if verb == "train":
                yield f"+{choice.lstrip('+')}"
        elif key.partition(".")[0].partition("/")[0] == "hydra":
            if verb == "train":
                yield choice if choice != "hydra" else "hydra/"
        elif "/" in choice or group in PLACES:
            if any(f"{place}.".startswith(f"{group}.") and schema.has_place(place) for place in PLACES):
                yield choice
        elif verb in ("summary", "graph") and key in ("resume", "sweep", "sweep.resume"):
            continue  # of training alone
        elif key != "original" and not key.endswith(".name") and schema.knows(key):
            yield choice


def understood(line: str, registry: Registry) -> tuple[str, str, list[str]]:
    """The verb of a command line, what follows it, and what of gptlab's own could complete it."""
    _, _, rest = line.lstrip().partition(" ")
    rest = rest.lstrip()
    first, space, after = rest.partition(" ")
    if space and first in VERBS:
        return first, *of_verb(first, after.lstrip(), registry)
    if space and first in registry.names(VERB):
        begun = after.rpartition(" ")[2]
        keys = [f"{field.name}=" for field in fields(registry.get(VERB, first))]
        return first, after, [key for key in keys if key.startswith(begun)]
    word = rest.rpartition(" ")[2]
    if word == rest and "=" not in word:
        return "train", rest, [f"{v} " for v in [*VERBS, *registry.names(VERB)] if v.startswith(word)]
    key, equals, begun = word.partition("=")
    if equals and key.startswith("ops."):
        return "train", rest, of_ops(key, begun, registry)
    return "train", rest, []


def of_ops(key: str, begun: str, registry: Registry) -> list[str]:
    return [f"{key}={name}" for name in registry.names("op") if name.startswith(begun)]


def of_verb(verb: str, rest: str, registry: Registry) -> tuple[str, list[str]]:
    """What of a verb's line Hydra can complete, and the flags of gptlab's own that could."""
    key, equals, begun = rest.rpartition(" ")[2].partition("=")
    if VERBS[verb].describes_a_run and equals and key.startswith("ops."):
        return rest, of_ops(key, begun, registry)
    if verb == "summary" and not equals and "versus=".startswith(key):
        return rest, ["versus="]
    if verb == "check":
        names = {name for entry in registry for name in (entry.name, entry.owner)}
        return rest, sorted(name for name in names if name.startswith(key))
    if verb == "gallery":
        from gptlab.gallery.finding import entry_files

        before, _, word = rest.rpartition(" ")
        typed = before.split()
        entries = [] if any("=" not in text for text in typed) else list(entry_files())
        # Hydra knows no words but overrides.
        overrides = [text for text in typed if "=" in text]
        return " ".join([*overrides, word]), [name for name in entries if name.startswith(word)]
    if verb not in TAKE_A_WORD:
        return rest, []
    before, _, word = rest.rpartition(" ")
    # Hydra knows no words but overrides.
    overrides = [text for text in before.split() if "=" in text and not text.startswith("-")]
    flags = []
    if verb == "export" and word.startswith("-"):
        from gptlab.cli.verbs.export import FORMAT
        from gptlab.exchange.exporting import FOLDERS, FORMATS

        flags = [f"{FORMAT}={name}" for name in (*FORMATS, *FOLDERS) if f"{FORMAT}={name}".startswith(word)]
    return " ".join([*overrides, word]), flags
