"""What a run is made of: its parts, built from a config by the names that plugins registered."""
