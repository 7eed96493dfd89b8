"""The page as a reader sees it: from the file system, at a desk and on a phone, in headless Chromium if it is there."""

import shutil

import pytest
from playwright.sync_api import sync_playwright

from spikegpt_hls.sim.report.page import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: the page was not looked at")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_without_a_network_and_without_a_complaint(results, browser, tmp_path, width):
    url = write_report(tmp_path, results).as_uri()
    page = browser.new_page(viewport={"width": width, "height": 800})
    requests, complaints = [], []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url)
    page.wait_for_function("document.querySelectorAll('.plotly-graph-div .main-svg').length > 0")
    assert [request for request in requests if not request.startswith("data:")] == [url]
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing sticks out
    pictures = page.locator(".plotly-graph-div")
    assert all(pictures.nth(n).locator(".main-svg").count() for n in range(pictures.count()))
    page.close()


def test_the_raster_scrolls_and_a_figure_tells_where_it_comes_from(results, browser, tmp_path):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(write_report(tmp_path, results).as_uri())
    raster = page.locator("figure.wide").first
    assert raster.evaluate("place => { place.scrollLeft = 1e6; return place.scrollLeft }") > 400
    card = page.locator(".card", has_text="mismatches")
    assert not card.locator("code").is_visible()
    tag = card.locator(".tag")
    assert (
        tag.get_attribute("title")
        == "RTL in Verilator, 300 tokens in 2 sequences · make cosim preset=hand target=verilog"
    )
    tag.click()
    assert card.locator("code").inner_text() == "make cosim preset=hand target=verilog"
    assert card.locator("code").is_visible()
    page.close()
