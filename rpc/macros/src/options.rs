//! What is written in the attributes: `#[service(…)]` on the trait and `#[rpc(…)]` on its methods.

use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Attribute, LitInt, LitStr, Path, Result, Token, parse_quote};

/// The arguments of `#[service(…)]`.
pub(crate) struct ServiceOptions {
    /// Stands before the names of all methods, with a full stop.
    pub(crate) name: Option<LitStr>,
    /// Where the crate `grapeshot-rpc` is found.
    pub(crate) krate: Path,
}

impl ServiceOptions {
    pub(crate) fn parse(tokens: proc_macro2::TokenStream) -> Result<ServiceOptions> {
        let mut options = ServiceOptions { name: None, krate: parse_quote!(::grapeshot::rpc) };
        let parser = syn::meta::parser(|meta| {
            if meta.path.is_ident("name") {
                options.name = Some(method_name(&meta)?);
                return Ok(());
            }
            if meta.path.is_ident("crate") {
                meta.input.parse::<Token![=]>()?;
                options.krate = Path::parse_mod_style(meta.input)?;
                return Ok(());
            }
            Err(meta.error(
                "`service` takes `name = \"…\"`, which stands before the methods' names, and `crate = path::of::rpc`",
            ))
        });
        parser.parse2(tokens)?;
        Ok(options)
    }
}

/// Whether a call of the method may be made again when its outcome is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    Never,
    Idempotent,
    Sequenced,
}

/// A former name of a method.
pub(crate) struct Alias {
    pub(crate) name: LitStr,
    /// The service's name does not stand before it.
    pub(crate) is_full: bool,
}

/// The arguments of `#[rpc(…)]` on a method.
pub(crate) struct MethodOptions {
    pub(crate) name: Option<LitStr>,
    pub(crate) aliases: Vec<Alias>,
    pub(crate) repeat: Repeat,
    pub(crate) is_notification: bool,
    pub(crate) since: u32,
}

impl MethodOptions {
    /// Reads the `#[rpc(…)]` among a method's attributes, and takes them out.
    pub(crate) fn take(attributes: &mut Vec<Attribute>) -> Result<MethodOptions> {
        let mut options = MethodOptions::default();
        for attribute in attributes.extract_if(.., |attribute| attribute.path().is_ident("rpc")) {
            attribute.parse_nested_meta(|meta| options.read(&meta))?;
        }
        Ok(options)
    }

    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        let Some(word) = meta.path.get_ident() else { return Err(unknown(meta)) };
        match word.to_string().as_str() {
            "name" => self.name = Some(method_name(meta)?),
            "alias" => self.aliases.push(Alias { name: method_name(meta)?, is_full: false }),
            "full_alias" => self.aliases.push(Alias { name: method_name(meta)?, is_full: true }),
            "idempotent" => self.repeat(meta, Repeat::Idempotent)?,
            "sequenced" => self.repeat(meta, Repeat::Sequenced)?,
            "notification" => self.is_notification = true,
            "since" => self.since = meta.value()?.parse::<LitInt>()?.base10_parse()?,
            _ => return Err(unknown(meta)),
        }
        Ok(())
    }

    fn repeat(&mut self, meta: &ParseNestedMeta<'_>, repeat: Repeat) -> Result<()> {
        if self.repeat != Repeat::Never {
            return Err(meta.error(
                "a method is either `idempotent` (running it twice does no harm) or `sequenced` (it runs once at most): keep one",
            ));
        }
        self.repeat = repeat;
        Ok(())
    }
}

impl Default for MethodOptions {
    fn default() -> MethodOptions {
        MethodOptions { name: None, aliases: Vec::new(), repeat: Repeat::Never, is_notification: false, since: 1 }
    }
}

fn unknown(meta: &ParseNestedMeta<'_>) -> syn::Error {
    meta.error(
        "`rpc` takes `idempotent` or `sequenced`, `notification`, `name = \"…\"`, `alias = \"…\"`, `full_alias = \"…\"` and `since = VERSION`",
    )
}

fn method_name(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let name: LitStr = meta.value()?.parse()?;
    match name.value() {
        value if value.is_empty() => Err(syn::Error::new(name.span(), "a name has at least one character")),
        value if value.starts_with("$/") => {
            Err(syn::Error::new(name.span(), "names that begin with `$/` belong to the protocol: choose another one"))
        }
        _ => Ok(name),
    }
}
