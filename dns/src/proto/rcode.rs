//! Response codes by name.

use std::borrow::Cow;

use hickory_proto::op::ResponseCode;

/// The mnemonic of a response code, such as `NXDOMAIN` (RFC 1035 §4.1.1, RFC 6895 §2.3), or `RCODE` and its number.
///
/// ```
/// use grapeshot_dns::proto::{ResponseCode, rcode_name};
///
/// assert_eq!(rcode_name(ResponseCode::ServFail), "SERVFAIL");
/// assert_eq!(rcode_name(ResponseCode::Unknown(77)), "RCODE77");
/// ```
pub fn rcode_name(rcode: ResponseCode) -> Cow<'static, str> {
    Cow::Borrowed(match rcode {
        ResponseCode::NoError => "NOERROR",
        ResponseCode::FormErr => "FORMERR",
        ResponseCode::ServFail => "SERVFAIL",
        ResponseCode::NXDomain => "NXDOMAIN",
        ResponseCode::NotImp => "NOTIMP",
        ResponseCode::Refused => "REFUSED",
        ResponseCode::YXDomain => "YXDOMAIN",
        ResponseCode::YXRRSet => "YXRRSET",
        ResponseCode::NXRRSet => "NXRRSET",
        ResponseCode::NotAuth => "NOTAUTH",
        ResponseCode::NotZone => "NOTZONE",
        ResponseCode::BADVERS => "BADVERS",
        ResponseCode::BADSIG => "BADSIG",
        ResponseCode::BADKEY => "BADKEY",
        ResponseCode::BADTIME => "BADTIME",
        ResponseCode::BADMODE => "BADMODE",
        ResponseCode::BADNAME => "BADNAME",
        ResponseCode::BADALG => "BADALG",
        ResponseCode::BADTRUNC => "BADTRUNC",
        ResponseCode::BADCOOKIE => "BADCOOKIE",
        ResponseCode::Unknown(11) => "DSOTYPENI",
        ResponseCode::Unknown(code) => return Cow::Owned(format!("RCODE{code}")),
    })
}
