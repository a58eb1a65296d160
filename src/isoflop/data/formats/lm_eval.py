"""Sample logs of lm-evaluation-harness (`--log_samples`): a row per document and filter.

Rows that differ only in their filter hold the same responses; the responses before filtering are taken.
"""

import json
from collections.abc import Iterable, Iterator

from isoflop.data.format import ImportFormat
from isoflop.data.rows import Row
from isoflop.data.solutions import Solution, field, list_field, mapping, optional_text
from isoflop.errors import UserError

_PROBLEM_FIELDS = ("problem", "question", "query", "input", "text", "Problem", "Question", "prompt")


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """Every response of every document; raises UserError naming the row at fault."""
    filters: dict[str, object] = {}
    for place, values in rows:
        document = json.dumps(field(values, "doc_id", place))
        if filters.setdefault(document, values.get("filter")) != values.get("filter"):
            continue
        doc = mapping(field(values, "doc", place), f"{place}, doc")
        prompt = next((doc[name] for name in _PROBLEM_FIELDS if isinstance(doc.get(name), str)), None)
        if prompt is None:
            raise UserError(
                f"{place}: doc has none of {', '.join(_PROBLEM_FIELDS)} as text; it has {', '.join(doc)}"
            )
        requests = list_field(values, "resps", place)
        if len(requests) != 1 or not isinstance(requests[0], list):
            raise UserError(
                f"{place}: 'resps' is of {len(requests)} requests; a generative task has one per document"
            )
        for number, text in enumerate(requests[0], start=1):
            where = f"{place}, response {number}"
            if not isinstance(text, str):
                raise UserError(f"{where}: is {type(text).__name__}; a generative task's responses are texts")
            yield Solution(
                place=where,
                problem=None,
                prompt=str(prompt),
                reference=optional_text(values, "target", place),
                steps=(text,),
                scores=None,
                tokens=None,
            )


FORMAT = ImportFormat(
    name="lm-eval",
    order=3,
    read=read,
    reads=(("doc_id",), ("doc",), ("resps",), ("target",)),
    knows=("filter", "filtered_resps", "arguments", "metrics", "*_hash"),
)
