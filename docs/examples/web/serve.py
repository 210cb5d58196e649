"""Serve the page to this machine, isolated so that its threads may share memory."""

import argparse
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
RUNTIME = FOLDER / "node_modules" / "onnxruntime-web" / "dist" / "ort.wasm.min.mjs"
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Content-Security-Policy": "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
    "worker-src 'self'; connect-src 'self'; style-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Handler(SimpleHTTPRequestHandler):
    """Files of the folder, and the model under the name that the page asks for."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def __init__(self, *arguments: object, model: Path) -> None:
        self.model = model
        super().__init__(*arguments, directory=str(FOLDER))  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        """Return the file that an address stands for."""
        return str(self.model) if path == "/model.onnx" else super().translate_path(path)

    def end_headers(self) -> None:
        """Add what isolates the page and keeps it to this server."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, default=FOLDER / "model.onnx")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free")
    arguments = parser.parse_args()
    if not RUNTIME.is_file():
        sys.exit(
            f"onnxruntime-web is not in {FOLDER / 'node_modules'}. Expected what package-lock.json "
            f"lists. Run 'npm ci --omit=dev --ignore-scripts' in {FOLDER}."
        )
    handler = partial(Handler, model=arguments.model)
    with ThreadingHTTPServer(("127.0.0.1", arguments.port), handler) as server:
        print(f"http://localhost:{server.server_port}/", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()


if __name__ == "__main__":
    main()
