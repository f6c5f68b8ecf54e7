"""Warm-up, stable, decay: is it enough to let the learning rate fall in the last tenth of the steps?

Hu et al. 2024, MiniCPM: Unveiling the Potential of Small Language Models, section 4.

python -m gptlab +experiment=wsd
python -m gptlab +experiment=book schedule=wsd schedule.warmup=100 schedule.decay=0.2
"""

from dataclasses import dataclass

import gptlab


@dataclass(frozen=True)
class WarmupStableDecay(gptlab.Schedule):
    """1 until the decay begins, then final^share, share going from 0 to 1 over the decay.

    warmup: the steps of the climb. decay: the share of the steps after it in which the rate falls.
    final: the factor that it falls to.
    """

    decay: float = 0.1
    final: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        gptlab.require("schedule.decay", self.decay, above=0, at_most=1, example=0.1)
        gptlab.require("schedule.final", self.final, above=0, at_most=1, example=0.1)

    def after(self, share):
        return self.final ** max(0.0, (share - (1 - self.decay)) / self.decay)


@gptlab.hookimpl
def gptlab_register_schedules(register):
    register("wsd", WarmupStableDecay)
