//! Plots as SVG elements. Lines and letters are in the page's own colour, so that they can be read on a light and on a
//! dark ground. Nothing is told by colour alone.

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use xray_triage_core::decision::Class;

use crate::measure::calibration_error::ReliabilityBin;
use crate::measure::metrics::Metrics;
use crate::measure::roc::RocPoint;

use super::latency::Latency;
use super::run::Run;

/// Why a plot could not be drawn.
pub type PlotError = DrawingAreaErrorKind<std::io::Error>;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A blue that stands out on white and on black. Colour-blind eyes tell it from [`VERMILLION`] (Okabe and Ito 2008, "Color
/// universal design").
const BLUE: RGBColor = RGBColor(0, 130, 200);
const VERMILLION: RGBColor = RGBColor(213, 94, 0);
/// Black stands for the page's own colour, by which it is replaced in the finished plot.
const INK: RGBColor = RGBColor(0, 0, 0);
const INK_AS_WRITTEN: &str = "#000000";
const FONT: &str = "sans-serif";

/// Runs `paint` on a canvas of `size`, pixels, and gives the SVG element.
fn draw(size: (u32, u32), paint: impl Fn(&Canvas) -> Result<(), PlotError>) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&canvas)?;
        canvas.present()?;
    }
    Ok(svg.replace(INK_AS_WRITTEN, "currentColor"))
}

fn write(canvas: &Canvas, text: String, at: (i32, i32), size: u32, horizontal: HPos) -> Result<(), PlotError> {
    let style = TextStyle::from((FONT, size).into_font()).color(&INK).pos(Pos::new(horizontal, VPos::Center));
    canvas.draw(&Text::new(text, at, style))
}

/// The confusion matrix. Rows are the true class, columns the most probable class. A cell is the deeper blue, the larger
/// its share of the row.
///
/// # Errors
/// The plot cannot be drawn.
pub fn confusion(metrics: &Metrics) -> Result<String, PlotError> {
    const LEFT: i32 = 130;
    const TOP: i32 = 50;
    const CELL: (i32, i32) = (110, 56);
    let columns = Class::ALL.map(Class::label).into_iter().chain(["refused"]);
    let size = (LEFT + 4 * CELL.0 + 10, TOP + 3 * CELL.1 + 10);
    draw((size.0 as u32, size.1 as u32), |canvas| {
        write(canvas, "true class".into(), (LEFT - 10, TOP - 30), 13, HPos::Right)?;
        for (column, label) in columns.clone().enumerate() {
            write(canvas, label.into(), (LEFT + column as i32 * CELL.0 + CELL.0 / 2, TOP - 14), 15, HPos::Center)?;
        }
        for (row, (class, counts)) in Class::ALL.iter().zip(&metrics.confusion).enumerate() {
            let top = TOP + row as i32 * CELL.1;
            let all: usize = counts.iter().sum();
            write(canvas, class.label().into(), (LEFT - 10, top + CELL.1 / 2), 15, HPos::Right)?;
            for (column, &films) in counts.iter().enumerate() {
                let left = LEFT + column as i32 * CELL.0;
                let share = films as f64 / all.max(1) as f64;
                let corners = [(left, top), (left + CELL.0, top + CELL.1)];
                canvas.draw(&Rectangle::new(corners, BLUE.mix(0.6 * share).filled()))?;
                canvas.draw(&Rectangle::new(corners, INK.mix(0.3)))?;
                let middle = (left + CELL.0 / 2, top + CELL.1 / 2);
                write(canvas, films.to_string(), (middle.0, middle.1 - 9), 18, HPos::Center)?;
                if all > 0 {
                    write(canvas, format!("{:.1} %", 100.0 * share), (middle.0, middle.1 + 13), 13, HPos::Center)?;
                }
            }
        }
        Ok(())
    })
}

/// A line through points.
struct Curve {
    points: Vec<(f64, f64)>,
    colour: RGBColor,
    /// Pixels.
    width: u32,
}

/// The title and the axes of a plot: their names and how far they reach.
struct Axes<'a> {
    title: &'a str,
    x: (&'a str, std::ops::Range<f64>),
    y: (&'a str, std::ops::Range<f64>),
    /// Digits after the point along the x axis.
    x_digits: usize,
}

/// Draws axes, curves and dots. Each dot is a place with its radius in pixels.
fn plot(
    canvas: &Canvas,
    axes: Axes,
    curves: Vec<Curve>,
    dots: impl IntoIterator<Item = ((f64, f64), i32)>,
) -> Result<(), PlotError> {
    let Axes { title, x, y, x_digits } = axes;
    let text = |size: u32| TextStyle::from((FONT, size).into_font()).color(&INK);
    let mut chart = ChartBuilder::on(canvas)
        .caption(title, text(16))
        .margin(10)
        .x_label_area_size(38)
        .y_label_area_size(50)
        .build_cartesian_2d(x.1, y.1)?;
    chart
        .configure_mesh()
        .x_desc(x.0)
        .y_desc(y.0)
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|value| format!("{value:.x_digits$}"))
        .y_label_formatter(&|value| format!("{value:.1}"))
        .axis_style(INK)
        .bold_line_style(INK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .label_style(text(12))
        .axis_desc_style(text(13))
        .draw()?;
    for Curve { points, colour, width } in curves {
        chart.draw_series(LineSeries::new(points, colour.stroke_width(width)))?;
    }
    chart.draw_series(dots.into_iter().map(|(place, radius)| Circle::new(place, radius, BLUE.mix(0.5).filled())))?;
    Ok(())
}

/// The receiver operating characteristic of each class against the rest, side by side, with the line of chance.
///
/// # Errors
/// The plot cannot be drawn.
pub fn roc(curves: &[(Class, Vec<RocPoint>)]) -> Result<String, PlotError> {
    const SIDE: u32 = 310;
    draw((SIDE * curves.len().max(1) as u32, SIDE + 10), |canvas| {
        for ((class, points), panel) in curves.iter().zip(canvas.split_evenly((1, curves.len().max(1)))) {
            let points = points.iter().map(|point| (point.false_positive_rate, point.true_positive_rate)).collect();
            let axes = Axes {
                title: class.label(),
                x: ("1 - specificity", 0.0..1.0),
                y: ("sensitivity", 0.0..1.0),
                x_digits: 1,
            };
            plot(&panel, axes, vec![chance(), Curve { points, colour: BLUE, width: 2 }], [])?;
        }
        Ok(())
    })
}

/// The diagonal. In a receiver operating characteristic it is chance, in a reliability diagram perfect calibration.
fn chance() -> Curve {
    Curve { points: vec![(0.0, 0.0), (1.0, 1.0)], colour: INK, width: 1 }
}

/// A reliability diagram: accuracy over confidence, with a dot for each bin that has films. A dot is the larger the more
/// films the bin has. Calibrated bins lie on the diagonal.
///
/// # Errors
/// The plot cannot be drawn.
pub fn reliability(bins: &[ReliabilityBin]) -> Result<String, PlotError> {
    const LARGEST: f64 = 14.0;
    let most = bins.iter().map(|bin| bin.films).max().unwrap_or(0).max(1) as f64;
    draw((420, 420), |canvas| {
        let axes = Axes { title: "reliability", x: ("confidence", 0.0..1.0), y: ("accuracy", 0.0..1.0), x_digits: 1 };
        let seen = || bins.iter().filter(|bin| bin.films > 0);
        let points = seen().map(|bin| (bin.confidence, bin.accuracy)).collect();
        let dots = seen().map(|bin| {
            let radius = (LARGEST * (bin.films as f64 / most).sqrt()).max(2.0) as i32;
            ((bin.confidence, bin.accuracy), radius)
        });
        plot(canvas, axes, vec![chance(), Curve { points, colour: BLUE, width: 2 }], dots)
    })
}

/// The losses and accuracies of a run over its epochs. The thin line is training, the thick line validation.
///
/// # Errors
/// The plot cannot be drawn.
pub fn training(run: &Run) -> Result<String, PlotError> {
    const PANEL: (u32, u32) = (460, 300);
    let last = run.epochs.iter().map(|epoch| epoch.epoch).max().unwrap_or(0).max(1) as f64;
    let highest = run.epochs.iter().flat_map(|epoch| [epoch.train_loss, epoch.val_loss]).fold(0.1, f64::max);
    let over = |value: fn(&super::run::Epoch) -> Option<f64>| -> Vec<(f64, f64)> {
        run.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, value(epoch)?))).collect()
    };
    draw((2 * PANEL.0, PANEL.1), |canvas| {
        let panels = canvas.split_evenly((1, 2));
        let axes = |title, name, top| Axes { title, x: ("epoch", 0.0..last), y: (name, 0.0..top), x_digits: 0 };
        let curves = |train, val| {
            vec![Curve { points: train, colour: VERMILLION, width: 1 }, Curve { points: val, colour: BLUE, width: 3 }]
        };
        plot(
            &panels[0],
            axes("loss", "loss", 1.05 * highest),
            curves(over(|epoch| Some(epoch.train_loss)), over(|epoch| Some(epoch.val_loss))),
            [],
        )?;
        plot(
            &panels[1],
            axes("accuracy", "accuracy", 1.0),
            curves(over(|epoch| epoch.train_accuracy), over(|epoch| Some(epoch.val_accuracy))),
            [],
        )
    })
}

/// The times on each machine: a bar for the median, a line up to the 95th percentile.
///
/// # Errors
/// The plot cannot be drawn.
pub fn latency(machines: &[Latency]) -> Result<String, PlotError> {
    const LEFT: i32 = 220;
    const LENGTH: f64 = 480.0;
    const ROW: i32 = 34;
    let longest = machines.iter().map(|machine| machine.total.high).fold(1.0, f64::max);
    let height = machines.len() as i32 * ROW + 10;
    draw((LEFT as u32 + LENGTH as u32 + 130, height.max(1) as u32), |canvas| {
        for (row, machine) in machines.iter().enumerate() {
            let top = 5 + row as i32 * ROW;
            let middle = top + ROW / 2;
            let length = |milliseconds: f64| (LENGTH * milliseconds / longest).round() as i32;
            let (median, high) = (LEFT + length(machine.total.median), LEFT + length(machine.total.high));
            write(canvas, machine.name.clone(), (LEFT - 8, middle), 14, HPos::Right)?;
            canvas.draw(&Rectangle::new([(LEFT, top + 5), (median, top + ROW - 5)], BLUE.mix(0.7).filled()))?;
            canvas.draw(&PathElement::new(vec![(LEFT, middle), (high, middle)], INK))?;
            write(canvas, format!("{:.2} s", machine.total.median / 1000.0), (high + 8, middle), 14, HPos::Left)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_one_svg_element_in_the_pages_colour() {
        let bins = [
            ReliabilityBin { films: 4, confidence: 0.55, accuracy: 0.5 },
            ReliabilityBin::default(),
            ReliabilityBin { films: 1, confidence: 0.95, accuracy: 1.0 },
        ];
        let svg = reliability(&bins).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        // A dot for each bin that has films, the larger one for the bin with more.
        let radii: Vec<&str> = svg
            .split("<circle")
            .skip(1)
            .map(|dot| dot.split("r=\"").nth(1).unwrap().split('"').next().unwrap())
            .collect();
        assert_eq!(radii, ["14", "7"]);
        assert!(svg.contains("currentColor") && !svg.contains(INK_AS_WRITTEN));
    }

    #[test]
    fn names_in_a_plot_are_escaped() {
        let span = super::super::latency::Span { median: 1500.0, high: 1800.0 };
        let svg = latency(&[Latency { name: "<script>".into(), films: 1, total: span, infer: span }]).unwrap();
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;"), "{svg}");
        assert!(svg.contains("1.50 s"));
    }

    #[test]
    fn a_roc_goes_through_its_points() {
        let point = |x, y| RocPoint { false_positive_rate: x, true_positive_rate: y };
        let curve = vec![point(0.0, 0.0), point(0.0, 1.0), point(1.0, 1.0)];
        let svg = roc(&[(Class::Covid19, curve)]).unwrap();
        let line = svg.split("<polyline").find(|line| line.contains("#0082C8")).expect("the curve");
        let points: Vec<(f64, f64)> = line
            .split("points=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap()
            .split_whitespace()
            .map(|pair| pair.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        let [(left, bottom), (left_again, top), (right, top_again)] = points[..] else { panic!("{points:?}") };
        assert!(left == left_again && top == top_again && right > left && bottom > top, "{points:?}");
    }
}
