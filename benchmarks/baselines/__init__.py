"""The same model and training loop, each in one plain file without the framework.

Each has `trainer(task)`, which gives a function `run(steps)`: train the next `steps` steps and give
their losses (steps,). State stays between calls.
"""
