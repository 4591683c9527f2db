//! Results that somebody stored without an end, in a real Redis.

use std::time::Duration;

use sapari_runtime::message::MessageId;
use sapari_runtime::result::Results;
use sapari_runtime::result::redis::{RedisConfig, RedisResults};

use super::result_url;

#[tokio::test(flavor = "multi_thread")]
async fn a_result_without_an_end_is_given_one_and_nothing_else_is() {
    let config = RedisConfig {
        key_prefix: Some(format!("prune-{}", uuid::Uuid::new_v4())),
        ..RedisConfig::new(result_url())
    };
    let results = RedisResults::connect(config).await.expect("Redis is up");
    let [endless, ending, foreign] = [(); 3].map(|()| MessageId::new());
    let record = br#"{"is_err": false, "return_value": 7}"#;
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    results.put_endless(&endless, record).await.expect("put");
    results.put_raw(&ending, record, day).await.expect("put");
    results.put_endless(&foreign, b"7").await.expect("put");
    let left = async |id| results.time_left(id).await.expect("an answer");
    assert_eq!(left(&endless).await, None);
    assert_eq!(results.prune(hour).await.expect("pruned"), 1);
    assert!(left(&endless).await.is_some_and(|left| left <= hour));
    assert!(left(&ending).await.is_some_and(|left| left > hour));
    assert_eq!(left(&foreign).await, None, "whose it is, nobody knows");
    assert_eq!(results.prune(hour).await.expect("pruned"), 0);
    results.forget(&foreign).await.expect("tidied up");
}
