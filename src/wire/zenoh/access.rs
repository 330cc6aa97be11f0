//! Where a host is, and who may talk to it.
//!
//! Beyond this machine there is no host without a token and TLS, on either side: windows are what somebody's brain
//! does.

use crate::error::{Error, Result};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The fewest characters of a secret.
const SECRET_LENGTH: usize = 16;
/// The longest token file.
const MAX_BYTES: u64 = 1 << 16;

/// What is needed to get in, or to let in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// A file with `NAME:SECRET`; that of a host may have many lines.
    pub token_file: Option<PathBuf>,
    /// The certificate of who signs for hosts (PEM).
    pub ca: Option<PathBuf>,
    /// The certificate of a host, and its key (PEM).
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// A name and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Whose it is.
    pub name: String,
    /// What only they know.
    pub secret: String,
}

/// `tcp/HOST:PORT` or `tls/HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// As it was written.
    pub text: String,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// Whether it stays on this machine.
    pub is_local: bool,
}

impl Endpoint {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::config(format!(
                "`{text}` is no place of a host: expected tls/HOST:PORT, or tcp/HOST:PORT on this machine"
            ))
        };
        let (protocol, address) = text.split_once('/').ok_or_else(wrong)?;
        let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_sound = match bare {
            Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
            }
        };
        if !is_sound || !matches!(protocol, "tcp" | "tls") || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        let ip = bare.unwrap_or(host).parse::<IpAddr>();
        let is_local = ip.map_or(host == "localhost", |ip| ip.is_loopback());
        Ok(Self { text: text.to_owned(), is_tls: protocol == "tls", is_local })
    }

    /// HOST:PORT.
    pub fn address(&self) -> &str {
        self.text.split_once('/').map_or("", |(_, address)| address)
    }

    /// Refuses what would go over a network open to all.
    pub fn check(&self, access: &Access) -> Result<()> {
        if self.is_local || (self.is_tls && access.token_file.is_some()) {
            return Ok(());
        }
        Err(Error::config(format!(
            "`{}` is not on this machine: that takes TLS (tls/HOST:PORT) and a token",
            self.text
        )))
    }
}

impl Token {
    /// Every token in `path`.
    pub fn all(path: &Path) -> Result<Vec<Self>> {
        let tokens = read(path).and_then(|text| Self::parse(&text));
        tokens.map_err(|e| e.at(path.display()))
    }

    /// The only token in `path`.
    pub fn one(path: &Path) -> Result<Self> {
        let mut tokens = Self::all(path)?;
        match (tokens.pop(), tokens.is_empty()) {
            (Some(token), true) => Ok(token),
            _ => {
                let text = "holds more than one token: give each client a file of its own";
                Err(Error::input(text).at(path.display()))
            }
        }
    }

    fn parse(text: &str) -> Result<Vec<Self>> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let tokens: Vec<Self> = lines.map(Self::line).collect::<Result<_>>()?;
        match tokens.is_empty() {
            true => Err(Error::input("holds no token: expected a line NAME:SECRET")),
            false => Ok(tokens),
        }
    }

    fn line(line: &str) -> Result<Self> {
        let (name, secret) = line
            .split_once(':')
            .map(|(name, secret)| (name.trim(), secret.trim()))
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Error::input("holds a line that is not NAME:SECRET"))?;
        if secret.chars().count() < SECRET_LENGTH {
            let text = format!(
                "the secret of `{name}` has fewer than {SECRET_LENGTH} characters: make one with \
                 `openssl rand -hex 32`"
            );
            return Err(Error::input(text));
        }
        Ok(Self { name: name.to_owned(), secret: secret.to_owned() })
    }
}

fn read(path: &Path) -> Result<String> {
    let unread = |e: std::io::Error| Error::input(format!("cannot be read: {e}"));
    let facts = std::fs::metadata(path).map_err(unread)?;
    if facts.len() > MAX_BYTES {
        return Err(Error::input("is too long for a file of tokens"));
    }
    check_rights(&facts)?;
    std::fs::read_to_string(path).map_err(unread)
}

/// Refuses a secret that others of this machine can read.
#[cfg(unix)]
fn check_rights(facts: &std::fs::Metadata) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match facts.permissions().mode() & 0o077 {
        0 => Ok(()),
        _ => Err(Error::input("can be read by others: chmod 600 it")),
    }
}

#[cfg(not(unix))]
fn check_rights(_: &std::fs::Metadata) -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let facts = |text: &str| Endpoint::parse(text).map(|e| (e.is_tls, e.is_local)).ok();
        assert_eq!(facts("tcp/127.0.0.1:7447"), Some((false, true)));
        assert_eq!(facts("tls/[::1]:7447"), Some((true, true)));
        assert_eq!(facts("tls/localhost:1"), Some((true, true)));
        assert_eq!(facts("tls/gpu-box.lab:7447"), Some((true, false)));
        assert_eq!(facts("tls/0.0.0.0:7447"), Some((true, false)));
        assert_eq!(facts("tls/localhost.evil.example:7447"), Some((true, false)));
        for wrong in [
            "udp/a:1",
            "tcp/a",
            "a:1",
            "tcp/:1",
            "tcp/a:99999",
            "tcp/a:1#iface=eth0",
            "tls/a:1?x=y",
            "tcp/a b:1",
            "tls/[zz]:1",
            "",
        ] {
            assert_eq!(facts(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn beyond_this_machine_a_token_and_tls_are_needed() {
        let check = |place: &str, token: bool| {
            let token_file = token.then(|| PathBuf::from("token"));
            Endpoint::parse(place)
                .unwrap()
                .check(&Access { token_file, ..Access::default() })
                .is_ok()
        };
        assert!(check("tcp/127.0.0.1:1", false) && check("tls/box:1", true));
        assert!(!check("tls/box:1", false) && !check("tcp/box:1", true));
        assert!(!check("tcp/0.0.0.0:1", true));
    }

    #[test]
    fn tokens_are_read() {
        let secret = "0123456789abcdef";
        let tokens = Token::parse(&format!("lab:{secret}\n\n ward : {secret}:x \n")).unwrap();
        assert_eq!((tokens[0].name.as_str(), tokens[0].secret.as_str()), ("lab", secret));
        assert_eq!((tokens[1].name.as_str(), tokens[1].secret.len()), ("ward", 18));
        let refusal = |text: &str| Token::parse(text).err().unwrap().to_string();
        assert!(refusal("\n").contains("no token"));
        assert!(refusal(secret).contains("NAME:SECRET"));
        assert!(refusal("lab:short").contains("fewer than 16"));
        assert!(!refusal("lab:short").contains(":short"));
    }

    #[cfg(unix)]
    #[test]
    fn a_token_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "lab:0123456789abcdef\n").unwrap();
        let refusal = |mode: u32| {
            let rights = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(file.path(), rights).unwrap();
            Token::one(file.path()).err().map(|e| e.to_string())
        };
        assert_eq!(refusal(0o600), None);
        assert!(refusal(0o640).unwrap().contains("chmod 600"));
    }
}
