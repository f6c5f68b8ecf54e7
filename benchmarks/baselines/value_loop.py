"""The training loop in plain Python: scalar autograd, one object an operation, everything in float64.

As somebody would write it to read it: a product of a matrix and a vector is a multiplication and an
addition for each weight, positions go through the model one after another, Adam is a loop.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from benchmarks.task import Task


class Value:
    """One number: what it was made from, and its derivatives with respect to each of those."""

    __slots__ = ("children", "data", "grad", "local_grads")

    def __init__(self, data: float, children: tuple[Value, ...] = (), local_grads: tuple[float, ...] = ()):
        self.data = data
        self.grad = 0.0
        self.children = children
        self.local_grads = local_grads

    def __add__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return Value(self.data + other.data, (self, other), (1.0, 1.0))
        return Value(self.data + other, (self,), (1.0,))

    def __mul__(self, other: Value | float) -> Value:
        if isinstance(other, Value):
            return Value(self.data * other.data, (self, other), (other.data, self.data))
        return Value(self.data * other, (self,), (other,))

    def __neg__(self) -> Value:
        return self * -1.0

    def __sub__(self, other: Value | float) -> Value:
        return self + -other

    def __truediv__(self, other: Value) -> Value:
        return self * other**-1.0

    def __pow__(self, exponent: float) -> Value:
        return Value(self.data**exponent, (self,), (exponent * self.data ** (exponent - 1.0),))

    def exp(self) -> Value:
        y = math.exp(self.data)
        return Value(y, (self,), (y,))

    def log(self) -> Value:
        return Value(math.log(self.data), (self,), (1.0 / self.data,))

    def relu(self) -> Value:
        return Value(max(self.data, 0.0), (self,), (float(self.data > 0),))

    def backward(self) -> None:
        """Add d self / d value to the `grad` of every value below; a stack, since the graph is deep."""
        order: list[Value] = []
        entered: set[Value] = set()
        stack = [(self, False)]
        while stack:
            value, finished = stack.pop()
            if finished:
                order.append(value)
            elif value not in entered:
                entered.add(value)
                stack.append((value, True))
                for child in value.children:
                    if child.children and child not in entered:  # nothing is passed on from a leaf
                        stack.append((child, False))
        self.grad = 1.0
        for value in reversed(order):
            grad = value.grad
            for child, local in zip(value.children, value.local_grads, strict=True):
                child.grad += local * grad


Vector = list[Value]
Weights = dict[str, list[Vector]]


def total(values: Vector) -> Value:
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result


def dot(xs: Vector, ys: Vector) -> Value:
    return total([x * y for x, y in zip(xs, ys, strict=True)])


def linear(matrix: list[Vector], x: Vector) -> Vector:
    return [dot(row, x) for row in matrix]


def added(xs: Vector, ys: Vector) -> Vector:
    return [x + y for x, y in zip(xs, ys, strict=True)]


def rmsnorm(x: Vector) -> Vector:
    scale = (dot(x, x) * (1.0 / len(x)) + 1e-5) ** -0.5
    return [value * scale for value in x]


def exponentials(xs: Vector) -> Vector:
    """exp(x - max(x)): the largest is a constant, and only there so that nothing overflows."""
    largest = max(x.data for x in xs)
    return [(x + -largest).exp() for x in xs]


def softmax(xs: Vector) -> Vector:
    numerators = exponentials(xs)
    inverse = total(numerators) ** -1.0
    return [numerator * inverse for numerator in numerators]


def attend(task: Task, query: Vector, keys: list[Vector], values: list[Vector]) -> Vector:
    """The heads' outputs, one after another, of a position that sees these keys and values."""
    dim = task.nEmbd // task.nHead
    heads: Vector = []
    for start in range(0, task.nEmbd, dim):
        part = slice(start, start + dim)
        shares = softmax([dot(query[part], key[part]) * (1 / math.sqrt(dim)) for key in keys])
        heads += [dot(shares, [value[j] for value in values]) for j in range(start, start + dim)]
    return heads


def loss_of(task: Task, w: Weights, tokens: list[int]) -> Value:
    """The mean cross-entropy of one document, BOS included."""
    keys: list[list[Vector]] = [[] for _ in range(task.nLayer)]
    values: list[list[Vector]] = [[] for _ in range(task.nLayer)]
    losses = []
    for position, (token, target) in enumerate(pairwise(tokens)):
        x = rmsnorm(added(w["tokenEmbedding"][token], w["positionEmbedding"][position]))
        for i in range(task.nLayer):
            normed = rmsnorm(x)
            keys[i].append(linear(w[f"layers.{i}.attention.key"], normed))
            values[i].append(linear(w[f"layers.{i}.attention.value"], normed))
            query = linear(w[f"layers.{i}.attention.query"], normed)
            heads = attend(task, query, keys[i], values[i])
            x = added(x, linear(w[f"layers.{i}.attention.output"], heads))
            hidden = [value.relu() for value in linear(w[f"layers.{i}.mlp.hidden"], rmsnorm(x))]
            x = added(x, linear(w[f"layers.{i}.mlp.output"], hidden))
        shares = softmax(linear(w["output"], x))
        losses.append(-shares[target].log())
    return total(losses) * (1.0 / len(losses))


def trainer(task: Task) -> Callable[[int], np.ndarray]:
    weights: Weights = {
        name: [[Value(number) for number in row] for row in array.tolist()]
        for name, array in task.weights.items()
    }
    params = [value for matrix in weights.values() for row in matrix for value in row]
    m, v = [0.0] * len(params), [0.0] * len(params)
    beta1, beta2 = task.beta1, task.beta2
    done = [0]

    def step(s: int) -> float:
        losses = []
        for row in task.rows(s, 1)[0]:
            losses.append(loss_of(task, weights, task.tokens[row, : task.lengths[row] + 1].tolist()))
        loss = total(losses) * (1.0 / len(losses))
        loss.backward()
        rate = task.learningRate * (1 - s / task.numSteps)
        mean, square = 1 - beta1 ** (s + 1), 1 - beta2 ** (s + 1)
        for i, param in enumerate(params):
            m[i] = beta1 * m[i] + (1 - beta1) * param.grad
            v[i] = beta2 * v[i] + (1 - beta2) * param.grad**2
            param.data -= rate * (m[i] / mean) / (math.sqrt(v[i] / square) + task.epsAdam)
            param.grad = 0.0
        return loss.data

    def run(steps: int) -> np.ndarray:
        losses = [step(s) for s in range(done[0], done[0] + steps)]
        done[0] += steps
        return np.array(losses)

    return run
