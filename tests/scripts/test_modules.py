"""scripts/modules finds what a crate's modules import, and circles, in small trees."""

import tempfile
import unittest
from pathlib import Path

from load import load

modules = load("modules")


class Modules(unittest.TestCase):
    def crate(self, files, folder="src"):
        """The crate of these files, {path below its folder: text}."""
        made = tempfile.TemporaryDirectory()
        self.addCleanup(made.cleanup)
        for name, text in files.items():
            path = Path(made.name) / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        (crate,) = modules.crates(Path(made.name))
        return crate

    def arrows(self, files, level=()):
        return set(self.crate(files).arrows().get(level, {}))

    def rules(self, files, folder="src"):
        return [rule for rule, _ in modules.problems(self.crate(files, folder))]

    def test_each_form_of_a_path_is_an_arrow(self):
        forms = {
            "use crate::b::Item;": True,
            "use crate::{c::{self, D}, b};": True,
            "use crate::{c, b::{e::{F, G}, H}};": True,
            "use super::b;": True,
            "pub use crate::b::*;": True,
            "use super::{b as other, c};": True,
            "fn f() -> crate::b::Item { todo!() }": True,
            "fn f() { super::b::g::<u8>() }": True,
            "mod inner { use super::super::b; }": True,
            "macro_rules! m { () => { $crate::b::f() } }": True,
            "use xray_triage_core::b::Item;": False,
            "// use crate::b;\n/* crate::b::f /* nested */ crate::b */": False,
            "/// See [`crate::b::f`].\npub struct A;": False,
            'const TEXT: &str = "crate::b::f"; const RAW: &str = r#"use crate::b; " "#;': False,
            "fn f<'a>(x: &'a str) -> char { let _quote = '\"'; 'b' }": False,
            "#[cfg(test)]\nmod tests { use crate::b; }": False,
            "#[cfg(test)]\nuse crate::{b, c};": False,
            "#[cfg(all(test, feature = \"box\"))]\nfn f() { crate::b::f() }": False,
            "#[cfg(any(test, feature = \"box\"))]\nuse crate::b;": True,
            "#[cfg(test)]\n#[allow(dead_code)]\nconst A: [u8; 1] = [1];\nuse crate::b;": True,
            "struct S { #[cfg(test)] f: crate::b::T, g: u8 }": False,
        }
        for form, arrow in forms.items():
            with self.subTest(form):
                found = self.arrows({"lib.rs": "mod a; mod b; mod c;", "a.rs": form, "b.rs": "pub mod e;", "b/e.rs": "", "c.rs": ""})
                self.assertEqual(("a", "b") in found, arrow, found)

    def test_a_circle_is_named_with_its_places(self):
        files = {
            "lib.rs": "mod a; mod b; mod c; mod d;",
            "a.rs": "use crate::b::f;",
            "b.rs": "\nuse crate::c;",
            "c.rs": "fn f() { crate::a::g() }",
            "d.rs": "use crate::{a, b, c};",
        }
        ((rule, places),) = modules.problems(self.crate(files))
        self.assertEqual(rule, "circle in xray_triage: a -> b -> c -> a")
        self.assertEqual(places, "a imports b (src/a.rs:1), b imports c (src/b.rs:2), c imports a (src/c.rs:1)")
        del files["c.rs"]
        self.assertEqual(self.rules(files | {"c.rs": ""}), [])

    def test_a_circle_below_is_found_and_one_through_grandchildren(self):
        files = {"lib.rs": "mod a;", "a.rs": "mod x; mod y;", "a/x.rs": "use super::y;", "a/y.rs": "use super::x::f;"}
        self.assertEqual(self.rules(files), ["circle in xray_triage::a: x -> y -> x"])
        files = {"lib.rs": "mod a; mod b;", "a.rs": "mod x;", "a/x.rs": "use crate::b;", "b.rs": "use crate::a::f;"}
        self.assertEqual(self.rules(files), ["circle in xray_triage: a -> b -> a"])

    def test_parent_and_child_are_no_circle(self):
        files = {"lib.rs": "mod a;\npub const ONE: u8 = 1;", "a.rs": "mod x;\nuse x::f;\npub struct Item;"}
        self.assertEqual(self.rules(files | {"a/x.rs": "use super::Item; use crate::ONE; use crate::a::Item as I;"}), [])

    def test_what_a_parent_has_from_a_child_belongs_to_the_child(self):
        files = {"lib.rs": "mod a;", "a/y.rs": "pub struct Item;", "a/x.rs": "use super::Item;"}
        for parent in ("mod x; mod y; pub use y::Item;", "mod x; mod y; use self::y::{Item};", "mod x; mod y; pub use y::*;"):
            with self.subTest(parent):
                self.assertEqual(self.arrows(files | {"a.rs": parent}, ("a",)), {("x", "y")})

    def test_a_crate_names_only_those_that_it_may(self):
        lib = {"lib.rs": "use xray_triage_core::film;\nuse trainer::data;"}
        self.assertEqual(self.rules(lib), ["xray_triage may not name trainer"])
        self.assertEqual(self.rules(lib, "trainer/src"), [])
        lib = {"lib.rs": "", "main.rs": "fn main() { xray_triage::cli::run() }"}
        self.assertEqual(self.rules(lib), [])
        self.assertEqual(self.rules(lib, "core/src"), ["xray_triage_core may not name xray_triage"])

    def test_a_drawing_leaves_out_what_other_arrows_say(self):
        files = {"lib.rs": "mod a; mod b; mod c;", "a.rs": "use crate::{b, c};", "b.rs": "use crate::c;", "c.rs": ""}
        drawn = modules.mermaid(self.crate(files))
        self.assertIn("a_ --> b_", drawn)
        self.assertIn("b_ --> c_", drawn)
        self.assertNotIn("a_ --> c_", drawn)


if __name__ == "__main__":
    unittest.main()
