//! One method of the trait, read and checked: what of it travels, and how.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, Lit, Meta, Pat, Receiver, ReceiverKind, Result, ReturnType, Signature,
    TraitItemFn, Type,
};

use crate::options::{MethodOptions, Repeat};
use crate::types;

/// The generated client's own functions.
const CLIENT_NAMES: &[&str] = &["new", "with", "with_timeout", "caller"];

/// A method of a service.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// The names it answers to on the wire: its own, then its former ones.
    pub(crate) names: Vec<(String, Span)>,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) answer: Answer,
    /// Where the type that it returns is written.
    pub(crate) answer_place: Span,
    pub(crate) repeat: Repeat,
    pub(crate) is_notification: bool,
    pub(crate) since: u32,
    /// Those that count for generated code as well.
    pub(crate) attributes: Vec<Attribute>,
}

/// What a method is given, in its order.
pub(crate) enum Argument {
    /// `&Context`, which the server makes.
    Context,
    /// Travels.
    Value(Value),
    /// `Sink<T>`: the stream to the caller, of items of this type.
    Sink(Type),
    /// `Items<T>`: the stream from the caller, of items of this type.
    Items(Type),
}

/// A parameter that travels.
pub(crate) struct Value {
    pub(crate) ident: Ident,
    /// As it is written.
    pub(crate) ty: Type,
}

/// What a method returns.
pub(crate) enum Answer {
    /// This, always; without a type, nothing.
    Plain(Option<Type>),
    /// This, or an error: a `Result`.
    Fallible(Type),
}

impl Method {
    /// Reads a method, and takes from it the attributes that the compiler does not know.
    pub(crate) fn take(item: &mut TraitItemFn, prefix: Option<&str>) -> Result<Method> {
        let options = MethodOptions::take(&mut item.attrs)?;
        check_signature(&item.sig)?;
        let arguments = item.sig.inputs.iter().skip(1).map(argument).collect::<Result<Vec<_>>>()?;
        let method = Method {
            ident: item.sig.ident.clone(),
            names: names(&item.sig.ident, &options, prefix)?,
            arguments,
            answer: answer(&item.sig.output)?,
            answer_place: match &item.sig.output {
                ReturnType::Default => Span::call_site(),
                ReturnType::Type(_, ty) => types::place(ty),
            },
            repeat: options.repeat,
            is_notification: options.is_notification,
            since: options.since,
            attributes: item.attrs.iter().filter(|attribute| counts_for_client(attribute)).cloned().collect(),
        };
        method.check(&item.sig)?;
        Ok(method)
    }

    /// The name on the wire.
    pub(crate) fn name(&self) -> &str {
        &self.names[0].0
    }

    /// The parameters that travel.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Value> {
        self.arguments.iter().filter_map(|argument| match argument {
            Argument::Value(value) => Some(value),
            _ => None,
        })
    }

    /// The type of the items to the caller.
    pub(crate) fn sink(&self) -> Option<&Type> {
        self.arguments.iter().find_map(|argument| match argument {
            Argument::Sink(item) => Some(item),
            _ => None,
        })
    }

    /// The type of the items from the caller.
    pub(crate) fn items(&self) -> Option<&Type> {
        self.arguments.iter().find_map(|argument| match argument {
            Argument::Items(item) => Some(item),
            _ => None,
        })
    }

    /// What it does, as the trait says.
    pub(crate) fn doc(&self) -> String {
        let lines: Vec<String> = self.attributes.iter().filter_map(doc_line).collect();
        lines.join("\n").trim().to_owned()
    }

    /// What the parts of a signature may not be together.
    fn check(&self, signature: &Signature) -> Result<()> {
        let has_stream = self.sink().is_some() || self.items().is_some();
        let sinks = self.arguments.iter().filter(|argument| matches!(argument, Argument::Sink(_))).count();
        let items = self.arguments.iter().filter(|argument| matches!(argument, Argument::Items(_))).count();
        let contexts = self.arguments.iter().filter(|argument| matches!(argument, Argument::Context)).count();
        let wrong = if sinks > 1 {
            "a call has one stream to the caller: send both kinds of items through one `Sink` of an enum"
        } else if items > 1 {
            "a call has one stream from the caller: take both kinds of items from one `Items` of an enum"
        } else if contexts > 1 {
            "a method takes one `&Context`: drop the other"
        } else if self.is_notification && !matches!(self.answer, Answer::Plain(None)) {
            "nobody waits for a notification, so it returns nothing: drop its result, or `notification`"
        } else if self.is_notification && has_stream {
            "a notification has no streams, as they belong to a call that waits: drop `notification`, or the stream"
        } else if self.is_notification && self.repeat != Repeat::Never {
            "a notification is never repeated, as no answer tells that it was lost: drop `notification`, or how it repeats"
        } else if has_stream && self.repeat != Repeat::Never {
            "a call with streams is never repeated, as its items are gone: drop `idempotent` or `sequenced`"
        } else if CLIENT_NAMES.contains(&self.ident.to_string().as_str()) {
            let name = self.ident.to_string();
            let advice = format!(
                "the generated client has a function `{name}` of its own: call the method something else, and write `#[rpc(name = \"{name}\")]` above it"
            );
            return Err(Error::new(self.ident.span(), advice));
        } else {
            return Ok(());
        };
        Err(Error::new(signature.span(), wrong))
    }
}

fn names(ident: &Ident, options: &MethodOptions, prefix: Option<&str>) -> Result<Vec<(String, Span)>> {
    let own = match &options.name {
        Some(name) => (name.value(), name.span()),
        None => (ident.unraw().to_string(), ident.span()),
    };
    let with_prefix = |name: String| match prefix {
        Some(prefix) => format!("{prefix}.{name}"),
        None => name,
    };
    let former = options.aliases.iter().map(|alias| {
        let name = alias.name.value();
        (if alias.is_full { name } else { with_prefix(name) }, alias.name.span())
    });
    Ok(std::iter::once((with_prefix(own.0), own.1)).chain(former).collect())
}

fn check_signature(signature: &Signature) -> Result<()> {
    if let Some(asyncness) = &signature.asyncness {
        return Err(Error::new(
            asyncness.span(),
            "a method is no `async fn`: it blocks its own coroutine and nobody else, so drop `async`",
        ));
    }
    if let Some(constness) = &signature.constness {
        return Err(Error::new(constness.span(), "a method that is called from afar cannot be `const`"));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new(abi.span(), "a method of a service is an ordinary Rust function: drop `extern`"));
    }
    if !signature.generics.params.is_empty() || signature.generics.where_clause.is_some() {
        return Err(Error::new(
            signature.ident.span(),
            "a method has no generics and no `where`: what travels has one type, so write it out, or take a `Value`",
        ));
    }
    match signature.receiver() {
        Some(receiver) => check_receiver(receiver),
        None => Err(Error::new(signature.ident.span(), "a method takes `&self` first: the service it is called on")),
    }
}

fn check_receiver(receiver: &Receiver) -> Result<()> {
    let advice = match &receiver.kind {
        ReceiverKind::Reference(_, None, None) => return Ok(()),
        ReceiverKind::Reference(_, _, Some(_)) => {
            "a method takes `&self`, as other calls run meanwhile: keep what changes in a `Cell` or `RefCell`"
        }
        ReceiverKind::Reference(_, Some(_), None) => "a method takes `&self` without a lifetime",
        _ => "a method takes `&self`: the service outlives the call",
    };
    Err(Error::new(receiver.span(), advice))
}

fn argument(input: &FnArg) -> Result<Argument> {
    let FnArg::Typed(input) = input else {
        return Err(Error::new(input.span(), "`self` stands first"));
    };
    let Pat::Ident(pattern) = &*input.pat else {
        return Err(Error::new(input.pat.span(), "give the parameter a name: it is listed, and errors tell of it"));
    };
    if let Type::Reference(reference) = types::peeled(&input.ty)
        && types::is_named(&reference.elem, "Context")
    {
        return Ok(Argument::Context);
    }
    if let Some(item) = types::argument_of(&input.ty, "Sink") {
        return Ok(Argument::Sink(item.clone()));
    }
    if let Some(item) = types::argument_of(&input.ty, "Items") {
        return Ok(Argument::Items(item.clone()));
    }
    check_type(&input.ty)?;
    Ok(Argument::Value(Value { ident: pattern.ident.clone(), ty: (*input.ty).clone() }))
}

/// Whether the server can make a value of the type from what came: it owns it, and lends it to the method at most.
fn check_type(ty: &Type) -> Result<()> {
    let advice = match types::peeled(ty) {
        Type::Reference(reference) if reference.mutability.is_some() => {
            "what travels is a copy, so a change to it would reach nobody: take it by value, and return what changed"
        }
        Type::Reference(reference) if reference.lifetime.is_some() => {
            "the server keeps a parameter for the call alone: drop the lifetime, or take it by value"
        }
        Type::Reference(reference) => match types::peeled(&reference.elem) {
            Type::TraitObject(_) => "a trait object does not travel: take a type that can be serialised",
            Type::Reference(_) => "one reference is enough",
            inner if ["Sink", "Items"].iter().any(|name| types::argument_of(inner, name).is_some()) => {
                "the method owns a stream of its call: take it by value"
            }
            inner => return check_type(inner),
        },
        Type::ImplTrait(_) => "what travels has one type: write it out instead of `impl`",
        Type::TraitObject(_) => "a trait object does not travel: take a type that can be serialised",
        Type::FnPtr(_) => "a function does not travel: the callee can call back through `Context::caller`",
        Type::Ptr(_) => "a pointer means nothing at the other end: take the value",
        _ => return Ok(()),
    };
    Err(Error::new(ty.span(), advice))
}

fn answer(output: &ReturnType) -> Result<Answer> {
    let ReturnType::Type(_, ty) = output else { return Ok(Answer::Plain(None)) };
    let ty = types::peeled(ty);
    if matches!(ty, Type::Tuple(tuple) if tuple.elems.is_empty()) {
        return Ok(Answer::Plain(None));
    }
    let (answer, is_fallible) = match types::argument_of(ty, "Result") {
        Some(value) => (types::peeled(value), true),
        None => (ty, false),
    };
    let advice = match answer {
        Type::Reference(_) => {
            "a result is the caller's to keep: return an owned value, such as a `String` for a `&str`"
        }
        Type::ImplTrait(_) => "what travels has one type: write it out instead of `impl`",
        Type::Never(_) => "a call that never returns is a stream: send its items through a `Sink`",
        answer if is_fallible => return Ok(Answer::Fallible(answer.clone())),
        answer => return Ok(Answer::Plain(Some(answer.clone()))),
    };
    Err(Error::new(answer.span(), advice))
}

fn counts_for_client(attribute: &Attribute) -> bool {
    ["doc", "cfg", "deprecated"].iter().any(|name| attribute.path().is_ident(name))
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attribute.meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) = &meta.value else { return None };
    let line = line.value();
    attribute.path().is_ident("doc").then(|| line.strip_prefix(' ').unwrap_or(&line).to_owned())
}
