"""`python -m lab.setup` makes the lab's own Python environment. It needs no package: it is what installs them."""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

from lab import paths

LOCK_FILE = paths.ROOT / "requirements.lock"


def install(folder: Path) -> None:
    """Makes the environment in the lab's folder, unless it is there: from which lock file is noted in it.

    Raises ValueError when the folder is not the lab's, and when a package cannot be installed.
    """
    paths.claim(folder)
    venv, log = folder / "venv", folder / "logs/setup.log"
    log.parent.mkdir(exist_ok=True)
    with (folder / ".setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another command may be installing it at this moment
        installed = venv / ".installed"
        if installed.exists() and installed.read_bytes() == LOCK_FILE.read_bytes():
            return
        text = f"… installing the lab's Python packages into {paths.shown(venv)} (once, about half a minute)"
        print(text, file=sys.stderr, flush=True)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        with log.open("wb") as output:
            for command in (
                [sys.executable, "-m", "venv", "--clear", str(venv)],
                [*pip, "--no-deps", "--require-hashes", "-r", str(LOCK_FILE)],
            ):
                if subprocess.run(command, stdout=output, stderr=output).returncode:
                    end = "\n".join(log.read_text(errors="replace").splitlines()[-12:])
                    raise ValueError(
                        f"python {' '.join(command[1:4])} failed:\n{end}\nThe whole log: {paths.shown(log)}"
                    )
        shutil.copy(LOCK_FILE, installed)


if __name__ == "__main__":
    try:
        install(paths.LAB)
    except (ValueError, OSError) as error:
        sys.exit(f"✗ {error}")
