"""`python -m gptlab gallery`: published findings, each with the runs that show it, and what is expected of them."""
