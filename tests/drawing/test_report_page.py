"""The frame of a report's page: texts stay texts, and a page without a script of its own may run none."""

from gptlab.drawing.report_page import note_list, report_page, section

HOSTILE = "</title><script>alert('{{style}}')</script>"


def test_texts_stay_texts_and_a_placeholder_is_one() -> None:
    page = report_page(
        HOSTILE, [(HOSTILE, HOSTILE, HOSTILE)], [section("Runs", HOSTILE, note_list([HOSTILE]))], HOSTILE
    )
    assert "<script" not in page
    assert page.count("alert(&#x27;{{style}}&#x27;)") == 8


def test_only_a_page_with_a_script_may_run_one() -> None:
    plain, scripted = (report_page("a", [], [], "", script=script) for script in ("", "let a = 1;"))
    assert "script-src" not in plain and "<script" not in plain
    assert "script-src 'unsafe-inline'" in scripted and "let a = 1;" in scripted
