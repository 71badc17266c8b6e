"""A real repository with a small web app: something to push to a platform, commit by commit."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from core.registry import Sha

SERVE = """
import http.server, json, os, sys

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        found = self.path in ("/", "/up", "/sign-in")
        body = json.dumps({"revision": os.environ["REVISION"], "asked": self.path}).encode()
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
"""
WEB = "web: python3 -S serve.py\n"


class PushedApp:
    """A working copy in `folder`, which is origin, too."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *args: str) -> str:
        """What git prints; fails when it does."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1"}
        env |= {
            f"GIT_{who}_{what}": "someone@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(["git", *args], cwd=self.folder, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, procfile: str = WEB, files: dict[str, str] | None = None, mode: int = 0o755) -> Sha:
        """One more commit; the app serves its own revision at `/up`."""
        for path, text in {"serve.py": SERVE, "Procfile": procfile, **(files or {})}.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
            (self.folder / path).chmod(mode)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=More")
        return Sha(self.git("rev-parse", "HEAD"))

    def push(self, remote: str, commit: Sha) -> subprocess.CompletedProcess[str]:
        """Push as a platform wants it; returns whatever git says."""
        argv = ["git", "push", "--porcelain", remote, f"{commit}:refs/heads/main"]
        return subprocess.run(argv, cwd=self.folder, check=False, capture_output=True, text=True)
