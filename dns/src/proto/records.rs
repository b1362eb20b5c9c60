//! Answers by type: the data of records as plain values.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::{Name, RData, Record, RecordType};

/// The data of one type of record.
///
/// ```
/// use std::net::Ipv4Addr;
/// use grapeshot_dns::proto::{Name, RData, Record, RecordData, records_of};
///
/// let data = RData::A(Ipv4Addr::new(192, 0, 2, 1).into());
/// let record = Record::from_rdata(Name::from_ascii("a.example.")?, 60, data);
/// let addresses: Vec<Ipv4Addr> = records_of(&[record]);
/// assert_eq!(addresses, [Ipv4Addr::new(192, 0, 2, 1)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait RecordData: Sized {
    /// The type to ask for.
    const TYPE: RecordType;

    /// The value of a record's data, or None where it is of another type.
    fn from_data(data: &RData) -> Option<Self>;
}

/// The values of those records that are of the type of `T`, in their order.
pub fn records_of<T: RecordData>(records: &[Record]) -> Vec<T> {
    records.iter().filter_map(|record| T::from_data(&record.data)).collect()
}

/// An address of a host (RFC 1035 §3.4.1).
impl RecordData for Ipv4Addr {
    const TYPE: RecordType = RecordType::A;

    fn from_data(data: &RData) -> Option<Self> {
        if let RData::A(address) = data { Some(address.0) } else { None }
    }
}

/// An address of a host (RFC 3596 §2.1).
impl RecordData for Ipv6Addr {
    const TYPE: RecordType = RecordType::AAAA;

    fn from_data(data: &RData) -> Option<Self> {
        if let RData::AAAA(address) = data { Some(address.0) } else { None }
    }
}

/// The name that an alias stands for (RFC 1035 §3.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cname(pub Name);

impl RecordData for Cname {
    const TYPE: RecordType = RecordType::CNAME;

    fn from_data(data: &RData) -> Option<Self> {
        if let RData::CNAME(name) = data { Some(Self(name.0.clone())) } else { None }
    }
}

/// A server of a zone (RFC 1035 §3.3.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ns(pub Name);

impl RecordData for Ns {
    const TYPE: RecordType = RecordType::NS;

    fn from_data(data: &RData) -> Option<Self> {
        if let RData::NS(name) = data { Some(Self(name.0.clone())) } else { None }
    }
}

/// A name for an address (RFC 1035 §3.3.12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ptr(pub Name);

impl RecordData for Ptr {
    const TYPE: RecordType = RecordType::PTR;

    fn from_data(data: &RData) -> Option<Self> {
        if let RData::PTR(name) = data { Some(Self(name.0.clone())) } else { None }
    }
}

/// A host that takes mail (RFC 1035 §3.3.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// The lower, the sooner it is to be tried.
    pub preference: u16,
    /// The host; the root says that the domain takes no mail (RFC 7505 §3).
    pub exchange: Name,
}

impl RecordData for Mx {
    const TYPE: RecordType = RecordType::MX;

    fn from_data(data: &RData) -> Option<Self> {
        let RData::MX(mx) = data else { return None };
        Some(Self { preference: mx.preference, exchange: mx.exchange.clone() })
    }
}

/// Text (RFC 1035 §3.3.14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Txt {
    /// Its strings, each of at most 255 bytes.
    pub strings: Vec<Vec<u8>>,
}

impl Txt {
    /// The strings joined without anything between them, as SPF and DKIM read them (RFC 7208 §3.3, RFC 6376 §3.6.2.2).
    /// What is not UTF-8 is replaced.
    ///
    /// ```
    /// use grapeshot_dns::proto::Txt;
    ///
    /// let txt = Txt { strings: vec![b"v=spf1 ".to_vec(), b"-all".to_vec()] };
    /// assert_eq!(txt.text(), "v=spf1 -all");
    /// ```
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.strings.concat()).into_owned()
    }
}

impl RecordData for Txt {
    const TYPE: RecordType = RecordType::TXT;

    fn from_data(data: &RData) -> Option<Self> {
        let RData::TXT(txt) = data else { return None };
        Some(Self { strings: txt.txt_data.iter().map(|string| string.to_vec()).collect() })
    }
}

/// A server of a service (RFC 2782). [`service_order`](super::service_order) says which to try first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// The lower, the sooner it is to be tried.
    pub priority: u16,
    /// Its share among those of one priority.
    pub weight: u16,
    /// The port that it serves on.
    pub port: u16,
    /// The host; the root says that the service is not offered.
    pub target: Name,
}

impl RecordData for Srv {
    const TYPE: RecordType = RecordType::SRV;

    fn from_data(data: &RData) -> Option<Self> {
        let RData::SRV(srv) = data else { return None };
        Some(Self { priority: srv.priority, weight: srv.weight, port: srv.port, target: srv.target.clone() })
    }
}

/// The start of a zone's authority (RFC 1035 §3.3.13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// The primary server of the zone.
    pub primary: Name,
    /// The mailbox of who is responsible, its first label standing before the `@`.
    pub mailbox: Name,
    /// The version of the zone.
    pub serial: u32,
    /// After how many seconds a secondary asks for a new version.
    pub refresh: u32,
    /// After how many seconds it asks again where that failed.
    pub retry: u32,
    /// After how many seconds without success it stops to answer.
    pub expire: u32,
    /// For how many seconds at most "no such name" is remembered (RFC 2308 §4).
    pub minimum: u32,
}

impl RecordData for Soa {
    const TYPE: RecordType = RecordType::SOA;

    fn from_data(data: &RData) -> Option<Self> {
        let RData::SOA(soa) = data else { return None };
        Some(Self {
            primary: soa.mname.clone(),
            mailbox: soa.rname.clone(),
            serial: soa.serial,
            refresh: soa.refresh as u32,
            retry: soa.retry as u32,
            expire: soa.expire as u32,
            minimum: soa.minimum,
        })
    }
}

/// Who may issue certificates for a domain (RFC 8659 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caa {
    /// Whether an issuer that does not know the tag must not issue.
    pub critical: bool,
    /// What the value is about: `issue`, `issuewild`, `iodef`.
    pub tag: String,
    /// The value.
    pub value: Vec<u8>,
}

impl RecordData for Caa {
    const TYPE: RecordType = RecordType::CAA;

    fn from_data(data: &RData) -> Option<Self> {
        let RData::CAA(caa) = data else { return None };
        Some(Self { critical: caa.issuer_critical, tag: caa.tag.clone(), value: caa.value.clone() })
    }
}
