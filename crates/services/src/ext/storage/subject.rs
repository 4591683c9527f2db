//! For whom a storage call is made.
//!
//! It deliberately is a closed set: the span needs a key with a fixed name.

use uuid::Uuid;

/// The domain object a storage call is for, as it appears on the span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// `clip_file_uuid`
    Clip(Uuid),
    /// `project_uuid`
    Project(Uuid),
    /// `export_uuid`
    Export(Uuid),
    /// `asset_file_uuid`
    Asset(Uuid),
}

impl Subject {
    /// The call is for a clip.
    #[must_use]
    pub fn clip(clip_file_uuid: Uuid) -> Self {
        Self::Clip(clip_file_uuid)
    }

    /// The call is for a project.
    #[must_use]
    pub fn project(project_uuid: Uuid) -> Self {
        Self::Project(project_uuid)
    }

    /// The call is for an export.
    #[must_use]
    pub fn export(export_uuid: Uuid) -> Self {
        Self::Export(export_uuid)
    }

    /// The call is for an asset.
    #[must_use]
    pub fn asset(asset_file_uuid: Uuid) -> Self {
        Self::Asset(asset_file_uuid)
    }
}

/// The span of one operation. Attribute names are static, so there is one call for each.
macro_rules! storage_span {
    ($op:ident, $subject:expr) => {
        match $subject {
            $crate::ext::storage::Subject::Clip(id) => {
                ::sapari_telemetry::ext_span!(storage.$op { clip_file_uuid = %id })
            }
            $crate::ext::storage::Subject::Project(id) => {
                ::sapari_telemetry::ext_span!(storage.$op { project_uuid = %id })
            }
            $crate::ext::storage::Subject::Export(id) => {
                ::sapari_telemetry::ext_span!(storage.$op { export_uuid = %id })
            }
            $crate::ext::storage::Subject::Asset(id) => {
                ::sapari_telemetry::ext_span!(storage.$op { asset_file_uuid = %id })
            }
        }
    };
}
pub(super) use storage_span;
