"""Programs traced once: what jax makes of the Python code is kept on disk, so that a second run traces nothing.

Beside the compiled programs of `xla_cache`, in StableHLO's portable form with what jax must know to call it; no pickle.
Kept are programs of gptlab's own code alone. Their names hold what they are made of, wholly, down to each number,
gptlab's own files, the versions, and the shapes. A plugin's code may read whatever it likes while it is traced: its
programs are traced each time.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, cached_property, partial
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any

import jax
import numpy as np
from jax import export

from gptlab import strict_json
from gptlab.autograd.ops import BUILTIN_OPS, OpTable
from gptlab.engines.xla_cache import KEPT_TRACED, own_folder, tend
from gptlab.files import read_regular, write_bytes

OWN, FOUND = "gptlab", "gptlab.found"
VARIABLES = ("JAX_", "XLA_")  # that jax reads


class Foreign(Exception):
    """Something that is not gptlab's own, or of which not everything is known."""


def kept(
    run: Callable[..., Any], parts: Any, ops: OpTable, arguments: tuple[Any, ...], jitted: Callable[..., Any]
) -> Any | None:
    """`jitted` of what jax makes of `run` for these arguments, from disk or put there; None where nothing is kept.

    parts, ops: all that `run` is made of. jitted: jax.jit with what the compiler is told.
    """
    folder = own_folder()
    if folder is None:
        return None
    try:
        path = folder / f"{name_of(parts, ops, arguments)}{KEPT_TRACED}"
    except Foreign:
        return None
    try:
        return jitted(named(read(path, arguments)))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # there is none yet, it is damaged, or another jax knows it otherwise
    try:
        exported = export.export(jax.jit(run))(*jax.tree.map(shape_of, arguments))
        content = as_bytes(exported)
    except (Foreign, ValueError, NotImplementedError):  # jax keeps no calls of what is outside of the program
        return None
    tend(folder)
    with suppress(OSError):  # a full disk: the next run traces it again
        write_bytes(path, content)
    return jitted(named(exported))


def named(exported: export.Exported) -> Callable[..., Any]:
    """Its call, by the name that the function had: profiles and the files of compiled programs tell it."""

    def call(*arguments: Any) -> Any:
        return exported.call(*arguments)

    call.__name__ = exported.fun_name
    return call


def shape_of(leaf: Any) -> jax.ShapeDtypeStruct:
    """Without where it lies: a kept program runs wherever its arguments are."""
    aval = jax.typeof(leaf)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def name_of(parts: Any, ops: OpTable, arguments: tuple[Any, ...]) -> str:
    """What a program is found by. Raises Foreign."""
    leaves, tree = jax.tree.flatten(arguments)
    avals = [jax.typeof(leaf) for leaf in leaves]
    shapes = [[list(aval.shape), str(aval.dtype), bool(aval.weak_type)] for aval in avals]
    made_of = described(parts)
    told = [made_of, used(ops, made_of), str(tree), shapes, settings(), surroundings()]
    return hashlib.sha256(strict_json.dumps(told).encode()).hexdigest()


def used(ops: OpTable, parts: Any) -> list[Any]:
    """The ops that a program may apply: of those that plugins brought, a component of gptlab's uses what it names.

    Raises Foreign where it does, and where one stands for another.
    """
    told, words = [], set(words_in(parts))
    for name, op in ops.items():
        if name in BUILTIN_OPS or name in words:
            told.append([name, described(op)])
        else:
            with suppress(Foreign):
                told.append([name, described(op)])
    return told


def words_in(told: Any) -> Iterator[str]:
    if isinstance(told, str):
        yield told
    elif isinstance(told, list):
        for each in told:
            yield from words_in(each)


def settings() -> list[Any]:
    """What jax was told; of a thread's own settings those that the engine leaves as they are."""
    whole = {name: repr(value) for name, value in jax.config.values.items()}
    here = [getattr(jax.config, name) for name in ("jax_enable_x64", "jax_default_matmul_precision")]
    return [whole, *map(str, here)]


@cache
def surroundings() -> list[Any]:
    """What else tracing depends on: gptlab's own files, and versions."""
    package = Path(__file__).resolve().parents[1]
    files = sorted(package.rglob("*.py"))
    own = [
        [str(file.relative_to(package)), (stat := file.stat()).st_size, stat.st_mtime_ns] for file in files
    ]
    told = sorted(f"{name}={value}" for name, value in os.environ.items() if name.startswith(VARIABLES))
    versions = [jax.__version__, version("jaxlib"), np.__version__, sys.version]
    return [own, *versions, jax.default_backend(), told]


def described(part: Any) -> Any:
    """What a part of a program is, as JSON: equal for two that trace alike. Raises Foreign."""
    kind = type(part)
    if part is None or kind in (bool, int, str):
        return part
    if kind is float:
        return part.hex()
    if isinstance(part, np.generic | np.ndarray) and not part.dtype.hasobject:
        return ["array", str(part.dtype), list(part.shape), hashlib.sha256(part.tobytes()).hexdigest()]
    if kind in (tuple, list):
        return [kind.__name__, *map(described, part)]
    if kind in (set, frozenset):
        return [kind.__name__, *sorted(strict_json.dumps(described(each)) for each in part)]
    if kind is dict:
        return ["dict", *([described(key), described(value)] for key, value in part.items())]
    if kind is partial:
        return ["partial", *map(described, (part.func, part.args, part.keywords))]
    if kind is FunctionType:
        cells = [cell.cell_contents for cell in part.__closure__ or ()]
        return [own_name(part), *map(described, (cells, part.__defaults__, part.__kwdefaults__))]
    if isinstance(part, type):
        return own_name(part)
    if dataclasses.is_dataclass(part):
        fields = {field.name for field in dataclasses.fields(part)}
        more = {name for name in getattr(part, "__dict__", {}) if name not in fields}
        if not all(isinstance(getattr(kind, name, None), cached_property) for name in more):
            raise Foreign(kind.__name__)
        return [own_name(kind), *([name, described(getattr(part, name))] for name in sorted(fields))]
    raise Foreign(kind.__name__)


def own_name(part: Any) -> str:
    """Raises Foreign for what is not in a file of gptlab's own."""
    module = part.__module__ or ""
    if module.partition(".")[0] != OWN or f"{module}.".startswith(f"{FOUND}."):
        raise Foreign(module)
    return f"{module}.{part.__qualname__}"


def as_bytes(exported: export.Exported) -> bytes:
    """A line of JSON, then the program. Raises Foreign for one that has more to it."""
    avals = exported.in_avals, exported.out_avals
    if exported.nr_devices != 1 or exported.ordered_effects or exported.unordered_effects:
        raise Foreign("devices or effects")
    if any(exported._in_named_shardings) or any(exported._out_named_shardings):
        raise Foreign("shardings")
    module = bytes(exported.mlir_module_serialized)
    told = {
        "name": exported.fun_name,
        "avals": [[[list(a.shape), str(a.dtype), bool(a.weak_type)] for a in some] for some in avals],
        "out": skeleton(jax.tree.unflatten(exported.out_tree, range(len(exported.out_avals)))),
        "platforms": list(exported.platforms),
        "convention": exported.calling_convention_version,
        "kept": list(exported.module_kept_var_idx),
        "digest": hashlib.sha256(module).hexdigest(),
    }
    return strict_json.dumps(told).encode() + b"\n" + module


def skeleton(tree: Any) -> Any:
    """A tree of tuples, lists and dicts, as JSON; its leaves are numbers. Raises Foreign for another."""
    if tree is None or type(tree) is int:
        return tree
    if type(tree) in (tuple, list):
        return [type(tree).__name__, *map(skeleton, tree)]
    if type(tree) is dict and all(type(key) is str for key in tree):
        return {key: skeleton(value) for key, value in tree.items()}
    raise Foreign(type(tree).__name__)


def tree_of(told: Any) -> Any:
    """The tree of a skeleton."""
    if isinstance(told, list):
        return {"tuple": tuple, "list": list}[told[0]](map(tree_of, told[1:]))
    return {key: tree_of(value) for key, value in told.items()} if isinstance(told, dict) else told


def read(path: Path, arguments: tuple[Any, ...]) -> export.Exported:
    """Raises OSError, ValueError, LookupError or TypeError for what is not there, or not as `as_bytes` made it."""
    head, _, module = read_regular(path).partition(b"\n")
    told = strict_json.loads(head.decode())
    if hashlib.sha256(module).hexdigest() != told["digest"]:
        raise ValueError("damaged")
    given, found = (
        tuple(jax.core.ShapedArray(tuple(shape), np.dtype(dtype), weak) for shape, dtype, weak in some)
        for some in told["avals"]
    )
    return export.Exported(
        fun_name=told["name"],
        in_tree=jax.tree.structure((arguments, {})),
        in_avals=given,
        out_tree=jax.tree.structure(tree_of(told["out"])),
        out_avals=found,
        _has_named_shardings=True,
        _in_named_shardings=(None,) * len(given),
        _out_named_shardings=(None,) * len(found),
        in_shardings_hlo=(None,) * len(given),
        out_shardings_hlo=(None,) * len(found),
        nr_devices=1,
        platforms=tuple(told["platforms"]),
        ordered_effects=(),
        unordered_effects=(),
        disabled_safety_checks=(),
        mlir_module_serialized=module,
        calling_convention_version=told["convention"],
        module_kept_var_idx=tuple(told["kept"]),
        uses_global_constants=False,
        _get_vjp=None,
    )
