"""English endings: the plural, the verb that agrees with its subject, `a` or `an`."""

from typing import Literal

Person = Literal["i", "they", "he"]

_IRREGULAR = {
    "child": "children",
    "deer": "deer",
    "fish": "fish",
    "foot": "feet",
    "goose": "geese",
    "hippo": "hippos",
    "leaf": "leaves",
    "have": "has",
    "mouse": "mice",
    "sheep": "sheep",
    "tooth": "teeth",
    "wolf": "wolves",
}


def add_s(word: str) -> str:
    """The plural of a noun, or the form of a verb that follows he, she or it.

    English spells both by one rule: `puppy, puppies` as `carry, carries`, `box, boxes` as `fix, fixes`.
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    after_consonant = len(word) > 1 and word[-2] not in "aeiou"
    if word.endswith("y") and after_consonant:
        return word[:-1] + "ies"
    if word.endswith(("s", "sh", "ch", "x", "z")) or (word.endswith("o") and after_consonant):
        return word + "es"
    return word + "s"


def agree(verb: str, person: Person) -> str:
    """The present tense: `he` stands for every singular subject but `i`, `they` for every other one."""
    if verb == "be":
        return {"i": "am", "they": "are", "he": "is"}[person]
    return add_s(verb) if person == "he" else verb


def with_article(phrase: str) -> str:
    """`a cat`, `an old cat`: by the first letter, so no class may hold a word such as `hour` or `uniform`."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
