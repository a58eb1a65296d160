"""Sample logs of lm-evaluation-harness (`--log_samples`): a row per document and filter.

Rows that differ only in their filter hold the same responses; the responses before filtering are taken. Those
of HumanEval go on where the prompt ends: the whole programs that its filter makes are taken.
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from isoflop.data.format import ImportFormat
from isoflop.data.rows import Row
from isoflop.data.solutions import Solution, field, list_field, mapping, optional_text
from isoflop.errors import UserError

_PROBLEM_FIELDS = ("problem", "question", "query", "input", "text", "Problem", "Question", "prompt")


def read(rows: Iterable[Row]) -> Iterator[Solution]:
    """Every response of every document; raises UserError naming the row at fault."""
    first: dict[str, tuple[str, str]] = {}
    for place, values in rows:
        document, said = json.dumps(field(values, "doc_id", place)), json.dumps(field(values, "resps", place))
        filtered = json.dumps(values.get("filter"))
        before = first.setdefault(document, (filtered, said))
        if before[0] != filtered:
            if before[1] != said:
                raise UserError(
                    f"{place}: doc_id {document:.40} has other responses than under filter {before[0]:.40}; "
                    "are these rows of several runs or tasks?"
                )
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
        if not requests[0]:
            raise UserError(f"{place}: 'resps' holds no response; leave the row out")
        program = isinstance(doc.get("entry_point"), str)
        for number, text in enumerate(
            _programs(doc, values, requests[0]) if program else requests[0], start=1
        ):
            where = f"{place}, response {number}"
            if not isinstance(text, str):
                raise UserError(f"{where}: is {type(text).__name__}; a generative task's responses are texts")
            yield Solution(
                place=where,
                problem=None,
                prompt=str(prompt),
                # Of a program it is its tests, as the task writes them.
                reference=None if program else optional_text(values, "target", place),
                steps=(text,),
                scores=None,
                tokens=None,
            )


def _programs(
    doc: Mapping[str, object], values: Mapping[str, object], responses: list[object]
) -> list[object]:
    """HumanEval's programs: as filtered, or the prompt and what was said after it."""
    filtered = values.get("filtered_resps")
    whole = filtered[0] if isinstance(filtered, list) and filtered else None
    prompt = doc.get("prompt")
    if isinstance(whole, list) and len(whole) == len(responses):
        return whole
    return [
        prompt + text if isinstance(prompt, str) and isinstance(text, str) else text for text in responses
    ]


FORMAT = ImportFormat(
    name="lm-eval",
    order=3,
    read=read,
    reads=(("doc_id",), ("doc",), ("resps",), ("target",)),
    knows=("filter", "filtered_resps", "arguments", "metrics", "*_hash"),
)
