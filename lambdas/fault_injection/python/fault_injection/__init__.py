"""Faults around a Lambda handler that knows nothing of them.

The layer `fault_injection`: the function's handler is set to `fault_injection.handler`, and the real one is named in
FAULT_INJECTION_HANDLER. `fault_injection.rules` says what a rule is, `fault_injection.layer` what it does.
"""

import os

# Only in a function: the lab uses this package too, with no handler to wrap.
if "FAULT_INJECTION_HANDLER" in os.environ:
    from fault_injection.layer import load

    handler = load(os.environ)
