"""`python -m lab <command>`, as the Makefile calls it."""

import signal


def start() -> None:
    """Loads the commands and runs one. Until it runs there is nothing to clean up: Ctrl-C just ends the process."""
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lab.cli import main

    main()


start()
