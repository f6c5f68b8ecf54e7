"""Slips in how a command is typed: dashes before a key, words without a key, a text without its quotes.

Each is told with what to type instead.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import typing
from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from gptlab.command.as_typed import PROSE, unquoted
from gptlab.command.foreign_words import COMMANDS, folded, said_of
from gptlab.command.suggesting import chosen_components, instead, owners_of
from gptlab.command.verbs import VERBS
from gptlab.config.experiments import GROUP as EXPERIMENT
from gptlab.config.experiments import experiment_named
from gptlab.config.keys import PLACES, bare
from gptlab.errors import UserError, nearest

if TYPE_CHECKING:
    from argparse import Namespace

    from gptlab.command.line import VerbKeys

TEXT_OF = {"generate": "prompt", "inspect": "text", "graph": "expr"}  # what a bare text is meant to be
DASHED = re.compile(r"--?[A-Za-z]")
WITH_SPACES = (*PROSE, "prompt", "run", "output", "register", "data.path", "tokenizer.path")
PYTHON = "python -m gptlab"
# What names a file or a run, and so cannot be empty, with an example.
NAMING = {
    "data.path": "corpus.txt",
    "tokenizer.path": "corpus.txt",
    "run": "latest",
    "resume": "latest",
    "sweep.resume": "latest",
    "initFrom": "latest",
    "file": "weights.json",
    "output": "FILE",
    "register": "NAME",
}


def wrong_first_word(arguments: list[str], others: Sequence[str] = ()) -> UserError:
    """The error for a first word that is neither a verb nor an override. others: verbs that plugins bring."""
    from gptlab.command.line import VerbKeys

    word = arguments[0]
    if folded(word) == "help" and arguments[1:] and arguments[1] in VERBS:
        return UserError(f"there is no verb '{word}'. Type {PYTHON} {arguments[1]} --help")
    if command := said_of(word, COMMANDS):
        return UserError(f"there is no verb '{word}'. Type {command}")
    if experiment := experiment_named(word):
        return UserError(
            f"an experiment is added with a plus: got '{word}'. Type {PYTHON} +{EXPERIMENT}={experiment}"
        )
    if os.path.isfile(word):
        return UserError(
            f"a file to train on is named by data.path: got '{word}'. Type {PYTHON} {on_text(word)}"
        )
    said = bare_word(0, arguments, VerbKeys("train"))
    if "ype " in said:
        return UserError(said)
    close = nearest(word, [*VERBS, *others])
    guess = f" Did you mean {' or '.join(close)}?" if close else ""
    return UserError(
        f"the first word must be a verb ({', '.join([*VERBS, *others])}) or an override that reads key=value, such as "
        f"+experiment=tiny: got '{word}'.{guess}"
    )


def refuse_dashes(arguments: list[str], options: list[str], verb: VerbKeys) -> None:
    """Raises UserError for a key that is typed like a flag: `--lr 0.1`, `--n_embd=32`, `--experiment tiny`."""
    for i, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if not DASHED.match(name) or name in options:
            continue
        word = name.lstrip("-")
        if not equals:
            words = list(takewhile(is_value, arguments[i + 1 :]))
            value = " ".join(words if word in WITH_SPACES else words[:1])
        if word in VERBS:
            raise UserError(f"a verb has no dashes: got {argument}. Type {PYTHON} {word}")
        if said := for_key(word, value, verb):
            got = f"{name}={value}" if value else name
            raise UserError(f"keys are typed without dashes: got {got}. {said}")


def is_value(argument: str) -> bool:
    """Whether it can be what a flag in front of it is to be: no flag and no override itself."""
    return "=" not in argument and not argument.startswith(("-", "+"))


def refuse_config_name(name: str | None) -> None:
    """Raises UserError for an experiment where the name of a root config is wanted."""
    if name and (experiment := experiment_named(name)):
        raise UserError(
            f"--config-name names a root config, and '{name}' is an experiment. Type +{EXPERIMENT}={experiment}"
        )


def refuse_experiment(arguments: list[str], verb: str) -> None:
    """Raises UserError for an experiment where a verb takes none."""
    for word in [] if VERBS[verb].describes_a_run else arguments:
        if re.match(r"(?:\+|--)experiment\b|experiment=", word):
            raise UserError(
                f"{verb} takes no experiment: got '{word}'. Type {PYTHON} {VERBS[verb].usage or verb}"
            )


def refuse_experiments(overrides: list[str]) -> None:
    """Raises UserError for two experiments, and for one that is in a folder of experiments/."""
    typed = [text for text in overrides if text.lstrip("+").startswith(f"{EXPERIMENT}=")]
    names = [unquoted(text.partition("=")[2]) for text in typed]
    if len(names) == 1 and re.fullmatch(r"\[.*\]", names[0]):
        names = [name.strip() for name in names[0][1:-1].split(",")]
    if len(names) > 1:
        raise UserError(
            f"only one experiment can be chosen: got {' '.join(typed)}. To build one on another, write defaults: "
            f"[{names[0]}] in the file of {names[1]}, and type +{EXPERIMENT}={names[1]}"
        )
    for text, name in zip(typed, names, strict=True):
        path = re.sub(r"\.ya?ml$", "", name.removeprefix("./").removeprefix("experiments/"))
        files = [f"experiments/{path}{suffix}" for suffix in (".yaml", ".yml")]
        found = next((file for file in files if os.path.isfile(file)), "")
        if "/" in path and found:
            moved = os.path.basename(found)
            raise UserError(
                f"an experiment's file is in experiments/ itself: got {text}, which is {found}. Move it up: "
                f"mv {shlex.quote(found)} {shlex.quote(f'experiments/{moved}')}, and type "
                f"+{EXPERIMENT}={os.path.basename(path)}"
            )


def refuse_empty(key: str, text: str) -> None:
    """Raises UserError for no name where a file or a run is named: an empty path would be the folder that one is in."""
    if key in NAMING and not unquoted(text.partition("=")[2]).strip():
        leave = "" if key in ("data.path", "file") else f", or leave {key} out"
        raise UserError(f"{key} must be given: got '{text}'. Type {key}={NAMING[key]}{leave}")


def refuse_bare_sweep(flags: Namespace) -> None:
    """Raises UserError for -m alone."""
    if flags.multirun and not (flags.overrides or flags.config_name or flags.config_path or flags.config_dir):
        raise UserError(
            f"a sweep needs values to go through: got -m alone. Type {said_of('sweep', COMMANDS)}"
        )


def refuse_bare_word(overrides: list[str], verb: VerbKeys) -> None:
    """Raises UserError for the first word that has no `=`."""
    for i, word in enumerate(overrides):
        if "=" in word.strip("=") or word.startswith("~") or (word.endswith("=") and word != "="):
            if word.endswith("=") and i + 1 < len(overrides) and "=" not in overrides[i + 1]:
                raise UserError(f"put no space around =: type {override(word[:-1], overrides[i + 1])}")
            continue
        raise UserError(bare_word(i, overrides, verb))


def bare_word(i: int, overrides: list[str], verb: VerbKeys) -> str:
    """What is said of the word at i, which has no `=` in it."""
    word, before = overrides[i], overrides[i - 1] if i else ""
    after = overrides[i + 1] if i + 1 < len(overrides) else ""
    plain = word.lstrip("+")
    if word.startswith("="):
        value = word[1:] or after
        if before and "=" not in before and value:
            return f"put no space around =: type {override(before, value)}"
        return f"an override must read key=value: got '{word}', which has no key."
    if after.startswith("=") and (value := after[1:] or "".join(overrides[i + 2 : i + 3])):
        return f"put no space around =: type {override(word, value)}"
    owner = before.partition("=")[0].lstrip("+") if i else ""
    if plain in VERBS and owner not in (*PROSE, "prompt"):
        return f"the verb comes first: type {PYTHON} {plain} ..."
    if owner in WITH_SPACES:
        words = [before, *takewhile(lambda word: "=" not in word, overrides[i:])]
        key, _, value = " ".join(words).partition("=")
        return f"a text with spaces needs quotes: got '{' '.join(words)}'. Type {key}={shlex.quote(value)}"
    if after and "=" not in after and not after.startswith("~") and (guess := for_key(plain, after, verb)):
        return f"an override must read key=value: got '{word} {after}'. {guess}"
    begins = f"an override must read key=value: got '{word}'."
    key, colon, value = word.partition(":")
    if colon and value and verb.name not in TEXT_OF and (guess := for_key(key, value, verb)):
        return f"{begins} {guess}"
    if verb.name == "train":
        if experiment := experiment_named(plain):
            return f"{begins} Type +{EXPERIMENT}={experiment}"
        if os.path.isfile(plain):
            return f"{begins} Type {on_text(plain)}"
        owners = owners_of(plain, verb.schema) if plain.isidentifier() else []
        if len(owners) == 1:
            return f"{begins} Type {owners[0]}={plain}"
    if verb.name in TEXT_OF:
        if verb.name != "graph" and (plain == "latest" or os.path.exists(plain)):
            return f"{begins} Type {PYTHON} {verb.name} run={shlex.quote(word)}"
        text = " ".join(overrides[i:] if not any("=" in text for text in overrides[i:]) else [word])
        return f"{begins} Type {PYTHON} {verb.name} {TEXT_OF[verb.name]}={shlex.quote(text)}"
    if verb.name == "ui" and word.isdigit():
        return f"{begins} Type {PYTHON} ui port={word}"
    return begins


def refuse_part(key: str, value: str, verb: VerbKeys) -> None:
    """Raises UserError for a value where there are keys: `model=big`, and for a file where a data set is selected."""
    if key == "data" and os.path.exists(value) and value not in verb.schema.components("data"):
        raise UserError(
            f"data selects a kind of data, and data.path names its file: got data={value}. Type {on_text(value)}"
        )
    hint = bare(verb.schema.hint(key)) if "/" not in key else None
    if not dataclasses.is_dataclass(hint) or value.startswith("{"):
        return
    if experiment := experiment_named(value):
        raise UserError(
            f"{key} has keys of its own, and {value} is an experiment: got {key}={value}. "
            f"Type +{EXPERIMENT}={experiment}"
        )
    keys = [f"{key}.{field.name}" for field in dataclasses.fields(hint)]
    keys = [name.replace(".", "/") if name in PLACES else name for name in keys]
    raise UserError(f"{key} has keys of its own: got {key}={value}. Set one of {', '.join(keys)}.")


def refuse_dots(key: str, value: str, verb: VerbKeys) -> None:
    """Raises UserError for `train.rates.layers.0=2`, which is no number for `layers.0` but something in `layers`."""
    names = key.split(".")
    for i in range(2, len(names) - 1):
        part, name = ".".join(names[:i]), ".".join(names[i:])
        hint = bare(verb.schema.hint(part))
        if typing.get_origin(hint) is dict and typing.get_args(hint)[1] in (int, float, str, bool):
            inner = shlex.quote(f"{{{name}: {value}}}")
            raise UserError(f"put a name with dots in braces: got {key}={value}. Type {part}={inner}")


def on_text(path: str) -> str:
    return f"data=text data.path={shlex.quote(path)}"


def is_key(key: str, verb: VerbKeys) -> bool:
    """Whether a config of the verb can have the key, or the group."""
    place = key.replace("/", ".")
    return verb.schema.hint(place) is not None and ("/" not in key or place in PLACES)


def override(key: str, value: str) -> str:
    """`+experiment=tiny`, `prompt='the cat'`: as it is typed."""
    key = key.lstrip("+")
    return f"{'+' if key == EXPERIMENT else ''}{key}={shlex.quote(value)}"


def for_key(key: str, value: str, verb: VerbKeys) -> str:
    """What to type for a key and its value, or for what else the key may mean; empty if nothing is like it."""
    if value and is_key(key, verb):
        return f"Type {override(key, value)}"
    return instead(key, value, verb.schema, chosen_components(verb.name, []))
