"""A file a verb, with HELP and `run`; gptlab/command/verbs.py has a row for each."""
