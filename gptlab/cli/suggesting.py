"""What to type in place of a key that no config has: other spellings, other programs' words, near misses."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

import yaml

from gptlab.cli import foreign_words
from gptlab.cli.as_typed import unquoted
from gptlab.cli.foreign_words import absent, by_word, folded
from gptlab.config import ROOTS
from gptlab.errors import UserError, nearest
from gptlab.experiments import GROUP as EXPERIMENT
from gptlab.experiments import experiment_files, experiment_named, folder_of
from gptlab.groups import GROUPS
from gptlab.schema import PLACES, Leaf, Schema, bare

MEANS_EXPERIMENT = ("experiment", "experiments", "exp", "config", "configfile", "preset", "recipe")
IN_FILE = " (in "  # how the place of a key begins that stands in a file
Chosen = Mapping[str, str]  # the component selected at each place: {"model.norm": "rmsnorm"}


def unknown_key(
    key: str, value: str, schema: Schema, chosen: Chosen, part: str = "", place: str = ""
) -> UserError:
    """The error for a key that is in no config of this verb.

    key: as it was typed, without a plus. value: what was typed behind it. part: as much of the key as is
    wrong, if not all. place: where it stands, ` (in experiments/mine.yaml)`.
    """
    value = unquoted(value)
    if "/" in key:
        return unknown_group(key, value, schema, place)
    begins = f"the config has no key '{part or key}'{place}."
    if folded(key) in MEANS_EXPERIMENT and schema.knows("train") and (name := experiment_named(value)):
        return UserError(f"{begins} Type +{EXPERIMENT}={name}")
    in_file = place.startswith(IN_FILE)
    found = same_word(key, schema)
    if found:
        told = in_words_of_a_file if in_file else command
        return UserError(f"{begins} {ask([told(leaf, value, chosen) for leaf in found], in_file)}")
    last = key.rpartition(".")[2]
    groups = by_word(foreign_words.GROUPS).get(folded(last), [])
    if groups and groups[0].replace("/", ".") in places_of(schema):
        return UserError(f"{begins} {choose(groups[0], value, schema, in_file)}")
    if said := absent(last):
        return UserError(f"{begins} Here {said}")
    if elsewhere := of_another_verb(key, value, schema):
        return UserError(f"{begins} {elsewhere}")
    if close := near(key, schema):
        return UserError(f"{begins} Did you mean {' or '.join(close)}?")
    return UserError(f"{begins} {known(key, schema)}")


def same_word(key: str, schema: Schema) -> list[Leaf]:
    """The keys that are this one in another spelling or in another part, or what it is called elsewhere."""
    leaves = {leaf.key: leaf for leaf in schema.leaves()}
    whole, last = folded(key), folded(key.rpartition(".")[2])
    spelt = [leaf for leaf in leaves.values() if folded(leaf.key) == whole]
    spelt = spelt or [leaf for leaf in leaves.values() if folded(leaf.key.rpartition(".")[2]) == last]
    if spelt:
        return spelt
    for word in (whole, last):
        for name in by_word(foreign_words.KEYS).get(word, []):
            if name in leaves or (
                name.startswith("hydra.") and "seed" in leaves and "train.numSteps" in leaves
            ):
                return [leaves.get(name, Leaf(name, str))]
    return []


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
    typed = f"{leaf.key}={shlex.quote(value) if fits(leaf.hint, value) else '...'}"
    place = leaf.key.rpartition(".")[0]
    if not leaf.of or chosen.get(place) in leaf.of:
        return typed
    return f"{GROUPS[PLACES[place]]}={leaf.of[0]} {typed}"


def in_words_of_a_file(leaf: Leaf, value: str, chosen: Chosen) -> str:
    """`train: {learningRate: 0.1}`"""
    return nested(leaf.key, value if fits(leaf.hint, value) else "...")


def nested(key: str, value: str) -> str:
    """`model: {norm: {eps: 1e-3}}`: a dotted key as an experiment's file has it."""
    names = key.split(".")
    return ": {".join(names) + f": {value}" + "}" * (len(names) - 1)


def fits(hint: object, value: str) -> bool:
    """Whether a value could be one of this type."""
    wanted = bare(hint)
    if not value:
        return False
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


def ask(commands: list[str], in_file: bool = False) -> str:
    return (
        f"{'Write' if in_file else 'Type'} {commands[0]}"
        if len(commands) == 1
        else f"Did you mean {' or '.join(commands)}?"
    )


def choose(group: str, value: str, schema: Schema, in_file: bool = False) -> str:
    """What selects a component: the command, or the names that there are."""
    names = list(schema.components(group.replace("/", ".")))
    if in_file and value in names:
        return f"Write defaults: [override /{group}: {value}]"
    if value in names:
        return f"Type {group}={value}"
    close = nearest(value, names)
    if close:
        return f"Did you mean {' or '.join(f'{group}={name}' for name in close)}?"
    return f"A component is selected by its name: {group}=NAME, one of {', '.join(names)}."


def unknown_group(key: str, value: str, schema: Schema, place: str = "") -> UserError:
    """The error for `model/nrom=layernorm`."""
    groups = [group for group in GROUPS.values() if group.replace("/", ".") in places_of(schema)]
    begins = f"there is no config group '{key}'{place}."
    dotted = key.replace("/", ".")
    if bare(schema.hint(dotted)) is not None and dotted not in PLACES:
        return UserError(f"{begins} A key is set with dots: {dotted}={value}")
    same = [group for group in groups if group.rpartition("/")[2] == key.rpartition("/")[2]]
    if same:
        return UserError(f"{begins} {choose(same[0], value, schema)}")
    close = nearest(key, [*groups, "experiment"])
    guess = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(sorted(groups))}."
    return UserError(f"{begins} {guess}")


def places_of(schema: Schema) -> set[str]:
    """The places of components that this root has."""
    return {place for place in PLACES if schema.has_place(place)}


def of_another_verb(key: str, value: str, schema: Schema) -> str:
    """The sentence for a key that another verb has, in these words or others; empty if none has it."""
    for verb, root in ROOTS.items():
        other = Schema(root, schema.registry)
        if root is schema.root:
            continue
        whole = f"python -m gptlab {verb} " if verb != "train" else "python -m gptlab +experiment=tiny "
        if key in PLACES and other.has_place(key):
            return f"That is a choice of {verb}: {whole}{key}={value or 'NAME'}"
        if found := same_word(key, other):
            return f"That is a key of {verb}: {whole}{command(found[0], value, chosen_components(verb, []))}"
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
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    chosen: dict[str, str] = {}
    entries = content.get("defaults") if isinstance(content, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            for key, name in entry.items():
                place = str(key).removeprefix("override ").strip().lstrip("/").replace("/", ".")
                chosen |= {place: str(name)} if place in PLACES else {}
        elif (base := others.get(str(entry), file.with_name(f"{entry}.yaml"))) not in (file, *seen):
            chosen |= chosen_in(base, others, (*seen, file))
    return chosen
