"""Examples: documents of which some tokens count and others do not, as a prompt and its answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """A document in parts: prompt, answer, and where there are more, prompt, answer ... in turn.

    parts: answers, the second, fourth ... part, are what counts; "" leaves a part out. labels: what the example is
    told apart by in metrics, a number or a name each. nats: -log of the probability that the source gives to what
    counts after what stands before it, if it knows. ends: whether the end of the document counts, too: as it must
    where answers are not all of one length.
    """

    parts: Sequence[str]
    labels: Mapping[str, int | str] = field(default_factory=dict)
    nats: float | None = None
    ends: bool = False

    def pieces(self) -> Iterator[tuple[str, bool]]:
        """The parts that hold something, and whether each counts."""
        for i, part in enumerate(self.parts):
            if part:
                yield part, i % 2 == 1

    @property
    def prompt(self) -> Sequence[str]:
        """The parts before the last answer."""
        last = max((i for i in range(1, len(self.parts), 2) if self.parts[i]), default=len(self.parts))
        return [part for part in self.parts[:last] if part]
