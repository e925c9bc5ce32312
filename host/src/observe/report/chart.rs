//! Line charts as inline SVG: one panel per metric, one series per arm, readable on paper and without scripts.

use super::html::{COLOURS, text};

const WIDTH: f64 = 380.0;
const HEIGHT: f64 = 200.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 24.0;
/// Points drawn per series; more cannot be told apart at this size.
const MAX_POINTS: usize = 240;
/// Series with more points get a smoothed line over the raw one.
const SMOOTH_FROM: usize = 30;

#[derive(Clone, Debug)]
pub struct Series {
    pub label: String,
    /// Index into the style sheet's colours.
    pub colour: usize,
    /// (x, y) with ascending x; a y that is not finite interrupts the line and is marked at the bottom.
    pub points: Vec<(f64, f64)>,
    /// (x, low, high), drawn as an area behind the line.
    pub band: Vec<(f64, f64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Number,
    /// Values are shares in [0, 1], shown as per cent on an axis from 0.
    Percent,
}

pub struct LineChart<'a> {
    pub title: &'a str,
    pub unit: Unit,
    pub series: &'a [Series],
}

impl LineChart<'_> {
    /// The panel's `<svg>`, or a note if there is nothing to draw.
    pub fn svg(&self) -> String {
        let finite = || self.series.iter().flat_map(|s| &s.points).filter(|p| p.1.is_finite());
        let (Some(x0), Some(x1)) = (finite().map(|p| p.0).reduce(f64::min), finite().map(|p| p.0).reduce(f64::max)) else {
            return r#"<p class="empty">no finite value</p>"#.into();
        };
        let (y_low, y_high) = self.y_range();
        let y_ticks = nice_ticks(y_low, y_high, 5);
        let x_ticks = nice_ticks(x0, if x1 > x0 { x1 } else { x0 + 1.0 }, 5);
        let x_at = |x: f64| LEFT + (WIDTH - LEFT - RIGHT) * if x1 > x0 { (x - x0) / (x1 - x0) } else { 0.5 };
        let y_at = |y: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - ((y - y_low) / (y_high - y_low)).clamp(0.0, 1.0));

        let mut svg = format!(r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#, text(&self.spoken()));
        for &tick in &y_ticks {
            let y = y_at(tick);
            let label = match self.unit {
                Unit::Percent => format!("{:.0} %", 100.0 * tick),
                Unit::Number => short_number(tick),
            };
            svg += &format!(r#"<path class="grid" d="M{LEFT} {y:.1}H{:.1}"/>"#, WIDTH - RIGHT);
            svg += &format!(r#"<text x="{:.1}" y="{:.1}" text-anchor="end">{label}</text>"#, LEFT - 6.0, y + 3.5);
        }
        for &tick in x_ticks.iter().filter(|&&t| t >= x0 && (t <= x1 || x1 == x0)) {
            svg += &format!(r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#, x_at(tick), HEIGHT - 7.0, short_number(tick));
        }
        for s in self.series {
            svg += &self.series_svg(s, &x_at, &y_at);
        }
        svg + "</svg>"
    }

    fn series_svg(&self, s: &Series, x_at: &impl Fn(f64) -> f64, y_at: &impl Fn(f64) -> f64) -> String {
        let c = s.colour % COLOURS;
        let mut svg = format!(r#"<g class="c{c}"><title>{}</title>"#, text(&s.label));
        if !s.band.is_empty() {
            let upper = s.band.iter().map(|&(x, _, h)| format!("{:.1} {:.1}", x_at(x), y_at(h)));
            let lower = s.band.iter().rev().map(|&(x, l, _)| format!("{:.1} {:.1}", x_at(x), y_at(l)));
            svg += &format!(r#"<path class="band" d="M{}Z"/>"#, upper.chain(lower).collect::<Vec<_>>().join("L"));
        }
        let points = thin(&s.points);
        let smooth = points.len() > SMOOTH_FROM;
        svg += &format!(r#"<path class="{}" d="{}"/>"#, if smooth { "raw" } else { "line" }, path(&points, x_at, y_at));
        if smooth {
            svg += &format!(r#"<path class="line" d="{}"/>"#, path(&smoothed(&points), x_at, y_at));
        }
        if let ([only], true) = (&points[..], points.iter().all(|p| p.1.is_finite())) {
            svg += &format!(r#"<circle cx="{:.1}" cy="{:.1}" r="3.5"/>"#, x_at(only.0), y_at(only.1));
        }
        for (x, y) in s.points.iter().filter(|p| !p.1.is_finite()).take(50) {
            let at = x_at(*x);
            let base = HEIGHT - BOTTOM;
            svg += &format!(r#"<path class="nan" d="M{at:.1} {base}l-4 -7h8z"><title>{y} at step {x}</title></path>"#);
        }
        svg + "</g>"
    }

    /// Per cent: from 0 to 10, 25, 50 or 100 %. Else what 98 % of the values span, so that one spike does not flatten the rest; values beyond sit on the edge.
    fn y_range(&self) -> (f64, f64) {
        let mut values: Vec<f64> = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.1)).filter(|y| y.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        if self.unit == Unit::Percent {
            let largest = values.last().copied().unwrap_or(1.0);
            return (0.0, [0.1, 0.25, 0.5].into_iter().find(|top| largest <= *top).unwrap_or(1.0));
        }
        let cut = if values.len() >= 100 { values.len() / 100 } else { 0 };
        let (mut low, mut high) = (values[cut], values[values.len() - 1 - cut]);
        for &(_, l, h) in self.series.iter().flat_map(|s| &s.band) {
            (low, high) = (low.min(l), high.max(h));
        }
        let room = if high > low { 0.06 * (high - low) } else { 0.5 * high.abs().max(1e-6) };
        // A quantity that is never negative should not seem to dip below zero.
        (if low >= 0.0 { (low - room).max(0.0) } else { low - room }, high + room)
    }

    /// What a screen reader says.
    fn spoken(&self) -> String {
        let shown = |y: f64| if self.unit == Unit::Percent { format!("{:.0} %", 100.0 * y) } else { short_number(y) };
        let series = self.series.iter().filter_map(|s| {
            let (first, last) = (s.points.first()?, s.points.last()?);
            Some(format!("{} from {} to {}", s.label, shown(first.1), shown(last.1)))
        });
        format!("{}: {}", self.title, series.collect::<Vec<_>>().join("; "))
    }
}

fn path(points: &[(f64, f64)], x_at: &impl Fn(f64) -> f64, y_at: &impl Fn(f64) -> f64) -> String {
    let mut d = String::new();
    let mut pen_down = false;
    for &(x, y) in points {
        if y.is_finite() {
            d += &format!("{}{:.1} {:.1}", if pen_down { 'L' } else { 'M' }, x_at(x), y_at(y));
        }
        pen_down = y.is_finite();
    }
    d
}

/// At most [`MAX_POINTS`] points: means over buckets of equal count; a bucket with a value that is not finite is not finite.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let bucket = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |c: &[(f64, f64)]| {
        let n = c.len() as f64;
        (c.iter().map(|p| p.0).sum::<f64>() / n, c.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(bucket).map(mean).collect()
}

/// Local linear regression over about a tenth of the points: unlike an exponential average it does not lag behind a falling loss, and
/// unlike a plain moving average it does not bend at the ends. Windows stop at gaps.
pub fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let reach = (points.len() / 20).max(2);
    let smooth = |i: usize| {
        let (x, y) = points[i];
        let finite = |d: &usize, at: Option<usize>| at.and_then(|at| points.get(at)).is_some_and(|p| p.1.is_finite()) && *d <= reach;
        let before = (1..).take_while(|d| finite(d, i.checked_sub(*d))).count();
        let after = (1..).take_while(|d| finite(d, Some(i + d))).count();
        let window = &points[i - before..=i + after];
        (x, if y.is_finite() { line_at(window, x) } else { y })
    };
    (0..points.len()).map(smooth).collect()
}

/// The least-squares line through `window`, at `x`.
fn line_at(window: &[(f64, f64)], x: f64) -> f64 {
    let n = window.len() as f64;
    let (mean_x, mean_y) = (window.iter().map(|p| p.0).sum::<f64>() / n, window.iter().map(|p| p.1).sum::<f64>() / n);
    let variance: f64 = window.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    let covariance: f64 = window.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    mean_y + if variance > 0.0 { covariance / variance * (x - mean_x) } else { 0.0 }
}

/// Multiples of 1, 2 or 5 times a power of ten inside [low, high], about `count` of them.
fn nice_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count as f64;
    if !(raw > 0.0 && raw.is_finite()) {
        return vec![low];
    }
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * magnitude).into_iter().find(|s| *s >= raw * 0.999).unwrap_or(raw);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Up to three significant digits: `0.05`, `1.5k`, `2e-5`.
pub fn short_number(v: f64) -> String {
    let size = v.abs();
    let trimmed = |s: String| if s.contains('.') { s.trim_end_matches('0').trim_end_matches('.').to_owned() } else { s };
    let shown = match size {
        _ if !v.is_finite() => v.to_string(),
        s if s < 1e-12 => "0".into(),
        s if !(1e-3..1e7).contains(&s) => {
            let scientific = format!("{v:.1e}");
            scientific.replace(".0e", "e")
        }
        s if s >= 1e6 => trimmed(format!("{:.2}", v / 1e6)) + "M",
        s if s >= 1e4 => trimmed(format!("{:.1}", v / 1e3)) + "k",
        s => trimmed(format!("{v:.*}", (2 - s.log10().floor() as i32).clamp(0, 5) as usize)),
    };
    shown.replace('-', "−").replace("e−", "e-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: Vec<(f64, f64)>) -> Series {
        Series { label: "RL-Co <b>".into(), colour: 1, points, band: Vec::new() }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(nice_ticks(0.0, 1.0, 4), [0.0, 0.5, 1.0]);
        assert_eq!(nice_ticks(0.0, 2000.0, 5), [0.0, 500.0, 1000.0, 1500.0, 2000.0]);
        let ticks = nice_ticks(-0.013, 0.042, 4);
        assert!(ticks.iter().all(|t| (-0.013..=0.042).contains(t)) && ticks.contains(&0.0), "{ticks:?}");
        assert_eq!(nice_ticks(3.0, 3.0, 4), [3.0]);
    }

    #[test]
    fn numbers_are_short() {
        for (v, s) in [
            (0.0, "0"),
            (0.05, "0.05"),
            (1.0, "1"),
            (1234.0, "1234"),
            (15_000.0, "15k"),
            (2.5e6, "2.5M"),
            (-0.25, "−0.25"),
            (0.00002, "2e-5"),
            (99.96, "100"),
        ] {
            assert_eq!(short_number(v), s);
        }
    }

    #[test]
    fn a_point_lies_where_its_value_says() {
        let s = [series(vec![(0.0, 0.0), (10.0, 1.0)])];
        let svg = LineChart { title: "success", unit: Unit::Percent, series: &s }.svg();
        // Left bottom corner of the plot to its right top corner.
        assert!(svg.contains(r#"<path class="line" d="M46.0 176.0L372.0 8.0"/>"#), "{svg}");
        assert!(svg.contains("RL-Co &lt;b&gt; from 0 % to 100 %") && !svg.contains("<b>"), "{svg}");
    }

    #[test]
    fn a_diverged_value_breaks_the_line_and_is_marked() {
        let s = [series(vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 1.0), (3.0, 2.0)])];
        let svg = LineChart { title: "loss", unit: Unit::Number, series: &s }.svg();
        assert_eq!(svg.matches("class=\"nan\"").count(), 1);
        assert!(svg.contains("NaN at step 1"));
        let line = svg.split("class=\"line\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.matches('M').count(), 2, "{line}");
        assert!(
            LineChart { title: "loss", unit: Unit::Number, series: &[series(vec![(0.0, f64::NAN)])] }.svg().contains("no finite value")
        );
    }

    #[test]
    fn long_series_are_thinned_without_bias_and_smoothed() {
        let points: Vec<(f64, f64)> = (0..10_000).map(|i| (i as f64, if i % 2 == 0 { 1.0 } else { 3.0 })).collect();
        let thinned = thin(&points);
        assert!(thinned.len() <= MAX_POINTS && thinned.iter().all(|p| (p.1 - 2.0).abs() < 1e-9));
        // A straight line stays where it is: no lag, no pull at the ends.
        let line: Vec<(f64, f64)> = (0..90).map(|i| (i as f64, 3.0 - 0.5 * i as f64)).collect();
        assert!(smoothed(&line).iter().zip(&line).all(|(s, p)| (s.1 - p.1).abs() < 1e-9));
        let noisy: Vec<(f64, f64)> = (0..90).map(|i| (i as f64, f64::from(i % 2))).collect();
        assert!(smoothed(&noisy).iter().all(|s| (s.1 - 0.5).abs() < 0.45), "the ends are smoothed too");
        let mut gap = line.clone();
        gap[40].1 = f64::NAN;
        let around = smoothed(&gap);
        assert!(around[40].1.is_nan() && [39, 41].iter().all(|&i: &usize| (around[i].1 - line[i].1).abs() < 1e-9));
    }
}
