"""A model behind an OpenAI-compatible port that says what is known beforehand."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Call = tuple[str, Mapping[str, Any] | str]


class Model:
    """`policies[name]`: what the model of that name calls, a list of calls for each message. A name in `hooks` is called before its second."""

    def __init__(self, policies: Mapping[str, Sequence[Sequence[Call]]]) -> None:
        self.policies = dict(policies)
        self.hooks: dict[str, Callable[[], None]] = {}
        self.asked: dict[str, list[dict[str, Any]]] = {}
        self.address = ""

    def reply(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = asked["model"]
        self.asked.setdefault(name, []).append(asked)
        spoken = sum(one["role"] == "assistant" for one in asked["messages"])
        if spoken == 1 and name in self.hooks:
            self.hooks.pop(name)()
        script = self.policies[name]
        message: dict[str, Any] = {"role": "assistant", "content": "I am done."}
        if spoken < len(script):
            message = {"role": "assistant", "content": "", "tool_calls": list(_calls(spoken, script[spoken]))}
        reason = "tool_calls" if "tool_calls" in message else "stop"
        choice = {"index": 0, "message": message, "finish_reason": reason}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return {"id": "1", "object": "chat.completion", "created": 1, "model": name, "choices": [choice], "usage": usage}


def _calls(turn: int, calls: Sequence[Call]) -> Iterator[dict[str, Any]]:
    for number, (name, arguments) in enumerate(calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        yield {"id": f"call-{turn}-{number}", "type": "function", "function": {"name": name, "arguments": text}}


@contextmanager
def listening(model: Model) -> Iterator[Model]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(model.reply(asked)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    model.address = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield model
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
