"""`python -m gptlab play`: a local page to type text and see what runs expect next."""
