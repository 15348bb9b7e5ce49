"""scripts/debian-changelog: the releases of a changelog in Debian's form."""

import unittest

from load import load

changelog = load("debian-changelog")

TEXT = """# Changelog

Words before.

## [Unreleased]

- Not yet.

## [0.2.0] - 2028-02-29

### Added

- A long sentence that goes on for longer than one line of the other form may be,
  over two lines of this one.
- `b`.

### Fixed

- One.

## [0.1.0] - 2026-11-22

First version.
"""

WRITTEN = """xray-triage (0.2.0) bookworm; urgency=medium

  * Added:
    - A long sentence that goes on for longer than one line of the other form
      may be, over two lines of this one.
    - `b`.
  * Fixed:
    - One.

 -- The xray-triage contributors <maintainers@xray-triage.example>  Tue, 29 Feb 2028 00:00:00 +0000

xray-triage (0.1.0) bookworm; urgency=medium

  * First version.

 -- The xray-triage contributors <maintainers@xray-triage.example>  Sun, 22 Nov 2026 00:00:00 +0000"""


def written(text):
    return "\n\n".join(changelog.entry(*release) for release in changelog.releases(text))


class DebianChangelog(unittest.TestCase):
    def test_releases_become_entries(self):
        self.assertEqual(written(TEXT), WRITTEN)

    def test_headings_that_are_no_release_are_errors(self):
        for heading in ("0.1.0 - 2026-11-22", "[0.1] - 2026-11-22", "[0.1.0]", "[0.1.0] - 2027-02-29"):
            with self.assertRaises(ValueError, msg=heading):
                written(f"## {heading}\n\nWords.\n")
        with self.assertRaisesRegex(ValueError, "0.1.0 says nothing"):
            written("## [0.1.0] - 2026-11-22\n")


if __name__ == "__main__":
    unittest.main()
