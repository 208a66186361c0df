"""A real browser at a real gateway: a page of another origin puts, gets and sends a form; it says what it saw.

Skipped, and named, where no chromium is installed.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.gateway import Credentials, RunningGateway, client

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PAGE = """<!doctype html><title>page</title><pre id="seen">nothing</pre><script>
const plan = %s;
async function attempt(work) {
  try { return await work(); } catch (error) { return String(error.name); }
}
async function run() {
  const seen = {};
  seen.put = await attempt(async () => {
    const answer = await fetch(plan.put, {method: "PUT", body: "from the page", headers: {"Content-Type": "text/x"}});
    return [answer.status, answer.headers.get("ETag")];
  });
  seen.get = await attempt(async () => {
    const answer = await fetch(plan.get);
    return [answer.status, await answer.text(), answer.headers.get("x-amz-request-id")];
  });
  seen.missing = await attempt(async () => {
    const answer = await fetch(plan.missing);
    return [answer.status, (await answer.text()).includes("NoSuchKey")];
  });
  seen.remove = await attempt(async () => (await fetch(plan.remove, {method: "DELETE"})).status);
  seen.closed = await attempt(async () => (await fetch(plan.closed)).status);
  seen.form = await attempt(async () => {
    const form = new FormData();
    for (const name of Object.keys(plan.form)) form.append(name, plan.form[name]);
    form.append("file", new Blob(["a file"], {type: "text/plain"}), "my \\"file\\".txt");
    const answer = await fetch(plan.action, {method: "POST", body: form});
    return [answer.status, answer.headers.get("ETag")];
  });
  document.getElementById("seen").textContent = JSON.stringify(seen);
}
run();
</script>"""


class Pages(BaseHTTPRequestHandler):
    """Shows one page, whatever is asked."""

    def __init__(self, *arguments: Any, page: list[str]) -> None:
        self._page = page
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """The page."""
        body = self._page[0].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - http.server's own name
        """Quiet."""


@contextmanager
def shown(page: list[str]) -> Iterator[str]:
    """The page's origin, on a port of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Pages, page=page)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def look(address: str, profile: Path) -> Any:
    """What a fresh browser's page says it saw."""
    assert CHROMIUM is not None
    finished = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", address,
        ],
        capture_output=True, text=True, timeout=150, check=True,
    )  # fmt: skip
    found = re.search(r'<pre id="seen">(.*?)</pre>', finished.stdout, re.DOTALL)
    assert found is not None, finished.stdout + finished.stderr
    return json.loads(html.unescape(found[1]))


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_page_of_another_origin_puts_gets_and_sends_a_form(
    s3_gateway: RunningGateway, anna: Credentials, bucket: str, tmp_path: Path
) -> None:
    s3 = client(s3_gateway, anna, signature_version="s3v4")
    closed = f"{bucket}-closed"
    s3.create_bucket(Bucket=closed)
    s3.put_object(Bucket=closed, Key="k", Body=b"x")

    def link(operation: str, key: str, where: str = bucket, **more: str) -> str:
        return str(s3.generate_presigned_url(operation, Params={"Bucket": where, "Key": key, **more}))

    form = s3.generate_presigned_post(bucket, "form/${filename}", Conditions=[["content-length-range", 6, 6]])
    plan = {
        "put": link("put_object", "page", ContentType="text/x"), "get": link("get_object", "page"),
        "missing": link("get_object", "missing"), "remove": link("delete_object", "page"),
        "closed": link("get_object", "k", closed), "action": form["url"], "form": form["fields"],
    }  # fmt: skip
    page = [PAGE % json.dumps(plan)]
    with shown(page) as origin:
        rule = {
            "AllowedOrigins": [origin], "AllowedMethods": ["GET", "PUT", "POST"], "AllowedHeaders": ["content-type"],
            "ExposeHeaders": ["ETag"],
        }  # fmt: skip
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
        seen = look(origin, tmp_path / "profile")
    stored = {one["Key"]: one["ETag"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert {"page", 'form/my "file".txt'} == stored.keys()
    assert b"from the page" == s3.get_object(Bucket=bucket, Key="page")["Body"].read()
    assert {
        "put": [200, stored["page"]],
        # A header that no rule exposes is not for the page.
        "get": [200, "from the page", None],
        "missing": [404, True],
        # No rule allows to delete, and the other bucket has no rules: the browser itself says no.
        "remove": "TypeError",
        "closed": "TypeError",
        "form": [204, stored['form/my "file".txt']],
    } == seen
