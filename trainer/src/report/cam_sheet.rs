//! A sheet of films with the activation maps of several networks side by side.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::imageops::{self, FilterType};
use image::{GrayImage, ImageError, ImageFormat, RgbImage};
use xray_triage_core::bundle::Bundle;
use xray_triage_core::decision::{self, Class, Probabilities, Scaling};
use xray_triage_core::film::Profile;
use xray_triage_core::network::Prediction;
use xray_triage_core::overlay;
use xray_triage_core::pipeline::{Options, Pipeline};

use crate::markdown::{self, plain};

use super::ReportError;
use super::document::Part;

/// Longest side of a film on the sheet, pixels.
const SIDE: u32 = 320;
/// Width of the line around a map's stronger half, pixels.
const LINE: u32 = 1;

/// A film of the sheet.
pub struct SheetFilm {
    /// The name that is shown.
    pub name: String,
    /// The film's class, if it is known.
    pub class: Option<Class>,
    /// The film alone and upright.
    pub picture: GrayImage,
}

/// What the network of one bundle says of one film.
struct Cell {
    map: RgbImage,
    shown: Class,
    probabilities: Probabilities,
}

/// Makes a table with a row for each film and a column for each bundle. The maps in a row are all of one class: the film's
/// own class, or where it is not known the most probable one of the first bundle. Each bundle's network is loaded and runs
/// on every film.
///
/// # Errors
/// A network cannot be set up or fails on a film, or a picture cannot be coded.
pub fn sheet(bundles: &[&Bundle], films: &[SheetFilm], threads: usize) -> Result<Part, ReportError> {
    let mut columns: Vec<Vec<Cell>> = Vec::new();
    for bundle in bundles {
        let options = Options { profile: Some(Profile::Digital), threads, ..Options::default() };
        let pipeline = Pipeline::new(bundle, &options)?;
        let scaling = pipeline.rule(Profile::Digital).scaling;
        let mut column = Vec::with_capacity(films.len());
        for (row, film) in films.iter().enumerate() {
            let prediction = pipeline
                .predict(&film.picture)
                .map_err(|source| ReportError::Film { name: film.name.clone(), source })?;
            let first = columns.first().map(|column| column[row].shown);
            column.push(Cell::of(&prediction, &scaling, film, first));
        }
        columns.push(column);
    }
    table(bundles.iter().map(|bundle| bundle.manifest.id.as_str()), films, &columns)
}

impl Cell {
    fn of(prediction: &Prediction, scaling: &Scaling, film: &SheetFilm, first: Option<Class>) -> Cell {
        let probabilities = decision::probabilities(&prediction.logits, scaling);
        let shown = film.class.or(first).unwrap_or(probabilities.top());
        let map = overlay::with_map(&fitted(&film.picture), Some(&prediction.cam.heat(shown)), LINE);
        Cell { map, shown, probabilities }
    }
}

fn table<'a>(
    ids: impl Iterator<Item = &'a str>,
    films: &[SheetFilm],
    columns: &[Vec<Cell>],
) -> Result<Part, ReportError> {
    let header: Vec<String> = std::iter::once("film".into()).chain(ids.map(plain)).collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut rows = Vec::with_capacity(films.len());
    for (row, film) in films.iter().enumerate() {
        let label = film.class.map_or(String::new(), |class| format!(", {}", class.label()));
        let name = plain(&film.name);
        let mut cells =
            vec![format!("{} {name}{label}", picture(&overlay::with_map(&fitted(&film.picture), None, LINE))?)];
        for column in columns {
            let Cell { map, shown, probabilities } = &column[row];
            let shares = Class::ALL
                .map(|class| format!("{} {:.1} %", class.label(), 100.0 * probabilities.of(class)))
                .join(", ");
            cells.push(format!("{} map of {}; {shares}", picture(map)?, shown.label()));
        }
        rows.push(cells);
    }
    Ok(Part::PageOnly(markdown::table(&header, rows)))
}

/// The film at the size of the sheet. Small films are not enlarged.
fn fitted(picture: &GrayImage) -> GrayImage {
    let longest = picture.width().max(picture.height()).max(1);
    let fit = |side: u32| (side * SIDE.min(longest) / longest).max(1);
    imageops::resize(picture, fit(picture.width()), fit(picture.height()), FilterType::Triangle)
}

/// Markdown that holds the picture itself, as PNG.
fn picture(picture: &RgbImage) -> Result<String, ImageError> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    Ok(format!("![](data:image/png;base64,{})", STANDARD.encode(png.get_ref())))
}

#[cfg(test)]
mod tests {
    use image::Luma;
    use xray_triage_core::cam::Cam;

    use crate::report::document::to_html;

    use super::*;

    /// All weight of COVID-19 lies upper left, of normal lower right; pneumonia has none.
    fn prediction() -> Prediction {
        let cam = Cam::new(2, vec![1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        Prediction { logits: [0.0, 1.0, 2.0], cam }
    }

    #[test]
    fn a_row_shows_the_films_class_in_every_column() {
        let film = SheetFilm {
            name: "a|<b>".into(),
            class: Some(Class::Covid19),
            picture: GrayImage::from_pixel(640, 320, Luma([90])),
        };
        let cell = Cell::of(&prediction(), &Scaling::NONE, &film, Some(Class::Normal));
        assert_eq!((cell.shown, cell.map.dimensions()), (Class::Covid19, (320, 160)));
        // The map lies upper left, and the film shows where it is not.
        assert_ne!(cell.map.get_pixel(5, 5)[0], cell.map.get_pixel(5, 5)[1]);
        assert_eq!(cell.map.get_pixel(310, 150).0, [90; 3]);

        let page = to_html("t", &[table(["m"].into_iter(), &[film], &[vec![cell]]).unwrap()]);
        assert_eq!(page.matches("<img src=\"data:image/png;base64,").count(), 2, "{page}");
        assert!(page.contains("a|&lt;b&gt;, covid19"), "{page}");
        assert!(page.contains("map of covid19; covid19 9.0 %, pneumonia 24.5 %, normal 66.5 %"), "{page}");
    }

    #[test]
    fn without_a_class_the_first_bundles_answer_is_shown() {
        let film = SheetFilm { name: "a".into(), class: None, picture: GrayImage::new(20, 30) };
        assert_eq!(Cell::of(&prediction(), &Scaling::NONE, &film, None).shown, Class::Normal);
        assert_eq!(Cell::of(&prediction(), &Scaling::NONE, &film, Some(Class::Pneumonia)).shown, Class::Pneumonia);
        // Small films are not enlarged.
        assert_eq!(fitted(&film.picture).dimensions(), (20, 30));
    }
}
