//! Wall-clock time as people read it: UTC dates and durations. Nothing here may influence a result, only names and labels.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 UTC.
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

/// Year, month, day of a day number since 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn parts(unix: f64) -> [i64; 6] {
    let seconds = unix.floor() as i64;
    let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    [year, month, day, of_day / 3600, of_day / 60 % 60, of_day % 60]
}

/// `20261120-102753`, for names of folders.
pub fn utc_compact(unix: f64) -> String {
    let [y, mo, d, h, mi, s] = parts(unix);
    format!("{y:04}{mo:02}{d:02}-{h:02}{mi:02}{s:02}")
}

/// `2026-11-20 10:27 UTC`, for people.
pub fn utc_readable(unix: f64) -> String {
    let [y, mo, d, h, mi, _] = parts(unix);
    format!("{y:04}-{mo:02}-{d:02} {h:02}:{mi:02} UTC")
}

/// `850 ms`, `12.3 s`, `4 min 05 s`, `1 h 02 min`.
pub fn human_duration(seconds: f64) -> String {
    let whole = seconds.round().max(0.0) as u64;
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", (s * 1000.0).max(0.0)),
        s if s < 59.95 => format!("{s:.1} s"),
        _ if whole < 3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_agree_with_known_instants() {
        // 1e9 s after the epoch is widely published as 2001-09-09 01:46:40; the others are leap-day borders.
        assert_eq!(utc_compact(0.0), "19700101-000000");
        assert_eq!(utc_compact(1e9), "20010909-014640");
        assert_eq!(utc_compact(951_782_399.0 + 1.0), "20000229-000000");
        assert_eq!(utc_compact(951_782_400.0 + 86_400.0), "20000301-000000");
        assert_eq!(utc_readable(1e9), "2001-09-09 01:46 UTC");
    }

    #[test]
    fn durations_read_naturally() {
        for (seconds, text) in
            [(0.0, "0 ms"), (0.85, "850 ms"), (12.34, "12.3 s"), (59.97, "1 min 00 s"), (245.0, "4 min 05 s"), (3725.0, "1 h 02 min")]
        {
            assert_eq!(human_duration(seconds), text);
        }
    }
}
