//! Points, lines and the plane-to-plane projection. Coordinates: x to the right, y down, pixels; the pixel in column
//! `i` and row `j` covers `i..i+1` by `j..j+1`, so a frame's own corners are (0, 0) and (width, height).

/// x and y.
pub type Point = [f64; 2];

/// Corners, clockwise from the top left.
pub type Quad = [Point; 4];

/// A projective map of the plane: (x, y) to ((a x + b y + c) / w, (d x + e y + f) / w) with w = g x + h y + i.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Homography([[f64; 3]; 3]);

impl Homography {
    /// The map of the unit square (0,0) (1,0) (1,1) (0,1) onto `quad`, corner to corner (P. Heckbert, Fundamentals of
    /// Texture Mapping and Image Warping, 1989, section 2.2.3). `None` if three corners lie on a line.
    pub fn from_unit_square(quad: &Quad) -> Option<Self> {
        let [p0, p1, p2, p3] = *quad;
        let (dx1, dy1) = (p1[0] - p2[0], p1[1] - p2[1]);
        let (dx2, dy2) = (p3[0] - p2[0], p3[1] - p2[1]);
        let (sx, sy) = (p0[0] - p1[0] + p2[0] - p3[0], p0[1] - p1[1] + p2[1] - p3[1]);
        let determinant = dx1 * dy2 - dx2 * dy1;
        let g = (sx * dy2 - dx2 * sy) / determinant;
        let h = (dx1 * sy - sx * dy1) / determinant;
        let map = Homography([
            [p1[0] - p0[0] + g * p1[0], p3[0] - p0[0] + h * p3[0], p0[0]],
            [p1[1] - p0[1] + g * p1[1], p3[1] - p0[1] + h * p3[1], p0[1]],
            [g, h, 1.0],
        ]);
        let scale = map.determinant();
        (scale.is_finite() && scale.abs() > 1e-9).then_some(map)
    }

    /// Where a point goes.
    pub fn apply(&self, [x, y]: Point) -> Point {
        let [u, v, w] = self.0.map(|row| row[0] * x + row[1] * y + row[2]);
        [u / w, v / w]
    }

    /// The map back. A map made by [`from_unit_square`](Self::from_unit_square) always has one.
    #[must_use]
    pub fn inverse(&self) -> Self {
        // The adjugate: a projective map has no scale of its own.
        let m = &self.0;
        let cofactor = |r: usize, c: usize| {
            let (r1, r2, c1, c2) = ((r + 1) % 3, (r + 2) % 3, (c + 1) % 3, (c + 2) % 3);
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        };
        Homography(std::array::from_fn(|r| std::array::from_fn(|c| cofactor(c, r))))
    }

    fn determinant(&self) -> f64 {
        let m = &self.0;
        m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1]) - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
            + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
    }
}

/// Distance of two points.
pub fn distance(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// Mean width (top and bottom) and height (left and right) of a quadrilateral.
pub fn size(quad: &Quad) -> (f64, f64) {
    let [p0, p1, p2, p3] = *quad;
    ((distance(p0, p1) + distance(p3, p2)) / 2.0, (distance(p0, p3) + distance(p1, p2)) / 2.0)
}

/// Area by the shoelace formula; positive when the corners run clockwise on the screen.
pub fn area(quad: &Quad) -> f64 {
    (0..4).map(|i| cross(quad[i], quad[(i + 1) % 4])).sum::<f64>() / 2.0
}

/// Whether the corners run clockwise around a convex quadrilateral whose angles all lie between 55 and 125 degrees:
/// what a rectangle looks like to a camera that is held roughly in front of it.
pub fn is_near_rectangle(quad: &Quad) -> bool {
    (0..4).all(|i| {
        let (a, b, c) = (quad[(i + 3) % 4], quad[i], quad[(i + 1) % 4]);
        let (u, v) = ([a[0] - b[0], a[1] - b[1]], [c[0] - b[0], c[1] - b[1]]);
        let (dot, turn) = (u[0] * v[0] + u[1] * v[1], cross(v, u));
        turn > 0.0 && dot.abs() <= 0.5736 * distance(a, b) * distance(c, b)
    })
}

fn cross(a: Point, b: Point) -> f64 {
    a[0] * b[1] - a[1] * b[0]
}

/// A straight line: `normal . p = offset`, the normal of length 1.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub normal: Point,
    pub offset: f64,
}

impl Line {
    /// The line from `a` to `b`; distances are positive on its right as seen on the screen, which is the inside of a
    /// clockwise outline.
    pub fn through(a: Point, b: Point) -> Line {
        let length = distance(a, b);
        let normal = [(a[1] - b[1]) / length, (b[0] - a[0]) / length];
        Line { normal, offset: normal[0] * a[0] + normal[1] * a[1] }
    }

    /// Total least squares with outliers left out: fit, drop what lies beyond 2.5 robust standard deviations
    /// (1.4826 x the median distance, at least 0.3 pixels), fit again, five times. `None` for fewer than 8 points.
    pub fn fit(points: &[Point]) -> Option<Line> {
        let mut line = Line::least_squares(points)?;
        for _ in 0..5 {
            let mut distances: Vec<f64> = points.iter().map(|&p| line.distance(p).abs()).collect();
            distances.sort_by(f64::total_cmp);
            let limit = 2.5 * (1.4826 * distances[distances.len() / 2]).max(0.3);
            let near: Vec<Point> = points.iter().copied().filter(|&p| line.distance(p).abs() <= limit).collect();
            line = Line::least_squares(&near)?;
        }
        Some(line)
    }

    fn least_squares(points: &[Point]) -> Option<Line> {
        if points.len() < 8 {
            return None;
        }
        let count = points.len() as f64;
        let mean: Point = [0, 1].map(|i| points.iter().map(|p| p[i]).sum::<f64>() / count);
        let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
        for p in points {
            let (x, y) = (p[0] - mean[0], p[1] - mean[1]);
            xx += x * x;
            xy += x * y;
            yy += y * y;
        }
        // Direction of the largest variance; the normal stands on it.
        let (sin, cos) = (0.5 * (2.0 * xy).atan2(xx - yy)).sin_cos();
        let normal = [-sin, cos];
        Some(Line { normal, offset: normal[0] * mean[0] + normal[1] * mean[1] })
    }

    /// Signed distance of a point.
    pub fn distance(&self, p: Point) -> f64 {
        self.normal[0] * p[0] + self.normal[1] * p[1] - self.offset
    }

    /// Where two lines meet; `None` if they are parallel within 1/1000.
    pub fn meet(&self, other: &Line) -> Option<Point> {
        let determinant = cross(self.normal, other.normal);
        (determinant.abs() > 1e-3).then(|| {
            [
                (self.offset * other.normal[1] - other.offset * self.normal[1]) / determinant,
                (other.offset * self.normal[0] - self.offset * other.normal[0]) / determinant,
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUAD: Quad = [[103.0, 57.0], [911.0, 93.0], [872.0, 700.0], [61.0, 655.0]];

    #[test]
    fn the_unit_square_maps_corner_to_corner_and_back() {
        let map = Homography::from_unit_square(&QUAD).unwrap();
        for (unit, corner) in [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]].into_iter().zip(QUAD) {
            assert!(distance(map.apply(unit), corner) < 1e-9);
            assert!(distance(map.inverse().apply(corner), unit) < 1e-12);
        }
    }

    #[test]
    fn the_crossing_of_the_diagonals_stays_the_crossing() {
        let map = Homography::from_unit_square(&QUAD).unwrap();
        let crossing = Line::through(QUAD[0], QUAD[2]).meet(&Line::through(QUAD[1], QUAD[3])).unwrap();
        assert!(distance(map.apply([0.5, 0.5]), crossing) < 1e-9);
    }

    #[test]
    fn degenerate_corners_have_no_map() {
        assert!(Homography::from_unit_square(&[[5.0, 5.0]; 4]).is_none());
        assert!(Homography::from_unit_square(&[[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]]).is_none());
    }

    #[test]
    fn a_line_is_fitted_through_outliers() {
        let mut points: Vec<Point> = (0..40).map(|i| [f64::from(i), 7.0 + 0.25 * f64::from(i)]).collect();
        points.extend((0..10).map(|i| [f64::from(i) * 3.0, 30.0]));
        let line = Line::fit(&points).unwrap();
        assert!(line.distance([0.0, 7.0]).abs() < 1e-6 && line.distance([400.0, 107.0]).abs() < 1e-4);
    }

    #[test]
    fn near_rectangles() {
        assert!(is_near_rectangle(&QUAD));
        let [a, b, c, d] = QUAD;
        assert!(!is_near_rectangle(&[d, c, b, a]), "counter-clockwise");
        assert!(!is_near_rectangle(&[a, c, b, d]), "crossed");
        assert!(!is_near_rectangle(&[a, b, [500.0, 200.0], d]), "not convex");
    }
}
