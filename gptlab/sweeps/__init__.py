"""Sweeps: many runs of one command, each a job with a record of its own, and what they show together."""
