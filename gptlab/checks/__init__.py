"""What `python -m gptlab check` tries on everything that is registered; also for a plugin's own tests.

from gptlab.checks import assert_passes
def test_my_plugin():
    assert_passes("halfmul")
"""

from gptlab.checks.check import Check
from gptlab.checks.report import assert_passes, check_entry, check_names

__all__ = ["Check", "assert_passes", "check_entry", "check_names"]
