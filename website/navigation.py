"""What stands where on the site. A page in docs/ that is not here is an error: nobody would find it."""

SECTIONS = [
    {"Start": ["index.md", {"Five minutes": "start.md"}]},
    {
        "Tutorials": [
            "tutorials/index.md",
            {"An answer of your own": "tutorials/your-own-question.md"},
            {"From one number to a GPT": "tutorials/from-one-number-to-a-gpt.md"},
            {"Your own attention": "tutorials/your-own-attention.md"},
            {"Watch a circuit form": "tutorials/watch-a-circuit-form.md"},
            {"A finished run in a notebook": "notebook.md"},
            {"The notebook": "notebook-run.md"},
        ]
    },
    {
        "How-to": [
            {"What do you want to do?": "howto.md"},
            {"Your own text": "data.md"},
            {"Your own op or component": "plugins.md"},
            {"Your own attention, in detail": "attention.md"},
            {"Tensor": "tensor.md"},
            {"Sweep": "sweeps.md"},
            {"Ablate": "ablate.md"},
            {"Resume, share, serve": "checkpoints.md"},
            {"Fine-tune": "finetuning.md"},
            {"Sample": "sampling.md"},
            {"See inside a model": "inspect.md"},
            {"Play with a model": "play.md"},
            {"The graph, number by number": "graph.md"},
            {"Optimizers, devices, GPUs": "training.md"},
            {"How weights start": "init.md"},
            {"Tasks with right answers": "tasks.md"},
            {"A model as a program in C": "c.md"},
        ]
    },
    {
        "Reference": [
            {"Keys": "reference/keys.md"},
            {"Verbs": "reference/verbs.md"},
            {"Python": "reference/python.md"},
            {"Files and metrics of a run": "run-files.md"},
        ]
    },
    {
        "Gallery": [
            {"Published findings, run again": "gallery.md"},
            {"What the example plugins do": "experiments.md"},
        ]
    },
    {
        "How it is built": [
            {"Architecture": "architecture.md"},
            {"How fast it is": "performance.md"},
            {"What gptlab trusts": "security.md"},
            {"Contributing": "contributing.md"},
            {"Changelog": "changelog.md"},
        ]
    },
]


def navigated(sections: object = SECTIONS) -> list[str]:
    """The pages that can be reached."""
    if isinstance(sections, str):
        return [sections]
    inner = sections.values() if isinstance(sections, dict) else sections
    return [page for one in inner for page in navigated(one)]  # type: ignore[attr-defined]
