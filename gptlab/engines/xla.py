"""engine=xla: the same code traced once and compiled by XLA through JAX, a whole chunk of steps a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import Definition, Frozen, Optimizer, StepMetrics
from gptlab.engines.xla_settings import HALF, begin
from gptlab.errors import UserError

if TYPE_CHECKING:
    from gptlab.engines.xla_session import XlaSession

DTYPES = ("float32", "float64", HALF)


@dataclass(frozen=True)
class XlaEngine:
    """Compiled by XLA: the same numbers at a ten-thousandth of the time.

    dtype: float32 or float64, of the weights and of all arithmetic; or bfloat16, of matrix products, whose sums and
    everything else are float32: weights, the optimizer's numbers and losses. remat: the backward pass computes each
    layer again instead of keeping what is in it (Chen et al. 2016): less memory, a third more time.
    """

    dtype: str = "float32"
    remat: bool = False

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UserError(
                f"engine.dtype must be one of {', '.join(DTYPES)}: got {self.dtype}. Try engine.dtype=float32."
            )

    def session(
        self,
        definition: Definition,
        optimizer: Optimizer,
        ops: OpTable,
        frozen: Frozen = frozenset(),
        step_metrics: StepMetrics | None = None,
        accumulate: int = 1,
    ) -> XlaSession:
        # jax is imported here and not above: reading a config must not take the second that it needs
        begin()
        if self.dtype == HALF and not ops.standard("add", "mul"):
            raise UserError(
                f"engine.dtype={HALF} is of matrix products, and with add or mul swapped there are none: every number "
                "is float32 anyway. Leave it out."
            )
        from gptlab.engines.xla_arithmetic import XlaArithmetic
        from gptlab.engines.xla_session import XlaSession

        return XlaSession(
            definition,
            optimizer,
            XlaArithmetic(ops, self.dtype, self.remat),
            frozen,
            step_metrics,
            accumulate,
        )
