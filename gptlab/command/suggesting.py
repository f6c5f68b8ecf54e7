"""What to type in place of a key that no config has: other spellings, other programs' words, near misses."""

from __future__ import annotations

import os
import re
import shlex
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path

from gptlab.command import foreign_words
from gptlab.command.as_typed import unquoted
from gptlab.command.foreign_words import choice_for, folded, named_so, said_of
from gptlab.command.verbs import ROOTS
from gptlab.config.experiments import GROUP as EXPERIMENT
from gptlab.config.experiments import defaults_of, experiment_files, experiment_named, folder_of
from gptlab.config.keys import PLACES, Leaf, Schema, bare
from gptlab.errors import UserError, nearest
from gptlab.plugins.registry import GROUPS

MEANS_EXPERIMENT = ("experiment", "experiments", "exp", "config", "configfile", "preset", "recipe")
IN_FILE = " (in "  # how the place of a key begins that stands in a file
Chosen = Mapping[str, str]  # the component selected at each place: {"model.norm": "rmsnorm"}


def unknown_key(
    key: str,
    value: str,
    schema: Schema,
    chosen: Chosen,
    part: str = "",
    place: str = "",
    there: Collection[str] = (),
) -> UserError:
    """The error for a key that is in no config of this verb.

    key: as it was typed, without a plus. value: what was typed behind it. part: as much of the key as is
    wrong, if not all. place: where it stands, ` (in experiments/mine.yaml)`. there: the parts that this file has.
    """
    value = unquoted(value)
    if "/" in key:
        return unknown_group(key, value, schema, place)
    told = instead(key, value, schema, chosen, place, there) or known(key, schema)
    return UserError(f"the config has no key '{part or key}'{place}. {told}")


def instead(
    key: str, value: str, schema: Schema, chosen: Chosen, place: str = "", there: Collection[str] = ()
) -> str:
    """What to type for a key that no config of this verb has; empty if nothing is like it. As in `unknown_key`."""
    value = unquoted(value)
    if "/" in key:
        return group_instead(key, value, schema, place)
    if folded(key) in MEANS_EXPERIMENT and schema.knows("train") and (name := experiment_named(value)):
        return f"Type +{EXPERIMENT}={name}"
    in_file = place.startswith(IN_FILE)
    found = same_word(key, schema, chosen)
    if found:
        reason = refused(found[0].key, value) if len(found) == 1 else ""
        if in_file:
            return reason + " Or: ".join(in_words_of_a_file(leaf, value, chosen, there) for leaf in found)
        commands = [command(leaf, value, chosen) for leaf in found]
        return (
            f"{reason}Type {commands[0]}" if len(commands) == 1 else f"Did you mean {' or '.join(commands)}?"
        )
    last = key.rpartition(".")[2]
    groups = named_so(last, foreign_words.GROUPS)
    if groups and groups[0] in groups_of(schema):
        return choose(groups[0], value, schema, there if in_file else None)
    if said := said_of(last, foreign_words.ABSENT):
        return f"Here {said}"
    if value.lower() != "false" and len(owners := owners_of(last, schema)) == 1:
        return choose(owners[0], last, schema, there if in_file else None)
    if elsewhere := of_another_verb(key, value, schema):
        return elsewhere
    close = near(key, schema)
    return f"Did you mean {' or '.join(close)}?" if close else ""


def same_word(key: str, schema: Schema, chosen: Chosen | None = None) -> list[Leaf]:
    """The keys that are this one: by what it is called elsewhere, in another spelling, in another part.

    Keys that the config has with the components that are chosen come before, and instead of, all others.
    """
    leaves = {leaf.key: leaf for leaf in schema.leaves()}
    part, _, name = key.rpartition(".")
    whole, last = folded(key), folded(name)
    spelt = [leaf for leaf in leaves.values() if folded(leaf.key) == whole]
    if spelt:
        return spelt
    elsewhere = foreign_leaf(whole, leaves) or foreign_leaf(last, leaves)
    found = elsewhere + [
        leaf
        for leaf in leaves.values()
        if folded(leaf.key.rpartition(".")[2]) == last and leaf not in elsewhere
    ]
    if part and (ending := [leaf for leaf in found if folded(leaf.key).endswith(whole)]):
        return ending
    found = [leaf for leaf in found if is_there(leaf, chosen or {})] or found
    inside = [leaf for leaf in found if part and set(part.split(".")) <= set(leaf.key.split("."))]
    return inside or found


def foreign_leaf(word: str, leaves: Mapping[str, Leaf]) -> list[Leaf]:
    """The key of this verb that a word of another program stands for; none if it stands for none."""
    trains = "seed" in leaves and "train.numSteps" in leaves
    names = named_so(word, foreign_words.KEYS)
    found = [name for name in names if name in leaves or (trains and name.startswith("hydra."))]
    return [leaves.get(name, Leaf(name, str)) for name in found[:1]]


def is_there(leaf: Leaf, chosen: Chosen) -> bool:
    """Whether the config has the key with the components that are chosen."""
    return not leaf.of or chosen.get(leaf.key.rpartition(".")[0]) in leaf.of


def near(key: str, schema: Schema) -> list[str]:
    """The keys most like this one: first those of the same part, then all."""
    leaves = [leaf.key for leaf in schema.leaves()]
    part, _, last = key.rpartition(".")
    siblings = {name.rpartition(".")[2]: name for name in leaves if name.rpartition(".")[0] == part}
    parts = {name.partition(".")[0]: name.partition(".")[0] for name in schema.parts()} if not part else {}
    if close := nearest(last, {**siblings, **parts}, cutoff=0.6):
        return [{**siblings, **parts}[name] for name in close]
    if close := nearest(key, leaves, cutoff=0.7):
        return close
    by_last: dict[str, list[str]] = {}
    for name in leaves:
        by_last.setdefault(folded(name.rpartition(".")[2]), []).append(name)
    return [name for word in nearest(folded(last), by_last, cutoff=0.7) for name in by_last[word]][:3]


def command(leaf: Leaf, value: str, chosen: Chosen) -> str:
    """`optimizer=adamw optimizer.weightDecay=0.1`: what sets the key, with the component that has it."""
    typed = f"{leaf.key}={shlex.quote(fitting(leaf, value))}"
    if is_there(leaf, chosen):
        return typed
    return f"{GROUPS[PLACES[leaf.key.rpartition('.')[0]]]}={leaf.of[0]} {typed}"


def in_words_of_a_file(leaf: Leaf, value: str, chosen: Chosen, there: Collection[str]) -> str:
    """`Write train: {learningRate: 0.1}`, behind the component that has the key."""
    said = written(leaf.key, fitting(leaf, value), there)
    if is_there(leaf, chosen):
        return said
    return f"{chosen_so(GROUPS[PLACES[leaf.key.rpartition('.')[0]]], leaf.of[0], there)} {said}"


def written(key: str, value: str, there: Collection[str]) -> str:
    """`Write train: {learningRate: 0.1}`, or what to add to a part that is in the file already."""
    names = key.split(".")
    parts = [".".join(names[:i]) for i in range(len(names) - 1, 0, -1)]
    part = next((part for part in parts if part in there), "")
    rest = nested(key.removeprefix(f"{part}.") if part else key, value)
    return f"Under {part} add {rest}" if part else f"Write {rest}"


def chosen_so(group: str, name: str, there: Collection[str]) -> str:
    """How an experiment's file selects a component, by itself or in the defaults that it has already."""
    entry = f"override /{group}: {name}"
    return f"Under defaults add the entry {entry}" if "defaults" in there else f"Write defaults: [{entry}]"


def fitting(leaf: Leaf, value: str) -> str:
    """The value if the key takes it, else one that it takes: what this value means here, or the default."""
    if (values := foreign_words.VALUES.get(leaf.key)) is not None:
        return values.also.get(folded(value), values.example) if refused(leaf.key, value) else value
    return value if fits(leaf.hint, value) else leaf.example or "..."


def refused(key: str, value: str) -> str:
    """Why a key takes only some values, in front of what to type: of this value, which is none; else empty."""
    values = foreign_words.VALUES.get(key)
    if values is None or all(
        re.fullmatch(values.pattern, one) or os.path.exists(one) for one in value.split(",")
    ):
        return ""
    return f"Here {values.reason}. "


def nested(key: str, value: str) -> str:
    """`model: {norm: {eps: 1e-3}}`: a dotted key as an experiment's file has it."""
    names = key.split(".")
    return ": {".join(names) + f": {value}" + "}" * (len(names) - 1)


def fits(hint: object, value: str) -> bool:
    """Whether a value could be one of this type."""
    wanted = bare(hint)
    if not value:
        return False
    if isinstance(wanted, types.UnionType):
        return any(fits(option, value) for option in typing.get_args(wanted))
    if wanted is bool:
        return value.lower() in ("true", "false")
    if wanted in (int, float):
        try:
            for number in value.split(","):
                wanted(number)
        except ValueError:
            return False
        return True
    return wanted is str


def choose(group: str, value: str, schema: Schema, there: Collection[str] | None = None) -> str:
    """What selects a component: the command, or the names that there are.

    there: the parts of the file that it is for, if it is for one.
    """
    names = list(schema.components(group.replace("/", ".")))
    remark = (
        f"Here {about}. " if (about := foreign_words.OF_GROUPS.get(group, "")) and value not in names else ""
    )
    name = value if value in names else choice_for(group, value)
    if name:
        typed = f"Type {group}={name}" if there is None else chosen_so(group, name, there)
        return f"{remark}{typed}"
    close = nearest(value, names)
    if close:
        return f"Did you mean {' or '.join(f'{group}={name}' for name in close)}?"
    return f"A component is selected by its name: {group}=NAME, one of {', '.join(names)}. {remark}".rstrip()


def owners_of(name: str, schema: Schema) -> list[str]:
    """The groups that have a component of this name."""
    return [group for group in groups_of(schema) if name in schema.components(group.replace("/", "."))]


def unknown_group(key: str, value: str, schema: Schema, place: str = "") -> UserError:
    """The error for `model/nrom=layernorm`."""
    told = group_instead(key, value, schema, place) or f"Known: {', '.join(sorted(groups_of(schema)))}."
    return UserError(f"there is no config group '{key}'{place}. {told}")


def group_instead(key: str, value: str, schema: Schema, place: str = "") -> str:
    """What to type for a group that there is not; empty if none is like it."""
    dotted = key.replace("/", ".")
    if bare(schema.hint(dotted)) is not None and dotted not in PLACES:
        return f"A key is set with dots: {dotted}={value}"
    groups = groups_of(schema)
    same = [group for group in groups if group.rpartition("/")[2] == key.rpartition("/")[2]]
    if same:
        return choose(same[0], value, schema, () if place.startswith(IN_FILE) else None)
    close = nearest(key, [*groups, EXPERIMENT])
    return f"Did you mean {close[0]}?" if close else ""


def groups_of(schema: Schema) -> list[str]:
    """The groups of components that this root has."""
    return [group for group in GROUPS.values() if schema.has_place(group.replace("/", "."))]


def of_another_verb(key: str, value: str, schema: Schema) -> str:
    """The sentence for a key that another verb has, in these words or others; empty if none has it."""
    for verb, root in ROOTS.items():
        other = Schema(root, schema.registry)
        if root is schema.root:
            continue
        whole = f"python -m gptlab {verb} " if verb != "train" else "python -m gptlab +experiment=tiny "
        if other.has_place(key):
            return f"That is a choice of {verb}: {whole}{key}={value or 'NAME'}"
        if found := same_word(key, other, chosen := chosen_components(verb, [])):
            return f"That is a key of {verb}: {whole}{command(found[0], value, chosen)}"
    return ""


def known(key: str, schema: Schema) -> str:
    """What there is in the part that the key is of, or in the whole config."""
    leaves = [leaf.key for leaf in schema.leaves()]
    part = key.rpartition(".")[0]
    inside = [name for name in leaves if name.startswith(f"{part}.")] if part else []
    if inside:
        return f"Known in {part}: {', '.join(name.removeprefix(f'{part}.') for name in inside)}."
    tops = [name.partition(".")[0] for name in leaves]
    return f"Known: {', '.join(dict.fromkeys(tops))}."


def chosen_components(verb: str, overrides: list[str]) -> dict[str, str]:
    """What is selected at each place of a verb's config: by its root, the experiment named, and what is typed."""
    chosen = chosen_in(folder_of("conf") / f"{verb}.yaml", {})
    parts = [text.lstrip("+").partition("=") for text in overrides]
    typed = [(key, unquoted(value)) for key, _, value in parts]
    files = experiment_files()
    for key, value in typed:
        if key == EXPERIMENT and value in files:
            chosen |= chosen_in(files[value], files)
    groups = set(GROUPS.values())
    return chosen | {key.replace("/", "."): value for key, value in typed if key in groups}


def chosen_in(file: Path, others: Mapping[str, Path], seen: tuple[Path, ...] = ()) -> dict[str, str]:
    """What the defaults of a file select, and of those that it is built on; what cannot be read selects nothing."""
    chosen: dict[str, str] = {}
    for entry in defaults_of(file):
        if isinstance(entry, dict):
            for key, name in entry.items():
                place = str(key).removeprefix("override ").strip().lstrip("/").replace("/", ".")
                chosen |= {place: str(name)} if place in PLACES else {}
        elif (base := others.get(str(entry), file.with_name(f"{entry}.yaml"))) not in (file, *seen):
            chosen |= chosen_in(base, others, (*seen, file))
    return chosen
