//! Finding the film's, or the lit screen picture's, four sides in a small copy of the frame.
//!
//! 1. Edge points: pixels whose gradient has the polarity wanted (a film: panel outside, brighter; a screen: dark
//!    surround outside) and whose outside looks like a panel or a dark surround. For a film also those of the panel's rim
//!    (panel inside, darker outside): a rail, or the housing beside which the film lies, hides the film's own edge, and
//!    the film then ends where the panel beside it ends.
//! 2. For each of the four sides a Hough transform of its edge points (R. Duda, P. Hart, Use of the Hough
//!    transformation to detect lines and curves in pictures, CACM 15(1), 1972) in slope and intercept, each point
//!    voting only for slopes near its own gradient's (D. Ballard, Generalizing the Hough transform, 1981).
//! 3. Every four lines that make a near-rectangle are scored by how much of each side has the wanted outside, by their
//!    size and by how little they are distorted; running sums along each line make that independent of the length.
//!    A rim counts as a side by the panel that ends at it just beyond the two corners.
//! 4. The winner's sides are fitted again to sub-pixel gradient maxima, with outliers (clips, stickers) left out.

use super::geometry::{Homography, Line, Point, Quad, area, is_near_rectangle};
use super::light::PanelLight;
use super::plane::Plane;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A film: darker than the light-box panel around it.
    Film,
    /// The picture on a screen: brighter than the dark surround.
    Screen,
}

/// Steepest side, as the tangent of its angle to the frame: 25 degrees, which covers 15 degrees of rotation and the
/// convergence of a hand-held photograph.
const MAX_SLOPE: f32 = 0.466;
/// Slope bin of the Hough transform: 1.1 degrees.
const SLOPE_STEP: f32 = 0.02;
const SLOPES: usize = (2.0 * MAX_SLOPE / SLOPE_STEP) as usize + 1;
/// Intercept bin of the Hough transform, pixels of the small copy.
const INTERCEPT_STEP: f32 = 2.0;
/// Lines kept for each side.
const LINES: usize = 14;
/// Share of a side that must be such a boundary, of the weakest side, of the second weakest, and on the mean of all four,
/// where it is not known whether there is a film.
const PLAIN: [f64; 3] = [0.3, 0.65, 0.7];
/// The same where the user said that there is one.
const WEAK: [f64; 3] = [0.15, 0.4, 0.45];
/// The same for each of two films beside each other.
const PLAINEST: [f64; 3] = [0.5, 0.75, 0.85];
/// Lines that are nowhere in the frame farther apart are one line, pixels of the small copy.
const SAME_LINE: f32 = 3.0;
/// Peaks of the Hough transform looked at for each side.
const PEAKS: usize = 60;
/// Lines of the panel's rim kept for each side.
const RIMS: usize = 10;
/// Most sides that may be the panel's rim.
const MAX_RIMS: usize = 3;
/// How far beyond a corner the panel is looked for that ends at a rim, pixels of the small copy.
const RIM_REACH: usize = 14;
/// Least length of panel beside a corner that ends at the rim, pixels of the small copy.
const RIM_SEEN: usize = 4;
/// The clearest film has at most this share of the panel's gray: a base of density 0.16 passes 0.69 of the light, which a
/// camera shows as 0.85 of the gray.
const CLEAR_FILM: f32 = 0.93;
/// Smallest area of the target, share of the frame.
const MIN_AREA: f64 = 0.15;
/// A panel pixel is at least this share of the panel's level (98th percentile of the frame).
const PANEL: f32 = 0.6;
/// A dark surround reaches at most this share of the way from the frame's dark level to its bright one: the room's light,
/// reflected by the screen, lifts both.
const DARK: f32 = 0.35;

/// What a line separates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Boundary {
    /// The film from the brighter panel outside it.
    Film,
    /// The panel from its darker rim: a rail, the housing.
    Rim,
    /// The picture of a screen from the dark surround.
    Screen,
}

impl Boundary {
    /// 1 where it is brighter outside than inside, else -1.
    fn rise(self) -> f32 {
        if self == Boundary::Film { 1.0 } else { -1.0 }
    }
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The corners in pixels of the plane.
    pub corners: Quad,
    /// Which sides (top, right, bottom, left) are the panel's rim, which the film ends at or goes on beyond.
    pub rims: [bool; 4],
    /// Whether there are two such quadrilaterals beside each other.
    pub several: bool,
}

/// Sides in the order of [`Quad`]'s edges: top, right, bottom, left.
const OUTWARD: [[f32; 2]; 4] = [[0.0, -1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]];

/// Largest difference of the slopes of a screen's opposite sides (8 degrees).
const MAX_SCREEN_CONVERGENCE: f32 = 0.14;

/// Gray levels that the decisions are relative to.
struct Levels {
    /// 98th percentile: the panel, or the brightest the screen shows.
    bright: f32,
    /// The most that a screen's dark surround has.
    surround: f32,
    /// Least step across a side.
    step: f32,
}

/// One line that may be a side: `across = intercept + slope * along`, where *along* is measured from the frame's
/// middle, in x for top and bottom and in y for left and right.
struct Candidate {
    boundary: Boundary,
    slope: f32,
    intercept: f32,
    /// `good[i]`: how many of the first `i` positions along the line are such a boundary.
    good: Vec<u32>,
    /// Gray just inside each position of a rim that is such a boundary, 0 where it is none. Empty for other boundaries.
    inside: Vec<f32>,
}

/// Looks for `target` in `plane`. `eager` accepts weaker evidence: the user said that there is one.
pub fn find(plane: &Plane, target: Target, eager: bool) -> Option<Found> {
    let (dark, bright) = (plane.percentile(2.0), plane.percentile(98.0));
    if bright - dark < 24.0 {
        return None;
    }
    let surround = dark + DARK * (bright - dark);
    let levels = Levels { bright, surround, step: (0.08 * (bright - dark)).max(6.0) };
    let smooth = plane.smoothed();
    let boundaries: &[Boundary] = match target {
        Target::Film => &[Boundary::Film, Boundary::Rim],
        Target::Screen => &[Boundary::Screen],
    };
    let sides: [Vec<Candidate>; 4] = std::array::from_fn(|side| {
        boundaries.iter().flat_map(|&boundary| candidates(&smooth, boundary, side, &levels)).collect()
    });
    for rims in [MAX_RIMS, 0] {
        let rough = best_quad(&smooth, target, &sides, eager, rims)?;
        let refined = refine(&smooth, &rough, target, &levels);
        if let Some(found) = refined.filter(|found| is_right(plane, &smooth, found, target, &levels, eager)) {
            return Some(found);
        }
        // Perhaps what looked like a rim is none.
        if rough.rims == [false; 4] {
            break;
        }
    }
    None
}

/// Whether what was found can be what is looked for.
fn is_right(plane: &Plane, smooth: &Plane, found: &Found, target: Target, levels: &Levels, eager: bool) -> bool {
    let is_consistent = match target {
        Target::Film => (0..4).all(|side| !found.rims[side] || is_dark_beyond(plane, &found.corners, side, levels)),
        Target::Screen => !shows_panel(smooth, &found.corners, levels),
    };
    is_consistent && (eager || is_photographed(plane, found, target, levels))
}

/// Whether the position (x, y) on a side with the outward direction `n` is such a boundary.
fn is_boundary(plane: &Plane, [x, y]: [f32; 2], n: [f32; 2], boundary: Boundary, levels: &Levels) -> bool {
    let sample = |d: f32| plane.get(x + n[0] * d, y + n[1] * d);
    let (Some(near), Some(far), Some(inner), Some(inside)) = (sample(2.5), sample(4.5), sample(-2.0), sample(-4.0))
    else {
        return false;
    };
    // A panel is bright and has no texture.
    let is_panel = |a: f32, b: f32| a.min(b) >= PANEL * levels.bright && (a - b).abs() <= 0.1 * levels.bright;
    match boundary {
        Boundary::Film => near.min(far) - (inner + inside) / 2.0 >= levels.step && is_panel(near, far),
        Boundary::Rim => inner.min(inside) - near.max(far) >= levels.step && is_panel(inner, inside),
        Boundary::Screen => (inner + inside) / 2.0 - near.max(far) >= levels.step && near.max(far) <= levels.surround,
    }
}

/// Whether a side is the top or the bottom.
fn is_row(side: usize) -> bool {
    side == 0 || side == 2
}

/// Position on the frame of a point given along and across a side.
fn position(plane: &Plane, side: usize, along: f32, across: f32) -> [f32; 2] {
    if is_row(side) { [along + plane.width as f32 / 2.0, across] } else { [across, along + plane.height as f32 / 2.0] }
}

/// The best lines for one side, by the Hough transform.
fn candidates(plane: &Plane, boundary: Boundary, side: usize, levels: &Levels) -> Vec<Candidate> {
    let n = OUTWARD[side];
    let (length, extent) = if is_row(side) { (plane.width, plane.height) } else { (plane.height, plane.width) };
    let edges = edge_points(plane, boundary, side, levels);
    // Of a rim no more is seen than the panel beside the film.
    let (most, least) = if boundary == Boundary::Rim { (RIMS, length as u32 / 24) } else { (LINES, length as u32 / 8) };

    // Intercepts from one quarter of the extent before the frame to one quarter after it.
    let first = -0.25 * extent as f32;
    let bins = (1.5 * extent as f32 / INTERCEPT_STEP) as usize + 1;
    let mut votes = vec![0u32; SLOPES * bins];
    for &[along, across, slope] in &edges {
        for index in 0..SLOPES {
            let voted = index as f32 * SLOPE_STEP - MAX_SLOPE;
            if (voted - slope).abs() <= 0.12 {
                let bin = (across - voted * along - first) / INTERCEPT_STEP;
                if bin >= 0.0 && (bin as usize) < bins {
                    votes[index * bins + bin as usize] += 1;
                }
            }
        }
    }

    let mut found: Vec<Candidate> = Vec::new();
    for _ in 0..PEAKS {
        let Some((peak, &count)) = votes.iter().enumerate().max_by_key(|&(_, count)| count) else { break };
        if found.len() == most || count < least.max(1) {
            break;
        }
        let (index, bin) = (peak / bins, peak % bins);
        for slope in index.saturating_sub(3)..(index + 4).min(SLOPES) {
            votes[slope * bins + bin.saturating_sub(4)..slope * bins + (bin + 5).min(bins)].fill(0);
        }
        let mut slope = index as f32 * SLOPE_STEP - MAX_SLOPE;
        let mut intercept = first + (bin as f32 + 0.5) * INTERCEPT_STEP;
        for reach in [4.0, 2.5] {
            (intercept, slope) = regress(&edges, intercept, slope, reach);
        }
        // Peaks beside each other come to the same line.
        let turned = |other: &Candidate| (other.slope - slope).abs() * length as f32 / 2.0;
        if found.iter().any(|other| (other.intercept - intercept).abs() + turned(other) < SAME_LINE) {
            continue;
        }
        let mut good = vec![0u32; length + 1];
        let mut inside = Vec::new();
        for i in 0..length {
            let along = i as f32 + 0.5 - length as f32 / 2.0;
            let at = position(plane, side, along, intercept + slope * along);
            let is_good = is_boundary(plane, at, n, boundary, levels);
            good[i + 1] = good[i] + u32::from(is_good);
            if boundary == Boundary::Rim {
                let gray = plane.get(at[0] - 3.0 * n[0], at[1] - 3.0 * n[1]);
                inside.push(gray.filter(|_| is_good).unwrap_or(0.0));
            }
        }
        found.push(Candidate { boundary, slope, intercept, good, inside });
    }
    found
}

/// Along, across and the slope that the gradient suggests, of every pixel that may lie on the side.
fn edge_points(plane: &Plane, boundary: Boundary, side: usize, levels: &Levels) -> Vec<[f32; 3]> {
    let n = OUTWARD[side];
    let sign = boundary.rise();
    let least = levels.step / 6.0;
    let mut edges = Vec::new();
    for y in 1..plane.height.saturating_sub(1) {
        for x in 1..plane.width.saturating_sub(1) {
            let [gx, gy] = plane.gradient(x, y);
            let outward = sign * (gx * n[0] + gy * n[1]);
            if outward < least {
                continue;
            }
            // The gradient stands on the line: its component along the side over its component across.
            let slope = if is_row(side) { -gx / gy } else { -gy / gx };
            let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
            if slope.abs() <= MAX_SLOPE + 0.1 && is_boundary(plane, [px, py], n, boundary, levels) {
                edges.push(if is_row(side) {
                    [px - plane.width as f32 / 2.0, py, slope]
                } else {
                    [py - plane.height as f32 / 2.0, px, slope]
                });
            }
        }
    }
    edges
}

/// Least-squares line through the edge points within `reach` pixels of a line; the line itself if they are too few.
fn regress(edges: &[[f32; 3]], intercept: f32, slope: f32, reach: f32) -> (f32, f32) {
    let (mut n, mut t, mut c, mut tt, mut tc) = (0.0f64, 0.0f64, 0.0f64, 0.0f64, 0.0f64);
    for &[along, across, _] in edges {
        if (across - intercept - slope * along).abs() <= reach {
            let (along, across) = (f64::from(along), f64::from(across));
            n += 1.0;
            t += along;
            c += across;
            tt += along * along;
            tc += along * across;
        }
    }
    let spread = n * tt - t * t;
    if n < 8.0 || spread < 1.0 {
        return (intercept, slope);
    }
    let slope = (n * tc - t * c) / spread;
    (((c - slope * t) / n) as f32, slope as f32)
}

/// The four lines that make the best target, if any is good enough.
fn best_quad(
    plane: &Plane,
    target: Target,
    [tops, rights, bottoms, lefts]: &[Vec<Candidate>; 4],
    eager: bool,
    most_rims: usize,
) -> Option<Found> {
    let (width, height) = (plane.width as f64, plane.height as f64);
    let mut best = None;
    let mut best_score = 0.0;
    let mut spread = Spread::default();
    for top in tops {
        for bottom in bottoms {
            if bottom.intercept - top.intercept < 0.25 * height as f32 {
                continue;
            }
            for left in lefts {
                for right in rights {
                    if right.intercept - left.intercept < 0.25 * width as f32 {
                        continue;
                    }
                    let lines = [top, right, bottom, left];
                    let rims = lines.map(|line| line.boundary == Boundary::Rim);
                    if rims.iter().filter(|&&rim| rim).count() > most_rims {
                        continue;
                    }
                    let (rows, columns) = ((top.slope - bottom.slope).abs(), (left.slope - right.slope).abs());
                    // A screen's picture often fades to black at its rim. What then looks like its sides is the
                    // patient's outline, which narrows more than the perspective of a photograph does.
                    if target == Target::Screen && rows.max(columns) > MAX_SCREEN_CONVERGENCE {
                        continue;
                    }
                    let skew = (top.slope + bottom.slope + left.slope + right.slope).abs() / 2.0;
                    let distortion = f64::from(rows + columns + skew);
                    let corner = |row: &Candidate, column: &Candidate| meet(plane, row, column);
                    let quad = [corner(top, left), corner(top, right), corner(bottom, right), corner(bottom, left)];
                    let share = area(&quad) / (width * height);
                    if share < MIN_AREA || !is_near_rectangle(&quad) || !lies_within(plane, &quad) {
                        continue;
                    }
                    let spans = [
                        [quad[0][0], quad[1][0]],
                        [quad[1][1], quad[2][1]],
                        [quad[3][0], quad[2][0]],
                        [quad[0][1], quad[3][1]],
                    ];
                    let Some(mut support) = supports(lines, spans) else { continue };
                    let mean = support.iter().sum::<f64>() / 4.0;
                    support.sort_by(f64::total_cmp);
                    // Three sides must be plain; clips, a label or the panel's frame may hide part of one.
                    let is_plain = |[weakest, second, least]: [f64; 3]| {
                        support[0] >= weakest && support[1] >= second && mean >= least
                    };
                    if is_plain(PLAINEST) && rims == [false; 4] {
                        spread.add(&quad);
                    }
                    let score = mean + 0.25 * share.sqrt() - 0.5 * distortion;
                    if is_plain(if eager { WEAK } else { PLAIN }) && score > best_score {
                        best_score = score;
                        best = Some(Found { corners: quad, rims, several: false });
                    }
                }
            }
        }
    }
    best.map(|found| Found { several: spread.has_gap(), ..found })
}

/// How far quadrilaterals reach, to tell whether two of them lie beside each other.
struct Spread {
    /// The least of their right and of their lower ends, pixels.
    first_end: [f64; 2],
    /// The largest of their left and of their upper ends, pixels.
    last_begin: [f64; 2],
}

impl Default for Spread {
    fn default() -> Self {
        Spread { first_end: [f64::INFINITY; 2], last_begin: [f64::NEG_INFINITY; 2] }
    }
}

impl Spread {
    fn add(&mut self, quad: &Quad) {
        for axis in 0..2 {
            let places = quad.map(|corner| corner[axis]);
            self.first_end[axis] = self.first_end[axis].min(places.into_iter().fold(f64::NEG_INFINITY, f64::max));
            self.last_begin[axis] = self.last_begin[axis].max(places.into_iter().fold(f64::INFINITY, f64::min));
        }
    }

    /// Whether one of them ends, to the right or below, before another one begins.
    fn has_gap(&self) -> bool {
        (0..2).any(|axis| self.first_end[axis] <= self.last_begin[axis])
    }
}

/// How plain each side is, 0 to 1, given from where to where each goes. `None` if a side is a rim that the film does not
/// reach.
fn supports(lines: [&Candidate; 4], spans: [[f64; 2]; 4]) -> Option<[f64; 4]> {
    let mut supports = [0.0; 4];
    for side in 0..4 {
        let [from, to] = spans[side];
        if lines[side].boundary != Boundary::Rim {
            supports[side] = lines[side].support(from, to);
            continue;
        }
        supports[side] = lines[side].rim_support(from, to)?;
        // The sides that begin at the rim must do so: a film that ends before has panel there.
        for next in [(side + 1) % 4, (side + 3) % 4] {
            let [from, to] = spans[next];
            let near = 0.15 * (to - from);
            let begins_at_rim = side == 0 || side == 3;
            let [from, to] = if begins_at_rim { [from, from + near] } else { [to - near, to] };
            if lines[next].boundary != Boundary::Rim && lines[next].support(from, to) < 0.4 {
                return None;
            }
        }
    }
    Some(supports)
}

impl Candidate {
    /// For a rim from one corner to the other: how plain it is beyond them, 0 to 1. `None` if it is not to be seen there,
    /// or if there is panel between it and the film.
    fn rim_support(&self, from: f64, to: f64) -> Option<f64> {
        let last = self.inside.len();
        let clamp = |at: f64| (at.max(0.0) as usize).min(last);
        let (first, end) = (clamp(from), clamp(to));
        // The panel's very corner beside the film is seldom sharp.
        let beyond = [
            &self.inside[first.saturating_sub(RIM_REACH)..first.saturating_sub(1)],
            &self.inside[(end + 1).min(last)..(end + RIM_REACH).min(last)],
        ];
        let panel = beyond.map(|grays| {
            let seen = grays.iter().filter(|&&gray| gray > 0.0).count();
            (seen >= RIM_SEEN).then(|| grays.iter().sum::<f32>() / seen as f32)
        });
        let level = panel.iter().flatten().copied().reduce(f32::min)?;
        let lit = self.inside[first..end.max(first)].iter().filter(|&&gray| gray > CLEAR_FILM * level).count();
        if lit as f64 > 0.3 * (to - from) {
            return None;
        }
        Some(if panel.iter().all(Option::is_some) { 0.85 } else { 0.7 })
    }

    /// Share of the line between two positions (pixels from the frame's edge) that has the wanted outside.
    fn support(&self, from: f64, to: f64) -> f64 {
        let last = self.good.len() - 1;
        let clamp = |at: f64| (at.max(0.0) as usize).min(last);
        f64::from(self.good[clamp(to)] - self.good[clamp(from)]) / (to - from).max(1.0)
    }
}

/// Where a top or bottom line meets a left or right one, in frame coordinates.
fn meet(plane: &Plane, row: &Candidate, column: &Candidate) -> Point {
    let (cx, cy) = (plane.width as f64 / 2.0, plane.height as f64 / 2.0);
    let (s, a) = (f64::from(row.slope), f64::from(row.intercept));
    let (r, b) = (f64::from(column.slope), f64::from(column.intercept));
    // y = a + s (x - cx) and x = b + r (y - cy)
    let y = (a + s * (b - r * cy - cx)) / (1.0 - s * r);
    [b + r * (y - cy), y]
}

/// Whether no corner lies farther than 3 % of the frame outside it.
fn lies_within(plane: &Plane, quad: &Quad) -> bool {
    let (w, h) = (plane.width as f64, plane.height as f64);
    quad.iter().all(|p| (-0.03 * w..=1.03 * w).contains(&p[0]) && (-0.03 * h..=1.03 * h).contains(&p[1]))
}

/// Fits each side to the steepest places near it and returns the corners where the sides meet. A rim is fitted where the
/// panel beside the film ends; if that is seen at one end only, also to the steepest places of the film's side.
fn refine(plane: &Plane, rough: &Found, target: Target, levels: &Levels) -> Option<Found> {
    let mut lines = Vec::with_capacity(4);
    for side in 0..4 {
        let (from, to) = (rough.corners[side], rough.corners[(side + 1) % 4]);
        let length = super::geometry::distance(from, to);
        let direction = [(to[0] - from[0]) / length, (to[1] - from[1]) / length];
        // Clockwise on the screen: the outside is to the left of the direction of travel.
        let n = [direction[1], -direction[0]];
        let on_side = |share: f64| [from[0] + (to[0] - from[0]) * share, from[1] + (to[1] - from[1]) * share];
        let moved = |at: Point, d: f64| [at[0] + n[0] * d, at[1] + n[1] * d];
        let along = || (0..=120).map(|i| on_side(0.04 + 0.92 * f64::from(i) / 120.0));
        let points: Vec<Point> = if rough.rims[side] {
            let fall = |share: f64| {
                let at = on_side(share);
                let edge = moved(at, steepest(plane, at, n, -1.0)?);
                is_boundary(plane, edge.map(|v| v as f32), n.map(|v| v as f32), Boundary::Rim, levels).then_some(edge)
            };
            let beyond = |end: f64, sign: f64| -> Vec<Point> {
                (1..=2 * RIM_REACH).filter_map(|step| fall(end + sign * step as f64 / length)).collect()
            };
            let (before, after) = (beyond(0.0, -1.0), beyond(1.0, 1.0));
            let both = before.len().min(after.len()) >= RIM_SEEN;
            let either = |at: Point| {
                let places = [1.0, -1.0].map(|sign| steepest(plane, at, n, sign));
                places.into_iter().flatten().min_by(|a, b| a.abs().total_cmp(&b.abs())).map(|d| moved(at, d))
            };
            let within = along().filter_map(either).filter(|_| !both);
            before.into_iter().chain(after).chain(within).collect()
        } else {
            let sign = if target == Target::Film { 1.0 } else { -1.0 };
            along().filter_map(|at| steepest(plane, at, n, sign).map(|d| moved(at, d))).collect()
        };
        // Of a rim at one end there may be too little for a fit.
        lines.push(match Line::fit(&points) {
            Some(line) => line,
            None if rough.rims[side] => Line::through(from, to),
            None => return None,
        });
    }
    let corner = |a: usize, b: usize| lines[a].meet(&lines[b]);
    let corners = [corner(3, 0)?, corner(0, 1)?, corner(1, 2)?, corner(2, 3)?];
    let found = Found { corners, ..*rough };
    (is_near_rectangle(&corners) && lies_within(plane, &corners)).then_some(found)
}

/// Distance along `n` (-4..=4 pixels) from `at` to the steepest rise (`sign` 1) or fall (-1), the maximum of the
/// gradient interpolated by a parabola. `None` where there is no such maximum inside the range.
fn steepest(plane: &Plane, at: Point, n: Point, sign: f32) -> Option<f64> {
    const STEPS: i32 = 8;
    const STEP: f64 = 0.5;
    let value = |d: f64| plane.get((at[0] + n[0] * d) as f32, (at[1] + n[1] * d) as f32);
    let mut rise = Vec::with_capacity(2 * STEPS as usize + 1);
    for i in -STEPS..=STEPS {
        let d = f64::from(i) * STEP;
        rise.push(sign * (value(d + 1.0)? - value(d - 1.0)?));
    }
    let peak = (0..rise.len()).max_by(|&a, &b| rise[a].total_cmp(&rise[b]))?;
    if peak == 0 || peak + 1 == rise.len() || rise[peak] < 3.0 {
        return None;
    }
    let (before, top, after) = (rise[peak - 1], rise[peak], rise[peak + 1]);
    let curvature = before - 2.0 * top + after;
    let shift = if curvature < -1e-3 { f64::from(0.5 * (before - after) / curvature) } else { 0.0 };
    Some((peak as f64 - f64::from(STEPS) + shift) * STEP)
}

/// Whether the surround of a well-scored quadrilateral is that of a photograph. A digital film can have a frame, too:
/// a figure's white margin, black padding, the collimator's shadow. The limits stand between what the digital films of
/// the data set and simulated photographs show.
fn is_photographed(plane: &Plane, found: &Found, target: Target, levels: &Levels) -> bool {
    let quad = &found.corners;
    let outside = plane.outside(quad);
    let share = |count: usize, of: usize| count as f32 / of.max(1) as f32;
    if share(outside.len(), plane.values.len()) < 0.02 {
        return false;
    }
    let mean = outside.iter().sum::<f32>() / outside.len() as f32;
    let spread = (outside.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / outside.len() as f32).sqrt();
    let tilt = tilt(quad);
    let Some(map) = Homography::from_unit_square(quad) else { return false };
    match target {
        Target::Film => {
            let light = PanelLight::measure(plane, &map, found.rims);
            let rims = found.rims.iter().filter(|&&rim| rim).count();
            let inside = plane.inside(quad);
            let glaring = share(inside.iter().filter(|&&v| f64::from(v) > 0.97 * light.mean).count(), inside.len());
            // A white margin is flat and upright.
            (tilt > 0.006 || spread > 2.0)
                && light.sides >= 2
                && light.sides + rims >= 3
                // The panel is smooth, and nothing on the film is as bright, unless a lamp is reflected there.
                && (light.roughness < 0.014 && glaring < 0.1 || light.roughness < 0.05 && glaring < 0.0005)
        }
        Target::Screen => {
            let dark = share(outside.iter().filter(|&&v| v <= levels.surround).count(), outside.len());
            // Black padding is blacker than a dark room, and flat; a collimator's shadow has letters and limbs in it.
            tilt > 0.01 && mean > 8.0 && spread < 28.0 && dark >= 0.85 && !is_panel(plane, &map, levels)
        }
    }
}

/// Whether what looks like a screen is a light box: a straight line inside it, over nearly its whole length, has panel on
/// one side and what is darker on the other, or two sides have one nearly as plain. The limits stand between what
/// simulated screens (at most one of 0.88, and seldom above 0.8) and light boxes show.
fn shows_panel(plane: &Plane, quad: &Quad, levels: &Levels) -> bool {
    let [top_left, top_right, bottom_right, bottom_left] = *quad;
    let mean = |a: Point, b: Point| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
    // From where to where the picture goes, in x and in y.
    let (left, right) = (mean(top_left, bottom_left)[0], mean(top_right, bottom_right)[0]);
    let (top, bottom) = (mean(top_left, top_right)[1], mean(bottom_left, bottom_right)[1]);
    let plainest = |side: usize| {
        let ([from, to], [first, last]) =
            if is_row(side) { ([left, right], [top, bottom]) } else { ([top, bottom], [left, right]) };
        let centre = if is_row(side) { plane.width } else { plane.height } as f64 / 2.0;
        let is_inside = |line: &Candidate| {
            let across = f64::from(line.intercept) + f64::from(line.slope) * ((from + to) / 2.0 - centre);
            (first + 4.0..last - 4.0).contains(&across)
        };
        let lines = candidates(plane, Boundary::Film, side, levels);
        lines.iter().filter(|line| is_inside(line)).map(|line| line.support(from, to)).fold(0.0, f64::max)
    };
    let mut plain = [0, 1, 2, 3].map(plainest);
    plain.sort_by(f64::total_cmp);
    plain[3] >= 0.9 || plain[2] >= 0.8
}

/// Whether hardly anything beyond a side is as bright as the panel: a rail or housing is there.
fn is_dark_beyond(plane: &Plane, quad: &Quad, side: usize, levels: &Levels) -> bool {
    let line = Line::through(quad[side], quad[(side + 1) % 4]);
    let (mut beyond, mut bright) = (0u32, 0u32);
    for (index, &gray) in plane.values.iter().enumerate() {
        let at = [(index % plane.width) as f64 + 0.5, (index / plane.width) as f64 + 0.5];
        if line.distance(at) < -3.0 {
            beyond += 1;
            bright += u32::from(gray >= 0.75 * levels.bright);
        }
    }
    bright <= beyond / 10
}

/// The largest tangent of a side's angle to the frame.
fn tilt(quad: &Quad) -> f64 {
    (0..4)
        .map(|side| {
            let (a, b) = (quad[side], quad[(side + 1) % 4]);
            let (dx, dy) = ((b[0] - a[0]).abs(), (b[1] - a[1]).abs());
            if is_row(side) { dy / dx } else { dx / dy }
        })
        .fold(0.0, f64::max)
}

/// Whether the rim of what `map` maps the unit square to is bright all round: a light-box panel, not a screen.
fn is_panel(plane: &Plane, map: &Homography, levels: &Levels) -> bool {
    let rim = (0..48).flat_map(|step| {
        let share = (f64::from(step) + 0.5) / 48.0;
        [[share, 0.02], [0.98, share], [share, 0.98], [0.02, share]]
    });
    let bright = rim.filter(|&at| {
        let [x, y] = map.apply(at);
        plane.get(x as f32, y as f32).is_some_and(|gray| gray >= 0.8 * levels.bright)
    });
    bright.count() >= 130
}

#[cfg(test)]
mod tests;
