"""``python -m softstop``: becomes the command that was installed with this package."""

import os
import sys
import sysconfig


def command():
    """The path of the command: in the scripts of this interpreter, of this user, or beside a ``pip install --target``."""
    folders = [
        sysconfig.get_path("scripts"),
        sysconfig.get_path("scripts", scheme="posix_user"),
        os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bin"),
    ]
    for folder in folders:
        path = os.path.join(folder, "softstop")
        if os.access(path, os.X_OK):
            return path
    sys.exit(
        "error: no command `softstop` in any of: {}\nhint: install the wheel again: pip install --force-reinstall softstop".format(
            ", ".join(folders)
        )
    )


if __name__ == "__main__":
    # Not a child: signals, exit status and the terminal are the command's own.
    path = command()
    os.execv(path, ["softstop", *sys.argv[1:]])
