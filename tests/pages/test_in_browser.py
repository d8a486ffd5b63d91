"""The pages in Chromium, behind the path of a reverse proxy, alone and in the frame of Airflow's web UI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from testkit.airflow import LocalAirflow
from testkit.browser import Page, browser_page
from testkit.pages import PAGES_PATH, api_server
from testkit.states import synthetic_states
from tests.pages.conftest import MIRRORS_FILE, PEOPLE
from tests.pages.seen import HOSTILE, SCRIPT, hostile_destination, readiness

BASE_PATH = "/airflow"
FRAME = "document.querySelector('iframe').contentDocument"
REPOSITORY = f"/repository?name={quote('quay.io/giantswarm/cert-manager-1', safe='')}"
EVERY_PAGE = ("/", "/routes", REPOSITORY, "/find?q=etcd:v1", "/failing", "/changes", "/no-such-page")


class Visitor:
    """The browser, in which somebody or nobody is logged in."""

    def __init__(self, page: Page, airflow: LocalAirflow) -> None:
        self.page, self.airflow = page, airflow

    def log_in(self, token: str | None) -> None:
        self.page.call("Network.clearBrowserCookies")
        if token:
            self.page.call(
                "Network.setCookie", name="_token", value=token, url=f"{self.airflow.url}/", path=f"{BASE_PATH}/"
            )

    def show(self, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        self.page.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, path: str) -> None:
        """Open one of the pages by its own address."""
        self._navigate(f"{self.airflow.url}{PAGES_PATH}{path}")
        self.page.wait_until("document.readyState === 'complete'")

    def open_in_airflow(self, path: str = "") -> None:
        """Open the entry of Airflow's navigation, or a page below it."""
        self._navigate(f"{self.airflow.url}/plugin/registry_sync{path}")
        self.page.wait_until(f"!!document.querySelector('iframe') && !!{FRAME} && !!{FRAME}.querySelector('main h1')")

    def _navigate(self, address: str) -> None:
        self.page.call("Page.navigate", url="about:blank")
        self.page.call("Page.navigate", url=address)

    def wait_for_title(self, title: str) -> None:
        self.page.wait_until(f"document.readyState === 'complete' && document.title === {json.dumps(title)}")

    def value(self, script: str) -> Any:
        return self.page.evaluate(script)

    def texts(self, selector: str) -> list[str]:
        return list(self.value(f"[...document.querySelectorAll({json.dumps(selector)})].map(e => e.innerText.trim())"))

    def click(self, selector: str, *, frame: bool = False) -> None:
        """Click as a person does: what a script may not do by itself is then allowed."""
        document = FRAME if frame else "document"
        self.value(f"{document}.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        place = f"{document}.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.value(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({place})")
        if frame:
            left, top = self.value("(r => [r.x, r.y])(document.querySelector('iframe').getBoundingClientRect())")
            x, y = x + left, y + top
        for kind in ("mousePressed", "mouseReleased"):
            self.page.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    home = tmp_path_factory.mktemp("browser")
    mirrors_file = home / "mirrors.yaml"
    mirrors_file.write_text(MIRRORS_FILE)
    local = LocalAirflow(home / "airflow", mirrors_file=mirrors_file, people=PEOPLE, base_path=BASE_PATH)
    now = datetime.now(UTC)
    with api_server(local, [*synthetic_states(now=now), hostile_destination(now)], readiness=readiness(now), dags=True):
        yield local


@pytest.fixture(scope="module")
def browser(airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    home = tmp_path_factory.mktemp("chromium")
    with browser_page(home, airflow.environment, width=1280, height=900) as page:
        yield page


@pytest.fixture
def visitor(browser: Page, airflow: LocalAirflow) -> Visitor:
    """An administrator in front of a wide, light screen."""
    visitor = Visitor(browser, airflow)
    visitor.log_in(airflow.api.token)
    visitor.show()
    return visitor


def test_the_overview_has_the_worst_first(visitor: Visitor) -> None:
    visitor.open("/")
    assert visitor.texts(".verdict") == ["✕ 8 of 9 destinations need attention"]
    statuses = visitor.texts("main table:first-of-type .status")[:9]
    assert statuses == ["✕ failing"] * 5 + ["? unknown"] * 3 + ["✓ in sync"]
    assert visitor.texts("#nodes ~ div tbody tr:first-child .status") == ["✓ starts", "✕ does not start", "✓ starts"]


def test_a_destination_leads_to_its_routes_and_a_repository(visitor: Visitor) -> None:
    visitor.open("/")
    visitor.click("tbody th a")
    visitor.wait_for_title("Routes – Mirrors")
    assert visitor.texts("h1") == ["giantswarm → acr: routes"]
    visitor.click("tbody th a")
    visitor.wait_for_title("quay.io/giantswarm/cert-manager-1 – Mirrors")
    assert visitor.texts(".matrix thead th")[1:] == [
        "acr\ngsoci.azurecr.io/mirror/giantswarm/cert-manager-1",
        "aliyun\ngiantswarm-registry.cn-shanghai.cr.aliyuncs.com/mirror/giantswarm/cert-manager-1",
        "ghcr\nghcr.io/mirror/giantswarm/cert-manager-1",
    ]
    assert visitor.texts(".matrix tbody tr:first-child .status") == ["✕ failing", "✓ in sync", "✓ in sync"]


def test_the_search_box_finds_an_image(visitor: Visitor) -> None:
    visitor.open("/failing")
    visitor.value("document.querySelector('#find').focus()")
    visitor.page.call("Input.insertText", text="hyperkube:v1.2.")
    visitor.click("header button")
    visitor.wait_for_title("Find hyperkube:v1.2. – Mirrors")
    assert "quay.io/giantswarm/hyperkube" in " ".join(visitor.texts("h2"))
    assert visitor.texts(".matrix tbody th")[0].startswith("v1.2.")
    assert visitor.value("document.querySelector('#find').value") == "hyperkube:v1.2."


def test_failing_begins_with_the_oldest(visitor: Visitor) -> None:
    visitor.open("/failing")
    times = visitor.value("[...document.querySelectorAll('td[data-label=Since] time')].map(e => e.dateTime)")
    assert times == sorted(times)
    assert "Give the account of the registry's Connection the right" in visitor.texts("td.reason")[0]


def test_a_repository_is_run_again(visitor: Visitor) -> None:
    visitor.open(REPOSITORY)
    visitor.click("button[data-run-again]")
    visitor.page.wait_until("document.querySelector('[role=status]').innerText.startsWith('Started manual__')")
    run_id = visitor.texts("[role=status] a")[0]
    assert visitor.airflow.api.dag_run("mirror_giantswarm", run_id)["conf"]["repositories"] == [
        "giantswarm/cert-manager-1"
    ]


def test_a_reason_is_shown_when_it_cannot_run(visitor: Visitor) -> None:
    visitor.open(f"/repository?name={quote('docker.io/library/etcd', safe='')}")
    visitor.click("button[data-run-again]")
    visitor.page.wait_until("document.querySelector('[role=status]').innerText.length > 12")
    assert visitor.texts("[role=status]") == ["Airflow started no run of mirror_hub: Dag id mirror_hub not found"]


def test_a_viewer_has_no_button(visitor: Visitor) -> None:
    visitor.log_in(visitor.airflow.api_of("vera").token)
    visitor.open(REPOSITORY)
    assert visitor.texts("h1") == ["quay.io/giantswarm/cert-manager-1"]
    assert visitor.texts("button[data-run-again]") == []


def test_nobody_is_told_to_log_in(visitor: Visitor) -> None:
    visitor.log_in(None)
    visitor.open("/")
    assert visitor.texts("h1") == ["Log in to Airflow first"]
    assert visitor.value("document.querySelector('a').pathname") == f"{BASE_PATH}/auth/login"


def test_the_frame_of_airflow_shows_the_pages(visitor: Visitor) -> None:
    visitor.open_in_airflow()
    assert "Mirrors" in visitor.value("document.querySelector('nav, #root').innerText")
    visitor.click("nav a[href$='/failing']", frame=True)
    visitor.page.wait_until(f"{FRAME}.title === 'Failing – Mirrors'")
    visitor.page.wait_until(f"location.pathname.endsWith('/plugin/registry_sync{BASE_PATH}{PAGES_PATH}/failing')")


def test_a_link_to_a_log_leaves_the_frame(visitor: Visitor) -> None:
    visitor.open_in_airflow(f"{BASE_PATH}{PAGES_PATH}{REPOSITORY}")
    visitor.click("td[data-label=Task] a", frame=True)
    visitor.page.wait_until(f"location.pathname.startsWith('{BASE_PATH}/dags/mirror_giantswarm/runs/scheduled__')")
    assert "/tasks/to_acr/mapped/" in visitor.value("location.pathname")


def test_a_link_to_a_registry_opens_beside_airflow(visitor: Visitor) -> None:
    visitor.open_in_airflow(f"{BASE_PATH}{PAGES_PATH}{REPOSITORY}")
    elsewhere = f"{visitor.airflow.url}/api/v2/version"  # tests do not leave this machine
    visitor.value(f"{FRAME}.querySelector('a[target=_blank]').href = {json.dumps(elsewhere)}")
    visitor.click("a[target=_blank]", frame=True)
    visitor.page.wait_for_target(elsewhere)
    assert visitor.value("location.pathname").endswith("/repository")


@pytest.mark.parametrize(
    ("scheme", "theme", "is_dark"),
    [("light", None, False), ("dark", None, True), ("light", "dark", True), ("dark", "light", False)],
)
def test_dark_by_the_browser_or_by_airflow(visitor: Visitor, scheme: str, theme: str | None, *, is_dark: bool) -> None:
    visitor.show(scheme=scheme)
    visitor.open("/")
    visitor.value(
        f"localStorage.setItem('theme', {json.dumps(theme)})" if theme else "localStorage.removeItem('theme')"
    )
    visitor.open("/")
    background = visitor.value("getComputedStyle(document.body).backgroundColor")
    visitor.value("localStorage.removeItem('theme')")
    assert background == ("rgb(16, 17, 20)" if is_dark else "rgb(255, 255, 255)")


@pytest.mark.parametrize("path", EVERY_PAGE)
@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_is_wider_than_the_screen(visitor: Visitor, path: str, width: int) -> None:
    visitor.show(width=width)
    visitor.open(path)
    assert visitor.value("document.documentElement.scrollWidth") == width


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/routes?mirror=hostile",
        "/failing?mirror=hostile",
        f"/repository?name={quote(f'{SCRIPT}/{SCRIPT}', safe='')}",
    ]
    + [f"/find?q={quote(text[:500])}" for text in HOSTILE],
)
def test_hostile_text_is_only_text(visitor: Visitor, path: str) -> None:
    visitor.open(path)
    assert visitor.value("document.title").endswith("– Mirrors")
    assert visitor.value("document.querySelectorAll('main img, main script, [onerror]').length") == 0
    assert visitor.value("[...document.querySelectorAll('a')].every(a => a.protocol.startsWith('http'))")
    shown = visitor.value("document.body.innerText")
    assert not any(character in shown for character in "\u202e\x1b\x00")
    assert visitor.value("document.documentElement.scrollWidth") == 1280


def test_every_page_can_be_read_aloud(visitor: Visitor) -> None:
    for path in EVERY_PAGE:
        visitor.open(path)
        assert visitor.value("document.documentElement.lang") == "en"
        assert len(visitor.texts("h1")) == 1, path
        assert visitor.value("[...document.querySelectorAll('th')].every(e => e.scope)"), path
        assert visitor.value("[...document.querySelectorAll('table')].every(e => e.caption)"), path
        labelled = "[...document.querySelectorAll('input:not([type=hidden])')].every(e => e.labels.length === 1)"
        assert visitor.value(labelled), path
        visitor.page.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
        assert visitor.value("document.activeElement.innerText") == "Skip to the content", path
