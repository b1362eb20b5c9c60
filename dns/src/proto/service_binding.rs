//! How a service is reached: SVCB and HTTPS records (RFC 9460).

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::SVCB;
use hickory_proto::rr::rdata::svcb::{SvcParamKey, SvcParamValue};
use hickory_proto::rr::{Name, RData, RecordType};

use super::records::RecordData;

/// One way to reach a service (RFC 9460 §2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceBinding {
    /// 0 makes the record an alias; otherwise the lower, the sooner it is to be tried.
    pub priority: u16,
    /// The host; the root stands for the owner of the record, or for "not offered" in an alias (RFC 9460 §2.5).
    pub target: Name,
    /// The protocols it speaks besides the default one (RFC 9460 §7.1).
    pub alpn: Vec<String>,
    /// Whether the scheme's default protocol is not spoken (RFC 9460 §7.1).
    pub no_default_alpn: bool,
    /// The port, where it is not the scheme's (RFC 9460 §7.2).
    pub port: Option<u16>,
    /// Addresses to use until those of the target are known (RFC 9460 §7.3).
    pub ipv4_hints: Vec<Ipv4Addr>,
    /// Addresses to use until those of the target are known (RFC 9460 §7.3).
    pub ipv6_hints: Vec<Ipv6Addr>,
    /// The configurations for an encrypted ClientHello (RFC 9848).
    pub ech: Option<Vec<u8>>,
    /// The keys that a client must understand to use the record (RFC 9460 §8).
    pub mandatory: Vec<u16>,
    /// Parameters with other keys, by number.
    pub others: Vec<(u16, Vec<u8>)>,
}

impl ServiceBinding {
    /// Whether the record only gives another name to ask for (RFC 9460 §2.4.2).
    pub fn is_alias(&self) -> bool {
        self.priority == 0
    }

    /// Whether all its mandatory keys are among those with a field of their own here. A record that is not usable is
    /// to be ignored (RFC 9460 §8).
    pub fn is_usable(&self) -> bool {
        self.mandatory.iter().all(|key| *key <= LAST_KNOWN_KEY)
    }

    fn read(svcb: &SVCB) -> Self {
        let mut binding =
            Self { priority: svcb.svc_priority, target: svcb.target_name.clone(), ..ServiceBinding::default() };
        for (key, value) in &svcb.svc_params {
            binding.set(*key, value);
        }
        binding
    }

    fn set(&mut self, key: SvcParamKey, value: &SvcParamValue) {
        match value {
            SvcParamValue::Mandatory(keys) => self.mandatory = keys.0.iter().copied().map(u16::from).collect(),
            SvcParamValue::Alpn(names) => self.alpn.clone_from(&names.0),
            SvcParamValue::NoDefaultAlpn => self.no_default_alpn = true,
            SvcParamValue::Port(port) => self.port = Some(*port),
            SvcParamValue::Ipv4Hint(hints) => self.ipv4_hints = hints.0.iter().map(|hint| hint.0).collect(),
            SvcParamValue::Ipv6Hint(hints) => self.ipv6_hints = hints.0.iter().map(|hint| hint.0).collect(),
            SvcParamValue::EchConfigList(list) => self.ech = Some(list.0.clone()),
            SvcParamValue::Unknown(value) => self.others.push((key.into(), value.0.clone())),
        }
    }
}

/// `ipv6hint`, the last of the keys of RFC 9460 §14.3.2.
const LAST_KNOWN_KEY: u16 = 6;

impl RecordData for ServiceBinding {
    const TYPE: RecordType = RecordType::SVCB;

    fn from_data(data: &RData) -> Option<Self> {
        if let RData::SVCB(svcb) = data { Some(Self::read(svcb)) } else { None }
    }
}

/// How a web server is reached (RFC 9460 §9).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Https(pub ServiceBinding);

impl RecordData for Https {
    const TYPE: RecordType = RecordType::HTTPS;

    fn from_data(data: &RData) -> Option<Self> {
        if let RData::HTTPS(https) = data { Some(Self(ServiceBinding::read(&https.0))) } else { None }
    }
}

/// What the records of one name say together (RFC 9460 §2.4.1, §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceBindings {
    /// Ask for this name instead; the root means that the service is not offered (RFC 9460 §2.5.1).
    Alias(Name),
    /// The usable ways, the first to be tried first; empty where there are none.
    Services(Vec<ServiceBinding>),
}

/// Puts the ways to reach a service in order: an alias makes all others void (RFC 9460 §2.4.1), records with unknown
/// mandatory keys are left out, and the rest goes by priority. Those of equal priority are shuffled by `random`.
pub fn service_bindings(mut bindings: Vec<ServiceBinding>, random: &mut dyn FnMut() -> u64) -> ServiceBindings {
    if let Some(alias) = bindings.iter().find(|binding| binding.is_alias()) {
        return ServiceBindings::Alias(alias.target.clone());
    }
    bindings.retain(ServiceBinding::is_usable);
    bindings.sort_by_cached_key(|binding| (binding.priority, random()));
    ServiceBindings::Services(bindings)
}
