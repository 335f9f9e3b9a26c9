"""Variables of JSONPath workflows, without Java.

AWS: Assign sets workflow variables in a state; JSONPath reads them as $name, $name.field or $name[0], also in intrinsic
functions, rules of a Choice and paths (https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html).

LocalStack: reads them with a JSONata interpreter in Java, which it downloads at the first use. Assign in a rule of a
Choice has no effect.

Here: a reference in a JSONPath state is read from the variables and its path applied to its value as elsewhere. In a
JSONata state the same text is text.

Evidence: documentation.
"""

import copy
import re
from typing import Any

from localstack.services.stepfunctions.asl.component.common.assign.assign_decl import AssignDecl
from localstack.services.stepfunctions.asl.component.common.query_language import QueryLanguageMode
from localstack.services.stepfunctions.asl.component.common.string.string_expression import (
    StringVariableSample,
)
from localstack.services.stepfunctions.asl.parse.preprocessor import Preprocessor

from localstack_host.patching import replace, swap
from localstack_host.stepfunctions.jsonpath_values import extract

REFERENCE = re.compile(r"\$(?P<name>[^\s.\[$][^\s.\[]*)(?P<path>.*)", re.DOTALL)


def reference(expression: str) -> tuple[str, str]:
    """The name of the variable and the JSONPath within its value.

    Raises ValueError if ``expression`` is no reference to a variable.

    >>> reference("$order.items[0].price")
    ('order', '$.items[0].price')
    """
    if not (found := REFERENCE.fullmatch(expression)):
        raise ValueError(f"{expression!r} is no reference to a variable")
    return found["name"], f"${found['path']}"


def install() -> None:
    def reading(self: Any, env: Any) -> None:
        if self.query_language_mode != QueryLanguageMode.JSONPath:
            env.stack.append(self.expression)
            return
        name, path = reference(self.expression)
        value = env.variable_store.get(name)
        env.stack.append(copy.deepcopy(value if path == "$" else extract(path, value)))

    # patch: the parser makes instances of this class for every reference, in both query languages.
    replace(StringVariableSample, "_eval_body", reading)

    def parsing(self: Any, context: Any) -> Any:
        rule = parse(self, context)
        if rule.assign is None:
            parts = map(self.visit, context.children)
            swap(rule, "assign", next((part for part in parts if isinstance(part, AssignDecl)), None))
        return rule

    # patch: the parser drops what it has read of a JSONPath rule's Assign.
    parse = replace(Preprocessor, "visitChoice_rule_comparison_variable", parsing)
