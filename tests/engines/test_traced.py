"""Programs that are traced once: found again only for what traces alike, and then the same to the bit."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from gptlab.autograd.op import op
from gptlab.autograd.ops import OpTable
from gptlab.cli import main
from gptlab.engines import xla_programs, xla_traced
from gptlab.engines.xla_traced import Foreign, described, kept, used
from gptlab.inspection import tapped
from gptlab.model.norm import RMSNorm
from gptlab.optim.optimizers import Adam
from gptlab.runs.folder import RunFolder
from gptlab.training.step_norms import norms_by_layer
from tests.resuming import TINY

CLOCK = "train/tokensPerSecond"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which programs are kept."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(xla_traced, "own_folder", lambda: folder)
    return folder


@op(samples=[(0.5, -1.5)])
def halved(xp, a, b):
    return 0.5 * a * b, (0.5 * b, 0.5 * a)


@op(samples=[(0.5,)])
def twice(xp, a):
    return 2.0 * a, (2.0,)


def test_parts_are_told_down_to_each_number():
    parts = ("train", RMSNorm(eps=1e-5), Adam(), norms_by_layer, 0, None, (1.0, True), frozenset("ab"))
    assert described(parts) == described(parts)
    others = [
        ("train", RMSNorm(eps=1e-6), *parts[2:]),
        (*parts[:2], Adam(beta1=0.5), *parts[3:]),
        (*parts[:6], (1, True), parts[7]),
        (*parts[:7], frozenset("abc")),
    ]
    told = [str(described(each)) for each in (parts, *others)]
    assert len(set(told)) == len(told)
    assert described(np.float32(1)) != described(np.float64(1)) != described(1.0)
    assert described([1, 2]) != described((1, 2)) and described({"a": 1}) != described({"b": 1})
    assert described(partial(norms_by_layer, 1)) != described(partial(norms_by_layer, 2))


def test_what_is_not_all_known_is_foreign():
    @dataclass(frozen=True)
    class Brought:
        eps: float = 1.0

    norm = RMSNorm()
    object.__setattr__(norm, "more", 1)
    for part in (Brought(), lambda x: x, halved, norm, object(), jax.jit(abs), np.array([object()])):
        with pytest.raises(Foreign):
            described(("train", part))


def test_a_function_that_was_made_is_told_with_what_it_holds():
    def function_of(number):
        def held():
            return number

        held.__module__ = "gptlab.model.norm"
        return held

    assert described(function_of(1)) == described(function_of(1)) != described(function_of(2))
    with pytest.raises(Foreign):
        described(function_of(object()))


def test_a_plugins_op_counts_where_it_may_be_applied():
    plain = used(OpTable(), ["train"])
    assert used(OpTable(others={"twice": twice}), ["train"]) == plain  # nobody names it
    with pytest.raises(Foreign):
        used(
            OpTable(others={"twice": twice}), ["train", ["gptlab.model.activation.OfOps", ["name", "twice"]]]
        )
    with pytest.raises(Foreign):
        used(OpTable({"mul": halved}), ["train"])


def test_what_is_kept_is_not_traced_again(cache):
    def run(weights, count, none, key):
        return {"w": weights["a"] * count, "n": none}, [weights["b"] + key[1]]

    def never(*arguments):
        raise AssertionError("traced again")

    given = {"a": np.arange(3, dtype=np.float32), "b": np.float32(2)}, np.int32(2), None, (0, 1)
    jitted = partial(jax.jit, donate_argnums=())
    first = kept(run, "parts", OpTable(), given, jitted)
    assert len(list(cache.glob("*-traced"))) == 1
    again = kept(never, "parts", OpTable(), given, jitted)
    for program in (first, again):
        found, (other,) = program(*given)
        assert found["w"].tolist() == [0, 2, 4] and found["n"] is None and float(other) == 3
        assert found["w"].dtype == np.float32
    wider = ({**given[0], "a": np.arange(4, dtype=np.float32)}, *given[1:])
    for parts, arguments in (("others", given), ("parts", wider)):
        with pytest.raises(AssertionError, match="traced again"):
            kept(never, parts, OpTable(), arguments, jitted)


def test_a_damaged_file_is_traced_anew(cache):
    given = (np.arange(3, dtype=np.float32),)

    def never(x):
        raise AssertionError("traced again")

    kept(lambda x: 2 * x, "parts", OpTable(), given, jax.jit)
    (file,) = cache.glob("*-traced")
    whole = file.read_bytes()
    for content in (b"", whole[:-10], b"{}\n" + whole, whole.replace(b"float32", b"float99")):
        file.write_bytes(content)
        program = kept(lambda x: 2 * x, "parts", OpTable(), given, jax.jit)
        assert program(*given).tolist() == [0, 2, 4]
        assert kept(never, "parts", OpTable(), given, jax.jit)(*given).tolist() == [0, 2, 4]


def test_a_change_of_gptlabs_own_files_is_another_program(cache, monkeypatch):
    given = (np.arange(3, dtype=np.float32),)
    before = xla_traced.name_of("parts", OpTable(), given)
    own, *rest = xla_traced.surroundings()
    assert any(name == "model/gpt.py" for name, _, _ in own)
    edited = [[name, size, time + (name == "model/gpt.py")] for name, size, time in own]
    monkeypatch.setattr(xla_traced, "surroundings", lambda: [edited, *rest])
    assert xla_traced.name_of("parts", OpTable(), given) != before


def test_of_a_program_that_jax_cannot_keep_nothing_is(cache):
    def run(x):
        return jax.pure_callback(lambda x: x, x, x)

    assert kept(run, "parts", OpTable(), (np.float32(1),), jax.jit) is None
    assert not list(cache.iterdir())


@pytest.mark.slow
def test_a_run_of_kept_programs_is_the_same_to_the_bit(folder, cache, monkeypatch, optimized, capfd):
    def rows(name):
        for made in [*vars(xla_programs).values(), *vars(tapped).values()]:
            if hasattr(made, "cache_clear"):
                made.cache_clear()
        words = [*TINY, "train.numSteps=3", f"hydra.run.dir={name}"]
        assert main(words) == 0
        told = RunFolder(folder / name)
        capfd.readouterr()
        assert main(["inspect", f"run={name}", "text=the cat", "--json"]) == 0
        seen = {**json.loads(capfd.readouterr().out), "run": ""}
        return [{k: v for k, v in row.items() if k != CLOCK} for _, row in told.rows()], told.samples(), seen

    monkeypatch.setattr(xla_traced, "own_folder", lambda: None)
    anew = rows("anew")
    monkeypatch.setattr(xla_traced, "own_folder", lambda: cache)
    first = rows("first")
    assert len(list(cache.glob("*-traced"))) >= 4  # steps, evaluation, samples, inspection
    monkeypatch.setattr(xla_traced.export, "export", None)  # would raise TypeError
    assert rows("again") == first == anew
