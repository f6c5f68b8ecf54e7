"""engine=xla: the same code traced once and compiled by XLA through JAX, a whole chunk of steps a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import Definition, Frozen, Optimizer, StepMetrics
from gptlab.engines.meeting import entered
from gptlab.engines.xla_settings import HALF, begin
from gptlab.errors import UserError, require

if TYPE_CHECKING:
    from gptlab.engines.xla_session import XlaSession

DTYPES = ("float32", "float64", HALF)


@dataclass(frozen=True)
class XlaEngine:
    """Compiled by XLA: the same numbers at a ten-thousandth of the time.

    dtype: float32 or float64, of the weights and of all arithmetic; or bfloat16, of matrix products, whose sums and
    everything else are float32: weights, the optimizer's numbers and losses.
    together: how many jobs of a sweep, alike but for their numbers, train in one compiled call (docs/sweeps.md).
    """

    dtype: str = "float32"
    together: int = 1

    def __post_init__(self) -> None:
        require("engine.together", self.together, at_least=1, example=8)
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

        whole = definition, optimizer, XlaArithmetic(ops, self.dtype), frozen, step_metrics, accumulate
        meeting = entered()
        if self.together > 1 and meeting is not None:
            from gptlab.engines.xla_together import TogetherSession

            return TogetherSession(*whole, meeting=meeting, jobs=self.together)
        return XlaSession(*whole)
