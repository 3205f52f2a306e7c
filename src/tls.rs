//! TLS of a client: whom to trust, and the settings that both programs share.
//! Source: dependencies.md 3.5 for the order of the roots' places.
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{Resumption, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Where distributions keep their roots: Debian, Alpine and distroless; Fedora (old, new); SUSE; BSD.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// A distribution's bundle is some 250 KiB.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Files of a directory that are looked at; Debian has two names for each of 145 roots.
const MAX_FILES: usize = 1024;

/// Whom to trust; empty strings are what is unset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// Any certificate will do: the link is encrypted, but with whom is anybody's guess.
    pub(crate) skip_verify: bool,
    /// The only roots, if given.
    pub(crate) ca_file: String,
    pub(crate) ssl_cert_file: String,
    pub(crate) ssl_cert_dir: String,
}

/// Which setting cannot be followed; nothing else is trusted in its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NoRoots(String);

impl std::fmt::Display for NoRoots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoRoots {}

/// Settings for one handshake: the roots go when it is done, though the connection keeps the rest
/// for as long as it lasts. No session is kept either: connections last for days.
///
/// # Errors
/// A file or directory that was named holds no certificate.
pub(crate) fn client(trust: &Trust, protocol: &[u8]) -> Result<ClientConfig, NoRoots> {
    let provider = Arc::new(ring::default_provider());
    let whom = if trust.skip_verify {
        Whom::Anybody
    } else {
        let roots = Arc::new(roots(trust)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| NoRoots(error.to_string()))?;
        Whom::Known(Mutex::new(Some(verifier)))
    };
    let verifier = Arc::new(Verifier { whom, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| NoRoots(error.to_string()))?
        .dangerous() // rustls' word for any verifier that is not its own; ours calls its own
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![protocol.to_vec()];
    Ok(config)
}

/// Of the first place that is named, or else of the first that has any.
fn roots(trust: &Trust) -> Result<RootCertStore, NoRoots> {
    let mut roots = RootCertStore::empty();
    if !trust.ca_file.is_empty() {
        add_file(&mut roots, Path::new(&trust.ca_file));
        return named(roots, format!("the CA file {}", trust.ca_file));
    }
    let (file, directory) = (&trust.ssl_cert_file, &trust.ssl_cert_dir);
    if !file.is_empty() || !directory.is_empty() {
        if !file.is_empty() {
            add_file(&mut roots, Path::new(file));
        }
        // As in OpenSSL's c_rehash, several directories are parted by colons.
        directory
            .split(':')
            .filter(|it| !it.is_empty())
            .for_each(|it| add_directory(&mut roots, it));
        return named(roots, format!("SSL_CERT_FILE={file} SSL_CERT_DIR={directory}"));
    }
    for bundle in BUNDLES {
        add_file(&mut roots, Path::new(bundle));
        if !roots.is_empty() {
            return Ok(roots);
        }
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(roots)
}

fn named(roots: RootCertStore, name: String) -> Result<RootCertStore, NoRoots> {
    if roots.is_empty() {
        return Err(NoRoots(format!("{name}: no readable certificate there")));
    }
    Ok(roots)
}

/// Adds what it can: one strange certificate among many must not be the end of all links.
fn add_file(roots: &mut RootCertStore, path: &Path) {
    let mut pem = vec![];
    let read = std::fs::File::open(path).and_then(|it| it.take(MAX_FILE).read_to_end(&mut pem));
    if read.is_ok() {
        for certificate in CertificateDer::pem_slice_iter(&pem).flatten() {
            let _ = roots.add(certificate);
        }
    }
}

fn add_directory(roots: &mut RootCertStore, path: &str) {
    let Ok(entries) = std::fs::read_dir(path) else { return };
    for entry in entries.flatten().take(MAX_FILES) {
        // A pipe or a device would be read for ever.
        if std::fs::metadata(entry.path()).is_ok_and(|it| it.is_file()) {
            add_file(roots, &entry.path());
        }
    }
}

/// Checks a certificate once, and always that the peer holds its key.
#[derive(Debug)]
struct Verifier {
    whom: Whom,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum Whom {
    Anybody,
    /// Taken by the one handshake: a distribution's roots are 140 kB.
    Known(Mutex<Option<Arc<WebPkiServerVerifier>>>),
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Whom::Known(roots) = &self.whom else { return Ok(ServerCertVerified::assertion()) };
        match roots.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(roots) => roots.verify_server_cert(certificate, intermediates, name, ocsp, now),
            None => Err(Error::General("these settings were for one handshake".into())),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
pub(crate) mod tests;
