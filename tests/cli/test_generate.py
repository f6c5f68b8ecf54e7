"""The verb `generate`: running text told apart and of any length, prompts from a file, a text as it grows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gptlab.cli import main
from gptlab.cli.verbs.generate import PART, show_growing
from gptlab.launch.reports import told_apart

SMALL = ["engine=scalar", "model.nEmbd=4", "model.nHead=1", "model.blockSize=6", "train.numSteps=2"]
FEW = [*SMALL, "train.evalEvery=0", "data.valFraction=0", "samples.n=0", "tracking=none", "progress=none"]
LINES = ["a café", "The dog", "a cat sees a dog"] * 4

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("\n".join(LINES), encoding="utf-8")

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(list(arguments))
        said = capfd.readouterr()
        return status, said.out, said.err

    return run


def trained(command: Command, *overrides: str) -> None:
    assert command("data=text", "data.path=text.txt", *FEW, *overrides) == (0, "", "")


@pytest.mark.slow
def test_samples_of_running_text_are_told_apart_and_as_long_as_is_asked(command: Command) -> None:
    trained(command, "data.unit=window", "tokenizer=char", "tokenizer.lowercase=false")
    status, out, error = command("generate", "n=3", "length=30", "temperature=1.5")
    assert (status, error) == (0, "") and out.startswith("--- 1 of 3 ---\n")
    texts = [part.partition("---\n")[2] for part in out.split("--- ") if part.partition("---\n")[2]]
    assert len(texts) == 3 and max(map(len, texts)) > 12
    status, out, _ = command("generate", "n=1", "length=30", "prompt=The dog")
    assert status == 0 and out.startswith("The dog") and 12 < len(out) < 40


@pytest.mark.slow
def test_prompts_of_a_file_are_one_a_line_each_with_its_samples(command: Command, tmp_path: Path) -> None:
    trained(command, "tokenizer=byte")
    (tmp_path / "prompts.txt").write_text("a\n\nThé\n", encoding="utf-8")
    status, out, _ = command("generate", "promptFile=prompts.txt", "n=2", "temperature=0", "length=1")
    assert status == 0 and [line[0] for line in out.splitlines() if line] == ["a", "a", "T", "T"]
    status, _, error = command("generate", "promptFile=prompts.txt", "prompt=a")
    assert status == 2 and "Leave one out" in error and error.count("\n") == 1
    status, _, error = command("generate", "promptFile=none.txt")
    assert status == 2 and error.startswith("gptlab: promptFile must be a file or folder that exists")
    (tmp_path / "binary").write_bytes(b"\x89PNG\r\n\x1a\n\xff")
    status, _, error = command("generate", "promptFile=binary")
    assert status == 2 and "promptFile must be UTF-8 text" in error and error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("tokenizer", ["byte", "bpe"])
def test_a_run_of_bytes_is_begun_from_exported_sampled_and_looked_into(
    command: Command, tokenizer: str
) -> None:
    more = ["tokenizer.vocabSize=260"] if tokenizer == "bpe" else []
    trained(command, f"tokenizer={tokenizer}", *more, "metrics=[bitsPerByte]", "data.valFraction=0.4")
    more = [text for text in FEW if not text.startswith("model.")]
    assert command("data=text", "data.path=text.txt", "initFrom=latest", *more) == (0, "", "")
    assert command("export", "latest", "--format=safetensors", "output=w.safetensors")[0] == 0
    samples = [command("generate", f"run={run}", "n=2", "prompt=né") for run in ("latest", "w.safetensors")]
    assert samples[0] == samples[1] and samples[0][0] == 0 and samples[0][1].count("né") == 2
    status, out, error = command("inspect", "text=né")
    assert (status, error) == (0, "") and out


def test_a_text_is_shown_as_it_grows_but_for_what_may_still_change(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = []

    def growing():  # type: ignore[no-untyped-def]
        for text in ["ab", f"ab{PART}", "abécd", f"abécde{PART}"]:
            yield text
            shown.append(capsys.readouterr().out)

    show_growing(growing())
    assert shown == ["ab", "", "écd", "e"] and capsys.readouterr().out == f"{PART}\n"


def test_texts_of_one_line_are_a_line_each_and_a_single_one_is_by_itself() -> None:
    assert told_apart(["a", "b c"]) == ["a", "b c"]
    assert told_apart(["a\nb\n"]) == ["a", "b"]
    assert told_apart(["a", "b\n\nc"]) == ["--- 1 of 2 ---", "a", "--- 2 of 2 ---", "b", "", "c"]
