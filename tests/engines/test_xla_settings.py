"""jax as the user has set it: what our code needs it sets itself, and what is not there is told."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from gptlab.engines.xla_settings import jax_precision
from gptlab.errors import UserError


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("numpy_rank_promotion", "raise"),
        ("numpy_dtype_promotion", "strict"),
        ("transfer_guard", "disallow"),
        ("debug_nans", True),
        ("debug_infs", True),
    ],
)
def test_what_a_user_has_set_changes_nothing_within(setting: str, value: object) -> None:
    def compute() -> jax.Array:
        return jax.numpy.ones((2, 3)) * np.arange(3, dtype="int32") + jax.numpy.log(np.zeros(3)) * 0

    with getattr(jax, setting)(value):
        with pytest.raises(Exception, match=r"(?i)promot|transfer|nan|inf"):
            compute().block_until_ready()
        with jax_precision("float32"):
            assert np.isnan(compute()).all()


def test_the_notebook_s_own_settings_stay() -> None:
    with jax.numpy_rank_promotion("raise"):
        with jax_precision("float64"):
            assert jax.numpy.ones(1).dtype == "float64"
        assert jax.config.jax_numpy_rank_promotion == "raise"
    assert jax.numpy.ones(1).dtype == "float32"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("JAX_PLATFORMS", "cuda", "got JAX_PLATFORMS=cuda"),
        ("JAX_PLATFORMS", "nosuch", "got JAX_PLATFORMS=nosuch"),
        ("JAX_ENABLE_X64", "maybe", "JAX_ENABLE_X64=maybe"),
    ],
)
def test_what_jax_cannot_begin_with_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    # Without the command around it the UserError is the traceback's last line.
    program = "from gptlab.engines.xla_settings import begin; begin()"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    last = said.stderr.strip().splitlines()[-1]
    assert last.startswith(f"{UserError.__module__}.{UserError.__name__}: ") and words in last
    assert "JAX_PLATFORMS=cpu" in last or "Try without" in last
