//! What a service says of its methods: their signatures as text, and their list on the wire (`$/methods`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::CallError;
use crate::service::{MethodInfo, MethodKind};
use crate::value::{EncodeError, Encoded};

impl MethodInfo {
    /// A call that returns anything, of no parameters, with nothing said about it.
    ///
    /// A [`Router`](crate::Router) fills in the types.
    pub fn named(name: impl Into<String>) -> MethodInfo {
        MethodInfo {
            name: name.into(),
            params: Vec::new(),
            result: String::new(),
            kind: MethodKind::Call,
            version: 1,
            doc: String::new(),
        }
    }

    /// Names the parameters, in their order.
    pub fn params(mut self, names: &[&str]) -> MethodInfo {
        self.params = names.iter().map(|&name| (name.to_owned(), String::new())).collect();
        self
    }

    /// Says what the method does.
    pub fn doc(mut self, doc: impl Into<String>) -> MethodInfo {
        self.doc = doc.into();
        self
    }

    /// Says since which version of the service it is there.
    pub fn since(mut self, version: u32) -> MethodInfo {
        self.version = version;
        self
    }
}

impl From<&str> for MethodInfo {
    fn from(name: &str) -> MethodInfo {
        MethodInfo::named(name)
    }
}

impl From<String> for MethodInfo {
    fn from(name: String) -> MethodInfo {
        MethodInfo::named(name)
    }
}

/// The signature alone, such as `add(a: i64, b: i64) -> i64`.
impl fmt::Display for MethodInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        for (index, (name, ty)) in self.params.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            match ty.as_str() {
                "" => write!(f, "{comma}{name}")?,
                ty => write!(f, "{comma}{name}: {ty}")?,
            }
        }
        f.write_str(")")?;
        match self.result.as_str() {
            "" | "()" => Ok(()),
            result => write!(f, " -> {result}"),
        }
    }
}

impl MethodKind {
    const NAMES: [(MethodKind, &'static str); 5] = [
        (MethodKind::Call, "call"),
        (MethodKind::Notification, "notification"),
        (MethodKind::CalleeStream, "callee_stream"),
        (MethodKind::CallerStream, "caller_stream"),
        (MethodKind::BothStreams, "both_streams"),
    ];

    /// Its name in the list of methods.
    pub fn as_str(self) -> &'static str {
        MethodKind::NAMES.iter().find(|(kind, _)| *kind == self).map_or("call", |(_, name)| name)
    }

    /// A kind that this version does not know is taken for a call.
    fn of(name: &str) -> MethodKind {
        MethodKind::NAMES.iter().find(|(_, known)| *known == name).map_or(MethodKind::Call, |(kind, _)| *kind)
    }
}

impl fmt::Display for MethodKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A method in the list as it travels. All but the name may be missing, and more may be there.
#[derive(Serialize, Deserialize)]
struct Listed {
    name: String,
    #[serde(default)]
    params: Vec<(String, String)>,
    #[serde(default)]
    result: String,
    #[serde(default)]
    kind: String,
    #[serde(default = "first_version")]
    version: u32,
    #[serde(default)]
    doc: String,
}

fn first_version() -> u32 {
    1
}

/// Writes a list of methods, the answer to `$/methods`.
///
/// # Errors
///
/// None that is known: text and numbers can all be encoded.
pub(crate) fn encode_methods(methods: Vec<MethodInfo>) -> Result<Encoded, EncodeError> {
    let listed: Vec<Listed> = methods.into_iter().map(Listed::from).collect();
    Encoded::of(&listed)
}

/// Reads a list of methods.
///
/// # Errors
///
/// [`CallError::Malformed`] when it is none.
pub(crate) fn decode_methods(answer: &Encoded) -> Result<Vec<MethodInfo>, CallError> {
    let listed: Vec<Listed> = answer
        .decode()
        .map_err(|error| CallError::Malformed { reason: format!("the list of methods is none: {error}") })?;
    Ok(listed.into_iter().map(MethodInfo::from).collect())
}

impl From<MethodInfo> for Listed {
    fn from(info: MethodInfo) -> Listed {
        let MethodInfo { name, params, result, kind, version, doc } = info;
        Listed { name, params, result, kind: kind.as_str().to_owned(), version, doc }
    }
}

impl From<Listed> for MethodInfo {
    fn from(listed: Listed) -> MethodInfo {
        let Listed { name, params, result, kind, version, doc } = listed;
        MethodInfo { name, params, result, kind: MethodKind::of(&kind), version, doc }
    }
}

/// A type's name without the modules that it lies in, such as `Vec<Option<String>>`.
pub(crate) fn type_text<T: ?Sized>() -> String {
    without_modules(std::any::type_name::<T>())
}

fn without_modules(name: &str) -> String {
    let mut text = String::new();
    // Where the word begins that is being written, which is a module if `::` follows it.
    let mut word = 0;
    let mut rest = name;
    while let Some(next) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("::") {
            text.truncate(word);
            rest = after;
            continue;
        }
        text.push(next);
        if !next.is_alphanumeric() && next != '_' {
            word = text.len();
        }
        rest = &rest[next.len_utf8()..];
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::value::Value;

    #[test]
    fn a_type_is_named_without_its_modules() {
        assert_eq!(type_text::<(i64, String)>(), "(i64, String)");
        assert_eq!(type_text::<HashMap<String, Vec<Option<[u8; 4]>>>>(), "HashMap<String, Vec<Option<[u8; 4]>>>");
        assert_eq!(type_text::<Value>(), "Value");
        assert_eq!(type_text::<()>(), "()");
        assert_eq!(type_text::<&str>(), "&str");
    }

    #[test]
    fn a_signature_reads_as_in_the_source() {
        let mut add = MethodInfo::named("add").params(&["a", "b"]);
        assert_eq!(add.to_string(), "add(a, b)");
        add.params.iter_mut().for_each(|param| param.1 = "i64".into());
        add.result = "i64".into();
        assert_eq!(add.to_string(), "add(a: i64, b: i64) -> i64");
    }

    #[test]
    fn a_list_comes_back_as_it_went() {
        let kinds = MethodKind::NAMES.map(|(kind, name)| MethodInfo { kind, ..MethodInfo::named(name) });
        let methods = [&kinds[..], &[MethodInfo::named("add").params(&["a"]).doc("Adds.").since(3)]].concat();
        let read = decode_methods(&encode_methods(methods.clone()).unwrap()).unwrap();
        assert_eq!(read, methods);
    }

    #[test]
    fn a_list_is_made_of_maps_that_other_languages_read() {
        let encoded = encode_methods(vec![MethodInfo::named("add").params(&["a"]).since(3)]).unwrap();
        let pairs = [
            ("name", Value::from("add")),
            ("params", Value::Array(vec![Value::Array(vec!["a".into(), "".into()])])),
            ("result", "".into()),
            ("kind", "call".into()),
            ("version", 3.into()),
            ("doc", "".into()),
        ];
        let map = Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect());
        assert_eq!(encoded.decode::<Value>().unwrap(), Value::Array(vec![map]));
    }

    #[test]
    fn what_another_version_leaves_out_or_adds_does_no_harm() {
        let map = Value::Map(vec![
            ("name".into(), "add".into()),
            ("kind".into(), "promise".into()),
            ("colour".into(), "blue".into()),
        ]);
        let encoded = Encoded::of(&Value::Array(vec![map])).unwrap();
        assert_eq!(decode_methods(&encoded).unwrap(), [MethodInfo::named("add")]);
        assert!(matches!(decode_methods(&Encoded::nil()), Err(CallError::Malformed { .. })));
    }
}
