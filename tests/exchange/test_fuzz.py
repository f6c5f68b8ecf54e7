"""The reader of JSON weights against the rules: a file is taken if and only if it is valid, number by number.

Mutations of a valid file and random values in every place of one.
"""

import json
import math
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gptlab.errors import UserError
from gptlab.exchange.json_weights import read_json_weights

SIZES = {"nLayer": 1, "nEmbd": 2, "blockSize": 2, "nHead": 1, "headDim": 2, "vocabSize": 3}
COUNT = 2 * (2 * 3 + 2) + 12 * 2 * 2
NUMBERS = [0.1 * (-1) ** i * 3.7**i / 1e9 for i in range(COUNT)]
VALID = {"config": SIZES, "weights": NUMBERS, "about": {"by": 'ü " \\ }', "list": [1, [], {}, None, True]}}

fuzzed = settings(
    derandomize=True,  # the same cases on every machine
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Invalid(Exception):
    pass


class Members(list[tuple[str, Any]]):
    """An object's members, those of the same key included."""

    def once(self) -> dict[str, Any]:
        if len({key for key, _ in self}) != len(self):
            raise Invalid
        return dict(self)


class Whole(float):
    """What is written without point and exponent; as an int it would lose the sign of -0."""


def expected(content: bytes) -> list[float]:
    """The numbers that a file tells, by the rules and by Python's own reader. Raises Invalid."""

    def refuse(word: str) -> None:
        raise Invalid

    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
        root = json.loads(text, object_pairs_hook=Members, parse_int=Whole, parse_constant=refuse)
        root = root.once() if isinstance(root, Members) else {}
        config = root["config"].once() if isinstance(root["config"], Members) else {}
        sizes = [config[key] for key in SIZES]
        if not all(isinstance(size, Whole) and 1 <= size < 2**31 for size in sizes):
            raise Invalid
        layers, nEmbd, block, heads, dim, vocabSize = sizes
        count = nEmbd * (2 * vocabSize + block + 12 * layers * nEmbd)
        weights = root["weights"]
        if heads * dim != nEmbd or not isinstance(weights, list) or len(weights) != count:
            raise Invalid
        if not all(isinstance(number, float) and math.isfinite(number) for number in weights):
            raise Invalid
        return [float(number) for number in weights]
    except (ValueError, KeyError, OverflowError, RecursionError):
        raise Invalid from None


def check(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        wanted = expected(content)
    except Invalid:
        wanted = None
    try:
        source = read_json_weights(path)
    except UserError as error:
        assert wanted is None, f"refused, and is valid: {error}"
        assert len(str(error)) < 600 and "\n" not in str(error)
        return
    found = [float(number) for matrix in source.weights.values() for number in matrix.ravel()]
    assert wanted is not None, "taken, and is not valid"
    assert list(map(float.hex, found)) == list(map(float.hex, wanted))


WORDS = (
    b"null true NaN Infinity -Infinity 1e999 1_0 0x1 0 9 . - + e E5 [ ] { } , : [[ {} /**/ \\ \\u00".split()
)
PIECES = st.sampled_from(
    [*WORDS, b" ", b"\n", b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xc3", b'"', b'"1"', b", 1"]
)
STRUCTURE = b'[]{},:"'


@st.composite
def mutations(draw: st.DrawFn) -> bytes:
    """A valid file in which bytes were changed, cut out, put in or repeated, in one to three places."""
    content = bytearray(draw(LAYOUTS))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        signs = [i for i, byte in enumerate(content) if byte in STRUCTURE]
        width = draw(st.integers(0, 12))
        match draw(st.sampled_from(["change", "flip", "cut", "end", "insert", "repeat", "sign", "tail"])):
            case "change":
                content[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del content[at : at + width]
            case "end":
                del content[at:]
            case "insert":
                content[at:at] = draw(PIECES)
            case "repeat":
                content[at:at] = content[at : at + width]
            case "sign" if signs:
                at = draw(st.sampled_from(signs))
                content[at : at + draw(st.integers(0, 1))] = draw(
                    st.sampled_from([b"", *map(bytes, zip(STRUCTURE))])
                )
            case "tail":
                content += draw(PIECES)
    return bytes(content)


def layout(value: Any, **how: Any) -> bytes:
    return json.dumps(value, **how).encode("utf-8", "surrogatepass")


LAYOUTS = st.sampled_from(
    [
        layout(VALID),
        layout(VALID, indent=2, ensure_ascii=False),
        layout(dict(reversed(VALID.items())), separators=(",", ":")),
        re.sub(rb", ", b" ,\r\n\t ", layout(VALID)),
    ]
)
SIMPLE = [*"0123-", "true", "false", "null", '""', '"1"', "[]", "{}", "1.0", "-0", "1e0", "1e999", "-1e-999"]
SIMPLE += ["1E+2", "NaN", "Infinity", "2147483648", "01", "1.", ".5", "+1", "1e"]
SIMPLE += ["9" * 5000, "9" * 400, "0." + "9" * 400]


def text_of_value(random: Random, depth: int = 0) -> str:
    """A random value as JSON, most often a plain one; a few are no JSON."""
    kind = random.randrange(10)
    if kind == 0 and depth < 4:
        return f"[{', '.join(text_of_value(random, depth + 1) for _ in range(random.randrange(4)))}]"
    if kind == 1 and depth < 4:
        inner = (text_of_value(random, depth + 1) for _ in range(random.randrange(4)))
        return "{" + ", ".join(f'"{random.choice("abc")}": {value}' for value in inner) + "}"
    if kind == 2:
        return json.dumps(
            "".join(chr(random.choice([34, 92, 10, 65, 228, 0x1F600])) for _ in range(random.randrange(5)))
        )
    if kind == 3:
        return repr(random.uniform(-1, 1) * 10.0 ** random.randrange(-320, 300, 10))
    if kind == 4:
        return str(random.randrange(-(10 ** random.randrange(1, 30)), 10))
    return random.choice(SIMPLE)


MARK = "a mark that stands for a text of JSON"
MARKED = json.dumps(MARK)


@st.composite
def replaced(draw: st.DrawFn) -> bytes:
    """A valid file with a random value, or a random text of a number, in one of its places."""
    made = json.loads(json.dumps(VALID))
    text = text_of_value(Random(draw(st.integers(0, 2**32))))
    place = draw(st.sampled_from(["root", "config", "weights", "size", "number", "more", "about", "new"]))
    if place == "root":
        made = MARK
    elif place in ("config", "weights", "about", "new"):
        made[place] = MARK
    elif place == "size":
        made["config"][draw(st.sampled_from([*SIZES, "more"]))] = MARK
    elif place == "number":
        made["weights"][draw(st.integers(0, COUNT - 1))] = MARK
    else:
        made["weights"].append(MARK)
    written = json.dumps(made, indent=draw(st.sampled_from([None, 1])))
    if draw(st.booleans()):  # a key that is there already, in any of the objects
        key = draw(st.sampled_from([*VALID, *SIZES, "by", "new", "more"]))
        objects = [i for i, sign in enumerate(written) if sign == "{"]
        at = draw(st.sampled_from(objects)) + 1 if objects else 0
        written = f'{written[:at]}"{key}": {draw(st.sampled_from([MARKED, "1", "2", "{}"]))}, {written[at:]}'
    return written.replace(MARKED, text).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz") / "weights.json"


@pytest.mark.slow
@settings(fuzzed, max_examples=1500)
@given(mutations())
def test_a_mutated_file_is_refused_or_read_to_the_bit(path: Path, content: bytes) -> None:
    check(path, content)


@pytest.mark.slow
@settings(fuzzed, max_examples=1000)
@given(replaced())
def test_any_value_in_any_place_is_refused_or_read_to_the_bit(path: Path, content: bytes) -> None:
    check(path, content)


@settings(fuzzed, max_examples=200)
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0.e- \n', max_size=60).map(str.encode))
def test_what_is_no_such_file_at_all_is_refused(path: Path, content: bytes) -> None:
    check(path, content)


def test_the_oracle_takes_what_is_valid(path: Path) -> None:
    content = layout(VALID)
    assert expected(content) == NUMBERS
    check(path, content)
