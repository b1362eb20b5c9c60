//! The derive for a service's own errors: each variant has a code, and its fields travel as the failure's data.

use std::collections::HashSet;

use proc_macro2::{Ident, TokenStream};
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Fields, LitInt, Path, Result, Token, Variant, parse_quote};

/// JSON-RPC 2.0 §5.1 keeps these for itself, and this protocol for itself what lies within.
const RESERVED: std::ops::RangeInclusive<i64> = -32768..=-32000;

/// The code of a failure that has none.
const UNNAMED: i64 = 0;

struct ErrorVariant<'a> {
    code: i64,
    variant: &'a Variant,
}

pub(crate) fn expand(item: TokenStream) -> TokenStream {
    syn::parse2(item).and_then(|input| conversions(&input)).unwrap_or_else(|error| error.to_compile_error())
}

fn conversions(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new(
            input.ident.span(),
            "`ServiceError` is for enums, with a code above each variant: make this an enum of one variant",
        ));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new(input.generics.span(), "an error that travels has no generics: write the types out"));
    }
    let krate = crate_path(&input.attrs)?;
    let variants = data.variants.iter().map(read_variant).collect::<Result<Vec<_>>>()?;
    check_codes(&variants)?;
    let (into, from) = (into_failure(&krate, &input.ident, &variants), from_failure(&krate, &input.ident, &variants));
    Ok(quote!(#into #from))
}

fn crate_path(attributes: &[Attribute]) -> Result<Path> {
    let mut krate = parse_quote!(::grapeshot::rpc);
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("rpc")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("crate") {
                return Err(
                    meta.error("above the enum, `rpc` takes `crate = path::of::rpc`; codes stand above the variants")
                );
            }
            meta.input.parse::<Token![=]>()?;
            krate = Path::parse_mod_style(meta.input)?;
            Ok(())
        })?;
    }
    Ok(krate)
}

fn read_variant(variant: &Variant) -> Result<ErrorVariant<'_>> {
    let mut code = None;
    for attribute in variant.attrs.iter().filter(|attribute| attribute.path().is_ident("rpc")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("code") {
                return Err(meta.error("above a variant, `rpc` takes `code = NUMBER`"));
            }
            let value = meta.value()?;
            let sign = if value.parse::<Option<Token![-]>>()?.is_some() { "-" } else { "" };
            let digits: LitInt = value.parse()?;
            let number = format!("{sign}{}", digits.base10_digits());
            code = Some(number.parse().map_err(|error| Error::new(digits.span(), error))?);
            Ok(())
        })?;
    }
    let code = code.ok_or_else(|| {
        let advice =
            "give the variant a code, by which other programs know it, such as `#[rpc(code = 1)]`, and never change it";
        Error::new(variant.ident.span(), advice)
    })?;
    Ok(ErrorVariant { code, variant })
}

fn check_codes(variants: &[ErrorVariant<'_>]) -> Result<()> {
    let mut seen = HashSet::new();
    for ErrorVariant { code, variant } in variants {
        let advice = if RESERVED.contains(code) {
            format!(
                "the codes from {} to {} belong to the protocol: choose another one",
                RESERVED.start(),
                RESERVED.end()
            )
        } else if *code == UNNAMED {
            "0 is the code of a failure that has none: choose another one".to_owned()
        } else if !seen.insert(code) {
            format!("two variants have the code {code}: change the newer one's")
        } else {
            continue;
        };
        return Err(Error::new(variant.ident.span(), advice));
    }
    Ok(())
}

fn into_failure(krate: &Path, ident: &Ident, variants: &[ErrorVariant<'_>]) -> TokenStream {
    let arms = variants.iter().map(|ErrorVariant { code, variant }| {
        let name = &variant.ident;
        let locals = locals(&variant.fields);
        match &variant.fields {
            Fields::Unit => quote!(#ident::#name => (#code, #krate::Value::Nil)),
            Fields::Unnamed(_) => quote! {
                #ident::#name(#(#locals),*) => (#code, #krate::generated::list([#(#krate::generated::field(#locals)),*]))
            },
            Fields::Named(fields) => {
                let idents: Vec<_> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
                let keys = idents.iter().map(|ident| ident.unraw().to_string());
                quote! {
                    #ident::#name { #(#idents: #locals),* } =>
                        (#code, #krate::generated::map([#((#keys, #krate::generated::field(#locals))),*]))
                }
            }
        }
    });
    quote! {
        impl ::core::convert::From<#ident> for #krate::Failure {
            fn from(__error: #ident) -> #krate::Failure {
                let __message = ::std::string::ToString::to_string(&__error);
                let (__code, __data) = match &__error {
                    #(#arms,)*
                };
                #krate::Failure { code: __code, message: __message, data: __data }
            }
        }
    }
}

fn from_failure(krate: &Path, ident: &Ident, variants: &[ErrorVariant<'_>]) -> TokenStream {
    let arms = variants.iter().map(|ErrorVariant { code, variant }| {
        let name = &variant.ident;
        match &variant.fields {
            Fields::Unit => quote!(#code => #ident::#name),
            Fields::Unnamed(fields) => {
                let indexes = 0..fields.unnamed.len();
                quote!(#code => #ident::#name(#(#krate::generated::field_at(__data, #indexes)?),*))
            }
            Fields::Named(fields) => {
                let idents: Vec<_> = fields.named.iter().filter_map(|field| field.ident.as_ref()).collect();
                let keys = idents.iter().map(|ident| ident.unraw().to_string());
                quote!(#code => #ident::#name { #(#idents: #krate::generated::field_named(__data, #keys)?),* })
            }
        }
    });
    quote! {
        impl ::core::convert::TryFrom<#krate::Failure> for #ident {
            /// A failure that is none of these.
            type Error = #krate::Failure;

            fn try_from(__failure: #krate::Failure) -> ::core::result::Result<Self, #krate::Failure> {
                let __read = |__data: &#krate::Value| -> ::core::option::Option<Self> {
                    ::core::option::Option::Some(match __failure.code {
                        #(#arms,)*
                        _ => return ::core::option::Option::None,
                    })
                };
                match __read(&__failure.data) {
                    ::core::option::Option::Some(__error) => ::core::result::Result::Ok(__error),
                    ::core::option::Option::None => ::core::result::Result::Err(__failure),
                }
            }
        }
    }
}

fn locals(fields: &Fields) -> Vec<Ident> {
    (0..fields.len()).map(|index| format_ident!("__field_{index}")).collect()
}
