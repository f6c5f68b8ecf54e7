"""What jax has traced of a model, as C: any composed model, swapped ops included."""
