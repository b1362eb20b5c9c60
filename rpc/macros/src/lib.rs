//! The attribute of `grapeshot-rpc` that makes a client and a server of a trait, and the derive that lets its errors travel.
//!
//! Both are described where they are used from: `grapeshot_rpc::service` and `grapeshot_rpc::ServiceError`.
//! A macro sees names and no types, so what it makes leans on functions of `grapeshot_rpc::generated`, which see them.
//!
//! # Reading order
//!
//! `service_trait.rs`, where the attribute begins; `method.rs`, which reads one method; `server.rs` and `client.rs`,
//! which write code; `error_enum.rs`, the derive.
#![forbid(unsafe_code)]

use proc_macro::TokenStream;

mod service_trait;
mod method;
mod options;
mod types;
mod server;
mod client;
mod error_enum;
#[cfg(test)]
mod tests;

/// Makes a server and a client of a trait.
#[proc_macro_attribute]
pub fn service(arguments: TokenStream, item: TokenStream) -> TokenStream {
    service_trait::expand(arguments.into(), item.into()).into()
}

/// Lets an enum of errors travel as failures.
#[proc_macro_derive(ServiceError, attributes(rpc))]
pub fn service_error(item: TokenStream) -> TokenStream {
    error_enum::expand(item.into()).into()
}
