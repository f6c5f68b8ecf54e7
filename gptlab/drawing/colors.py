"""The colors of every figure."""

from __future__ import annotations

INK, FAINT = "#1f2933", "#9aa5b1"
TRAIN, VALIDATION, ORIGINAL = "#2f6fb7", "#d1495b", "#3a9a5b"
