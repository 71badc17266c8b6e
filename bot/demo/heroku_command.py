"""The demo's `heroku`, a script of its own: understands the words, asks the platform, prints and exits as it says.

Like the real one it builds the remote command from its own arguments, so that a word which it knows itself is repeated.
"""

import argparse
import http.client
import json
import os
import sys


def main(address: str, argv: list[str]) -> int:
    """Run one command against the platform at `address` (host:port); returns the exit code."""
    parser = argparse.ArgumentParser(prog="heroku", allow_abbrev=False)
    parser.add_argument("--app", required=True)
    parser.add_argument("-n", type=int, default=15)
    for flag in ("--json", "--exit-code", "--no-tty"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("words", nargs="*")
    name, *rest = argv
    asked = parser.parse_args(rest)
    command = " ".join(word for word in argv if word in asked.words)
    connection = http.client.HTTPConnection(address, timeout=3600)
    headers = {"Authorization": f"Bearer {os.environ.get('HEROKU_API_KEY', '')}"}
    try:
        connection.request("POST", "/", json.dumps({"name": name, "command": command, **vars(asked)}), headers)
        code, out, err = json.loads(connection.getresponse().read())
    except OSError as error:
        code, out, err = 1, "", f" ›   Error: {error}\n ›   Code: ECONNREFUSED\n"
    sys.stdout.write(out)
    sys.stderr.write(err)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
