"""Serves Python package indexes as they were at the end of a day, on a free port of 127.0.0.1.

usage: index_as_of.py PORT_FILE INDEX_URL...

http://127.0.0.1:PORT/DAY/PROJECT/ leaves out files uploaded after DAY (YYYY-MM-DD), wherever the index says when a file was uploaded; a project that had none by then is served whole. Runs in a
builder sandbox beside pip, on any Python 3 or 2.7 that has pip, with pip's own settings for certificates and proxies.
"""

import json
import os
import re
import sys

try:
    from html import escape, unescape
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from socketserver import ThreadingMixIn
    from urllib.parse import urljoin
except ImportError:
    from BaseHTTPServer import BaseHTTPRequestHandler, HTTPServer
    from cgi import escape
    from HTMLParser import HTMLParser
    from SocketServer import ThreadingMixIn
    from urlparse import urljoin

    unescape = HTMLParser().unescape

from pip._vendor import requests

ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"


def files_of(index, project):
    """(name, url, attributes, upload time or "") of every file that an index has; None when it does not know the project."""
    url = index.rstrip("/") + "/" + project + "/"
    trusted = os.environ.get("PIP_TRUSTED_HOST", "").split()
    check = False if re.sub(r"^https?://([^/@]*@)?|[:/].*", "", index) in trusted else os.environ.get("PIP_CERT", True)
    answer = requests.get(url, headers={"Accept": ACCEPT}, timeout=60, verify=check)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    if "json" in answer.headers.get("Content-Type", ""):
        return [from_json(answer.url, entry) for entry in json.loads(answer.text)["files"]]
    links = re.findall(r"<a\s([^>]*)>([^<]*)</a>", answer.text, re.I)
    return [from_html(answer.url, attributes, name) for attributes, name in links]


def from_json(base, entry):
    hashes = "".join("#%s=%s" % pair for pair in list(entry.get("hashes", {}).items())[:1])
    attributes = {"data-requires-python": entry.get("requires-python"), "data-yanked": entry.get("yanked") and "yes"}
    known = dict((key, value) for key, value in attributes.items() if value)
    return entry["filename"], urljoin(base, entry["url"]) + hashes, known, entry.get("upload-time") or ""


def from_html(base, text, name):
    attributes = dict((key.lower(), unescape(value)) for key, value in re.findall(r'([\w-]+)="([^"]*)"', text))
    known = dict((key, attributes[key]) for key in ("data-requires-python", "data-yanked") if key in attributes)
    return name.strip(), urljoin(base, attributes["href"]), known, attributes.get("data-upload-time", "")


def page(day, indexes, project):
    found = [files for files in (files_of(index, project) for index in indexes) if files is not None]
    if not found:
        return None
    everything = [file for files in found for file in files]
    by_then = [file for file in everything if file[3][:10] <= day]
    lines = []
    for name, url, attributes, _ in by_then or everything:
        more = "".join(' %s="%s"' % (key, escape(value, True)) for key, value in attributes.items())
        lines.append('<a href="%s"%s>%s</a><br/>' % (escape(url, True), more, escape(name)))
    return "<!DOCTYPE html><html><body>\n%s\n</body></html>" % "\n".join(lines)


class Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True


def main(port_file, *indexes):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                day, project = self.path.strip("/").split("/")
                text = page(day, indexes, project)
                status = 200 if text is not None else 404
            except Exception as problem:
                status, text = 502, str(problem)
            body = (text or "no such project").encode("utf-8")
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    with open(port_file + ".new", "w") as file:
        file.write(str(server.server_address[1]))
    os.rename(port_file + ".new", port_file)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
