"""One run from start to end: built, trained, watched and reported."""
