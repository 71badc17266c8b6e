"""The kiosk: one page, on no package at all."""

import http.server
import json
import os
import pathlib

PAGES = {
    "/": "<title>kiosk</title><h1>kiosk</h1><p>@VERSION@</p>",
    "/sign-in": "<title>Sign in</title><h1>Sign in</h1>",
    "/up": json.dumps({"status": "ok", "revision": os.environ["REVISION"]}),
}


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        red = self.path == "/" and pathlib.Path("@BROKEN@/seal:kiosk").exists()
        body = PAGES.get(self.path, "").encode()
        self.send_response(500 if red else 200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Web).serve_forever()
