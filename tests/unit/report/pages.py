#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Reads reports of the documents in this folder, and with `browser` looks at them in Chromium: pages.py PROGRAM [browser]"""
import json
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as tree

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = pathlib.Path(sys.argv[1]).resolve()
PAGES = {"whole": [], "missing": [], "one-engine": [], "markup": [], "later": [HERE / "whole.json"]}
EVIL = "<script>alert(1)</script>\"'&]]>"
TESTS = []


def test(function):
    TESTS.append(function)
    return function


def run(*words):
    subprocess.run([PROGRAM, *map(str, words)], check=True, capture_output=True, timeout=60)


def texts(element):
    return " ".join("".join(element.itertext()).split())


class Page:
    def __init__(self, name, folder):
        self.name, self.document = name, json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
        self.path = folder / f"{name}.html"
        run("html", HERE / f"{name}.json", self.path, *PAGES[name])
        self.text = self.path.read_text(encoding="utf-8")
        self.root = tree.fromstring(self.text)  # fails where it is not well-formed
        self.sections = {section.get("id"): section for section in self.root.iter("section")}


def classed(root, name):
    return [element for element in root.iter() if name in element.get("class", "").split()]


@test
def every_page_is_well_formed_and_asks_nobody(pages):
    for page in pages.values():
        for element in page.root.iter():
            assert element.tag not in ("script", "link", "img", "iframe", "object", "embed", "a", "form", "base", "image", "use"), element.tag
            for name, value in element.attrib.items():
                assert name not in ("src", "href", "srcset", "action", "style") and not name.startswith("on"), (name, value)
        style = page.root.find("head/style").text
        assert not re.search(r"url\(|@import|expression|://", style)
        assert "://" not in page.text.replace(EVIL, "")
        policy = [meta for meta in page.root.iter("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
        assert policy and "default-src 'none'" in policy[0].get("content")
        ids = [element.get("id") for element in page.root.iter() if element.get("id")]
        assert len(ids) == len(set(ids))
        for table in page.root.iter("table"):
            widths = {sum(int(cell.get("colspan", 1)) for cell in row) for row in table.iter("tr")}
            assert len(widths) == 1, f"{page.name}: rows of {widths} cells"


@test
def the_whole_document_is_shown(pages):
    page = pages["whole"]
    assert set(page.sections) == {"summary", "charts", "phases", "space", "isolation", "technology", "setup", "missing", "method", "machine", "repeat"}
    figures = page.document["figures"]
    charts = [chart for chart in classed(page.sections["charts"], "chart")]
    assert len(charts) == len({figure["figure"] for figure in figures})
    bars = classed(page.sections["charts"], "bar")
    assert len(bars) == len(figures) + sum(1 for figure in figures if figure["raw"])
    assert len(classed(page.sections["method"], "tool")) == sum(1 for figure in figures if figure["raw"])
    assert sum(len(chart.findall(".//rect")) for chart in classed(page.sections["phases"], "bar")) == \
        sum(len(item["ours"]) + len(item["raw"] or []) for item in page.document["phases"])
    assert len(classed(page.sections["space"], "area")) == len(page.document["space"])
    for what in ("6.18.0-test", "Test data, no real processor", "7.2.22", "252.38", "/var/cache/test/debian.qcow2", "24.0 GiB", "0.4 before, 1.9 after"):
        assert what in texts(page.sections["machine"]), what
    assert "cowherd compare --quick" in texts(page.sections["repeat"])
    assert "the container ended before it was measured" in texts(page.sections["missing"])
    for figure in figures:
        assert " ".join(figure["compared"].split()) in texts(page.sections["method"]), figure["compared"]


@test
def bars_and_whiskers_are_to_scale(pages):
    figures = [figure for figure in pages["whole"].document["figures"] if figure["figure"] == "memory"]
    chart = [chart for chart in classed(pages["whole"].sections["charts"], "chart") if "Memory" in texts(chart.find("figcaption/h3"))][0]
    widths = [float(rect.get("width").rstrip("%")) for rect in chart.iter("rect")]
    medians = [value["median"] for figure in figures for value in (figure["ours"], figure["raw"]) if value]
    assert len(widths) == len(medians)
    for width, median in zip(widths, medians):
        assert abs(width / widths[0] - median / medians[0]) < 0.002
    assert "Logarithmic" not in texts(chart.find("figcaption"))
    clone = classed(pages["whole"].sections["charts"], "chart")[0]
    assert "Logarithmic" in texts(clone.find("figcaption"))
    for bar in classed(clone, "bar"):
        end = float(bar.find("rect").get("width").rstrip("%"))
        low, high = (float(classed(bar, "whisker")[0].get(name).rstrip("%")) for name in ("x1", "x2"))
        assert low <= end <= high


@test
def stacked_phases_add_up(pages):
    for bar in classed(pages["whole"].sections["phases"], "bar"):
        at = 0.0
        for rect in bar.iter("rect"):
            assert abs(float(rect.get("x").rstrip("%")) - at) < 0.01
            at += float(rect.get("width").rstrip("%"))
        assert at <= 100.01


@test
def areas_are_to_scale(pages):
    for item, area in zip(pages["whole"].document["space"], classed(pages["whole"].sections["space"], "area")):
        copy, clone = classed(area, "copy")[0], classed(area, "clone")[0]
        share = (float(clone.get("width")) / float(copy.get("width"))) ** 2
        wanted = min(1, item["clone_bytes"] / item["full_copy_bytes"])
        assert abs(share - wanted) < max(1e-6, wanted * 0.01), (share, wanted)
        assert bool(classed(area, "lens")) == (wanted ** 0.5 < 0.08)


@test
def what_was_not_measured_is_left_out_and_said(pages):
    page = pages["missing"]
    assert not {"phases", "space", "isolation"} & set(page.sections)
    assert "the image can't be booted" in texts(page.sections["missing"])
    assert "Memory" not in texts(page.sections["summary"])
    assert "no raw tool was measured" in texts(page.root)
    assert not classed(page.sections["charts"], "raw")[1:]  # the legend's key alone
    assert "null" not in page.text and "nan" not in page.text.lower().replace("finance", "")


@test
def one_engine_alone_is_a_report(pages):
    page = pages["one-engine"]
    assert len(classed(page.root, "headline")) == 1
    assert not classed(page.root, "qemu") and not classed(page.root, "lxd")
    assert "nspawn on overlay, btrfs" in texts(page.sections["isolation"])  # the same facts share a column


@test
def what_others_wrote_stays_text(pages):
    page = pages["markup"]
    assert "<script" not in page.text.lower()
    assert texts(page.root).count(EVIL) >= 10
    assert "\x07" not in page.text and "\x1b" not in page.text and "\ufffd" in page.text


@test
def changes_are_a_section(pages):
    rows = {texts(row.find("th")): texts(row) for row in pages["later"].sections["changes"].iter("tr")}
    assert "better" in rows["A clone, in one processQEMU on qcow2"]
    assert "the machine" in rows["A clone, a whole commandLXD on its pool"]
    assert "worse" in rows["Start until the first command has answerednspawn on overlay"]
    assert "noise" in rows["A clone, in one processnspawn on overlay"]
    assert "gone" in rows["A hundred at once, eachQEMU on qcow2"]
    assert "kernel: Linux 6.18.0-test before, Linux 6.18.1-test now" in texts(pages["later"].sections["changes"])


@test
def a_busy_machine_is_told(pages):
    assert "load 3.2 on 2 processors" in texts(pages["later"].root.find("body/main/header"))
    assert "busy" not in texts(pages["whole"].root.find("body/main/header"))


@test
def lines_fit_a_terminal(_):
    out = subprocess.run([PROGRAM, "changes", HERE / "whole.json", HERE / "later.json"], check=True, capture_output=True, text=True, timeout=60).stdout
    assert max(map(len, out.splitlines())) <= 80
    assert "2 better, 1 worse, 1 the machine, 1 gone, 25 the same or noise" in out


@test
def the_picture_is_one_svg(_):
    for name in PAGES:
        path = FOLDER / "picture.svg"
        run("picture", HERE / f"{name}.json", path)
        text = path.read_text(encoding="utf-8")
        root = tree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert text.count("://") == 1 and "prefers-color-scheme" in text and "<script" not in text.lower()
        width = float(root.get("width"))
        for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
            assert float(rect.get("x")) + float(rect.get("width")) <= width


@test
def a_file_is_written_whole_or_not_at_all(_):
    path = FOLDER / "kept.html"
    path.write_text("kept", encoding="utf-8")
    other = FOLDER / "other.json"
    other.write_text('{"compare": 7, "figures": []}', encoding="utf-8")
    got = subprocess.run([PROGRAM, "html", other, path], capture_output=True, text=True, timeout=60, check=False)
    assert got.returncode == 65 and "version 7" in got.stderr
    assert path.read_text(encoding="utf-8") == "kept"
    got = subprocess.run([PROGRAM, "html", HERE / "whole.json", FOLDER / "no" / "such.html"], capture_output=True, text=True, timeout=60, check=False)
    assert got.returncode == 66 and "such.html" in got.stderr
    assert {entry.name for entry in FOLDER.iterdir()} >= {"kept.html"} and not list(FOLDER.glob(".cowherd*"))


@test
def broken_documents_make_no_broken_pages(_):
    odd = [None, True, 0, -1, 1e300, 5e-324, "", "<&\"'>" * 200, [], {}, {"median": 1e18}, "\u0001\uffff\U0001f600"]
    chance = random.Random(7)

    def places(value, path=()):
        yield path
        for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
            yield from places(value[key], (*path, key))

    text = (HERE / "whole.json").read_text(encoding="utf-8")
    paths = [path for path in places(json.loads(text)) if path]
    made = 0
    for _ in range(40):
        document = json.loads(text)
        for path in chance.sample(paths, chance.choice((1, 5, 40))):
            try:
                place = document
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = chance.choice(odd)
            except (KeyError, IndexError, TypeError):
                continue  # it lay in what was replaced before
        (FOLDER / "odd.json").write_text(json.dumps(document), encoding="utf-8")
        for words in (["html", "odd.json", "odd.html"], ["html", "odd.json", "odd.html", HERE / "later.json"], ["picture", "odd.json", "odd.svg"]):
            got = subprocess.run([PROGRAM, *map(str, words)], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
            assert got.returncode in (0, 65), (got.returncode, got.stderr, document)
            if got.returncode == 0:
                made += 1
                page = (FOLDER / words[2]).read_text(encoding="utf-8")
                tree.fromstring(page)
                assert not re.search(r'"[^"]*(nan|inf)%?"', page), page
    assert made > 80


# ---- in a browser ----

OUTSIDE = """[...document.body.querySelectorAll('*')].filter(e => { const r = e.getBoundingClientRect();
  return r.width > 0 && (r.right > innerWidth + 0.5 || r.left < -0.5) && !e.closest('svg'); }).map(e => e.tagName + '.' + e.className).join(' ')"""
COLOURS = "(e => getComputedStyle(e).color + getComputedStyle(e).backgroundColor)(document.querySelector('section'))"


def contrast(colours):
    def luminance(rgb):
        parts = [value / 3294.6 if value <= 10.31 else ((value / 255 + 0.055) / 1.055) ** 2.4 for value in rgb]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
    numbers = [int(number) for number in re.findall(r"\d+", colours)]
    ink, paper = luminance(numbers[:3]), luminance(numbers[3:6])
    return (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05), ink > paper


def look(pages):
    sys.path.insert(0, str(HERE))
    from browser import Browser
    with Browser() as browser:
        for page in pages.values():
            for width in (390, 1280):
                asked = browser.show(page.path, width)
                assert asked == [page.path.as_uri()], asked
                assert browser.value("innerWidth") == width and browser.value("document.documentElement.scrollWidth") <= width, page.name
                assert browser.value(OUTSIDE) == "", f"{page.name} at {width}: {browser.value(OUTSIDE)}"
            assert browser.value("document.scripts.length") == 0
        for dark in (False, True):
            browser.show(pages["whole"].path, 1280, dark)
            ratio, is_dark = contrast(browser.value(COLOURS))
            assert ratio > 7 and is_dark == dark, (ratio, dark)
        browser.show(pages["whole"].path, 720, dark=True, media="print")  # paper is white whatever the screen
        ratio, is_dark = contrast(browser.value(COLOURS))
        assert ratio > 7 and not is_dark and browser.value("document.documentElement.scrollWidth") <= 720
        assert browser.pdf().startswith(b"%PDF")


def main():
    if sys.argv[2:] == ["browser"]:
        TESTS[:] = [look]
    print(f"1..{len(TESTS)}", flush=True)
    failed = 0
    pages = {name: Page(name, FOLDER) for name in PAGES}
    for number, function in enumerate(TESTS, 1):
        try:
            function(pages)
            print(f"ok {number} - {function.__name__}", flush=True)
        except Exception as why:  # pylint: disable=broad-except
            failed += 1
            print(f"not ok {number} - {function.__name__}\n# {type(why).__name__}: {str(why)[:2000]} (line {why.__traceback__.tb_next.tb_lineno})", flush=True)
    return failed > 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="cowherd-pages-") as folder:
        FOLDER = pathlib.Path(folder)
        sys.exit(main())
