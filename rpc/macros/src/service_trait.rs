//! The trait as a whole: what it may hold, and what is made of it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemTrait, Path, Result, TraitItem, Visibility};

use crate::method::Method;
use crate::options::ServiceOptions;
use crate::{client, server};

/// A trait that describes a service.
pub(crate) struct ServiceTrait {
    pub(crate) visibility: Visibility,
    pub(crate) ident: Ident,
    pub(crate) methods: Vec<Method>,
    /// Where the crate `grapeshot-rpc` is found.
    pub(crate) krate: Path,
}

impl ServiceTrait {
    /// The generated server's name.
    pub(crate) fn service_ident(&self) -> Ident {
        format_ident!("{}Service", self.ident)
    }

    /// The generated client's name.
    pub(crate) fn client_ident(&self) -> Ident {
        format_ident!("{}Client", self.ident)
    }

    /// Reads the trait, and takes from it the attributes that the compiler does not know.
    fn take(item: &mut ItemTrait, options: ServiceOptions) -> Result<ServiceTrait> {
        let prefix = options.name.as_ref().map(|name| name.value());
        let (mut methods, mut errors) = (Vec::new(), Vec::new());
        errors.extend(check_trait(item).err());
        for member in &mut item.items {
            match take_member(member, prefix.as_deref()) {
                Ok(method) => methods.push(method),
                Err(error) => errors.push(error),
            }
        }
        errors.extend(check_names(&methods).err());
        let all = errors.into_iter().reduce(|mut all, error| {
            all.combine(error);
            all
        });
        match all {
            Some(all) => Err(all),
            None => Ok(ServiceTrait {
                visibility: item.vis.clone(),
                ident: item.ident.clone(),
                methods,
                krate: options.krate,
            }),
        }
    }
}

/// What `#[service]` makes of a trait: the trait, its server, its client.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut item: ItemTrait = match syn::parse2(item.clone()) {
        Ok(item) => item,
        Err(error) => {
            let mut all =
                Error::new(error.span(), "`service` stands above a trait, whose methods are those of the service");
            all.combine(error);
            let errors = all.to_compile_error();
            return quote!(#errors #item);
        }
    };
    let made = ServiceOptions::parse(arguments).and_then(|options| ServiceTrait::take(&mut item, options));
    match made {
        Ok(service) => {
            let (server, client) = (server::expand(&service), client::expand(&service));
            // A program that only calls has no implementation, and the compiler would miss one.
            quote!(#[allow(dead_code)] #item #server #client)
        }
        Err(error) => {
            // The trait stays, so that the errors are about what is wrong alone; but for the attributes that none reads.
            item.items.iter_mut().for_each(forget_options);
            let errors = error.to_compile_error();
            quote!(#errors #item)
        }
    }
}

fn take_member(member: &mut TraitItem, prefix: Option<&str>) -> Result<Method> {
    match member {
        TraitItem::Fn(function) => Method::take(function, prefix),
        other => Err(Error::new(other.span(), "a service has methods alone: move this to another trait")),
    }
}

fn forget_options(member: &mut TraitItem) {
    if let TraitItem::Fn(function) = member {
        function.attrs.retain(|attribute| !attribute.path().is_ident("rpc"));
    }
}

fn check_trait(item: &ItemTrait) -> Result<()> {
    if let Some(unsafety) = &item.unsafety {
        return Err(Error::new(unsafety.span(), "a caller from afar can promise nothing: drop `unsafe`"));
    }
    if !item.generics.params.is_empty() || item.generics.where_clause.is_some() {
        return Err(Error::new(
            item.ident.span(),
            "a service has no generics: what travels has one type, so write it out, or take a `Value`",
        ));
    }
    Ok(())
}

fn check_names(methods: &[Method]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for (name, span) in methods.iter().flat_map(|method| &method.names) {
        if !seen.insert(name) {
            return Err(Error::new(*span, format!("two methods answer to the name `{name}`: rename one of them")));
        }
    }
    Ok(())
}
