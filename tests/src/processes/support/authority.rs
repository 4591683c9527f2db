//! An authority of one test's own, and the certificates that it gives. Nobody trusts it who is not told to.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use super::Space;

pub(crate) struct Authority<'a> {
    issuer: CertifiedIssuer<'static, KeyPair>,
    space: &'a Space,
}

impl<'a> Authority<'a> {
    /// A new one; what it writes lies in this test's directory.
    pub(crate) fn new(space: &'a Space) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = "An authority of one test";
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        Self { issuer, space }
    }

    /// Its certificate, in a file.
    pub(crate) fn file(&self) -> String {
        self.written("authority.pem", &self.issuer.pem())
    }

    /// A certificate for this host, valid until the end of that year, with its key, in a file.
    pub(crate) fn certificate(&self, host: &str, until: i32) -> String {
        let mut params = CertificateParams::new([host.to_owned()]).expect("a host");
        params.not_after = date_time_ymd(until, 12, 31);
        let key = key();
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let both = certificate.pem() + &key.serialize_pem();
        self.written(&format!("{host}-{until}.pem"), &both)
    }

    fn written(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.space.path(name);
        std::fs::write(&path, text).expect("writable");
        path.display().to_string()
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
