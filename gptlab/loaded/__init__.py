"""Finished runs in a notebook or a REPL: `gptlab.load("latest")`."""
