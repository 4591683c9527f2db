//! The tasks of the asset-edit role. Each leaves the asset as it is and stores what it makes of it under another key.

use sapari_runtime::duration::minutes;
use sapari_runtime::queue::Queue;
use sapari_runtime::task::{Policy, Task};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Role;

/// Keeps one stretch of a video or a sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrimAsset {
    /// The asset's id, under which its calls are found.
    pub asset_file_uuid: Uuid,
    /// Where the asset lies in storage.
    pub asset_key: String,
    /// Where the result is to lie: an MP4.
    pub to_key: String,
    /// Where the stretch begins, in microseconds.
    pub from_us: u64,
    /// Where it ends, in microseconds.
    pub to_us: u64,
}

/// Makes a sound file of what is heard in a video or a sound.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtractAudio {
    /// The asset's id, under which its calls are found.
    pub asset_file_uuid: Uuid,
    /// Where the asset lies in storage.
    pub asset_key: String,
    /// Where the result is to lie.
    pub to_key: String,
    /// What it is to be.
    #[serde(default)]
    pub format: AudioFormat,
}

/// Makes of a picture one that every browser shows alike: upright, of a usual size and format, with nothing told beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NormalizeImage {
    /// The asset's id, under which its calls are found.
    pub asset_file_uuid: Uuid,
    /// Where the asset lies in storage.
    pub asset_key: String,
    /// Where the result is to lie.
    pub to_key: String,
    /// How many pixels its longer side has at most, from 16 to 8192. Nothing is enlarged.
    #[serde(default = "usual_side")]
    pub max_side: u32,
    /// What it is to be.
    #[serde(default)]
    pub format: ImageFormat,
}

/// What a sound file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioFormat {
    /// AAC in an MP4.
    #[default]
    M4a,
    /// MP3.
    Mp3,
    /// Uncompressed, 16 bit.
    Wav,
}

/// What a picture is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFormat {
    /// Small, without transparency.
    #[default]
    Jpeg,
    /// Exact, with transparency.
    Png,
}

/// A video or a sound that was stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredRecording {
    /// Where it lies in storage.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its length in seconds.
    pub seconds: f64,
}

/// A picture that was stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredImage {
    /// Where it lies in storage.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// How wide it is, in pixels.
    pub width: u32,
    /// How high it is, in pixels.
    pub height: u32,
}

fn usual_side() -> u32 {
    2048
}

fn of_asset(asset_file_uuid: Uuid) -> Vec<(&'static str, String)> {
    vec![("asset_file_uuid", asset_file_uuid.to_string())]
}

impl Task for TrimAsset {
    const NAME: &'static str = "trim_asset";
    const QUEUE: Queue = Role::AssetEdit.queue();
    const POLICY: Policy = Policy::DEFAULT.attempts(3).timeout(minutes(15));
    type Output = StoredRecording;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        of_asset(self.asset_file_uuid)
    }
}

impl Task for ExtractAudio {
    const NAME: &'static str = "extract_audio";
    const QUEUE: Queue = Role::AssetEdit.queue();
    const POLICY: Policy = Policy::DEFAULT.attempts(3).timeout(minutes(15));
    type Output = StoredRecording;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        of_asset(self.asset_file_uuid)
    }
}

impl Task for NormalizeImage {
    const NAME: &'static str = "normalize_image";
    const QUEUE: Queue = Role::AssetEdit.queue();
    const POLICY: Policy = Policy::DEFAULT.attempts(3).timeout(minutes(2));
    type Output = StoredImage;

    fn correlation(&self) -> Vec<(&'static str, String)> {
        of_asset(self.asset_file_uuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_usual() {
        let args = r#"{"asset_file_uuid": "018f2a3e-0000-7000-8000-000000000001",
            "asset_key": "a.jpg", "to_key": "b.jpg"}"#;
        let image: NormalizeImage = serde_json::from_str(args).unwrap();
        assert_eq!((image.max_side, image.format), (2048, ImageFormat::Jpeg));
        let sound: ExtractAudio = serde_json::from_str(args).unwrap();
        assert_eq!(sound.format, AudioFormat::M4a);
    }
}
