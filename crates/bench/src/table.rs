//! Numbers in columns: names to the left, numbers to the right. Knows nothing of what they mean.

/// Rows under a title.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let head = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { rows: vec![head] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let lines = self.rows.iter().map(|row| line(row, &widths));
        lines.collect::<Vec<_>>().join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell: &String| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        (0..columns).map(widest).collect()
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cell = |(column, (cell, width)): (usize, (&String, &usize))| {
        if column == 0 {
            format!("{cell:<width$}")
        } else {
            format!("{cell:>width$}")
        }
    };
    let cells: Vec<String> = row.iter().zip(widths).enumerate().map(cell).collect();
    cells.join("  ").trim_end().to_owned()
}

/// `1234567` as `1,234,567`.
pub(crate) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let from_the_right = digits.chars().rev().enumerate();
    let parts = from_the_right.flat_map(|(place, digit)| {
        let comma = (place > 0 && place % 3 == 0).then_some(',');
        comma.into_iter().chain([digit])
    });
    parts.collect::<Vec<_>>().into_iter().rev().collect()
}

/// The middle one; the mean of the two in the middle when there are two.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    quantile(numbers, 0.5)
}

pub(crate) fn least(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::INFINITY, f64::min)
}

/// The number below which this share of them lies.
pub(crate) fn quantile(numbers: &[f64], share: f64) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1) as f64;
    let (below, above) = ((last * share).floor(), (last * share).ceil());
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
    f64::midpoint(at(below), at(above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["what", "rate"]);
        table.row(["a long name".to_owned(), whole(1234567.0)]);
        table.row(["b".to_owned(), whole(12.4)]);
        assert_eq!(
            table.text(),
            "what              rate\na long name  1,234,567\nb                   12"
        );
    }

    #[test]
    fn the_middle_is_found() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 1.0), 5.0);
        assert!(median(&[]).is_nan());
    }
}
