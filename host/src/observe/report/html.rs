//! Safe pieces of HTML: everything that comes from a recipe, a plugin or a file passes through [`text`].

use std::fmt;
use twinhost_plugin_api::EnvKind;

use crate::observe::statistics::Spread;

/// Shows a string as text: nothing in it can become a tag, an attribute or an entity.
pub fn text(raw: &str) -> Text<'_> {
    Text(raw)
}

pub struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Control characters are not allowed in HTML.
                c if c.is_control() && !matches!(c, '\n' | '\t') => f.write_str("\u{fffd}")?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// What an environment may be called. A simulator that plays the robot is never shown without saying so.
pub fn kind_label(kind: EnvKind) -> &'static str {
    match kind {
        EnvKind::Simulated => "simulation",
        EnvKind::StandIn => "simulated stand-in for a real robot",
        EnvKind::Real => "real robot",
    }
}

pub fn kind_badge(kind: EnvKind) -> String {
    let class = match kind {
        EnvKind::Simulated => "sim",
        EnvKind::StandIn => "standin",
        EnvKind::Real => "real",
    };
    format!(r#"<span class="badge {class}">{}</span>"#, kind_label(kind))
}

/// `72.0 %`, never broken across lines.
pub fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * share)
}

/// `+21.0`, with a real minus sign.
pub fn signed_points(share: f64) -> String {
    let value = 100.0 * share;
    let rounded = format!("{:.1}", value.abs());
    let sign = match () {
        () if rounded == "0.0" => "±",
        () if value < 0.0 => "−",
        () => "+",
    };
    format!("{sign}{rounded}")
}

/// `71.3 ± 4.0 %`
pub fn with_spread(s: &Spread) -> String {
    match s.std {
        Some(std) => format!("{:.1} ± {:.1}\u{a0}%", 100.0 * s.mean, 100.0 * std),
        None => percent(s.mean),
    }
}

pub fn p_value(p: f64) -> String {
    if p < 0.001 { "p &lt; 0.001".into() } else { format!("p = {p:.3}") }
}

/// A track from 0 to 100 % with the interval as a bar, the estimate as a dot, and further marks (seeds) as ticks.
pub fn interval_track(value: f64, low: f64, high: f64, colour: usize, ticks: &[f64]) -> String {
    let at = |v: f64| format!("{:.2}%", 100.0 * v.clamp(0.0, 1.0));
    let marks: String = ticks.iter().map(|&t| format!(r#"<i class="tick" style="left:{}"></i>"#, at(t))).collect();
    format!(
        r#"<div class="track c{}" aria-hidden="true"><i class="whisker" style="left:{};width:{}"></i>{marks}<i class="dot" style="left:{}"></i></div>"#,
        colour % COLOURS,
        at(low),
        at(high.min(1.0) - low.max(0.0)),
        at(value),
    )
}

/// Number of series colours in `style.css`.
pub const COLOURS: usize = 8;

/// One part of a [`stacked_bar`].
pub struct Part {
    pub label: String,
    pub value: f64,
    pub colour: usize,
    /// Shown in the legend and as a tooltip.
    pub shown: String,
}

/// A bar of `width` (0 to 1 of the room) split in proportion to the parts, with a legend below.
pub fn stacked_bar(parts: &[Part], width: f64) -> String {
    let total: f64 = parts.iter().map(|p| p.value).sum();
    if total <= 0.0 {
        return String::new();
    }
    let mut bar = format!(r#"<div class="stack" style="width:{:.2}%">"#, 100.0 * width.clamp(0.02, 1.0));
    let mut legend = String::from(r#"<ul class="legend">"#);
    for p in parts.iter().filter(|p| p.value > 0.0) {
        let c = p.colour % COLOURS;
        bar += &format!(r#"<i class="c{c}" style="flex-grow:{:.4}" title="{}: {}"></i>"#, p.value / total, text(&p.label), text(&p.shown));
        legend += &format!(r#"<li class="c{c}">{} <b>{}</b></li>"#, text(&p.label), text(&p.shown));
    }
    format!("{bar}</div>{legend}</ul>")
}

/// The frame of every page: head, style, body.
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n",
        text(title),
        include_str!("style.css"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            text("<script>alert('x')</script> & \"q\" \u{1}").to_string(),
            "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot; \u{fffd}"
        );
    }

    #[test]
    fn numbers_read_as_in_a_paper() {
        assert_eq!(signed_points(0.21), "+21.0");
        assert_eq!(signed_points(-0.0349), "−3.5");
        assert_eq!(signed_points(-0.0001), "±0.0");
        assert_eq!(with_spread(&Spread::of(&[0.5, 0.7]).unwrap()), "60.0 ± 14.1\u{a0}%");
        assert_eq!(p_value(0.0004), "p &lt; 0.001");
        assert_eq!(p_value(0.125), "p = 0.125");
    }

    #[test]
    fn bars_share_the_room() {
        let part = |label: &str, value| Part { label: label.into(), value, colour: 9, shown: format!("{value} s") };
        let html = stacked_bar(&[part("sim", 3.0), part("none", 0.0), part("a<b", 1.0)], 0.5);
        assert!(html.contains("width:50.00%") && html.contains("flex-grow:0.7500") && html.contains("flex-grow:0.2500"), "{html}");
        assert!(html.contains("a&lt;b") && !html.contains("none"), "{html}");
        assert_eq!(stacked_bar(&[], 1.0), "");
    }
}
