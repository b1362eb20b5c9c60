//! A service put together while the program runs: closures and whole services under names.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Failure;
use crate::generated;
use crate::params::{Describe, Params};
use crate::service::{Context, MethodInfo, MethodKind, Service};
use crate::signature::type_text;
use crate::stream::{Items, Sink};
use crate::value::Encoded;

/// Answers calls with closures, each under a name, and with other services, each under a prefix.
///
/// Parameters come as a tuple, up to eight, or as a `Vec` for any number; one of type `Option` at the end may be absent.
/// Results are whatever serde can write. A closure fails with a [`Failure`], into which `?` turns what has a `From`.
/// The method that was added last under a name counts.
///
/// Where a name alone stands in the examples, a [`MethodInfo`] says more: names of the parameters, a version, what it does.
///
/// # Examples
///
/// ```
/// use grapeshot_rpc::{Context, Encoded, Failure, MethodInfo, Router, Service};
///
/// let router = Router::new()
///     .method(MethodInfo::named("add").params(&["a", "b"]).doc("Adds."), |(a, b): (i64, i64)| Ok(a + b))
///     .method("divide", |(a, b): (i64, i64)| {
///         a.checked_div(b).ok_or_else(|| Failure::new(1, "there is no such number"))
///     })
///     .notification("log", |(line,): (String,)| println!("{line}"));
///
/// let params = Encoded::of(&(1, 2))?;
/// let sum = router.call("add", params.as_bytes(), &Context::detached())?;
/// assert_eq!(sum.decode::<i64>()?, 3);
/// assert_eq!(router.methods()[0].to_string(), "add(a: i64, b: i64) -> i64");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Router {
    /// Those of this router itself.
    methods: HashMap<String, Entry>,
    /// By the order in which they were added: the last one that fits counts.
    merged: Vec<(String, Box<dyn Service>)>,
    fallback: Option<Box<Fallback>>,
}

type Handler = dyn Fn(Params<'_>, &Context) -> Result<Encoded, Failure>;
type Fallback = dyn Fn(&str, &[u8], &Context) -> Result<Encoded, Failure>;

struct Entry {
    /// Methods are listed in the order in which they were added.
    position: usize,
    description: Description,
    handler: Box<Handler>,
}

/// Stands behind a type of which there may be any number.
const MANY: &str = "…";

/// A method as it is listed, and as errors tell of it.
struct Description {
    info: MethodInfo,
    takes_any_number: bool,
}

impl Describe for Description {
    fn method(&self) -> &str {
        &self.info.name
    }

    fn most(&self) -> Option<usize> {
        (!self.takes_any_number).then_some(self.info.params.len())
    }

    fn param(&self, index: usize) -> (&str, &str) {
        // Of any number, all are as the first.
        let index = if self.takes_any_number { 0 } else { index };
        self.info.params.get(index).map(|(name, ty)| (name.as_str(), ty.trim_end_matches(MANY))).unwrap_or_default()
    }
}

impl Router {
    /// A router without methods.
    pub fn new() -> Router {
        Router::default()
    }

    /// Adds a method: a closure of the parameters.
    pub fn method<P: ParamList, R: Serialize>(
        self,
        info: impl Into<MethodInfo>,
        function: impl Fn(P) -> Result<R, Failure> + 'static,
    ) -> Router {
        self.method_with_context(info, move |_: &Context, params| function(params))
    }

    /// Adds a method: a closure of what is known of the call, and of the parameters.
    pub fn method_with_context<P: ParamList, R: Serialize>(
        self,
        info: impl Into<MethodInfo>,
        function: impl Fn(&Context, P) -> Result<R, Failure> + 'static,
    ) -> Router {
        self.add::<P, R>(info.into(), MethodKind::Call, None, move |params, context| {
            generated::answer(&function(context, P::read(params)?)?)
        })
    }

    /// Adds a notification: a closure of the parameters, for whose result nobody waits. A call of it is answered with nil.
    pub fn notification<P: ParamList>(self, info: impl Into<MethodInfo>, function: impl Fn(P) + 'static) -> Router {
        self.notification_with_context(info, move |_: &Context, params| function(params))
    }

    /// Adds a notification: a closure of what is known of the call, and of the parameters.
    pub fn notification_with_context<P: ParamList>(
        self,
        info: impl Into<MethodInfo>,
        function: impl Fn(&Context, P) + 'static,
    ) -> Router {
        self.add::<P, ()>(info.into(), MethodKind::Notification, None, move |params, context| {
            function(context, P::read(params)?);
            Ok(Encoded::nil())
        })
    }

    /// Adds a method that sends items to its caller before its answer.
    pub fn callee_stream<P: ParamList, T: Serialize + 'static, R: Serialize>(
        self,
        info: impl Into<MethodInfo>,
        function: impl Fn(&Context, P, Sink<T>) -> Result<R, Failure> + 'static,
    ) -> Router {
        let streams = format!("stream of {}, then ", type_text::<T>());
        self.add::<P, R>(info.into(), MethodKind::CalleeStream, Some(streams), move |params, context| {
            generated::answer(&function(context, P::read(params)?, Sink::of(context)?)?)
        })
    }

    /// Adds a method that takes items from its caller before its answer.
    pub fn caller_stream<P: ParamList, T: DeserializeOwned + 'static, R: Serialize>(
        self,
        info: impl Into<MethodInfo>,
        function: impl Fn(&Context, P, Items<T>) -> Result<R, Failure> + 'static,
    ) -> Router {
        let streams = format!("of a stream of {}: ", type_text::<T>());
        self.add::<P, R>(info.into(), MethodKind::CallerStream, Some(streams), move |params, context| {
            generated::answer(&function(context, P::read(params)?, Items::of(context)?)?)
        })
    }

    /// Adds a method that takes items from its caller and sends items to it before its answer.
    pub fn both_streams<P: ParamList, T: DeserializeOwned + 'static, U: Serialize + 'static, R: Serialize>(
        self,
        info: impl Into<MethodInfo>,
        function: impl Fn(&Context, P, Items<T>, Sink<U>) -> Result<R, Failure> + 'static,
    ) -> Router {
        let streams = format!("of a stream of {}: stream of {}, then ", type_text::<T>(), type_text::<U>());
        self.add::<P, R>(info.into(), MethodKind::BothStreams, Some(streams), move |params, context| {
            generated::answer(&function(context, P::read(params)?, Items::of(context)?, Sink::of(context)?)?)
        })
    }

    /// Adds a whole service, whose methods are called with this text before their names; it may be empty.
    ///
    /// A name that the service does not know goes on to what was merged before it, and to the fallback.
    pub fn merge(mut self, prefix: impl Into<String>, service: impl Service + 'static) -> Router {
        self.merged.push((prefix.into(), Box::new(service)));
        self
    }

    /// Answers what nothing else does: a closure of the method's name, the parameters as they came (one MessagePack
    /// array), and what is known of the call.
    pub fn fallback(
        mut self,
        function: impl Fn(&str, &[u8], &Context) -> Result<Encoded, Failure> + 'static,
    ) -> Router {
        self.fallback = Some(Box::new(function));
        self
    }

    fn add<P: ParamList, R>(
        mut self,
        mut info: MethodInfo,
        kind: MethodKind,
        streams: Option<String>,
        handler: impl Fn(Params<'_>, &Context) -> Result<Encoded, Failure> + 'static,
    ) -> Router {
        complete(&mut info.params, P::types(), if P::IS_ANY_NUMBER { Some("values") } else { None });
        info.result = streams.unwrap_or_default() + &type_text::<R>();
        info.kind = kind;
        let name = info.name.clone();
        let description = Description { info, takes_any_number: P::IS_ANY_NUMBER };
        let position = self.methods.get(&name).map_or(self.methods.len(), |former| former.position);
        self.methods.insert(name, Entry { position, description, handler: Box::new(handler) });
        self
    }

    /// Asks the merged services one after the other, as far as they do not know the method.
    fn call_merged(&self, method: &str, params: &[u8], context: &Context) -> Result<Encoded, Failure> {
        for (prefix, service) in self.merged.iter().rev() {
            let Some(inner) = method.strip_prefix(prefix.as_str()) else { continue };
            match service.call(inner, params, context) {
                Err(failure) if failure.code == Failure::METHOD_NOT_FOUND => {}
                answer => return answer,
            }
        }
        match &self.fallback {
            Some(fallback) => fallback(method, params, context),
            None => Err(generated::no_such_method(method)),
        }
    }
}

impl Service for Router {
    fn call(&self, method: &str, params: &[u8], context: &Context) -> Result<Encoded, Failure> {
        match self.methods.get(method) {
            Some(entry) => (entry.handler)(Params::read(params, &entry.description)?, context),
            None => self.call_merged(method, params, context),
        }
    }

    fn methods(&self) -> Vec<MethodInfo> {
        let mut own: Vec<&Entry> = self.methods.values().collect();
        own.sort_by_key(|entry| entry.position);
        let mut list: Vec<MethodInfo> = own.into_iter().map(|entry| entry.description.info.clone()).collect();
        let mut known: HashSet<String> = self.methods.keys().cloned().collect();
        // What was merged last counts, so it comes first here; in the list it comes last.
        let mut groups: Vec<Vec<MethodInfo>> = Vec::new();
        for (prefix, service) in self.merged.iter().rev() {
            let named =
                service.methods().into_iter().map(|info| MethodInfo { name: prefix.clone() + &info.name, ..info });
            groups.push(named.filter(|info| known.insert(info.name.clone())).collect());
        }
        list.extend(groups.into_iter().rev().flatten());
        list
    }

    fn canonical<'a>(&'a self, method: &'a str) -> Option<Cow<'a, str>> {
        if self.methods.contains_key(method) {
            return Some(Cow::Borrowed(method));
        }
        let merged = self.merged.iter().rev().find_map(|(prefix, service)| {
            let inner = method.strip_prefix(prefix.as_str())?;
            let own = service.canonical(inner)?;
            // Only another name costs a text.
            Some(if own == inner { Cow::Borrowed(method) } else { Cow::Owned(prefix.clone() + &own) })
        });
        merged.or_else(|| self.fallback.as_ref().map(|_| Cow::Borrowed(method)))
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("methods", &self.methods.len())
            .field("merged", &self.merged.len())
            .field("fallback", &self.fallback.is_some())
            .finish()
    }
}

/// Gives the parameters their types, and those without a name this one, or their position.
fn complete(params: &mut Vec<(String, String)>, types: Vec<String>, name: Option<&str>) {
    params.resize(types.len(), Default::default());
    for (index, (param, ty)) in params.iter_mut().zip(types).enumerate() {
        if param.0.is_empty() {
            param.0 = name.map_or_else(|| (index + 1).to_string(), str::to_owned);
        }
        param.1 = ty;
    }
}

/// Parameters that a closure can take: a tuple of up to eight, or a `Vec` of any number.
///
/// It is there for [`Router`], and nobody else implements it.
#[diagnostic::on_unimplemented(
    message = "a method's closure takes its parameters as one tuple, and `{Self}` is none",
    label = "no tuple of owned values that serde can read",
    note = "a single parameter is written `|(a,): (i64,)|`, none at all `|()|`, and any number `|all: Vec<i64>|`",
    note = "each is an owned type that serde can read, and there are eight at most"
)]
pub trait ParamList: sealed::Sealed + Sized {
    /// Whether there may be any number of them.
    #[doc(hidden)]
    const IS_ANY_NUMBER: bool = false;

    /// Their types, for a person.
    #[doc(hidden)]
    fn types() -> Vec<String>;

    /// Reads them.
    #[doc(hidden)]
    fn read(params: Params<'_>) -> Result<Self, Failure>;
}

mod sealed {
    pub trait Sealed {}
}

impl<T: DeserializeOwned> sealed::Sealed for Vec<T> {}

impl<T: DeserializeOwned> ParamList for Vec<T> {
    const IS_ANY_NUMBER: bool = true;

    fn types() -> Vec<String> {
        vec![type_text::<T>() + MANY]
    }

    fn read(mut params: Params<'_>) -> Result<Vec<T>, Failure> {
        // Not reserved: the number is the peer's to say.
        (0..params.count()).map(|_| params.next()).collect()
    }
}

macro_rules! tuples {
    ($($types:ident)*) => {
        impl<$($types: DeserializeOwned),*> sealed::Sealed for ($($types,)*) {}

        impl<$($types: DeserializeOwned),*> ParamList for ($($types,)*) {
            fn types() -> Vec<String> {
                vec![$(type_text::<$types>()),*]
            }

            #[allow(unused_mut, unused_variables, reason = "there may be none to read")]
            fn read(mut params: Params<'_>) -> Result<Self, Failure> {
                Ok(($(params.next::<$types>()?,)*))
            }
        }
    };
}

tuples!();
tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
