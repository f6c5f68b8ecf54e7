"""A display that is drawn when a test says so, and what a terminal shows of what is written to it."""

import re
from typing import Any, ClassVar

from rich.live import Live


class Still(Live):
    """In place of the one that a thread redraws."""

    newest: ClassVar["Still"]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, auto_refresh=False)
        type(self).newest = self


class Screen:
    """What a terminal of some width shows of what is written to it, as far as a panel needs it."""

    PART = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|.", re.DOTALL)

    def __init__(self, width, written):
        self.rows, self.row, self.column = [{}], 0, 0
        for part in self.PART.finditer(written):
            arguments, kind = part[1], part[2]
            if kind == "A":
                self.row = max(0, self.row - int(arguments or 1))
            elif kind == "K":
                assert arguments == "2"
                self.rows[self.row] = {}
            elif kind is not None:
                assert kind in "hlm"  # the cursor hidden and shown, colours
            elif part[0] == "\r":
                self.column = 0
            elif part[0] == "\n":
                self.down()
            else:
                # The cursor stays in the last column until something more is written.
                if self.column == width:
                    self.down()
                    self.column = 0
                self.rows[self.row][self.column] = part[0]
                self.column += 1

    def down(self):
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append({})

    @property
    def lines(self):
        lines = ["".join(row.get(i, " ") for i in range(max(row, default=-1) + 1)) for row in self.rows]
        return [line for line in lines if line]
