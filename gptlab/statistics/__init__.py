"""Statistics that know nothing of runs: numbers in, what they say out."""
