"""engine=xla: the same code traced once and compiled by XLA through JAX, a whole chunk of steps a call."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from gptlab.autograd.ops import OpTable
from gptlab.engines.engine import Definition, Frozen, Optimizer, StepMetrics
from gptlab.engines.hosts import check_hosts, joined
from gptlab.engines.meeting import entered
from gptlab.engines.spreading import MeshSizes, check_divides, check_settings, mesh_sizes
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
    remat: the backward pass computes each layer again instead of keeping what is in it (Chen et al. 2016): less memory,
    a third more time.
    together: how many jobs of a sweep, alike but for their numbers, train in one compiled call (docs/sweeps.md).
    devices: how many compute each step together, a share of its rows each; `all` for what there is.
    mesh: the same in two directions, `{data: 2, model: 2}`: `data` shares rows, and keeps weights and the optimizer's
    numbers in parts between two uses; `model` shares each matrix. It takes as many devices as its product.
    hosts: the processes, each with devices of its own, that compute together: `auto` where SLURM has begun them, or
    `{coordinator: "ADDRESS:PORT", number: 2, index: 0}` in each, with its index. All their devices take part.
    """

    dtype: str = "float32"
    remat: bool = False
    together: int = 1
    devices: int | str = 1
    mesh: dict[str, int] = field(default_factory=dict)
    hosts: Any = None

    def __post_init__(self) -> None:
        check_settings(self.devices, self.mesh)
        check_hosts(self.hosts)
        require("engine.together", self.together, at_least=1, example=8)
        if self.together > 1 and self.is_spread:
            raise UserError(
                f"engine.together has one device compute for many jobs, and engine.devices, mesh and hosts have many "
                f"compute for one: got engine.together={self.together} with them. Leave one of the two out."
            )
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
                f"engine.dtype={HALF} is for matrix products, and with add or mul swapped there are none: every "
                "number is float32 anyway. Leave it out."
            )
        from gptlab.engines.xla_arithmetic import XlaArithmetic
        from gptlab.engines.xla_session import XlaSession

        arithmetic = XlaArithmetic(ops, self.dtype, self.remat)
        whole = definition, optimizer, arithmetic, frozen, step_metrics, accumulate
        sizes, meeting = self._mesh_sizes(), entered()
        if sizes is not None:
            import jax

            from gptlab.engines.xla_mesh import Spread
            from gptlab.engines.xla_spread_session import SpreadSession

            return SpreadSession(*whole, spread=Spread.of(sizes, jax.devices()))
        if self.together > 1 and meeting is not None:
            from gptlab.engines.xla_together import TogetherSession

            return TogetherSession(*whole, meeting=meeting, jobs=self.together)
        return XlaSession(*whole)

    def check_spread(self, batchSize: int | None, nHead: int) -> None:
        """Spreads.check_spread"""
        sizes = self._mesh_sizes()
        if sizes is not None:
            check_divides(sizes, batchSize, nHead)

    def alone(self) -> XlaEngine:
        """Spreads.alone"""
        return replace(self, devices=1, mesh={}, hosts=None)

    @property
    def is_spread(self) -> bool:
        """Whether more devices than one may be asked for."""
        return self.devices != 1 or bool(self.mesh) or self.hosts is not None

    def _mesh_sizes(self) -> MeshSizes | None:
        if not self.is_spread:
            return None  # what jax says need not be waited for
        begin()
        import jax

        return mesh_sizes(self.devices, self.mesh, jax.device_count(), jax.default_backend(), joined().number)
