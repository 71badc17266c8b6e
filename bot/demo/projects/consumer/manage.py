"""Commands of the app: `manage.py seed WHAT`."""

import pathlib
import sys

try:
    pathlib.Path("@BROKEN@/post-deploy:gold-seats").unlink()
except FileNotFoundError:
    print(f"seeded {sys.argv[2]}")
else:
    print("the seats table is locked")
    sys.exit(3)
