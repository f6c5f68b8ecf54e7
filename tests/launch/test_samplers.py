"""Samplers in commands: of samples in training and of `generate`, a plugin's own among them."""

from pathlib import Path

import pytest

import gptlab
from gptlab.cli import main
from tests.resuming import TINY, write_corpus

PLUGIN = '''
from dataclasses import dataclass

import gptlab


@dataclass(frozen=True)
class Fresh(gptlab.Sampler):
    """The token that is there least often; of those the first that is no less than `after`.

    after: its id.
    """

    after: int = 0

    def choose(self, xp, logits, uniform, seen):
        return self.after + xp.argmin(seen[self.after :])


@gptlab.hookimpl
def gptlab_register_samplers(register):
    register("fresh", Fresh)
'''
FEW = [*TINY, "engine=scalar", "train.numSteps=2", "samples.temperature=1"]


@pytest.mark.slow
def test_a_sampler_of_a_plugin_in_a_run_and_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/fresh.py").write_text(PLUGIN)
    assert main([*FEW, "sampler=fresh", "sampler.after=1", "hydra.run.dir=runs/one"]) == 0
    run = gptlab.load("runs/one")
    pieces = run.tokenizer.decode([1, 2, 3, 4, 5, 6])
    assert pieces in Path("runs/one/samples.txt").read_text()
    capsys.readouterr()

    def generated(*arguments: str) -> list[str]:
        assert main(["generate", "run=runs/one", "n=3", *arguments]) == 0
        return capsys.readouterr().out.splitlines()

    assert generated("sampler=fresh", "sampler.after=1") == [pieces] * 3
    assert generated() == run.generate(n=3) == generated("sampler=minp", "sampler.share=0")
    assert generated("temperature=0") == generated("sampler=minp", "sampler.share=1")
    assert generated("repetitionPenalty=1000") == run.generate(n=3, repetitionPenalty=1000) != generated()
    assert run.generate(n=3, sampler="minp") == generated("sampler=minp")
    assert main(["generate", "run=runs/one", "sampler=minp", "topK=3"]) == 2
    assert "topK and topP are for sampler=standard" in capsys.readouterr().err
    assert main([*FEW, "sampler=minp", "samples.topK=3"]) == 2
    assert "in samples: topK and topP are for sampler=standard" in capsys.readouterr().err
