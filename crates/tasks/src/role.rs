//! The roles: one kind of worker process, one queue, one `service.name` each.
//! A role stands here once it has a worker.

use std::fmt;
use std::str::FromStr;

use sapari_runtime::host::Process;
use sapari_runtime::queue::Queue;

/// One kind of worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Listens to projects and decides what to cut.
    Analysis,
    /// Fetches clips from the web, and makes what others need of them.
    Download,
    /// Makes light copies of clips.
    Proxy,
    /// Cuts, encodes and stores exports.
    Render,
    /// Sends mails.
    Email,
    /// Edits single assets.
    AssetEdit,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 6] = [
        Self::Analysis,
        Self::Download,
        Self::Proxy,
        Self::Render,
        Self::Email,
        Self::AssetEdit,
    ];

    /// The role's name as people type it, and as its queue is called.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::Download => "download",
            Self::Proxy => "proxy",
            Self::Render => "render",
            Self::Email => "email",
            Self::AssetEdit => "asset-edit",
        }
    }

    /// The role's queue.
    #[must_use]
    pub const fn queue(self) -> Queue {
        match self {
            Self::Analysis | Self::Render | Self::AssetEdit => {
                Queue::named(self.as_str()).levels(4)
            }
            Self::Download | Self::Proxy | Self::Email => Queue::named(self.as_str()),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no role's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRole(String);

impl fmt::Display for UnknownRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        write!(
            f,
            "there is no role {:?}; the roles are {}",
            self.0,
            known.join(", ")
        )
    }
}

impl std::error::Error for UnknownRole {}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

impl Process for Role {
    const APP: &'static str = "sapari";

    fn name(self) -> &'static str {
        self.as_str()
    }

    fn about(self) -> &'static str {
        match self {
            Self::Analysis => {
                "Runs the analysis worker: listens to projects and decides what to cut"
            }
            Self::Download => "Runs the download worker: fetches clips, their sound and waveform",
            Self::Proxy => "Runs the proxy worker: makes light copies of clips",
            Self::Render => "Runs the render worker: cuts, encodes and stores exports",
            Self::Email => "Runs the email worker: sends mails, each made from a template",
            Self::AssetEdit => {
                "Runs the asset-edit worker: trims assets, takes their sound, normalizes pictures"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roles_that_people_wait_for_have_four_levels_and_the_others_one() {
        let table = [
            (Role::Analysis, "analysis", 4),
            (Role::Render, "render", 4),
            (Role::AssetEdit, "asset-edit", 4),
            (Role::Download, "download", 1),
            (Role::Proxy, "proxy", 1),
            (Role::Email, "email", 1),
        ];
        assert_eq!(table.len(), Role::ALL.len());
        for (role, name, levels) in table {
            let queue = role.queue();
            assert_eq!((queue.name(), queue.level_count()), (name, levels));
            assert_eq!((role.name(), name.parse()), (name, Ok(role)));
            assert!(Role::ALL.contains(&role), "{role}");
        }
    }
}
