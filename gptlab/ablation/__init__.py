"""Comparisons that hold: arms against a baseline, paired by seed."""
