//! Prices, as people write them down, and what a call costs by them. Whole millionths of a dollar, rounded up.

use std::str::FromStr;

/// Dollars for so many of something: a million tokens, a minute.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Price(f64);

/// What is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no amount of US dollars; give one like 0.15")]
pub struct BadPrice;

impl FromStr for Price {
    type Err = BadPrice;

    fn from_str(text: &str) -> Result<Self, BadPrice> {
        let dollars = text.parse().map_err(|_| BadPrice)?;
        match dollars {
            0.0..=1_000_000.0 => Ok(Self(dollars)),
            _ => Err(BadPrice),
        }
    }
}

impl Price {
    /// The amount itself in millionths of a dollar.
    #[must_use]
    pub fn microcents(self) -> u64 {
        self.of(1.0)
    }

    /// What `units` cost, in millionths of a dollar.
    pub(super) fn of(self, units: f64) -> u64 {
        // A float that is too large becomes the largest number, and one that is none becomes 0.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let microcents = (self.0 * units * 1e6).ceil() as u64;
        microcents
    }

    /// What so many tokens cost, at so much a million.
    pub(super) fn of_tokens(self, tokens: u64) -> u64 {
        self.of(tokens as f64 / 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_whole_and_never_too_small() {
        let price = |text: &str| text.parse::<Price>().expect("a price");
        assert_eq!(price("0.15").of_tokens(1_000_000), 150_000);
        assert_eq!(price("0.15").of_tokens(1), 1);
        assert_eq!(price("0.006").of(0.5), 3_000);
        assert_eq!(price("0").of_tokens(u64::MAX), 0);
        assert_eq!(price("1.50").microcents(), 1_500_000);
        for bad in ["", "free", "-1", "NaN", "inf", "$1"] {
            assert_eq!(bad.parse::<Price>(), Err(BadPrice), "{bad}");
        }
    }
}
