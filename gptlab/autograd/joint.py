"""The order in which a graph of Values passes its gradients on, and Values that do so together.

The entries of a matrix product share their rows and columns. A Joint keeps those once for all of
them, and takes all their gradients at once: instead of 2 K additions for each entry it makes one for
each number of the two matrices.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gptlab.autograd.value import Value


class Joint:
    """What made several Values in one go. Each has a place in it, a whole number.

    All that they were made from must exist before any of them, so that none is made from another. A
    Joint does not hold its Values: they hold it, and reference counts free both.
    """

    __slots__ = ()

    def children(self, place: int) -> tuple[Value, ...]:
        raise NotImplementedError

    def local_grads(self, place: int) -> tuple[float, ...]:
        raise NotImplementedError

    def inputs(self, place: int, given: set[int]) -> Sequence[Value]:
        """The place's children, without those that are known to be leaves or were given for another place.

        `given` is the same set in all calls of one walk, empty at first, for the Joint to keep account in.
        """
        raise NotImplementedError

    def pass_on(self, values: Collection[Value]) -> None:
        """Add to the `grad` of the children of these of its Values."""
        raise NotImplementedError


class Walk:
    """All that has children under a Value, each after everything that was made from it.

    found: those Values. order: the same as units, which are Values, and Joints for all of their
    Values that were found; members: which those are. A unit is next when every use of it is behind
    (Kahn 1962): that depends on the graph alone, so that sums have the same bits in each run.
    """

    def __init__(self, root: Value):
        self.found: list[Value] = [root] if root._children else []
        self.order: list[Any] = []
        self.members: dict[Joint, dict[Value, None]] = {}
        self._uses: dict[Any, int] = {}  # of a unit, not yet behind
        self._inputs: dict[Joint, list[Value]] = {}
        if self.found:
            self._count(root)
            self._sort(root)

    def _count(self, root: Value) -> None:
        uses, members = self._uses, self.members
        given: dict[Joint, set[int]] = {}

        def meet(joint: Joint) -> None:
            uses[joint], members[joint], given[joint], self._inputs[joint] = 0, {}, set(), []

        if isinstance(root._children, Joint):
            meet(root._children)
            members[root._children][root] = None
        for value in self.found:  # which grows meanwhile
            inputs = value._children
            if type(inputs) is not tuple:
                joint = inputs
                inputs = joint.inputs(value._local_grads, given[joint])
                self._inputs[joint] += inputs
            for child in inputs:
                below = child._children
                if not below:
                    continue
                if type(below) is tuple:
                    if child in uses:
                        uses[child] += 1
                    else:
                        uses[child] = 1
                        self.found.append(child)
                    continue
                if below not in uses:
                    meet(below)
                uses[below] += 1
                if child not in members[below]:
                    members[below][child] = None
                    self.found.append(child)

    def _sort(self, root: Value) -> None:
        uses, order = self._uses, self.order
        ready: list[Any] = [root._children if isinstance(root._children, Joint) else root]
        while ready:
            unit = ready.pop()
            order.append(unit)
            for child in self._inputs[unit] if isinstance(unit, Joint) else unit._children:
                below = child._children
                if below:
                    used = child if type(below) is tuple else below
                    left = uses[used] - 1
                    if left:
                        uses[used] = left
                    else:
                        ready.append(used)
