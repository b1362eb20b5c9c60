//! The server: a struct around an implementation of the trait, which looks a method up by its name and calls it.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Attribute, Type};

use crate::method::{Answer, Argument, Method};
use crate::service_trait::ServiceTrait;
use crate::types;

pub(crate) fn expand(service: &ServiceTrait) -> TokenStream {
    let ServiceTrait { visibility, ident, krate, methods } = service;
    let name = service.service_ident();
    let doc = format!("Answers calls with an implementation of [`{ident}`].");
    let arms = methods.iter().map(|method| arm(service, method));
    let infos = methods.iter().map(|method| info(service, method));
    let own_names = methods.iter().map(own_name);
    quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        #[derive(Clone, Debug, Default)]
        #visibility struct #name<T>(
            /// What does the work.
            #visibility T,
        );

        #[allow(deprecated, clippy::all, clippy::pedantic)]
        impl<__T: #ident> #krate::Service for #name<__T> {
            fn call(
                &self,
                __method: &::core::primitive::str,
                __params: &[::core::primitive::u8],
                __context: &#krate::Context,
            ) -> ::core::result::Result<#krate::Encoded, #krate::Failure> {
                match __method {
                    #(#arms)*
                    _ => ::core::result::Result::Err(#krate::generated::no_such_method(__method)),
                }
            }

            fn methods(&self) -> ::std::vec::Vec<#krate::MethodInfo> {
                let mut __methods = ::std::vec::Vec::new();
                #(#infos)*
                __methods
            }

            fn canonical<'a>(
                &'a self,
                __method: &'a ::core::primitive::str,
            ) -> ::core::option::Option<::std::borrow::Cow<'a, ::core::primitive::str>> {
                match __method {
                    #(#own_names)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    }
}

/// One arm of the match on a method's name.
fn arm(service: &ServiceTrait, method: &Method) -> TokenStream {
    let ServiceTrait { ident, krate, .. } = service;
    let names = method.names.iter().map(|(name, _)| name);
    let conditions = conditions(method);
    let signature = signature(method);
    let count = method.values().count();
    let reads = method.values().enumerate().map(|(index, value)| {
        let local = local(index);
        let owned = owned(&value.ty);
        quote_spanned!(types::place(&value.ty)=> let #local: #owned = __params.next()?;)
    });
    let mut values = 0;
    let arguments = method.arguments.iter().map(|argument| match argument {
        Argument::Context => quote!(__context),
        Argument::Sink(item) => quote!(#krate::stream::Sink::<#item>::of(__context)?),
        Argument::Items(item) => quote!(#krate::stream::Items::<#item>::of(__context)?),
        Argument::Value(value) => {
            let local = local(values);
            values += 1;
            if is_lent(&value.ty) { quote!(&#local) } else { quote!(#local) }
        }
    });
    // Streams are taken before the call, and in the order of the arguments, as any expression there is.
    let function = &method.ident;
    let call = quote_spanned!(method.answer_place=> <__T as #ident>::#function(&self.0, #(#arguments),*));
    let answer = match &method.answer {
        Answer::Plain(None) => quote!({ #call; ::core::result::Result::Ok(#krate::Encoded::nil()) }),
        Answer::Plain(Some(_)) => quote_spanned!(method.answer_place=> #krate::generated::answer(&#call)),
        Answer::Fallible(_) => quote_spanned!(method.answer_place=> #krate::generated::answer_or_failure(#call)),
    };
    let params = if count == 0 {
        quote!(#krate::generated::Params::read(__params, &__SIGNATURE)?;)
    } else {
        quote!(let mut __params = #krate::generated::Params::read(__params, &__SIGNATURE)?;)
    };
    quote! {
        #(#conditions)*
        #(#names)|* => {
            const __SIGNATURE: #krate::generated::Signature = #krate::generated::Signature #signature;
            #params
            #(#reads)*
            #answer
        }
    }
}

/// One arm of the match that leads from each of a method's names to its own.
fn own_name(method: &Method) -> TokenStream {
    let names = method.names.iter().map(|(name, _)| name);
    let conditions = conditions(method);
    let own = method.name();
    quote!(#(#conditions)* #(#names)|* => ::core::option::Option::Some(::std::borrow::Cow::Borrowed(#own)),)
}

/// The lines that list a method, and its former names.
fn info(service: &ServiceTrait, method: &Method) -> TokenStream {
    let krate = &service.krate;
    let conditions = conditions(method);
    let signature = signature(method);
    let kind = match (method.sink(), method.items()) {
        _ if method.is_notification => quote!(Notification),
        (None, None) => quote!(Call),
        (Some(_), None) => quote!(CalleeStream),
        (None, Some(_)) => quote!(CallerStream),
        (Some(_), Some(_)) => quote!(BothStreams),
    };
    let (result, since, doc) = (result_text(method), method.since, method.doc());
    let aliases = method.names.iter().skip(1).map(|(name, _)| name);
    quote! {
        #(#conditions)*
        __methods.extend(#krate::generated::method_infos(
            &#krate::generated::Signature #signature,
            &[#(#aliases),*],
            #result,
            #krate::MethodKind::#kind,
            #since,
            #doc,
        ));
    }
}

fn signature(method: &Method) -> TokenStream {
    let name = method.name();
    let params = method.values().map(|value| {
        let (ident, ty) = (syn::ext::IdentExt::unraw(&value.ident).to_string(), types::text(stripped(&value.ty)));
        quote!((#ident, #ty))
    });
    quote!({ method: #name, params: &[#(#params),*] })
}

/// The type of the result, and what comes before it.
fn result_text(method: &Method) -> String {
    let value = match &method.answer {
        Answer::Plain(None) => "()".to_owned(),
        Answer::Plain(Some(ty)) | Answer::Fallible(ty) => types::text(ty),
    };
    match (method.items().map(types::text), method.sink().map(types::text)) {
        (None, None) => value,
        (None, Some(sink)) => format!("stream of {sink}, then {value}"),
        (Some(items), None) => format!("of a stream of {items}: {value}"),
        (Some(items), Some(sink)) => format!("of a stream of {items}: stream of {sink}, then {value}"),
    }
}

/// What is read for a parameter: `&str` out of the message itself, for other references a value that is lent.
fn owned(ty: &Type) -> TokenStream {
    match types::peeled(ty) {
        Type::Reference(reference) if types::is_named(&reference.elem, "str") => quote!(&::core::primitive::str),
        Type::Reference(reference) => match types::peeled(&reference.elem) {
            Type::Slice(slice) => {
                let item = &slice.elem;
                quote!(::std::vec::Vec<#item>)
            }
            inner => quote!(#inner),
        },
        ty => quote!(#ty),
    }
}

fn is_lent(ty: &Type) -> bool {
    match types::peeled(ty) {
        Type::Reference(reference) => !types::is_named(&reference.elem, "str"),
        _ => false,
    }
}

/// A reference or not is nothing that the peer needs to know.
fn stripped(ty: &Type) -> &Type {
    match types::peeled(ty) {
        Type::Reference(reference) => &reference.elem,
        ty => ty,
    }
}

fn local(index: usize) -> proc_macro2::Ident {
    format_ident!("__value_{index}")
}

fn conditions(method: &Method) -> impl Iterator<Item = &Attribute> {
    method.attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
}
