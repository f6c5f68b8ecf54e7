"""A listener that prints: what do the numbers of a run look like as they come, line by line?

The smallest that a listener can be; it acts only if the config names it.

python -m gptlab +experiment=printer
python -m gptlab +experiment=tiny listeners=[printer] train.logEvery=500
"""

import gptlab


@gptlab.hookimpl
def gptlab_run_started(run):
    print(f"printer: {run.name} begins with {run.parameter_counts()['total']} parameters", flush=True)


@gptlab.hookimpl
def gptlab_step_ended(step, metrics):
    numbers = "  ".join(f"{name}={value:.4g}" for name, value in metrics.items())
    print(f"printer: step {step}  {numbers}", flush=True)


@gptlab.hookimpl
def gptlab_run_ended(run, error):
    print(f"printer: {run.name} ends{f': {error!r}' if error else ''}", flush=True)
