"""What was typed: read, checked, composed into a config by Hydra, and what is wrong with it told."""
