"""What a run leaves on disk: whole or not there at all, verified when read, and nothing in it executable."""
