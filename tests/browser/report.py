#!/usr/bin/env python3
"""Looks at a report of the gate in headless Chromium.

    report.py check REPORT.html REPORT.json     everything that a reader relies on
    report.py picture REPORT.html FILE.png      a screenshot

Prints the first thing that is not as it should be, and fails.
"""

import html
import json
import pathlib
import re
import sys

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.select import Select


def expect(what, found, wanted=True):
    if found != wanted:
        sys.exit(f"{what}: found {found!r}, wanted {wanted!r}")


class Page:
    def __init__(self, path):
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.path = pathlib.Path(path).resolve()

    def open(self, width, scheme="light", script=True):
        """As on a screen of this width: also narrower than a window can be."""
        cdp = self.driver.execute_cdp_cmd
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        cdp("Emulation.setDeviceMetricsOverride", metrics)
        cdp("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        cdp("Emulation.setScriptExecutionDisabled", {"value": not script})
        self.driver.get("about:blank")
        self.driver.get(self.path.as_uri())

    def run(self, script, *arguments):
        return self.driver.execute_script("return " + script, *arguments)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        found = self.all(selector)
        expect(f"elements {selector}", len(found), 1)
        return found[0]

    def shown(self, selector):
        """The ids and verdicts of what is to be seen."""
        seen = "[...document.querySelectorAll(arguments[0])].filter((e) => e.getClientRects().length > 0)"
        return [tuple(pair) for pair in self.run(seen + ".map((e) => [e.id, e.dataset.verdict])", selector)]

    def accessible(self):
        """[(role, name)] as a screen reader gets them."""
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        shown = [node for node in nodes if not node["ignored"]]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in shown]


def content(page, report):
    expect("title", report["implementation"] in page.driver.title)
    expect("language", page.one("html").get_attribute("lang"), "en")
    expect("conclusion", page.one("#conclusion").text, report["covers"])
    rows = [name for name, _ in page.shown("#clauses tbody tr")]
    expect("clauses", rows, ["clause-" + clause["clause"] for clause in report["clauses"]])
    texts = page.run("[...document.querySelectorAll('#clauses tbody tr')].map(r => r.textContent)")
    for clause, text in zip(report["clauses"], texts):
        verdict = clause["verdict"] if clause["claimed"] or clause["verdict"] == "broken" else "not claimed"
        expect(f"{clause['clause']}: sentence", clause["sentence"].replace("`", "") in text)
        expect(f"{clause['clause']}: verdict {verdict}", verdict in text)
        expect(f"{clause['clause']}: reason", clause.get("reason", "") in text or verdict == "not claimed")
    broken = [link.text for link in page.all("#broken a")]
    expect("the broken clauses at the top", broken, [clause["clause"] for clause in report["broken"]])
    bad = [case for case in report["cases"] if case["verdict"] in ("failed", "not judged here", "crashed", "hung")]
    observed = [found for found in report.get("observed", {}).get("clauses", []) if found["verdict"] == "broken"]
    expect("failures", len(page.all("article")), len(bad) + len(observed))
    expect("the report has failures", bool(bad or observed))
    for case in bad:
        text = page.run("document.getElementById(arguments[0]).textContent", "case-" + case["id"])
        for part in (case["title"], case["text"].strip(), "Steps", "1. ", f"--case {case['id']}"):
            expect(f"{case['id']} shows {part!r}", part in text)
    for found in observed:
        text = page.run("document.getElementById(arguments[0]).textContent", "observed-" + found["clause"])
        for part in (found["text"].strip(), f"--scenario {found['scenario']}"):
            expect(f"observed {found['clause']} shows {part!r}", part in text)
    expect("text of the adapter", not bad or "<img src=x> & <b>" in page.one("#failures").text)
    expect("cases", len(page.all("#cases tbody tr")), len(report["cases"]))


def links(page):
    targets = page.run("[...document.querySelectorAll('a')].map(a => a.getAttribute('href'))")
    expect("links", len(targets) > 3)
    for target in targets:
        expect(f"link {target} leads somewhere in the page", target[0] == "#" and page.run(
            "document.querySelectorAll('#' + CSS.escape(arguments[0])).length", target[1:]), 1)
    identifiers = page.run("[...document.querySelectorAll('[id]')].map(e => e.id)")
    expect("every id is there once", len(set(identifiers)), len(identifiers))
    source = page.path.read_text(encoding="utf-8")
    expect("nothing comes from elsewhere", re.findall(r"(?:<[^>]*src=|<link|@import|url\(|https?:)", source), [])
    expect("elements that only an adapter's text could make", page.all("img, iframe, b"), [])


def filters(page):
    text, verdict, state = page.one("#text"), Select(page.one("#verdict")), page.one("#shown")
    total = len(page.all("#clauses tbody tr"))
    kinds = {kind for _, kind in page.shown("#clauses tbody tr")}
    expect("state", state.text, f"{total} of {total} clauses are shown")
    text.send_keys("dur-0")
    names = [name for name, _ in page.shown("#clauses tbody tr")]
    expect("filtered by text", len(names) >= 9 and "clause-DUR-01" in names and "clause-HDR-01" not in names)
    expect("state", state.text, f"{len(names)} of {total} clauses are shown")
    text.clear()
    text.send_keys(" ", Keys.BACKSPACE)
    for name in ("broken", "kept", "not judged", "not claimed"):
        verdict.select_by_visible_text(name)
        shown = page.shown("#clauses tbody tr")
        expect(f"filtered by {name}", {kind for _, kind in shown}, kinds & {name.replace(" ", "-")})
        expect(f"failures among {name}", bool(page.shown("article")), name == "broken")
    verdict.select_by_visible_text("broken")
    page.run("location.hash = 'clause-HDR-01'")
    page.driver.execute_async_script("setTimeout(arguments[0], 100)")
    expect("a link to what is hidden shows it", len(page.shown("#clauses tbody tr")), total)


LUMINANCE = """(function () {
  const light = (c) => c.match(/\\d+/g).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => e === null ? "rgb(255, 255, 255)" :
    getComputedStyle(e).backgroundColor !== "rgba(0, 0, 0, 0)" ? getComputedStyle(e).backgroundColor
      : ground(e.parentElement);
  let worst = 99;
  for (const e of document.querySelectorAll("h1, p, th, td, td a, .reason, pre, code, .verdict, label, caption")) {
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    worst = Math.min(worst, (a + 0.05) / (b + 0.05));
  }
  return worst;
})()"""


def looks(page, width, scheme):
    page.open(width, scheme)
    expect(f"{width} px: nothing is wider than the screen",
           page.run("Math.max(0, document.documentElement.scrollWidth - innerWidth)"), 0)
    expect(f"{scheme}: the contrast is at least 4.5 to 1", page.run(LUMINANCE) >= 4.5)
    ground = page.run("getComputedStyle(document.body).backgroundColor")
    expect(f"{scheme}: the ground is", sum(map(int, re.findall(r"\d+", ground)[:3])) > 384, scheme == "light")


def assistance(page, width):
    """The keyboard, and what a screen reader is told: also where a narrow screen shows no table."""
    page.open(width)
    nodes = page.accessible()
    expect("one heading of the page", [name for role, name in nodes if role == "heading"].count("") == 0)
    expect("tables", ("table", "The verdict on each clause of the specification") in nodes)
    for role, name in (("rowheader", "DUR-01"), ("columnheader", "Verdict"), ("cell", "broken"),
                       ("searchbox", "Text"), ("combobox", "Verdict"), ("main", ""), ("link", "Skip to the clauses")):
        expect(f"{width} px: {role} {name!r}", (role, name) in nodes)
    body = page.one("body")
    body.send_keys(Keys.TAB)
    expect("the first stop of the keyboard", page.driver.switch_to.active_element.text, "Skip to the clauses")
    stops = []
    for _ in range(len(page.all("#broken a")) + 2):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        stops.append(page.driver.switch_to.active_element.tag_name)
    expect("the keyboard reaches the links and the filter", stops[-2:], ["input", "select"])
    summary = page.all("article summary")[0]
    page.run("arguments[0].focus()", summary)
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    expect("the keyboard folds a failure", page.run("arguments[0].parentElement.open", summary), False)


def without_scripts(page, report):
    page.open(1400, script=False)
    source = page.driver.page_source
    expect("without scripts, the conclusion is there", html.escape(report["covers"], quote=False) in source)
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    expect("and no filter that does nothing", page.shown("form"), [])
    expect("and all clauses", len(page.shown("#clauses tbody tr")), len(report["clauses"]))


def check(page, report):
    page.open(1400)
    content(page, report)
    links(page)
    filters(page)
    for width in (390, 1400):
        for scheme in ("light", "dark"):
            looks(page, width, scheme)
        assistance(page, width)
    without_scripts(page, report)
    expect("messages of the browser", page.driver.get_log("browser"), [])


def main():
    page = Page(sys.argv[2])
    try:
        if sys.argv[1] == "picture":
            page.open(1400)
            page.driver.save_screenshot(sys.argv[3])
        else:
            check(page, json.loads(pathlib.Path(sys.argv[3]).read_text(encoding="utf-8")))
    finally:
        page.driver.quit()


main()
