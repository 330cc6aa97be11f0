//! What `lsl_api.cfg` says about finding streams. Outlets are liblsl's and read the same file, so
//! the places and defaults are liblsl's: the file that `LSLAPICFG` names, then the working
//! directory, the home directory, `/etc`; the first that can be read counts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::sync::OnceLock;

/// How streams are found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    /// Only streams of this session are seen.
    pub session: String,
    /// Where a query is sent to.
    pub targets: Vec<SocketAddr>,
    /// How many routers a query passes.
    pub ttl: u32,
    /// The interfaces through which queries to groups leave; the system's choice when empty.
    pub interfaces: Vec<Ipv4Addr>,
    /// The first port for answers, and how many are tried before one is taken by chance.
    pub ports: (u16, u16),
    /// The versions of the Internet protocol in use.
    pub ipv4: bool,
    /// See `ipv4`.
    pub ipv6: bool,
}

impl Config {
    /// The config of this process, read once.
    pub fn get() -> &'static Self {
        static CONFIG: OnceLock<Config> = OnceLock::new();
        CONFIG.get_or_init(|| {
            let Some((path, text)) = places().into_iter().find_map(|path| {
                let text = std::fs::read(&path).ok()?;
                Some((path, String::from_utf8_lossy(&text).into_owned()))
            }) else {
                return Self::default();
            };
            Self::parse(&text).unwrap_or_else(|e| {
                // liblsl does so too, and both must see the same session.
                tracing::error!("{}: {e}; defaults are used instead", path.display());
                Self::default()
            })
        })
    }

    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self, String> {
        let keys = Keys::parse(text)?;
        let (ipv4, ipv6) = match keys.text("ports.IPv6", "allow") {
            "disable" | "disabled" => (true, false),
            "allow" | "allowed" => (true, true),
            "force" | "forced" => (false, true),
            other => return Err(format!("ports.IPv6 is `{other}`")),
        };
        let base: u16 = keys.number("ports.BasePort", 16_572)?;
        let range: u16 = keys.number("ports.PortRange", 32)?;
        let (groups, ttl) = groups(&keys)?;
        let port = keys.number("ports.MulticastPort", 16_571)?;
        let mut targets: Vec<_> = groups.into_iter().map(|g| SocketAddr::new(g, port)).collect();
        for peer in keys.set("lab.KnownPeers", "{}") {
            // A peer whose name is not known now is not there.
            let Ok(addresses) = (peer, base).to_socket_addrs() else { continue };
            for address in addresses {
                let ports = base..=base.saturating_add(range.saturating_sub(1));
                targets.extend(ports.map(|port| SocketAddr::new(address.ip(), port)));
            }
        }
        targets.retain(|t| if t.is_ipv4() { ipv4 } else { ipv6 });
        let interfaces = keys.set("multicast.Interfaces", "{}");
        Ok(Self {
            session: keys.text("lab.SessionID", "default").to_owned(),
            targets,
            ttl,
            interfaces: interfaces.filter_map(|i| i.parse().ok()).collect(),
            ports: (base, range),
            ipv4,
            ipv6,
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::parse("").expect("the defaults are right")
    }
}

/// The groups to ask and how far questions go, by `ResolveScope`.
fn groups(keys: &Keys) -> Result<(Vec<IpAddr>, u32), String> {
    const SCOPES: [(&str, &str, &str, &str, u32); 5] = [
        ("machine", "multicast.MachineAddresses", "{127.0.0.1}", "", 0),
        (
            "link",
            "multicast.LinkAddresses",
            "{255.255.255.255, 224.0.0.1, 224.0.0.183}",
            "FF02:",
            1,
        ),
        ("site", "multicast.SiteAddresses", "{239.255.172.215}", "FF05:", 24),
        ("organization", "multicast.OrganizationAddresses", "{}", "FF08:", 32),
        ("global", "multicast.GlobalAddresses", "{}", "FF0E:", 255),
    ];
    let scope = keys.text("multicast.ResolveScope", "site");
    let Some(last) = SCOPES.iter().position(|s| s.0 == scope) else {
        return Err(format!("multicast.ResolveScope is `{scope}`"));
    };
    let ipv6 = keys.text("multicast.IPv6MulticastGroup", "113D:6FDD:2C17:A643:FFE2:1BD1:3CD2");
    let mut groups = Vec::new();
    for (_, key, default, prefix, _) in &SCOPES[..=last] {
        groups.extend(keys.set(key, default).map(str::to_owned));
        groups.extend((!prefix.is_empty()).then(|| format!("{prefix}{ipv6}")));
    }
    let instead: Vec<_> =
        keys.set("multicast.AddressesOverride", "{}").map(str::to_owned).collect();
    if !instead.is_empty() {
        groups = instead;
    }
    let ttl: i64 = keys.number("multicast.TTLOverride", -1)?;
    let ttl = if (0..=255).contains(&ttl) { ttl as u32 } else { SCOPES[last].4 };
    Ok((groups.iter().filter_map(|g| g.parse().ok()).collect(), ttl))
}

/// Where a config may lie, best first.
fn places() -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> =
        std::env::var_os("LSLAPICFG").map(PathBuf::from).into_iter().collect();
    places.push("lsl_api.cfg".into());
    places.extend(std::env::home_dir().map(|home| home.join("lsl_api/lsl_api.cfg")));
    places.push("/etc/lsl_api/lsl_api.cfg".into());
    places
}

/// The keys of an INI file as `section.key`.
struct Keys<'a>(BTreeMap<String, &'a str>);

impl<'a> Keys<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let mut keys = BTreeMap::new();
        let mut section = "";
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with([';', '#']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = name.trim();
            } else if let Some((key, value)) = line.split_once('=') {
                keys.insert(format!("{section}.{}", key.trim()), value.trim());
            } else {
                return Err(format!("line {} is neither `[section]` nor `key = value`", i + 1));
            }
        }
        Ok(Self(keys))
    }

    fn text(&self, key: &str, default: &'a str) -> &'a str {
        self.0.get(key).copied().unwrap_or(default)
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> Result<T, String> {
        let Some(text) = self.0.get(key) else { return Ok(default) };
        text.parse().map_err(|_| format!("{key} is `{text}`"))
    }

    /// The members of a set such as `{a, b}`.
    fn set(&self, key: &str, default: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        let text = self.text(key, default);
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or_default();
        inner.split(',').map(str::trim).filter(|member| !member.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_liblsls() {
        let config = Config::default();
        assert_eq!(
            (config.session.as_str(), config.ttl, config.ports),
            ("default", 24, (16_572, 32))
        );
        let targets: Vec<String> = config.targets.iter().map(SocketAddr::to_string).collect();
        let wanted = [
            "127.0.0.1:16571",
            "255.255.255.255:16571",
            "224.0.0.1:16571",
            "224.0.0.183:16571",
            "[ff02:113d:6fdd:2c17:a643:ffe2:1bd1:3cd2]:16571",
            "239.255.172.215:16571",
            "[ff05:113d:6fdd:2c17:a643:ffe2:1bd1:3cd2]:16571",
        ];
        assert_eq!(targets, wanted);
        assert!(config.ipv4 && config.ipv6 && config.interfaces.is_empty());
    }

    #[test]
    fn our_own_config_stays_on_this_machine() {
        let config = Config::parse(include_str!("../../../configs/lsl_loopback.cfg")).unwrap();
        assert_eq!((config.session.as_str(), config.ttl), ("saltatory", 0));
        assert_eq!((config.ipv4, config.ipv6), (true, false));
        assert_eq!(config.interfaces, [Ipv4Addr::LOCALHOST]);
        assert_eq!(config.targets[0], "224.0.0.183:16571".parse().unwrap());
        let peers: Vec<_> =
            (16_572..16_604).map(|p| SocketAddr::from(([127, 0, 0, 1], p))).collect();
        assert_eq!(config.targets[1..], peers);
    }

    #[test]
    fn what_cannot_be_is_told() {
        for (text, says) in [
            ("[ports]\nIPv6 = maybe", "IPv6"),
            ("[ports]\nBasePort = 99999", "99999"),
            ("[multicast]\nResolveScope = moon", "moon"),
            ("[ports]\nwhat", "line 2"),
        ] {
            let error = Config::parse(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let scope = "; a remark\n[multicast]\nResolveScope=global\nGlobalAddresses={224.0.1.1}\n\
                     [ports]\nIPv6=force\nPortRange=0\n[lab]\nKnownPeers={127.0.0.1}";
        let config = Config::parse(scope).unwrap();
        assert_eq!(config.ttl, 255);
        assert!(config.targets.iter().all(SocketAddr::is_ipv6));
        assert_eq!(config.targets.len(), 4);
    }
}
