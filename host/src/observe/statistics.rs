//! The statistics of success rates: intervals for one arm, spread over seeds, and differences between arms that faced the same episodes.

/// 97.5 % quantile of the standard normal distribution, for two-sided 95 % intervals.
const Z95: f64 = 1.959_963_984_540_054;

/// A proportion with its Wilson score interval at 95 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Proportion {
    pub successes: u64,
    pub trials: u64,
    /// `successes / trials`, 0 without trials.
    pub rate: f64,
    pub low: f64,
    pub high: f64,
}

impl Proportion {
    /// Wilson (1927): centre `(p + z²/2n) / (1 + z²/n)`, half width `z √(p(1-p)/n + z²/4n²) / (1 + z²/n)`. Without trials: [0, 1].
    ///
    /// # Panics
    /// If there are more successes than trials.
    pub fn wilson(successes: u64, trials: u64) -> Self {
        assert!(successes <= trials, "{successes} successes in {trials} trials");
        if trials == 0 {
            return Self { successes, trials, rate: 0.0, low: 0.0, high: 1.0 };
        }
        let n = trials as f64;
        let p = successes as f64 / n;
        let z2 = Z95 * Z95;
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
        // At the ends the interval touches 0 or 1 exactly; rounding must not say otherwise.
        let low = if successes == 0 { 0.0 } else { centre - half };
        let high = if successes == trials { 1.0 } else { centre + half };
        Self { successes, trials, rate: p, low, high }
    }
}

/// Mean and sample standard deviation (n - 1) over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub mean: f64,
    /// `None` for a single value: one seed says nothing about spread.
    pub std: Option<f64>,
    pub count: usize,
}

impl Spread {
    /// `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let std = (count > 1).then(|| (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (count - 1) as f64).sqrt());
        Some(Self { mean, std, count })
    }
}

/// Success of arm A minus success of arm B over episodes with the same seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedDifference {
    pub pairs: u64,
    /// Episodes that only A solved.
    pub only_a: u64,
    /// Episodes that only B solved.
    pub only_b: u64,
    /// Mean difference, in [-1, 1].
    pub mean: f64,
    /// 95 % interval (Wald on the paired differences).
    pub low: f64,
    pub high: f64,
    /// Two-sided exact McNemar test: the probability of a split at least this uneven if both arms were equally good.
    pub p_value: f64,
}

impl PairedDifference {
    /// `None` without pairs.
    pub fn of(pairs: &[(bool, bool)]) -> Option<Self> {
        if pairs.is_empty() {
            return None;
        }
        let only_a = pairs.iter().filter(|(a, b)| *a && !*b).count() as u64;
        let only_b = pairs.iter().filter(|(a, b)| !*a && *b).count() as u64;
        let n = pairs.len() as f64;
        let mean = (only_a as f64 - only_b as f64) / n;
        // The difference is +1, 0 or -1, so its variance is (a + b)/n - mean².
        let half = Z95 * (((only_a + only_b) as f64 / n - mean * mean) / n).max(0.0).sqrt();
        let (low, high) = ((mean - half).max(-1.0), (mean + half).min(1.0));
        Some(Self { pairs: pairs.len() as u64, only_a, only_b, mean, low, high, p_value: mcnemar_exact(only_a, only_b) })
    }
}

/// Two-sided exact binomial test of `a` against `b` with p = 1/2 (McNemar 1947, exact form).
fn mcnemar_exact(a: u64, b: u64) -> f64 {
    let n = a + b;
    // Terms in logarithms: 2^-n underflows beyond a thousand discordant pairs.
    let mut log_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=a.min(b) {
        tail += log_term.exp();
        log_term += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_agrees_with_newcombe_1998() {
        // R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), Table I, method 3.
        for (successes, trials, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let p = Proportion::wilson(successes, trials);
            assert!((p.low - low).abs() < 5e-5 && (p.high - high).abs() < 5e-5, "{successes}/{trials}: {p:?}");
        }
    }

    #[test]
    fn wilson_is_symmetric_and_stays_in_range() {
        for successes in 0..=40 {
            let (p, q) = (Proportion::wilson(successes, 40), Proportion::wilson(40 - successes, 40));
            assert!((p.low - (1.0 - q.high)).abs() < 1e-12);
            assert!(0.0 <= p.low && p.low <= p.rate && p.rate <= p.high && p.high <= 1.0, "{p:?}");
        }
        assert_eq!((Proportion::wilson(0, 0).low, Proportion::wilson(0, 0).high), (0.0, 1.0));
    }

    #[test]
    fn spread_is_the_sample_deviation() {
        // 2, 4, 9: mean 5, squared deviations 9 + 1 + 16 = 26, over 2: 13.
        assert_eq!(Spread::of(&[2.0, 4.0, 9.0]), Some(Spread { mean: 5.0, std: Some(13f64.sqrt()), count: 3 }));
        assert_eq!(Spread::of(&[0.5]).unwrap().std, None);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn paired_differences_count_discordant_episodes() {
        // 6 solved by A only, 1 by B only, 3 by both: mean 5/10, variance 7/10 - 1/4 = 0.45, half width 1.96 √(0.45/10) = 0.4158.
        let pairs: Vec<_> =
            [(true, false)].repeat(6).into_iter().chain([(false, true), (true, true), (true, true), (true, true)]).collect();
        let d = PairedDifference::of(&pairs).unwrap();
        assert_eq!((d.pairs, d.only_a, d.only_b, d.mean), (10, 6, 1, 0.5));
        assert!((d.low - 0.0842).abs() < 1e-4 && (d.high - 0.9158).abs() < 1e-4, "{d:?}");
        // P(X <= 1 | 7, 1/2) = (1 + 7) / 128; two-sided 16/128.
        assert!((d.p_value - 0.125).abs() < 1e-12);
        assert_eq!(PairedDifference::of(&[(true, true)]).unwrap().p_value, 1.0);
        assert_eq!(PairedDifference::of(&[]), None);
    }

    #[test]
    fn mcnemar_stays_finite_for_many_pairs() {
        let p = mcnemar_exact(2600, 2400);
        // Normal approximation with continuity correction: z = 199/√5000 = 2.814, two-sided p = 0.0049.
        assert!((p - 0.0049).abs() < 2e-4, "{p}");
    }
}
