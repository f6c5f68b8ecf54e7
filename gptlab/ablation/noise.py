"""STAND-IN"""

from statistics import stdev

from gptlab.ablation.result import Noise


def noise_of(losses, seeds):
    d = stdev(losses)
    return Noise(d, seeds, d, 10)


def noise_line(n):
    return f"noise: deviation over seeds {n.deviation:.4f}; {n.seeds} seeds see {n.detectable:.4f}; 0.01 nats need {n.needed}"
