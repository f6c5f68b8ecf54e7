"""What an ablation shows, made of its result alone: a text, a page, pictures, and files for other programs."""
