//! What travels beside a call: the user's pairs of name and value, and the trace that it belongs to.

/// One value of [`Metadata`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaValue {
    /// Text.
    Text(String),
    /// Bytes that mean something to the two ends alone.
    Bytes(Vec<u8>),
}

/// Pairs of name and value that travel with a call, in the order in which they were set; a name is there once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    pairs: Vec<(String, MetaValue)>,
}

impl Metadata {
    /// No pair.
    pub fn new() -> Metadata {
        Metadata::default()
    }

    /// Sets a pair, in place of one of the same name.
    pub fn set(&mut self, name: impl Into<String>, value: MetaValue) {
        let name = name.into();
        match self.pairs.iter_mut().find(|(known, _)| *known == name) {
            Some(pair) => pair.1 = value,
            None => self.pairs.push((name, value)),
        }
    }

    /// The value under a name.
    pub fn value(&self, name: &str) -> Option<&MetaValue> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The value under a name, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name)? {
            MetaValue::Text(text) => Some(text),
            MetaValue::Bytes(_) => None,
        }
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MetaValue)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

/// The place in a trace, as W3C Trace Context writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// `traceparent`: version, trace, parent and flags in hexadecimal digits.
    pub parent: String,
    /// `tracestate`, which may be empty.
    pub state: String,
}
