"""How a loss is printed: a few digits, whatever its size."""

from __future__ import annotations

LARGE = 1e4  # from here on the digits behind the point say nothing, and those before it fill the line


def loss_text(loss: float, digits: int = 3) -> str:
    """`1.823`, `1.7e+21`, `nan`."""
    return f"{loss:.{digits}f}" if abs(loss) < LARGE else f"{loss:.2g}"
