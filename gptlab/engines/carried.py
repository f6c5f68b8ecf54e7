"""What components of one forward pass hand to later ones of the same pass."""

from __future__ import annotations

from typing import NoReturn

from gptlab.autograd.tensor import Tensor
from gptlab.errors import UserError, nearest


class Carried(dict[str, Tensor]):
    """Tensors by name, new in each forward pass: written in layer 0, read in layer 3.

    Reading what nothing has written raises UserError; `name in carried` asks.
    """

    def __missing__(self, name: str) -> NoReturn:
        close = nearest(name, self)
        guess = f" Did you mean {' or '.join(close)}?" if close else ""
        there = f"there is {', '.join(self)}" if self else "there is nothing yet"
        raise UserError(
            f"context.carried holds what an earlier part of the pass has written: got '{name}', {there}.{guess} "
            f'Write context.carried["{name}"] = tensor in an earlier layer, such as where context.layer is 0.'
        )
