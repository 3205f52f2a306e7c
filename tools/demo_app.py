"""The demo's app: a tiny HTTP server that prints each request, and the greeting it was configured with."""
import http.server
import os
import signal
import sys

GREETING = os.environ.get("GREETING", "(no greeting yet)")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        print(f"request for {self.path}: {GREETING}", flush=True)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{GREETING}\n".encode())

    def log_message(self, *_):
        pass


# A stop is an ordinary end: whoever asks for it sees status 0.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
print(f"serving on port {os.environ['PORT']} as pid {os.getpid()}: {GREETING}", flush=True)
server.serve_forever()
