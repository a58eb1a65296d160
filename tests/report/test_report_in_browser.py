"""The report in a real browser: texts that would run or fetch something elsewhere do neither in it."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from synthetic_results import Shape, write_results

from isoflop.report.samples import Sample, Step
from isoflop.stages import report as stage

BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
RUN = "document.title='hacked';fetch('http://HOST/run')"
# What runs or fetches on a page that does not escape it. HOST is a server that must not be asked.
PAYLOADS = [
    f"<script>{RUN}</script>",
    f"</pre></style></title></textarea><script>{RUN}</script>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    f"\"><img src=x onerror=\"{RUN}\">",
    f"'><img src=x onerror=\"{RUN}\">",
    "<img src=\"http://HOST/image\">",
    f"<svg onload=\"{RUN}\"><script>{RUN}</script><image href=\"http://HOST/svg\"/></svg>",
    f"<math><mtext></mtext><style><img src=x onerror=\"{RUN}\"></style></math>",
    f"<iframe src=\"javascript:{RUN}\"></iframe><iframe src=\"http://HOST/frame\"></iframe>",
    f"<iframe srcdoc=\"<script>parent.{RUN}</script>\"></iframe>",
    "<object data=\"http://HOST/object\"></object><embed src=\"http://HOST/embed\">",
    "<link rel=stylesheet href=\"http://HOST/sheet\"><link rel=preload as=image href=\"http://HOST/early\">",
    "<style>@import url(http://HOST/import); body{background:url(http://HOST/css)}</style>",
    "<div style=\"background:url(http://HOST/style)\">x</div>",
    "<base href=\"http://HOST/base/\">",
    "<meta http-equiv=refresh content=\"0;url=http://HOST/refresh\">",
    f"<details open ontoggle=\"{RUN}\"><summary>x</summary></details>",
    f"<input autofocus onfocus=\"{RUN}\">",
    f"<body onload=\"{RUN}\" onpageshow=\"{RUN}\">",
    f"<video><source onerror=\"{RUN}\"></video><audio src=\"http://HOST/audio\" autoplay></audio>",
    f"<form action=\"http://HOST/form\"><button id=b></button></form><script>b.click();{RUN}</script>",
    f"{{{{ ''.__class__ }}}}{{% raw %}}<script>{RUN}</script>",
    f"<!--><script>{RUN}</script>-->",
    f"]]><script>{RUN}</script>",
    f"\u202e<script>{RUN}</script>\u2066\u200b",
    f"\uff1cscript\uff1e{RUN}\uff1c/script\uff1e",
    f"+ADw-script+AD4-{RUN}+ADw-/script+AD4-",
    f"<a href=\"javascript:{RUN}\" autofocus onfocus=\"{RUN}\">x</a>",
    "\x00<\x00script>\x1b[2J",
]  # fmt: skip

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here")


class Listener(ThreadingHTTPServer):
    """Keeps what it is asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(404)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def shown(page: Path, profile: Path) -> str:
    """The document that a browser makes of a page, once its scripts have run."""
    assert BROWSER is not None
    alone = [
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    # A root's browser has no sandbox of its own; all that it opens is this file.
    flags = ["--headless", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}", *alone]
    flags += ["--no-sandbox"] if os.getuid() == 0 else []
    done = subprocess.run(
        [BROWSER, *flags, "--virtual-time-budget=3000", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout, done.stderr[-500:]
    return done.stdout


@pytest.fixture(scope="module")
def hostile_report(tmp_path_factory: pytest.TempPathFactory, listener: Listener) -> Path:
    """A report whose every text is hostile: title, names, problems, solutions, answers, config, notes."""
    payloads = [payload.replace("HOST", listener.host) for payload in PAYLOADS]
    everything = "\n".join(payloads)
    folder = tmp_path_factory.mktemp("hostile")
    spec = write_results(folder, Shape(policies=("policy-0.1M", "policy-2.7M"), problems=20))
    plain = stage.render

    def spoilt(sample: Sample) -> Sample:
        return replace(
            sample, kind=payloads[0], remark=everything, policy=everything, prompt=everything,
            reference=everything, answer=everything, steps=tuple(Step(one, 0.5) for one in payloads),
        )  # fmt: skip

    def render(tables: Any, spec: Any, *rest: Any, **more: Any) -> str:
        more["samples"] = {name: [spoilt(one) for one in chosen] for name, chosen in more["samples"].items()}
        more["provenance"] = replace(
            more["provenance"], commit=everything, notes=payloads, versions={everything: "1"}
        )
        named = {"title": everything, "config_yaml": everything, "experiment": everything}
        return plain(tables, spec.model_copy(update=named), *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "render", render)
        stage.main([spec.model_dump_json(), str(folder), str(folder)])
    return folder / "report.html"


def test_nothing_runs_and_nothing_is_fetched(
    hostile_report: Path, listener: Listener, tmp_path_factory: pytest.TempPathFactory
) -> None:
    document = shown(hostile_report, tmp_path_factory.mktemp("profile"))
    assert listener.asked == []
    title = re.search("<title>(.*?)</title>", document, re.DOTALL)
    assert title is not None
    assert title[1] != "hacked"
    assert title[1].startswith("&lt;script&gt;")
    elements = set(re.findall(r"<([a-z]+)", document))
    assert not elements & {
        "script",
        "iframe",
        "object",
        "embed",
        "svg",
        "base",
        "form",
        "input",
        "video",
        "link",
    }
    assert not re.search(r"<[^>]*\son[a-z]+=", document)
    assert document.count("&lt;script&gt;") > 50


def test_the_pages_own_policy_is_a_second_wall(
    hostile_report: Path, listener: Listener, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same texts unescaped: they run and fetch on a plain page, and under the report's policy do not."""
    head = hostile_report.read_text(encoding="utf-8").partition("<title>")[0]
    assert "Content-Security-Policy" in head
    # Leaving for another page is what no policy of a page forbids, but for forms.
    body = [one.replace("HOST", listener.host) for one in PAYLOADS if "http-equiv" not in one]
    staying = "".join(one for one in body if "<form" not in one)
    pages = tmp_path_factory.mktemp("pages")
    (pages / "guarded.html").write_text(
        f"{head}<title>guarded</title></head><body>{''.join(body)}", encoding="utf-8"
    )
    (pages / "plain.html").write_text(
        f"<!DOCTYPE html><meta charset=utf-8><title>plain</title><body>{staying}", encoding="utf-8"
    )
    guarded = shown(pages / "guarded.html", tmp_path_factory.mktemp("profile"))
    assert listener.asked == []
    assert "<title>guarded</title>" in guarded
    plain = shown(pages / "plain.html", tmp_path_factory.mktemp("profile"))
    assert "<title>hacked</title>" in plain
    assert {"/run", "/image"} <= set(listener.asked), "the texts are hostile where nothing stops them"
    listener.asked.clear()
