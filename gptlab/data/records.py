"""Texts in tables: a field of each record of JSON Lines and Parquet files, beside plain text files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gptlab import strict_json
from gptlab.data.reading import FileTexts, RunningText, TextLines, at_hand, text_files
from gptlab.errors import UserError, unknown_name

JSON_LINES, PARQUET = (".jsonl", ".ndjson"), (".parquet",)
TABLES = (*JSON_LINES, *PARQUET)
ROWS = 1 << 12  # of a Parquet file that are in memory at a time


class Records(FileTexts):
    """A text a record, blank ones left out; a plain text file in the same folder is one text.

    field: of the record, the text.
    """

    def __init__(self, path: Path, files: list[Path], key: str, field: str):
        super().__init__(path, files, key)
        self.field = field

    @property
    def kind(self) -> str:
        return f"{super().kind} {self.field}"

    def __iter__(self) -> Iterator[str]:
        """Raises UserError for a record without such a field, or with another thing than a text in it."""
        found = False
        for file in self.files:
            for text in self._texts(file):
                if text.strip():
                    found = True
                    yield text
        if not found:
            raise UserError(
                f"{self.key} must hold some text: {self.path} has none in the field '{self.field}'."
            )

    def _texts(self, file: Path) -> Iterator[str]:
        if file.suffix in JSON_LINES:
            return self._of_lines(file)
        return self._of_table(file) if file.suffix in PARQUET else iter(["".join(self.blocks(file))])

    def _of_lines(self, file: Path) -> Iterator[str]:
        lines = TextLines(file, [file], self.key)
        lines.advance = self.advance
        for number, line in enumerate(lines, 1):
            where = f"record {number:,} of {file}"
            try:
                record = strict_json.loads(line)
            except ValueError as error:
                raise UserError(
                    f"{self.key} must be JSON, a record a line: {where} is not ({error})."
                ) from None
            if not isinstance(record, dict):
                raise UserError(f"{self.key} must have an object a line: {where} is {type(record).__name__}.")
            if self.field not in record:
                raise UserError(
                    unknown_name(f"field of {where}", self.field, record, "Type data.field=NAME.")
                )
            yield self._checked(record[self.field], where)

    def _of_table(self, file: Path) -> Iterator[str]:
        from pyarrow import ArrowException, parquet

        read = 0
        try:
            with self._reading(file), parquet.ParquetFile(file) as table:
                names = table.schema_arrow.names
                if self.field not in names:
                    raise UserError(
                        unknown_name(f"field of {file}", self.field, names, "Type data.field=NAME.")
                    )
                for batch in table.iter_batches(ROWS, columns=[self.field]):
                    for value in batch.column(0).to_pylist():
                        read += 1
                        yield self._checked(value, f"record {read:,} of {file}")
                    self.advance(batch.nbytes)
        except ArrowException as error:
            said = str(error).partition("\n")[0].rstrip(".")
            raise UserError(f"{self.key}: cannot read {file} as Parquet: {said}.") from None

    def _checked(self, value: Any, where: str) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise UserError(
                f"data.field must name a text: '{self.field}' of {where} is {type(value).__name__}. Name another."
            )
        return value


def read_texts(path: Path, key: str, field: str, window: bool) -> Iterable[str]:
    """The texts at a path: a record each where there are tables, else a line each, or with `window` a file each.

    A list, unless they are long. Raises UserError for what cannot be read, and if there is nothing.
    """
    files = text_files(path, key)
    if any(file.suffix in TABLES for file in files):
        return at_hand(Records(path, files, key, field))
    return at_hand((RunningText if window else TextLines)(path, files, key))
