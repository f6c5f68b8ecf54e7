"""What the compiler is told: programs that it would not end with otherwise."""

import subprocess
import sys

import numpy as np
import pytest

from gptlab.engines import xla_compiled

MOST = 8 << 30  # bytes of address space: ten times what it takes

STEP = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({most}, {most}))
import numpy as np
from gptlab.autograd.ops import OpTable
from gptlab.engines.xla import XlaEngine
from gptlab.optim.optimizers import Adam
from gptlab.engines.engine import Batches
from tests.models import make_gpt
gpt = make_gpt({{"nLayer": 1, "nEmbd": 16, "nHead": 4, "headDim": None, "blockSize": 19, "vocabSize": 13}})
session, weights = XlaEngine().session(gpt, Adam(), OpTable()), gpt.initial_weights(0)
batches = Batches(np.zeros((3, 1, 20), np.int32), np.full((3, 1), 19, np.int32))
state, metrics = session.train(session.init(weights, Adam().init(weights)), batches, np.full(3, 0.01))
print("loss", metrics.loss[0])
"""


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_a_small_model_whose_products_xla_would_write_out_without_end(tmp_path, monkeypatch):
    """19 positions of 13 tokens at nEmbd 16 took more than 20 GB to compile."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ran = subprocess.run(
        [sys.executable, "-c", STEP.format(most=MOST)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.stdout.startswith("loss 2."), ran.stderr[-500:]


@pytest.mark.parametrize(
    "found, expected",
    [
        (["X86_V3"], True),
        (["SSE42", "AVX2", "FMA3"], True),
        (["X86_V3", "X86_V4"], False),  # vectors of 512 bits, for which XLA does not end
        (["AVX2", "AVX512F", "AVX512_SKX"], False),
        (["NEON", "ASIMD"], False),  # nobody has tried
        ([], False),
    ],
)
def test_small_products_are_written_out_only_where_it_is_known_to_end(found, expected, monkeypatch):
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": {"found": found}})
    xla_compiled.writes_out_small_products.cache_clear()
    try:
        assert xla_compiled.writes_out_small_products() is expected
    finally:
        xla_compiled.writes_out_small_products.cache_clear()
