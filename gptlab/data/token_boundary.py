"""Where a long text may be cut so that its parts, taken one by one, give the tokens of the whole."""

import re
import unicodedata

REACH = 1 << 12  # characters from the end that are searched first
WORD_END = re.compile(r"(?<=\S)(?: |\s*\n\s*)(?=\S)")
# Letters that have no say in how another one is lower-cased, digits and pictures. Left out is what a capital
# sigma looks across (marks, modifiers, points) to find whether it ends a word.
SOLID = {"Lu", "Ll", "Lo", "Nd", "So"}


def last_token_boundary(text: str, unit: str) -> tuple[int, int] | None:
    """(where the first part ends, where the second begins), as late as possible; None if there is no such place.

    Holds whatever comes before the text, and after it.
    """
    find = between_words if unit == "word" else between_characters
    return find(text, max(0, len(text) - REACH)) or find(text, 0)


def between_words(text: str, start: int) -> tuple[int, int] | None:
    last = None
    for last in WORD_END.finditer(text, start):  # noqa: B007
        pass
    return last.span() if last else None


def between_characters(text: str, start: int) -> tuple[int, int] | None:
    for i in range(len(text) - 1, start, -1):
        if solid(text[i]) and solid(text[i - 1]):
            return i, i
    return None


def solid(character: str) -> bool:
    return character != "\u03a3" and unicodedata.category(character) in SOLID
