//! The client: the trait's methods over a caller, each with a result that says how the call may fail.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use crate::method::{Answer, Argument, Method};
use crate::options::Repeat;
use crate::service_trait::ServiceTrait;
use crate::types;

pub(crate) fn expand(service: &ServiceTrait) -> TokenStream {
    let ServiceTrait { visibility, ident, krate, methods } = service;
    let name = service.client_ident();
    let doc = format!("Calls the methods of [`{ident}`] through a caller, such as a connection.");
    let methods = methods.iter().map(|method| function(service, method));
    quote! {
        #[doc = #doc]
        #[allow(dead_code)]
        #[derive(Clone, Debug)]
        #visibility struct #name<C> {
            caller: C,
            options: #krate::CallOptions,
        }

        #[allow(dead_code, clippy::all, clippy::pedantic)]
        impl<__C: #krate::Caller> #name<__C> {
            /// Calls through this caller.
            #visibility fn new(caller: __C) -> Self {
                Self { caller, options: ::core::default::Default::default() }
            }

            /// The same, whose calls are made in this way; but whether a call may be repeated is the method's to say.
            #visibility fn with(&self, options: #krate::CallOptions) -> #name<&__C> {
                #name { caller: &self.caller, options }
            }

            /// The same, whose calls take this long in all at most.
            #visibility fn with_timeout(&self, timeout: ::core::time::Duration) -> #name<&__C> {
                let mut options = ::core::clone::Clone::clone(&self.options);
                options.timeout = ::core::option::Option::Some(timeout);
                self.with(options)
            }

            /// What the calls are made through.
            #visibility fn caller(&self) -> &__C {
                &self.caller
            }

            #(#methods)*
        }
    }
}

fn function(service: &ServiceTrait, method: &Method) -> TokenStream {
    let ServiceTrait { krate, visibility, .. } = service;
    let (ident, attributes, name) = (&method.ident, &method.attributes, method.name());
    let doc = (method.doc().is_empty()).then(|| {
        let doc = format!("Calls `{name}`.");
        quote!(#[doc = #doc])
    });
    let parameters = method.arguments.iter().filter_map(|argument| match argument {
        Argument::Value(value) => {
            let (ident, ty) = (&value.ident, &value.ty);
            Some(quote!(#ident: #ty))
        }
        _ => None,
    });
    let (result, call) = call(service, method);
    let parts = params(service, method);
    quote! {
        #(#attributes)*
        #doc
        ///
        /// # Errors
        ///
        /// Those of every call: each says whether the method may have run.
        #visibility fn #ident(&self, #(#parameters),*) -> ::core::result::Result<#result, #krate::CallError> {
            #parts
            #call
        }
    }
}

/// The statements that write the parameters down.
fn params(service: &ServiceTrait, method: &Method) -> TokenStream {
    let krate = &service.krate;
    let name = method.name();
    let values: Vec<_> = method.values().collect();
    let count = values.len();
    // An optional parameter at the end is left out when there is none, so that a callee from before it understands.
    let optional = values.iter().rev().take_while(|value| types::argument_of(&value.ty, "Option").is_some()).count();
    let shorten = (count - optional..count).rev().map(|index| {
        let ident = &values[index].ident;
        let full = index + 1;
        quote! {
            if __count == #full && #ident.is_none() {
                __count = #index;
            }
        }
    });
    let pushes = values.iter().enumerate().map(|(index, value)| {
        let ident = &value.ident;
        let reference = match types::peeled(&value.ty) {
            syn::Type::Reference(_) => quote!(#ident),
            _ => quote_spanned!(types::place(&value.ty)=> &#ident),
        };
        let push = quote_spanned!(types::place(&value.ty)=> __request.push(#reference)?;);
        if index < count - optional { push } else { quote!(if __count > #index { #push }) }
    });
    let count_binding = if optional == 0 {
        quote!(let __count: ::core::primitive::usize = #count;)
    } else {
        quote!(let mut __count: ::core::primitive::usize = #count;)
    };
    let request_binding = if count == 0 { quote!(let __request) } else { quote!(let mut __request) };
    quote! {
        #count_binding
        #(#shorten)*
        #request_binding = #krate::generated::Outgoing::new(#name, __count);
        #(#pushes)*
    }
}

/// The type of the result, and the expression that makes the call.
fn call(service: &ServiceTrait, method: &Method) -> (TokenStream, TokenStream) {
    let krate = &service.krate;
    let answer = match &method.answer {
        Answer::Plain(None) => quote!(()),
        Answer::Plain(Some(ty)) | Answer::Fallible(ty) => quote!(#ty),
    };
    let repeat = match method.repeat {
        Repeat::Never => quote!(#krate::Repeat::Never),
        Repeat::Idempotent => quote!(#krate::Repeat::Idempotent),
        Repeat::Sequenced => quote!(#krate::Repeat::Sequenced),
    };
    if method.is_notification {
        return (quote!(()), quote!(__request.notify(&self.caller, &self.options)));
    }
    let streaming = match (method.items(), method.sink()) {
        (None, None) => return (answer, quote!(__request.call(&self.caller, &self.options, #repeat))),
        (None, Some(sink)) => quote!(#krate::stream::CalleeStreaming<#sink, #answer>),
        (Some(items), None) => quote!(#krate::stream::CallerStreaming<#items, #answer>),
        (Some(items), Some(sink)) => quote!(#krate::stream::BothStreaming<#items, #sink, #answer>),
    };
    let open = quote! {
        __request.open(&self.caller, &self.options).map(<#streaming>::new)
    };
    (streaming, open)
}
