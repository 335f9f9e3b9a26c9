"""What the functions of all patterns have in common, as the Lambda layer `handlers`.

`sqs`, `stream` and `task` run a function's own action for an event of a queue, of a table's stream, or of a state of a
state machine; `orders` reads the fields of an order; `producer` sends orders; `backoff` postpones retries. What became
of each, and how that is told, is in `outcomes`. Nothing is imported here: a function loads what it uses.
"""
