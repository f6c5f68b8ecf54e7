"""A run as it lies in its folder: its files, its checkpoints, what it is called, and how to go on with it."""
