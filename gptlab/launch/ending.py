"""How a run ends: what is saved of it, and what is said of that."""

from __future__ import annotations

from gptlab.calling import command_with, shown
from gptlab.engines.engine import State
from gptlab.errors import TrainingStopped, UserError
from gptlab.runs.saving import Saver
from gptlab.training.loop import Plan, Training


def train(training: Training, saver: Saver) -> None:
    """Train to the end of the plan, and save what there is then, or what there is of a run that ends before it.

    Raises TrainingStopped besides what ended it, where that cannot be saved or is of no use.
    """
    try:
        training.run()
    except BaseException as reason:
        save_stopped(saver, training.state, training.plan, reason)
        raise
    save_end(saver, training.state, training.plan)


def save_end(saver: Saver, state: State, plan: Plan) -> None:
    """Save what the last step has made. Raises TrainingStopped where that cannot be, or is of no use."""
    run = saver.run
    try:
        saved = saver.save(state)
    except OSError as failed:
        resume = f"go on from there: {command_with(resume=run.folder)}"
        mend = f"Make room, then {resume if saver.newest else 'train it again.'}"
        raise TrainingStopped(f"{saver.failure(state.step, failed)} {mend}") from None
    run.weights = saver.newest_weights
    if saved is None:
        raise TrainingStopped(
            f"the weights after the last step, {plan.numSteps}, are not finite, and are not kept. "
            f"Try a lower learning rate: train.learningRate={plan.learningRate / 10:g}."
        )
    if run.resumed_from == state.step:
        saver.tell(state.step)


def save_stopped(saver: Saver, state: State, plan: Plan, reason: BaseException) -> None:
    """Save what there is; the message of a signal, or of a fault, says where it is, or why it is not."""
    run = saver.run
    at = f"at step {state.step} of {plan.numSteps}"
    told = ""
    try:
        if saver.save(state) is not None:
            told = f"{at}; kept in {shown(run.folder)}"
            if state.step < plan.numSteps:
                told += f"; go on with: {command_with(resume=run.folder)}"
    except Exception as failed:  # what ended the run may keep it from being saved: no memory, no device
        if isinstance(reason, TrainingStopped):
            raise TrainingStopped(f"{reason} Besides, {saver.failure(state.step, failed)}") from None
        told = f"{at}; {saver.failure(state.step, failed)}"
    except KeyboardInterrupt as again:  # a second signal, which ends at once
        told = f"{at}; {saver.failure(state.step, Exception('it was stopped once more'))}"
        again.told = [told]  # type: ignore[attr-defined]
        raise
    finally:
        run.weights = saver.newest_weights
    if not told or isinstance(reason, TrainingStopped):
        return
    if isinstance(reason, UserError):
        raise UserError(f"{reason} Training ended {told}") from None
    if isinstance(reason, KeyboardInterrupt):
        reason.told = [told]  # type: ignore[attr-defined]  # as Stopped has it, a plugin's own too
    else:
        reason.add_note(f"Training ended {told}")
