"""Input templates: text with placeholders, of EventBridge's rules and of its pipes.

AWS: outside of quotes a string gets quotes, objects and arrays are put in as JSON; within quotes, strings are put in
unescaped and the quotes of objects and arrays are removed. What is not there leaves nothing
(https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html and
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-input-transformation.html).

LocalStack: has this for rules, and looks at the text around each placeholder to tell whether it is within quotes.

Here: the template is read once, keeping track of quotes.

Evidence: recording (LocalStack's own test_events_inputs.py) and documentation; belief for null, numbers and wildcards.
"""

import json
import re
from typing import Any

PLACEHOLDER = re.compile(r"<(.*?)>")
STEP = re.compile(r"\.\.?(?P<name>[^.\[\]]+)|\['(?P<quoted>[^']+)'\]|\[(?P<index>\d+|\*)\]")
UNESCAPED_QUOTE = re.compile(r'(?<!\\)(?:\\\\)*"')
MISSING = object()


def find(path: str, document: Any) -> Any:
    """What ``path`` (``$.a.b-c[0]['d']``, ``*`` for all) finds: a list if it has a wildcard, else one or MISSING."""
    if not path.startswith("$"):
        return MISSING
    found, position, many = [document], 1, False
    while position < len(path):
        step = STEP.match(path, position)
        if not step:
            return MISSING
        position, key = step.end(), step["name"] or step["quoted"] or step["index"]
        many = many or (key == "*" and not step["quoted"])
        found = [value for parent in found for value in children(parent, key, bool(step["index"]))]
    if many:
        return found
    return found[0] if found else MISSING


def children(parent: Any, key: str, in_brackets: bool) -> list[Any]:
    if key == "*":
        return list(parent.values()) if isinstance(parent, dict) else list(parent) if is_list(parent) else []
    if in_brackets:
        return [parent[int(key)]] if is_list(parent) and int(key) < len(parent) else []
    return [parent[key]] if isinstance(parent, dict) and key in parent else []


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def render(template: str, values: dict[str, Any]) -> str:
    """``template`` with ``values`` in the place of its placeholders."""
    parts, position, quoted = [], 0, False
    for placeholder in PLACEHOLDER.finditer(template):
        literal = template[position : placeholder.start()]
        quoted ^= len(UNESCAPED_QUOTE.findall(literal)) % 2 == 1
        parts += [literal, written(values.get(placeholder[1], MISSING), quoted)]
        position = placeholder.end()
    return "".join([*parts, template[position:]])


def written(value: Any, quoted: bool) -> str:
    """A value as it appears within quotes, or outside of them."""
    if value is MISSING:
        return "" if quoted else '""'
    if isinstance(value, str) and quoted:
        return value
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace('"', "") if quoted else text
