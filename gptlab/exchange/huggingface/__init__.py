"""Folders of Hugging Face's `transformers`, in and out: config.json, model.safetensors, tokenizer.json.

Nothing in such a folder is executed: no code, no pickle; and nothing is downloaded.
"""

ADDRESS = "hf:"  # before a folder, in place of a run
CONFIG, GENERATION = "config.json", "generation_config.json"
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZER, TOKENIZER_CONFIG = "tokenizer.json", "tokenizer_config.json"
