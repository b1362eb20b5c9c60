//! What the attribute and the derive say to who uses them wrongly, and that they say it about the right thing alone.

use proc_macro2::TokenStream;

use crate::{error_enum, service_trait};

fn expand(arguments: &str, item: &str) -> String {
    let tokens = |text: &str| -> TokenStream { text.parse().unwrap() };
    service_trait::expand(tokens(arguments), tokens(item)).to_string()
}

/// All that a trait is refused with.
fn complaints(arguments: &str, item: &str) -> Vec<String> {
    compile_errors(expand(arguments, item))
}

fn compile_errors(expanded: String) -> Vec<String> {
    let parts = expanded.split("compile_error ! {").skip(1);
    let text = parts.map(|part| part.split_once('}').unwrap().0.trim());
    text.map(|literal| syn::parse_str::<syn::LitStr>(literal).unwrap().value()).collect()
}

#[track_caller]
fn assert_refused(method: &str, expected: &str) {
    let found = complaints("", &format!("trait T {{ {method} }}"));
    assert_eq!(found.len(), 1, "{method}: {found:?}");
    assert!(found[0].contains(expected), "{method}: {}", found[0]);
}

#[test]
fn a_receiver_other_than_a_shared_reference_is_refused() {
    assert_refused("fn f(&mut self);", "keep what changes in a `Cell` or `RefCell`");
    assert_refused("fn f(self);", "a method takes `&self`: the service outlives the call");
    assert_refused("fn f(self: Rc<Self>);", "a method takes `&self`: the service outlives the call");
    assert_refused("fn f(&'static self);", "without a lifetime");
    assert_refused("fn f();", "a method takes `&self` first");
    assert_refused("fn f(a: u8);", "a method takes `&self` first");
}

#[test]
fn a_function_that_is_not_ordinary_is_refused() {
    assert_refused("async fn f(&self);", "drop `async`");
    assert_refused("const fn f(&self);", "cannot be `const`");
    assert_refused("extern \"C\" fn f(&self);", "drop `extern`");
    assert_refused("fn f<T>(&self, value: T);", "has no generics");
    assert_refused("fn f<'a>(&self, value: &'a str);", "has no generics");
    assert_refused("fn f(&self) where Self: Sized;", "no `where`");
}

#[test]
fn a_parameter_that_cannot_travel_is_refused() {
    assert_refused("fn f(&self, (a, b): (u8, u8));", "give the parameter a name");
    assert_refused("fn f(&self, _: u8);", "give the parameter a name");
    assert_refused("fn f(&self, a: &mut Vec<u8>);", "return what changed");
    assert_refused("fn f(&self, a: &'static str);", "drop the lifetime");
    assert_refused("fn f(&self, a: &&str);", "one reference is enough");
    assert_refused("fn f(&self, a: &dyn Debug);", "a trait object does not travel");
    assert_refused("fn f(&self, a: &Sink<u8>);", "take it by value");
    assert_refused("fn f(&self, a: &Items<u8>);", "take it by value");
    assert_refused("fn f(&self, a: impl Debug);", "write it out instead of `impl`");
    assert_refused("fn f(&self, a: fn(u8));", "the callee can call back");
    assert_refused("fn f(&self, a: *const u8);", "take the value");
}

#[test]
fn a_result_that_cannot_travel_is_refused() {
    assert_refused("fn f(&self) -> &str;", "return an owned value");
    assert_refused("fn f(&self) -> Result<&str, E>;", "return an owned value");
    assert_refused("fn f(&self) -> impl Debug;", "write it out instead of `impl`");
    assert_refused("fn f(&self) -> !;", "is a stream");
}

#[test]
fn parts_that_do_not_go_together_are_refused() {
    assert_refused("fn f(&self, a: Sink<u8>, b: Sink<u8>);", "one stream to the caller");
    assert_refused("fn f(&self, a: Items<u8>, b: Items<u8>);", "one stream from the caller");
    assert_refused("fn f(&self, a: &Context, b: &Context);", "one `&Context`");
    assert_refused("#[rpc(notification)] fn f(&self) -> u8;", "drop its result, or `notification`");
    assert_refused("#[rpc(notification)] fn f(&self, a: Items<u8>);", "drop `notification`, or the stream");
    assert_refused("#[rpc(notification, idempotent)] fn f(&self);", "a notification is never repeated");
    assert_refused("#[rpc(sequenced)] fn f(&self, a: Sink<u8>);", "a call with streams is never repeated");
    assert_refused("#[rpc(idempotent, sequenced)] fn f(&self);", "keep one");
}

#[test]
fn a_name_that_is_taken_is_refused() {
    assert_refused("fn f(&self); fn f(&self);", "two methods answer to the name `f`");
    assert_refused("fn f(&self); #[rpc(name = \"f\")] fn g(&self);", "two methods answer to the name `f`");
    assert_refused("#[rpc(alias = \"g\")] fn f(&self); fn g(&self);", "two methods answer to the name `g`");
    assert_refused("#[rpc(full_alias = \"g\")] fn f(&self); fn g(&self);", "two methods answer to the name `g`");
    assert_refused("#[rpc(full_alias = \"$/hello\")] fn f(&self);", "belong to the protocol");
    assert_refused("fn with(&self);", "write `#[rpc(name = \"with\")]` above it");
    assert_refused("#[rpc(name = \"$/hello\")] fn f(&self);", "belong to the protocol");
    assert_refused("#[rpc(name = \"\")] fn f(&self);", "at least one character");
}

#[test]
fn unknown_options_are_answered_with_the_known_ones() {
    assert_refused("#[rpc(idempotnet)] fn f(&self);", "`rpc` takes `idempotent` or `sequenced`");
    assert_refused("#[rpc(a::b)] fn f(&self);", "`rpc` takes `idempotent` or `sequenced`");
    let found = complaints("prefix = \"calc\"", "trait T { }");
    assert!(found[0].contains("`service` takes `name = \"…\"`"), "{found:?}");
    let found = complaints("name = \"$/calc\"", "trait T { }");
    assert!(found[0].contains("belong to the protocol"), "{found:?}");
}

#[test]
fn what_is_no_plain_trait_is_refused() {
    assert!(complaints("", "struct S;")[0].contains("`service` stands above a trait"));
    assert!(complaints("", "unsafe trait T { }")[0].contains("drop `unsafe`"));
    assert!(complaints("", "trait T<A> { }")[0].contains("a service has no generics"));
    assert_refused("type A;", "a service has methods alone");
    assert_refused("const A: u8;", "a service has methods alone");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let found = complaints("", "trait T { fn f(&mut self); fn g(&self); async fn h(&self); }");
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn a_trait_that_is_refused_stays_without_our_attributes() {
    let expanded = expand("", "trait T { fn f(&mut self); #[rpc(idempotent)] #[doc = \"g\"] fn g(&self); }");
    assert!(expanded.contains("trait T"), "{expanded}");
    assert!(expanded.contains("doc = \"g\""), "{expanded}");
    assert!(!expanded.contains("rpc (idempotent)"), "{expanded}");
    assert!(!expanded.contains("TClient"), "{expanded}");
}

#[test]
fn the_path_of_the_crate_is_the_facades_unless_set() {
    assert!(expand("", "trait T { fn f(&self); }").contains(":: grapeshot :: rpc :: Service for TService"));
    assert!(expand("crate = a::b", "trait T { fn f(&self); }").contains("impl < __T : T > a :: b :: Service"));
}

/// All that an enum is refused with.
fn enum_complaints(item: &str) -> Vec<String> {
    compile_errors(error_enum::expand(item.parse().unwrap()).to_string())
}

#[test]
fn an_error_without_a_lasting_code_is_refused() {
    let complaint = |item: &str| enum_complaints(item).concat();
    assert!(complaint("enum E { A }").contains("such as `#[rpc(code = 1)]`"));
    assert!(complaint("enum E { #[rpc(code = 0)] A }").contains("0 is the code of a failure that has none"));
    assert!(complaint("enum E { #[rpc(code = -32603)] A }").contains("from -32768 to -32000 belong to the protocol"));
    assert!(complaint("enum E { #[rpc(code = 1)] A, #[rpc(code = 1)] B }").contains("two variants have the code 1"));
    assert!(complaint("enum E { #[rpc(number = 1)] A }").contains("`rpc` takes `code = NUMBER`"));
    assert!(complaint("#[rpc(code = 1)] enum E { }").contains("codes stand above the variants"));
    assert!(complaint("struct E;").contains("make this an enum of one variant"));
    assert!(complaint("enum E<T> { #[rpc(code = 1)] A(T) }").contains("no generics"));
    assert_eq!(complaint("enum E { #[rpc(code = -1)] A, #[rpc(code = 2)] B(u8) }"), "");
}
