from gptlab.ablation.result import Tuning


def tuning_of(points):
    best = min((p for p in points if p[1] is not None), key=lambda p: p[1], default=({}, None))[0]
    return Tuning(points, best)
