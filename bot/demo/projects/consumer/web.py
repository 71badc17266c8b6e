"""One page that shows which packages it runs on."""

import http.server
import json
import os
import pathlib

import coin_core
import coin_ledger

PAGES = {
    "/": f"<title>@NAME@</title><h1>@NAME@</h1><p>coin-core {coin_core.VERSION}, coin-ledger {coin_ledger.VERSION}</p>"
    f"<p>{coin_ledger.line('Ada', 1250)}</p>",
    "/sign-in": "<title>Sign in</title><h1>Sign in</h1>",
    "/up": json.dumps({"status": "ok", "revision": os.environ["REVISION"]}),
}


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        red = self.path == "/" and pathlib.Path("@BROKEN@/seal:@NAME@").exists()
        body = PAGES.get(self.path, "").encode()
        self.send_response(500 if red else 200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Web).serve_forever()
