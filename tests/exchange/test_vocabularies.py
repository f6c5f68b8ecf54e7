"""The vocabulary of a plugin's tokenizer: what a run keeps of it and `export` writes can be read again."""

from pathlib import Path

import pytest

from gptlab.cli import main

CODES = '''
from dataclasses import dataclass

import gptlab


class Codes:
    unit = "character"

    def __init__(self, codes):
        self.codes = codes
        self.vocabSize, self.bos = len(codes) + 1, len(codes)

    def encode(self, text):
        return [self.codes.index(ord(sign)) for sign in text]

    def decode(self, ids):
        return "".join(chr(self.codes[i]) for i in ids if i != self.bos)

    def state(self):
        return {STATE}


@dataclass(frozen=True)
class CodeTokenizer:
    """Characters by their codes."""

    def build(self, documents):
        return Codes(sorted({ord(sign) for text in documents for sign in text}))

    def restore(self, state):
        return Codes(RESTORED)


@gptlab.hookimpl
def gptlab_register_tokenizers(register):
    register("codes", CodeTokenizer)
'''
TRAIN = ["+experiment=tiny", "tokenizer=codes", "model.nEmbd=4", "train.numSteps=1", "tracking=none"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    return tmp_path


def write_plugin(folder: Path, state: str, restored: str) -> None:
    (folder / "plugins/codes.py").write_text(CODES.replace("STATE", state).replace("RESTORED", restored))


@pytest.mark.slow
def test_pieces_that_are_no_texts_are_read_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_plugin(folder, '"pieces": self.codes', 'state["pieces"]')
    assert main([*TRAIN, "hydra.run.dir=run"]) == 0
    assert main(["export", "run", "--format=safetensors"]) == 0
    capsys.readouterr()
    texts = []
    for run in ("run", "weights.safetensors"):
        assert main(["generate", f"run={run}", "n=2"]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and len(texts[0].splitlines()) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("state", "restored"),
    [
        ('"codes": self.codes', 'state["pieces"]'),
        ('"codes": set(self.codes)', 'state["codes"]'),
        ('"codes": {code: 1 for code in self.codes}', 'list(state["codes"])'),  # JSON's keys are texts
        ('"codes": self.codes[1:]', 'state["codes"]'),
    ],
    ids=["other-key", "no-json", "keys", "one-less"],
)
def test_what_is_not_read_back_is_refused_before_step_1(
    folder: Path, capsys: pytest.CaptureFixture[str], state: str, restored: str
) -> None:
    write_plugin(folder, state, restored)
    assert main([*TRAIN, "hydra.run.dir=run"]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("gptlab: a tokenizer must read back what its state() gives")
    assert not (folder / "run/checkpoints").exists()


@pytest.mark.slow
def test_no_file_is_left_that_cannot_be_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_plugin(folder, '"codes": self.codes', 'state["codes"]')
    assert main([*TRAIN, "hydra.run.dir=run"]) == 0
    write_plugin(folder, '"codes": self.codes', 'state["pieces"]')
    capsys.readouterr()
    assert main(["export", "run", "--format=safetensors"]) == 2
    assert "is not as gptlab wrote it" in capsys.readouterr().err
    assert not list(folder.glob("weights*"))
