//! A document of Markdown and figures. As a page of HTML it is complete; as Markdown it has no figures.

use pulldown_cmark::{Event, Options, Parser, html};
use xray_triage_core::DISCLAIMER;

use crate::markdown::table;

/// The page around the text. It has the style, and a content security policy that forbids loading anything.
const PAGE: &str = include_str!("page.html");

/// One part of a document. A document is a list of parts in reading order.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Markdown (CommonMark with tables).
    Text(String),
    /// Markdown that only the page shows, such as pictures: they would make the Markdown file too large.
    PageOnly(String),
    /// A drawing with its caption. Only the page shows it.
    Figure {
        /// An SVG element.
        svg: String,
        /// Plain text; HTML in it is shown as text.
        caption: String,
    },
}

impl Part {
    /// A table made by [`crate::markdown::table`].
    pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Part {
        Part::Text(table(header, rows))
    }
}

/// The document as Markdown. Figures and what is for the page only are left out.
pub fn to_markdown(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.trim_end()),
        Part::PageOnly(_) | Part::Figure { .. } => None,
    });
    texts.collect::<Vec<_>>().join("\n\n") + "\n"
}

/// The document as one page of HTML that needs no other file. HTML within the Markdown is shown as text.
pub fn to_html(title: &str, parts: &[Part]) -> String {
    let mut body = String::new();
    for part in parts {
        match part {
            Part::Text(markdown) | Part::PageOnly(markdown) => {
                let events = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(|event| match event {
                    Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
                    event => event,
                });
                html::push_html(&mut body, events);
            }
            Part::Figure { svg, caption } => {
                body += &format!("<figure>{svg}<figcaption>{}</figcaption></figure>\n", escaped(caption));
            }
        }
    }
    // The body comes last: it may hold any text, `{title}` among it.
    PAGE.replace("{disclaimer}", DISCLAIMER).replace("{title}", &escaped(title)).replace("{body}", &body)
}

fn escaped(text: &str) -> String {
    let mut html = String::new();
    html::push_html(&mut html, [Event::Text(text.into())].into_iter());
    html
}

#[cfg(test)]
mod tests {
    use crate::markdown::plain;

    use super::*;

    #[test]
    fn what_comes_from_outside_stays_text() {
        let nasty = "<script>alert(1)</script> **x** | [a](b) <img src=x> ![c](d)\n# e";
        let parts = [
            Part::table(&["name"], [vec![plain(nasty)]]),
            // Even where somebody forgot to call `plain`.
            Part::Text(nasty.into()),
            Part::Figure { svg: "<svg></svg>".into(), caption: nasty.into() },
        ];
        let page = to_html(nasty, &parts[..1]);
        assert!(
            page.contains("<td>&lt;script&gt;alert(1)&lt;/script&gt; **x** | [a](b) &lt;img src=x&gt; ![c](d)"),
            "{page}"
        );
        let page = to_html(nasty, &parts);
        assert!(page.contains("<svg></svg>"));
        assert!(!page.contains("<script") && !page.contains("<img src=x"), "{page}");
    }

    #[test]
    fn the_page_loads_nothing_and_carries_the_disclaimer() {
        let page = to_html("t", &[Part::Text("{title}".into())]);
        assert!(page.contains(DISCLAIMER) && page.contains("<p>{title}</p>"), "{page}");
        assert!(
            !page.contains("http:") && !page.contains("https:") && !page.contains("<script") && !page.contains("<link"),
            "{page}"
        );
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn figures_are_not_in_the_markdown() {
        let parts = [
            Part::Text("# a\n".into()),
            Part::Figure { svg: "<svg/>".into(), caption: "b".into() },
            Part::PageOnly("![c](data:,)".into()),
            Part::table(&["x", "y"], [vec!["1".into(), "2".into()]]),
        ];
        assert_eq!(to_markdown(&parts), "# a\n\n| x | y |\n| --- | --- |\n| 1 | 2 |\n");
    }
}
