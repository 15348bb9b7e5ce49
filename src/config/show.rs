//! Showing the settings as a file.

use super::Config;

/// The entries that have no value unless the file gives one: section, key, and what holds without a value.
pub(super) const OPTIONAL: [(&str, &str, &str); 7] = [
    ("camera", "format", "the camera's best"),
    ("camera", "exposure", "automatic"),
    ("camera", "white_balance", "automatic"),
    ("camera", "focus", "automatic"),
    ("triage", "operating_point", "the model's default one"),
    ("triage", "model", "the built-in model"),
    ("triage", "threads", "one a processor"),
];

impl Config {
    /// The settings as a file that [`Config::read`] takes. It has every entry; those without a value are comments.
    ///
    /// # Errors
    /// A path is not Unicode. No path that was read from a file is such.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let table = toml::Table::try_from(self)?;
        let mut sections = Vec::new();
        for (name, section) in &table {
            let unset = OPTIONAL
                .iter()
                .filter(|(owner, key, _)| owner == name && section.get(key).is_none())
                .map(|(_, key, without)| format!("# {key}: not set, {without}\n"));
            sections.push(format!("[{name}]\n{}{}", toml::to_string(section)?, unset.collect::<String>()));
        }
        Ok(sections.join("\n"))
    }
}
