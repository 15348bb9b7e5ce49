"""scripts/licences: expressions, what deny.toml allows, and a crate's texts."""

import tempfile
import unittest
from pathlib import Path

from load import load

licences = load("licences")
RULES = {"allow": ["MIT", "Zlib"], "exceptions": [{"crate": "odd", "allow": ["MPL-2.0"]}]}


def package(name, licence, source=licences.CRATES_IO, **more):
    return {"name": name, "version": "1.0.0", "license": licence, "license_file": None, "source": source, "authors": []} | more


class Licences(unittest.TestCase):
    def test_expressions(self):
        allowed = {"MIT", "Apache-2.0 WITH LLVM-exception"}
        for expression, met in {
            "MIT": True,
            "GPL-3.0-only": False,
            "MIT OR GPL-3.0-only": True,
            "MIT/GPL-3.0-only": True,
            "MIT AND GPL-3.0-only": False,
            "GPL-3.0-only OR MIT AND Zlib": False,
            "(GPL-3.0-only OR MIT) AND MIT": True,
            "Apache-2.0 WITH LLVM-exception": True,
            "Apache-2.0": False,
        }.items():
            self.assertEqual(licences.satisfied(expression, allowed), met, expression)
        for expression in ("", "MIT OR", "(MIT", "MIT MIT", "MIT)", "OR MIT"):
            with self.assertRaises(ValueError, msg=expression):
                licences.satisfied(expression, allowed)

    def problems(self, *found):
        return list(licences.problems(found, RULES))

    def test_what_is_not_allowed_is_named(self):
        self.assertEqual(self.problems(package("a", "MIT"), package("b", "Zlib OR X"), package("odd", "MPL-2.0")), [])
        self.assertIn("a 1.0.0 has the licence MPL-2.0", self.problems(package("a", "MPL-2.0"))[0])
        self.assertIn("a 1.0.0 names no licence", self.problems(package("a", None))[0])
        self.assertIn("does not come from crates.io", self.problems(package("a", "MIT", "git+https://example.org/a"))[0])
        self.assertEqual(self.problems(package("ours", "MIT", None)), [])

    def test_a_crates_texts_are_its_files_else_the_standard_text_else_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            at = {"manifest_path": str(folder / "Cargo.toml")}
            listed = lambda *found: licences.listed(found, RULES)
            with self.assertRaisesRegex(ValueError, "a 1.0.0: it has no file with its licence's text"):
                listed(package("a", "Zlib", **at))
            with self.assertRaisesRegex(ValueError, "a 1.0.0: it names no licence"):
                listed(package("a", None, **at))
            _, (text,) = listed(package("a", "MIT", authors=["Ann <a@example.org>", "Ben"], **at))
            self.assertIn("Copyright (c) Ann, Ben\n", text)
            self.assertIn("Permission is hereby granted", text)
            _, (text,) = listed(package("a", "MIT OR Apache-2.0", **at))
            self.assertIn("Apache License", text)
            (folder / "LICENSE-MIT").write_text("one\n")
            (folder / "NOTICE").write_text("two\n")
            (folder / "README.md").write_text("three\n")
            lines, texts = listed(package("a", "MIT", **at), package("b", "Zlib", **at))
            self.assertEqual(lines, ["a 1.0.0: MIT; text 1, 2", "b 1.0.0: Zlib; text 1, 2"])
            self.assertEqual(texts, ["one", "two"])


if __name__ == "__main__":
    unittest.main()
