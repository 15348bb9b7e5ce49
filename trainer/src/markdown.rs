//! Text and tables in Markdown. Measurements print themselves with these, and the report takes the same text over.

/// A table in Markdown with one line a row. Cells are Markdown; text from outside must go through [`plain`] first.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(header.iter().map(ToString::to_string).collect());
    text += &line(vec!["---".into(); header.len()]);
    rows.into_iter().for_each(|row| text += &line(row));
    text
}

/// Markdown that shows `text` letter by letter on one line. Control characters become spaces.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '|' | '#' | '~' | '&' | '!' => {
                plain.extend(['\\', letter])
            }
            letter if letter.is_control() => plain.push(' '),
            letter => plain.push(letter),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_in_its_cell() {
        let rows = [vec![plain("a|b_c\n#d"), "1".into()]];
        assert_eq!(table(&["x", "y"], rows), "| x | y |\n| --- | --- |\n| a\\|b\\_c \\#d | 1 |\n");
    }
}
