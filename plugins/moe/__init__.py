"""Do several small mlps, of which each token chooses one, learn more than one?

A mixture of experts with top-1 routing: more parameters, the same work for each token in principle.

Source: Fedus, Zoph, Shazeer, "Switch Transformers: Scaling to Trillion Parameter Models with Simple
and Efficient Sparsity", 2021.
Use:    python -m gptlab +experiment=moe             (or model/mlp=moe model.mlp.nExpert=8)
Alone:  pip install ./plugins/moe                    (outside of this checkout)
"""

from typing import Any

import gptlab

from .switch import Switch


@gptlab.hookimpl
def gptlab_register_components(register: Any) -> None:
    register("mlp", "moe", Switch)
