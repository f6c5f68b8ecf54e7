"""Files of weights that are wrong: one message that names the file and what is wrong with it, exit status 2."""

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gptlab.cli import main
from gptlab.errors import UserError
from gptlab.exchange import read_file
from gptlab.exchange.standard import count_of, shapes_of

SIZES = {"nLayer": 1, "nEmbd": 4, "blockSize": 3, "nHead": 2, "headDim": 2, "vocabSize": 4}
COUNT = count_of(SIZES)
NUMBERS = [0.5] * COUNT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "corpus.txt").write_text("a b c\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def with_size(**changes: Any) -> str:
    return json.dumps({"config": {**SIZES, **changes}, "weights": NUMBERS})


def with_first(text: str, place: int = 0) -> str:
    marked: list[Any] = list(NUMBERS)
    marked[place] = "MARK"
    return json.dumps({"config": SIZES, "weights": marked}).replace('"MARK"', text)


def without(key: str) -> str:
    return json.dumps({"config": {k: v for k, v in SIZES.items() if k != key}, "weights": NUMBERS})


VALID = with_size()

# What stands in the file, and words of the one message.
FILES: dict[str, tuple[str | bytes, list[str]]] = {
    "empty": ("", ["character 1, the end of the file: Expecting value"]),
    "a list": ("[1, 2]", ['"config": {...}', "a list"]),
    "cut in a number": (VALID[:-30], ["the end of the file: Expecting value"]),
    "cut in a key": (VALID[:14], ["character 13", "Unterminated string"]),
    "cut at the last bracket": (VALID[:-1], ["the end of the file: Expecting ',' delimiter"]),
    "more behind it": (VALID + "}", ["'}': Extra data"]),
    "two of them": (VALID + VALID, ["Extra data"]),
    "a comma too many": (VALID.replace("]", ",]"), ["']}': Expecting value"]),
    "not UTF-8": (VALID.replace("{", '{"é": 1, ', 1).encode("latin-1"), ["UTF-8", "0xe9"]),
    "cut in a letter": (VALID.encode() + b"\xc3", ["UTF-8", "0xc3"]),
    "too few numbers": (with_first("1").replace("0.5, ", "", 2), [f"{COUNT} numbers", f"it has {COUNT - 2}"]),
    "too many numbers": (with_first("1, 2, 3"), [f"{COUNT} numbers", f"it has {COUNT + 2}"]),
    "no numbers": (json.dumps({"config": SIZES, "weights": []}), [f"{COUNT} numbers", "it has 0"]),
    "NaN": (with_first("NaN", 6), ["finite", "NaN as number 7"]),
    "Infinity": (with_first("Infinity"), ["finite", "Infinity as number 1"]),
    "-Infinity": (with_first("-Infinity", COUNT - 1), ["finite", f"-Infinity as number {COUNT}"]),
    "too large": (with_first("1e999", 1), ["finite", "float64", "a larger one as number 2"]),
    "too large, written out": (with_first("9" * 5000, 1), ["finite", "as number 2"]),
    "null": (with_first("null", 2), ["must be numbers", "null as number 3"]),
    "true": (with_first("true"), ["must be numbers", "true as number 1"]),
    "a text": (with_first('"0.5"'), ["must be numbers", "'0.5' as number 1", "without quotes"]),
    "a matrix": (with_first("[0.5, 0.5]"), ["one flat list", "a list as number 1", "row by row"]),
    "an object": (with_first("{}"), ["one flat list", "an object as number 1"]),
    "a number that is none": (with_first("01"), ["'1, 0.5", "Expecting ',' delimiter"]),
    "a comma for a point": (with_first("0,5"), [f"{COUNT} numbers", f"it has {COUNT + 1}"]),
    "no config": (json.dumps({"weights": NUMBERS}), ['no "config"']),
    "no weights": (json.dumps({"config": SIZES}), ['no "weights"']),
    "config that is a list": (json.dumps({"config": [1], "weights": NUMBERS}), ['a list as "config"']),
    "weights that are an object": (json.dumps({"config": SIZES, "weights": {}}), ['an object as "weights"']),
    "twice the weights": (VALID[:-1] + ', "weights": []}', ["once", "'weights' twice"]),
    "twice a size": (VALID.replace('"nHead"', '"nLayer": 2, "nHead"'), ["once", "'nLayer' twice"]),
    "size 0": (with_size(nLayer=0), ["nLayer", "positive whole number", "got 0"]),
    "negative size": (with_size(vocabSize=-4), ["vocabSize", "positive whole number", "got -4"]),
    "a fraction": (with_size(nEmbd=4.5), ["nEmbd", "positive whole number", "got 4.5"]),
    "true for a size": (with_size(nLayer=True), ["nLayer", "positive whole number", "got True"]),
    "null for a size": (with_size(headDim=None), ["headDim", "positive whole number", "got None"]),
    "a text for a size": (with_size(nHead="2"), ["nHead", "positive whole number", "got '2'"]),
    "a list for a size": (with_size(nHead=[2]), ["nHead", "positive whole number", "[2]"]),
    "a size of 5,000 digits": (with_size().replace("3", "3" * 5000, 1), ["blockSize", "positive whole number"]),
    "a size of a billion": (with_size(nLayer=10**9), ["1", "numbers", f"it has {COUNT}"]),
    "heads that do not fit": (with_size(nHead=3), ["nHead times headDim", "nHead=3", "headDim=2", "nEmbd=4"]),
    "deep lists": ('{"x": ' + "[" * 10**6, ["lists and objects are nested too deep"]),
    "deep objects": ('{"x": ' + '{"a":' * 10**5, ["lists and objects are nested too deep"]),
    "deep lists in weights": (with_first("[" * 500 + "]" * 500), ["one flat list"]),
    "a comment": ("// weights\n" + VALID, ["'// weights", "Expecting value"]),
    "an endless text": ('{"' + "x" * 10**6, ["Unterminated string"]),
    **{
        f"no {key}": (without(key), [f"{key} is missing", "nLayer, nEmbd, blockSize, nHead, headDim, vocabSize"])
        for key in SIZES
    },
}  # fmt: skip


def refused(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command complained of, in one line; nothing else has changed."""
    capfd.readouterr()
    before = contents(Path())
    assert main(arguments) == 2
    out, error = capfd.readouterr()
    assert out == "" and error.startswith("gptlab: ") and error.count("\n") == 1
    assert len(error) < 1000
    assert contents(Path()) == before
    return error


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES.keys())
def test_json(capfd: pytest.CaptureFixture[str], content: str | bytes, words: list[str]) -> None:
    Path("w.json").write_bytes(content.encode() if isinstance(content, str) else content)
    error = refused(capfd, "generate", "run=w.json", "tokenizer.path=corpus.txt")
    assert [word for word in ["w.json", *words] if word not in error] == []


WRONG = [
    "[1}",
    '{"a": 1]',
    "[1 2]",
    "[1,]",
    "[,]",
    '{"a" 1}',
    "{1: 2}",
    '{"a": 1,}',
    "{,}",
    "tru",
    "truely",
    "-",
]
WRONG += ['"\\q"', '"\n"', '"\\u12"', "'a'", "NaN", "[[1], [}]", "", "1 2", "[1]]", "0x10", "[1;2]", "[1.]"]
RIGHT = [
    "[]",
    "{}",
    "[[], {}]",
    '{"a": {"a": [1, 2.5e3]}, "b": "]"}',
    "[1, [2], 3]",
    '"\\ud800\\""',
    "null",
    "[\t]",
]
RIGHT += ["-0.0E-0", '{"a": 1, "a": 2}']


@pytest.mark.parametrize("text", WRONG)
def test_what_is_passed_over_must_be_json_too(text: str) -> None:
    Path("w.json").write_text(f'{{"x": {text}, {VALID[1:]}')
    says = "NaN, which JSON does not allow" if text == "NaN" else r"at character \d+, .*: .*"
    with pytest.raises(UserError, match=rf"whole JSON file: w\.json has,? {says}\.$"):
        read_file(Path("w.json"))


@pytest.mark.parametrize("text", RIGHT)
def test_any_json_is_passed_over(text: str) -> None:
    Path("w.json").write_text(f'{{"x": {text}, {VALID[1:]}')
    assert read_file(Path("w.json")).sizes == SIZES


def test_a_json_file_that_is_right_is_taken(capfd: pytest.CaptureFixture[str]) -> None:
    """So that what is refused above is refused for what is said."""
    Path("w.json").write_text(VALID)
    assert main(["generate", "run=w.json", "tokenizer.path=corpus.txt", "n=1", "engine=scalar"]) == 0


def tensors_file(
    changes: dict[str, Any], dtype: str = "float32", metadata: dict[str, str] | None = None
) -> bytes:
    """A safetensors file with some arrays changed, or left out (None)."""
    from safetensors.numpy import save

    arrays = {name: np.full(shape, 0.5, dtype) for name, shape in shapes_of(SIZES).items()}
    arrays |= changes
    known = {"config": None, "tokenizer": {"name": "word", "pieces": ["a", "b", "c"]}, "sizes": SIZES}
    texts = {key: json.dumps(value) for key, value in {**known, "step": 1, "plugins": {}}.items()}
    texts |= {"gptlab": "1"}
    content: bytes = save({n: a for n, a in arrays.items() if a is not None}, {**texts, **(metadata or {})})
    return content


OUTPUT = "layers.0.mlp.output"
NAN = np.full((4, 16), 0.5, "float32")
NAN[1, 2] = np.nan
TENSORS: dict[str, tuple[bytes, list[str]]] = {
    "empty": (b"", ["whole safetensors"]),
    "a pickle": (b"\x80\x04\x95 never opened", ["whole safetensors"]),
    "cut": (tensors_file({})[:-100], ["whole safetensors"]),
    "a header without end": (struct.pack("<Q", 1 << 60) + b"{", ["whole safetensors"]),
    "float16": (tensors_file({}, "float16"), ["float32", "F16"]),
    "whole numbers": (tensors_file({}, "int64"), ["float32", "I64"]),
    "another shape": (tensors_file({OUTPUT: np.zeros((16, 4), "float32")}), [OUTPUT, "(16, 4)", "(4, 16)"]),
    "a missing matrix": (tensors_file({OUTPUT: None}), [f"{OUTPUT}: the file has none", "(4, 16)"]),
    "a matrix too many": (tensors_file({"more": np.zeros(3, "float32")}), ["more: the file has (3,)", "none"]),
    "NaN": (tensors_file({OUTPUT: NAN}), ["finite", OUTPUT, "[1, 2]"]),
    "no config": (tensors_file({}, metadata={"sizes": "{}"}), ["nLayer is missing"]),
    "sizes that are none": (tensors_file({}, metadata={"sizes": "[]"}), ["sizes"]),
    "a text that is no JSON": (tensors_file({}, metadata={"config": "!!python/object:os.system"}), ["metadata"]),
    "deep JSON": (tensors_file({}, metadata={"config": "[" * 100_000}), ["metadata"]),
    "a config of nothing": (tensors_file({}, metadata={"config": "{}"}), ["config", "'model'"]),
    "a config of lists": (tensors_file({}, metadata={"config": '{"model": []}'}), ["config"]),
    "a billion layers": (
        tensors_file({}, metadata={"sizes": json.dumps({**SIZES, "nLayer": 10**9})}),
        ["nLayer=1000000000", "9 matrices"],
    ),
    "another vocabulary": (
        tensors_file({}, metadata={"tokenizer": '{"name": "word", "pieces": ["a"]}'}),
        ["vocabulary", "2 ids", "4"],
    ),
    "a vocabulary of numbers": (
        tensors_file({}, metadata={"tokenizer": '{"name": "word", "pieces": [1, 2, 3]}'}),
        ["pieces must be texts"],
    ),
    "a newer format": (tensors_file({}, metadata={"gptlab": "2"}), ["format 1 or older", "format 2", "update"]),
}  # fmt: skip


@pytest.mark.parametrize(("content", "words"), TENSORS.values(), ids=TENSORS.keys())
def test_safetensors(capfd: pytest.CaptureFixture[str], content: bytes, words: list[str]) -> None:
    Path("w.safetensors").write_bytes(content)
    error = refused(capfd, "import", "w.safetensors")
    assert [word for word in ["w.safetensors", *words] if word not in error] == []


@pytest.mark.slow
def test_a_safetensors_file_that_is_right_is_taken() -> None:
    Path("w.safetensors").write_bytes(tensors_file({}))
    assert main(["import", "w.safetensors"]) == 0


def test_safetensors_that_do_not_say_what_they_are_of(capfd: pytest.CaptureFixture[str]) -> None:
    from safetensors.numpy import save_file

    save_file({"tokenEmbedding": np.zeros((2, 2))}, "w.safetensors")
    assert "must say which model it holds" in refused(capfd, "generate", "run=w.safetensors")


def test_an_unreadable_file(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As anybody but root meets it; root may read all."""
    Path("w.json").write_text(VALID)
    if os.geteuid():
        Path("w.json").chmod(0)
    else:
        opened = Path.open

        def refuse(path: Path, *arguments: Any, **more: Any) -> Any:
            if path.name == "w.json":
                raise PermissionError(13, "Permission denied")
            return opened(path, *arguments, **more)

        monkeypatch.setattr(Path, "open", refuse)
    capfd.readouterr()
    assert main(["import", "w.json"]) == 2
    assert "readable: w.json: Permission denied" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["generate", "run=nosuch.json"], ["no nosuch.json"]),
        (["generate", "run=folder.json"], ["folder.json", "config.yaml"]),
        (["import", "folder.json"], ["must be in a file", "folder.json"]),
        (["import", "corpus.txt"], [".json or .safetensors", "corpus.txt"]),
        (["import"], ["file must be given"]),
        (["import", "w.json"], ["w.json carries no vocabulary", "tokenizer.path=CORPUS"]),
        (["import", "w.json", "other.json"], ["only one file", "w.json", "other.json"]),
        (["import", "w.json", "tokenizer.path=nosuch"], ["tokenizer.path", "nosuch"]),
        (["generate", "run=w.json"], ["w.json carries no vocabulary", "tokenizer.path=CORPUS"]),
        (["generate", "run=w.json", "tokenizer.path=long.txt"], ["vocabSize=4", "gives 6", "w.json"]),
        (
            ["export", "w.json", "--format=xml"],
            ["--format must be json, safetensors, gguf, c, huggingface or transformerlens", "xml"],
        ),
        (["export", "w.json", "--format"], ["--format needs a value"]),
        (["export", "w.json", "output=x.txt"], [".json or .safetensors", "x.txt", "output=x.json"]),
        (["export", "w.json", "--format=safetensors", "output=x.json"], ["output must end in .safetensors"]),
        (["export", "w.json", "output=nosuch/x.json"], ["a folder that exists", "nosuch"]),
        (["export", "w.json", "output=folder.json"], ["output must be a file", "folder.json"]),
        (["export", "w.json", "output=w.json"], ["w.json already exists", "overwrite=true"]),
        (["export", "w.json", f"output={'a' * 300}.json"], ["output must be writable", "too long"]),
        (["export", "/proc/self/mem.json"], ["no /proc/self/mem.json"]),
        (["export", "a" * 300], ["'" + "a" * 300]),
        (["export"], ["run=latest"]),
        (["export", "w.json", "outptu=x.json"], ["'outptu'", "output"]),
        (["export", "-m", "w.json"], ["only training can sweep"]),
        (["generate", "run=models:/a@b"], ["models:/a@b"]),
        (["generate", "run=runs:/0123"], ["0123"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_commands(capfd: pytest.CaptureFixture[str], arguments: list[str], words: list[str]) -> None:
    Path("w.json").write_text(VALID)
    Path("folder.json").mkdir()
    Path("long.txt").write_text("a b c d e\n")
    none = [] if arguments[0] == "import" else ["tracking=none"]
    error = refused(capfd, *arguments, *none)
    assert [word for word in words if word not in error] == []


def test_a_folder_that_cannot_be_written_to(capfd: pytest.CaptureFixture[str]) -> None:
    Path("w.json").write_text(VALID)
    Path("locked").mkdir(mode=0o500)
    # Root may write anywhere, but not into /proc.
    place = "locked" if os.geteuid() else "/proc"
    assert f"output must be writable: {place}/x.json" in refused(
        capfd, "export", "w.json", f"output={place}/x.json"
    )


@pytest.mark.slow
def test_runs_that_cannot_be_written_to(capfd: pytest.CaptureFixture[str]) -> None:
    Path("w.json").write_text(VALID)
    Path("runs").write_text("in the way")  # a file is no folder for anyone, root included
    assert "runs" in refused(capfd, "import", "w.json", "tokenizer.path=corpus.txt")
