"""What may be asked of a run: every key with its type and default, and the YAML files that change them."""
