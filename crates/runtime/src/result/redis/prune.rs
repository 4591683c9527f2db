//! Records without an end: what a client wrote that sets no time to live. They are found by going through all keys, a few at a time, and
//! told from the keys of others by how TaskIQ's JSON begins. Nothing is deleted: they are given an end.

use std::time::Duration;

use super::RedisResults;
use super::line::{Broken, millis};

/// How many keys the server looks at in one go; others wait for it meanwhile.
const AT_A_TIME: u32 = 500;
/// How every record begins, whoever wrote it.
const BEGINS: &[u8] = br#"{"is_err""#;
/// What `PTTL` says of a key without an end.
const ENDLESS: i64 = -1;

impl RedisResults {
    pub(super) async fn give_ends(&self, kept: Duration) -> Result<u64, Broken> {
        let (mut cursor, mut given) = (0_u64, 0);
        loop {
            let mut scan = redis::pipe();
            scan.cmd("SCAN").arg(cursor).arg("COUNT").arg(AT_A_TIME);
            if let Some(prefix) = &self.keys.prefix {
                scan.arg("MATCH").arg(format!("{}:*", escaped(prefix)));
            }
            scan.arg("TYPE").arg("string");
            let ((next, keys),): ((u64, Vec<String>),) = self.line.run(&scan).await?;
            // An id has no space; the ledger's own keys have.
            let ids: Vec<String> = keys.into_iter().filter(|key| !key.contains(' ')).collect();
            let records = self.endless_records(&ids).await?;
            self.end(&records, kept).await?;
            given += records.len() as u64;
            cursor = next;
            if cursor == 0 {
                return Ok(given);
            }
        }
    }

    async fn endless_records<'a>(&self, keys: &'a [String]) -> Result<Vec<&'a String>, Broken> {
        let mut looks = redis::pipe();
        for key in keys {
            looks.cmd("PTTL").arg(key);
            looks.cmd("GETRANGE").arg(key).arg(0).arg(BEGINS.len() - 1);
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let seen: Vec<redis::Value> = self.line.run(&looks).await?;
        let is_one = |pair: &[redis::Value]| match pair {
            [redis::Value::Int(ENDLESS), redis::Value::BulkString(start)] => start == BEGINS,
            _ => false,
        };
        let seen = keys.iter().zip(seen.chunks(2));
        Ok(seen
            .filter(|(_, pair)| is_one(pair))
            .map(|(key, _)| key)
            .collect())
    }

    async fn end(&self, keys: &[&String], kept: Duration) -> Result<(), Broken> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut ends = redis::pipe();
        for key in keys {
            ends.cmd("PEXPIRE").arg(key).arg(millis(kept)).ignore();
        }
        self.line.run(&ends).await
    }
}

/// A prefix as a pattern that means itself.
fn escaped(prefix: &str) -> String {
    let special = |c: char| "*?[]\\^-".contains(c);
    prefix
        .chars()
        .flat_map(|c| special(c).then_some('\\').into_iter().chain([c]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_means_itself() {
        assert_eq!(escaped("a*b[c]\\"), "a\\*b\\[c\\]\\\\");
    }
}
