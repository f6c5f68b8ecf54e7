"""The table of settings: what is trained, by whom, and which ratios are to be reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """`subject`'s time (or peak memory) is to be at most `atMost` times that of `against`; None asks nothing."""

    subject: str
    against: str
    atMost: float | None = None
    quantity: str = "time"


@dataclass(frozen=True)
class Setting:
    """Steps of training, or with `samples` the drawing of so many texts.

    task: the arguments of make_task. threads: "one" core, "all", or both of them. check: how many
    steps' losses are compared before anything is timed.
    """

    name: str
    title: str
    task: dict[str, Any]
    targets: tuple[Target, ...]
    threads: tuple[str, ...] = ("one", "all")
    check: int = 20
    samples: int = 0

    @property
    def implementations(self) -> tuple[str, ...]:
        named = [name for target in self.targets for name in (target.subject, target.against)]
        return tuple(dict.fromkeys(named))


def sizes(data: str, nLayer: int, nEmbd: int, batchSize: int) -> dict[str, Any]:
    return {"data": data, "nLayer": nLayer, "nEmbd": nEmbd, "batchSize": batchSize}


def against_plain(*more: Target, atMost: float | None = 1.05) -> tuple[Target, ...]:
    return (Target("xla", "jax_plain", atMost), *more)


OTHERS = (Target("xla", "numpy_manual"), Target("xla", "torch_eager"))
# Ahead of C that is tuned by hand for this one model by half of our own time.
C = Target("xla", "simd_c", 1 / 1.5)

SETTINGS = (
    Setting("names-1", "names, batch 1", sizes("names", 1, 16, 1), against_plain(*OTHERS, C)),
    Setting(
        "names-16",
        "names, batch 16",
        sizes("names", 1, 16, 16),
        # The second target is what no work on padding is to bring: jax_plain pads to blockSize.
        against_plain(Target("xla", "jax_plain", 0.6), *OTHERS, C),
    ),
    Setting(
        "book-1",
        "book, batch 1",
        sizes("sentences", 2, 32, 1),
        against_plain(Target("xla", "numpy_manual", 1 / 2), Target("xla", "torch_eager", 1 / 8)),
    ),
    Setting("book-16", "book, batch 16", sizes("sentences", 2, 32, 16), against_plain(*OTHERS)),
    Setting(
        "width32-layers1",
        "names, nEmbd 32, 1 layer, batch 16",
        sizes("names", 1, 32, 16),
        against_plain(C, atMost=None),
    ),
    Setting(
        "width32-batch1",
        "names, nEmbd 32, 1 layer, batch 1",
        sizes("names", 1, 32, 1),
        (C,),
    ),
    *(
        Setting(
            f"width{nEmbd}-layers{nLayer}",
            f"names, nEmbd {nEmbd}, {nLayer} layer{'s' * (nLayer > 1)}, batch 16",
            # At a rate of 0.01 these leap about, and float32's rounding grows with every step.
            {**sizes("names", nLayer, nEmbd, 16), "learningRate": 1e-5},
            against_plain(*(C,) * (nLayer == 1 and nEmbd < 256), atMost=1.03),
        )
        for nEmbd in (64, 128, 256)
        for nLayer in (1, 4)
    ),
    *(
        Setting(
            f"width{nEmbd}-batch1",
            f"names, nEmbd {nEmbd}, 1 layer, batch 1",
            {**sizes("names", 1, nEmbd, 1), "learningRate": 1e-5},
            (C,),
        )
        for nEmbd in (64, 128)
    ),
    Setting(
        "scalar",
        "scalar engine, book, batch 1",
        sizes("sentences", 2, 32, 1),
        (Target("scalar", "value_loop", 1 / 5), Target("scalar", "value_loop", 1 / 4, "memory")),
        threads=("one",),
    ),
    Setting(
        "generation",
        "1,000 samples of the book model",
        sizes("sentences", 2, 32, 16),
        (Target("xla", "jax_plain", 1.1),),
        samples=1000,
    ),
)
