"""What a model computes, on either engine, in each of the ways in which training and sampling have it compute.

Legend: T positions, V vocabulary, E nEmbd, W positions of a row that documents share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gptlab.autograd.ops import OpTable
from gptlab.autograd.value import Value
from gptlab.engines.context import causal_context
from gptlab.engines.draws import Draws, key_of
from gptlab.engines.engine import Batches, Definition, NamedArrays, State
from gptlab.engines.scalar import GrowingPast, ScalarSession
from gptlab.engines.scalar_arithmetic import ScalarArithmetic, as_values, grads_of
from gptlab.engines.xla_arithmetic import XlaArithmetic
from gptlab.engines.xla_cache import keep_compiled_programs
from gptlab.engines.xla_draws import mix as mix_words
from gptlab.engines.xla_objective import document_sums, positions_of
from gptlab.engines.xla_past import kept_of_each, next_logits
from gptlab.engines.xla_programs import shared_row, tensors
from gptlab.engines.xla_settings import jax_precision
from gptlab.optim.optimizers import SGD

EMBEDDING = "tokenEmbedding"
RATES = np.array([0.1, 0.1])  # of the steps that are trained twice
# Each program runs a few times: what its compilation takes counts, not what the compiler would make of it.
QUICKLY = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
}


class Trial(Protocol):
    """One model on one engine, in float64."""

    engine: str

    def loss(self, weights: NamedArrays, tokens: np.ndarray) -> float:
        """Of one document (T+1,) what is minimized, in nats a token, penalties included."""
        ...

    def gradient(self, weights: NamedArrays, tokens: np.ndarray) -> NamedArrays:
        """Of `loss`, by each weight."""
        ...

    def logits(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        """(T,) to (T, V), all positions at once."""
        ...

    def one_by_one(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        """(T,) to (T, V), as generation computes them: each position by itself, after what is kept of the others."""
        ...

    def reach(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        """(T, T): how large a derivative of position t's logits by the embedded token of position s is.

        Of a random mix of the logits, so that none can hide another. No token may come twice.
        """
        ...

    def trained(self, weights: NamedArrays, tokens: np.ndarray) -> bytes:
        """What is the same for two trainings from the same state if they come to the same bits."""
        ...

    def evaluated(self, weights: NamedArrays, tokens: np.ndarray, step: int) -> bytes:
        """The same of an evaluation after so many steps."""
        ...


def mix(count: int) -> np.ndarray:
    """(V,)"""
    return np.random.default_rng(1).standard_normal(count)


class ScalarTrial:
    engine = "scalar"

    def __init__(self, definition: Any, ops: OpTable):
        self.session = ScalarSession(definition, SGD(), ScalarArithmetic(ops))

    def loss(self, weights: NamedArrays, tokens: np.ndarray) -> float:
        return float(self.session.document(weights, tokens).loss)

    def gradient(self, weights: NamedArrays, tokens: np.ndarray) -> NamedArrays:
        values = {name: as_values(array) for name, array in weights.items()}
        loss = self.session.document(values, tokens).loss
        if isinstance(loss, Value):  # a number where the objective counts nothing
            loss.backward()
        return {name: grads_of(array) for name, array in values.items()}

    def logits(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        return self.session.logits(State(weights, {}), tokens)

    def one_by_one(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        named, past = self.session.numbers(State(weights, {})), GrowingPast()
        found = [self.session.next_logits(named, token, t, past) for t, token in enumerate(tokens.tolist())]
        return np.stack(found)

    def reach(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        arithmetic = self.session.arithmetic
        embedding = as_values(weights[EMBEDDING])
        named = self.session.numbers(State({**weights, EMBEDDING: embedding}, {}))
        named[EMBEDDING].data = embedding
        logits = self.session.definition.logits(named, tokens, causal_context(len(tokens))).data
        mixed = arithmetic.fold("add", arithmetic.apply("mul", logits, mix(logits.shape[-1])), -1)
        found = np.zeros((len(tokens), len(tokens)))
        for t, root in enumerate(mixed.tolist()):
            if not isinstance(root, float):
                for value in embedding.flat:
                    value.grad = 0.0
                root.backward()
                found[t] = np.abs(grads_of(embedding)[tokens]).max(-1)
        return found

    def trained(self, weights: NamedArrays, tokens: np.ndarray) -> bytes:
        state = self.session.init(weights, self.session.optimizer.init(weights))
        rows = np.tile(tokens.astype(np.int32), (len(RATES), 1, 1))
        lengths = np.full((len(RATES), 1), len(tokens) - 1, dtype=np.int32)
        state, metrics = self.session.train(state, Batches(rows, lengths), RATES)
        ended = self.session.export(state).weights
        return metrics.loss.tobytes() + b"".join(array.tobytes() for array in ended.values())

    def evaluated(self, weights: NamedArrays, tokens: np.ndarray, step: int) -> bytes:
        lengths = np.array([len(tokens) - 1], dtype=np.int32)
        nats, _ = self.session.evaluate(State(weights, {}, step), tokens[None], lengths)
        return np.float64(nats).tobytes()


class XlaTrial:
    """width: of the rows that documents are laid out in, so that one program serves for all of them."""

    engine = "xla"

    def __init__(self, definition: Definition, ops: OpTable, width: int | None = None):
        keep_compiled_programs()
        self.definition = definition
        self.arithmetic = XlaArithmetic(ops, "float64")
        self.width = width

    def loss(self, weights: NamedArrays, tokens: np.ndarray) -> float:
        return float(self.called(self._loss, weights, tokens))

    def gradient(self, weights: NamedArrays, tokens: np.ndarray) -> NamedArrays:
        return {name: np.asarray(g) for name, g in self.called(self._gradient, weights, tokens).items()}

    def logits(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        return self.sharing(weights, [tokens])[0][0]

    def reach(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        return self.sharing(weights, [tokens])[1]

    def one_by_one(self, weights: NamedArrays, tokens: np.ndarray) -> np.ndarray:
        return np.asarray(self.called(self._one_by_one, weights, tokens))

    def sharing(
        self, weights: NamedArrays, documents: Sequence[np.ndarray]
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Documents in one row, one after the other and then padding: the logits (T, V) of each, and what they reach.

        The latter (N, N) is that of `reach`, for the N positions of all of them.
        """
        whole = np.concatenate(documents)
        width = self.width or len(whole)
        tokens, positions = np.zeros(width, dtype=np.int32), np.zeros(width, dtype=np.int32)
        numbers = np.full(width, -1, dtype=np.int32)
        lengths = [len(document) for document in documents]
        tokens[: len(whole)] = whole
        positions[: len(whole)] = np.concatenate([np.arange(length) for length in lengths])
        numbers[: len(whole)] = np.repeat(np.arange(len(documents)), lengths)
        logits, by_token = self.called(self._row, weights, tokens, positions, numbers)
        reached = np.abs(np.asarray(by_token)[: len(whole), whole]).max(-1)
        return np.split(np.asarray(logits), np.cumsum(lengths))[:-1], reached

    def trained(self, weights: NamedArrays, tokens: np.ndarray) -> bytes:
        a_step = jax.grad(self.mean_loss(Draws(jnp, mix_words, key_of(0), 1, 0)))
        return self.traced(a_step, weights, tokens)

    def evaluated(self, weights: NamedArrays, tokens: np.ndarray, step: int) -> bytes:
        return self.traced(self.all_logits(), weights, tokens)

    def traced(self, function: Callable[..., Any], *arguments: Any) -> bytes:
        """The program of a function that jax has not seen: what is drawn while it is traced are its constants."""
        with jax_precision("float64"):
            return jax.jit(function).lower(*arguments).as_text().encode()

    def called(self, program: Callable[..., Any], *arguments: Any) -> Any:
        with jax_precision("float64"):
            return program(*arguments)

    def all_logits(self) -> Callable[..., Any]:
        def logits(weights: Any, tokens: Any) -> Any:
            context = causal_context(len(tokens))
            return self.definition.logits(tensors(weights, self.arithmetic), tokens, context).data

        return logits

    def mean_loss(self, draws: Draws | None = None) -> Callable[..., Any]:
        def loss(weights: Any, tokens: Any) -> Any:
            named, context = tensors(weights, self.arithmetic), causal_context(len(tokens) - 1, draws)
            each = positions_of(self.definition, named, self.arithmetic, tokens[:-1], tokens[1:], context)
            if each.plain:
                return jnp.mean(each.losses)
            length = len(tokens) - 1
            return document_sums(each, jnp.ones(length, dtype=bool), jnp.int32(length))[0]

        return loss

    @cached_property
    def _loss(self) -> Callable[..., Any]:
        return jax.jit(self.mean_loss(), compiler_options=QUICKLY)

    @cached_property
    def _gradient(self) -> Callable[..., Any]:
        return jax.jit(jax.grad(self.mean_loss()), compiler_options=QUICKLY)

    @cached_property
    def _row(self) -> Callable[..., Any]:
        """(weights, tokens, positions, documents), each (W,) -> logits (W, V), derivatives of their mixes (W, V, E)."""

        def run(weights: Any, tokens: Any, positions: Any, documents: Any) -> Any:
            def mixed(embedding: Any) -> Any:
                named = tensors({**weights, EMBEDDING: embedding}, self.arithmetic)
                logits = self.definition.logits(named, tokens, shared_row(positions, documents)).data
                return logits @ mix(logits.shape[-1]), logits

            derivatives, logits = jax.jacrev(mixed, has_aux=True)(weights[EMBEDDING])
            return logits, derivatives

        return jax.jit(run, compiler_options=QUICKLY)

    @cached_property
    def _one_by_one(self) -> Callable[..., Any]:
        def run(weights: Any, tokens: Any) -> Any:
            named, length = tensors(weights, self.arithmetic), len(tokens)
            kept, _ = kept_of_each(self.definition, named, tokens[0])
            buffers = [tuple(jnp.zeros(shape) for shape in each.shapes(length)) for each in kept]

            def step(buffers: Any, at: Any) -> Any:
                t, token = at
                logits, buffers = next_logits(self.definition, named, token, buffers, t, length)
                return buffers, logits

            return lax.scan(step, buffers, (jnp.arange(length, dtype=jnp.int32), tokens))[1]

        return jax.jit(run, compiler_options=QUICKLY)
