"""The colors of every figure."""

from __future__ import annotations

INK, FAINT = "#1f2933", "#9aa5b1"
TRAIN, VALIDATION, ORIGINAL = "#2f6fb7", "#d1495b", "#3a9a5b"
OTHERS = ("#e08e2b", "#7a5bb0", "#2aa1a1", "#8c6d46")  # further sets of held-out documents
