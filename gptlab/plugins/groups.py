"""Where each kind of component is selected in a config: `model/norm=layernorm`, `optimizer=sgd`."""

from gptlab.plugins.registry import COMPONENT_KINDS

GROUPS = {
    **{kind: f"model/{kind}" for kind in (*COMPONENT_KINDS, "adapter")},
    **{kind: kind for kind in ("optimizer", "schedule", "tokenizer", "engine", "tracking")},
    "dataset": "data",
}
