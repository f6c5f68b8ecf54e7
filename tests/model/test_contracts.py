"""The contracts of components, as a stranger's type checker sees them."""

import subprocess
import sys
import typing

import pytest

import gptlab

FITTING = """
from dataclasses import dataclass

import gptlab


@dataclass(frozen=True)
class Double:
    def weights(self, config: gptlab.Sizes) -> dict[str, tuple[int, ...]]:
        return {"scale": (config.nEmbd,)}

    def __call__(self, weights: gptlab.Part, x: gptlab.Tensor) -> gptlab.Tensor:
        return x * weights["scale"] * 2.0


norm: gptlab.Norm = Double()
"""


@pytest.mark.slow
def test_a_typed_plugin_is_checked_against_them(tmp_path):
    (tmp_path / "fits.py").write_text(FITTING)
    (tmp_path / "wrong.py").write_text(FITTING.replace("weights: gptlab.Part, x", "x"))
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--cache-dir",
            str(tmp_path / "cache"),
            "fits.py",
            "wrong.py",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = found.stdout
    assert "fits.py" not in said, said
    assert 'wrong.py:16: error: Incompatible types in assignment (expression has type "Double"' in said


def test_they_can_be_imported_and_say_what_a_call_gets():
    for name in (
        "Attention",
        "MLP",
        "Norm",
        "Activation",
        "Block",
        "Objective",
        "Metric",
        "Optimizer",
        "Engine",
    ):
        contract = getattr(gptlab, name)
        assert contract.__doc__ and typing.Protocol in contract.__mro__
