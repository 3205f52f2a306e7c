//! Durations as Go writes them: `87600h`, `1h30m`, `1.5s`, `300ms`.
use std::time::Duration;

/// `None` for what Go's `time.ParseDuration` refuses, and for what is negative or beyond 290 years.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, tail) = split(rest, |it| it.is_ascii_digit() || it == '.');
        let (unit, tail) = split(tail, |it| !it.is_ascii_digit() && it != '.');
        total = total.checked_add(part(number, unit)?)?;
        rest = tail;
    }
    (!text.is_empty() && text != "+" && i64::try_from(total).is_ok())
        .then(|| Duration::from_nanos(total))
}

fn split(text: &str, of: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|it| !of(it)).unwrap_or(text.len()))
}

/// Nanoseconds of one number and its unit; digits beyond the 18th of a fraction do not matter.
fn part(number: &str, unit: &str) -> Option<u64> {
    let unit: u64 = match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = fraction.get(..fraction.len().min(18))?;
    if (whole.is_empty() && digits.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: u128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    let scale = 10_u128.checked_pow(u32::try_from(digits.len()).ok()?)?;
    let part = u64::try_from(part * u128::from(unit) / scale).ok()?;
    whole.checked_mul(unit)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads_is_read_and_nothing_else() {
        for (text, nanoseconds) in [
            ("0", Some(0)),
            ("87600h", Some(315_360_000_000_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5s", Some(1_500_000_000)),
            (".5s", Some(500_000_000)),
            ("300ms", Some(300_000_000)),
            ("2us", Some(2_000)),
            ("1m0.000000001s", Some(60_000_000_001)),
            ("", None),
            ("+", None),
            ("5", None),
            ("h", None),
            (".s", None),
            ("-1s", None),
            ("1.2.3s", None),
            ("1x", None),
            ("9999999999h", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(parse(text).map(|it| it.as_nanos()), nanoseconds, "{text}");
        }
    }
}
